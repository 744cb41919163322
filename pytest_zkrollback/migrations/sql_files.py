"""Migrations that are SQL files: Flyway, golang-migrate, and pairs of an up and a down file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..domain.errors import MigrationProblem
from . import sql
from .base import Applied, Rows, Script, Tree, in_order, natural, unread_of

_FLYWAY = re.compile(r"(?:([VUB])([0-9]+(?:[._][0-9]+)*)|(R))__(.*)\.(sql|java|kt)")
_GOLANG = re.compile(r"([0-9]+)_(.*)\.(up|down)\.[^.]+")
# NAME.up.sql, NAME_up.sql, NAME-up.sql, NAME/up.sql, up/NAME.sql; a lone NAME.sql goes up.
_PAIR = re.compile(
    r"(?P<name>.*?)[._/-](?P<way>up|down)\.sql|(?P<folder>(?:.*/)?)(?P<to>up|down)/(?P<rest>[^/]+)\.sql"
)
# One file with both: dbmate, goose, sql-migrate.
_MARK = re.compile(r"(?im)^--\s*(?:migrate:|\+goose\s+|\+migrate\s+)(up|down)\b.*$")


def _script(key: str, path: str, up: str, down: str | None, undoing: str, *, repeats: bool = False) -> Script:
    does = sql.shown(up)
    if sql.is_idle(up):
        return Script(key, path, "", reverse=True, how="nothing to undo", text="", repeats=repeats)
    runs = sql.words(up)
    if down is None:
        return Script(key, path, does, False, f"there is no {undoing}", text=does, repeats=repeats, runs=runs)
    why = sql.why_no_way_back(down)
    how = f"{undoing} {'cannot be read' if why is None else why}" if why != "" else undoing
    reverse = None if why is None else not why
    return Script(key, path, does, reverse, how, text=does, repeats=repeats, runs=runs)


def _tree(scripts: dict[str, Script], files: Mapping[str, str], read: Iterable[str]) -> Tree:
    newest = [key for key, one in scripts.items() if not one.repeats][-1:]
    return Tree(scripts, tuple(newest), unread=unread_of(files, read))


def _up_to(tree: Tree, newest: str) -> frozenset[str]:
    """That migration and all before it."""
    ids = [key for key, one in tree.scripts.items() if not one.repeats]
    return frozenset({newest, *(key for key in ids if natural(key) <= natural(newest))})


@dataclass(frozen=True)
class _Flyway:
    """See :class:`~.scripts.Tool`. Prefixes and separator are Flyway's usual ones."""

    name: str = "Flyway"
    query: str = "SELECT version, type, success FROM flyway_schema_history ORDER BY installed_rank"

    def parse(self, files: Mapping[str, str]) -> Tree:
        """Versioned migrations in the order of their versions, then repeatable ones."""
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for path, text in sorted(files.items()):
            if part := _FLYWAY.fullmatch(PurePosixPath(path).name):
                kind, version, repeatable, description, suffix = part.groups()
                key = f"R__{description}" if repeatable else _version(version)
                _refuse_second(found.get((repeatable or kind, key)), path, key)
                # Other languages say nothing that could be read here; the file's name has to do.
                said = text if suffix == "sql" else PurePosixPath(path).name
                found[repeatable or kind, key] = (path, said)
        versioned = [
            _script(key, path, text, found.get(("U", key), (None, None))[1], f"U{key}__*.sql")
            for (kind, key), (path, text) in found.items()
            if kind == "V" or (kind == "B" and ("V", key) not in found)
        ]
        again = [
            Script(
                key,
                path,
                sql.shown(text),
                reverse=None,
                how="a repeatable is not undone: its older text would have to be applied again",
                text=text,
                repeats=True,
                runs=sql.words(text),
            )
            for (kind, key), (path, text) in found.items()
            if kind == "R"
        ]
        scripts = {**in_order(versioned, lambda one: natural(one.id)), **in_order(again, lambda one: one.id)}
        return _tree(scripts, files, (path for path, _ in found.values() if path.endswith(".sql")))

    def applied(self, tree: Tree, rows: Rows) -> Applied:
        """The history table, undone ones taken out; repeatable ones are not in question."""
        ids: set[str] = set()
        broken = ""
        for row in rows:
            version, kind, success = (*row, None, None, None)[:3]
            if version is None:
                continue
            key = _version(str(version))
            if str(success).lower() in ("false", "0", "f"):
                broken = key
            elif "UNDO" in str(kind) or str(kind) == "DELETE":
                ids.discard(key)
            else:
                ids.add(key)
                broken = "" if broken == key else broken
            if str(kind).endswith("BASELINE"):
                ids |= _up_to(tree, key)
        return Applied(frozenset(ids), max(ids, key=natural, default="no version"), broken)

    def undo(self, target: Tree, bad: Tree, scripts: Sequence[Script]) -> str:  # noqa: ARG002
        """``undo`` goes down to the target version, that one included (an edition that has it is needed)."""
        return f"flyway undo -target={scripts[0].id}"


def _refuse_second(first: tuple[str, str] | None, path: str, key: str) -> None:
    """Two files with one version, in two folders say: one of them would be lost."""
    if first is not None:
        raise MigrationProblem(f"{first[0]} and {path} are both the migration {key}.")


def _version(text: str) -> str:
    """As Flyway compares it: 1.0 is 1, _ is a dot, leading zeros do not count."""
    parts = [int(part) for part in re.split(r"[._]", text) if part.isdigit()]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return ".".join(map(str, parts))


@dataclass(frozen=True)
class _GolangMigrate:
    """See :class:`~.scripts.Tool`."""

    name: str = "golang-migrate"
    query: str = "SELECT version, dirty FROM schema_migrations"

    def parse(self, files: Mapping[str, str]) -> Tree:
        """Files named ``VERSION_title.up.sql`` and ``.down.sql``."""
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for path, text in files.items():
            if part := _GOLANG.fullmatch(PurePosixPath(path).name):
                way = (part[3], str(int(part[1])))
                _refuse_second(found.get(way), path, way[1])
                found[way] = (path, text)
        scripts = [
            _script(key, path, text, *_other(found.get(("down", key)), path))
            for (way, key), (path, text) in found.items()
            if way == "up"
        ]
        return _tree(in_order(scripts, lambda one: int(one.id)), files, (path for path, _ in found.values()))

    def applied(self, tree: Tree, rows: Rows) -> Applied:
        """One row: the version up to which all are applied, and whether its migration broke off."""
        if not rows:
            return Applied(frozenset(), "no version")
        version, dirty = (*rows[0], None)[:2]
        key = str(version)
        broken = key if str(dirty).lower() in ("true", "1", "t") else ""
        return Applied(_up_to(tree, key), key, broken)

    def undo(self, target: Tree, bad: Tree, scripts: Sequence[Script]) -> str:  # noqa: ARG002
        """``goto``, or all of them down where the target has none."""
        folder = PurePosixPath(scripts[0].path).parent
        to = f"goto {target.heads[0]}" if target.heads else "down -all"
        return f'migrate -path {folder} -database "$DATABASE_URL" {to}'


def _other(found: tuple[str, str] | None, path: str) -> tuple[str | None, str]:
    """The down file's text, and its name or the name that it would have."""
    if found is not None:
        return found[1], PurePosixPath(found[0]).name
    return None, PurePosixPath(path).name.replace(".up.", ".down.")


@dataclass(frozen=True)
class _SqlPairs:
    """See :class:`~.scripts.Tool`. Any SQL files of which one goes up and another of the same name down."""

    name: str = "SQL"
    query: str = ""

    def parse(self, files: Mapping[str, str]) -> Tree:
        """By name; a file may also hold both ways, as dbmate, goose and sql-migrate mark them."""
        ups: dict[str, tuple[str, str]] = {}
        downs: dict[str, tuple[str, str]] = {}
        for path, text in files.items():
            if not path.endswith(".sql"):
                continue
            if marks := list(_MARK.finditer(text)):
                ends = [*(mark.start() for mark in marks[1:]), len(text)]
                for mark, end in zip(marks, ends, strict=True):
                    ways = ups if mark[1].lower() == "up" else downs
                    ways[path.removesuffix(".sql")] = (path, text[mark.end() : end])
                continue
            part = _PAIR.fullmatch(path)
            way = (part["way"] or part["to"]) if part else "up"
            name = path.removesuffix(".sql")
            if part:
                name = part["name"] if part["way"] else f"{part['folder']}{part['rest']}"
            (ups if way == "up" else downs)[name] = (path, text)
        if lonely := sorted(set(downs) - set(ups)):
            raise MigrationProblem(f"{downs[lonely[0]][0]} goes down, and no file goes up beside it.")
        scripts = []
        for name, (path, text) in ups.items():
            down = downs.get(name)
            undoing = "down file" if down is None else f"down part of {path}" if down[0] == path else down[0]
            key = PurePosixPath(name).name
            scripts.append(_script(key, path, text, None if down is None else down[1], undoing))
        read = (path for path in files if path.endswith(".sql"))
        return _tree(in_order(scripts, lambda one: natural(one.id)), files, read)

    def applied(self, tree: Tree, rows: Rows) -> Applied:
        """One row names the newest applied migration, several name each; by id or by its number."""
        named = [str(row[0]) for row in rows if row]
        found = [self._find(tree, name) for name in named]
        ids = _up_to(tree, found[0]) if len(found) == 1 else frozenset(found)
        return Applied(ids, max(named, key=natural, default="no version"))

    def _find(self, tree: Tree, name: str) -> str:
        for key in tree.scripts:
            number = re.match(r"[VvRr]?0*([0-9]+)", key)
            if key == name or (number and name.isdigit() and int(number[1]) == int(name)):
                return key
        return name

    def undo(self, target: Tree, bad: Tree, scripts: Sequence[Script]) -> str:  # noqa: ARG002
        """The down files, newest first; how they are run is the repository's to say."""
        files = [one.how for one in reversed(scripts) if one.does]
        return "run, in this order: " + ", ".join(files)


FLYWAY, GOLANG_MIGRATE, SQL_PAIRS = _Flyway(), _GolangMigrate(), _SqlPairs()
