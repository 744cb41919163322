"""Failed Kubernetes events: those since the rollback that concern the release and were not overcome.

Where nothing was rolled back (verify-only), since the head was deployed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..domain.environment import Environment
from ..domain.errors import ClusterError
from ..domain.observation import History, JsonObject, Snapshot
from ..domain.ports import Kube, Stage
from ..domain.verdict import Evidence, Judgement, Pending, Verdict, Word, evidence
from .commands import kubectl
from .event_groups import (
    PLURALS,
    EventGroup,
    LiveObjects,
    by_time,
    clock_time,
    grouped,
    is_conflict,
    is_warning,
    last_seen,
    render_event,
)
from .workload import moment

SHOWN_LAST = 20  # the runbook's tail -20
SETTLE_S = 3.0
_LOOKS = 6
_READ_TIMEOUT_S = 5.0

# Reasons that mean harm while their object is there and not well. Sources: k8s.io/kubernetes
# pkg/kubelet/events, the scheduler and the workload controllers. Other reasons are UNVERIFIED.
FAILURES = frozenset(
    {
        "BackOff",
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "ErrImageNeverPull",
        "Evicted",
        "Failed",
        "FailedAttachVolume",
        "FailedBinding",
        "FailedCreate",
        "FailedCreatePodContainer",
        "FailedCreatePodSandBox",
        "FailedDaemonPod",
        "FailedMapVolume",
        "FailedMount",
        "FailedPostStartHook",
        "FailedScheduling",
        "InspectFailed",
        "NetworkNotReady",
        "OOMKilling",
        "ProbeError",
        "ProvisioningFailed",
        "ReplicaSetCreateError",
        "Unhealthy",
    }
)


@dataclass(frozen=True)
class EventsSeen:
    """Events and the objects that they are about, raw.

    ``warnings`` are warnings from ``since`` on (and the BackOff of image pulls), ``last`` the last 20
    events of all kinds and objects, ``total`` how many there are. ``objects`` is keyed by plural.
    """

    since: datetime
    warnings: tuple[JsonObject, ...]
    last: tuple[JsonObject, ...]
    total: int
    objects: Mapping[str, tuple[JsonObject, ...]]


@dataclass(frozen=True, kw_only=True)
class EventsCheck:
    """The runbook's line: kubectl get events --sort-by=.lastTimestamp | tail -20.

    ``since`` is when the rollback began (verify-only: when the head was deployed), server time. ``owned``
    names the release's own objects as (kind, name), or gives them when asked; pods and ReplicaSets are
    found through their owners. ``snapshot`` gives the namespace's objects (the engine's, shared); without
    it they are listed.
    """

    env: Environment
    kube: Kube
    since: datetime
    owned: frozenset[tuple[str, str]] | Callable[[], frozenset[tuple[str, str]]]
    snapshot: Callable[[], Snapshot] | None = None
    settle_s: float = SETTLE_S
    id: str = field(default="events", init=False)
    title: str = field(default="Check for failed Kubernetes events", init=False)
    stage: Stage = field(default=Stage.SETTLED, init=False)
    deadline_s: float = field(default=30.0, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=5.0, init=False)

    @property
    def expected(self) -> str:
        """Since when, and about what."""
        since = moment(self._from)
        return f"no warning since {since} about an object of the release that is still in trouble"

    @property
    def command(self) -> str:
        """The runbook's command."""
        return f"{kubectl(self.env, 'get', 'events', '--sort-by=.lastTimestamp')} | tail -{SHOWN_LAST}"

    def observe(self) -> EventsSeen:
        """Read events and objects; while one is in trouble look again, for ``settle_s``.

        Raises ClusterError.
        """
        seen = self._look()
        for _ in range(_LOOKS if self.settle_s else 0):
            if not _open_groups(seen, self._owned()):
                break
            threading.Event().wait(self.settle_s / _LOOKS)
            seen = self._look()
        return seen

    def _look(self) -> EventsSeen:
        events = by_time(
            self.kube.list(f"/api/v1/namespaces/{self.env.namespace}/events", timeout_s=_READ_TIMEOUT_S)
        )
        return parse_events(events, self._objects(), self._from)

    @property
    def _from(self) -> datetime:
        return self.since + timedelta(seconds=self.env.events_grace_s)

    def _owned(self) -> frozenset[tuple[str, str]]:
        return self.owned() if callable(self.owned) else self.owned

    def _objects(self) -> Mapping[str, tuple[JsonObject, ...]]:
        if self.snapshot is not None:
            snapshot = self.snapshot()
            if "pods" not in snapshot.objects:
                raise snapshot.errors.get("pods") or ClusterError("The pods have not been read yet.")
            return snapshot.objects
        objects = {}
        for plural in PLURALS.values():
            group = "/api/v1" if plural == "pods" else "/apis/apps/v1"
            try:
                objects[plural] = self.kube.list(
                    f"{group}/namespaces/{self.env.namespace}/{plural}", timeout_s=_READ_TIMEOUT_S
                )
            except ClusterError:
                # Without the others an event about them stays open; without pods nothing can be said.
                if plural == "pods":
                    raise
        return objects

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - one reading, no clock
        """FAIL on a known failure, UNVERIFIED on an unknown reason; what was overcome only stands there."""
        sample = history.last
        if sample is None:
            return Pending(observed="The events are being read", seen=False)
        if sample.error is not None:
            return Verdict(word=Word.UNVERIFIED, observed=f"The events could not be judged: {sample.error}")
        return judge_events(sample.value, self._owned())


def parse_events(
    events: list[JsonObject], objects: Mapping[str, tuple[JsonObject, ...]], since: datetime
) -> EventsSeen:
    """What is kept of all events (oldest first); API times are often whole seconds, so ``since`` is too."""
    start = since.replace(microsecond=0)
    return EventsSeen(
        since=start,
        warnings=tuple(
            event
            for event in events
            if is_warning(event) and ((at := last_seen(event)) is None or at >= start)
        ),
        last=tuple(events[-SHOWN_LAST:]),
        total=len(events),
        objects=objects,
    )


def judge_events(seen: EventsSeen, owned: frozenset[tuple[str, str]]) -> Verdict:
    """The verdict on warnings about the release's objects, by reason and by what became of the object."""
    live = LiveObjects(seen.objects)
    groups = _concerning(seen, live, owned)
    still_open = [group for group in groups if not live.recovered(group)]
    failures = [group for group in still_open if group.reason in FAILURES]
    shown, since = _events_evidence(seen, groups, live), moment(seen.since)
    if failures:
        return Verdict(word=Word.FAIL, observed=_said(failures, "in trouble"), evidence=shown)
    if still_open:
        said = _said(still_open, "with a warning whose reason this tool does not know")
        return Verdict(word=Word.UNVERIFIED, observed=said, evidence=shown)
    if groups:
        said = (
            f"Every object that had a warning is well again or gone; warnings since {since}: "
            f"{sum(group.count for group in groups)}."
        )
    else:
        said = f"No warning about the release since {since} ({seen.total} events in the namespace)."
    return Verdict(word=Word.PASS, observed=said, evidence=shown)


def _open_groups(seen: EventsSeen, owned: frozenset[tuple[str, str]]) -> bool:
    live = LiveObjects(seen.objects)
    return any(not live.recovered(group) for group in _concerning(seen, live, owned))


def _concerning(
    seen: EventsSeen, live: LiveObjects, owned: frozenset[tuple[str, str]]
) -> tuple[EventGroup, ...]:
    groups = grouped(event for event in seen.warnings if not is_conflict(event))
    return tuple(group for group in groups if live.belongs(group.kind, group.name, owned))


def _said(groups: list[EventGroup], what: str) -> str:
    newest = groups[-1]
    objects = len({(group.kind, group.name) for group in groups})
    more = f" ({objects} objects)" if objects > 1 else ""
    return (
        f"{newest.kind} {newest.name} is {what}{more}: {newest.reason}, {newest.count} times, "
        f"last {clock_time(newest.last)} UTC: {newest.message[:200]}"
    )


def _events_evidence(
    seen: EventsSeen, groups: tuple[EventGroup, ...], live: LiveObjects
) -> tuple[Evidence, ...]:
    rows = [("now", "type", "reason", "object", "count", "first", "last", "message")]
    rows += [
        (
            live.recovered(group) or "OPEN",
            group.type,
            group.reason,
            f"{group.kind.lower()}/{group.name}",
            str(group.count),
            clock_time(group.first),
            clock_time(group.last),
            group.message[:300],
        )
        for group in groups
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    table = "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[7]])
        for row in rows
    )
    found = [evidence(f"Warnings about the release since {moment(seen.since)}", table)] if groups else []
    last = "\n".join(render_event(event) for event in seen.last) or "(none)"
    return (*found, evidence(f"The last {len(seen.last)} of {seen.total} events (UTC)", last))
