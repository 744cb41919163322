"""Pods whose containers play what their arguments say, and what two kubelets have to agree on about them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pytest_zkrollback.domain.checks import JsonObject
from pytest_zkrollback.drill.cluster_api import Api

IMAGE, MISSING = "zkprova/backend:1.8.0-3f9c2e1", "zkprova/backend:1.8.0-3f9c2e"
SIDECAR = {"restartPolicy": "Always"}
# A kubelet's second restart takes 10 s, its liveness probe three periods.
PATIENCE_S = 60.0


def container(name: str, *args: str, image: str = IMAGE, **more: Any) -> dict[str, Any]:
    """``args`` are those of the demo program's role ``act``."""
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "args": ["act", *args], **more}


def probe(path: str, **more: Any) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 8080}, "periodSeconds": 1, **more}


def pod(*containers: dict[str, Any], restart: str = "Always", init: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 1,
        "initContainers": list(init),
        "containers": list(containers),
    }


def create_pod(api: Api, namespace: str, spec: dict[str, Any]) -> Callable[[], JsonObject]:
    """Create the pod ``it``; what is returned looks at it."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": spec}
    status, answer = api.send("POST", pods, made)
    assert status == 201, answer
    return lambda: dict(api.get(f"{pods}/it")[1])


def settle(look: Callable[[], str], expected: str, patience_s: float = PATIENCE_S) -> None:
    """Look until it is as expected; else show what it is."""
    deadline = time.monotonic() + patience_s
    seen: list[str] = []
    while (now := look()) != expected:
        if seen[-1:] != [now]:
            seen.append(now)
        assert time.monotonic() < deadline, f"{now}\n-- expected --\n{expected}\n-- seen: {seen}"
        time.sleep(0.05)


def summarize(pod: JsonObject) -> str:
    """One line for the phase, one for each condition and one for each container, in the pod's order."""
    status = pod["status"]
    lines = [str(status["phase"])]
    lines += [
        " ".join((one["type"], one["status"], one.get("reason") or "")).strip()
        for one in sorted(status.get("conditions", ()), key=lambda one: str(one["type"]))
    ]
    statuses = {one["name"]: one for key in _STATUSES for one in status.get(key, ())}
    for spec in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
        told = _container(statuses[spec["name"]]) if spec["name"] in statuses else ["unknown"]
        lines.append(f"{spec['name']}: " + ", ".join(told))
    return "\n".join(lines)


_STATUSES = ("initContainerStatuses", "containerStatuses")


def _container(status: JsonObject) -> list[str]:
    ended = status.get("lastState", {})
    return [
        _state(status["state"]),
        *(["ready"] if status["ready"] else []),
        *(["started"] if status.get("started") else []),
        *(["restarted"] if status["restartCount"] else []),
        *([f"before {_state(ended)}"] if ended else []),
    ]


def _state(state: JsonObject) -> str:
    ((kind, detail),) = state.items()
    words = [kind, detail.get("reason") or "", str(detail.get("exitCode", ""))]
    return " ".join(word for word in words if word)
