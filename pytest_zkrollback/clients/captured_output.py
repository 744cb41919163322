"""What a program wrote, however much it was."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from typing import IO

_CHUNK_BYTES = 1 << 20


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
