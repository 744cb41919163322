"""The fleet's record as Markdown, for a ticket's comment or a job's summary."""

from __future__ import annotations

from ...domain.fleet import FleetRecord, Member
from ..formatting import reader_zone
from ..markdown import LIMIT, code, escaped
from ..summary import plural
from . import words
from .compare import find_differences
from .facts_table import head_rows, topic, version
from .heat_map import HeatMap, find_heat_map

_MOST_BAD = 20
_MOST_IN_TABLE = 100
_MOST_NAMES = 12
_CELL_LIMIT = 400
_TABLE_LIMIT = 16_000
_GLYPHS = {
    "pass": "✅",
    "waived": "⚪",
    "fail": "❌",
    "refused": "⛔",
    "interrupted": "❌",
    "not-started": "⬜",
}


def render_fleet_markdown(record: FleetRecord, limit: int = LIMIT) -> str:
    """Markdown of at most ``limit`` characters; the heat map is a list where it would be too long."""
    with reader_zone(record.report_timezone):
        foot = f"\n---\nFleet run {code(record.fleet_run_id)}, {code(record.schema_)}\n"
        parts = [
            _head(record),
            _bad(record),
            _map(record),
            _waves(record),
            _differences(record),
            _problems(record),
        ]
        shown, left, room = [], 0, limit - len(foot) - 80
        for part in filter(None, parts):
            if len(part) <= room:
                shown.append(part)
                room -= len(part)
            else:
                left += 1
        more = f"\n_{plural(left, 'more part')} in the HTML and JSON files._\n" if left else ""
        return "\n".join(shown) + more + foot


def _head(record: FleetRecord) -> str:
    word = words.shape(words.headline(record))
    rows = "\n".join(f"| {row.name} | {escaped(row.text, _CELL_LIMIT)} |" for row in head_rows(record))
    return (
        f"# {_glyph(word)} {words.headline(record)}: {escaped(words.fleet_label(record))}\n\n"
        f"{escaped(record.summary)}\n\n"
        f"| | |\n|---|---|\n{rows}\n"
    )


def _glyph(shape: str) -> str:
    return _GLYPHS.get(shape, "⏳")


def _bad(record: FleetRecord) -> str:
    bad = [each for each in words.worst_first(record.members) if not words.is_well(each)]
    began = [each for each in bad if not words.is_idle(each)]
    if not began:
        return ""
    lines = ["## Not verified", ""]
    for each in began[:_MOST_BAD]:
        where = f"wave {each.wave}" + (f", live {version(each.after)}" if each.after else "")
        word, seen = words.member_word(each), words.failed_line(each) or each.summary
        lines.append(
            f"- {_glyph(words.shape(word))} **{word}** {code(each.environment, 60)} ({escaped(where)}): "
            f"{escaped(seen, _CELL_LIMIT)}"
        )
    if len(began) > _MOST_BAD:
        lines.append(f"- and {len(began) - _MOST_BAD} more")
    return "\n".join(lines) + "\n"


def _map(record: FleetRecord) -> str:
    found = find_heat_map(record, most_rows=_MOST_IN_TABLE)
    if not found.items:
        return _list(found)
    table = _table(found)
    return table if len(table) <= _TABLE_LIMIT else _list(find_heat_map(record, most_rows=0))


def _table(found: HeatMap) -> str:
    legend = ", ".join(f"{each.letter} {each.word}" for each in found.used)
    lines = ["## Members and checks", "", f"{legend}.", ""]
    lines.append(f"| Member | Wave | {' | '.join(code(item) for item in found.items)} |")
    lines.append(f"|---|---|{'---|' * len(found.items)}")
    for wave in found.waves:
        for row in wave.rows:
            cells = " | ".join(
                f"**{cell.letter}**" if cell.css == "fail" else cell.letter for cell in row.cells
            )
            lines.append(f"| {_who(row.members)} | {wave.wave.number} | {cells} |")
    lines.append("")
    lines += _idle(found)
    return "\n".join(lines).rstrip() + "\n"


def _list(found: HeatMap) -> str:
    lines = ["## Members", ""]
    for wave in found.waves:
        for row in wave.rows:
            if words.is_well(row.members[0]):
                word = f"{_glyph(words.shape(row.word))} {row.word}"
                lines.append(f"- wave {wave.wave.number}, {word}: {_who(row.members)}")
    lines += _idle(found)
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _idle(found: HeatMap) -> list[str]:
    return [
        f"- wave {wave.wave.number}, {_glyph(words.shape(idle.word))} {idle.word}: {_who(idle.members)}"
        + (f" ({escaped(idle.said, _CELL_LIMIT)})" if idle.said else "")
        for wave in found.waves
        for idle in wave.idle
    ]


def _who(members: tuple[Member, ...]) -> str:
    shown = ", ".join(code(each.environment, 60).replace("|", "\\|") for each in members[:_MOST_NAMES])
    rest = len(members) - _MOST_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _waves(record: FleetRecord) -> str:
    if not record.waves:
        return ""
    lines = [f"- {escaped(words.wave_line(each, record.members_of(each.number)))}" for each in record.waves]
    return "\n".join(["## Waves", "", *lines]) + "\n"


def _differences(record: FleetRecord) -> str:
    lines = []
    for each in find_differences(record):
        values = []
        for index, value in enumerate(each.values):
            names = ", ".join(code(name, 60) for name in value.members[:_MOST_NAMES])
            rest = len(value.members) - _MOST_NAMES
            who = f"{names} and {rest} more" if rest > 0 else names
            who = who if index else plural(len(value.members), "member")
            values.append(f"{escaped(value.value, 200)} in {who}")
        lines.append(f"- {topic(each)}: {'; '.join(values[:8])}")
    return "\n".join(["## What differs between members", "", *lines]) + "\n" if lines else ""


def _problems(record: FleetRecord) -> str:
    lines = [f"- {escaped(each, _CELL_LIMIT)}" for each in record.problems[:_MOST_BAD]]
    return "\n".join(["## What could not be read", "", *lines]) + "\n" if lines else ""
