"""Time zones by the names that the IANA database gives them, e.g. ``Europe/Berlin``."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def find_zone(name: str) -> ZoneInfo | None:
    """The zone; None where the name is empty, or this machine does not know it."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database, such as Europe
        return None


def zone_problem(name: str) -> str:
    """Why this is no zone, in a sentence without its end; empty: it is one."""
    if find_zone(name) is not None:
        return ""
    known = available_timezones()
    if not known:
        return "this machine has no database of time zones: install its package tzdata, or leave the key out"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return f"this machine knows no such time zone{hint}: write a name such as 'Europe/Berlin'"
