"""The one module for signals: SIGINT, SIGTERM and SIGHUP all ask the run to end with its record."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Signals:
    """Counts the signals that asked us to stop.

    Usually a handler only counts, and the run looks at ``count`` at safe points, so that a record is
    never torn. Inside :meth:`raising` the first one also raises KeyboardInterrupt, to end a wait at once.
    """

    def __init__(self) -> None:
        """Nothing is installed yet."""
        self.count = 0
        self.name = ""
        self._raising = False
        self._before: dict[int, Any] = {}

    @property
    def spoken(self) -> str:
        """The signal in an operator's words."""
        return "Ctrl-C" if self.name in ("SIGINT", "") else self.name

    def install(self) -> None:
        """Take over; what is ignored (nohup, a shell's background job) stays ignored."""
        for number in _WATCHED:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:
                return  # not the main thread (pytest embedded): its owner keeps the signals

    def restore(self) -> None:
        """Give the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextmanager
    def raising(self) -> Iterator[None]:
        """While nothing can be torn: a signal raises KeyboardInterrupt; one that came before does so now."""
        if self.count:
            raise KeyboardInterrupt
        before, self._raising = self._raising, True
        try:
            yield
        except BaseException:
            self._raising = False
            raise
        self._raising = before

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.name = signal.Signals(number).name
        if self._raising:
            self._raising = False
            raise KeyboardInterrupt


@contextmanager
def terminal_stops_blocked() -> Iterator[None]:
    """A job in the background that touches its terminal gets an OSError, and is not stopped."""
    stops = (signal.SIGTTIN, signal.SIGTTOU)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
