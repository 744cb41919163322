"""Who writes the records of a folder: a run itself, and who adds to its record. Locks of the kernel's.

A process that ends, however it ends, holds none any more. Where the file system knows no locks there are
none: a note compares what it has read before it replaces it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_S = 0.005


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else adds to records in ``folder``; a file is replaced, so the folder is what is locked.

    Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def beside_none_alone_in(folder: Path, wait_s: float) -> Iterator[bool]:
    """Nobody is :func:`alone_in` ``folder``; False where that was not so within ``wait_s`` seconds.

    Runs do not wait for each other. Never raises for want of a lock.
    """
    descriptor = None
    try:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
        yield descriptor is not None and _shared(descriptor, wait_s)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _shared(descriptor: int, wait_s: float) -> bool:
    pause, left = threading.Event(), round(wait_s / _POLL_S)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if left <= 0:
                return False
            left -= 1
            pause.wait(_POLL_S)
        except OSError:
            return False
        else:
            return True


class Held:
    """Marks the file that stands at a path as a living process's, until the next one or :meth:`release`."""

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._descriptor: int | None = None

    def hold(self, path: Path) -> None:
        """Hold the file that is there now, and no other; where that cannot be done, none."""
        self.release()
        with suppress(OSError):
            self._descriptor = os.open(path, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Hold none."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the file; False also where that cannot be found out."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
