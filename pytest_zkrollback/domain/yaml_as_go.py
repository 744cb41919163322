"""YAML as Go reads it, which is how helm and kubectl see a manifest or a kubeconfig."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator
from typing import Any

import yaml

# Above what charts put into the megabyte of a release Secret; aliases of aliases, and what repeats itself
# millions of times, are larger.
_NODE_LIMIT = 500_000
_DEPTH_LIMIT = 100


class YamlProblem(ValueError):
    """The text cannot be read. As text it is a predicate: ``is no YAML in line 3: ...``.

    ``line``: from 1; None: of no line. ``for_go``: whether Go cannot read it either; False: it may.
    """

    def __init__(self, why: str, line: int | None = None, *, for_go: bool = False) -> None:
        """``why``: the predicate without the line."""
        self.why, self.line, self.for_go = why, line, for_go
        super().__init__(self.in_line(line))

    def in_line(self, line: int | None) -> str:
        """The predicate with another line: that of the whole text, where this was a part of it."""
        what, _, rest = self.why.partition(": ")
        return f"{what} in line {line}: {rest}" if line is not None and rest else self.why


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """The nodes of YAML's own parser, by libyaml where it is there; nothing is constructed by it."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """The tag of a node that names none: asked for each, and there may be a hundred thousand."""
        if kind is not yaml.ScalarNode:
            return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"
        if not implicit[0]:
            return _TEXT
        if value == "<<":
            return _MERGE
        return _PLAIN if not value or value[0] in _MAY_BE_ELSE else _TEXT

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0

    def descend_resolver(self, *_: Any) -> None:
        """Called before each node is composed: PyYAML's C composer recurses without a limit, and a text of
        100,000 brackets would end the process."""
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEPTH_LIMIT + 1:
            raise ValueError
        if self._nodes > _NODE_LIMIT:
            raise _too_large()

    def ascend_resolver(self) -> None:
        """Called after it."""
        self._depth -= 1


def _too_large() -> YamlProblem:
    return YamlProblem(f"holds more than {_NODE_LIMIT:,} values, which is more than is read")


def load_all(text: str) -> list[Any]:
    """The documents of ``text`` as JSON would have them: text, numbers, booleans, null, lists, mappings.

    Raises YamlProblem, also for what is built to explode.
    """
    return list(_documents(text))


def load_first(text: str) -> Any:
    """The first document of ``text``; what comes after it is not looked at, as Go does. None: it is empty.

    Raises YamlProblem.
    """
    return next(_documents(text), None)


def _documents(text: str) -> Iterator[Any]:
    reader, values = None, _Values()
    try:
        reader = _Loader(text)
        while reader.check_node():
            yield values.of(reader.get_node())
    except YamlProblem:
        raise
    except yaml.composer.ComposerError as error:
        # An anchor that is there twice is none for Go.
        raise _problem(error, for_go="undefined alias" in str(error)) from None
    except yaml.YAMLError as error:
        raise _problem(error, for_go=True) from None
    except _NotInGo as error:
        raise YamlProblem(f"is no YAML: {error}", error.line, for_go=True) from None
    except (RecursionError, ValueError):
        raise YamlProblem("is nested too deep, or holds a value that YAML does not allow") from None
    finally:
        if reader is not None:
            reader.dispose()


def _problem(error: yaml.YAMLError, *, for_go: bool) -> YamlProblem:
    mark = getattr(error, "problem_mark", None)
    why = f"is no YAML: {getattr(error, 'problem', None) or 'unreadable'}"
    return YamlProblem(why, mark.line + 1 if mark is not None else None, for_go=for_go)


class _NotInGo(Exception):
    """A value that Go's YAML or JSON does not have: Go gives up there."""

    def __init__(self, why: str, node: Any) -> None:
        self.line = node.start_mark.line + 1
        super().__init__(why)


class _Values:
    """The values of the documents' nodes, each without shared parts, keys as JSON has them."""

    def __init__(self) -> None:
        self._count = 0
        self._not_finite: Any = None

    def of(self, document: Any) -> Any:
        """Raises _NotInGo, and ValueError for what is built to explode."""
        self._not_finite = None
        found = self._read(document, 0)
        if self._not_finite is not None and _has_not_finite(found):
            raise _NotInGo("a number that JSON does not have", self._not_finite)
        return found

    def _read(self, node: Any, depth: int) -> Any:
        self._count += 1
        if depth > _DEPTH_LIMIT:
            raise ValueError
        if self._count > _NODE_LIMIT:
            raise _too_large()
        if type(node) is yaml.ScalarNode:
            value = node.value if node.tag == _TEXT else _scalar(node)
            if value is _NOT_FINITE:
                self._not_finite = node
            return value
        depth += 1
        if type(node) is yaml.SequenceNode:
            return [self._read(each, depth) for each in node.value]
        for key, _ in node.value:
            if key.tag == _MERGE:
                _flatten(node)
                break
        found: dict[str, Any] = {}
        for key, value in node.value:
            # `1`, `1.0` and `y` are one key for Python, and three for Go.
            found[key.value if key.tag == _TEXT else self._key(key, depth)] = self._read(value, depth)
        return found

    def _key(self, node: Any, depth: int) -> str:
        key = self._read(node, depth)
        if key is None or isinstance(key, list | dict):
            raise _NotInGo("a key that is null, a list or a map", node)
        if isinstance(key, bool):
            return str(key).lower()
        return _float_key(key) if isinstance(key, float) else str(key)


def _has_not_finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_not_finite, value.values() if isinstance(value, dict) else value))
    return value is _NOT_FINITE


def _flatten(node: Any) -> None:
    """Merge keys in the order in which they stand, as Go does: what comes later wins, merged or not.

    Source: gopkg.in/yaml.v2, decode.go: mapping and merge; of a list of maps the first wins.
    """
    flat: dict[object, tuple[Any, Any]] = {}  # each key once: merges of merges would explode
    hidden: list[tuple[Any, Any]] = []  # of a key that comes again: Go reads that, too
    for key, value in node.value:
        if key.tag != _MERGE:
            again = flat.pop(_key_of(key), None)
            hidden += [again] if again is not None else []
            flat[_key_of(key)] = (key, value)
            continue
        merged = reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]
        for each in merged:
            if not isinstance(each, yaml.MappingNode):
                raise _NotInGo("map merge requires map or sequence of maps as the value", key)
            _flatten(each)
            flat |= {_key_of(pair[0]): pair for pair in each.value}
    node.value = [*hidden, *flat.values()]


def _key_of(node: Any) -> object:
    """By what a key's node is the same as another one."""
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else id(node)


def _scalar(node: Any) -> Any:
    tag, text = node.tag, node.value
    kinds = _KINDS.get(tag)
    if kinds is None and tag != _PLAIN:
        # A tag that Go does not know says nothing to it, nor does its own of a time: the plain text counts.
        return _binary(node) if tag == f"{_TAG}binary" else text
    value = _resolved(text)
    if kinds == (float,) and type(value) is int:
        return float(value)
    if kinds is not None and type(value) not in kinds:
        raise _NotInGo(f"a value that is not of its type {tag.removeprefix(_TAG)}", node)
    return value


def _binary(node: Any) -> str:
    try:
        text = node.value.replace("\n", "").replace("\r", "")
        return base64.b64decode(text.encode(), validate=True).decode(errors="replace")
    except binascii.Error:
        raise _NotInGo("binary data that is not base64", node) from None


_NOT_FINITE = math.nan
# Plain scalars that are something else than they look.
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), _NOT_FINITE),
    **dict.fromkeys(
        (sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")), _NOT_FINITE
    ),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_TAG = "tag:yaml.org,2002:"
_KINDS: dict[str, tuple[type, ...]] = {
    f"{_TAG}bool": (bool,),
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float,),
    f"{_TAG}null": (type(None),),
}
_TEXT, _MERGE = f"{_TAG}str", f"{_TAG}merge"
_PLAIN = f"{_TAG}plain"  # a plain scalar that may be something else than text
_MAY_BE_ELSE = frozenset("yYnNtTfFoO~-+0123456789.")


def _resolved(text: str) -> Any:
    """What a plain scalar is: text, a number, true or false, or null. Source: yaml.v2, resolve.go."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return _float(text)
    if text[0] not in _DIGITS_AND_SIGNS:
        return text
    plain = text.replace("_", "")
    if (found := _INT.fullmatch(plain)) is not None:
        sign, *digits = found.groups()
        base, number = next((base, each) for base, each in zip(_BASES, digits, strict=True) if each)
        value = int(sign + number, base) if len(number) < _LONGEST_INT else 1 << 64
        if -(1 << 63) <= value < (1 << 63):
            return value
        if not sign and value < (1 << 64):
            return float(value)  # as Kubernetes reads such a number from JSON
    return _float(plain, otherwise=text)


_DIGITS_AND_SIGNS = frozenset("+-0123456789")
_BASES = (16, 2, 8, 10)
_LONGEST_INT = 70  # digits, in base 2; Python refuses to read very long ones


def _float(plain: str, otherwise: str | None = None) -> Any:
    """Text where it is none, or none that fits."""
    value = float(plain) if _FLOAT.fullmatch(plain) else math.inf
    return value if math.isfinite(value) else plain if otherwise is None else otherwise


def _float_key(key: float) -> str:
    """As Go writes it: the shortest that says the same in 32 bits."""
    try:
        narrow = _in_32_bits(key)
    except OverflowError:
        return ".inf" if key > 0 else "-.inf"
    shortest = next(each for size in range(9) if _in_32_bits(float(each := f"{narrow:.{size}e}")) == narrow)
    digits, exponent = shortest.split("e")
    count, power = len(digits.lstrip("-").replace(".", "")), int(exponent)
    limit = count if 6 > count > power else 6
    if power < -4 or power >= limit:
        return f"{digits}e{power:+03d}"
    return f"{narrow:.{max(0, count - 1 - power)}f}"


def _in_32_bits(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])
