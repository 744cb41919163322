"""Times as others write them: Kubernetes, Helm, GitHub, and what was typed."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time with its zone, in UTC; None: it is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else None


def require_time(text: object) -> datetime:
    """The same. Raises ValueError where it is none."""
    at = parse_time(text)
    if at is None:
        raise ValueError(f"no time with a zone: {text!r}")
    return at
