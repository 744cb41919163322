"""Where the judge differs from ``kubectl rollout status`` on purpose: at most ten predicates, each with its reason.

A predicate sees the raw state and kubectl's answer, nothing of the judge. Where none holds, both have to agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from differential.states import BEGAN, Json, State, is_ready, life, revision

_HOPELESS = ("crash-loop", "no-image", "no-config", "unscheduled")
_DOWN = (*_HOPELESS, "crashed-once", "busy-registry")


@dataclass(frozen=True)
class Difference:
    """``holds(state, kubectl)``: kubectl says green, red or waiting; then ours is one of ``ours``."""

    name: str
    ours: tuple[str, ...]
    reason: str
    holds: Callable[[State, str], bool]


def current_pods(state: State, kubectl: str) -> list[Json]:
    """The pods that the new revision has; a DaemonSet that is done has no others."""
    every = state.item["kind"] == "DaemonSet" and kubectl == "green"
    alive = [pod for pod in state.pods if "deletionTimestamp" not in pod["metadata"]]
    return [pod for pod in alive if every or revision(pod) == "new"]


def _wanted(state: State) -> int:
    spec, status = state.item["spec"], state.item["status"]
    if state.item["kind"] == "DaemonSet":
        return int(status["desiredNumberScheduled"])
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    return max(0, int(spec.get("replicas", 1)) - int(partition))


def _deadline(state: State) -> Json | None:
    conditions = state.item["status"].get("conditions") or []
    return next((each for each in conditions if each["reason"] == "ProgressDeadlineExceeded"), None)


def _stale_deadline(state: State, kubectl: str) -> bool:
    found = _deadline(state)
    if found is None or kubectl != "red":
        return False
    allowed = timedelta(seconds=state.item["spec"]["progressDeadlineSeconds"] - 1)
    return datetime.fromisoformat(found["lastUpdateTime"]) < BEGAN + allowed


def _deadline_but_done(state: State, kubectl: str) -> bool:
    status, replicas = state.item["status"], state.item["spec"].get("replicas", 0)
    updated = status.get("updatedReplicas", 0)
    done = updated >= replicas and status.get("replicas", 0) <= updated <= status.get("availableReplicas", 0)
    return _deadline(state) is not None and kubectl == "red" and done


def _nothing_wanted(state: State, kubectl: str) -> bool:
    if state.item["kind"] == "DaemonSet":
        return kubectl != "red" and state.item["status"]["desiredNumberScheduled"] == 0
    return state.item["spec"].get("replicas") == 0


def _hopeless(state: State, kubectl: str) -> bool:
    quota = any(each["status"]["conditions"] for each in state.replicasets)
    # Terminating pods make room: for quota and for what cannot be scheduled.
    room = any("deletionTimestamp" in pod["metadata"] for pod in state.pods)
    lives = [life(pod) for pod in current_pods(state, kubectl)]
    return any(each in _HOPELESS and not (each == "unscheduled" and room) for each in lives) or (
        quota and not room
    )


def _replaced_by_hand(state: State, kubectl: str) -> bool:
    strategy = state.item["spec"].get("updateStrategy") or {}
    return strategy.get("type") == "OnDelete" and kubectl == "red"


def _numbers_lie(state: State, kubectl: str) -> bool:
    pods = current_pods(state, kubectl)
    down = any(life(pod) in _DOWN for pod in pods)
    return kubectl == "green" and (sum(map(is_ready, pods)) < _wanted(state) or down)


DIFFERENCES = (
    Difference(
        "paused",
        ("red",),
        "a paused Deployment rolls nothing out, whatever its numbers say: UNVERIFIED, where kubectl waits it out",
        lambda state, _: bool(state.item["spec"].get("paused")),
    ),
    Difference(
        "nothing wanted",
        ("red",),
        "zero replicas (or a DaemonSet that no node wants) prove nothing: UNVERIFIED unless the configuration "
        "names it, where kubectl passes",
        _nothing_wanted,
    ),
    Difference(
        "being deleted",
        ("red",),
        "an object with a deletionTimestamp is on its way out: FAIL, which kubectl does not look at",
        lambda state, _: "deletionTimestamp" in state.item["metadata"],
    ),
    Difference(
        "stale deadline",
        ("waiting", "green"),
        "ProgressDeadlineExceeded that came sooner than progressDeadlineSeconds after the rollback speaks of the "
        "rollout before: it decides nothing, where kubectl fails at once",
        _stale_deadline,
    ),
    Difference(
        "deadline, but done",
        ("green",),
        "the condition stays until the controller's next look; where all numbers say done it is done",
        _deadline_but_done,
    ),
    Difference(
        "hopeless pods",
        ("red",),
        "crash loop, missing image, missing configuration, unschedulable, quota: FAIL at once, where kubectl "
        "waits until its timeout",
        _hopeless,
    ),
    Difference(
        "replaced by hand",
        ("waiting", "green"),
        "kubectl does not judge OnDelete; we do: FAIL with the pods to delete, PASS once all have been replaced",
        _replaced_by_hand,
    ),
    Difference(
        "numbers without pods",
        ("waiting",),
        "the numbers lag behind the pods: done only if as many pods of this revision as are wanted are ready and "
        "none of them is down",
        _numbers_lie,
    ),
)
