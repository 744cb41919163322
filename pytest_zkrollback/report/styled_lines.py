"""Lines with styles: fitted to a terminal or, on a pipe, each fact in one line."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from .sanitize import inert_line

_LEAST_WIDTH = 20


class Span(NamedTuple):
    """A part of a line; ``style`` is one that rich knows, or empty."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def plain(lines: Sequence[Line]) -> str:
    """The lines without styles."""
    return "\n".join("".join(span.text for span in line) for line in lines)


def fit(text: str, width: int, style: str = "", head: Line = (), indent: int = 0) -> list[Line]:
    """Broken between words into ``width`` columns, if that is above 0; nothing is cut.

    A word that is longer than a line stays whole, and the terminal breaks it. ``head`` stands before the
    first line, and takes ``indent`` columns; so many spaces stand before the others.
    """
    line, room = inert_line(text), max(width - indent, _LEAST_WIDTH)
    parts = wrap(line, room, break_long_words=False, break_on_hyphens=False) if width else [line]
    space: Line = (Span(" " * indent),) if indent else ()
    return [(*(space if number else head or space), Span(part, style)) for number, part in enumerate(parts)]
