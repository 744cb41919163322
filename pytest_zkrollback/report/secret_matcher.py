"""Finds known secrets in a text: in every likely encoding, wrapped over lines, or cut off at an end.

One pass over the text, however many secrets there are: a form is looked for only where its first six
characters stand. Escapes of single characters (``%2F``, the ``u003d`` of a JSON string) are taken out of the
text, layer by layer, because nobody can list which characters an encoder escapes.
"""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterator
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
_GRAM = 3
_STEP = SHORTEST - _GRAM + 1  # each six characters hold just one gram that begins at a multiple of it
_LAYERS = 3  # percent-encoded twice is usual behind a redirect; once more for who logs that
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+|(?<!\\)(?:(?:\\+x[0-9A-Fa-f]{2})+|(?:\\+u[0-9A-Fa-f]{4})+)")
_ESCAPE = re.compile(r"(?:%|\\+x|\\+u)([0-9A-Fa-f]{2,4})")

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
    """The forms of ``value``: plain, in hex, base64 at any offset, URL-, JSON- or HTML-escaped."""
    if len(value) > _MOST_ENCODED:
        return (value,)
    raw = value.encode("utf-8", errors="replace")
    forms = {value, raw.hex(), raw.hex().upper(), value.replace(" ", "+"), *_escaped(value)}
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
        self._start_grams: set[str] = set()
        self._end_grams: set[str] = set()

    def add(self, form: str, mark: str) -> None:
        """Know one more form. Readers in other threads see it or not, never half of it."""
        if form in self._marks:
            return
        self._marks[form] = mark
        start, end = form[:SHORTEST], form[-SHORTEST:]
        self._start_grams |= _grams(start)
        self._end_grams |= _grams(end)
        self._by_start.setdefault(start, []).append(form)
        self._by_end.setdefault(end, []).append(form)
        lengths = self._lengths.get(start, ())
        if len(form) not in lengths:
            self._lengths[start] = tuple(sorted((*lengths, len(form)), reverse=True))
        self._probed.add(form[:_PROBED])

    def find(self, text: str) -> list[Span]:
        """Where something known stands: start, end and mark; they may overlap."""
        if not self._marks:
            return []
        found = self._found(text)
        layer: _Unescaped | None = None
        for _ in range(_LAYERS):
            if not ("%" in text or "\\" in text) or not _ESCAPES.search(text):
                break
            layer = _Unescaped(text, layer)
            text = layer.text
            found += (layer.origin(span) for span in self._found(text))
        return found

    def _found(self, text: str) -> list[Span]:
        begun = self._begun(text)
        found = [*self._whole(text, begun), *self._cut(text, begun)]
        if _WRAPPED.search(text):
            found += self._wrapped(text)
        return found

    def _whole(self, text: str, begun: list[int]) -> Iterator[Span]:
        lengths, marks, probed = self._lengths, self._marks, self._probed
        for at in begun:
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

        joined = "".join(pieces)
        for start, end, mark in self._whole(joined, self._begun(joined)):
            if end - start >= _LINE_SHORTEST:
                yield place(start), place(end - 1) + 1, mark

    def _cut(self, text: str, begun: list[int]) -> Iterator[Span]:
        """What is left of a secret where the text was cut through it.

        From each place where one begins or ends only as far as it goes: a cut beyond is not through it.
        """
        cuts = list(_cuts(text))
        ahead = sorted(((start, sure) for start, _, sure in cuts), key=_place)
        behind = sorted(((end, sure) for _, end, sure in cuts), key=_place)
        for at in begun:
            nearest = _first_from(ahead, at + SHORTEST)
            for form in self._by_start[text[at : at + SHORTEST]]:
                most = at + len(form) - 1
                if nearest > most:
                    continue
                line_end = text.find("\n", at, most)
                most = min(at + _alike(text, at, form), most, line_end if line_end >= 0 else most)
                for cut, sure in _between(ahead, at + SHORTEST, most):
                    if _is_left_over(text[at:cut], sure):
                        yield at, cut, self._marks[form]
        for at in self._ended(text):
            nearest = _last_until(behind, at - SHORTEST)
            for form in self._by_end[text[at - SHORTEST : at]]:
                least = max(at - len(form) + 1, 0)
                if nearest < least:
                    continue
                least = max(at - _alike_before(text, at, form), least, text.rfind("\n", least, at) + 1)
                for cut, sure in _between(behind, least, at - SHORTEST):
                    if _is_left_over(text[cut:at], sure):
                        yield cut, at, self._marks[form]

    def _begun(self, text: str) -> list[int]:
        """Where the first characters of something known stand."""
        return _places(text, self._by_start, self._start_grams)

    def _ended(self, text: str) -> list[int]:
        """Behind which places the last characters of something known stand."""
        return [at + SHORTEST for at in _places(text, self._by_end, self._end_grams)]


class _Unescaped:
    """A text with one layer of escapes taken out, and where each of its characters came from."""

    def __init__(self, text: str, outer: _Unescaped | None = None) -> None:
        """``outer``: what ``text`` itself was taken out of, if it was."""
        self._outer = outer
        self._starts: list[int] = []  # of each piece, here
        self._ends: list[int] = []  # where the piece ends here
        self._origins: list[tuple[int, int]] = []
        pieces: list[str] = []
        length = done = 0
        for start, end in (*(found.span() for found in _ESCAPES.finditer(text)), (len(text), len(text))):
            for piece, first, last in ((text[done:start], done, start), *_decoded(text, start, end)):
                if piece:
                    pieces.append(piece)
                    self._starts.append(length)
                    length += len(piece)
                    self._ends.append(length)
                    self._origins.append((first, last))
            done = end
        self.text = "".join(pieces)

    def origin(self, span: Span) -> Span:
        """The same span in the text that everything was taken out of."""
        start, end, mark = span
        whole = self._place(start)[0], self._place(end - 1)[1], mark
        return whole if self._outer is None else self._outer.origin(whole)

    def _place(self, at: int) -> tuple[int, int]:
        piece = bisect_right(self._starts, at) - 1
        first, last = self._origins[piece]
        if self._ends[piece] - self._starts[piece] != last - first:
            return first, last
        place = first + at - self._starts[piece]
        return place, place + 1


def _decoded(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """The characters that a run of escapes stands for, each with its place; broken ones are surrogates."""
    # Four digits are UTF-16, two are UTF-8.
    escapes = [(found.span(), found[1]) for found in _ESCAPE.finditer(text, start, end)]
    wide = any(len(digits) == 4 for _, digits in escapes)
    raw = bytes.fromhex("".join(digits for _, digits in escapes))
    encoding, unit, broken = ("utf-16-be", 2, "surrogatepass") if wide else ("utf-8", 1, "surrogateescape")
    at = 0
    for letter in raw.decode(encoding, errors=broken):
        units = len(letter.encode(encoding, errors=broken)) // unit
        yield letter, escapes[at][0][0], escapes[at + units - 1][0][1]
        at += units


def _grams(six: str) -> set[str]:
    return {six[at : at + _GRAM] for at in range(_STEP)}


def _places(text: str, six: Container[str], grams: set[str]) -> list[int]:
    """Where six characters stand that are in ``six``, in order. ``grams``: those of all of them.

    Only every fourth place is looked at: to look at each takes four times as long.
    """
    near = [at for at in range(0, len(text) - _GRAM + 1, _STEP) if text[at : at + _GRAM] in grams]
    return [
        at
        for place in near
        for at in range(max(place - _STEP + 1, 0), place + 1)
        if text[at : at + SHORTEST] in six
    ]


Cut = tuple[int, bool | None]


def _between(cuts: list[Cut], first: int, last: int) -> list[Cut]:
    return cuts[bisect_left(cuts, first, key=_place) : bisect_right(cuts, last, key=_place)]


def _first_from(cuts: list[Cut], place: int) -> float:
    index = bisect_left(cuts, place, key=_place)
    return cuts[index][0] if index < len(cuts) else float("inf")


def _last_until(cuts: list[Cut], place: int) -> float:
    index = bisect_right(cuts, place, key=_place)
    return cuts[index - 1][0] if index else float("-inf")


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
    if "[... " in text:
        yield from ((*found.span(), True) for found in _LEFT_OUT.finditer(text))
    yield from ((*found.span(), False) for found in _SHORTENED.finditer(text))
    for found in _LONG_LINE.finditer(text):
        yield found.start(), found.start(), False
        yield found.end(), found.end(), False
