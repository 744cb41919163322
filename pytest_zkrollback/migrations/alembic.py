"""Alembic: its own library does the revisions' graph; the files are parsed and never run (no env.py either).

``ScriptDirectory`` would import every revision file, which runs the repository's code; so ``revision``,
``down_revision``, ``depends_on`` and ``branch_labels`` are read from the syntax tree, and Alembic's
``RevisionMap`` makes of them what it makes of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ..domain.errors import MigrationProblem
from .base import Applied, Rows, Script, Tree, unread_of
from .syntax_tree import assigned, function, literal, parse_module, raises, source, working

if TYPE_CHECKING:
    from alembic.script.revision import RevisionMap

_OWN_FILES = ("env.py", "__init__.py", "script.py.mako", "alembic.ini")
INSTALL = "Alembic is not installed here: pip install 'pytest-zkrollback[alembic]'."


@dataclass(frozen=True)
class _Alembic:
    """See :class:`~.scripts.Tool`."""

    name: str = "Alembic"
    query: str = "SELECT version_num FROM alembic_version"

    def parse(self, files: Mapping[str, str]) -> Tree:
        """The revisions in the order in which ``alembic upgrade heads`` runs them."""
        found = {one.id: (one, links) for path, text in files.items() for one, links in _parse(path, text)}
        read = {one.path for one, _ in found.values()}
        unread = unread_of(files, (*read, *(path for path in files if path.endswith(_OWN_FILES))))
        if not found:
            return Tree({}, (), unread=unread)
        graph = _graph({key: links for key, (_, links) in found.items()})
        with _Complaints():
            newest_first = [one.revision for one in graph.iterate_revisions("heads", "base")]
            heads = tuple(sorted(graph.heads))
        scripts = {key: found[key][0] for key in reversed(newest_first)}
        return Tree(scripts, heads, {key: links for key, (_, links) in found.items()}, unread)

    def applied(self, tree: Tree, rows: Rows) -> Applied:
        """Alembic's table holds the newest revisions only: everything below them is applied."""
        heads = [str(row[0]) for row in rows if row]
        known = [head for head in heads if head in tree.scripts]
        ids = set(heads)
        if known:
            graph = _graph(tree.links)
            with _Complaints():
                below = graph.iterate_revisions(tuple(known), "base", inclusive=True)
                ids |= {one.revision for one in below}
        newest = tuple(sorted(heads))
        return Applied(frozenset(ids), ", ".join(newest) or "no revision", heads=newest)

    def undo(self, target: Tree, bad: Tree, scripts: Sequence[Script]) -> str:
        """``downgrade`` to each head of the target, and of a branch that it does not have to its base."""
        roots = [one.id for one in scripts if not bad.links[one.id]["down_revision"]]
        ways = [f"{root}@base" for root in roots] if target.heads else []
        return " && ".join(f"alembic downgrade {way}" for way in (*(target.heads or ("base",)), *ways))


ALEMBIC = _Alembic()


class _Complaints:
    """Turns what Alembic says of a broken graph into our sentence."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            said = str(error) or type(error).__name__
            raise MigrationProblem(f"Alembic cannot read its revisions: {said.rstrip('.')}.") from None


def _graph(links: Mapping[str, dict[str, Any]]) -> RevisionMap:
    try:
        from alembic.script.revision import Revision, RevisionMap
    except ImportError:
        raise MigrationProblem(INSTALL) from None
    return RevisionMap(lambda: [Revision(key, **one) for key, one in links.items()])


def _parse(path: str, text: str) -> Iterator[tuple[Script, dict[str, Any]]]:
    """The revision of one file; nothing where it is none (as Alembic sees it: no .py, or __init__)."""
    name = PurePosixPath(path).name
    if not name.endswith(".py") or name.startswith((".#", "__init__")) or name == "env.py":
        return
    module = parse_module(path, text)
    value = assigned(module.body, "revision")
    if value is None:
        if function(module, "upgrade") is not None:
            raise MigrationProblem(f"{path} has an upgrade() and no `revision` that can be read.")
        return
    links = {
        key: literal(path, word, assigned(module.body, word))
        for key, word in (
            ("down_revision", "down_revision"),
            ("dependencies", "depends_on"),
            ("branch_labels", "branch_labels"),
        )
    }
    ups, downs = _bodies(module, "upgrade"), _bodies(module, "downgrade")
    reverse, how = _reverse(ups, downs)
    yield (
        Script(
            id=str(literal(path, "revision", value)),
            path=path,
            does=source([node for body in ups for node in working(body)]),
            reverse=reverse,
            how=how,
            text=repr(links) + source([node for body in (*ups, *downs) for node in working(body)]),
            runs=source([node for body in ups for node in working(body)]),
        ),
        links,
    )


def _bodies(module: ast.Module, name: str) -> list[list[ast.stmt]]:
    """The body of ``upgrade``; of the template for several databases, those of ``upgrade_NAME``."""
    main = function(module, name)
    parts = [
        node.body
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith(f"{name}_")
    ]
    if main is None:
        return []
    dispatches = any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "globals"
        for node in ast.walk(main)
    )
    return parts if dispatches and parts else [main.body]


def _reverse(ups: Sequence[list[ast.stmt]], downs: Sequence[list[ast.stmt]]) -> tuple[bool | None, str]:
    if not downs:
        return False, "there is no downgrade()"
    for index, down in enumerate(downs):
        up = ups[index] if index < len(ups) else []
        if raises(down):
            return False, "downgrade() raises an error"
        if working(up) and not working(down):
            return False, "downgrade() is empty"
    if not any(working(body) for body in ups):
        return True, "nothing to undo"
    return True, "downgrade()"
