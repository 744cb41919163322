"""A time of the record: aware, UTC, RFC 3339 with milliseconds in JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, WithJsonSchema


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time in the record needs a zone")
    return value.astimezone(UTC)


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime,
    AfterValidator(_utc),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        }
    ),
]


def moment(at: datetime) -> str:
    """``2026-11-23 11:50:39 UTC``: from when on something was judged, which may be days ago."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
