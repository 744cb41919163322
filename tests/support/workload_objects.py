"""Raw objects as the API server gives them, for the tests of rollouts. Times are seconds after T0."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import Snapshot

T0 = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
RECORDINGS = Path(__file__).parent / "recordings" / "rollouts"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def environment(**changes: Any) -> Environment:
    return Environment(
        **{"name": "test", "context": "test", "workloads": {"web": "deployment/web"}} | changes
    )


def template(image: str = "app:5") -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web"}, "creationTimestamp": None},
        "spec": {"containers": [{"name": "app", "image": image}]},
    }


def deployment(
    replicas: int | None = 2,
    *,
    updated: int | None = None,
    total: int | None = None,
    available: int | None = None,
    generation: int = 7,
    observed: int = 7,
    revision: int = 7,
    image: str = "app:5",
    conditions: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    count = 1 if replicas is None else replicas
    status = {
        "observedGeneration": observed,
        "replicas": count if total is None else total,
        "updatedReplicas": count if updated is None else updated,
        "availableReplicas": count if available is None else available,
        "conditions": conditions or [],
    }
    return {
        "metadata": {
            "name": "web",
            "uid": "d-1",
            "generation": generation,
            "creationTimestamp": stamp(-9999),
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"progressDeadlineSeconds": 600, "template": template(image), **spec}
        | ({} if replicas is None else {"replicas": replicas}),
        "status": {key: value for key, value in status.items() if value not in (0, [])},
    }


def progressing(reason: str, updated_s: float, status: str = "False") -> dict[str, Any]:
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "lastUpdateTime": stamp(updated_s),
        "lastTransitionTime": stamp(updated_s),
        "message": "as the controller says",
    }


def owner(uid: str) -> list[dict[str, Any]]:
    return [{"uid": uid, "controller": True, "kind": "any", "name": "any"}]


def replicaset(
    uid: str = "rs-5",
    *,
    image: str = "app:5",
    revision: int = 7,
    created_s: float = -900,
    conditions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    body = template(image)
    body["metadata"]["labels"]["pod-template-hash"] = uid
    return {
        "metadata": {
            "name": f"web-{uid}",
            "uid": uid,
            "creationTimestamp": stamp(created_s),
            "ownerReferences": owner("d-1"),
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"template": body},
        "status": {"conditions": conditions or []},
    }


def running(started_s: float = 1.0) -> dict[str, Any]:
    return {"running": {"startedAt": stamp(started_s)}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def ended(
    code: int = 1, reason: str = "Error", started_s: float = 1.0, ended_s: float = 2.0
) -> dict[str, Any]:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "startedAt": stamp(started_s),
            "finishedAt": stamp(ended_s),
        }
    }


def container(
    state: dict[str, Any] | None = None,
    *,
    name: str = "app",
    image: str = "app:5",
    restarts: int = 0,
    last: dict[str, Any] | None = None,
    ready: bool | None = None,
) -> dict[str, Any]:
    state = running() if state is None else state
    return {
        "name": name,
        "image": image,
        "restartCount": restarts,
        "ready": "running" in state if ready is None else ready,
        "state": state,
        "lastState": last or {},
    }


def pod(
    name: str = "web-a",
    *containers: dict[str, Any],
    owned_by: str = "rs-5",
    created_s: float = 1,
    ready: bool | None = None,
    phase: str = "Running",
    deleted: bool = False,
    labels: dict[str, str] | None = None,
    image: str = "app:5",
    init: list[dict[str, Any]] | None = None,
    conditions: list[dict[str, Any]] | None = None,
    **status: Any,
) -> dict[str, Any]:
    statuses = list(containers) or [container(image=image)]
    is_ready = all(entry["ready"] for entry in statuses) if ready is None else ready
    made: dict[str, Any] = {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": stamp(created_s),
            "ownerReferences": owner(owned_by),
            "labels": labels or {},
        },
        "spec": {"containers": [{"name": entry["name"], "image": image} for entry in statuses]},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(is_ready)}, *(conditions or [])],
            "containerStatuses": statuses,
            **({"initContainerStatuses": init} if init else {}),
            **status,
        },
    }
    if deleted:
        made["metadata"]["deletionTimestamp"] = stamp(30)
    return made


def unschedulable(
    since_s: float, message: str = "0/3 nodes are available: 2 Insufficient memory."
) -> dict[str, Any]:
    return {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": stamp(since_s),
    }


def snapshot(
    *pods: dict[str, Any],
    deployments: list[dict[str, Any]] | None = None,
    replicasets: list[dict[str, Any]] | None = None,
    statefulsets: list[dict[str, Any]] | None = None,
    daemonsets: list[dict[str, Any]] | None = None,
    at_s: float = 0,
) -> Snapshot:
    return Snapshot(
        at=at(at_s),
        objects={
            "deployments": tuple([deployment()] if deployments is None else deployments),
            "replicasets": tuple([replicaset()] if replicasets is None else replicasets),
            "statefulsets": tuple(statefulsets or ()),
            "daemonsets": tuple(daemonsets or ()),
            "pods": pods,
        },
    )


def recorded(case: str) -> dict[str, Any]:
    """A recording: moment -> {deployments, replicasets, pods}."""
    content: dict[str, Any] = json.loads((RECORDINGS / f"{case}.json").read_text(encoding="utf-8"))
    return content


def recorded_snapshot(moment: dict[str, Any], when: datetime) -> Snapshot:
    objects = {"statefulsets": (), "daemonsets": ()} | {key: tuple(items) for key, items in moment.items()}
    return Snapshot(at=when, objects=objects)
