"""What pods are held against, what was read of them, and facts of one raw pod. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...domain.checks import JsonObject
from ...domain.kube_objects import controller, controller_uid, namespace_of, uid
from ...domain.timestamps import parse_time
from ...domain.verdict import Verdict
from ...release.drift import LiveObject
from ...release.manifest import ObjectKey, identity, is_workload

# Between the clocks of the API server and of a node.
CLOCK_SKEW = timedelta(minutes=1)
# From helm's start (hooks, other objects first) until all that it changes is changed.
APPLIED = timedelta(minutes=10)
_POD_COLUMNS = (
    "custom-columns=POD:.metadata.name,STARTED:.status.containerStatuses[*].state.running.startedAt,"
    "IMAGES:.spec.containers[*].image,BUILDS:.status.containerStatuses[*].imageID"
)


@dataclass(frozen=True)
class DeployedInterval:
    """What a revision of the release holds, and when helm began to deploy it: at the earliest, at the latest.

    ``applied``: it did not fail, so that what was there before is gone.
    """

    earliest: datetime
    latest: datetime
    objects: tuple[JsonObject, ...]
    applied: bool = True


@dataclass(frozen=True)
class Expectation:
    """What the pods are held against.

    ``target`` are the objects of the target's manifest, ``before`` those of the revision that was rolled
    away from (empty: not known), ``rolled_away`` those of every such revision, ``removed_images`` the images
    that only they have, ``since`` when the rollback began, server time. ``intervals``: the target and all
    that came after it until then, in order (empty: not all of them are known); ``earlier`` what came before
    the target, as far as it is known. ``reloads`` are (kind, name)
    of what the application reads again by itself; ``now`` is the server's time; ``is_fresh``: the change is
    so young that whoever reads files may not have read them again. ``namespace`` is the release's own;
    ``trusted`` are the field managers whose writing is no drift.
    """

    target: tuple[JsonObject, ...]
    before: tuple[JsonObject, ...] = ()
    rolled_away: tuple[tuple[JsonObject, ...], ...] = ()
    removed_images: frozenset[str] = frozenset()
    since: datetime | None = None
    intervals: tuple[DeployedInterval, ...] = ()
    earlier: Callable[[], tuple[DeployedInterval, ...]] = tuple
    reloads: frozenset[tuple[str, str]] = frozenset()
    now: datetime | None = None
    is_fresh: bool = False
    namespace: str = ""
    trusted: frozenset[str] = frozenset()

    def label(self, item: JsonObject) -> str:
        """``Deployment/web``, with its namespace where that is not the release's: there may be namesakes."""
        return label_in(self.namespace, item)

    def place(self, item: JsonObject) -> str:
        """`` in namespace x``, or nothing where that is the release's own."""
        return place_in(self.namespace, item)

    def flag(self, item: JsonObject) -> str:
        """What a kubectl command in a sentence needs besides: `` -n x``, or nothing."""
        return f" -n {namespace_of(item)}" if self.place(item) else ""


@dataclass(frozen=True)
class Cluster:
    """What was read: ``live`` in the target's order; ``made_images`` are, by workload, the images that
    a pod of its template would get today; ``endpointslices`` of the Services; ``revisions`` are the
    ControllerRevisions, asked for where a partition keeps pods or some were not restarted; ``unread`` the
    namespaces whose pods could not be read; ``status_written`` is, by a pod's UID, when its containers were
    last written into its status, by the API server's clock; ``made_pods`` are, by workload, the pods that its
    template would get today, where that was tried."""

    live: tuple[LiveObject, ...]
    replicasets: tuple[JsonObject, ...] = ()
    pods: tuple[JsonObject, ...] = ()
    made_images: Mapping[ObjectKey, Mapping[str, str]] = field(default_factory=dict)
    endpointslices: tuple[JsonObject, ...] = ()
    revisions: tuple[JsonObject, ...] = ()
    unread: frozenset[str] = frozenset()
    status_written: Mapping[str, datetime] = field(default_factory=dict)
    made_pods: Mapping[ObjectKey, JsonObject] = field(default_factory=dict)


@dataclass(frozen=True)
class PodProblem:
    """A sentence about a pod that is not as the target has it. ``waits``: it may go away by itself.

    ``shows`` are the words of the kubectl commands that show it, each with the namespace that it is about.
    ``restart`` are those of the one that mends it.
    """

    text: str
    word: Verdict = Verdict.FAIL
    waits: bool = True
    shows: tuple[Words, ...] = ()
    restart: Words | None = None


@dataclass(frozen=True)
class Words:
    """The words of one kubectl command, and the namespace that it is about."""

    namespace: str
    words: tuple[str, ...]

    @classmethod
    def about(cls, item: JsonObject, *words: str) -> Words:
        """A command about something in the namespace of this object."""
        return cls(namespace_of(item), words)


def label_in(namespace: str, item: JsonObject) -> str:
    """``Deployment/web``, or ``Deployment/web in namespace x`` where that is not ``namespace``."""
    return f"{identity(item).label}{place_in(namespace, item)}"


def place_in(namespace: str, item: JsonObject) -> str:
    """`` in namespace x``, or nothing where that is ``namespace``."""
    there = namespace_of(item)
    return f" in namespace {there}" if namespace and there not in ("", namespace) else ""


def owned_pods(target: Sequence[JsonObject], seen: Cluster) -> dict[ObjectKey, list[JsonObject]]:
    """The pods by the target's workload that they belong to."""
    owners = {
        uid(answer.item): identity(item)
        for item, answer in zip(target, seen.live, strict=True)
        if answer.item is not None and is_workload(item)
    }
    for replicaset in seen.replicasets:
        owner = owners.get(controller_uid(replicaset))
        if owner is not None:
            owners[uid(replicaset)] = owner
    found: dict[ObjectKey, list[JsonObject]] = {}
    for pod in seen.pods:
        owner = owners.get(controller_uid(pod))
        if owner is not None:
            found.setdefault(owner, []).append(pod)
    return found


def started_before(pod: JsonObject, container: str, since: datetime) -> bool:
    """Whether this container runs, or is an init container that ended, and began before ``since``.

    API times are whole seconds.
    """
    began = started_at(pod, container)
    return began is not None and began < since.replace(microsecond=0)


def started_at(pod: JsonObject, container: str) -> datetime | None:
    """When this container began to run; None if it does not, or does not say so.

    An init container that ended counts: the others live with what it did.
    """
    status = pod.get("status") or {}
    for each in status.get("containerStatuses") or ():
        if each.get("name") == container:
            return parse_time(((each.get("state") or {}).get("running") or {}).get("startedAt"))
    for each in status.get("initContainerStatuses") or ():
        if each.get("name") == container:
            state = each.get("state") or {}
            return parse_time((state.get("running") or state.get("terminated") or {}).get("startedAt"))
    return None


def intervals_at(
    intervals: Sequence[DeployedInterval], moment: datetime | None
) -> tuple[DeployedInterval, ...]:
    """All that may have been live at this moment; none: not known, for that may be older than the first.

    Times that are not in order are those of clocks that cannot be compared.
    """
    ordered = all(
        times == sorted(times) for times in ([e.earliest for e in intervals], [e.latest for e in intervals])
    )
    if moment is None or not ordered:
        return ()
    there = [
        index
        for index, interval in enumerate(intervals)
        if interval.applied and interval.latest + APPLIED <= moment
    ]
    if 0 not in there:
        return ()
    return tuple(interval for interval in intervals[there[-1] :] if interval.earliest - CLOCK_SKEW <= moment)


def show_pod(pod: JsonObject) -> Words:
    """``kubectl get pod NAME``: when each container started, which image it runs and which build."""
    return Words.about(pod, "get", "pod", pod_name(pod), "-o", _POD_COLUMNS)


def pod_name(pod: JsonObject) -> str:
    """Its name."""
    return str(pod["metadata"].get("name"))


def owner_kind(item: JsonObject) -> str:
    """The kind of the owner that manages this object; empty if it has none."""
    return str((controller(item) or {}).get("kind") or "")
