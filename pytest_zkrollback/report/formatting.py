"""Times and durations as every rendering writes them, and lines that fit: UTC, and no more digits than one
reads. Within :func:`reader_zone` the reader's time stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from textwrap import wrap
from zoneinfo import ZoneInfo

from ..domain.time_zones import find_zone

# What a line begins with that goes on in the next: a comment among commands, a point of a list.
_COMMENT, _POINT = "  # ", "  - "
# The page and the Markdown of one record are rendered in one zone, by functions that know no record.
_ZONE: ContextVar[ZoneInfo | None] = ContextVar("zone", default=None)


@contextmanager
def reader_zone(name: str) -> Iterator[None]:
    """Write that zone's time in brackets behind each :func:`moment`. Empty, or not known here: UTC alone."""
    token = _ZONE.set(find_zone(name))
    try:
        yield
    finally:
        _ZONE.reset(token)


def moment(at: datetime | None) -> str:
    """``2026-11-23 11:50:39 UTC``, with a reader's zone ``... UTC (12:50 CET)``; empty for None."""
    if at is None:
        return ""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") + _in_zone(at, with_name=True)


def of_day(at: datetime) -> str:
    """``11:50:39.1``, with a reader's zone ``11:50:39.1 (12:50)``: below a head that says UTC."""
    utc = at.astimezone(UTC)
    return f"{utc:%H:%M:%S}.{utc.microsecond // 100_000}{_in_zone(at, with_name=False)}"


def _in_zone(at: datetime, *, with_name: bool) -> str:
    zone = _ZONE.get()
    if zone is None:
        return ""
    there = at.astimezone(zone)
    day = "" if there.date() == at.astimezone(UTC).date() else f"{there.day} {there:%b} "
    return f" ({day}{there:%H:%M}{f' {there.tzname()}' if with_name else ''})"


def clock_time(at: datetime | None) -> str:
    """``11:50:39`` (UTC); empty for None."""
    return "" if at is None else at.astimezone(UTC).strftime("%H:%M:%S")


def duration(span: timedelta | float | None) -> str:
    """``0.4 s``, ``12.0 s``, ``3 min 05 s``, ``2 h 04 min``, ``3 d 02 h``; empty for None."""
    if span is None:
        return ""
    seconds = max(0.0, span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """The :func:`duration` between two times; empty if one is not known."""
    return "" if start is None or end is None else duration(end - start)


def lasting(start: datetime | None, end: datetime | None) -> str:
    """The same; empty too where it is shorter than what one reads."""
    took = elapsed(start, end)
    return "" if took == duration(0) else took


def capital(text: str) -> str:
    """``text`` with a capital in front, and otherwise as it is."""
    return text[:1].upper() + text[1:]


def fitted(text: str, width: int) -> str:
    """``text`` broken between words at ``width``.

    Commands (indented lines) stay whole, to be pasted; a comment among them goes on as a comment.
    """
    return "\n".join(part for line in text.splitlines() for part in _parts(line, width))


def _parts(line: str, width: int) -> list[str]:
    begin = next((mark for mark in (_COMMENT, _POINT) if line.startswith(mark)), "")
    if len(line) <= width or (line.startswith("  ") and not begin):
        return [line]
    return wrap(
        line,
        width,
        subsequent_indent=begin if begin == _COMMENT else " " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )
