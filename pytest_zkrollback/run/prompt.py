"""Questions to the operator at a real terminal: /dev/tty, one line, with a time limit."""

from __future__ import annotations

import os
import re
import select
import termios
from dataclasses import dataclass

from ..domain.ports import Clock
from ..report.sanitize import inert_line
from .signals import terminal_stops_blocked

_TTY = "/dev/tty"
_LINE_BYTES = 4096
_IN_BACKGROUND = "this run is in the background of its terminal"
_YES = re.compile(r"yes(?:[\s,.:;!][\s,.:;!-]*(?P<why>.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """The line that was typed, stripped; or, where there is none, why not (``silence``)."""

    text: str = ""
    silence: str = ""

    @property
    def spoken(self) -> str:
        """For the record: the line in quotes, or why there is none."""
        return self.silence or f'"{inert_line(self.text)}"'


def ask(question: str, clock: Clock, until_s: float) -> Reply:
    """Ask, and wait for one line until the monotonic clock says ``until_s``.

    pytest captures standard input, so the controlling terminal itself is asked. The question's text is made
    inert line by line: evidence in it comes from the cluster. What was typed or pasted before the question
    was on the screen is thrown away: it cannot be an answer to it.
    """
    try:
        terminal = os.open(_TTY, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return Reply(silence="there is no terminal to ask on")
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():  # to touch the terminal would stop a job in the background
            return Reply(silence=_IN_BACKGROUND)
        termios.tcflush(terminal, termios.TCIFLUSH)
        _write(terminal, "\n".join(map(inert_line, question.splitlines())) + " ")
        with terminal_stops_blocked():
            reply = _read_line(terminal, clock, until_s)
            if reply.silence and os.tcgetpgrp(terminal) == os.getpgrp():
                termios.tcflush(terminal, termios.TCIFLUSH)  # half a line would be the shell's next command
                _write(terminal, f"\n({reply.silence})\n")
        return reply
    except (OSError, termios.error):
        return Reply(silence="the terminal could not be read")
    finally:
        os.close(terminal)


def parse_consent(text: str) -> str | None:
    """The reason in ``yes because ...``: empty for ``yes`` alone, None where another word comes first."""
    found = _YES.fullmatch(text.strip())
    return None if found is None else (found["why"] or "").strip()


def _write(terminal: int, text: str) -> None:
    left = text.encode()
    while left:
        left = left[os.write(terminal, left) :]


def _read_line(terminal: int, clock: Clock, until_s: float) -> Reply:
    """What was typed up to the line's end; a line that was begun and not ended in time counts as none."""
    typed = b""
    while not typed.endswith(b"\n"):
        left_s = until_s - clock.monotonic_s()
        if left_s <= 0 or not select.select([terminal], [], [], left_s)[0]:
            return Reply(silence="no answer in time")
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return Reply(silence=_IN_BACKGROUND)
        more = os.read(terminal, _LINE_BYTES)
        if not more:
            return Reply(silence="the input ended")
        typed += more
    return Reply(typed.decode(errors="replace").strip())
