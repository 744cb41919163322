"""Migration files: what a tree of them holds, and which of them came between two trees. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..domain.errors import MigrationProblem
from ..domain.migration import MigrationFinding
from ..domain.verdict import evidence
from .sql import view_columns

Rows = Sequence[Sequence[object]]

_SHOWN = 240
_NAMED = 4
_LOSES = re.compile(
    r"(?i)\bdrop\s+(table|column|schema|database)\b|\btruncate\b|\bdelete\s+from\b"
    r"|\bdrop_(table|column|all_tables)\b|\b(RemoveField|DeleteModel)\("
)


@dataclass(frozen=True)
class Script:
    """One migration.

    ``id`` is what its tool calls it, ``path`` its file, ``does`` the change, ``text`` what decides whether it
    is the same one elsewhere, ``runs`` what runs on the way up where ``text`` holds more. ``reverse``:
    whether it can be undone, None where that cannot be read from the file; ``how`` says by what, or why not.
    ``repeats``: it runs again whenever its text changes.
    """

    id: str
    path: str
    does: str
    reverse: bool | None
    how: str
    text: str = field(repr=False)
    repeats: bool = False
    runs: str | None = field(default=None, repr=False)

    @property
    def loses(self) -> bool:
        """Whether it removes data, which no reverse brings back."""
        return bool(_LOSES.search(f"{self.does}; {self.text}" if self.runs is None else self.runs))


@dataclass(frozen=True)
class Tree:
    """All migrations of one commit by id, in the order in which they are applied, and the newest ones.

    ``links`` is what the tool needs of how they follow each other, ``unread`` the folder's other files
    (path -> text): code in another language, say, that a tool may run as a migration.
    """

    scripts: Mapping[str, Script]
    heads: tuple[str, ...]
    links: Mapping[str, Any] = field(default_factory=dict, repr=False)
    unread: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def version(self) -> str:
        """What the schema is called when all are applied."""
        return ", ".join(self.heads) or "no migration at all"


@dataclass(frozen=True)
class Applied:
    """What the database says of itself: migrations it has, and ``broken``, one that did not end well.

    ``heads`` are the newest ones by the database's own word, where its tool keeps only those; ``outside`` are
    the applications whose migrations are in none of the folders that were read.
    """

    ids: frozenset[str]
    shown: str
    broken: str = ""
    heads: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


class Tool(Protocol):
    """One migration tool: how its files and its table of applied migrations are read.

    Every method is pure and raises MigrationProblem with a sentence.
    """

    @property
    def name(self) -> str:
        """As people write it."""

    @property
    def query(self) -> str:
        """Reads what is applied; empty: there is no usual table."""

    def parse(self, files: Mapping[str, str]) -> Tree:
        """The tree of a commit's files: path -> text."""

    def applied(self, tree: Tree, rows: Rows) -> Applied:
        """What the rows of ``query`` mean, with ``tree`` to look ids up in."""

    def undo(self, target: Tree, bad: Tree, scripts: Sequence[Script]) -> str:
        """The command that undoes exactly ``scripts`` (oldest first) of ``bad``, back to ``target``."""


_NO_MIGRATION = re.compile(
    r"(?i)(?:.*/)?(?:\.[^/]*|readme[^/]*|license[^/]*|changelog[^/]*|[^/]*\.(?:md|rst|txt|sum|lock))"
)


def unread_of(files: Mapping[str, str], read: Iterable[str]) -> dict[str, str]:
    """The ``files`` that were not ``read`` and may be more than words about the folder."""
    known = frozenset(read)
    return {
        path: text for path, text in files.items() if path not in known and not _NO_MIGRATION.fullmatch(path)
    }


def shorten(text: str, limit: int = _SHOWN) -> str:
    """On one line, with its end left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 4].rstrip()} ..."


def differ(target: Tree, bad: Tree) -> tuple[list[Script], list[Script], list[Script]]:
    """What is new in ``bad`` (oldest first), what has another text there, what it lacks."""
    old = target.scripts
    new = [
        one
        for key, one in bad.scripts.items()
        if key not in old or (one.repeats and one.text != old[key].text)
    ]
    changed = [
        one
        for key, one in bad.scripts.items()
        if key in old and not one.repeats and one.text != old[key].text
    ]
    return new, changed, [one for key, one in old.items() if key not in bad.scripts]


def reversible(scripts: Iterable[Script]) -> bool | None:
    """Whether all of them can be undone: False if one cannot, None if of one it is not known."""
    known = {one.reverse for one in scripts}
    return False if False in known else None if None in known else True


def judge_files(tool: Tool, target: Tree, bad: Tree, where: str, checkout: str) -> MigrationFinding:
    """Which migrations came with the bad revision: True if there are any, whether or not they were applied.

    ``where`` names commits and folders, ``checkout`` the commit that has the files needed for undoing.
    """
    source = f"{tool.name} files"
    new, changed, gone = differ(target, bad)
    unread = sorted(
        path for path in {*target.unread, *bad.unread} if target.unread.get(path) != bad.unread.get(path)
    )
    if not target.scripts and not bad.scripts and not unread:
        return MigrationFinding(
            source,
            None,
            f"{tool.name}: there is no migration at all {where}. Are the paths right?",
        )
    if new:
        return describe_ran(
            tool, source, (target, bad), new, f"{_count(new)} came {where}", checkout, (changed, gone), unread
        )
    shown = (evidence(source, "\n".join([where, *_rest(changed, gone), *map(_unread_line, unread)])),)
    if unread:
        said = f"{_listed(unread)} came, went or changed {where}, unread: whether it migrates is not known."
        return MigrationFinding(source, None, f"{tool.name}: {said}", shown)
    if changed:
        said = f"{names(changed)} changed {where}: which of both texts was applied is not known."
        return MigrationFinding(source, None, f"{tool.name}: {said}", shown)
    if gone:
        said = (
            f"the target has {names(gone)}, which the later revision lacks ({where}): whether the database "
            "has what the target expects is not known."
        )
        return MigrationFinding(source, None, f"{tool.name}: {said}", shown)
    said = f"{tool.name}: no migration came {where}; both end at {target.version}."
    return MigrationFinding(source, False, said, shown)


def describe_ran(
    tool: Tool,
    source: str,
    trees: tuple[Tree, Tree],
    scripts: Sequence[Script],
    said: str,
    checkout: str,
    rest: tuple[Sequence[Script], Sequence[Script]] = ((), ()),
    unread: Sequence[str] = (),
) -> MigrationFinding:
    """The finding that ``scripts`` ran: exact files, what each does, whether it has a reverse, the command.

    ``trees`` are the target's and the bad revision's, ``unread`` the files that differ and cannot be read.
    """
    can = None if unread and reversible(scripts) else reversible(scripts)
    lost = [one for one in scripts if one.loses]
    lines = [f"{tool.name}: {said}", *(line for one in scripts for line in _script_lines(one))]
    if can:
        command = tool.undo(*trees, scripts)
        each = "It has" if len(scripts) == 1 else "Each has"
        way = f"{each} a reverse. To undo, in a checkout of {checkout}: {command}"
        lines.append(f"reverse command, in a checkout of {checkout}:\n  {command}")
    elif all(one.repeats or one.reverse for one in scripts) and can is None and not unread:
        again = [one for one in scripts if one.repeats]
        way = f"{again[0].how[0].upper()}{again[0].how[1:]}{_taken_from_views(again, trees[0])}"
        lines.append(f"reverse command: none, {way}")
    else:
        without = [one for one in scripts if one.reverse is not True]
        named = names(without) or ", ".join(unread[:_NAMED])
        word = "has" if len(without or unread) == 1 else "have"
        word += " no reverse" if can is False else " a reverse that cannot be read from the file"
        way = f"{named} {word}: no command takes the database back"
        lines.append(f"reverse command: none, {named} {word}")
    more = f" What {names(lost)} removes does not come back by it." if lost and can else ""
    lines += [*_rest(*rest), *map(_unread_line, unread)]
    return MigrationFinding(
        source,
        True,
        f"{tool.name}: {said}: {names(scripts)}. {way}.{more}",
        (evidence(source, "\n".join(lines)),),
        reversible=can,
    )


def _taken_from_views(scripts: Sequence[Script], target: Tree) -> str:
    """What stops an older text from being applied over a newer one, as a sentence to add."""
    for one in scripts:
        older = target.scripts.get(one.id)
        before = view_columns(older.text) if older is not None else {}
        for view, columns in view_columns(one.text).items():
            if view in before and (more := sorted(columns - before[view])):
                return (
                    f". The view {view} has gained {', '.join(more)}: PostgreSQL refuses to take columns"
                    " out of a view, so the target may not start if it applies its text again"
                )
    return ""


def _script_lines(one: Script) -> list[str]:
    words = {True: "yes", False: "no", None: "not known"}
    lost = ["  removes data, which no reverse brings back"] if one.loses else []
    return [
        f"{one.path} ({one.id})",
        f"  does: {shorten(one.does) or 'nothing'}",
        *lost,
        f"  reverse: {words[one.reverse]}, {one.how}",
    ]


def _unread_line(path: str) -> str:
    return f"not read: {path}"


def _rest(changed: Sequence[Script], gone: Sequence[Script]) -> list[str]:
    return [
        *(f"changed: {one.path} ({one.id})" for one in changed),
        *(f"only in the target: {one.path} ({one.id})" for one in gone),
    ]


def _count(scripts: Sequence[Script]) -> str:
    return f"{len(scripts)} migration{'' if len(scripts) == 1 else 's'}"


def names(scripts: Sequence[Script]) -> str:
    """Their files, not too many."""
    return _listed([one.path for one in scripts])


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_NAMED])
    return shown + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key in which 10 comes after 9."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def in_order(scripts: Iterable[Script], key: Callable[[Script], object]) -> dict[str, Script]:
    """By id, sorted. Raises MigrationProblem where two files are the same migration: one would be lost."""
    found: dict[str, Script] = {}
    for one in sorted(scripts, key=key):  # type: ignore[arg-type]
        if one.id in found:
            raise MigrationProblem(f"{found[one.id].path} and {one.path} are both the migration {one.id}.")
        found[one.id] = one
    return found
