"""Members by items: what every member's checklist says, a letter a verdict, wave by wave, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...domain.fleet import FleetRecord, Member, MemberState, Wave
from ...domain.verdict import Verdict
from .compare import find_items
from .words import MemberWord, is_well, member_word, worst_first

# Of more members than this, those that are well and alike stand in one row.
MOST_ROWS = 100


@dataclass(frozen=True)
class Cell:
    """A verdict: its letter, its word and the class of its colour."""

    letter: str
    word: str
    css: str


PASSED = Cell("P", "PASS", "pass")
FAILED = Cell("F", "FAIL", "fail")
ABSENT = Cell("", "it has no such item", "absent")
TOLD = Cell("T", "the fleet tells the team", "told")
NO_VERDICT = Cell("?", "no verdict", "no-verdict")
WAITING = Cell("…", "not judged yet", "waiting")
_CELLS = {
    Verdict.PASS: PASSED,
    Verdict.FAIL: FAILED,
    Verdict.UNVERIFIED: Cell("U", "UNVERIFIED", "unverified"),
    Verdict.WAIVED: Cell("W", "WAIVED", "waived"),
}
LEGEND = (*_CELLS.values(), TOLD, NO_VERDICT, WAITING)


@dataclass(frozen=True)
class Row:
    """One member, or several that are well and alike."""

    members: tuple[Member, ...]
    cells: tuple[Cell, ...]

    @property
    def word(self) -> MemberWord:
        """How it stands."""
        return member_word(self.members[0])


@dataclass(frozen=True)
class Idle:
    """Members of which no item is known, and why."""

    members: tuple[Member, ...]
    said: str

    @property
    def word(self) -> MemberWord:
        """How they stand."""
        return member_word(self.members[0])


@dataclass(frozen=True)
class WaveRows:
    """One wave's rows."""

    wave: Wave
    rows: tuple[Row, ...]
    idle: tuple[Idle, ...]


@dataclass(frozen=True)
class HeatMap:
    """The ids of all items, and the rows below them."""

    items: tuple[str, ...]
    waves: tuple[WaveRows, ...]

    @property
    def used(self) -> tuple[Cell, ...]:
        """The cells that there are, for the legend."""
        found = {cell for wave in self.waves for row in wave.rows for cell in row.cells}
        return tuple(each for each in LEGEND if each in found)


def find_heat_map(record: FleetRecord, most_rows: int = MOST_ROWS) -> HeatMap:
    """The map; with more than ``most_rows`` members those that are well and alike share a row."""
    items = find_items(record)
    together = len(record.members) > most_rows
    return HeatMap(items, tuple(_wave(record, wave, items, together=together) for wave in record.waves))


def _wave(record: FleetRecord, wave: Wave, items: Sequence[str], *, together: bool) -> WaveRows:
    members = worst_first(record.members_of(wave.number))
    rows: list[Row] = []
    alike: dict[tuple[Cell, ...], list[Member]] = {}
    for member in members:
        if not member.items:
            continue
        cells = cells_of(member, items)
        if together and is_well(member):
            alike.setdefault(cells, []).append(member)
        else:
            rows.append(Row((member,), cells))
    rows += [Row(tuple(found), cells) for cells, found in alike.items()]
    idle: dict[tuple[MemberWord, str], list[Member]] = {}
    for member in members:
        if not member.items:
            idle.setdefault((member_word(member), member.said), []).append(member)
    return WaveRows(wave, tuple(rows), tuple(Idle(tuple(found), said) for (_, said), found in idle.items()))


def cells_of(member: Member, items: Iterable[str]) -> tuple[Cell, ...]:
    """A member's cell of each of ``items``."""
    verdicts = {item.id: item.verdict for item in member.items}
    return tuple(_cell(member, item, verdicts) for item in items)


def _cell(member: Member, item: str, verdicts: dict[str, Verdict | None]) -> Cell:
    if item not in verdicts:
        return ABSENT
    verdict = verdicts[item]
    if verdict is None:
        return WAITING if member.state is MemberState.RUNNING else NO_VERDICT
    return TOLD if item in member.left_to_fleet and verdict is Verdict.WAIVED else _CELLS[verdict]
