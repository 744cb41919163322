"""Standard output that cannot stop a run: closed, full or a broken pipe, telling is not acting."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO, cast


class _Unbreakable:
    """Hands everything on to a stream, and swallows what it cannot write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """Nobody listens any more; the interpreter's own last flush must not fail either."""
        self._stream = io.StringIO()
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_stdout() -> None:
    """Before pytest's reporter is made: no word that cannot be written ends the session."""
    stream = sys.stdout if sys.stdout is not None else io.StringIO()
    if not isinstance(stream, _Unbreakable):
        sys.stdout = cast("TextIO", _Unbreakable(stream))
