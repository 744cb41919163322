"""Failed Kubernetes events: those since the rollback that concern the release and were not overcome.

Where nothing was rolled back (verify-only), since the head was deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import quote

from ...clients.threads import fetch_each
from ...config.environment import Environment, Events
from ...domain.checks import Change, History, JsonObject, Snapshot
from ...domain.errors import ClusterError, Forbidden, NotFound, Unauthorized, ZkRollbackError
from ...domain.item_ids import EVENTS
from ...domain.ports import Kube, Stage
from ...domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence
from ...report.by_hand import kubectl
from ...report.formatting import moment
from ..titles import TITLES
from .feed import SHOWN_LAST, EventFeed, EventsRead
from .grouping import EventGroup, LiveObjects, event_time, grouped, is_conflict, render_event

SETTLE_S = 3.0
_READ_TIMEOUT_S = 5.0
# Kinds that are not watched: where one of them has a warning, the object is read by itself.
_OTHERS = {
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/{}",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims/{}",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets/{}",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses/{}",
}
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
# An autoscaler looks every 15 s, and right after a rollback there may be no metrics of the new pods yet.
_AUTOSCALER_S = 35.0
# Their objects have new names each time.
_SHORT_LIVED = frozenset({"Pod", "ReplicaSet", "Job"})

# Reasons that mean harm while their object is there and not well. Sources: k8s.io/kubernetes
# pkg/kubelet/events, the scheduler and the workload controllers. Other reasons are UNVERIFIED. The page
# docs/events.md lists them.
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
    events of all kinds and objects, ``total`` how many there are. ``objects`` is keyed by plural, ``others``
    by (kind, name). ``elsewhere`` are those of the other namespaces, each with its
    ``namespace`` and the ``owned`` objects in it; ``unread``: why a namespace could not be read.
    """

    since: datetime
    warnings: tuple[JsonObject, ...]
    last: tuple[JsonObject, ...]
    total: int
    objects: Mapping[str, tuple[JsonObject, ...]]
    others: Mapping[tuple[str, str], JsonObject | None] = field(default_factory=dict)
    namespace: str = ""
    owned: frozenset[tuple[str, str]] = frozenset()
    elsewhere: tuple[EventsSeen, ...] = ()
    unread: Mapping[str, ZkRollbackError] = field(default_factory=dict)


@dataclass(frozen=True)
class EventSource:
    """Where the events of one more namespace come from, and the release's objects in it; as for the check."""

    namespace: str
    log: EventFeed
    owned: frozenset[tuple[str, str]]
    snapshot: Callable[[], Snapshot] | None = None


@dataclass(frozen=True, kw_only=True)
class EventsCheck:
    """The runbook's line: kubectl get events --sort-by=.lastTimestamp | tail -20.

    ``since`` is when the rollback began (verify-only: when the head was deployed), server time. ``owned``
    names the release's own objects as (kind, name); pods and ReplicaSets are found through their owners.
    ``snapshot`` gives the namespace's objects (the engine's, shared), ``log`` its events.
    ``elsewhere`` are the other namespaces with objects of the release that have a state.
    """

    env: Environment
    kube: Kube
    log: EventFeed
    since: datetime
    owned: frozenset[tuple[str, str]]
    snapshot: Callable[[], Snapshot]
    elsewhere: tuple[EventSource, ...] = ()
    settle_s: float = SETTLE_S
    id: str = field(default=EVENTS, init=False)
    title: str = field(default=TITLES[EVENTS], init=False)
    stage: Stage = field(default=Stage.AFTER_ROLLOUTS, init=False)
    deadline_s: float = field(default=45.0, init=False)
    interval_s: float | None = field(default=0.5, init=False)
    soak_interval_s: float | None = field(default=5.0, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=True, init=False)
    failure_ends_waiting: bool = field(default=True, init=False)
    waiting_may_end: bool = field(default=True, init=False)

    def follows(self, change: Change) -> bool:  # noqa: ARG002 - whatever had a warning may be well again
        """Every change."""
        return True

    @property
    def expected(self) -> str:
        """Since when, and about what."""
        since = moment(self._from)
        return f"no warning since {since} about an object of the release that is still in trouble"

    @property
    def command(self) -> str:
        """The runbook's command, for every namespace."""
        words = ("get", "events", "--sort-by=.lastTimestamp")
        places = (self.env.namespace, *(each.namespace for each in self.elsewhere))
        lines = (kubectl(self.env, *words, namespace=each) for each in places)
        return "; ".join(f"{line} | tail -{SHOWN_LAST}" for line in lines)

    def observe(self) -> EventsSeen:
        """Read events and objects, once. Raises ClusterError of the release's own namespace."""
        here = EventSource(self.env.namespace, self.log, self.owned, self.snapshot)
        seen, *others = fetch_each(self._look, (here, *self.elsewhere))
        if isinstance(seen, ZkRollbackError):
            raise seen
        named = list(zip((each.namespace for each in self.elsewhere), others, strict=True))
        return replace(
            seen,
            elsewhere=tuple(each for each in others if isinstance(each, EventsSeen)),
            unread={place: each for place, each in named if isinstance(each, ZkRollbackError)},
        )

    def _look(self, source: EventSource) -> EventsSeen:
        read = source.log.read(self._from)
        objects: Mapping[str, tuple[JsonObject, ...]] = {}
        if source.snapshot is not None:
            snapshot = source.snapshot()
            if "pods" not in snapshot.objects:
                raise snapshot.errors.get("pods") or ClusterError("The pods have not been read yet.")
            objects = snapshot.objects
        seen = events_seen(read, objects, self._from)
        live, harmless = LiveObjects(seen.objects), self.env.events.harmless
        wanted = {}  # (kind, name) -> apiVersion
        for group in _concerning(seen, source.owned):
            if not _is_named(group, harmless):
                wanted[group.kind, group.name] = group.api_version
                if job := live.job_of(group):
                    wanted["Job", job] = ""
        others = self._others(source.namespace, wanted)
        return replace(seen, others=others, namespace=source.namespace, owned=source.owned)

    def _others(
        self, namespace: str, wanted: Mapping[tuple[str, str], str]
    ) -> dict[tuple[str, str], JsonObject | None]:
        """The objects of kinds that are not watched; what cannot be read is left out, and stays open."""
        found: dict[tuple[str, str], JsonObject | None] = {}
        for (kind, name), api_version in sorted(wanted.items()):
            try:
                if kind in _OTHERS:
                    path = _OTHERS[kind].format(namespace, quote(name, safe=""))
                    found[kind, name] = self.kube.get(path, timeout_s=_READ_TIMEOUT_S)
                elif kind == "Service":
                    query = {"labelSelector": f"kubernetes.io/service-name={name}"}
                    path = _SLICES.format(namespace)
                    slices = self.kube.list(path, query, timeout_s=_READ_TIMEOUT_S)
                    found[kind, name] = {"metadata": {"name": name}, "endpointslices": slices}
                elif "." in api_version and ".k8s.io/" not in api_version:
                    path = self.kube.resource_path(api_version, kind, namespace, name)
                    found[kind, name] = self.kube.get(path, timeout_s=_READ_TIMEOUT_S)
            except NotFound:
                found[kind, name] = None
            except ClusterError:
                continue
        return found

    @property
    def _from(self) -> datetime:
        return self.since + timedelta(seconds=self.env.events.grace_s)

    def judge(self, history: History, now: datetime) -> Judgement:
        """FAIL on a known failure, UNVERIFIED on an unknown reason; what was overcome only stands there.

        What is in trouble has ``settle_s`` to get well.
        """
        sample = history.last
        if sample is None:
            return Pending(observed="The events are being read", seen=False)
        if sample.error is not None:
            return CheckResult(
                word=Verdict.UNVERIFIED, observed=f"The events could not be judged: {sample.error}"
            )
        groups = _grouped(sample.value, self.owned, self.env.events, sample.at)
        found, group = _verdict(sample.value, groups), groups.deciding
        if group is None:
            return found if _is_refused(sample.value) else Pending(observed=found.observed, seen=False)
        shows = self._shows(group)
        if group.is_single_liveness_failure:  # the kubelet kills only after several
            until = group.last + timedelta(seconds=self.env.soak_max_s) if group.last is not None else None
            once = Pending(observed=found.observed, seen=False, evidence=found.evidence, by_hand=shows)
            return once.model_copy(update={"watch_until": until})
        patience_s = _AUTOSCALER_S if group.kind == "HorizontalPodAutoscaler" else self.settle_s
        if self._is_open_for(patience_s, history, now):
            return found.model_copy(update={"by_hand": shows})
        seen = found.word is Verdict.FAIL
        return Pending(observed=found.observed, seen=seen, evidence=found.evidence, by_hand=shows)

    def _is_open_for(self, patience_s: float, history: History, now: datetime) -> bool:
        """Whether every look of the last ``patience_s`` has found something in trouble."""
        for sample in reversed(history.judged or history.samples):
            if sample.error is not None:
                return False
            if _grouped(sample.value, self.owned, self.env.events, sample.at).deciding is None:
                return False
            if (now - sample.at).total_seconds() >= patience_s:
                return True
        return False

    def _shows(self, group: EventGroup) -> str:
        """The events of this one object: among the last of all they may be gone."""
        about = f"involvedObject.kind={group.kind},involvedObject.name={group.name}"
        words = ("get", "events", "--field-selector", about)
        return kubectl(self.env, *words, namespace=group.namespace or None)


def events_seen(
    read: EventsRead, objects: Mapping[str, tuple[JsonObject, ...]], since: datetime
) -> EventsSeen:
    """What was read of the events, with the objects; API times are often whole seconds, so is ``since``."""
    return EventsSeen(since.replace(microsecond=0), read.warnings, read.last, read.total, objects)


def find_first_warning(seen: EventsSeen) -> EventGroup | None:
    """The first warning about the release's objects, by the cluster's clock; None where none has a time."""
    about = (group for each in (seen, *seen.elsewhere) for group in _concerning(each, each.owned))
    timed = [(group.first, index, group) for index, group in enumerate(about) if group.first is not None]
    return min(timed)[2] if timed else None


def judge_events(
    seen: EventsSeen,
    owned: frozenset[tuple[str, str]],
    policy: Events = Events(),  # noqa: B008 - frozen
    now: datetime | None = None,
) -> CheckResult:
    """The verdict on warnings about the release's objects, by reason and by what became of the object."""
    return _verdict(seen, _grouped(seen, owned, policy, now))


@dataclass(frozen=True)
class _Grouped:
    """One look's warnings about the release: all, those whose object is still in trouble, known failures.

    ``settled`` says why a group needs no more worry; empty if it does.
    """

    all: tuple[EventGroup, ...]
    settled: tuple[str, ...]
    still_open: tuple[EventGroup, ...]
    failures: tuple[EventGroup, ...]

    @property
    def deciding(self) -> EventGroup | None:
        """The newest group that decides where the verdict is not PASS."""
        return next(reversed(self.failures or self.still_open), None)


def _grouped(
    seen: EventsSeen, owned: frozenset[tuple[str, str]], policy: Events, now: datetime | None
) -> _Grouped:
    found: list[tuple[EventGroup, str]] = []
    for each, theirs in ((seen, owned), *((one, one.owned) for one in seen.elsewhere)):
        live = LiveObjects(each.objects, each.others, now)
        found += [(group, _settled(group, live, policy)) for group in _concerning(each, theirs)]
    if seen.elsewhere:
        found.sort(key=lambda one: one[0].last or seen.since)
    groups, settled = tuple(group for group, _ in found), tuple(why for _, why in found)
    still_open = tuple(group for group, why in zip(groups, settled, strict=True) if not why)
    known = (*FAILURES, *policy.harmful)
    return _Grouped(groups, settled, still_open, tuple(each for each in still_open if _is_named(each, known)))


def _verdict(seen: EventsSeen, groups: _Grouped) -> CheckResult:
    shown, since = _events_evidence(seen, groups), moment(seen.since)
    if groups.failures:
        return CheckResult(
            word=Verdict.FAIL, observed=_said(groups.failures, "in trouble", seen.namespace), evidence=shown
        )
    if groups.still_open:
        said = _said(groups.still_open, "with a warning whose reason this tool does not know", seen.namespace)
        newest = groups.still_open[-1]
        named = newest.reason if newest.kind in _SHORT_LIVED else _named(newest)
        hint = f'; if you know it: events.harmless (or events.harmful) = ["{named}"]'
        return CheckResult(word=Verdict.UNVERIFIED, observed=said + hint, evidence=shown)
    if seen.unread:
        namespace, error = next(iter(seen.unread.items()))
        said = f"The events in namespace {namespace} could not be judged: {error}"
        return CheckResult(word=Verdict.UNVERIFIED, observed=said, evidence=shown)
    if groups.all:
        said = (
            f"Every object that had a warning is well again or gone; warnings since {since}: "
            f"{sum(group.count for group in groups.all)}."
        )
    else:
        total = seen.total + sum(each.total for each in seen.elsewhere)
        where = f"{len(seen.elsewhere) + 1} namespaces" if seen.elsewhere else "the namespace"
        said = f"No warning about the release since {since} ({total} events in {where})."
    return CheckResult(word=Verdict.PASS, observed=said, evidence=shown)


def _settled(group: EventGroup, live: LiveObjects, policy: Events) -> str:
    """Why this needs no more worry; empty if it does."""
    return "harmless" if _is_named(group, policy.harmless) else live.recovered(group)


def _named(group: EventGroup) -> str:
    return f"{group.reason} on {group.kind}/{group.name}"


def _is_named(group: EventGroup, names: Sequence[str]) -> bool:
    """Whether one of these is its reason, or ``Reason on Kind/name``."""
    return group.reason in names or _named(group) in names


def _concerning(seen: EventsSeen, owned: frozenset[tuple[str, str]]) -> tuple[EventGroup, ...]:
    live = LiveObjects(seen.objects)
    groups = grouped(event for event in seen.warnings if not is_conflict(event))
    return tuple(group for group in groups if live.belongs(group.kind, group.name, owned))


def _said(groups: Sequence[EventGroup], what: str, here: str) -> str:
    newest = groups[-1]
    objects = len({(group.namespace, group.kind, group.name) for group in groups})
    more = f" ({objects} objects)" if objects > 1 else ""
    return (
        f"{newest.kind} {newest.name}{_place(newest, here)} is {what}{more}: {newest.reason}, "
        f"{newest.count} times, last {event_time(newest.last)} UTC: {newest.message[:200]}"
    )


def _place(group: EventGroup, here: str) -> str:
    return f" in namespace {group.namespace}" if here and group.namespace not in ("", here) else ""


def _is_refused(seen: EventsSeen) -> bool:
    """Whether all that was not read stays so: what only got no answer is asked again."""
    return all(isinstance(error, Forbidden | Unauthorized) for error in seen.unread.values())


def _events_evidence(seen: EventsSeen, groups: _Grouped) -> tuple[Evidence, ...]:
    rows = [("now", "type", "reason", "object", "count", "first", "last", "message")]
    rows += [
        (
            settled or "OPEN",
            group.type,
            group.reason,
            f"{group.kind.lower()}/{group.name}{_place(group, seen.namespace)}",
            str(group.count),
            event_time(group.first),
            event_time(group.last),
            group.message[:300],
        )
        for group, settled in zip(groups.all, groups.settled, strict=True)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    table = "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[7]])
        for row in rows
    )
    found = [evidence(f"Warnings about the release since {moment(seen.since)}", table)] if groups.all else []
    for each in (seen, *seen.elsewhere):
        where = "" if each is seen else f" in namespace {each.namespace}"
        last = "\n".join(render_event(event) for event in each.last) or "(none)"
        found.append(evidence(f"The last {len(each.last)} of {each.total} events{where} (UTC)", last))
    return tuple(found)
