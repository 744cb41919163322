"""Time: the one module that reads it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

_HEADER_RESOLUTION = timedelta(seconds=1)
# Several API servers answer at one address, and one of them may have another time than the rest.
_SAME = timedelta(seconds=5)
_BELIEVED_S = 60.0


class SystemClock:
    """The Clock port: this machine's clock, set right by what the API server says (Date header).

    Where Dates differ, the one that is nearer to this machine's clock counts: two wrong clocks do not agree.
    Another one is believed when nothing else was heard for a minute, or when this machine's clock was set.
    """

    def __init__(self) -> None:
        """Begin with this machine's own idea of the time."""
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._heard: tuple[datetime, float] | None = None  # the last Date that agreed: own time, monotonic
        self._disagreement = timedelta(0)

    @property
    def offset_s(self) -> float:
        """Seconds by which the server's clock is known to be ahead of this machine's."""
        return self._offset.total_seconds()

    @property
    def disagreement_s(self) -> float:
        """The most by which the Dates of one address were seen to differ, in seconds; 0: they agree."""
        return self._disagreement.total_seconds()

    def now(self) -> datetime:
        """Server time, aware, UTC; this machine's time until :meth:`learn` knew better."""
        return self.own_now() + self._offset

    def own_now(self) -> datetime:
        """This machine's time, aware, UTC, whatever a server says."""
        return datetime.now(UTC)

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
            local, passed_s = self.own_now(), self.monotonic_s()
            earliest = server_date - local
            latest = earliest + _HEADER_RESOLUTION + timedelta(seconds=elapsed_s)
            offset = min(max(self._offset, earliest), latest)
            if self._is_another(offset, local, passed_s):
                self._disagreement = max(self._disagreement, abs(offset - self._offset))
                if abs(offset) > abs(self._offset):
                    return
            self._offset, self._heard = offset, (local, passed_s)

    def _is_another(self, offset: timedelta, local: datetime, passed_s: float) -> bool:
        """Whether that is another clock than the one that was heard just before."""
        if self._heard is None or abs(offset - self._offset) <= _SAME:
            return False
        since_s = passed_s - self._heard[1]
        was_set = abs(local - self._heard[0] - timedelta(seconds=since_s)) > _SAME
        return since_s < _BELIEVED_S and not was_set
