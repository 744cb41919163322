"""What a program wrote, however much it was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from ..domain.ports import Clock

_CHUNK_BYTES = 1 << 20
_LINE_LIMIT_BYTES = 64 * 1024
# At once, and from then on in each second. Nobody reads more, and a CI's log is kept for months.
_LINES, _LINES_PER_S = 2_000, 100
_BYTES, _BYTES_PER_S = 256 * 1024, 16 * 1024


class Bounded:
    """Bytes of any amount, kept as head and tail."""

    def __init__(self, limit_bytes: int) -> None:
        """Keep at most ``limit_bytes``."""
        self._half = max(limit_bytes // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self._half - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        surplus = len(self._tail) - self._half
        if surplus > 0:
            del self._tail[:surplus]
            self._left_out += surplus

    def text(self) -> str:
        """What was kept, decoded with replacement, and how much was left out between head and tail."""
        if not self._left_out:
            return (self._head + self._tail).decode(errors="replace")
        head, tail = self._head.decode(errors="replace"), self._tail.decode(errors="replace")
        return f"{head}\n[... {self._left_out} bytes left out ...]\n{tail}"


class LineRelay:
    """Hands lines on while somebody can read them, and says how much it left out."""

    def __init__(self, on_line: Callable[[str], None], clock: Clock) -> None:
        """``on_line`` gets each line; those above 64 KB come in pieces."""
        self._on_line = on_line
        self._clock = clock
        self._lines, self._bytes = float(_LINES), float(_BYTES)
        self._filled_at = clock.monotonic_s()
        self._left_lines = self._left_bytes = 0
        self._pending: dict[int, bytes] = {}

    def add(self, stream: int, chunk: bytes) -> None:
        """Take the next bytes of one of the streams, in time proportional to their number."""
        data = self._pending.get(stream, b"") + chunk
        start = 0
        while self._has_room() and (end := data.find(b"\n", start)) >= 0:
            self._hand_on(data[start:end])
            start = end + 1
        # Without room the lines are only counted.
        over, newline, rest = data[start:].rpartition(b"\n")
        if newline:
            self._leave_out(over.count(b"\n") + 1, len(over) + 1)
        if len(rest) > _LINE_LIMIT_BYTES:
            if self._has_room():
                self._hand_on(rest)
            else:
                self._leave_out(0, len(rest))
            rest = b""
        self._pending[stream] = rest

    def end(self) -> None:
        """Hand on what has no end of its line, and say what was left out."""
        for rest in self._pending.values():
            if rest and self._has_room():
                self._hand_on(rest)
            elif rest:
                self._leave_out(1, len(rest))
        self._pending.clear()
        self._say_left_out()

    def _has_room(self) -> bool:
        now = self._clock.monotonic_s()
        passed_s, self._filled_at = now - self._filled_at, now
        self._lines = min(self._lines + passed_s * _LINES_PER_S, _LINES)
        self._bytes = min(self._bytes + passed_s * _BYTES_PER_S, _BYTES)
        return self._lines >= 1 and self._bytes >= 1

    def _hand_on(self, line: bytes) -> None:
        self._say_left_out()
        self._lines -= 1
        self._bytes -= len(line) + 1
        self._on_line(line.decode(errors="replace").removesuffix("\r"))

    def _leave_out(self, lines: int, size: int) -> None:
        self._left_lines += lines
        self._left_bytes += size

    def _say_left_out(self) -> None:
        if self._left_bytes:
            self._on_line(f"[... {self._left_lines} lines ({self._left_bytes} bytes) not shown ...]")
        self._left_lines = self._left_bytes = 0


class OutputFiles:
    """Two nameless temporary files for a program's outputs; without a disk, nothing is kept."""

    def __init__(self) -> None:
        """Open both."""
        self._files: tuple[IO[bytes], ...] = ()
        with suppress(OSError):
            self._files = (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115 - closed by close()

    @property
    def stdout(self) -> IO[bytes] | None:
        """The file for standard output, or None."""
        return self._files[0] if self._files else None

    @property
    def stderr(self) -> IO[bytes] | None:
        """The file for standard error, or None."""
        return self._files[1] if self._files else None

    def read_into(self, both: Bounded, *each: Bounded) -> None:
        """Hand on what was written, standard output first."""
        for file, kept in zip(self._files, each, strict=False):
            file.seek(0)
            while chunk := file.read(_CHUNK_BYTES):
                kept.add(chunk)
                both.add(chunk)

    def close(self) -> None:
        """Forget both."""
        for file in self._files:
            file.close()
