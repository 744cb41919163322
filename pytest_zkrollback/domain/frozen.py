"""What the record, the judgements and the configuration are made of: one frozen model, and a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema, model_validator


class Frozen(BaseModel):
    """A value: nothing changes afterwards, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FrozenFile(Frozen):
    """What stands in a file of its own, with ``facts`` that are worked out from the rest: not read back."""

    @model_validator(mode="before")
    @classmethod
    def _without_facts(cls, data: Any) -> Any:
        if isinstance(data, dict) and "facts" in data:
            return {key: value for key, value in data.items() if key != "facts"}
        return data


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time in the record needs a zone")
    return value.astimezone(UTC)


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Aware, UTC, RFC 3339 with milliseconds in JSON.
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
