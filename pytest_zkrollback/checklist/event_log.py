"""Reads the namespace's events: all of them once, page by page, and afterwards only those that warn.

Ten thousand events are twenty pages: of each only what is shown or judged is kept.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..domain.errors import BadAnswer
from ..domain.observation import JsonObject
from ..domain.ports import Kube
from .event_groups import by_time, is_warning, last_seen

SHOWN_LAST = 20  # the runbook's tail -20
_ALL_TIMEOUT_S = 20.0
_NEWS_TIMEOUT_S = 5.0
# What is_warning() says, as the API server can filter it.
_SELECTORS = ("type!=Normal", "type=Normal,reason=BackOff")


@dataclass(frozen=True)
class EventsRead:
    """``warnings`` from a moment on, ``last`` the last events of all kinds, both oldest first; ``total``."""

    warnings: tuple[JsonObject, ...]
    last: tuple[JsonObject, ...]
    total: int


class EventLog:
    """The events of one namespace. For one thread."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._path = f"/api/v1/namespaces/{namespace}/events"
        self._last: dict[str, JsonObject] = {}
        self._total = 0

    def read(self, since: datetime) -> EventsRead:
        """What is there now; of the second reading on, ``last`` grows by warnings alone. Raises ClusterError.

        API times are often whole seconds, so ``since`` is taken as one.
        """
        start = since.replace(microsecond=0)
        found = self._all(start) if not self._total else self._news(start)
        return EventsRead(tuple(by_time(found.values())), tuple(by_time(self._last.values())), self._total)

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
        for selector in _SELECTORS:
            query = {"fieldSelector": selector}
            for page in self._kube.pages(self._path, query, timeout_s=_NEWS_TIMEOUT_S):
                found |= {_key(event): event for event in page if _counts(event, start)}
        self._keep_last(found.values())
        return found

    def _keep_last(self, events: Iterable[JsonObject]) -> None:
        known = {**self._last, **{_key(event): event for event in events}}
        self._last = {_key(event): event for event in by_time(known.values())[-SHOWN_LAST:]}


def _counts(event: JsonObject, start: datetime) -> bool:
    at = last_seen(event)
    return at is None or at >= start


def _key(event: JsonObject) -> str:
    metadata = event["metadata"]
    return str(metadata.get("uid") or metadata.get("name") or id(event))
