"""The runbook's ``kubectl rollout status deployment/NAME --timeout=120s``, judged from the shared snapshot.

kubectl's algorithm decides what is done; on top of it come an early failure where the pods of the current
revision show that it cannot get done, and what kubectl overlooks: a left-over deadline, a paused or empty
workload, a recreated object, pods that crash while the numbers still look good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ...config.environment import Environment
from ...domain.checks import Change, History, JsonObject, PodDiagnostics, Snapshot
from ...domain.errors import Forbidden, ZkRollbackError
from ...domain.item_ids import rollout_id
from ...domain.kube_objects import (
    WorkloadName,
    controller,
    controller_uid,
    is_alive,
    is_observed,
    is_ready,
    is_terminating,
    ordinal,
    partition_of,
    plural_of,
    replaces_by_hand,
    uid,
)
from ...domain.ports import Stage
from ...domain.timestamps import parse_time
from ...domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict
from ...report.by_hand import kubectl
from ..titles import rollout_title
from .diagnosis import (
    DiagnosisContext,
    Finding,
    findings,
    first_liveness,
    never_start,
    pull_errors,
    restart_counts,
    restarts_since,
    sentence,
)
from .event_causes import creation_failure
from .evidence import render_notes, render_pods, render_state, telling_log_line, worst_log_line
from .kubectl_status import DEADLINE_EXCEEDED, condition, desired_replicas
from .stand_in import find_stand_in
from .workload import (
    Workload,
    WorkloadReading,
    controlled_by,
    find_object,
    images,
    needed_resources,
    progress,
)

# An application beside its proxy or its database exits once or twice, and is well at its third start.
FAILED_STARTS = 2
# Beyond `soak_max_s`: long enough to see the end of a run that was called short.
_LONGER_S = 30.0


@dataclass(frozen=True, kw_only=True)
class RolloutCheck:
    """One workload's rollout; ``workload`` is ``kind/name``, ``snapshot`` that of its namespace.

    ``stated_zero``: the target's manifest states 0 replicas. ``notes`` reads what its pods in trouble say.
    ``namespace/kind/name`` is one in another namespace than the release's.
    """

    env: Environment
    item: str
    workload: str
    snapshot: Callable[[], Snapshot]
    stated_zero: bool = False
    notes: Callable[[Workload], Mapping[str, PodDiagnostics]] | None = None
    target: JsonObject | None = None
    services: tuple[JsonObject, ...] = ()
    stage: Stage = field(default=Stage.IMMEDIATE, init=False)
    interval_s: float | None = field(default=0.5, init=False)  # and on news
    soak_interval_s: float | None = field(default=0.5, init=False)
    gates_others: bool = field(default=True, init=False)
    rechecked_at_end: bool = field(default=True, init=False)
    rechecked_on_failure: bool = field(default=True, init=False)
    failure_ends_waiting: bool = field(default=True, init=False)
    waiting_may_end: bool = field(default=False, init=False)
    _reading: WorkloadReading = field(default_factory=WorkloadReading, init=False, repr=False, compare=False)

    @property
    def id(self) -> str:
        """``rollout-<item>``."""
        return rollout_id(self.item)

    @property
    def title(self) -> str:
        """The runbook's line."""
        return f"{rollout_title(self.workload)} {self._timeout}"

    @property
    def expected(self) -> str:
        """kubectl's meaning of done, and what it overlooks."""
        where = f"in namespace {self._at.namespace}, " if self._is_elsewhere else ""
        return (
            f"{where}every replica of {self._at.label}'s current revision is updated and available, and none"
            f" crash-loops, within {self.env.rollout_timeout_s:g} s"
        )

    @property
    def command(self) -> str:
        """The runbook's line, pinned to cluster and namespace."""
        return self._kubectl("rollout", "status", self._at.label, self._timeout)

    @property
    def deadline_s(self) -> float:
        """The runbook's ``--timeout``."""
        return self.env.rollout_timeout_s

    @property
    def _timeout(self) -> str:
        return f"--timeout={self.env.rollout_timeout_s:g}s"

    @property
    def _at(self) -> WorkloadName:
        return WorkloadName.parse(self.workload, self.env.namespace)

    @property
    def _is_elsewhere(self) -> bool:
        return self._at.namespace != self.env.namespace

    @property
    def _subject(self) -> str:
        """``deployment/web``, with its namespace where that is not the release's."""
        where = f" in namespace {self._at.namespace}" if self._is_elsewhere else ""
        return f"{self._at.label}{where}"

    @property
    def _flag(self) -> str:
        """What a command in a sentence needs besides."""
        return f" -n {self._at.namespace}" if self._is_elsewhere else ""

    def _kubectl(self, *words: str) -> str:
        return kubectl(self.env, *words, namespace=self._at.namespace)

    @property
    def _kind(self) -> str:
        return self._at.kind

    @property
    def _name(self) -> str:
        return self._at.name

    def follows(self, change: Change) -> bool:
        """What may be its own: a controller's pods say their controller, and a Deployment's ReplicaSets are
        named after it. One that was adopted is looked at with the next interval."""
        item, by = change.item, controller(change.item) or {}
        if change.resource == plural_of(self._kind):
            return bool(item["metadata"].get("name") == self._name)
        owner = str(by.get("name") or "")
        if change.resource == "pods" and by.get("kind") == "ReplicaSet":
            return self._kind == "deployment" and owner.rpartition("-")[0] == self._name
        if change.resource in ("pods", "replicasets", "controllerrevisions"):
            return owner == self._name
        return True

    def observe(self) -> Snapshot:
        """The shared snapshot, with notes; raises the ClusterError of what it lacks for this kind."""
        snapshot = self.snapshot()
        for resource in needed_resources(self._kind):
            if resource not in snapshot.objects:
                # The same error is raised again and again: it must not gather a traceback each time.
                raise snapshot.errors[resource].with_traceback(None)
        item = find_object(snapshot, self._kind, self._name)
        if item is None or self.notes is None:
            return snapshot
        return replace(snapshot, notes=self.notes(self._reading.read(snapshot, self._kind, item)))

    def fetch_readiness(self) -> str:
        """Whether it is complete now, whatever it was before: '2 of 2 pods ready'; empty: it is not.

        For the end of a run in which it failed. Raises ClusterError.
        """
        snapshot = self.observe()
        item = find_object(snapshot, self._kind, self._name)
        if item is None or is_terminating(item):
            return ""
        desired = desired_replicas(self._kind, item)
        ready = sum(map(is_ready, self._reading.read(snapshot, self._kind, item).current))
        complete = progress(self._kind, item).done and ready >= desired > 0
        return f"{ready} of {desired} pods ready" if complete else ""

    def judge(self, history: History, now: datetime) -> Judgement:
        """Pure; sees only samples taken since judging began."""
        judged = history.judged
        snapshots: list[Snapshot] = [sample.value for sample in judged if sample.error is None]
        if not snapshots or judged[-1].error is not None:
            return self._unread(judged[-1].error if judged else None)
        item = find_object(snapshots[-1], self._kind, self._name)
        before = next(filter(None, (find_object(each, self._kind, self._name) for each in snapshots)), None)
        if item is None:
            return self._missing(before)
        if before is not None and uid(before) != uid(item):
            return CheckResult(
                word=Verdict.FAIL,
                observed=f"{self._subject} was deleted and created anew during the verification"
                f" (UID {uid(before)}, now {uid(item)})",
            )
        return self._judge_item(item, snapshots, history, now)

    def _judge_item(
        self,
        item: JsonObject,
        snapshots: list[Snapshot],
        history: History,
        now: datetime,
    ) -> Judgement:
        workload = self._reading.read(snapshots[-1], self._kind, item)
        status = progress(self._kind, item)
        notes = snapshots[-1].notes
        proof = (render_state(workload), render_pods(workload), *render_notes(workload, notes))

        shows = ""  # what `rollout status` does not say

        def final(word: Verdict, observed: str) -> CheckResult:
            shown = "" if word is Verdict.PASS else shows
            return CheckResult(word=word, observed=observed, evidence=proof, by_hand=shown)

        def named(word: Verdict, observed: str) -> CheckResult:
            return final(word, f"{self._subject}: {observed}")

        def pending(
            observed: str, *, seen: bool = True, cures: tuple[str, ...] = (), failing: str = ""
        ) -> Pending:
            return Pending(
                observed="; ".join(filter(None, (failing, observed))),
                seen=seen,
                failing=bool(failing),
                evidence=proof,
                by_hand=shows,
                cures=cures,
            )

        if is_terminating(item):
            return named(Verdict.FAIL, "is being deleted")
        unjudgeable = self._unjudgeable(item)
        if unjudgeable:
            paused = self._kind == "deployment" and (item.get("spec") or {}).get("paused")
            resume = self._kubectl("rollout", "resume", self._at.label)
            result = named(Verdict.UNVERIFIED, unjudgeable)
            if paused:
                return result.model_copy(update={"cures": (resume,)})
            return self._stand_in(item, snapshots[-1], proof) or result
        if status.error:
            return named(Verdict.UNVERIFIED, status.message)
        context = DiagnosisContext(
            since=history.since,
            watched_from=history.judged_from or history.since,
            now=now,
            restarts_before=restart_counts(
                controlled_by(snapshots[0].objects["pods"], set(map(controller_uid, workload.current)))
            ),
            pull_errors=_earlier_pull_errors(workload, history),
            restarts_green=_restarts_green(history),
            room_at=_room_at(workload, history, notes),
            notes=notes,
        )
        found = findings(workload, context)
        shows = self._shows(found)
        count = len(workload.current)
        fails = [finding for finding in found if finding.fails]
        desired = desired_replicas(self._kind, item)
        ready = sum(map(is_ready, workload.current))
        if fails:
            named_pods = {finding.pod for finding in fails}  # others may be down, too, and not fail yet
            short = [f"{ready} of {desired} new pods ready"] if desired - ready > len(named_pods) else []
            said = (
                *short,
                sentence(fails, count),
                *telling_log_line(workload, notes, self.env.logs.patterns),
            )
            return final(Verdict.FAIL, "; ".join(said))
        exceeded = _deadline_exceeded(item, history.since)
        if exceeded and not status.done:
            said = (
                exceeded,
                sentence(found, count),
                *telling_log_line(workload, notes, self.env.logs.patterns),
            )
            return named(Verdict.FAIL, "; ".join(filter(None, said)))
        hint = sentence(found, count)
        failing = self._failing(workload, found, notes)
        if not status.done:
            news = _news(status.message)
            if is_observed(self._kind, item):
                count_ready = f"{ready} of {desired} new pods ready"
                news = count_ready if ready < desired else f"{count_ready}; {news}"
            words, cures, stays = self._unfinished(workload, context)
            observed = "; ".join(filter(None, (news, hint, words)))
            if stays:
                return named(Verdict.FAIL, observed).model_copy(update={"cures": cures})
            return pending(observed, cures=cures, failing=failing)
        if ready < desired or any(finding.crash for finding in found):
            doubt = f"kubectl would call it done, but {ready} of {desired} pods of this revision are ready"
            return pending("; ".join(filter(None, (doubt, hint))), seen=count >= desired, failing=failing)
        restarts = restarts_since(workload.current, history.since, now)
        short_s = self.env.soak_max_s
        again = next((each for each in restarts if each.may_come_again(short_s)), None)
        if again is not None:
            run = f"{again}, and has run for {max(again.runs_s, 0):.0f} s since: it may come again"
            longer = pending(f"{run}; watch on with --rollback-soak={short_s + _LONGER_S:g}", seen=False)
            return longer.model_copy(update={"watch_until": again.outlasts_at})
        kept = _kept_by_partition(workload)
        if desired == 0:
            who = "the target states" if self.stated_zero else "configured"
            return named(Verdict.PASS, kept or f"stands at zero replicas, as {who}")
        running = f"{ready} of {desired} pods ready, running {images(workload.current)}"
        green = final(Verdict.PASS, "; ".join(filter(None, (running, kept, *map(str, restarts[:1])))))
        asked = first_liveness(workload.current)
        return green if asked is None or asked[0] <= now else _watched_until(green, *asked, history)

    def _unfinished(self, workload: Workload, at: DiagnosisContext) -> tuple[str, tuple[str, ...], bool]:
        """Which older pods keep it from being done: words, the deletion that goes on, whether they stay."""
        blocking = _blocking_pods(workload)
        by_hand = replaces_by_hand(workload.item)
        names = _names(blocking or _kept_pods(workload))
        words = _blockade(names, self._flag) if blocking else _kept(names, self._flag) if by_hand else ""
        cures = (self._kubectl("delete", "pod", *names),) if names else ()
        return words, cures, bool(names) and (by_hand or never_start(blocking, at))

    def _failing(
        self, workload: Workload, found: Sequence[Finding], notes: Mapping[str, PodDiagnostics]
    ) -> str:
        """What looks like a crash loop and is not certain yet: a later start may go well."""
        starts = max((each.failed_starts for each in found), default=0)
        if starts < FAILED_STARTS:
            return ""
        times = "twice" if starts == FAILED_STARTS else f"{starts} times"
        line = worst_log_line(workload, notes, self.env.logs.patterns)
        return f"failing: crashed {times} at start" + (f": {line}" if line else "")

    def _shows(self, found: Sequence[Finding]) -> str:
        """What shows the worst finding: its pod, or the workload that gets none."""
        worst = next((each for each in found if each.fails), found[0] if found else None)
        if worst is None:
            return ""
        if worst.pod:
            return self._kubectl("describe", f"pod/{worst.pod}")
        return self._kubectl("describe", self._at.label)

    def _unread(self, error: ZkRollbackError | None) -> Judgement:
        if isinstance(error, Forbidden):
            return CheckResult(
                word=Verdict.UNVERIFIED, observed=f"{self._subject} could not be read: {error}"
            )
        reason = f": {error}" if error is not None else ""
        return Pending(observed=f"{self._subject} could not be read{reason}", seen=False)

    def _missing(self, before: JsonObject | None) -> CheckResult:
        reason = "does not exist" if before is None else "was deleted during the verification"
        return CheckResult(
            word=Verdict.FAIL, observed=f"{self._at.label} {reason} (namespace {self._at.namespace})"
        )

    def _stand_in(
        self, item: JsonObject, snapshot: Snapshot, proof: tuple[Evidence, ...]
    ) -> Judgement | None:
        """By who serves while a controller keeps this Deployment at zero; None: nobody, or it is none."""
        at_zero = self._kind == "deployment" and (item.get("spec") or {}).get("replicas") == 0
        if not at_zero or self.target is None:
            return None
        instead = find_stand_in(self.target, self.services, snapshot)
        if instead is None:
            return None
        text = f"{self._subject}: stands at zero, and {instead.text}"
        if instead.is_target:
            return CheckResult(word=Verdict.PASS, observed=text, evidence=proof)
        return Pending(observed=text, seen=True, evidence=proof)

    def _unjudgeable(self, item: JsonObject) -> str:
        """Why kubectl's answer would prove nothing; empty if it would."""
        spec = item.get("spec") or {}
        if self._kind == "deployment" and spec.get("paused"):
            resume = f"kubectl rollout resume {self._at.label}{self._flag}"
            return f"is paused, so nothing rolls out; go on with: {resume}"
        if self.workload in self.env.zero_replicas or self.stated_zero:
            return ""
        if self._kind == "daemonset":
            if is_observed(self._kind, item) and desired_replicas(self._kind, item) == 0:
                return (
                    "no node wants a pod of it, so there is nothing that could be verified; name it in"
                    " zero_replicas if that is meant"
                )
        elif spec.get("replicas") == 0:
            return (
                "stands at 0 replicas, which the configuration does not expect, so there is nothing that"
                " could be verified; name it in zero_replicas if that is meant"
            )
        return ""


def _watched_until(green: CheckResult, until: datetime, text: str, history: History) -> CheckResult:
    """The PASS, watched until every liveness probe has run once; which has not in the soak is a limit."""
    began = history.provisional_at
    limits: tuple[str, ...] = ()
    if began is not None:
        limits = (f"{text}: watch on with --rollback-soak={(until - began).total_seconds():.0f}",)
    return green.model_copy(update={"watch_until": until, "limits": limits})


def _news(message: str) -> str:
    """kubectl's message without what the item's own name says: ``1 of 3 updated replicas are available``."""
    head, _, news = message.rpartition(" rollout to finish: ")
    return (news if head.startswith("Waiting for ") else message).rstrip(".")


def _older(workload: Workload) -> list[JsonObject]:
    """Its pods of other revisions that nobody has asked to go."""
    if not is_observed(workload.kind, workload.item):
        return []
    current = {uid(pod) for pod in workload.current}
    return [pod for pod in workload.pods if uid(pod) not in current and is_alive(pod)]


def _blocking_pods(workload: Workload) -> list[JsonObject]:
    """What keeps a StatefulSet from replacing its pods (kubernetes.io: StatefulSets, "Forced rollback").

    None below the partition: a pod that is deleted there comes back from the same revision.
    """
    spec = workload.item.get("spec") or {}
    if workload.kind != "statefulset" or spec.get("podManagementPolicy") == "Parallel":
        return []
    if replaces_by_hand(workload.item):
        return []
    return [
        pod for pod in _older(workload) if not is_ready(pod) and ordinal(pod) >= partition_of(workload.item)
    ]


def _kept_pods(workload: Workload) -> list[JsonObject]:
    """The pods that ``OnDelete`` leaves as they are; none where it is not certain which they are.

    A DaemonSet's pod that the controller takes for current may bear an older generation.
    """
    if not replaces_by_hand(workload.item):
        return []
    older, status = _older(workload), workload.item.get("status") or {}
    if workload.kind == "daemonset":
        updated = int(status.get("updatedNumberScheduled") or 0)
        return older if len(older) == desired_replicas(workload.kind, workload.item) - updated else []
    return older


def _kept_by_partition(workload: Workload) -> str:
    """Which pods a partition keeps at the revision that they have."""
    partition = partition_of(workload.item) if workload.kind == "statefulset" else 0
    if not partition:
        return ""
    kept = _names([pod for pod in _older(workload) if ordinal(pod) < partition])
    return f"partition {partition} keeps {', '.join(kept)} at another revision" if kept else ""


def _names(pods: Sequence[JsonObject]) -> list[str]:
    return sorted(str(pod["metadata"].get("name", "")) for pod in pods)


def _kept(names: Sequence[str], flag: str) -> str:
    if not names:
        return "its strategy OnDelete replaces a pod only when it is deleted"
    one = len(names) == 1
    subject = "1 pod of another revision stays" if one else f"{len(names)} pods of other revisions stay"
    return (
        f"{subject}: the strategy OnDelete replaces a pod only when it is deleted; delete"
        f" {'it' if one else 'them'} to go on: kubectl delete pod {' '.join(names)}{flag}"
    )


def _blockade(names: Sequence[str], flag: str) -> str:
    subject = (
        "1 pod of an older revision is" if len(names) == 1 else f"{len(names)} pods of older revisions are"
    )
    them = "it" if len(names) == 1 else "them"
    return (
        f"{subject} not ready, and a StatefulSet waits for {them} for ever; delete {them} to go on:"
        f" kubectl delete pod {' '.join(names)}{flag}"
    )


def _deadline_exceeded(item: JsonObject, since: datetime) -> str:
    """The sentence on a progress deadline that this rollout itself has run out; empty if it has not.

    The controller counts from the last progress and keeps the condition until the next, so one that came
    sooner than ``progressDeadlineSeconds`` after the rollback speaks of the rollout before.
    """
    progressing = condition(item, "Progressing") or {}
    at = parse_time(progressing.get("lastUpdateTime"))
    allowed_s = int((item.get("spec") or {}).get("progressDeadlineSeconds") or 600)
    if progressing.get("reason") != DEADLINE_EXCEEDED or at is None:
        return ""
    if not is_observed("deployment", item) or at < since + timedelta(seconds=allowed_s - 1):
        return ""
    return f"exceeded its progress deadline of {allowed_s} s at {at:%H:%M:%S} UTC"


def _earlier_pull_errors(workload: Workload, history: History) -> dict[tuple[str, str], str]:
    """Causes of failed pulls that newer states no longer name (kubelets before 1.30)."""
    ours = {uid(pod) for pod in workload.current}
    if not any(_is_backing_off(pod) for pod in workload.current):
        return {}
    causes: dict[tuple[str, str], str] = {}
    for sample in history.samples:
        if sample.error is None:
            causes |= pull_errors([pod for pod in sample.value.objects["pods"] if uid(pod) in ours])
    return causes


def _room_at(workload: Workload, history: History, notes: Mapping[str, PodDiagnostics]) -> datetime | None:
    """When a pod of the namespace was last seen on its way out, which may make room for others in a quota;
    asked only where pods cannot be created."""
    if creation_failure(workload, notes.get(uid(workload.item), PodDiagnostics()), history.since) is None:
        return None
    for sample in reversed(history.samples):
        if sample.error is None and any(
            pod["metadata"].get("deletionTimestamp") for pod in sample.value.objects.get("pods", ())
        ):
            return sample.at
    return None


def _restarts_green(history: History) -> dict[tuple[str, str], int]:
    """The restarts of the pods that were ready when the soak began; empty before it."""
    if history.provisional_at is None:
        return {}
    green = [one for one in history.judged if one.error is None and one.at <= history.provisional_at]
    return restart_counts([pod for pod in green[-1].value.objects["pods"] if is_ready(pod)]) if green else {}


def _is_backing_off(pod: JsonObject) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(
        ((status.get("state") or {}).get("waiting") or {}).get("reason") == "ImagePullBackOff"
        for status in statuses
    )
