"""Generated rollouts of a simulated cluster: what a judge may see, moment by moment, and how it has to end.

Knows nothing of the judge. A rollout is a list of moments (seconds after the rollback began) with the objects as
the API would give them. ``qualifies_s`` is when a person who reads them could be certain that it cannot succeed;
None for one that recovers. The scripts follow what a real kubelet was seen to do (tests/support/recordings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)

Json = dict[str, Any]
Script = list[tuple[float, Json]]  # seconds after the pod's creation -> what it is like from then on

_RUNNING = "running"


@dataclass(frozen=True)
class Rollout:
    """``moments``: (seconds, objects by plural), oldest first; ``kind/name`` is ``workload``."""

    name: str
    workload: str
    moments: tuple[tuple[float, dict[str, tuple[Json, ...]]], ...]
    qualifies_s: float | None


def stamp(seconds: float) -> str:
    """An API time: whole seconds."""
    return (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class _Pod:
    """One pod's life. A phase: ``state`` (the container's), restarts, last, ready; or init, gone, unscheduled."""

    name: str
    revision: str
    created_s: float
    script: Script
    ends_s: float | None = None

    def at(self, second: float) -> Json | None:
        """The phase at a moment; None if there is no such pod."""
        if second < self.created_s or (self.ends_s is not None and second >= self.ends_s + 1):
            return None
        passed = [phase for begins, phase in self.script if self.created_s + begins <= second + 1e-9]
        return {**(passed[-1] if passed else {})} | (
            {"deleted": True} if self.ends_s is not None and second >= self.ends_s else {}
        )

    def changes(self) -> Iterator[float]:
        yield from (self.created_s, *(self.created_s + begins for begins, _ in self.script))
        if self.ends_s is not None:
            yield from (self.ends_s, self.ends_s + 1)


@dataclass
class _World:
    random: Random
    kind: str
    replicas: int
    pods: list[_Pod] = field(default_factory=list)
    quota_s: tuple[float, float] | None = None
    exceeded_s: float | None = None  # when the controller says ProgressDeadlineExceeded
    stale_until_s: float | None = None
    deadline_s: int = 600
    recreated_s: float | None = None


def _waiting(reason: str, message: str = "", **more: Any) -> Json:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def _runs(since: float, *, ready: bool = False, **more: Any) -> Json:
    return {"state": {"running": {"startedAt": stamp(since)}}, "ready": ready, **more}


def _dead(code: int, reason: str, begun: float, ended: float) -> Json:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "startedAt": stamp(begun),
            "finishedAt": stamp(ended),
        }
    }


# --- scripts of a pod that gets well: (random, created) -> script, the last phase is ready ----------------


def _starts(random: Random, created: float, before: float = 0.0) -> Script:
    up = before + random.uniform(0.3, 3)
    slow = random.choice([random.uniform(0.2, 4), random.uniform(5, 25), random.uniform(40, 70)])
    ready = min(up + slow, 100)  # the runbook's deadline is 120 s
    return [
        (before, _waiting("ContainerCreating")),
        (up, _runs(created + up)),
        (ready, _runs(created + up, ready=True)),
    ]


def _crashes_once(random: Random, created: float) -> Script:
    crash = random.uniform(0.5, 8)
    again = crash + random.uniform(1, 12)
    dead = _dead(1, "Error", created + 0.4, created + crash)
    wait = _waiting("CrashLoopBackOff", "back-off 10s restarting failed container", restarts=1, last=dead)
    well = _starts(random, created, again)
    return [
        (0.2, _waiting("ContainerCreating")),
        (0.4, _runs(created + 0.4)),
        (crash, {"state": dead}),
        (crash + 0.6, wait),
        *((begins, {**phase, "restarts": 1, "last": dead}) for begins, phase in well[1:]),
    ]


def _pulls_late(random: Random, created: float) -> Script:
    why = random.choice(
        [
            'unexpected status code 429 Too Many Requests: "app:new"',
            'dial tcp 10.0.0.1:443: i/o timeout while pulling "app:new"',
            "503 Service Unavailable",
            "dial tcp: lookup registry.example: no such host",
        ]
    )
    back_off = f'Back-off pulling image "app:new": ErrImagePull: {why}'
    pulled = random.uniform(5, 60)
    return [
        (0.2, _waiting("ContainerCreating")),
        (1, _waiting("ErrImagePull", why)),
        (2, _waiting("ImagePullBackOff", random.choice([back_off, 'Back-off pulling image "app:new"']))),
        *_starts(random, created, pulled)[1:],
    ]


def _config_comes(random: Random, created: float) -> Script:
    why = random.choice(
        ["failed to sync secret cache: timed out waiting for the condition", 'secret "db" not found']
    )
    return [
        (0.3, _waiting("CreateContainerConfigError", why)),
        *_starts(random, created, random.uniform(1, 11))[1:],
    ]


def _scheduled_late(random: Random, created: float) -> Script:
    return [
        (0.1, {"unscheduled": "0/3 nodes are available: 3 Insufficient memory."}),
        *_starts(random, created, random.uniform(2, 14)),
    ]


def _preempts(random: Random, created: float) -> Script:
    return [
        (0.1, {"unscheduled": "0/3 nodes are available: preemption", "nominated": "node-2"}),
        *_starts(random, created, random.uniform(16, 40)),
    ]


def _initialises(random: Random, created: float) -> Script:
    done = random.uniform(2, 30)
    dead = _dead(1, "Error", created + 1, created + 2)
    crashed: Script = [(2.5, {"init": {**_waiting("CrashLoopBackOff", restarts=1, last=dead)}})]
    return [
        (0.2, {"init": _runs(created + 0.2)}),
        *(crashed if random.random() < 0.5 and done > 4 else []),
        *_starts(random, created, done)[1:],
    ]


def _flaps(random: Random, created: float) -> Script:
    script = _starts(random, created)
    begins, well = script[-1]
    unwell = {**well, "ready": False}
    return [*script, (begins + 0.6, unwell), (begins + random.uniform(1, 9), well)]


_WELL: tuple[Callable[[Random, float], Script], ...] = (
    _starts,
    _crashes_once,
    _pulls_late,
    _config_comes,
    _scheduled_late,
    _preempts,
    _initialises,
    _flaps,
)


# --- scripts of a pod that does not: -> script and when that is certain, after its creation ---------------


def _crash_loop(random: Random, created: float, *, where: str = "") -> tuple[Script, float]:
    code, reason = random.choice([(1, "Error"), (3, "Error"), (137, "OOMKilled"), (128, "StartError")])
    script: Script = [(0.2, _waiting("ContainerCreating"))]
    at, wait = 0.5, 1.0
    certain = (
        int(created) + 3 - created
    )  # what could not be started twice will not; API times are whole seconds
    for restart in range(4):
        lived = 0.05 if code == 128 else random.uniform(0.2, 5)
        dead = _dead(code, reason, created + at, created + at + lived)
        script.append((at, _runs(created + at, restarts=restart, last=dead if restart else None)))
        if restart == 2 and code != 128:
            certain = at
        script.append((at + lived, {"state": dead, "restarts": restart}))
        loop = _waiting("CrashLoopBackOff", f"back-off {wait:g}s restarting", restarts=restart, last=dead)
        script.append((at + lived + 0.3, loop))
        at += lived + 0.3 + wait
        wait *= 2
    return [(begins, {"init": phase} if where == "init" else phase) for begins, phase in script], certain


def _init_crash_loop(random: Random, created: float) -> tuple[Script, float]:
    return _crash_loop(random, created, where="init")


def _no_image(random: Random, created: float) -> tuple[Script, float]:
    why = random.choice(
        [
            'failed to resolve reference "app:new": app:new: not found',
            "manifest unknown: manifest tagged by new is not found",
            "name unknown: The repository with name 'app' does not exist in the registry",
        ]
    )
    return [
        (0.2, _waiting("ContainerCreating")),
        (1.5, _waiting("ErrImagePull", why)),
        (3, _waiting("ImagePullBackOff", f'Back-off pulling image "app:new": ErrImagePull: {why}')),
    ], 1.5


def _bad_name(random: Random, created: float) -> tuple[Script, float]:
    return [(0.3, _waiting("InvalidImageName", 'couldn\'t parse image name "app::new"'))], 0.3


def _no_config(random: Random, created: float) -> tuple[Script, float]:
    what = random.choice(['secret "db" not found', "couldn't find key TOKEN in ConfigMap shop/settings"])
    script: Script = [
        (0.2, _waiting("ContainerCreating")),
        (0.8, _waiting("CreateContainerConfigError", what)),
    ]
    # What it reads may come a little later; API times are whole seconds.
    return script, int(created) + 15 - created


def _no_room(random: Random, created: float) -> tuple[Script, float]:
    # API times are whole seconds.
    return [(0.1, {"unscheduled": "0/3 nodes are available: 3 Insufficient cpu."})], int(
        created
    ) + 15 - created


_ILL: tuple[Callable[[Random, float], tuple[Script, float]], ...] = (
    _crash_loop,
    _init_crash_loop,
    _no_image,
    _bad_name,
    _no_config,
    _no_room,
)


def recovering(seed: int) -> Rollout:
    """A rollout that succeeds, whatever happens on the way."""
    world = _begin(seed)
    created = world.random.uniform(0.2, 1)
    for number in range(world.replicas):
        script = world.random.choice(_WELL)(world.random, created)
        world.pods.append(_Pod(f"new-{number}", "new", created, script))
        created += world.random.uniform(0, 1.5)
    if world.kind == "Deployment" and world.random.random() < 0.3:
        world.stale_until_s = world.random.uniform(1, 6)
    if world.kind == "Deployment" and world.random.random() < 0.1:
        world.quota_s = (0.5, world.random.uniform(1, 8))
    if world.random.random() < 0.1:  # one is evicted, and its successor gets well
        begins = world.pods[-1].created_s
        evicted = _Pod("new-evicted", "new", begins, [(0, _runs(begins)), (1.5, {"phase": "Failed"})])
        world.pods.append(evicted)
    return _play(f"recovering {seed}", world, None)


def failing(seed: int) -> Rollout:
    """A rollout that cannot succeed."""
    world = _begin(seed)
    created = world.random.uniform(0.2, 1)
    for number in range(world.replicas - 1):
        script = world.random.choice(_WELL)(world.random, created)
        world.pods.append(_Pod(f"new-{number}", "new", created, script))
    choice = world.random.randrange(len(_ILL) + 3)
    if choice < len(_ILL):
        script, certain = _ILL[choice](world.random, created)
        world.pods.append(_Pod("new-ill", "new", created, script))
        qualifies = created + certain
    elif choice == len(_ILL) and world.kind == "Deployment":
        world.quota_s = (created, 1e9)
        qualifies = _without_quota(world, created)
    elif choice == len(_ILL) + 1:
        world.pods.append(_Pod("new-ill", "new", created, _starts(world.random, created)))
        qualifies = world.recreated_s = world.random.uniform(1, 20)
    else:  # never ready, or never mounted: certain when the controller gives it up
        world.kind = "Deployment"
        world.deadline_s = world.random.randint(15, 90)
        phase = world.random.choice([_waiting("ContainerCreating"), _runs(created + 1)])
        world.pods.append(_Pod("new-ill", "new", created, [(0.5, phase)]))
        qualifies = world.exceeded_s = world.deadline_s + world.random.uniform(0.5, 3)
    return _play(f"failing {seed}", world, qualifies)


def _without_quota(world: _World, created: float) -> float:
    """The controller tries again after ever longer pauses, each as long as all before it: old pods that end
    free their share of the quota, and after that it may take as long again as it has until then."""
    ended = max(pod.ends_s + 1 for pod in world.pods if pod.ends_s is not None)
    return max(int(created) + 5, ended + max(5, ended - int(created)))


def _begin(seed: int) -> _World:
    random = Random(seed)
    world = _World(
        random, random.choice(["Deployment", "Deployment", "StatefulSet", "DaemonSet"]), random.randint(1, 4)
    )
    for number in range(world.replicas):
        loop = _waiting("CrashLoopBackOff", "back-off 5m0s", restarts=9, last=_dead(1, "Error", -60, -59))
        phase = random.choice([loop, _runs(-900, ready=True)])
        world.pods.append(_Pod(f"old-{number}", "old", -1000, [(0, phase)], ends_s=random.uniform(0.3, 3)))
    return world


def _play(name: str, world: _World, qualifies_s: float | None) -> Rollout:
    times = {change for pod in world.pods for change in pod.changes() if change > 0}
    times |= {
        0.05,
        *(world.quota_s or ()),
        *filter(None, (world.stale_until_s, world.exceeded_s, world.recreated_s)),
    }
    moments = tuple((second, _objects(world, second)) for second in sorted(times) if second < 600)
    return Rollout(name, f"{world.kind.lower()}/web", moments, qualifies_s)


def _objects(world: _World, second: float) -> dict[str, tuple[Json, ...]]:
    phases = [(pod, phase) for pod in world.pods if (phase := pod.at(second)) is not None]
    alive = [
        (pod, phase) for pod, phase in phases if phase.get("phase") != "Failed" and "deleted" not in phase
    ]
    new = [phase for pod, phase in alive if pod.revision == "new"]
    ready = sum(phase.get("ready", False) for _, phase in alive)
    uid = "uid-b" if world.recreated_s is not None and second >= world.recreated_s else "uid-a"
    spec: Json = {"template": _template("new"), "replicas": world.replicas}
    status: Json = {"observedGeneration": 7}
    annotations = {"deployment.kubernetes.io/revision": "7", "deprecated.daemonset.template.generation": "7"}
    if world.kind == "Deployment":
        spec["progressDeadlineSeconds"] = world.deadline_s
        status |= {"replicas": len(alive), "updatedReplicas": len(new), "availableReplicas": ready}
        status["conditions"] = [_progressing(world, second)]
    elif world.kind == "StatefulSet":
        spec["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
        status |= {"replicas": len(alive), "updatedReplicas": len(new), "readyReplicas": ready}
        status |= {"currentRevision": "web-old", "updateRevision": "web-new"}
    else:
        spec["updateStrategy"] = {"type": "RollingUpdate"}
        status |= {"desiredNumberScheduled": world.replicas, "updatedNumberScheduled": len(new)}
        status["numberAvailable"] = ready
    item = {
        "kind": world.kind,
        "metadata": {"name": "web", "uid": uid, "generation": 7, "annotations": annotations},
        "spec": spec,
        "status": status,
    }
    objects: dict[str, tuple[Json, ...]] = {"deployments": (), "statefulsets": (), "daemonsets": ()}
    objects[f"{world.kind.lower()}s"] = (item,)
    objects["replicasets"] = tuple(_replicaset(world, name, uid, second) for name in ("new", "old"))
    objects["pods"] = tuple(_raw(world, pod, phase, uid) for pod, phase in phases)
    return objects


def _progressing(world: _World, second: float) -> Json:
    condition = {
        "type": "Progressing",
        "status": "True",
        "reason": "ReplicaSetUpdated",
        "lastUpdateTime": stamp(0),
    }
    failed = {"status": "False", "reason": "ProgressDeadlineExceeded"}
    if world.stale_until_s is not None and second < world.stale_until_s:
        return condition | failed | {"lastUpdateTime": stamp(-300)}
    if world.exceeded_s is not None and second >= world.exceeded_s:
        return condition | failed | {"lastUpdateTime": stamp(world.exceeded_s)}
    return condition


def _template(revision: str) -> Json:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": f"app:{revision}"}]},
    }


def _replicaset(world: _World, name: str, owner: str, second: float) -> Json:
    blocked = name == "new" and world.quota_s is not None and world.quota_s[0] <= second < world.quota_s[1]
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "message": 'pods "web-new" is forbidden: exceeded quota: compute',
        "lastTransitionTime": stamp(world.quota_s[0] if world.quota_s else 0),
    }
    return {
        "metadata": {
            "name": f"web-{name}",
            "uid": f"rs-{name}",
            "creationTimestamp": stamp(-90000),
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"template": _template(name)},
        "status": {"conditions": [failure] if blocked else []},
    }


def _raw(world: _World, pod: _Pod, phase: Json, owner: str) -> Json:
    generation = "7" if pod.revision == "new" else "6"
    metadata: Json = {
        "name": f"web-{pod.name}",
        "uid": f"pod-{pod.name}",
        "creationTimestamp": stamp(pod.created_s),
        "labels": {
            "controller-revision-hash": f"web-{pod.revision}",
            "pod-template-generation": generation,
        },
        "ownerReferences": [
            {"uid": f"rs-{pod.revision}" if world.kind == "Deployment" else owner, "controller": True}
        ],
    }
    if "deleted" in phase:
        metadata["deletionTimestamp"] = stamp(pod.ends_s or 0)
    ready = bool(phase.get("ready"))
    status: Json = {
        "phase": phase.get("phase", "Running"),
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    if "unscheduled" in phase:
        status["phase"] = "Pending"
        status["conditions"].append(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": phase["unscheduled"],
                "lastTransitionTime": stamp(pod.created_s),
            }
        )
        if "nominated" in phase:
            status["nominatedNodeName"] = phase["nominated"]
    elif "init" in phase:
        status["initContainerStatuses"] = [_container("init", pod, phase["init"])]
        status["containerStatuses"] = [_container("app", pod, _waiting("PodInitializing"))]
    elif "state" in phase:
        status["containerStatuses"] = [_container("app", pod, phase)]
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "app", "image": f"app:{pod.revision}"}]},
        "status": status,
    }


def _container(name: str, pod: _Pod, phase: Json) -> Json:
    return {
        "name": name,
        "image": f"app:{pod.revision}",
        "ready": bool(phase.get("ready")),
        "restartCount": phase.get("restarts", 0),
        "state": phase["state"],
        "lastState": phase.get("last") or {},
    }
