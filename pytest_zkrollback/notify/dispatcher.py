"""Tells the team, beside everything else: the start, the first verdict, and a verdict that changed.

Each channel is told in a daemon thread of its own: one that hangs holds up neither helm, nor the exit, nor
the other channels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from functools import partial

from ..clients.threads import start_thread, submit
from ..domain.errors import NotifyProblem, UsageProblem, ZkRollbackError
from ..domain.notification import Notification
from ..domain.ports import Clock
from ..domain.record import Delivery, NotificationEvent, Outcome, Record
from ..report.outcome import for_message
from ..report.recorder import Recorder
from ..report.summary import provisional
from .channels import Unusable
from .interface import Channel

_TICK_S = 0.05


class NotificationDispatcher:
    """One run's messages. ``off`` says why nobody is told; empty: the channels are."""

    def __init__(
        self,
        channels: Sequence[Channel],
        recorder: Recorder,
        clock: Clock,
        *,
        off: str = "",
    ) -> None:
        """Nothing is contacted before :meth:`notify_started` or :meth:`notify_verdict`."""
        self.off = off
        self.channels = () if off else tuple(channels)
        self.last_outcome: Outcome | None = None
        self.started = False
        self._recorder = recorder
        self._clock = clock
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._starting: dict[int, Channel] = {}
        self._closed = False

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why some channels cannot work, in sentences; known before anything is contacted."""
        return tuple(str(each.problem) for each in self.channels if isinstance(each, Unusable))

    def notify_started(self) -> None:
        """Tell that it has started; returns at once, and is to be called once it has."""
        if self.started:
            return
        self.started = True
        self._starting = dict(enumerate(self.channels))
        record = self._recorder.snapshot()
        for key, channel in enumerate(self.channels):
            start_thread(
                f"tell-{channel.name}",
                partial(self._tell_start, key, channel, record, self._cancelled),
            )

    def notify_verdict(
        self,
        outcome: Callable[[], Outcome],
        patience_s: float,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[Delivery, ...]:
        """Tell how the run stands, to every channel at once, and wait for what they answer.

        ``outcome()``: of all that is known but these messages. It is asked when the record is read.

        Returns after ``patience_s`` at the latest, or when ``stop()`` is true; who has not answered by then
        may have it. An event that is none for a channel leaves no delivery.
        """
        self._recorder.wait_written()
        return self._send(self._next(outcome), patience_s, stop)

    def _next(self, ask_outcome: Callable[[], Outcome]) -> Notification:
        """The next event, with the record as it stands."""
        self._cancelled.set()  # no earlier message is tried again once a newer one is on its way
        self._cancelled = threading.Event()
        record = self._recorder.redacted
        outcome = ask_outcome()  # after the record: never older than what it shows
        before, self.last_outcome = self.last_outcome, outcome
        return Notification(
            event=NotificationEvent.VERDICT if before is None else NotificationEvent.CHANGED,
            record=for_message(record, outcome, self._clock.now()),
            before=before if before is not outcome else None,
            provisional=provisional(record),
            cancelled=self._cancelled,
        )

    def _send(self, news: Notification, patience_s: float, stop: Callable[[], bool]) -> tuple[Delivery, ...]:
        answers = [
            submit(f"tell-{channel.name}", partial(self._deliver, channel, news)) for channel in self.channels
        ]
        until_s = self._clock.monotonic_s() + patience_s
        while wait(answers, 0).not_done and self._clock.monotonic_s() < until_s and not stop():
            wait(answers, _TICK_S)
        in_time = wait(answers, 0).done
        news.cancelled.set()
        told = (
            answer.result() if answer in in_time else self._unanswered(channel, news.event)
            for channel, answer in zip(self.channels, answers, strict=True)
        )
        deliveries = tuple(each for each in told if each is not None)
        for each in deliveries:
            self._note(each)
        return deliveries

    def close(self) -> None:
        """The run ends: what has not answered by now is written down as that, and nothing follows."""
        with self._lock:
            left, self._starting = self._starting, {}
        for channel in left.values():
            self._note(self._unanswered(channel, NotificationEvent.START))
        self._closed = True

    def _tell_start(
        self, key: int, channel: Channel, record: Callable[[], Record], cancelled: threading.Event
    ) -> None:
        delivery = self._deliver(
            channel,
            Notification(event=NotificationEvent.START, record=record(), cancelled=cancelled),
        )
        with self._lock:
            in_time = self._starting.pop(key, None) is not None
        if delivery is not None and in_time:
            self._note(delivery)

    def _unanswered(self, channel: Channel, event: NotificationEvent) -> Delivery:
        delivery = Delivery(to=channel.name, ok=False, answer="no answer came while we waited for it")
        return self._stamped(delivery, event)

    def _deliver(self, channel: Channel, news: Notification) -> Delivery | None:
        try:
            delivery = channel.tell(news)
        except NotifyProblem as problem:
            delivery = Delivery(
                to=channel.name, ok=False, refused=not problem.maybe_sent, answer=str(problem)
            )
        except UsageProblem as problem:  # of a channel that could not even be made
            delivery = Delivery(to=channel.name, ok=False, unsent=True, answer=str(problem))
        except ZkRollbackError as problem:
            delivery = Delivery(to=channel.name, ok=False, answer=str(problem))
        except BaseException as error:  # noqa: BLE001 - pytest.fail() and sys.exit() must not end the thread
            text = f"{channel.name} failed: {type(error).__name__}: {error}"
            delivery = Delivery(to=channel.name, ok=False, answer=text)
        if delivery is not None and not isinstance(delivery, Delivery):
            text = f"{channel.name} answered {repr(delivery)[:80]}, which is no Delivery"
            delivery = Delivery(to=channel.name, ok=False, answer=text)
        return self._stamped(delivery, news.event) if delivery is not None else None

    def _note(self, delivery: Delivery) -> None:
        if self._closed:  # an answer to a message that was overtaken when the run was interrupted
            return
        self._recorder.delivery(delivery)
        unsure = "is not known to have been told"
        became = (
            "was told" if delivery.ok else "was not told" if delivery.refused or delivery.unsent else unsure
        )
        text = f"{delivery.to} {became}: {delivery.event}"
        if not delivery.ok:
            text += f" ({delivery.answer[:200]})"
        self._recorder.event(text, "zkrollback", delivery.at)

    def _stamped(self, delivery: Delivery, event: NotificationEvent) -> Delivery:
        return delivery.model_copy(update={"event": event, "at": self._clock.now()})
