"""Generated states of Deployments, StatefulSets and DaemonSets with their pods, raw as the API gives them.

Knows nothing of the judge: what a pod is and of which revision is noted in the pod's own annotations, for the
predicates of ``differences.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)  # when the rollback began
NOW = BEGAN + timedelta(seconds=60)
KINDS = ("Deployment", "StatefulSet", "DaemonSet")

Json = dict[str, Any]

# How a pod looks: name -> (weight, its only container's status, whether Ready)
_LIVES: dict[str, tuple[int, Json, bool]] = {
    "ready": (60, {"state": {"running": {"startedAt": "2026-11-23T12:00:05Z"}}, "restartCount": 0}, True),
    "starting": (12, {"state": {"waiting": {"reason": "ContainerCreating"}}, "restartCount": 0}, False),
    "unready": (10, {"state": {"running": {"startedAt": "2026-11-23T12:00:50Z"}}, "restartCount": 0}, False),
    "crashed-once": (
        5,
        {
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
            "lastState": {
                "terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-11-23T12:00:40Z"}
            },
            "restartCount": 1,
        },
        False,
    ),
    "crash-loop": (
        5,
        {
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting"}},
            "lastState": {
                "terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-11-23T12:00:40Z"}
            },
            "restartCount": 3,
        },
        False,
    ),
    "no-image": (
        4,
        {
            "state": {
                "waiting": {"reason": "ErrImagePull", "message": "manifest unknown: app:9.9 not found"}
            },
            "restartCount": 0,
        },
        False,
    ),
    "busy-registry": (
        3,
        {
            "state": {"waiting": {"reason": "ErrImagePull", "message": "429 Too Many Requests"}},
            "restartCount": 0,
        },
        False,
    ),
    "no-config": (
        3,
        {
            "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}},
            "restartCount": 0,
        },
        False,
    ),
    "unscheduled": (3, {}, False),
}


@dataclass(frozen=True)
class State:
    """One object with what belongs to it."""

    item: Json
    replicasets: tuple[Json, ...]
    pods: tuple[Json, ...]


def generate(seed: int) -> State:
    """The state with this number; the same number gives the same state."""
    random = Random(seed)
    kind = KINDS[seed % 3]
    item = _object(kind, random)
    updated, old = _counts(kind, item, random)
    replicasets = tuple(_replicaset(name, random) for name in ("new", "old")) if kind == "Deployment" else ()
    pods = [_pod(kind, f"new-{n}", "new", random, settled=random.random() < 0.75) for n in range(updated)]
    pods += [_pod(kind, f"old-{n}", "old", random, settled=True) for n in range(old)]
    _count_up(kind, item, pods, random)
    return State(item, replicasets, tuple(pods))


def _object(kind: str, random: Random) -> Json:
    generation = random.randint(1, 9)
    observed = generation if random.random() < 0.9 else generation - random.randint(-1, 1)
    spec: Json = {"template": _template("new"), "selector": {"matchLabels": {"app": "web"}}}
    if kind != "DaemonSet":
        replicas = random.choice([None, 0, 1, 1, 2, 2, 3, 3, 5])
        spec |= {} if replicas is None else {"replicas": replicas}
    metadata: Json = {
        "name": "web",
        "namespace": "shop",
        "uid": "web-uid",
        "generation": generation,
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "annotations": {"deployment.kubernetes.io/revision": "7"},
    }
    if random.random() < 0.02:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:30Z"
    status: Json = {"observedGeneration": observed}
    if kind == "Deployment":
        spec["progressDeadlineSeconds"] = random.choice([30, 600])
        spec |= {"paused": True} if random.random() < 0.04 else {}
        status["conditions"] = _conditions(random)
    elif kind == "StatefulSet":
        spec["updateStrategy"] = _strategy(random, {"partition": random.choice([0, 0, 1, 2])})
        status |= {"currentRevision": "web-old", "updateRevision": "web-new"}
    else:
        spec["updateStrategy"] = _strategy(random, {"maxUnavailable": 1})
        metadata["annotations"] = {"deprecated.daemonset.template.generation": "7"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def _strategy(random: Random, rolling: Json) -> Json:
    chance = random.random()
    if chance < 0.06:
        return {"type": "OnDelete"}
    return {"type": "RollingUpdate"} | ({"rollingUpdate": rolling} if chance < 0.6 else {})


def _conditions(random: Random) -> list[Json]:
    chance = random.random()
    if chance < 0.12:
        at = BEGAN + timedelta(seconds=random.choice([-200, 5, 20, 35, 55]))
        return [_progressing("False", "ProgressDeadlineExceeded", at)]
    return [_progressing("True", "ReplicaSetUpdated", BEGAN)] if chance < 0.9 else []


def _progressing(status: str, reason: str, at: datetime) -> Json:
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
    }


def _counts(kind: str, item: Json, random: Random) -> tuple[int, int]:
    """How many new and old pods there are."""
    wanted = random.choice([0, 1, 2, 3]) if kind == "DaemonSet" else item["spec"].get("replicas", 1)
    chance = random.random()
    if chance < 0.65:
        return wanted, 0
    updated = random.randint(0, wanted + 1)
    return updated, max(0, wanted - updated) + random.choice([0, 0, 1])


def _count_up(kind: str, item: Json, pods: list[Json], random: Random) -> None:
    """The controller's numbers: as the pods are, or (sometimes) as they were a moment ago."""
    new = [pod for pod in pods if revision(pod) == "new"]
    ready, new_ready = sum(map(is_ready, pods)), sum(map(is_ready, new))
    lag = random.choice([0, 0, 0, 0, 0, 1, -1])
    status = item["status"]
    if kind == "Deployment":
        counts = {"replicas": len(pods), "updatedReplicas": len(new), "availableReplicas": ready + lag}
        counts["readyReplicas"] = ready
    elif kind == "StatefulSet":
        counts = {"replicas": len(pods), "readyReplicas": ready + lag, "updatedReplicas": len(new)}
        counts["currentReplicas"] = len(new)
        if len(new) == len(pods) and random.random() < 0.9:
            status["currentRevision"] = "web-new"
    else:
        counts = {"desiredNumberScheduled": len(pods), "updatedNumberScheduled": len(new)}
        counts["numberAvailable"] = ready + lag
        counts["numberReady"] = new_ready
    status |= {name: max(0, count) for name, count in counts.items()}


def _template(revision_name: str) -> Json:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": f"app:{revision_name}"}]},
    }


def _replicaset(name: str, random: Random) -> Json:
    template = _template(name)
    template["metadata"]["labels"]["pod-template-hash"] = name
    failing = name == "new" and random.random() < 0.03
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "web-new-x" is forbidden: exceeded quota: compute',
        "lastTransitionTime": "2026-11-23T12:00:10Z",
    }
    return {
        "metadata": {
            "name": f"web-{name}",
            "uid": f"rs-{name}",
            "creationTimestamp": "2026-11-20T00:00:00Z" if name == "old" else "2026-11-10T00:00:00Z",
            "ownerReferences": [{"uid": "web-uid", "controller": True, "kind": "Deployment", "name": "web"}],
        },
        "spec": {"template": template},
        "status": {"conditions": [failure] if failing else []},
    }


def _pod(kind: str, name: str, of: str, random: Random, *, settled: bool) -> Json:
    weights = {life: weight for life, (weight, _, _) in _LIVES.items()}
    life = "ready" if settled else random.choices(list(weights), list(weights.values()))[0]
    _, container, ready = _LIVES[life]
    condition = {"type": "Ready", "status": str(ready)}
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
        "lastTransitionTime": "2026-11-23T12:00:05Z",
    }
    labels = {"app": "web", "controller-revision-hash": f"web-{of}"}
    labels["pod-template-generation"] = "7" if of == "new" else "6"
    metadata: Json = {
        "name": f"web-{name}",
        "uid": f"pod-{name}",
        "creationTimestamp": "2026-11-23T12:00:03Z" if of == "new" else "2026-11-20T00:00:00Z",
        "labels": labels,
        "ownerReferences": [
            {
                "uid": f"rs-{of}" if kind == "Deployment" else "web-uid",
                "controller": True,
                "kind": "ReplicaSet" if kind == "Deployment" else kind,
                "name": "web",
            }
        ],
        "annotations": {"test/revision": of, "test/life": life},
    }
    if of == "old" and random.random() < 0.2:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:50Z"
    status: Json = {"phase": "Running" if container else "Pending", "conditions": [condition]}
    if container:
        status["containerStatuses"] = [{"name": "app", "image": f"app:{of}", "ready": ready, **container}]
    else:
        status["conditions"].append(unscheduled)
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "app", "image": f"app:{of}"}]},
        "status": status,
    }


def revision(pod: Json) -> str:
    """``new`` or ``old``, as generated."""
    return str(pod["metadata"]["annotations"]["test/revision"])


def life(pod: Json) -> str:
    """How it is, as generated."""
    return str(pod["metadata"]["annotations"]["test/life"])


def is_ready(pod: Json) -> bool:
    """Whether it was generated ready."""
    return _LIVES[life(pod)][2]
