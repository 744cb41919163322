"""How the C library keeps what was freed."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# malloc.h
_M_ARENA_MAX = -8


def limit_malloc_arenas() -> None:
    """Let all threads that begin from now on take memory from one place.

    glibc gives every thread a place of its own, up to eight for each processor, and each keeps a few
    megabytes of what it freed. Answers of a megabyte are read by many threads here, one after the other: 15
    to 20 MB that nobody used. Python lets one thread run at a time, so nobody waits. Without glibc: nothing.
    """
    with suppress(OSError, TypeError, AttributeError):  # no dynamic linker, Windows, another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
