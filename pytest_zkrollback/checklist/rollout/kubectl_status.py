"""kubectl's own answer to ``rollout status``, from one raw object.

Source: k8s.io/kubectl v0.37.2, pkg/polymorphichelpers/rollout_status.go. Messages are kubectl's, without
the newline, so that both can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...domain.checks import JsonObject
from ...domain.kube_objects import is_observed, partition_of, update_strategy

DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class RolloutStatus:
    """``message`` as kubectl prints it; ``done``: it would exit 0; ``error``: it would exit 1 at once."""

    message: str
    done: bool = False
    error: bool = False


def rollout_status(kind: str, item: JsonObject, *, ignore_deadline: bool = False) -> RolloutStatus:
    """What ``kubectl rollout status`` says of a ``deployment``, ``statefulset`` or ``daemonset``.

    ``ignore_deadline`` leaves a Deployment's ProgressDeadlineExceeded out (kubectl never does): for the one
    that was left over by the rollout before.
    """
    name = str(item["metadata"].get("name", ""))
    if kind == "deployment":
        return _deployment(name, item, ignore_deadline)
    if kind == "statefulset":
        return _statefulset(item)
    return _daemonset(name, item)


def desired_replicas(kind: str, item: JsonObject) -> int:
    """How many pods of the current revision have to be ready."""
    if kind == "daemonset":
        return _count(item, "desiredNumberScheduled")
    spec = item.get("spec") or {}
    replicas = spec.get("replicas")
    wanted = 1 if replicas is None else int(replicas)
    return max(0, wanted - partition_of(item)) if kind == "statefulset" else wanted


def condition(item: JsonObject, kind: str) -> JsonObject | None:
    """The status condition of that type, or None."""
    for entry in (item.get("status") or {}).get("conditions") or ():
        if entry.get("type") == kind:
            found: JsonObject = entry
            return found
    return None


def _count(item: JsonObject, key: str) -> int:
    return int((item.get("status") or {}).get(key) or 0)


def _deployment(name: str, item: JsonObject, ignore_deadline: bool) -> RolloutStatus:
    if not is_observed("deployment", item):
        return RolloutStatus("Waiting for deployment spec update to be observed...")
    progressing = condition(item, "Progressing") or {}
    if progressing.get("reason") == DEADLINE_EXCEEDED and not ignore_deadline:
        return RolloutStatus(f'deployment "{name}" exceeded its progress deadline', error=True)
    wanted = (item.get("spec") or {}).get("replicas")
    updated = _count(item, "updatedReplicas")
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if wanted is not None and updated < wanted:
        return RolloutStatus(f"{waiting} {updated} out of {wanted} new replicas have been updated...")
    old = _count(item, "replicas") - updated
    if old > 0:
        return RolloutStatus(f"{waiting} {old} old replicas are pending termination...")
    available = _count(item, "availableReplicas")
    if available < updated:
        return RolloutStatus(f"{waiting} {available} of {updated} updated replicas are available...")
    return RolloutStatus(f'deployment "{name}" successfully rolled out', done=True)


def _daemonset(name: str, item: JsonObject) -> RolloutStatus:
    if update_strategy(item).get("type") != "RollingUpdate":
        return _unsupported()
    if not is_observed("daemonset", item):
        return RolloutStatus("Waiting for daemon set spec update to be observed...")
    wanted = _count(item, "desiredNumberScheduled")
    updated = _count(item, "updatedNumberScheduled")
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wanted:
        return RolloutStatus(f"{waiting} {updated} out of {wanted} new pods have been updated...")
    available = _count(item, "numberAvailable")
    if available < wanted:
        return RolloutStatus(f"{waiting} {available} of {wanted} updated pods are available...")
    return RolloutStatus(f'daemon set "{name}" successfully rolled out', done=True)


def _statefulset(item: JsonObject) -> RolloutStatus:
    strategy = update_strategy(item)
    if strategy.get("type") != "RollingUpdate":
        return _unsupported()
    if not is_observed("statefulset", item):
        return RolloutStatus("Waiting for statefulset spec update to be observed...")
    wanted = (item.get("spec") or {}).get("replicas")
    missing = 0 if wanted is None else wanted - _count(item, "readyReplicas")
    if missing > 0:
        return RolloutStatus(f"Waiting for {missing} pods to be ready...")
    updated = _count(item, "updatedReplicas")
    rolling = strategy.get("rollingUpdate")
    if rolling is not None:
        partition = rolling.get("partition")
        if wanted is not None and partition is not None and updated < wanted - partition:
            return RolloutStatus(
                f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods"
                " have been updated..."
            )
        return RolloutStatus(
            f"partitioned roll out complete: {updated} new pods have been updated...", done=True
        )
    status = item.get("status") or {}
    current, update = status.get("currentRevision", ""), status.get("updateRevision", "")
    if current != update:
        return RolloutStatus(
            f"waiting for statefulset rolling update to complete {updated} pods at revision {update}..."
        )
    count = _count(item, "currentReplicas")
    return RolloutStatus(
        f"statefulset rolling update complete {count} pods at revision {current}...", done=True
    )


def _unsupported() -> RolloutStatus:
    return RolloutStatus("rollout status is only available for RollingUpdate strategy type", error=True)
