"""A record made from its own model: every field filled, every string the one that is asked for.

A field that is added to the model is covered the moment it is there.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from pytest_zkrollback.domain.fleet import FleetRecord
from pytest_zkrollback.domain.record import Mode, Outcome, Record
from support.example_records import at


def filled(
    text: Callable[[str], str], outcome: Outcome = Outcome.FAILED, mode: Mode = Mode.ROLLBACK
) -> Record:
    """A record whose strings are ``text(path)``, where ``path`` is e.g. ``items.0.evidence.0.title``.

    Its instances are not validated, as those that judges make are not: a string may be anything.
    """
    return _instance(
        Record,
        text,
        "",
        {"outcome": outcome, "mode": mode, "schema_": Record.model_fields["schema_"].default},
    )


def filled_fleet(text: Callable[[str], str], outcome: Outcome = Outcome.FAILED) -> FleetRecord:
    """The same of a fleet's record, with one member of one wave."""
    return _instance(
        FleetRecord,
        text,
        "",
        {"outcome": outcome, "mode": Mode.ROLLBACK, "schema_": FleetRecord.model_fields["schema_"].default},
    )


def paths() -> tuple[str, ...]:
    """The paths of all strings of a record, lists as ``0``."""
    seen: list[str] = []

    def note(path: str) -> str:
        seen.append(path)
        return "x"

    filled(note)
    return tuple(seen)


def _instance(
    model: type[BaseModel], text: Callable[[str], str], path: str, fixed: dict[str, Any] | None = None
) -> Any:
    values = {
        name: (fixed or {}).get(name)
        if name in (fixed or {})
        else _value(field.annotation, text, f"{path}.{name}".strip("."))
        for name, field in model.model_fields.items()
    }
    return model.model_construct(**values)


def _value(kind: Any, text: Callable[[str], str], path: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is str:
        return text(path)
    if kind is Any:
        return [text(f"{path}.0"), {text(f"{path}.key"): text(f"{path}.value")}]
    if origin is Annotated:
        return _value(inner[0], text, path)
    if origin in (Union, types.UnionType):
        return _value(next(each for each in inner if each is not type(None)), text, path)
    if origin is Literal:
        return inner[0]
    if origin is tuple and inner[-1] is Ellipsis:
        return (_value(inner[0], text, f"{path}.0"), _value(inner[0], text, f"{path}.1"))
    if origin is tuple:
        return tuple(_value(each, text, f"{path}.{number}") for number, each in enumerate(inner))
    if origin is dict:
        return {text(f"{path}.key"): _value(inner[1], text, f"{path}.value")}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _instance(kind, text, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    simple = {bool: True, int: 7, float: 1.5, datetime: at(1)}
    assert kind in simple, f"{path}: say how a {kind} is filled"
    return simple[kind]
