"""Reads the namespace's events: all of them page by page, then what comes to pass.

Ten thousand events are twenty pages, read while helm is at work and followed from there, and read again
every ten seconds, for a watch may say nothing and be dead; of each only what is shown or judged is kept.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from ...clients.threads import start_thread
from ...domain.checks import JsonObject
from ...domain.errors import BadAnswer, Unreachable
from ...domain.ports import Clock, Kube
from ...engine.cluster_watch import STALE_S
from .grouping import by_time, is_warning, last_seen

SHOWN_LAST = 20  # the runbook's tail -20
_LIST_TIMEOUT_S = 20.0
_RESYNC_S = 10.0
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


class EventFeed:
    """The events of one namespace."""

    def __init__(self, kube: Kube, namespace: str, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._clock = clock
        self._path = f"/api/v1/namespaces/{namespace}/events"
        self._news = threading.Condition()
        self._over = threading.Event()
        self._reading = False
        self._kept: _Kept | None = None
        self._listed_s = 0.0

    def begin(self, since: datetime) -> None:
        """Read and follow them in a thread: as long as that goes well, :meth:`read` has nothing to ask."""
        start = since.replace(microsecond=0)
        with self._news:
            start_thread("zkrollback-events", partial(self._follow, start))
            self._reading = True

    def stop(self) -> None:
        """Follow them no longer: :meth:`read` asks the API server. Does not wait for the thread."""
        self._over.set()
        with self._news:
            self._news.notify_all()

    def read(self, since: datetime) -> EventsRead:
        """What is there now. Raises ClusterError.

        API times are often whole seconds, so ``since`` is taken as one.
        """
        start = since.replace(microsecond=0)
        with self._news:
            self._news.wait_for(lambda: not self._reading or self._over.is_set(), _LIST_TIMEOUT_S)
            kept = None if self._over.is_set() else self._kept
            fresh = self._clock.monotonic_s() - self._listed_s < STALE_S
            if kept is not None and fresh and kept.start <= start:
                return kept.read(start)
        return self._list(start)[0].read(start)

    def _follow(self, start: datetime) -> None:
        """List, watch, list again, until stopped; after an error :meth:`read` asks until the next list."""
        pause_s = 0.0
        while not self._over.wait(pause_s):
            begun_s, pause_s = self._clock.monotonic_s(), _PAUSE_S
            try:
                kept, version = self._list(start)
                self._take(kept, begun_s)
                self._watch(kept, version)
                # A server that ends every stream at once must not be asked in a tight loop.
                if self._clock.monotonic_s() - begun_s > _RESYNC_S / 2:
                    pause_s = 0
            except (BadAnswer, Unreachable):
                self._take(None, begun_s)
            except Exception:  # noqa: BLE001 - a right that is missing, a defect: read() may go on without us
                self._take(None, begun_s)
                pause_s = _RESYNC_S

    def _take(self, kept: _Kept | None, listed_s: float) -> None:
        with self._news:
            self._reading = False
            self._kept, self._listed_s = kept, listed_s
            self._news.notify_all()

    def _watch(self, kept: _Kept, version: str) -> None:
        """Take what comes to pass, until the server ends the stream."""
        for news in self._kube.watch(self._path, version, timeout_s=_RESYNC_S):
            if self._over.is_set():
                return
            kind, event = news["type"], news["object"]
            with self._news:
                if kind == "DELETED":
                    kept.drop(event)
                else:
                    kept.take([event])
                kept.total += {"ADDED": 1, "MODIFIED": 0, "DELETED": -1}[kind]

    def _list(self, start: datetime) -> tuple[_Kept, str]:
        try:
            return self._every_page(start)
        except BadAnswer as error:
            if error.status != http.client.GONE:
                raise
        return self._every_page(start)  # a continue token expired, which may happen

    def _every_page(self, start: datetime) -> tuple[_Kept, str]:
        kept, version = _Kept(start), ""
        for page, listed in self._kube.pages(
            self._path, timeout_s=_LIST_TIMEOUT_S, without_managed_fields=True
        ):
            kept.take(page)
            kept.total += len(page)
            version = listed
        return kept, version


class EventFeeds:
    """One feed for every namespace that holds objects of the release with a state."""

    def __init__(self, kube: Kube, namespaces: Iterable[str], clock: Clock) -> None:
        """Nothing is asked yet."""
        self._feeds = {namespace: EventFeed(kube, namespace, clock) for namespace in namespaces}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where events are read."""
        return tuple(self._feeds)

    def of(self, namespace: str) -> EventFeed:
        """The feed of this namespace."""
        return self._feeds[namespace]

    def begin(self, since: datetime) -> None:
        """Read and follow them all."""
        for feed in self._feeds.values():
            feed.begin(since)

    def stop(self) -> None:
        """Follow them no longer: whoever reads asks the API server."""
        for feed in self._feeds.values():
            feed.stop()


def _counts(event: JsonObject, start: datetime) -> bool:
    at = last_seen(event)
    return at is None or at >= start


def _key(event: JsonObject) -> str:
    metadata = event["metadata"]
    return str(metadata.get("uid") or metadata.get("name") or id(event))
