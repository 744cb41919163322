"""Questions to the operator at a real terminal: /dev/tty, one line, with a time limit that counts down."""

from __future__ import annotations

import codecs
import math
import os
import re
import select
import termios
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len

from ..domain.ports import Clock
from ..report.sanitize import inert_line
from .signals import terminal_stops_blocked

_TTY = "/dev/tty"
_LINE_BYTES = 4096
_WIDTH = 80  # of a terminal that does not say
_INDENT = "    "
_KEYS = re.compile(r"\x1b(?:\[[0-9;?]*[@-~]|O.|.)?")  # arrows and the like
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
    """Ask, and wait for one line until the monotonic clock says ``until_s``; the seconds left count down.

    pytest captures standard input, so the controlling terminal itself is asked. The question's text is made
    inert line by line: evidence in it comes from the cluster. It is broken between words at the terminal's
    width. What was typed or pasted before the question was on the screen is thrown away: it cannot be an
    answer to it.
    """
    try:
        terminal = os.open(_TTY, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return Reply(silence="there is no terminal to ask on")
    try:
        if not _in_front(terminal):  # to touch the terminal would stop a job in the background
            return Reply(silence=_IN_BACKGROUND)
        with terminal_stops_blocked():
            return _ask(terminal, question, clock, until_s)
    except (OSError, termios.error):
        return Reply(silence="the terminal could not be read")
    finally:
        os.close(terminal)


def parse_consent(text: str) -> str | None:
    """The reason in ``yes because ...``: empty for ``yes`` alone, None where another word comes first."""
    found = _YES.fullmatch(text.strip())
    return None if found is None else (found["why"] or "").strip()


def _ask(terminal: int, question: str, clock: Clock, until_s: float) -> Reply:
    """With the terminal's own editing off: it would not let the seconds count down beside what is typed."""
    modes = termios.tcgetattr(terminal)
    ours = [*modes[:6], [*modes[6]]]
    ours[3] &= ~(termios.ICANON | termios.ECHO)
    ours[6][termios.VMIN], ours[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, ours)
        width = os.get_terminal_size(terminal).columns or _WIDTH
        _write(terminal, "".join(f"{line}\n" for line in _fitted(question, width)))
        reply = _read_line(terminal, clock, until_s, width)
        if _in_front(terminal):
            _write(terminal, f"\n({reply.silence})\n" if reply.silence else "\n")
        return reply
    finally:
        if _in_front(terminal):  # half a line would be the shell's next command
            termios.tcsetattr(terminal, termios.TCSAFLUSH, modes)


def _in_front(terminal: int) -> bool:
    return os.tcgetpgrp(terminal) == os.getpgrp()


def _fitted(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines += wrap(
            inert_line(line),
            width,
            initial_indent=indent,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _write(terminal: int, text: str) -> None:
    left = text.encode()
    while left:
        left = left[os.write(terminal, left) :]


class _Line:
    """The line that is being typed: what the terminal's own editing knows, and no more."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""

    def feed(self, typed: bytes) -> bool:
        """Take what was typed; True when the line has ended. Raises EOFError where the input has."""
        if not typed:
            raise EOFError
        for sign in _KEYS.sub("", self._decoder.decode(typed)):
            if sign in "\r\n":
                return True
            if sign == "\x04" and not self.text:  # Ctrl-D
                raise EOFError
            if sign in "\x7f\b":
                self.text = self.text[:-1]
            elif sign == "\x15":  # Ctrl-U: the whole line
                self.text = ""
            elif sign == "\x17":  # Ctrl-W: the last word
                self.text = re.sub(r"\S*\s*$", "", self.text)
            elif sign.isprintable():
                self.text += sign
        return False

    def shown(self, before: str, width: int) -> str:
        """The line as one row: of a long one, its end."""
        text = self.text
        while text and cell_len(before + text) >= width:
            text = text[1:]
        return before + text


def _read_line(terminal: int, clock: Clock, until_s: float, width: int) -> Reply:
    """What was typed up to the line's end; a line that was begun and not ended in time counts as none."""
    line, shown, ended = _Line(), "", False
    while True:
        left_s = until_s - clock.monotonic_s()
        row = line.shown(f"{max(0, math.ceil(left_s))} s to answer: ", width)
        if row != shown:  # spaces, not a control sequence: every terminal knows them
            _write(terminal, "\r" + " " * cell_len(shown) + "\r" + row)
            shown = row
        if ended:
            return Reply(line.text.strip())
        if left_s <= 0:
            return Reply(silence="no answer in time")
        typed = select.select([terminal], [], [], left_s - math.ceil(left_s) + 1)[0]
        if not _in_front(terminal):
            return Reply(silence=_IN_BACKGROUND)
        try:
            ended = bool(typed) and line.feed(os.read(terminal, _LINE_BYTES))
        except EOFError:
            return Reply(silence="the input ended")
