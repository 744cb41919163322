"""Events, ordered and grouped, and whose they are: pure, no IO."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ...domain.checks import JsonObject
from ...domain.kube_objects import PLURALS, STATELESS_KINDS, controller, is_ready, is_terminating, owners
from ...domain.timestamps import parse_time
from ...report.formatting import clock_time

# What controllers append to their owner's name (k8s.io/apimachinery/pkg/util/rand).
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_CHILDREN = {
    ("Deployment", "ReplicaSet"): rf"-{_RANDOM}{{1,10}}",
    ("Deployment", "Pod"): rf"-{_RANDOM}{{1,10}}-{_RANDOM}{{5}}",
    ("ReplicaSet", "Pod"): rf"-{_RANDOM}{{5}}",
    ("StatefulSet", "Pod"): r"-\d+",
    ("DaemonSet", "Pod"): rf"-{_RANDOM}{{5}}",
    ("Job", "Pod"): rf"-{_RANDOM}{{5}}",
    ("CronJob", "Job"): r"-\d+",
    ("CronJob", "Pod"): rf"-\d+-{_RANDOM}{{5}}",
}
# Kinds whose own conditions say it, or other fields; of custom resources it is the condition Ready.
_KNOWN = frozenset(
    {"Job", "HorizontalPodAutoscaler", "PersistentVolumeClaim", "PodDisruptionBudget", "Service", "Ingress"}
)
# Warnings that tell of no trouble: somebody made a Job in the CronJob's name (kubectl create job --from).
_REMARKS = frozenset({("CronJob", "UnexpectedJob")})
_READY, _COMPLETED = "ready now", "completed"
_LATE_S = 2.0
_PROBE = re.compile(r"(Liveness|Readiness|Startup) probe ")
_CONTAINER = re.compile(r"spec\.(?:initContainers|containers)\{(.+)\}")
# A claim of a StatefulSet: <template>-<its pod's name>.
_CLAIM = r".+-{}-\d+"


@dataclass(frozen=True)
class EventGroup:
    """All events with one type and reason about one object; of probes, those of one container and kind.

    ``container`` and ``probe`` (``Liveness``, ``Readiness``, ``Startup``) are empty where it is no probe's.
    """

    type: str
    reason: str
    kind: str
    name: str
    uid: str
    count: int
    first: datetime | None
    last: datetime | None
    message: str
    api_version: str = ""
    container: str = ""
    probe: str = ""
    namespace: str = ""

    @property
    def is_single_liveness_failure(self) -> bool:
        """Whether a liveness probe failed once: the kubelet kills only after several."""
        return self.probe == "Liveness" and self.count == 1


class LiveObjects:
    """The namespace's objects by kind and name; knows whose they are and whether they are well.

    ``objects`` maps plurals to raw items, as a Snapshot does; a plural that is missing was not read.
    ``others`` are objects of other kinds, by (kind, name); None: there is none. ``now`` is the API server's
    time of this look.
    """

    def __init__(
        self,
        objects: Mapping[str, tuple[JsonObject, ...]],
        others: Mapping[tuple[str, str], JsonObject | None] | None = None,
        now: datetime | None = None,
    ) -> None:
        """Index them."""
        self._now = now
        self._others = others or {}
        self._read = {kind for kind, plural in PLURALS.items() if plural in objects}
        self._by_name = {
            (kind, item["metadata"]["name"]): item
            for kind, plural in PLURALS.items()
            for item in objects.get(plural, ())
        }

    def belongs(self, kind: str, name: str, owned: frozenset[tuple[str, str]]) -> bool:
        """Whether it is one of ``owned`` (kind, name), or was made by one of them."""
        for _ in range(4):  # Pod, ReplicaSet, Deployment; more steps there are not
            if (kind, name) in owned:
                return True
            item = self._by_name.get((kind, name))
            if item is None:
                # Gone, or of a kind that is not read: what is left is the name.
                if kind == "PersistentVolumeClaim":
                    sets = (re.escape(owner) for wanted, owner in owned if wanted == "StatefulSet")
                    return any(re.fullmatch(_CLAIM.format(owner), name) for owner in sets)
                return any(
                    name.startswith(owner) and re.fullmatch(pattern, name[len(owner) :])
                    for (owner_kind, child), pattern in _CHILDREN.items()
                    if child == kind
                    for wanted, owner in owned
                    if wanted == owner_kind
                )
            owner = controller(item)
            if owner is None:
                return False
            kind, name = owner["kind"], owner["name"]
        return False

    def recovered(self, group: EventGroup) -> str:
        """Why the object of an event needs no more worry; empty if it does, or if it is not known."""
        if (group.kind, group.name) in self._others:
            other = self._others[group.kind, group.name]
            return "gone" if other is None else is_healthy(group.kind, other)
        if group.kind in STATELESS_KINDS or (group.kind, group.reason) in _REMARKS:
            return "has no state"
        if group.kind not in self._read:
            return ""
        item = self._by_name.get((group.kind, group.name))
        if item is None or (group.uid and item["metadata"].get("uid") not in (None, group.uid)):
            return "gone"
        why = self._well(group.kind, item)
        if why == _READY and group.probe == "Liveness" and not self._lives(item, group):
            return ""
        return why

    def job_of(self, group: EventGroup) -> str:
        """The name of the Job that manages the event's pod; empty if none does, or it is not known."""
        item = self._by_name.get((group.kind, group.name)) if group.kind == "Pod" else None
        owner = controller(item) if item is not None else None
        return str(owner["name"]) if owner is not None and owner.get("kind") == "Job" else ""

    def _lives(self, pod: JsonObject, group: EventGroup) -> bool:
        """Whether a liveness probe that failed has had the time to fail again, and has not.

        One that failed more than once may have had its container killed, which then starts anew.
        """
        if self._now is None or group.last is None:
            return False
        probes = {
            str(each.get("name")): each.get("livenessProbe") or {}
            for each in (pod.get("spec") or {}).get("containers") or ()
        }
        probe = probes.get(group.container) or next(filter(None, probes.values()), {})
        period_s, wait_s = probe.get("periodSeconds") or 10, (probe.get("timeoutSeconds") or 1) + _LATE_S
        if group.is_single_liveness_failure:
            return (self._now - group.last).total_seconds() > period_s + wait_s
        begun = [
            parse_time(((each.get("state") or {}).get("running") or {}).get("startedAt"))
            for each in (pod.get("status") or {}).get("containerStatuses") or ()
        ]
        since = max([group.last, *(each for each in begun if each is not None)])
        wait_s += (probe.get("initialDelaySeconds") or 0) + period_s * (probe.get("failureThreshold") or 3)
        return (self._now - since).total_seconds() > wait_s

    def _well(self, kind: str, item: JsonObject) -> str:
        if is_terminating(item):
            return "being deleted"
        spec, status = item.get("spec") or {}, item.get("status") or {}
        if kind == "Pod":
            return self._pod_well(item, status)
        if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
            return ""
        if kind == "DaemonSet":
            wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
        else:
            wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
            if kind == "Deployment":  # old pods that are ready say nothing
                ready = min(ready, status.get("updatedReplicas", 0))
        if wanted == 0:
            return "scaled to 0"
        return "all ready" if ready >= wanted else ""

    def _pod_well(self, pod: JsonObject, status: JsonObject) -> str:
        if status.get("phase") == "Succeeded":
            return _COMPLETED
        if is_ready(pod):
            return _READY
        owner = controller(pod)
        if owner is not None and owner.get("kind") == "Job":
            job = self._others.get(("Job", str(owner.get("name"))))
            if job is not None and is_healthy("Job", job) == _COMPLETED:
                return "its Job completed"
        if status.get("phase") == "Failed":
            # It never comes back (evicted, for example); its controller may have replaced it.
            for owner in owners(pod):
                replacing = self._by_name.get((owner.get("kind", ""), owner.get("name", "")))
                if replacing is not None and self._well(owner["kind"], replacing):
                    return "replaced"
        return ""


def is_healthy(kind: str, item: JsonObject) -> str:
    """Why an object that is neither workload nor pod needs no worry; empty if it does, or if unknown."""
    status = item.get("status") or {}
    true = {str(each.get("type")) for each in status.get("conditions") or () if each.get("status") == "True"}
    if is_terminating(item):
        return "being deleted"
    if kind == "Job" and "Complete" in true:
        return _COMPLETED
    if kind == "Service" and any(
        (endpoint.get("conditions") or {}).get("ready") is not False
        for each in item.get("endpointslices") or ()
        for endpoint in each.get("endpoints") or ()
    ):
        return "has endpoints"
    if kind == "Ingress" and (status.get("loadBalancer") or {}).get("ingress"):
        return "has an address"
    if kind == "HorizontalPodAutoscaler" and {"AbleToScale", "ScalingActive"} <= true:
        return "scales now"
    if kind == "PersistentVolumeClaim" and status.get("phase") == "Bound":
        return "bound"
    if kind == "PodDisruptionBudget" and status.get("currentHealthy", 0) >= status.get("desiredHealthy", 1):
        return "healthy"
    if kind not in _KNOWN and "Ready" in true:
        return "Ready"
    return ""


def last_seen(event: JsonObject) -> datetime | None:
    """When an event happened last: series, then lastTimestamp, eventTime, creationTimestamp (fault 50)."""
    series = event.get("series") or {}
    return _first_time(
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )


def by_time(events: Iterable[JsonObject]) -> list[JsonObject]:
    """Events, oldest first; one without any time (no API server makes it) comes first."""
    return sorted(events, key=lambda event: last_seen(event) or datetime.min.replace(tzinfo=UTC))


def is_warning(event: JsonObject) -> bool:
    """Warnings, and the BackOff of an image pull, which is a Normal event."""
    return event.get("type") != "Normal" or event.get("reason") == "BackOff"


def is_conflict(event: JsonObject) -> bool:
    """Whether a controller only lost a race to write, which it repeats at once."""
    return "the object has been modified" in (event.get("message") or "")


def grouped(events: Iterable[JsonObject]) -> tuple[EventGroup, ...]:
    """Events by type, reason and object, the newest group last."""
    groups: dict[tuple[str, ...], EventGroup] = {}
    for event in by_time(events):
        about = event.get("involvedObject") or {}
        probe = _PROBE.match(event.get("message") or "")
        container = _CONTAINER.fullmatch(about.get("fieldPath") or "") if probe is not None else None
        key = (
            event.get("type") or "",
            event.get("reason") or "",
            about.get("kind") or "",
            about.get("name") or "",
            about.get("uid") or "",
            container[1] if container is not None else "",
            probe[1] if probe is not None else "",
        )
        before = groups.pop(key, None)
        series = event.get("series") or {}
        count = series.get("count") or event.get("count") or 1
        first = _first_time(
            event.get("firstTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp")
        )
        firsts = [at for at in (first, before.first if before else None) if at is not None]
        type_, reason, kind, name, uid, container_name, probe_kind = key
        groups[key] = EventGroup(
            type=type_,
            reason=reason,
            kind=kind,
            name=name,
            uid=uid,
            container=container_name,
            probe=probe_kind,
            namespace=event["metadata"].get("namespace") or about.get("namespace") or "",
            api_version=about.get("apiVersion") or "",
            count=count + (before.count if before else 0),
            first=min(firsts, default=None),
            last=last_seen(event),
            message=" ".join((event.get("message") or "").split()),
        )
    return tuple(groups.values())


def render_event(event: JsonObject) -> str:
    """One event on one line: last time, type, reason, object, message."""
    about = event.get("involvedObject") or {}
    message = " ".join((event.get("message") or "").split())
    return (
        f"{event_time(last_seen(event))}  {event.get('type')}  {event.get('reason')}  "
        f"{str(about.get('kind')).lower()}/{about.get('name')}  {message[:300]}"
    )


def event_time(at: datetime | None) -> str:
    """Hours, minutes, seconds, UTC; an event may have no time."""
    return clock_time(at) or "--:--:--"


def _first_time(*texts: str | None) -> datetime | None:
    return next(filter(None, map(parse_time, texts)), None)
