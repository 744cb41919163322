"""Django: the ``Migration`` classes of the apps' ``migrations`` folders, read from the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .base import Applied, Rows, Script, Tree, in_order, natural
from .syntax_tree import assigned, literal, parse_module, source

# Operations of django.db.migrations and django.contrib.postgres that Django itself reverses.
_REVERSIBLE = re.compile(
    r"(Create|Delete|Rename)Model|AlterModel\w+|Alter(Unique|Index)Together|AlterOrderWithRespectTo"
    r"|(Add|Remove|Alter|Rename)Field|(Add|Remove|Rename)Index(Concurrently)?|(Add|Remove|Alter)Constraint"
    r"|AddConstraintNotValid|ValidateConstraint|\w+Extension|(Create|Remove)Collation"
)
_OWN_REVERSE = {"RunPython": "reverse_code", "RunSQL": "reverse_sql"}


# Almost every database has their rows. Of other applications nobody knows whether they came with the deploy.
_DJANGOS_OWN = frozenset({"admin", "auth", "contenttypes", "flatpages", "redirects", "sessions", "sites"})


@dataclass(frozen=True)
class _Django:
    """See :class:`~.scripts.Tool`. Ids are ``app.name``; the app is the folder above ``migrations``."""

    name: str = "Django"
    query: str = "SELECT app, name FROM django_migrations"

    def parse(self, files: Mapping[str, str]) -> Tree:
        """All migrations, each after those that it depends on."""
        found: dict[str, tuple[Script, dict[str, Any]]] = {}
        labels = _labels(files)
        for path, text in files.items():
            if (one := _parse(path, text, labels)) is not None:
                found[one[0].id] = one
        links = {key: link for key, (_, link) in found.items()}
        # A squashed one and those that it replaces are the same change.
        for key, link in links.items():
            if link["replaces"] and all(old in found for old in link["replaces"]):
                del found[key]
        order = in_order((one for one, _ in found.values()), lambda one: natural(one.id))
        needed = {need for key in found for need in links[key]["needs"] if _app(need) == _app(key)}
        return Tree(order, tuple(key for key in order if key not in needed), links)

    def applied(self, tree: Tree, rows: Rows) -> Applied:
        """One row each; a squashed migration is applied where all that it replaces are."""
        ids = {f"{row[0]}.{row[1]}" for row in rows if len(row) > 1}
        apps = {_app(key) for key in tree.scripts}
        own = {one for one in ids if _app(one) in apps}
        outside = {_app(one) for one in ids - own} - _DJANGOS_OWN
        for key, link in tree.links.items():
            old = set(link["replaces"])
            if old and old <= own:
                own = (own - old) | {key} if key in tree.scripts else own
            elif key in own and key not in tree.scripts:
                own = (own - {key}) | old
        newest = [max((one for one in own if _app(one) == app), key=natural, default="") for app in apps]
        shown = ", ".join(sorted(filter(None, newest))) or "no migration"
        return Applied(frozenset(own), shown, outside=tuple(sorted(outside)))

    def undo(self, target: Tree, bad: Tree, scripts: Sequence[Script]) -> str:  # noqa: ARG002
        """Each app back to the newest migration of the target, ``zero`` where it has none."""
        apps = dict.fromkeys(_app(one.id) for one in reversed(scripts))
        heads = {_app(head): head.partition(".")[2] for head in target.heads}
        return " && ".join(f"python manage.py migrate {app} {heads.get(app, 'zero')}" for app in apps)


DJANGO = _Django()


def _app(migration: str) -> str:
    return migration.partition(".")[0]


def _labels(files: Mapping[str, str]) -> dict[PurePosixPath, str]:
    """An app's folder -> its label, where its ``apps.py`` states another one than the folder's name.

    Source: django/apps/config.py: ``label``, else the last part of ``name``.
    """
    found = {}
    for path, text in files.items():
        if PurePosixPath(path).name != "apps.py":
            continue
        for node in parse_module(path, text).body:
            if not isinstance(node, ast.ClassDef):
                continue
            label = literal(path, "label", assigned(node.body, "label"))
            name = literal(path, "name", assigned(node.body, "name"))
            if stated := label or str(name or "").rpartition(".")[2]:
                found[PurePosixPath(path).parent] = str(stated)
    return found


def _parse(path: str, text: str, labels: Mapping[PurePosixPath, str]) -> tuple[Script, dict[str, Any]] | None:
    file = PurePosixPath(path)
    if file.suffix != ".py" or file.stem == "__init__":
        return None
    module = parse_module(path, text)
    found = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Migration"]
    if not found:
        return None
    body = found[-1].body
    folder = file.parent.parent if file.parent.name == "migrations" else file.parent
    app = labels.get(folder, folder.name)
    operations = assigned(body, "operations")
    entries = operations.elts if isinstance(operations, ast.List | ast.Tuple) else None
    reverse, how = _reverse(entries) if entries is not None else (None, "its operations are computed")
    links = {
        "needs": _pairs(assigned(body, "dependencies")),
        "replaces": [".".join(pair) for pair in _replaced(path, body)],
    }
    # What RunPython calls stands outside of the class.
    beside = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    does = source(entries if entries is not None else [operations] if operations is not None else [])
    return (
        Script(f"{app}.{file.stem}", path, does, reverse, how, text=does + source(beside)),
        links,
    )


def _replaced(path: str, body: Sequence[ast.stmt]) -> Sequence[Sequence[str]]:
    found = literal(path, "replaces", assigned(body, "replaces"))
    return found if isinstance(found, list) else []


def _pairs(value: ast.expr | None) -> list[str]:
    """The literal (app, name) dependencies; ``swappable_dependency(...)`` is none of our apps'."""
    found = []
    for one in value.elts if isinstance(value, ast.List | ast.Tuple) else ():
        parts = one.elts if isinstance(one, ast.Tuple) else ()
        words = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
        found += [".".join(words)] if len(words) == 2 else []
    return found


def _reverse(operations: Sequence[ast.expr]) -> tuple[bool | None, str]:
    unknown = []
    for one in operations:
        name = _name(one)
        given = _arguments(one)
        if name in _OWN_REVERSE:
            back = given.get(_OWN_REVERSE[name], given.get("1"))
            if back is None or (isinstance(back, ast.Constant) and back.value is None):
                return False, f"{name} without {_OWN_REVERSE[name]}"
        elif name == "SeparateDatabaseAndState":
            inner = given.get("database_operations", given.get("0"))
            can, how = (
                _reverse(inner.elts) if isinstance(inner, ast.List | ast.Tuple) else (inner is None, name)
            )
            if can is False:
                return can, how
            unknown += [] if can else [how]
        elif not _REVERSIBLE.fullmatch(name):
            unknown.append(name or "a computed operation")
    if unknown:
        return None, f"{', '.join(unknown)} may or may not have one"
    return True, "every operation has one" if operations else "nothing to undo"


def _name(operation: ast.expr) -> str:
    called = operation.func if isinstance(operation, ast.Call) else None
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def _arguments(operation: ast.expr) -> dict[str, ast.expr]:
    """By keyword, and by position as text."""
    if not isinstance(operation, ast.Call):
        return {}
    named = {one.arg: one.value for one in operation.keywords if one.arg is not None}
    return {**{str(place): value for place, value in enumerate(operation.args)}, **named}
