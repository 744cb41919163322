"""Reads the namespace's events: all of them page by page; where they are many, then only those that warn.

Ten thousand events are twenty pages, read while helm is at work; of each only what is shown or judged is
kept.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from ..domain.errors import BadAnswer, ClusterError, ZkRollbackError
from ..domain.observation import JsonObject
from ..domain.ports import Kube
from ..release.parallel import fetch_each
from .event_groups import by_time, is_warning, last_seen

SHOWN_LAST = 20  # the runbook's tail -20
_ALL_TIMEOUT_S = 20.0
_NEWS_TIMEOUT_S = 5.0
_MANY = 500  # more than one page
# What is_warning() says, as the API server can filter it.
_SELECTORS = ("type!=Normal", "type=Normal,reason=BackOff")


@dataclass(frozen=True)
class EventsRead:
    """``warnings`` from a moment on, ``last`` the last events of all kinds, both oldest first; ``total``."""

    warnings: tuple[JsonObject, ...]
    last: tuple[JsonObject, ...]
    total: int


class EventLog:
    """The events of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._path = f"/api/v1/namespaces/{namespace}/events"
        self._last: dict[str, JsonObject] = {}
        self._total = 0
        self._lock = threading.Lock()

    def begin(self, since: datetime) -> None:
        """Read them all beforehand, in a thread: if they are many, the first :meth:`read` is a short one."""

        def work() -> None:
            with suppress(ClusterError):  # then it is for the first reading, which says so
                self.read(since)

        threading.Thread(target=work, name="zkrollback-events", daemon=True).start()

    def read(self, since: datetime) -> EventsRead:
        """What is there now; where there are many, ``last`` grows by warnings alone. Raises ClusterError.

        API times are often whole seconds, so ``since`` is taken as one.
        """
        start = since.replace(microsecond=0)
        with self._lock:
            found = self._news(start) if self._total > _MANY else self._all(start)
            last = tuple(by_time(self._last.values()))
            return EventsRead(tuple(by_time(found.values())), last, self._total)

    def _all(self, start: datetime) -> dict[str, JsonObject]:
        for begun_again in (False, True):
            try:
                return self._every_page(start)
            except BadAnswer as error:
                if error.status != http.client.GONE or begun_again:
                    raise
        return {}

    def _every_page(self, start: datetime) -> dict[str, JsonObject]:
        found: dict[str, JsonObject] = {}
        total, self._last = 0, {}
        for page in self._kube.pages(self._path, timeout_s=_ALL_TIMEOUT_S):
            total += len(page)
            found |= {_key(event): event for event in page if is_warning(event) and _counts(event, start)}
            self._keep_last(page)
        self._total = total
        return found

    def _news(self, start: datetime) -> dict[str, JsonObject]:
        found: dict[str, JsonObject] = {}
        for answer in fetch_each(self._selected, _SELECTORS):
            if isinstance(answer, ZkRollbackError):
                raise answer
            found |= {_key(event): event for event in answer if _counts(event, start)}
        self._keep_last(found.values())
        return found

    def _selected(self, selector: str) -> list[JsonObject]:
        pages = self._kube.pages(self._path, {"fieldSelector": selector}, timeout_s=_NEWS_TIMEOUT_S)
        return [event for page in pages for event in page]

    def _keep_last(self, events: Iterable[JsonObject]) -> None:
        known = {**self._last, **{_key(event): event for event in events}}
        self._last = {_key(event): event for event in by_time(known.values())[-SHOWN_LAST:]}


def _counts(event: JsonObject, start: datetime) -> bool:
    at = last_seen(event)
    return at is None or at >= start


def _key(event: JsonObject) -> str:
    metadata = event["metadata"]
    return str(metadata.get("uid") or metadata.get("name") or id(event))
