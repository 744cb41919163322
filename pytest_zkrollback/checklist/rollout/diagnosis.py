"""Why a rollout cannot succeed, seen in its own ReplicaSet and pods long before the deadline. Pure.

A finding that fails the item is final for the run, so every rule here has its exception: pods from before
the rollback need time to show that they are still bad, a registry's hiccup is waited on, an unschedulable
pod may be waiting for a terminating one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...domain.checks import JsonObject, PodDiagnostics
from ...domain.kube_objects import is_ready, uid
from ...domain.timestamps import parse_time
from .event_causes import MOUNT_S, creation_failure, is_scaling_up, mount_failure
from .kubectl_status import condition
from .workload import Workload

CRASH_LOOP_RESTARTS = 2
EVICTIONS = 2
# By the kubelet: its node runs out of something, or has to make room for a critical pod.
_EVICTED = ("Evicted", "Preempting")
EVICTED_S = 600.0
UNSCHEDULABLE_S = 15.0
_PROBED_S = 2.0  # until the event of a failed probe can be read
REPLICA_FAILURE_S = 5.0
# A run that ended sooner ended at its start.
AT_START_S = 10.0
# A container whose program cannot be run is tried twice within this time.
CANNOT_START_S = 3.0
# A pod from before the rollback may still show what the rollback has just mended (a ConfigMap brought
# back); the kubelet looks again within this time.
OLD_POD_GRACE_S = 20.0

# The kubelet forgets a container's crashes after ten minutes; a run this long, or twice as long as the run
# that crashed before it, counts as recovered.
_RECOVERED_S = (30.0, 600.0)
_TEXT_LIMIT = 240

_LOOPING = frozenset({"CrashLoopBackOff", "RunContainerError"})
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff"})
# No further start can differ: the runtime could not run the program, or a shell did not find it (126, 127).
_NOT_RUN = frozenset({"StartError", "ContainerCannotRun"})
_NOT_RUN_CODES = frozenset({126, 127})
_WRONG_FORMAT = "exec format error"
_NEVER_PULLED = {
    "InvalidImageName": "has an invalid image name",
    "ErrImageNeverPull": "has an image that is not on the node and must not be pulled",
}
_NOT_FOUND = re.compile(
    r"not found|NotFound|manifest unknown|name unknown|no such manifest|does not exist", re.IGNORECASE
)
_HICCUP = re.compile(
    r"too ?many ?requests|rate.?limit|time[d]? ?out|deadline exceeded|connection (refused|reset)|no such host"
    r"|server misbehaving|temporar|unavailable|failed calling webhook|no endpoints available"
    r"|\bEOF\b|TLS handshake|\b(429|50[0-4])\b",
    re.IGNORECASE,
)
# The kubelet has not got the object yet: it has just been created, or the node was just told of the pod.
_CACHE_SYNC = re.compile(r"failed to sync|timed out|no relationship found|deadline exceeded", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """Something about a workload's current revision that stands in its way.

    ``fails``: it will not mend itself. ``crash``: a container that is down right now, in any case.
    ``problem`` is a predicate ("crash-loops"), ``detail`` its particulars; ``container`` and ``pod`` are
    empty where the finding is not about one. ``weight`` orders the details of equal findings.
    ``never_starts``: no pod of this template will ever start. ``failed_starts``: how often a container that
    is down now has ended right after its start.
    """

    problem: str
    detail: str = ""
    container: str = ""
    pod: str = ""
    fails: bool = False
    crash: bool = False
    weight: int = 0
    never_starts: bool = False
    failed_starts: int = 0


@dataclass(frozen=True)
class DiagnosisContext:
    """What the rules compare with.

    ``since``: when the rollback began; ``watched_from``: when judging began; ``now``: all server time.
    ``restarts_before``: (pod UID, container) -> restarts when judging began; ``pull_errors``: the same
    key -> the newest full message of a failed pull (later messages of old kubelets leave the cause out).
    ``notes``: UID -> what pods in trouble say, and the controller that lacks some. ``room_at``: when a pod of
    the namespace was last seen on its way out, which makes room for others.
    ``restarts_green``: in the soak, the restarts of the pods that were ready when it began; else empty.
    """

    since: datetime
    watched_from: datetime
    now: datetime
    restarts_before: Mapping[tuple[str, str], int] = field(default_factory=dict)
    pull_errors: Mapping[tuple[str, str], str] = field(default_factory=dict)
    restarts_green: Mapping[tuple[str, str], int] = field(default_factory=dict)
    room_at: datetime | None = None
    notes: Mapping[str, PodDiagnostics] = field(default_factory=dict)

    def after(self, moment: datetime | None) -> bool:
        """Whether an API time (whole seconds) is not before the rollback."""
        return moment is not None and moment >= self.since.replace(microsecond=0)

    def stood_s(self, moment: datetime | None) -> float:
        """Seconds since ``moment``, but no longer than since the rollback began."""
        start = self.since if moment is None else max(moment, self.since)
        return (self.now - start).total_seconds()


def findings(workload: Workload, at: DiagnosisContext) -> tuple[Finding, ...]:
    """Everything that is wrong with the workload's current revision; empty if nothing is."""
    found = [*_replica_failure(workload, at), *_evictions(workload, at)]
    for pod in workload.current:
        found += _scheduling(workload, pod, at)
        found += _containers(pod, at)
    return tuple(found)


def never_start(pods: Sequence[JsonObject], at: DiagnosisContext) -> bool:
    """Whether one of these is in a state that its own template cannot leave: no image, no program."""
    return any(finding.never_starts for pod in pods for finding in _containers(pod, at))


@dataclass(frozen=True)
class Restart:
    """The last restart of a running container: ``lasted_s`` the run that ended, ``runs_s`` the one since."""

    pod: str
    container: str
    at: datetime
    exit_code: int
    lasted_s: float
    runs_s: float
    runs_from: datetime

    def may_come_again(self, short_s: float) -> bool:
        """Whether the run that ended was shorter than this, and the one since is not longer yet."""
        return self.runs_s <= self.lasted_s < short_s

    @property
    def outlasts_at(self) -> datetime:
        """When the run since will have been longer."""
        return self.runs_from + timedelta(seconds=self.lasted_s + 1)

    def __str__(self) -> str:
        """One phrase for a person."""
        return (
            f"container {self.container} of {self.pod} was restarted at {self.at:%H:%M:%S} UTC after"
            f" {self.lasted_s:.0f} s, exit code {self.exit_code}"
        )


def restarts_since(pods: Sequence[JsonObject], since: datetime, now: datetime) -> tuple[Restart, ...]:
    """The last restart of every running container of these pods that ended after ``since``, newest first."""
    found = []
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            last = (status.get("lastState") or {}).get("terminated") or {}
            begun, ended = parse_time(last.get("startedAt")), parse_time(last.get("finishedAt"))
            runs = parse_time(((status.get("state") or {}).get("running") or {}).get("startedAt"))
            if begun is None or ended is None or runs is None or ended < since.replace(microsecond=0):
                continue
            found.append(
                Restart(
                    pod=_name(pod),
                    container=str(status.get("name", "")),
                    at=ended,
                    exit_code=int(last.get("exitCode") or 0),
                    lasted_s=(ended - begun).total_seconds(),
                    runs_s=(now - runs).total_seconds(),
                    runs_from=runs,
                )
            )
    return tuple(sorted(found, key=lambda each: each.at, reverse=True))


def first_liveness(pods: Sequence[JsonObject]) -> tuple[datetime, str] | None:
    """When the last of these containers has been asked whether it lives, and a sentence; None: at once.

    Before that nothing is known of it: a pod is Ready without its liveness probe.
    Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """
    found = []
    for pod in pods:
        probes = {
            str(each.get("name")): each["livenessProbe"]
            for each in (pod.get("spec") or {}).get("containers") or ()
            if each.get("livenessProbe")
        }
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            name = str(status.get("name", ""))
            began = parse_time(((status.get("state") or {}).get("running") or {}).get("startedAt"))
            delay_s = (probes.get(name) or {}).get("initialDelaySeconds") or 0
            if began is not None and delay_s:
                asked_s = delay_s + (probes[name].get("timeoutSeconds") or 1) + _PROBED_S
                text = f"the liveness probe of {_name(pod)} first runs {delay_s} s after its start"
                found.append((began + timedelta(seconds=asked_s), text))
    return max(found, default=None)


def sentence(found: Sequence[Finding], pods: int) -> str:
    """The findings in one line: 'container app of 2 of 3 pods crash-loops: exit code 1, 4 restarts'."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.container, finding.problem), []).append(finding)
    parts = []
    for (container, problem), members in groups.items():
        worst = max(members, key=lambda finding: finding.weight)
        count = len({finding.pod for finding in members})
        subject = f"{count} of {pods} pod{'' if pods == 1 else 's'}" if worst.pod else ""
        if container:
            subject = f"container {container} of {subject}"
        text = f"{subject} {problem}".strip()
        parts.append(f"{text}: {worst.detail}" if worst.detail else text)
    return "; ".join(parts)


def restart_counts(pods: Sequence[JsonObject]) -> dict[tuple[str, str], int]:
    """(pod UID, container) -> restarts."""
    return {
        (uid(pod), str(status.get("name", ""))): int(status.get("restartCount") or 0)
        for pod in pods
        for status in _statuses(pod)
    }


def pull_errors(pods: Sequence[JsonObject]) -> dict[tuple[str, str], str]:
    """(pod UID, container) -> message, of the pulls that failed with a cause."""
    found = {}
    for pod in pods:
        for status in _statuses(pod):
            waiting = (status.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") == "ErrImagePull" and waiting.get("message"):
                found[uid(pod), str(status.get("name", ""))] = str(waiting["message"])
    return found


def is_missing_image(message: str, image: str) -> bool:
    """Whether a failed pull's message says for certain that the image does not exist.

    A registry that is busy, down or not reachable is not certain; the image's own name does not count.
    """
    plain = message.replace(image, "") if image else message
    return bool(_NOT_FOUND.search(plain)) and not _HICCUP.search(plain)


def _replica_failure(workload: Workload, at: DiagnosisContext) -> tuple[Finding, ...]:
    """Pods of the current revision cannot be created: quota, admission, a missing ServiceAccount."""
    told = creation_failure(workload, at.notes.get(uid(workload.item), PodDiagnostics()), at.since)
    if told is None:
        return ()
    message, stood_s = told[0], at.stood_s(told[1])
    # Terminating pods still hold their quota. The controller tries again after ever longer pauses, each as
    # long as all before it together: once there is room it may take as long again as it has until then.
    room_s = stood_s if at.room_at is None else (at.now - at.room_at).total_seconds()
    patience_s = max(REPLICA_FAILURE_S, stood_s - room_s)
    hiccup = bool(_HICCUP.search(message))
    return (
        Finding(
            problem="pods of this revision cannot be created",
            detail=_short(message),
            fails=min(stood_s, room_s) >= patience_s and not workload.terminating and not hiccup,
        ),
    )


def _evictions(workload: Workload, at: DiagnosisContext) -> tuple[Finding, ...]:
    """Its pods are evicted again and again: one evicted pod has been replaced, and the next one follows it.

    A pod whose process ends well while it is evicted has the phase Succeeded, and names no reason.
    """
    late = max(at.since.replace(microsecond=0), at.now - timedelta(seconds=EVICTED_S))
    evicted = [
        pod
        for pod in workload.over
        if (pod["status"].get("reason") or _EVICTED[0]) in _EVICTED and (_ended_at(pod) or at.since) >= late
    ]
    if len(evicted) < EVICTIONS:
        return ()
    said = {str(pod["status"].get("message") or "") for pod in evicted} - {""}
    detail = _short(f"{len(evicted)} since {late:%H:%M:%S} UTC" + (f": {min(said)}" if said else ""))
    return (Finding(problem="pods are evicted again and again", detail=detail, fails=True),)


def _ended_at(pod: JsonObject) -> datetime | None:
    """When its last container ended; where none tells, when it was made."""
    ends = [
        parse_time(((status.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for status in _statuses(pod)
    ]
    made = parse_time(pod["metadata"].get("creationTimestamp"))
    return max((end for end in ends if end is not None), default=made)


def _scheduling(workload: Workload, pod: JsonObject, at: DiagnosisContext) -> tuple[Finding, ...]:
    scheduled = condition(pod, "PodScheduled") or {}
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return ()
    since = parse_time(scheduled.get("lastTransitionTime")) or parse_time(
        pod["metadata"].get("creationTimestamp")
    )
    # Room is being made: by the pods that are on their way out, by preemption, or by another node.
    room = workload.terminating > 0 or bool((pod.get("status") or {}).get("nominatedNodeName"))
    scaling = is_scaling_up(at.notes.get(uid(pod), PodDiagnostics()))
    return (
        Finding(
            problem="waits for a node that is being added" if scaling else "cannot be scheduled",
            detail=_short(str(scheduled.get("message", ""))),
            pod=_name(pod),
            fails=at.stood_s(since) > UNSCHEDULABLE_S and not room and not scaling,
        ),
    )


def _containers(pod: JsonObject, at: DiagnosisContext) -> list[Finding]:
    young = at.after(parse_time(pod["metadata"].get("creationTimestamp")))
    found = []
    for status in _statuses(pod):
        key = (uid(pod), str(status.get("name", "")))
        finding = _container(pod, status, key, young, at)
        if finding is not None:
            found.append(finding)
    if not found and not is_ready(pod):
        found += _unready(pod, at)
    return found


def _container(
    pod: JsonObject, status: JsonObject, key: tuple[str, str], young: bool, at: DiagnosisContext
) -> Finding | None:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = str(waiting.get("reason", ""))
    message = str(waiting.get("message", ""))
    restarts = int(status.get("restartCount") or 0)
    lately = restarts if young else restarts - at.restarts_before.get(key, restarts)
    certain = young or (at.now - at.watched_from).total_seconds() >= OLD_POD_GRACE_S
    made_at = parse_time(pod["metadata"].get("creationTimestamp"))
    ended = state.get("terminated") or {}
    failed = int(ended.get("exitCode") or 0) != 0
    late = key in at.restarts_green and (failed or reason in _LOOPING or restarts > at.restarts_green[key])

    def found(
        problem: str,
        detail: str = "",
        *,
        fails: bool = False,
        crash: bool = False,
        never_starts: bool = False,
        failed_starts: int = 0,
    ) -> Finding:
        return Finding(
            problem=problem,
            detail=_short(detail),
            container=key[1],
            pod=_name(pod),
            fails=fails,
            crash=crash,
            weight=restarts,
            never_starts=never_starts,
            failed_starts=failed_starts,
        )

    why = "" if state.get("running") else _cannot_run(status, at.notes.get(key[0], PodDiagnostics()))
    never = bool(why) and _last_run(status).get("reason") in _NOT_RUN

    def down() -> Finding:
        """It has crashed, and nothing is certain yet but where no further start can differ."""
        text = _crash(status, ended or waiting)
        if why:
            fails = certain and at.stood_s(made_at) >= CANNOT_START_S
            return found("cannot start", f"{text}: {why}", fails=fails, crash=True, never_starts=never)
        starts = restarts + 1 if young and _ended_at_start(status) else 0
        return found("has crashed", text, crash=True, failed_starts=starts)

    if reason in _LOOPING and not late:
        if restarts >= CRASH_LOOP_RESTARTS and (young or _crashed_after(status, at)):
            return found("crash-loops", _crash(status, waiting), fails=True, crash=True, never_starts=never)
        return down()
    recovered = _has_recovered(status, at) or _completed(pod, status)
    unseen = at.restarts_before.get(key) == restarts
    if lately >= CRASH_LOOP_RESTARTS and not recovered and unseen and status.get("ready"):
        # It came up before we looked; whether it stays up is not known yet.
        return found("has come up again, but not for long yet", _crash(status, waiting), crash=True)
    if lately >= CRASH_LOOP_RESTARTS and not recovered:
        return found("crash-loops", _crash(status, waiting), fails=True, crash=True)
    if late:
        return found("crashed after it was green", _crash(status, ended), fails=True, crash=True)
    if reason in _NEVER_PULLED:
        what = message or str(status.get("image", ""))
        return found(_NEVER_PULLED[reason], what, fails=certain, crash=True, never_starts=True)
    if reason in _PULLING:
        if reason == "ImagePullBackOff" and "ErrImagePull" not in message:
            message = at.pull_errors.get(key, message)
        missing = is_missing_image(message, str(status.get("image", "")))
        problem = "has an image that does not exist" if missing else "cannot pull its image"
        return found(problem, message, fails=missing and certain, crash=True, never_starts=missing)
    if reason == "CreateContainerConfigError":
        # What it reads may come a little later than its pod, as External Secrets bring it.
        came = at.notes.get(key[0], PodDiagnostics()).settings_came
        fails = certain and not came and at.stood_s(made_at) >= MOUNT_S and not _CACHE_SYNC.search(message)
        return found("cannot be configured", message, fails=fails, crash=True)
    if reason not in ("", "ContainerCreating", "PodInitializing"):
        return found(f"is waiting ({reason})", message, crash=True)
    return down() if failed else None


def _unready(pod: JsonObject, at: DiagnosisContext) -> list[Finding]:
    """What an unready pod without any trouble of its own is waiting for."""
    mount, certain = mount_failure(pod, at.notes.get(uid(pod), PodDiagnostics()), at.since)
    for status in _statuses(pod):
        state = status.get("state") or {}
        waiting = state.get("waiting") or {}
        name = str(status.get("name", ""))
        if mount and waiting.get("reason") in ("ContainerCreating", "PodInitializing"):
            detail = _short(mount)
            return [
                Finding("cannot mount its volumes", detail, container=name, pod=_name(pod), fails=certain)
            ]
        if waiting.get("reason") == "ContainerCreating":
            return [Finding(problem="is being created", container=name, pod=_name(pod))]
        if state.get("running") and status.get("ready") is False:
            return [Finding(problem="runs but is not ready", container=name, pod=_name(pod))]
    return []


def _crashed_after(status: JsonObject, at: DiagnosisContext) -> bool:
    """Whether the run that crashed last began after the rollback did."""
    last = (status.get("lastState") or {}).get("terminated") or {}
    return at.after(parse_time(last.get("startedAt")))


def _last_run(status: JsonObject) -> JsonObject:
    """The run that ended last; empty: none did."""
    last: JsonObject = (status.get("state") or {}).get("terminated") or {}
    return last or (status.get("lastState") or {}).get("terminated") or {}


def _ended_at_start(status: JsonObject) -> bool:
    last = _last_run(status)
    begun, ended = parse_time(last.get("startedAt")), parse_time(last.get("finishedAt"))
    return begun is not None and ended is not None and (ended - begun).total_seconds() < AT_START_S


def _cannot_run(status: JsonObject, note: PodDiagnostics) -> str:
    """Why no further start of this container can differ; empty: one can."""
    last = _last_run(status)
    message = str(last.get("message") or "")
    if _HICCUP.search(message):
        return ""
    if last.get("reason") in _NOT_RUN:
        return message or "the runtime could not run it"
    if not _ended_at_start(status):
        return ""
    if last.get("exitCode") in _NOT_RUN_CODES:
        return "its program could not be run" if last["exitCode"] == 126 else "its program was not found"
    lines = [line for line in (*message.splitlines(), *note.log.splitlines()) if _WRONG_FORMAT in line]
    return lines[-1] if lines else ""


def _has_recovered(status: JsonObject, at: DiagnosisContext) -> bool:
    """Whether a restarted container has run long enough to be taken for healthy."""
    running = (status.get("state") or {}).get("running") or {}
    begun = parse_time(running.get("startedAt"))
    if begun is None or not status.get("ready"):
        return False
    last = (status.get("lastState") or {}).get("terminated") or {}
    started, ended = parse_time(last.get("startedAt")), parse_time(last.get("finishedAt"))
    lasted = ended - started if started and ended else timedelta(0)
    shortest, longest = _RECOVERED_S
    needed_s = max(shortest, min(2 * lasted.total_seconds(), longest))
    return (at.now - begun).total_seconds() >= needed_s


def _completed(pod: JsonObject, status: JsonObject) -> bool:
    """Whether it is an init container that tried again until it ended well: it does not start any more."""
    ended = (status.get("state") or {}).get("terminated") or {}
    once = status in ((pod.get("status") or {}).get("initContainerStatuses") or ())
    return once and ended.get("exitCode") == 0


def _crash(status: JsonObject, state: JsonObject) -> str:
    """'exit code 137 (OOMKilled), 4 restarts', as far as it is known."""
    ended = _last_run(status)
    restarts = int(status.get("restartCount") or 0)
    parts = []
    if ended:
        reason = ended.get("reason")
        parts.append(
            f"exit code {ended.get('exitCode')}" + (f" ({reason})" if reason not in (None, "Error") else "")
        )
    elif state.get("message"):
        parts.append(str(state["message"]))
    parts.append(f"{restarts} restart{'' if restarts == 1 else 's'}")
    return ", ".join(parts)


def _statuses(pod: JsonObject) -> list[JsonObject]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _name(pod: JsonObject) -> str:
    return str(pod["metadata"].get("name", ""))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_LIMIT else f"{line[: _TEXT_LIMIT - 1]}…"
