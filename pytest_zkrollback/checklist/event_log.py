"""Reads the namespace's events: all of them page by page, then only what comes to pass.

Ten thousand events are twenty pages, read while helm is at work and followed from there; of each only what
is shown or judged is kept.
"""

from __future__ import annotations

import http.client
import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..domain.errors import BadAnswer, Unreachable
from ..domain.observation import JsonObject
from ..domain.ports import Clock, Kube
from .event_groups import by_time, is_warning, last_seen

SHOWN_LAST = 20  # the runbook's tail -20
_LIST_TIMEOUT_S = 20.0
# A stream is asked for anew this often, from where the last one ended: one that fell silent hides nothing for
# longer, and nothing for good.
_STREAM_S = 5.0
_GRACE_S = 2.0
_PAUSE_S = 1.0


@dataclass(frozen=True)
class EventsRead:
    """``warnings`` from a moment on, ``last`` the last events of all kinds, both oldest first; ``total``."""

    warnings: tuple[JsonObject, ...]
    last: tuple[JsonObject, ...]
    total: int


@dataclass
class _Kept:
    """Of all events: the warnings from ``start`` on, the last of all kinds, how many there are."""

    start: datetime
    warnings: dict[str, JsonObject] = field(default_factory=dict)
    last: dict[str, JsonObject] = field(default_factory=dict)
    total: int = 0

    def take(self, events: Iterable[JsonObject]) -> None:
        """Events as they are now; ``total`` is for the caller to count."""
        known = dict(self.last)
        for event in events:
            key = _key(event)
            known[key] = event
            self.warnings.pop(key, None)
            if is_warning(event) and _counts(event, self.start):
                self.warnings[key] = event
        self.last = {_key(event): event for event in by_time(known.values())[-SHOWN_LAST:]}

    def drop(self, event: JsonObject) -> None:
        """It exists no more."""
        for known in (self.warnings, self.last):
            known.pop(_key(event), None)

    def read(self, start: datetime) -> EventsRead:
        """From a moment on that is not before ``self.start``."""
        warnings = (event for event in self.warnings.values() if _counts(event, start))
        return EventsRead(tuple(by_time(warnings)), tuple(by_time(self.last.values())), self.total)


class EventLog:
    """The events of one namespace."""

    def __init__(self, kube: Kube, namespace: str, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._clock = clock
        self._path = f"/api/v1/namespaces/{namespace}/events"
        self._news = threading.Condition()
        self._over = threading.Event()
        self._reading = False
        self._kept, self._version = _Kept(datetime.max.replace(tzinfo=UTC)), ""
        self._good_until_s = -math.inf

    def begin(self, since: datetime) -> None:
        """Read and follow them in a thread: as long as that goes well, :meth:`read` has nothing to ask."""
        self._reading = True
        start = since.replace(microsecond=0)
        threading.Thread(target=self._follow, args=(start,), name="zkrollback-events", daemon=True).start()

    def stop(self) -> None:
        """Follow them no longer: :meth:`read` asks the API server. Does not wait for the thread."""
        self._over.set()

    def read(self, since: datetime) -> EventsRead:
        """What is there now. Raises ClusterError.

        API times are often whole seconds, so ``since`` is taken as one.
        """
        start = since.replace(microsecond=0)
        with self._news:
            self._news.wait_for(lambda: not self._reading, _LIST_TIMEOUT_S)
            good = self._clock.monotonic_s() < self._good_until_s and not self._over.is_set()
            if good and self._kept.start <= start:
                return self._kept.read(start)
        return self._list(start)[0].read(start)

    def _follow(self, start: datetime) -> None:
        """List, then watch from there, stream after stream, until stopped.

        After an error nothing is missed, as the next stream begins where the last one broke off; but until
        one has ended well :meth:`read` asks for itself.
        """
        try:
            while not self._over.is_set():
                begun_s = self._clock.monotonic_s()
                try:
                    if not self._version:
                        self._begin_anew(start)
                    self._stream()
                except (BadAnswer, Unreachable) as error:
                    self._is_good_at(-math.inf)
                    if isinstance(error, BadAnswer) and error.status == http.client.GONE:
                        self._version = ""  # ordinary: the place has been compacted
                # A server that ends every stream at once must not be asked in a tight loop.
                if self._clock.monotonic_s() - begun_s < _STREAM_S / 2:
                    self._over.wait(_PAUSE_S)
        except Exception:  # noqa: BLE001, S110 - whatever it is, read() meets it, too, and there it is said
            pass
        finally:
            self._is_good_at(-math.inf)

    def _begin_anew(self, start: datetime) -> None:
        begun_s = self._clock.monotonic_s()
        kept, version = self._list(start)
        with self._news:
            self._kept, self._version = kept, version
        self._is_good_at(begun_s)

    def _stream(self) -> None:
        """Take what comes to pass, until the server ends the stream."""
        for news in self._kube.watch(self._path, self._version, timeout_s=_STREAM_S):
            if self._over.is_set():
                return
            kind, event = news["type"], news["object"]
            with self._news:
                if kind == "DELETED":
                    self._kept.drop(event)
                else:
                    self._kept.take([event])
                self._kept.total += {"ADDED": 1, "MODIFIED": 0, "DELETED": -1}[kind]
                self._version = event["metadata"]["resourceVersion"]
        self._is_good_at(self._clock.monotonic_s())

    def _is_good_at(self, moment_s: float) -> None:
        """All that had come to pass by then is known."""
        with self._news:
            self._reading = False
            self._good_until_s = moment_s + _STREAM_S + _GRACE_S
            self._news.notify_all()

    def _list(self, start: datetime) -> tuple[_Kept, str]:
        try:
            return self._every_page(start)
        except BadAnswer as error:
            if error.status != http.client.GONE:
                raise
        return self._every_page(start)  # a continue token expired, which may happen

    def _every_page(self, start: datetime) -> tuple[_Kept, str]:
        kept, version = _Kept(start), ""
        for page, listed in self._kube.pages(self._path, timeout_s=_LIST_TIMEOUT_S, lean=True):
            kept.take(page)
            kept.total += len(page)
            version = listed
        return kept, version


def _counts(event: JsonObject, start: datetime) -> bool:
    at = last_seen(event)
    return at is None or at >= start


def _key(event: JsonObject) -> str:
    metadata = event["metadata"]
    return str(metadata.get("uid") or metadata.get("name") or id(event))
