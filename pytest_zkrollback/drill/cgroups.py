"""Cgroup folders of a drill's own, under one name in every hierarchy: no namespace takes them with it.

Whoever made them holds a lock on each: one that nobody locks was left by a drill that was killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..clients.clock import SystemClock
from .supervised import PREFIX

_GONE_S = 10.0


def hierarchies(mounts: Path = Path("/proc/self/mounts")) -> list[Path]:
    """Where cgroups are made: the folder of v2, of each controller of v1, or both."""
    found = [line.split(" ")[1:3] for line in mounts.read_text().splitlines()]
    return list(dict.fromkeys(Path(where) for where, kind in found if kind in ("cgroup", "cgroup2")))


def make(name: str) -> list[int]:
    """Make the folders and lock them, for as long as the file descriptors are open. Raises OSError."""
    return [_make_locked(each / name) for each in hierarchies()]


def _make_locked(folder: Path) -> int:
    while True:
        folder.mkdir(exist_ok=True)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another start took it for left over, in this very moment
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        if folder.exists() and folder.stat().st_ino == os.fstat(fd).st_ino:
            return fd
        os.close(fd)


def remove(name: str) -> None:
    """Remove them, once what ran in them is gone; waits for that. Raises OSError."""
    clock = SystemClock()
    deadline = clock.monotonic_s() + _GONE_S
    for each in hierarchies():
        while True:
            try:
                _remove_tree(each / name)
                break
            except OSError as error:
                if error.errno != errno.EBUSY or clock.monotonic_s() > deadline:
                    raise
                clock.sleep(0.02)


def sweep() -> None:
    """Remove what killed drills left."""
    for folder in _left_over():
        try:
            _remove_tree(folder)
        except OSError as error:  # it is in use after all, or not ours
            print(f"{folder} stays: {error.strerror}", file=sys.stderr)


def _left_over() -> Iterator[Path]:
    for each in hierarchies():
        for folder in each.glob(f"{PREFIX}*"):
            try:
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield folder
            except BlockingIOError:
                pass
            finally:
                os.close(fd)


def _remove_tree(folder: Path) -> None:
    for current, _, _ in os.walk(folder, topdown=False):
        with suppress(FileNotFoundError):
            Path(current).rmdir()


if __name__ == "__main__":
    remove(sys.argv[1])
