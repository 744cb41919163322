"""Time: the one module that reads it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

_HEADER_RESOLUTION = timedelta(seconds=1)


class SystemClock:
    """The Clock port: this machine's clock, set right by what the API server says (Date header)."""

    def __init__(self) -> None:
        """Begin with this machine's own idea of the time."""
        self._lock = threading.Lock()
        self._offset = timedelta(0)

    @property
    def offset_s(self) -> float:
        """Seconds by which the server's clock is known to be ahead of this machine's."""
        return self._offset.total_seconds()

    def now(self) -> datetime:
        """Server time, aware, UTC; this machine's time until :meth:`learn` knew better."""
        return datetime.now(UTC) + self._offset

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait ``seconds``; none if negative."""
        time.sleep(max(0.0, seconds))

    def learn(self, server_date: datetime, elapsed_s: float = 0.0) -> None:
        """Move to the server's clock, by as little as its Date header allows.

        ``server_date`` is aware and cut to whole seconds, as HTTP has it; ``elapsed_s`` is how long ago
        the request was sent, so the server's clock now lies in [date, date + 1 s + elapsed].
        """
        with self._lock:
            local = datetime.now(UTC)
            earliest = server_date - local
            latest = earliest + _HEADER_RESOLUTION + timedelta(seconds=elapsed_s)
            self._offset = min(max(self._offset, earliest), latest)
