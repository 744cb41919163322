"""File locks: the kernel takes them back from whoever ends, in whatever way."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on ``path``; ``waiting`` is called first if somebody else holds it. Raises OSError."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_held(file: IO[str]) -> bool:
    """Whether some process holds the lock on this file, which may have been removed since it was opened."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock on ``path``; False if there is no such file."""
    try:
        with path.open() as file:
            return is_held(file)
    except OSError:
        return False
