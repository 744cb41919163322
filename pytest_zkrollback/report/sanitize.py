"""Strings from outside, made harmless to look at: no terminal commands, no reordering, all encodable."""

from __future__ import annotations

import re

_ELLIPSIS = "..."
_END_OF_FACT = re.compile(r"[.;](?= )")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # reorder or break lines
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    if 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
        return "\N{REPLACEMENT CHARACTER}"
    return f"[U+{code:04X}]"


def without_colour(text: str) -> str:
    """``text`` without the terminal's commands for colours."""
    return _COLOUR.sub("", text)


def escape_control_characters(text: str) -> str:
    """``text`` with colours dropped and every other control made visible; new lines and tabs stay.

    What is left can be encoded in UTF-8, stands in XML 1.0, and shows in the order in which it was written.
    """
    plain = without_colour(text).replace("\r\n", "\n").replace("\r", "\n")
    return _ODD.sub(_visible, plain)


def inert_line(text: str, limit: int = 0) -> str:
    """The same on one line; of more than ``limit`` characters (if above 0) the words that fit, and dots."""
    line = " ".join(escape_control_characters(text).split())
    if limit and len(line) > limit:
        room = max(0, limit - len(_ELLIPSIS))
        kept = line[:room] if line[room] == " " else line[:room].rpartition(" ")[0]
        return (kept if len(kept) > room // 2 else line[:room]).rstrip() + _ELLIPSIS
    return line


def inert_facts(text: str, limit: int) -> str:
    """The same; of more than ``limit`` characters the sentences that fit, where they are more than half."""
    line, room = inert_line(text), max(0, limit - len(_ELLIPSIS) - 1)
    ends = [found.end() for found in _END_OF_FACT.finditer(line, 0, room + 1)]
    if len(line) > limit and ends and ends[-1] > room // 2:
        return f"{line[: ends[-1]]} {_ELLIPSIS}"
    return inert_line(line, limit)
