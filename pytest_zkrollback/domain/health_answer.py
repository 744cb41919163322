"""What one answer of ``/health`` says: the one reader, whoever asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .checks import JsonObject
from .ports import HttpAnswer

BODY_LIMIT_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 2000


@dataclass(frozen=True)
class HealthAnswer:
    """One answer of ``/health``.

    ``trouble`` is empty for a pass, else why it is none. ``body`` is the beginning of what came.
    """

    status: int
    trouble: str
    body: str
    duration_s: float

    @property
    def ok(self) -> bool:
        """Whether this answer counts as a pass."""
        return not self.trouble


def parse_health(answer: HttpAnswer, expect: dict[str, str | bool | int]) -> HealthAnswer:
    """What one HTTP answer says, by strict rules; the source of the rules is faults 53, 54 and 57."""
    text = answer.body.decode("utf-8", errors="replace")
    return HealthAnswer(
        status=answer.status,
        trouble=_find_trouble(answer, expect),
        body=text[:_SHOWN_CHARACTERS],
        duration_s=answer.duration_s,
    )


def _find_trouble(answer: HttpAnswer, expect: dict[str, str | bool | int]) -> str:
    if 300 <= answer.status < 400:
        return f"HTTP {answer.status}: a redirect, which is not followed"
    if answer.truncated:
        return f"HTTP {answer.status}: the body is longer than {BODY_LIMIT_BYTES} bytes"
    try:
        parsed = parse_strict_json(answer.body)
    except (ValueError, RecursionError) as error:
        problem = f"the body is not strict JSON ({_short(str(error))})"
        return problem if answer.status == 200 else f"HTTP {answer.status}, and {problem}"
    if not isinstance(parsed, dict):
        return f"HTTP {answer.status}: the body is JSON, but not an object"
    wrong = [text for place, value in expect.items() if (text := _mismatch(parsed, place, value))]
    if answer.status != 200:
        return "; ".join([f"HTTP {answer.status}", *wrong])
    return "; ".join(wrong)


def parse_strict_json(body: bytes) -> Any:
    """The JSON of a body, without NaN and Infinity and with each member once.

    Raises ValueError (UnicodeDecodeError is one) or, nested too deeply, RecursionError.
    """
    return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    members: JsonObject = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"member {key!r} stands there twice")
        members[key] = value
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _mismatch(parsed: JsonObject, place: str, value: str | bool | int) -> str:
    found: Any = parsed
    for name in place.split("."):
        if not isinstance(found, dict) or name not in found:
            return f'there is no member "{place}"'
        found = found[name]
    # 1 == True in Python, not in JSON.
    if type(found) is type(value) and found == value:
        return ""
    return f'"{place}" is {_short(json.dumps(found, ensure_ascii=False))}, not {json.dumps(value)}'


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}\N{HORIZONTAL ELLIPSIS}"
