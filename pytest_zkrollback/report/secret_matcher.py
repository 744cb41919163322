"""Finds known secrets in a text: in every likely encoding, wrapped over lines, or cut off at an end.

One pass over the text, however many secrets there are: a form is looked for only where its first six
characters stand.
"""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, urlsplit

from .secret_patterns import secrets_inside

# Shorter values, and plain words or numbers, cannot be told from the report's own text. They are blanked only
# where they stand as the value of something called a password, token or secret (secret_patterns.py).
SHORTEST = 6
_PLAIN_SHORTER_THAN = 12
_PLAIN = re.compile(r"[A-Z]?[a-z]+([-_. ][a-z]+)*|[A-Z]+|[0-9]{1,7}|[0-9]+(\.[0-9]+){1,3}(:[0-9]+)?")
# A line, or what follows "name:" in it, of a value with many lines; settings are shorter.
_LINE_SHORTEST = 16
_SETTING = re.compile(r"[\w.-]+\s*[:=]\s*(?=[^=\s])")
_MOST_ENCODED = 1 << 16
_SAFE_BY_ENCODER = (
    "",
    "/",
    "!'()*",
    "!$&'()*+,;=",
    "!$&'()*+,;=:@/?",
)  # Python, JavaScript, the URL standard
_PROBED = 32  # of a long form so much is compared before the whole of it
_WRAPS = (64, 76)  # PEM and MIME

# Base64 that goes on in the next line. Every pattern here begins only where a run of its letters begins: else
# a word of 60 KB (a truststore) is gone through once for each of its letters.
_WRAPPED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{32,}(?:\s|\\[nrt])+[A-Za-z0-9+/=_-]{4,}")
_GAP = re.compile(r"(?:\s|\\[nrt])+")
# Where text was taken out of the middle, and where a line is so long that somebody may have cut it.
_LEFT_OUT = re.compile(r"(?:(?<![ \t])[ \t]+)?\n?\[\.\.\. [^\]\n]{0,80}\.\.\.\]\n?")
_SHORTENED = re.compile(r"\.{3,}|\N{HORIZONTAL ELLIPSIS}")
_LONG_LINE = re.compile(r"[^\n]{190,}")

Span = tuple[int, int, str]


def encodings_of(value: str) -> tuple[str, ...]:
    """The forms in which ``value`` may turn up: as is, base64 at any offset, URL-, JSON-, HTML-escaped."""
    if len(value) > _MOST_ENCODED:
        return (value,)
    raw = value.encode("utf-8", errors="replace")
    forms = {value, *_escaped(value)}
    for quoted in (*(quote(raw, safe=safe) for safe in _SAFE_BY_ENCODER), quote_plus(raw)):
        forms |= {quoted, re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), quoted)}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        forms |= {whole, whole.rstrip("=")}
        for offset in (0, 1, 2):  # inside something longer: only characters that share no bits with others
            shifted = encode(b"\0" * offset + raw).decode()
            forms.add(shifted[(0, 2, 3)[offset] : (offset + len(raw)) * 8 // 6])
        for width in _WRAPS:
            forms |= {whole[at : at + width] for at in range(0, len(whole) - _LINE_SHORTEST, width)}
    return tuple(form for form in forms if len(form) >= SHORTEST)


def _escaped(value: str) -> Iterator[str]:
    yield from (html.escape(value), html.escape(value, quote=False))
    yield html.escape(value, quote=False).replace('"', "&#34;").replace("'", "&#39;")  # markupsafe's
    for ensure_ascii in (True, False):
        once = json.dumps(value, ensure_ascii=ensure_ascii)[1:-1]
        of_go = once.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
        for each in {once, of_go, once.replace("/", r"\/")}:
            yield each
            yield json.dumps(each, ensure_ascii=False)[1:-1]  # JSON inside JSON
    yield repr(value)[1:-1]
    yield value.replace("\\", r"\\").replace("'", r"\'")  # repr of something with both quotes
    for apostrophe in ("'\"'\"'", "'\\''", "''"):  # shlex, bash and YAML
        yield value.replace("'", apostrophe)


def is_findable(value: str) -> bool:
    """Whether a text that holds ``value`` very likely means the secret."""
    return len(value) >= SHORTEST and not (len(value) < _PLAIN_SHORTER_THAN and _PLAIN.fullmatch(value))


def parts_of(value: str) -> frozenset[str]:
    """``value`` and what of it is a secret by itself: lines of a key, passwords inside, a webhook's path."""
    found = {value, value.strip(), *secrets_inside(value), *_webhook_path(value)}
    lines = [line.strip() for line in value.splitlines()]
    for line in lines if len(lines) > 1 else ():  # logs prefix lines
        setting = _SETTING.match(line)
        rest = line if setting is None else line[setting.end() :]
        if len(rest) >= _LINE_SHORTEST:
            found.add(rest)
    return frozenset(found)


def _webhook_path(value: str) -> Iterator[str]:
    """Of an address whose path is its password: logs and answers name the path alone."""
    try:
        path = urlsplit(value.strip()).path if value.strip().startswith(("https://", "http://")) else ""
    except ValueError:
        return
    last = path.rstrip("/").rpartition("/")[2]
    if len(last) >= _LINE_SHORTEST and re.search(r"\d", last) and re.search(r"[A-Za-z]", last):
        yield from (path, last)


class SecretMatcher:
    """The forms of all known secrets, each with the mark that stands in its place."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._marks: dict[str, str] = {}
        self._by_start: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._probed: set[str] = set()

    def add(self, form: str, mark: str) -> None:
        """Know one more form. Readers in other threads see it or not, never half of it."""
        if form in self._marks:
            return
        self._marks[form] = mark
        start = form[:SHORTEST]
        self._by_start.setdefault(start, []).append(form)
        self._by_end.setdefault(form[-SHORTEST:], []).append(form)
        lengths = self._lengths.get(start, ())
        if len(form) not in lengths:
            self._lengths[start] = tuple(sorted((*lengths, len(form)), reverse=True))
        self._probed.add(form[:_PROBED])

    def find(self, text: str) -> list[Span]:
        """Where something known stands: start, end and mark; they may overlap."""
        if not self._marks:
            return []
        found = [*self._whole(text), *self._cut(text)]
        if _WRAPPED.search(text):
            found += self._wrapped(text)
        return found

    def _whole(self, text: str) -> Iterator[Span]:
        lengths, marks, probed = self._lengths, self._marks, self._probed
        for at in range(len(text) - SHORTEST + 1):
            for length in lengths.get(text[at : at + SHORTEST], ()):
                if length > _PROBED and text[at : at + _PROBED] not in probed:
                    continue  # to take out and hash many KB at each of many places takes minutes
                if (mark := marks.get(text[at : at + length])) is not None:
                    yield at, at + length, mark
                    break

    def _wrapped(self, text: str) -> Iterator[Span]:
        """The same in the text without its gaps, with places in the text itself."""
        pieces: list[str] = []
        starts: list[int] = []
        moved: list[int] = []
        length = done = 0
        for start, end in (*(gap.span() for gap in _GAP.finditer(text)), (len(text), len(text))):
            if start > done:
                pieces.append(text[done:start])
                starts.append(length)
                moved.append(done - length)
                length += start - done
            done = end

        def place(at: int) -> int:
            return at + moved[bisect_right(starts, at) - 1]

        for start, end, mark in self._whole("".join(pieces)):
            if end - start >= _LINE_SHORTEST:
                yield place(start), place(end - 1) + 1, mark

    def _cut(self, text: str) -> Iterator[Span]:
        """What is left of a secret where the text was cut through it.

        From each place where one begins or ends only as far as it goes: a cut beyond is not through it.
        """
        cuts = list(_cuts(text))
        ahead = sorted(((start, sure) for start, _, sure in cuts), key=_place)
        behind = sorted(((end, sure) for _, end, sure in cuts), key=_place)
        for at in self._begun(text):
            line_end = text.find("\n", at)
            room = (len(text) if line_end < 0 else line_end) - at
            for form in self._by_start[text[at : at + SHORTEST]]:
                most = at + min(_alike(text, at, form), len(form) - 1, room)
                for cut, sure in _between(ahead, at + SHORTEST, most):
                    if _is_left_over(text[at:cut], sure):
                        yield at, cut, self._marks[form]
        for at in self._ended(text):
            room = at - (text.rfind("\n", 0, at) + 1)
            for form in self._by_end[text[at - SHORTEST : at]]:
                most = min(_alike_before(text, at, form), len(form) - 1, room)
                for cut, sure in _between(behind, at - most, at - SHORTEST):
                    if _is_left_over(text[cut:at], sure):
                        yield cut, at, self._marks[form]

    def _begun(self, text: str) -> list[int]:
        """Where the first characters of something known stand."""
        starts = self._by_start
        return [at for at in range(len(text) - SHORTEST + 1) if text[at : at + SHORTEST] in starts]

    def _ended(self, text: str) -> list[int]:
        """Behind which places the last characters of something known stand."""
        ends = self._by_end
        return [at for at in range(SHORTEST, len(text) + 1) if text[at - SHORTEST : at] in ends]


Cut = tuple[int, bool | None]


def _between(cuts: list[Cut], first: int, last: int) -> list[Cut]:
    return cuts[bisect_left(cuts, first, key=_place) : bisect_right(cuts, last, key=_place)]


def _place(cut: Cut) -> int:
    return cut[0]


def _alike(text: str, at: int, form: str) -> int:
    """How many characters of ``text`` from ``at`` on are those of ``form``."""
    return _longest_true(len(form), lambda count: text.startswith(form[:count], at))


def _alike_before(text: str, at: int, form: str) -> int:
    """The same backwards from ``at``."""
    return _longest_true(len(form), lambda count: text.endswith(form[-count:], 0, at))


def _longest_true(most: int, holds: Callable[[int], bool]) -> int:
    """The largest count up to ``most`` that holds, as all smaller ones do; the first 6 are known to."""
    low, step = SHORTEST, SHORTEST
    while low < most and holds(min(low + step, most)):
        low, step = min(low + step, most), step * 2
    high = min(low + step, most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _is_left_over(rest: str, sure: bool | None) -> bool:
    """Whether this piece of a secret, where a text may have been cut, is no accident."""
    return bool(sure) or (is_findable(rest) and (sure is False or len(rest) >= _LINE_SHORTEST))


def _cuts(text: str) -> Iterator[tuple[int, int, bool | None]]:
    """Where something may have been taken out: between which places, and whether that is said.

    None: nobody says so, but texts do get cut at a round length.
    """
    yield 0, 0, None
    yield len(text), len(text), None
    yield from ((*found.span(), True) for found in _LEFT_OUT.finditer(text))
    yield from ((*found.span(), False) for found in _SHORTENED.finditer(text))
    for found in _LONG_LINE.finditer(text):
        yield found.start(), found.start(), False
        yield found.end(), found.end(), False
