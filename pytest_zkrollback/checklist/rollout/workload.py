"""A Deployment, StatefulSet or DaemonSet with its pods, read out of a raw snapshot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import is_

from ...domain.checks import JsonObject, Snapshot
from ...domain.kube_objects import (
    controller_uid,
    has_ended,
    is_alive,
    is_observed,
    is_terminating,
    owned_by,
    plural_of,
    replaces_by_hand,
    uid,
)
from .kubectl_status import RolloutStatus, desired_replicas, rollout_status

_REVISION = "deployment.kubernetes.io/revision"
_GENERATION = "deprecated.daemonset.template.generation"


@dataclass(frozen=True)
class Workload:
    """A workload as one snapshot shows it.

    ``pods`` are all pods that belong to it; ``current`` those of the revision that its spec now asks for,
    without the terminating ones and those that were evicted or refused by their node (their controller
    makes others: these are ``over``); ``replicaset`` is that revision's ReplicaSet (Deployments only). While
    the controller has not seen the spec, what is current is not known and all three are empty.
    """

    kind: str
    item: JsonObject
    replicaset: JsonObject | None
    pods: tuple[JsonObject, ...]
    current: tuple[JsonObject, ...]
    over: tuple[JsonObject, ...] = ()

    @property
    def title(self) -> str:
        """``kind/name``."""
        return f"{self.kind}/{self.item['metadata'].get('name', '')}"

    @property
    def terminating(self) -> int:
        """How many of its pods, of any revision, are on their way out."""
        return sum(map(is_terminating, self.pods))

    @property
    def lacks_pods(self) -> bool:
        """Whether a StatefulSet or DaemonSet has pods to make; a Deployment leaves that to its ReplicaSet."""
        if self.kind == "deployment" or self.terminating or not is_observed(self.kind, self.item):
            return False
        return sum(map(is_alive, self.pods)) < desired_replicas(self.kind, self.item)


def progress(kind: str, item: JsonObject) -> RolloutStatus:
    """How far the rollout is: kubectl's words, a stale deadline left out.

    kubectl does not judge ``OnDelete``. There it is done when all that is wanted has been replaced, by
    whoever deletes the pods, and is ready.
    """
    if not replaces_by_hand(item):
        return rollout_status(kind, item, ignore_deadline=True)
    if not is_observed(kind, item):
        return RolloutStatus(f"Waiting for {kind} spec update to be observed...")
    status, wanted = item.get("status") or {}, desired_replicas(kind, item)
    updated, ready = (
        ("updatedReplicas", "readyReplicas")
        if kind == "statefulset"
        else ("updatedNumberScheduled", "numberAvailable")
    )
    counts = [int(status.get(key) or 0) for key in (updated, ready)]
    said = f"{counts[0]} of {wanted} pods have been replaced, {counts[1]} are ready"
    return RolloutStatus(said, done=min(counts) >= wanted)


def needed_resources(kind: str) -> tuple[str, ...]:
    """The resources without which a workload of this kind cannot be judged."""
    own = plural_of(kind)
    return (own, "replicasets", "pods") if kind == "deployment" else (own, "pods")


def pods_of(snapshot: Snapshot, workloads: Iterable[str]) -> tuple[JsonObject, ...]:
    """All pods of these (``kind/name``) of one namespace; raises ClusterError where it could not be read."""
    found: list[JsonObject] = []
    for workload in workloads:
        kind, name = workload.split("/")
        for resource in needed_resources(kind):
            if resource not in snapshot.objects:
                raise snapshot.errors[resource]
        item = find_object(snapshot, kind, name)
        found += read_workload(snapshot, kind, item).pods if item is not None else ()
    return tuple(found)


def find_object(snapshot: Snapshot, kind: str, name: str) -> JsonObject | None:
    """The raw object, or None if the snapshot holds none of that name."""
    for item in snapshot.objects.get(plural_of(kind), ()):
        if item["metadata"].get("name") == name:
            return item
    return None


def read_workload(snapshot: Snapshot, kind: str, item: JsonObject) -> Workload:
    """The workload with its pods, from a snapshot that holds all of :func:`needed_resources`."""
    every = snapshot.objects["pods"]
    observed = is_observed(kind, item)
    done = progress(kind, item).done
    replicaset: JsonObject | None = None
    if kind == "deployment":
        owned = controlled_by(snapshot.objects["replicasets"], {uid(item)})
        pods = controlled_by(every, {uid(rs) for rs in owned})
        replicaset = choose_replicaset(item, owned, done=done) if observed else None
        current = tuple(
            pod for pod in pods if replicaset is not None and controller_uid(pod) == uid(replicaset)
        )
    else:
        pods = controlled_by(every, {uid(item)})
        current = tuple(pod for pod in pods if observed and _is_current(kind, item, pod, done))
    return Workload(
        kind=kind,
        item=item,
        replicaset=replicaset,
        pods=pods,
        current=tuple(pod for pod in current if is_alive(pod)),
        over=tuple(pod for pod in current if has_ended(pod)),
    )


class WorkloadReading:
    """One workload, read again only where an object that it is read from is another one.

    A snapshot in which nothing has changed holds the same objects: with thousands of pods, looking through
    them anew takes longer than all else.
    """

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._last: tuple[tuple[object, ...], Workload] | None = None

    def read(self, snapshot: Snapshot, kind: str, item: JsonObject) -> Workload:
        """As :func:`read_workload`."""
        source = (item, *(snapshot.objects[each] for each in needed_resources(kind)[1:]))
        last = self._last
        if last is not None and all(map(is_, source, last[0])):
            return last[1]
        found = read_workload(snapshot, kind, item)
        self._last = source, found
        return found


def controlled_by(items: Sequence[JsonObject], uids: Collection[str]) -> tuple[JsonObject, ...]:
    """Those whose controller is one of the ``uids``, in their order."""
    return tuple(item for item in owned_by(items, uids) if controller_uid(item) in uids)


def choose_replicaset(
    deployment: JsonObject, owned: Sequence[JsonObject], *, done: bool
) -> JsonObject | None:
    """The ReplicaSet of the Deployment's current revision, or None while there is none.

    As the controller chooses it: the oldest with the Deployment's pod template. The revision annotation
    alone is not enough: while a change of replicas and template is half done it still names the revision
    before. It serves only where the rollout is done and no template compares equal as JSON (the server
    compares semantically: ``1000m`` is ``1`` to it).
    """
    template = _template(deployment)
    same = [rs for rs in owned if _template(rs) == template]
    if not same and done:
        revision = _annotation(deployment, _REVISION)
        same = [rs for rs in owned if revision and _annotation(rs, _REVISION) == revision]
    return min(same, key=lambda rs: (str(rs["metadata"].get("creationTimestamp")), uid(rs)), default=None)


@dataclass(frozen=True)
class Trouble:
    """A pod's container that is worst off: why it waits (or ended), and what its log may be asked for.

    ``ran``: it has a log; ``ended``: its newest run is over and its log still the current one. ``message``
    is the kubelet's, on what it waits for.
    """

    container: str = ""
    reason: str = ""
    restarts: int = 0
    ran: bool = False
    ended: bool = False
    message: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether something is wrong, and not only not there yet."""
        return bool(self.restarts) or self.reason not in ("", "ContainerCreating", "PodInitializing")


def worst_container(pod: JsonObject) -> Trouble:
    """The trouble of a pod that is not ready; of a container that merely starts there is no reason."""
    found = [Trouble()]
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state, restarts = entry.get("state") or {}, int(entry.get("restartCount") or 0)
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if ended and not ended.get("exitCode"):
            continue
        reason = str(waiting.get("reason") or ended.get("reason") or "")
        ran = bool(restarts or ended or state.get("running") or (entry.get("lastState") or {}))
        message = str(waiting.get("message") or "")
        found.append(Trouble(str(entry.get("name", "")), reason, restarts, ran, bool(ended), message))
    return max(found, key=lambda each: (each.restarts, each.is_failing, each.ran, each.container))


def images(pods: Sequence[JsonObject]) -> str:
    """The images that these pods ask for, sorted, joined by commas."""
    found = {
        str(container.get("image", ""))
        for pod in pods
        for container in (pod.get("spec") or {}).get("containers") or ()
    }
    return ", ".join(sorted(found))


def _is_current(kind: str, item: JsonObject, pod: JsonObject, done: bool) -> bool:
    labels = pod["metadata"].get("labels") or {}
    if kind == "statefulset":
        revision = (item.get("status") or {}).get("updateRevision")
        return bool(revision) and labels.get("controller-revision-hash") == revision
    # A DaemonSet's status names no revision; once it is done, all of its pods are of the current one.
    return done or labels.get("pod-template-generation") == _annotation(item, _GENERATION)


def _annotation(item: JsonObject, key: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(key, ""))


def _template(item: JsonObject) -> JsonObject:
    """The pod template without the label that the controller adds to a ReplicaSet's."""
    template = dict((item.get("spec") or {}).get("template") or {})
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {
        key: value for key, value in (metadata.get("labels") or {}).items() if key != "pod-template-hash"
    }
    template["metadata"] = metadata
    return template
