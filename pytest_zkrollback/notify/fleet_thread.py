"""Tells the team of a fleet: its start, the end of each wave, its end. Nothing here holds up the run.

Each channel has a thread of its own, in which one message follows the other: what the start opened is what
the rest answers in. Only the end is waited for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from ..clients.threads import start_thread
from ..domain.errors import NotifyProblem, UsageProblem, ZkRollbackError
from ..domain.fleet import FleetRecord
from ..domain.ports import Clock
from ..domain.record import Delivery, NotificationEvent
from .channels import Unusable
from .fleet_channels import FleetChannel
from .fleet_text import FleetNews

_TICK_S = 0.05
# Of the patience with the end: then what came before it is no longer tried again.
_SHARE_OF_EARLIER = 0.35
_UNANSWERED = "no answer came while we waited for it"


class FleetThread:
    """One fleet run's messages."""

    def __init__(
        self,
        channels: Sequence[FleetChannel],
        clock: Clock,
        redact: Callable[[FleetRecord], FleetRecord],
        clean: Callable[[str], str] = str,
    ) -> None:
        """Nothing is contacted before :meth:`start`. ``redact`` and ``clean`` take secrets out."""
        self.channels = tuple(channels)
        self._clock = clock
        self._redact = redact
        self._clean = clean
        self._lines = [_Line(channel, self._deliver) for channel in self.channels]
        self._earlier: list[threading.Event] = []

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why some channels cannot work, in sentences; known before anything is contacted."""
        return tuple(str(each.problem) for each in self.channels if isinstance(each, Unusable))

    def start(self, record: FleetRecord) -> None:
        """Tell that the first wave begins; returns at once."""
        self._put(FleetNews(NotificationEvent.START, self._redact(record)))

    def wave(self, record: FleetRecord, number: int) -> None:
        """Tell how a wave ended; returns at once. The last one's is not told: the end follows."""
        if number < max((each.number for each in record.waves), default=0):
            self._put(FleetNews(NotificationEvent.WAVE, self._redact(record), number))

    def end(
        self, record: FleetRecord, patience_s: float, stop: Callable[[], bool] = lambda: False
    ) -> tuple[Delivery, ...]:
        """Tell how it ended, and return what became of all messages, channel by channel.

        Returns after ``patience_s`` at the latest, or when ``stop()`` is true; who has not answered by then
        may have it.
        """
        earlier, began_s = [*self._earlier], self._clock.monotonic_s()
        self._put(FleetNews(NotificationEvent.VERDICT, self._redact(record)))
        while not all(line.idle.wait(_TICK_S) for line in self._lines) and not stop():
            waited_s = self._clock.monotonic_s() - began_s
            if waited_s > patience_s:
                break
            if waited_s > patience_s * _SHARE_OF_EARLIER:
                _cancel(earlier)
        _cancel(self._earlier)
        return tuple(each for line in self._lines for each in line.close(self._unanswered))

    def _put(self, news: FleetNews) -> None:
        self._earlier.append(news.cancelled)
        for line in self._lines:
            line.put(news)

    def _deliver(self, channel: FleetChannel, news: FleetNews) -> Delivery:
        try:
            delivery = channel.tell(news)
        except NotifyProblem as problem:
            delivery = self._failed(channel, str(problem), refused=not problem.maybe_sent)
        except UsageProblem as problem:  # of a channel that could not even be made
            delivery = self._failed(channel, str(problem), unsent=True)
        except ZkRollbackError as problem:
            delivery = self._failed(channel, str(problem))
        except BaseException as error:  # noqa: BLE001 - whatever it is must not end the thread
            delivery = self._failed(channel, f"{type(error).__name__}: {error}")
        return self._stamped(delivery, news)

    def _failed(
        self, channel: FleetChannel, said: str, *, refused: bool = False, unsent: bool = False
    ) -> Delivery:
        return Delivery(to=channel.name, ok=False, refused=refused, unsent=unsent, answer=self._clean(said))

    def _unanswered(self, channel: FleetChannel, news: FleetNews) -> Delivery:
        return self._stamped(self._failed(channel, _UNANSWERED), news)

    def _stamped(self, delivery: Delivery, news: FleetNews) -> Delivery:
        return delivery.model_copy(update={"event": news.event, "at": self._clock.now()})


def _cancel(events: Sequence[threading.Event]) -> None:
    for each in events:
        each.set()


class _Line:
    """One channel's messages, in their order, in a daemon thread."""

    def __init__(self, channel: FleetChannel, deliver: Callable[[FleetChannel, FleetNews], Delivery]) -> None:
        self._channel = channel
        self._deliver = deliver
        self._waiting: queue.SimpleQueue[FleetNews] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open: list[FleetNews] = []
        self._done: list[Delivery] = []
        self._closed = self._started = False
        self.idle = threading.Event()
        self.idle.set()

    def put(self, news: FleetNews) -> None:
        with self._lock:
            self._open.append(news)
            self.idle.clear()
            self._waiting.put(news)
            if not self._started:
                self._started = True
                start_thread(f"tell-{self._channel.name}", self._work)

    def close(self, unanswered: Callable[[FleetChannel, FleetNews], Delivery]) -> list[Delivery]:
        """All deliveries; what has not answered by now is written down as that, and nothing follows."""
        with self._lock:
            self._closed = True
            return [*self._done, *(unanswered(self._channel, news) for news in self._open)]

    def _work(self) -> None:
        while True:
            news = self._waiting.get()
            if self._closed:
                return
            delivery = self._deliver(self._channel, news)
            with self._lock:
                if self._closed:
                    return
                self._open.remove(news)
                self._done.append(delivery)
                if not self._open:
                    self.idle.set()
