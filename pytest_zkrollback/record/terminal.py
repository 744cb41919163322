"""Renderings for a terminal and for a CI's log: the last lines, the live table, one line per change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from ..domain.model import Item, Mode, Outcome, Record
from ..domain.verdict import Word
from .facts import (
    GREEN,
    answer,
    duration,
    elapsed,
    grouped,
    helm_line,
    live_now,
    red_items,
    refusals,
    tally,
    title,
    what,
    word_of,
)
from .inert import inert_line

_OBSERVED_LIMIT = 300

# Glyph and its ASCII stand-in, and rich's style. The word always stands beside it.
_MARKS = {
    "PASS": ("✓", "+", "green"),
    "FAIL": ("✗", "x", "bold red"),
    "UNVERIFIED": ("?", "?", "bold magenta"),
    "WAIVED": ("○", "-", "yellow"),
    "WAITING": ("·", ".", "dim"),
    "NO VERDICT": ("?", "?", "bold magenta"),
}


def render_last_lines(record: Record, report_path: str) -> str:
    """The last lines on the terminal: verdict, helm, what is live, what is red, what to type, the report."""
    lines = [
        title(record),
        record.summary or answer(record),
        helm_line(record) + ".",
        f"Live now: {live_now(record)}",
        f"Checked: {tally(record)}",
    ]
    lines += [
        f"  {word_of(group[0], record)} {', '.join(item.id for item in group)}: "
        + (inert_line(group[0].observed, _OBSERVED_LIMIT) or "nothing was seen")
        for group in grouped(red_items(record))
    ]
    lines += [f"  WAIVED {each.id}: {each.reason}" for each in record.overrides if each.kind != "guard"]
    unsaid = refusals(record)
    for guard in record.guards:
        if guard in unsaid or guard.state == "overridden" or (guard.state == "refused" and guard.override):
            ahead = f" (to go ahead: {guard.override})" if guard.state == "refused" and guard.override else ""
            lines.append(f"  {guard.state.upper()} {guard.id}: {guard.evidence}{ahead}")
    verb = "To undo" if record.outcome in GREEN else "Next"
    lines += [f"{verb}: {command}" for command in record.next_commands]
    lines.append(f"Report: {report_path}")
    return "\n".join(map(_indented, lines))


def render_text(record: Record) -> str:
    """All of the run's verdicts as plain text, ending with the :func:`render_last_lines`."""
    head = [
        f"{word_of(item, record):<10} {item.id}: {inert_line(item.observed, _OBSERVED_LIMIT)}"
        for item in record.items
    ]
    return "\n".join([*head, "", render_last_lines(record, "rendered from the record")]) + "\n"


def _indented(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))] + inert_line(line)


def phase(record: Record) -> str:
    """What the run is doing."""
    if record.outcome is not Outcome.RUNNING:
        return str(record.outcome)
    if record.helm.running:
        return "helm is running"
    if record.helm.ran or record.mode is Mode.VERIFY:
        return "verifying"
    return "looking before acting"


def render_progress_line(record: Record, now: datetime) -> str:
    """One line for a log: the newest verdict, or the phase. The same record gives the same line."""
    total, judged = len(record.items), [item for item in record.items if item.verdict is not None]
    count = f"{len(judged)} of {total} judged"
    newest = max((item for item in judged if item.finished_at), key=_finished, default=None)
    helm = record.helm
    if newest is None or (helm.running and helm.started_at and helm.started_at > _finished(newest)):
        at = helm.started_at or record.started_at
        return f"{_since_start(record, at, now):>12}  {phase(record)} ({count})"
    return (
        f"{_since_start(record, _finished(newest), now):>12}  {newest.verdict} {newest.id}: "
        f"{inert_line(newest.observed, _OBSERVED_LIMIT)} ({count})"
    )


def _finished(item: Item) -> datetime:
    assert item.finished_at is not None  # noqa: S101 - only asked of items that have one
    return item.finished_at


def _since_start(record: Record, at: datetime, now: datetime) -> str:
    return elapsed(record.started_at, min(at, now))


def render_live(record: Record, now: datetime) -> RenderableType:
    """The table that is redrawn while the run waits; fits 80 columns, says all of it in words too."""
    return _Live(record, now)


class _Live:
    def __init__(self, record: Record, now: datetime) -> None:
        self._record = record
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record = self._record
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(inert_line(what(record)), style="bold")
        yield head
        state = Text(no_wrap=True, overflow="ellipsis")
        state.append(f"{phase(record)}, {elapsed(record.started_at, record.finished_at or self._now)}")
        failed = sum(1 for item in record.items if item.verdict in (Word.FAIL, Word.UNVERIFIED))
        judged = sum(1 for item in record.items if item.verdict is not None)
        state.append(f"; {judged} of {len(record.items)} judged" + (f", {failed} red" if failed else ""))
        if record.helm.ran and not record.helm.running:
            state.append(f"; {helm_line(record)}")
        yield state
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=True)
        table.add_column(width=12, no_wrap=True)
        table.add_column(min_width=8, max_width=20, no_wrap=True, overflow="ellipsis")
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(width=10, no_wrap=True, justify="right")
        for item in record.items:
            word = word_of(item, record)
            glyph, plain, style = _MARKS[word]
            shown = f"{plain if options.ascii_only else glyph} {word}"
            observed = inert_line(item.observed, _OBSERVED_LIMIT)
            table.add_row(Text(shown, style), Text(item.id), Text(observed), Text(self._time(item), "dim"))
        yield table

    def _time(self, item: Item) -> str:
        if item.started_at is None:
            return ""
        return duration((item.finished_at or self._now) - item.started_at)
