"""What one answer of ``/health`` says: the one reader, whoever asked."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .checks import JsonObject
from .ports import HttpAnswer

BODY_LIMIT_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 2000
_QUOTED = r'"(?:[^"\\]|\\["\\])*"'
_NAME = re.compile(rf'{_QUOTED}|[^."\[\]]+')
_SELECTOR = re.compile(rf'\[(?P<field>{_QUOTED}|[^."\[\]=]+)=(?P<value>{_QUOTED}|[^"\[\]]+)\]')
_HOW = 'write a.b, checks[name=db].status, or a."b.c" for a name that holds a dot, bracket or quote'


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


@dataclass(frozen=True)
class Selector:
    """Elements of an array: those whose ``field`` is ``value``. Not ``quoted``: a number or true, too."""

    field: str
    value: str
    quoted: bool

    def takes(self, element: object) -> bool:
        """Whether this element is meant."""
        if not isinstance(element, dict) or self.field not in element:
            return False
        found = element[self.field]
        if isinstance(found, str):
            return found == self.value
        plain = isinstance(found, bool | int | float)
        return plain and not self.quoted and json.dumps(found) == self.value


@lru_cache(maxsize=256)
def parse_member(path: str) -> tuple[str | Selector, ...]:
    """The steps of a path into the JSON of ``/health``: ``checks[name=db].status``.

    A dot leads into an object, ``[field=value]`` to the elements of an array; a name in double quotes may
    hold dots, brackets and, after a backslash, quotes. Raises ValueError with the way to write it.
    """
    steps: list[str | Selector] = []
    at = 0
    while True:
        name = _NAME.match(path, at)
        if name is None:
            raise ValueError(f"{path!r} names no member: {_HOW}")
        steps.append(_unquoted(name[0]))
        at = name.end()
        while selector := _SELECTOR.match(path, at):
            value = selector["value"]
            steps.append(Selector(_unquoted(selector["field"]), _unquoted(value), value.startswith('"')))
            at = selector.end()
        if at == len(path):
            return tuple(steps)
        if path[at] != ".":
            raise ValueError(f"{path!r} names no member: {_HOW}")
        at += 1


def find_members(parsed: Any, path: str) -> tuple[list[Any], str]:
    """What stands at this path, and else why nothing does: each element that a selector takes has to have it.

    Raises ValueError as :func:`parse_member` does.
    """
    found: list[Any] = [parsed]
    for step in parse_member(path):
        following: list[Any] = []
        for each in found:
            if isinstance(step, Selector):
                taken = [element for element in each if step.takes(element)] if isinstance(each, list) else []
                if not taken:
                    return [], f'no element of an array has {step.field} = {step.value}: "{path}"'
                following += taken
            elif isinstance(each, dict) and step in each:
                following.append(each[step])
            else:
                return [], f'there is no member "{path}"'
        found = following
    return found, ""


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


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
    found, missing = find_members(parsed, place)
    # 1 == True in Python, not in JSON.
    other = [each for each in found if type(each) is not type(value) or each != value]
    if not other:
        return missing
    return f'"{place}" is {_short(json.dumps(other[0], ensure_ascii=False))}, not {json.dumps(value)}'


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}\N{HORIZONTAL ELLIPSIS}"
