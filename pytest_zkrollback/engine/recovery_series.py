"""The recovery picture: who served, when. Snapshots and health samples become the record's SamplePoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from threading import Lock
from typing import Final

from ..domain.checks import JsonObject, Snapshot
from ..domain.kube_objects import WorkloadName, is_ready, is_terminating, owned_by, plural_of, uid
from ..domain.record import SamplePoint

LIMIT: Final = 500
HEALTH: Final = "health"


class Samples:
    """Collects points for the given workloads (``kind/name``); may be fed from any thread.

    Series: ``replicas/<workload's name>/<image tag>`` (ready pods), ``wanted/<workload's name>`` and
    ``restarts/<workload's name>/<image tag>`` (of containers, as far as they were seen), a point on every
    change only, and ``health`` (1 ok, 0 not). At most about ``limit`` points are held: beyond
    that the unchanging stretches are thinned first, then every other point; the first and last of each
    series stay.
    """

    def __init__(self, workloads: Iterable[str], limit: int = LIMIT) -> None:
        """``workloads`` as the checklist names them: ``deployment/web``, ``other/deployment/web``."""
        self._workloads = tuple(WorkloadName.parse(each, "") for each in dict.fromkeys(workloads))
        self._limit = limit
        self._series: dict[str, list[SamplePoint]] = {}
        self._noted: dict[str, Mapping[str, object]] = {}  # by namespace, what was shown last
        self._restarts: dict[str, int] = {}  # by a pod's uid, when it was last seen
        self._failed = False
        self._passes_since: datetime | None = None
        self._lock = Lock()

    def add_snapshot(self, snapshot: Snapshot, namespace: str = "") -> None:
        """Note how many pods of each workload and image are ready; what could not be read is left out.

        ``namespace``: the one that the snapshot is of; empty: the release's own.
        """
        pods = snapshot.objects.get("pods")
        with self._lock:
            before, self._noted[namespace] = self._noted.get(namespace, {}), snapshot.objects
        if pods is None or _are_same(before, snapshot.objects):
            return
        for workload in (each for each in self._workloads if each.namespace == namespace):
            owners = _owners(snapshot, workload)
            if owners is None:
                continue
            prefix = f"replicas/{_shown(workload)}/"
            ready: dict[str, int] = {}
            own = owned_by(pods, owners)
            for pod in own:
                series = prefix + image_tag(_image(pod))
                ready[series] = ready.get(series, 0) + (is_ready(pod) and not is_terminating(pod))
            counts = _wanted(snapshot, workload) | self._restarted(workload, own)
            with self._lock:
                gone = {series: 0 for series in self._series if series.startswith(prefix)}
                for series, count in (gone | ready | counts).items():
                    points = self._series.get(series)
                    if points is None or points[-1].value != count:
                        self._add(SamplePoint(at=snapshot.at, series=series, value=count))

    def _restarted(self, workload: WorkloadName, pods: Iterable[JsonObject]) -> dict[str, int]:
        """Series and number of the restarts of containers that were seen; empty for what has seen none."""
        found: dict[str, int] = {}
        for pod in pods:
            now = _restart_count(pod)
            more = now - self._restarts.get(uid(pod), now)
            self._restarts[uid(pod)] = now
            if more > 0:
                series = f"restarts/{_shown(workload)}/{image_tag(_image(pod))}"
                so_far = self._series.get(series)
                found[series] = found.get(series, int(so_far[-1].value) if so_far else 0) + more
        return found

    def add_health(self, at: datetime, ok: bool) -> None:
        """Note one answer of the health path."""
        with self._lock:
            self._failed = self._failed or not ok
            if not ok:
                self._passes_since = None
            elif self._passes_since is None:
                self._passes_since = at
            self._add(SamplePoint(at=at, series=HEALTH, value=1 if ok else 0))

    @property
    def served_again_at(self) -> datetime | None:
        """The first of the health path's passes since its last failure; None if it never failed, or does."""
        with self._lock:
            return self._passes_since if self._failed else None

    def points(self) -> tuple[SamplePoint, ...]:
        """All points so far, by time."""
        with self._lock:
            every = [point for series in self._series.values() for point in series]
        return tuple(sorted(every, key=lambda point: point.at))

    def _add(self, point: SamplePoint) -> None:
        self._series.setdefault(point.series, []).append(point)
        if sum(map(len, self._series.values())) > self._limit:
            longest = max(self._series, key=lambda series: len(self._series[series]))
            if len(self._series[longest]) > 3:
                self._series[longest] = _thinned(self._series[longest])


def _shown(workload: WorkloadName) -> str:
    return f"{workload.name} in {workload.namespace}" if workload.namespace else workload.name


def _wanted(snapshot: Snapshot, workload: WorkloadName) -> dict[str, int]:
    """Series and number of the replicas that the workload asks for; empty where it is not there."""
    for item in snapshot.objects.get(plural_of(workload.kind)) or ():
        if item["metadata"].get("name") == workload.name:
            if workload.kind == "daemonset":
                count = (item.get("status") or {}).get("desiredNumberScheduled")
            else:
                count = (item.get("spec") or {}).get("replicas")
            return {} if count is None else {f"wanted/{_shown(workload)}": int(count)}
    return {}


def image_tag(image: str) -> str:
    """The tag of an image reference: ``registry:5000/app:1.5.0@sha256:...`` -> ``1.5.0``.

    Without a tag: the digest's first 12 digits, or ``latest``, which is what the kubelet takes it for.
    """
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if colon:
        return tag
    return digest.rpartition(":")[2][:12] if digest else "latest"


def _thinned(points: list[SamplePoint]) -> list[SamplePoint]:
    kept = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before.value == point.value == after.value
    ]
    if len(kept) > len(points) * 3 // 4:
        kept = points[2:-1:2]
    return [points[0], *kept, points[-1]]


def _owners(snapshot: Snapshot, workload: WorkloadName) -> set[str] | None:
    """UIDs of what owns the workload's pods; None if that could not be read."""
    named = snapshot.objects.get(plural_of(workload.kind))
    if named is None:
        return None
    found = {uid(item) for item in named if item["metadata"].get("name") == workload.name}
    if workload.kind != "deployment":
        return found
    replicasets = snapshot.objects.get("replicasets")
    if replicasets is None:
        return None
    return {uid(item) for item in owned_by(replicasets, found)}


def _are_same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two snapshots show the same state of every list: twenty checks bring the same one."""
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)


def _restart_count(pod: JsonObject) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(int(each.get("restartCount") or 0) for each in statuses)


def _image(pod: JsonObject) -> str:
    containers = pod.get("spec", {}).get("containers") or [{}]
    return str(containers[0].get("image", ""))
