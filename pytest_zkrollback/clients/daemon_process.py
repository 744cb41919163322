"""Talking by lines to a program that left our process tree (:func:`.process.start_daemon` starts it)."""

from __future__ import annotations

import os
import selectors
import threading
from contextlib import suppress
from typing import IO

from ..domain.errors import ProcessProblem
from ..domain.ports import Clock

_CHUNK_BYTES = 64 * 1024


class Daemon:
    """A program that left our process tree, and the two pipes to talk to it by lines.

    When this program ends, in whatever way, the daemon reads the end of its standard input.
    """

    def __init__(self, to: IO[bytes], answers: IO[bytes], clock: Clock) -> None:
        """Keep the pipes."""
        self._to = to
        self._answers = answers
        self._clock = clock
        self._rest = b""
        self._asking = threading.Lock()

    def ask(self, line: str, timeout_s: float) -> str:
        """Send a line, return the answer's line; raises ProcessProblem if there is none in time.

        One thread after the other: an answer does not say to whom it is.
        """
        with self._asking:
            try:
                self._to.write(line.encode() + b"\n")
                self._to.flush()
            except OSError:
                raise ProcessProblem("the drill's supervisor is gone: it does not read any more.") from None
            return self.answer(timeout_s)

    def answer(self, timeout_s: float) -> str:
        """The next line that the daemon wrote; raises ProcessProblem if there is none in time."""
        deadline = self._clock.monotonic_s() + timeout_s
        while b"\n" not in self._rest:
            chunk = self._read(deadline - self._clock.monotonic_s())
            if chunk is None:
                raise ProcessProblem(f"the drill's supervisor did not answer within {timeout_s:g} s.")
            if not chunk:
                raise ProcessProblem("the drill's supervisor is gone: it closed its output.")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def close(self, timeout_s: float = 0) -> bool:
        """Close its input; True if it closed its output (it ended) within ``timeout_s`` seconds."""
        with suppress(OSError):
            self._to.close()
        deadline = self._clock.monotonic_s() + timeout_s
        while not self._answers.closed:
            chunk = self._read(deadline - self._clock.monotonic_s())
            if chunk:
                continue
            self._answers.close()
            return chunk is not None
        return True

    def _read(self, wait_s: float) -> bytes | None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(max(wait_s, 0)):
                return None
        return os.read(self._answers.fileno(), _CHUNK_BYTES)
