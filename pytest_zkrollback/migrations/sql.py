"""What SQL does, as far as its words say it; read in the dialects of PostgreSQL, MySQL and the standard.

Which database a file is for is not known. So what may be true in one of the dialects is believed where it
makes the answer more careful: a way back that is empty in one is none, and data that is lost in one is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

_DIALECTS = ("postgres", "mysql", "")
_LIMIT = 256 * 1024  # characters; longer files hold data, and take seconds
_NOTHING = re.compile(r"(?i)(begin|start|commit|end)( (transaction|work))?")
_CONSTANTS = frozenset(
    ("STRING", "NUMBER", "NULL", "TRUE", "FALSE", "COMMA", "ALIAS", "DASH", "HEREDOC_STRING")
)
_QUOTED = frozenset(
    ("STRING", "HEREDOC_STRING", "NATIONAL_STRING", "RAW_STRING", "BYTE_STRING", "UNICODE_STRING")
)
# A block that begins with an error ends there, whatever follows.
_RAISES = re.compile(
    r"(?is)^(?:do\s+)?(?:\$\w*\$|')?\s*(?:declare\b.*?\bbegin|begin)?\s*"
    r"(?:raise\s+(?!notice|info|log|debug|warning)|signal\b|throw\b|raiserror\b)"
)
_EXECUTABLE = re.compile(r"/\*M?!\d*(.*?)\*/", re.DOTALL)  # comments that MySQL and MariaDB run


@dataclass(frozen=True)
class Statement:
    """One statement on one line.

    ``words`` leaves out what stands in quotes; ``idle``: it changes nothing; ``raises``: it ends in an error.
    """

    text: str
    words: str
    idle: bool
    raises: bool


def shown(text: str) -> str:
    """The statements without comments, and without what changes nothing; the text if nobody can read it."""
    found = ["; ".join(each.text for each in reading if not each.idle) for reading in _readings(text)]
    return max(found, key=len) if found else text.strip()


def is_idle(text: str) -> bool | None:
    """Whether it changes nothing, in every dialect; None where no dialect can read it."""
    found = _readings(text)
    return all(each.idle for reading in found for each in reading) if found else None


def why_no_way_back(text: str) -> str | None:
    """Why these statements undo nothing, in some dialect, as a predicate; empty: they undo something.

    None where no dialect can read them.
    """
    found = _readings(text)
    if not found:
        return None
    if any(each.raises for reading in found for each in reading):
        return "raises an error"
    if any(all(each.idle for each in reading) for reading in found):
        return "is empty"
    return ""


def words(text: str) -> str:
    """All that may run, in any dialect, without what stands in quotes; blocks of code count."""
    found = _readings(text)
    return "; ".join(each.words for reading in found for each in reading) if found else text


def view_columns(text: str) -> dict[str, frozenset[str]]:
    """View -> its columns, of those that ``text`` makes and that can be read as PostgreSQL's."""
    if len(text) > _LIMIT:
        return {}
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        made = [each for each in parse(text, read="postgres") if isinstance(each, exp.Create)]
        return {
            each.this.sql(): frozenset(column.alias_or_name for column in each.expression.selects)
            for each in made
            if each.kind == "VIEW" and isinstance(each.expression, exp.Query)
        }
    except (SqlglotError, RecursionError, ValueError, AttributeError):
        return {}


@lru_cache(maxsize=512)
def _readings(text: str) -> tuple[tuple[Statement, ...], ...]:
    """The statements in each dialect that can read the text."""
    if len(text) > _LIMIT:
        return ()
    from sqlglot import tokenize
    from sqlglot.errors import SqlglotError

    found = []
    for dialect in _DIALECTS:
        source = _EXECUTABLE.sub(r" \1 ", text) if dialect == "mysql" else text
        try:
            found.append(tuple(_statements(source, tokenize(source, read=dialect))))
        except (SqlglotError, RecursionError, ValueError):
            continue
    return tuple(found)


def _statements(source: str, tokens: Sequence[Any]) -> Iterator[Statement]:
    statement: list[Any] = []
    for token in (*tokens, None):
        if token is not None and token.token_type.name != "SEMICOLON":
            statement.append(token)
        elif statement:
            yield _statement(source, statement)
            statement = []


def _statement(source: str, tokens: Sequence[Any]) -> Statement:
    parts = [source[token.start : token.end + 1] for token in tokens]
    ends = [tokens[0].start - 1, *(token.end for token in tokens)]
    spaces = ["" if token.start == end + 1 else " " for token, end in zip(tokens, ends, strict=False)]
    text = _joined(spaces, parts)
    kinds = [token.token_type.name for token in tokens]
    # What a command is given (DO $$ ... $$) is code, and so is the body of a function.
    code = kinds[0] == "COMMAND" or "$" in text
    plain = [part if code or kind not in _QUOTED else "''" for part, kind in zip(parts, kinds, strict=True)]
    constant = parts[0].upper() == "SELECT" and all(
        kind in _CONSTANTS or (kind == "VAR" and previous == "ALIAS") for previous, kind in pairwise(kinds)
    )
    return Statement(
        text,
        _joined(spaces, plain),
        idle=constant or _NOTHING.fullmatch(text) is not None,
        raises=_RAISES.match(text) is not None,
    )


def _joined(spaces: Sequence[str], parts: Sequence[str]) -> str:
    return " ".join("".join(map("".join, zip(spaces, parts, strict=True))).split())
