"""Questions to the operator at a real terminal: /dev/tty, one line, with a time limit."""

from __future__ import annotations

import os
import select

from .domain.ports import Clock
from .record.inert import inert_line

_TTY = "/dev/tty"
_LINE_BYTES = 4096


def ask(question: str, clock: Clock, timeout_s: float) -> str:
    """The line that was typed, stripped; empty for none: no terminal, no answer in time, end of input.

    pytest captures standard input, so the controlling terminal itself is asked. The question's text is made
    inert line by line: evidence in it comes from the cluster.
    """
    try:
        terminal = os.open(_TTY, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        os.write(terminal, "\n".join(map(inert_line, question.splitlines())).encode() + b" ")
        return _read_line(terminal, clock, clock.monotonic_s() + timeout_s)
    except OSError:
        return ""
    finally:
        os.close(terminal)


def _read_line(terminal: int, clock: Clock, end_s: float) -> str:
    """What was typed up to the line's end; a line that was begun and not ended in time counts as none."""
    typed = b""
    while not typed.endswith(b"\n"):
        left_s = end_s - clock.monotonic_s()
        if left_s <= 0 or not select.select([terminal], [], [], left_s)[0]:
            os.write(terminal, b"\n(no answer in time)\n")
            return ""
        more = os.read(terminal, _LINE_BYTES)
        if not more:
            return ""
        typed += more
    return typed.decode(errors="replace").strip()
