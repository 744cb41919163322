"""Times and durations as every rendering writes them, and lines that fit: UTC, and no more digits than one
reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from textwrap import wrap


def moment(at: datetime | None) -> str:
    """``2026-11-23 11:50:39 UTC``; empty for None."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


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


def fitted(text: str, width: int) -> str:
    """``text`` broken between words at ``width``; commands (indented lines) stay whole, to be pasted."""
    lines = []
    for line in text.splitlines():
        whole = line.startswith("  ") or len(line) <= width
        lines += [line] if whole else wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)
