"""When did a container begin to run, by the API server's clock? Pure.

Its node's clock tells it, and clocks differ. The API server's own bounds it: the pod was made before, and the
status that tells the start was written afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ...domain.checks import JsonObject
from ...domain.timestamps import parse_time
from .model import CLOCK_SKEW, started_at

_WHOLE_SECOND = timedelta(seconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """Between which moments something began; ``told``: by the node's clock (None: that is no evidence)."""

    earliest: datetime
    latest: datetime
    told: datetime | None

    @property
    def as_told(self) -> Span | None:
        """The same if the node's clock is right."""
        return None if self.told is None else Span(self.told, self.told, self.told)


def start_span(
    pod: JsonObject, container: str, now: datetime | None, written: datetime | None
) -> Span | None:
    """When this container began to run; None if it does not run, or does not say so.

    ``written``: when the pod's containers were last written into its status, by the API server's clock. A
    start in the future, or one that these times contradict, is no evidence.
    """
    told = started_at(pod, container)
    if told is None:
        return None
    created = parse_time(pod["metadata"].get("creationTimestamp")) or _FIRST
    limit = min(written or _LAST, now or _LAST)
    future = now is not None and told > now
    contradicted = told < _before(created) or (written is not None and told > written + CLOCK_SKEW)
    if future or contradicted:
        return Span(created, max(limit, created), None)
    earliest = max(created, told - _ahead(pod))
    latest = max(min(told + CLOCK_SKEW, limit), earliest)
    return Span(min(earliest, latest), latest, min(max(told, earliest), latest))


def status_written(metadata: JsonObject) -> datetime | None:
    """When a pod's containers were last written into its status; None: its managedFields do not say."""
    times = [
        parse_time(entry.get("time"))
        for entry in metadata.get("managedFields") or ()
        if _tells_containers((entry.get("fieldsV1") or {}).get("f:status") or {})
    ]
    return max((time for time in times if time is not None), default=None)


def _tells_containers(fields: Collection[str]) -> bool:
    return "f:containerStatuses" in fields or "f:initContainerStatuses" in fields


def _before(created: datetime) -> datetime:
    return created if created == _FIRST else created - CLOCK_SKEW


def _ahead(pod: JsonObject) -> timedelta:
    """By how much the node's clock may be ahead: the API server says when the pod was bound to it, the node
    when it began with it, which was later."""
    status = pod.get("status") or {}
    bound = next(
        (
            parse_time(each.get("lastTransitionTime"))
            for each in status.get("conditions") or ()
            if each.get("type") == "PodScheduled" and each.get("status") == "True"
        ),
        None,
    )
    began = parse_time(status.get("startTime"))
    if bound is None or began is None:
        return CLOCK_SKEW
    return min(CLOCK_SKEW, max(began - bound, timedelta()) + _WHOLE_SECOND)
