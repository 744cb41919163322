"""Times as others write them: Kubernetes, Helm, GitHub, and what was typed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time with its zone, in UTC; None: it is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):  # OverflowError: the year 1 or 9999, in a zone
        return None


def require_time(text: object) -> datetime:
    """The same. Raises ValueError where it is none."""
    at = parse_time(text)
    if at is None:
        raise ValueError(f"no time with a zone: {text!r}")
    return at


_SPAN = re.compile(r"(?=.)(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?", re.ASCII)
_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)
_DAYS_BACK = 3  # on the day on which clocks are set forward some times do not exist


def parse_past_moment(text: str, now: datetime) -> datetime | None:
    """When that was, in UTC: so long ago (``20m``, ``1h30m``), at that time (``02:11``), or RFC 3339.

    A time of the day is this machine's local time, and the newest such moment that is not after ``now``.
    None: it is none of these.
    """
    text = text.strip()
    if span := _SPAN.fullmatch(text):
        hours, minutes, seconds = (int(each or 0) for each in span.groups())
        return now - timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if of_day := _OF_DAY.fullmatch(text):
        try:
            hour, minute, second = (int(each or 0) for each in of_day.groups())
            return _newest(time(hour, minute, second), now)
        except ValueError:  # 25:00
            return None
    return parse_time(text)


def _newest(of_day: time, now: datetime) -> datetime | None:
    """Where clocks are set back a time of the day comes twice, where they are set forward not at all."""
    today = now.astimezone().date()
    found = []
    for days in range(_DAYS_BACK):
        naive = datetime.combine(today - timedelta(days=days), of_day)
        for fold in (0, 1):
            at = naive.replace(fold=fold).astimezone(UTC)
            if at <= now and at.astimezone().replace(tzinfo=None, fold=0) == naive:
                found.append(at)
    return max(found, default=None)


def local_time(at: datetime) -> str:
    """``2026-11-23 02:11:00 CET (2026-11-23 01:11:00 UTC)``: in this machine's zone, and in UTC."""
    here, there = at.astimezone(), at.astimezone(UTC)
    said = f"{there:%Y-%m-%d %H:%M:%S} UTC"
    return said if here.utcoffset() == timedelta(0) else f"{here:%Y-%m-%d %H:%M:%S} {here.tzname()} ({said})"
