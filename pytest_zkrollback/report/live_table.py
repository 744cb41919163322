"""The live table, as rich draws it on a terminal. Where there is none, nobody imports this, nor rich."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..domain.item_ids import NOTIFY, is_metric, is_rollout
from ..domain.record import Item, Outcome, Record
from ..domain.verdict import Verdict
from .failures import by_verdict, refused, word_of
from .formatting import duration, elapsed
from .sanitize import inert_line
from .summary import helm_line, mode_label, provisional
from .terminal import NOTHING_YET, OBSERVED_LIMIT, observed_in_short, phase, time_left

# Columns of the live table; what stands below it: what is going on, in at most two lines, and the cursor's.
_WORD_WIDTH = 12
_TIME_WIDTH = 10
_ROWS_BELOW = 3

# Glyph and its ASCII stand-in, and rich's style. The word always stands beside it.
_MARKS = {
    "PASS": ("✓", "+", "green"),
    "FAIL": ("✗", "x", "bold red"),
    "UNVERIFIED": ("?", "?", "bold magenta"),
    "WAIVED": ("○", "-", "yellow"),
    "WAITING": ("·", ".", "dim"),
    "NO VERDICT": ("?", "?", "bold magenta"),
}


def render_live(record: Record, now: datetime) -> RenderableType:
    """The table that is redrawn while the run waits; fits 80 columns, says all of it in words too.

    Before anything was asked, and after a refusal, there is only its head.
    """
    return _Live(record, now)


def render_status(text: str) -> RenderableType:
    """What is going on now, in at most two lines."""
    return _Status(text)


class _Status:
    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = max(8, options.max_width - 2)
        first, *more = Text(self._text, style="dim").wrap(console, width) or [Text()]
        yield Text("  ") + first
        if more:
            rest = Text(self._text[len(first.plain) :].strip(), style="dim")
            rest.truncate(width, overflow="ellipsis")
            yield Text("  ") + rest


class _Live:
    def __init__(self, record: Record, now: datetime) -> None:
        self._record = record
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record = self._record
        head = Text(inert_line(mode_label(record)), "bold").wrap(console, options.max_width)
        head.extend(Text(self._state()).wrap(console, options.max_width))
        yield from head
        if phase(record) in NOTHING_YET or refused(record) or not self._judged():
            return
        yield from self._rows(console, options, console.size.height - len(head) - _ROWS_BELOW)

    def _rows(self, console: Console, options: ConsoleOptions, room: int) -> Iterator[RenderableType]:
        """A line for each item, and a second one for what does not fit, where ``room`` rows are enough.

        What stays on the screen is whole, in as many lines as that takes.
        """
        items = self._record.items
        id_width = min(20, max(8, *(len(item.id) for item in items)))
        width = max(8, options.max_width - _WORD_WIDTH - id_width - _TIME_WIDTH - 3)
        rest_width = max(8, options.max_width - _WORD_WIDTH - 1)
        parts = []
        for item in items:
            text = Text(observed_in_short(item, self._record, OBSERVED_LIMIT) or self._waits_for(item))
            lines = text.wrap(console, width) if text.plain else [text]
            rest = text.plain[len(lines[0].plain) :].strip() if len(lines) > 1 else ""
            parts.append((item, text, lines[0], rest))
        # On a small screen only what is not green has a second line, until it need not be drawn again.
        stays = not console.is_terminal or self._record.outcome is not Outcome.RUNNING
        fits = stays or len(parts) + sum(bool(rest) for *_, rest in parts) <= room
        for item, text, first, rest in parts:
            whole = bool(rest) and (fits or item.verdict not in (Verdict.PASS, Verdict.WAIVED))
            word = word_of(item, self._record)
            glyph, plain, style = _MARKS[word]
            shown = Text(f"{plain if options.ascii_only else glyph} {word}", style)
            name, observed = Text(item.id), first if whole else text
            time = Text(self._time(item), "dim")
            for cell, cell_width in ((shown, _WORD_WIDTH), (name, id_width), (observed, width)):
                cell.truncate(cell_width, overflow="ellipsis", pad=True)
            time.align("right", _TIME_WIDTH)
            yield Text(" ").join((shown, name, observed, time))
            if whole:
                for more in Text(rest).wrap(console, rest_width) if stays else [Text(rest)]:
                    more.truncate(rest_width, overflow="ellipsis")
                    yield Text(" " * (_WORD_WIDTH + 1)) + more

    def _judged(self) -> int:
        return sum(1 for item in self._record.items if item.verdict is not None)

    def _state(self) -> str:
        record = self._record
        link = "," if record.outcome is Outcome.RUNNING else " in"
        said = f"{phase(record)}{link} {elapsed(record.started_at, record.finished_at or self._now)}"
        if provisional(record):
            said += f", {time_left(record, self._now)}"
        if phase(record) in NOTHING_YET or refused(record) or not self._judged():
            return said
        counts = [
            f"{len(found)} {word}"
            for word, found in (
                ("failed", by_verdict(record, Verdict.FAIL)),
                ("unverified", by_verdict(record, Verdict.UNVERIFIED)),
            )
            if found
        ]
        said += "; " + ", ".join([f"{self._judged()} of {len(record.items)} judged", *counts])
        return said + (f"; {helm_line(record)}" if record.helm.ran and not record.helm.running else "")

    def _waits_for(self, item: Item) -> str:
        record = self._record
        if item.verdict is not None or item.started_at is not None or phase(record) != "verifying":
            return ""
        rollouts = [each for each in record.items if is_rollout(each.id)]
        if item in rollouts or not any(each.started_at for each in rollouts):
            return ""
        if item.id == NOTIFY or is_metric(item.id) or all(each.verdict for each in rollouts):
            return "waits for the others"
        return "waits for the rollouts"

    def _time(self, item: Item) -> str:
        if item.started_at is None:
            return ""
        return duration((item.finished_at or self._now) - item.started_at)
