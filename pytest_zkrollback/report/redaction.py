"""Takes secrets out of everything that leaves the process.

Two kinds are known: values that were named (in every encoding in which they are likely to turn up), and the
shapes of common tokens. What stands instead, ``[redacted NAME]``, is left alone by a second pass.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.frozen import Frozen
from ..domain.record import Record
from .sanitize import without_colour
from .secret_matcher import SecretMatcher, Span, encodings_of, is_findable, parts_of
from .secret_patterns import MARK, SECRET_KEY, SHAPES

if TYPE_CHECKING:
    from ..domain.fleet import FleetRecord

# Sentences, names and commands; evidence comes cut to 64 KiB already.
_MOST_CHARACTERS = 8_000
_MOST_OF_PROOF = 256 * 1024
_PROOF = ("text", "diff")
# What was cleaned once is kept, for evidence is in every state of the record; but not all of an endless log.
_CACHED_CHARACTERS = 8 << 20
_ENTRY_CHARACTERS = 2_000  # so that there are at most 4,000 of them


class Redactor:
    """Takes known and likely secrets out of texts, JSON-like values and records. Safe to share by threads."""

    def __init__(self, secrets: Mapping[str, str] | Iterable[str] = (), plain: Iterable[str] = ()) -> None:
        """Know ``secrets`` (name to value, or only values), but never blank the words in ``plain``.

        ``plain`` is what the report itself says: environment, namespace, release.
        """
        self._lock = threading.Lock()
        self._cleaning = threading.Lock()
        self._plain = frozenset(plain)
        self._known = SecretMatcher()
        self._cache: dict[str, tuple[str, int]] = {}
        self._cache_room = _CACHED_CHARACTERS
        self._last: tuple[Record, Record] | None = None
        self._parts: Mapping[int, _Part] = {}
        self._members: Mapping[int, _Part] = {}
        self._count = 0
        pairs = secrets.items() if isinstance(secrets, Mapping) else (("", value) for value in secrets)
        for name, value in pairs:
            self.add(value, name)

    @property
    def count(self) -> int:
        """How many places :meth:`text` and :meth:`value` have blanked so far."""
        return self._count

    def add(self, value: str, name: str = "") -> None:
        """Know one more secret from now on; ``name`` (of its variable, say) then stands in its place.

        What of it is a secret by itself is known too: the lines of a key, a password in an address.
        """
        label = re.sub(r"[^\w .-]", "", name)[:60].strip()
        mark = f"[redacted {label}]" if label else "[redacted]"
        with self._lock:
            for part in parts_of(value):
                if is_findable(part) and not self._is_spared(part):
                    for form in encodings_of(part):
                        self._known.add(form, mark)
            self._forget()

    def spare(self, plain: Iterable[str]) -> None:
        """Never blank these words either, from now on: names that the report has to say."""
        with self._lock:
            self._plain |= frozenset(plain)
            self._forget()

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        clean, blanked = self._redacted(text)
        if blanked:
            with self._lock:
                self._count += blanked
        return clean

    def value(self, value: Any) -> Any:
        """A JSON-like value without secrets: strings, keys, and all of a member that is called a secret.

        Times and enumerations stay; what is not JSON-like becomes its text.
        """
        match value:
            case Enum() | None | bool() | int() | float() | datetime():
                return value
            case str():
                return self.text(value)
            case Mapping():
                return {
                    self.text(str(key)): (
                        self.text(item) if not _names_secret(key, item) else _kept_mark(self.text(item))
                    )
                    if isinstance(item, str) and not isinstance(item, Enum)
                    else self.value(item)
                    for key, item in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in value]
        return self.text(str(value))

    def record(self, record: Record) -> Record:
        """``record`` without secrets, encodable in UTF-8, with ``redactions`` counted.

        The file and the display want the same one at every change: it is cleaned once, and of the next one
        only what has changed since. Every part of a record is frozen.
        """
        with self._cleaning:  # who wants the same meanwhile waits for it
            with self._lock:
                last, before = self._last, self._parts  # replaced when a secret is added
            if last is not None and last[0] is record:
                return last[1]
            parts = _Parts(self, before)
            result = Record.model_validate(parts.fields_of(record, Record))
            with self._lock:
                if self._parts is before:
                    self._last, self._parts = (record, result), parts.used
            return result

    def fleet(self, record: FleetRecord) -> FleetRecord:
        """The same of a fleet's record, of which most members are the same at the next change."""
        with self._cleaning:
            with self._lock:
                before = self._members
            parts = _Parts(self, before)
            result = type(record).model_validate(parts.fields_of(record, type(record)))
            with self._lock:
                if self._members is before:
                    self._members = parts.used
            return result

    def _forget(self) -> None:
        self._cache, self._cache_room, self._last, self._parts = {}, _CACHED_CHARACTERS, None, {}
        self._members = {}

    def _is_spared(self, part: str) -> bool:
        return any(part in word for word in self._plain)

    def _redacted(self, text: str) -> tuple[str, int]:
        cache = self._cache
        if (found := cache.get(text)) is None:
            whole = text.encode("utf-8", errors="replace").decode()
            found = self._blanked(whole)
            if "\x1b" in whole and (bare := without_colour(whole)) != whole:
                # Colours in the middle of a secret would hide it here, and be dropped by the renderings.
                uncoloured = self._blanked(bare)
                found = uncoloured if uncoloured[1] else found
            if len(text) <= self._cache_room:
                self._cache_room -= len(text) + _ENTRY_CHARACTERS
                cache[text] = found
        return found

    def _blanked(self, text: str) -> tuple[str, int]:
        # What a name of the report's own happens to hold is no secret that was found.
        spans = [span for span in self._known.find(text) if not self._is_spared(text[span[0] : span[1]])]
        clean, known = _without(text, spans)
        clean, shaped = _without_shapes(clean)
        return clean, known + shaped


class _Part(NamedTuple):
    """A part of a record as it is, and without secrets; ``marks``: in how many places something was."""

    whole: Frozen
    clean: Frozen
    marks: int


class _Parts:
    """Cleans the parts of one record; those that the record ``before`` had were cleaned then."""

    def __init__(self, redactor: Redactor, before: Mapping[int, _Part]) -> None:
        self._redactor, self._before = redactor, before
        self.used: dict[int, _Part] = {}  # by id: each holds what it is of
        self.marks = 0

    def fields_of(self, record: Frozen, model: type[Frozen]) -> dict[str, Any]:
        """All fields of ``model``, cleaned, with ``redactions`` counted."""
        clean = {
            field.alias or name: self.clean(field.alias or name, getattr(record, name))
            for name, field in model.model_fields.items()
        }
        return clean | {"redactions": self.marks}

    def clean(self, key: str, value: Any) -> Any:
        """The record's field of that key."""
        if isinstance(value, Frozen):
            return self._part(value)
        if isinstance(value, tuple) and any(isinstance(each, Frozen) for each in value):
            return tuple(map(self._part, value))
        clean = self._redactor.value(_bounded({key: value}))
        self.marks += _marks(clean)
        return next(iter(clean.values()))

    def _part(self, whole: Frozen) -> Frozen:
        part = self._before.get(id(whole)) or self.used.get(id(whole))
        if part is None:
            clean = self._redactor.value(_bounded(whole.model_dump(by_alias=True, warnings=False)))
            part = _Part(whole, type(whole).model_validate(clean), _marks(clean))
        self.used[id(whole)] = part
        self.marks += part.marks
        return part.clean


class RedactingFilter(logging.Filter):
    """A log filter: what passes has no secrets left in message, traceback or stack."""

    def __init__(self, redactor: Redactor) -> None:
        """Filter with ``redactor``, which may learn more secrets later."""
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite ``record`` in place; it always passes."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # a call with wrong arguments is logging's own trouble
            message = f"{record.msg} {record.args}"
        record.msg, record.args = self._redactor.text(message), ()
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.text(record.stack_info)
        return True


def _bounded(value: Any, most: int = _MOST_CHARACTERS) -> Any:
    """A dumped record in which a string of any size is one that a report can carry: head and tail."""
    match value:
        case Enum():
            return value
        case str() if len(value) > most:
            half = most // 2
            return f"{value[:half]}\n[... {len(value) - 2 * half} characters left out ...]\n{value[-half:]}"
        case dict():
            return {
                _bounded(key): _bounded(each, _MOST_OF_PROOF if key in _PROOF else _MOST_CHARACTERS)
                for key, each in value.items()
            }
        case list() | tuple():
            return [_bounded(each) for each in value]
    return value


def _names_secret(key: object, item: str) -> bool:
    return bool(item) and SECRET_KEY.fullmatch(str(key)) is not None


def _kept_mark(text: str) -> str:
    return text if MARK.search(text) else "[redacted secret member]"


def _without(text: str, spans: list[Span]) -> tuple[str, int]:
    if not spans:
        return text, 0
    marks = [found.span() for found in MARK.finditer(text)]
    parts: list[str] = []
    done = 0
    blanked = 0
    for start, end, mark in sorted(spans, key=lambda span: (span[0], -span[1])):
        if any(start < mark_end and mark_start < end for mark_start, mark_end in marks):
            continue
        if start >= done:
            parts += [text[done:start], mark]
            blanked += 1
        done = max(done, end)
    return "".join(parts) + text[done:], blanked


def _without_shapes(text: str) -> tuple[str, int]:
    blanked = 0
    lower = text.lower()
    for name, words, pattern in SHAPES:
        if not any(word in lower for word in words):
            continue
        parts, done = [], 0
        group = "secret" if "secret" in pattern.groupindex else 0
        for found in pattern.finditer(text):
            if found[group].lstrip("\"' \t\n\\").startswith("[redacted"):
                continue
            parts += [text[done : found.start(group)], f"[redacted {name}]"]
            done = found.end(group)
            blanked += 1
        text = "".join(parts) + text[done:]
    return text, blanked


def _marks(value: Any) -> int:
    match value:
        case str():
            return len(MARK.findall(value))
        case dict():
            return sum(_marks(key) + _marks(item) for key, item in value.items())
        case list():
            return sum(_marks(item) for item in value)
    return 0
