"""A namespace as it looks after years: many pods, many events, large release records."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_zkrollback.clients.kube.client import connect
from pytest_zkrollback.drill.control_plane import NODE

if TYPE_CHECKING:
    from support.incident import Incident

PODS = 500
EVENTS = 10_000
RECORDS = 10
# What does not compress: packed and in base64 it comes to just below 1 MiB, the limit of a Secret.
RECORD_BYTES = 730_000
_NODE = "crowded-node"
_REASONS = ("Pulled", "Created", "Started", "Scheduled", "Killing", "SuccessfulCreate", "ScalingReplicaSet")


def make_crowd(incident: Incident) -> None:
    """:data:`PODS` running pods on a node of their own, and :data:`EVENTS` events about them, one in ten a
    Warning (their probes failed); all of them another team's."""
    kube = connect(incident.cluster.context, str(incident.cluster.kubeconfig))
    labels = {"kubernetes.io/hostname": _NODE, "kubernetes.io/os": "linux"}
    node = {**NODE, "metadata": {**NODE["metadata"], "name": _NODE, "labels": labels}}
    node["spec"] = {"taints": [{"key": "crowded", "effect": "NoSchedule"}]}
    kube.send("POST", "/api/v1/nodes", node)
    _wait(lambda: _is_ready(kube.get(f"/api/v1/nodes/{_NODE}")), "the second node")
    base = f"/api/v1/namespaces/{incident.namespace}"
    _each(range(PODS), lambda number: kube.send("POST", f"{base}/pods", _pod(number)))
    _wait(
        lambda: (
            sum(_is_ready(pod) for pod in kube.list(f"{base}/pods", {"labelSelector": "app=crowd"}, 60))
            == PODS
        ),
        "the pods of the crowd",
    )
    there = len(kube.list(f"{base}/events", timeout_s=60))
    now = datetime.now(UTC)
    _each(
        range(EVENTS - there),
        lambda number: kube.send("POST", f"{base}/events", _event(incident.namespace, number, now)),
    )


def make_records(incident: Incident) -> None:
    """The scenario's revisions 5 and 6 in turn, with a chart that carries a large file, until there are
    :data:`RECORDS` of them and no other; the newest is the bad one."""
    told = incident.cluster.data_dir / "scenarios" / incident.namespace
    for revision in ("5", "6"):
        chart = incident.folder / f"large-{revision}"
        shutil.copytree(told / revision / "zkprova", chart)
        (chart / "files").mkdir()
        (chart / "files" / "blob").write_bytes(os.urandom(RECORD_BYTES))
    for number in range(RECORDS):
        revision = "56"[number % 2]
        values = str(told / revision / "values.json")
        keep = ("--history-max", str(RECORDS))
        incident.helm(
            "upgrade", "zkprova", str(incident.folder / f"large-{revision}"), "--values", values, *keep
        )


def _pod(number: int) -> dict:
    return {
        "metadata": {"name": f"crowd-{number}", "labels": {"app": "crowd"}},
        "spec": {
            "nodeName": _NODE,
            "automountServiceAccountToken": False,
            "containers": [{"name": "app", "image": f"other/team:{number % 7}"}],
        },
    }


def _event(namespace: str, number: int, now: datetime) -> dict:
    at = (now - timedelta(seconds=number % 3000)).strftime("%Y-%m-%dT%H:%M:%SZ")
    bad = number % 10 == 0
    name = f"crowd-{number % PODS}"
    about = {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace}
    return {
        "metadata": {"name": f"{name}.{number:x}"},
        "type": "Warning" if bad else "Normal",
        "reason": "Unhealthy" if bad else _REASONS[number % len(_REASONS)],
        "message": 'Readiness probe failed: Get "http://10.0.0.7:8080/health": connection refused'
        if bad
        else "done",
        "involvedObject": {**about, "uid": f"00000000-0000-0000-0000-{number % PODS:012}"},
        "source": {"component": "kubelet", "host": _NODE},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def _is_ready(item: dict) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _each(numbers: Iterable[int], work: Callable[[int], object], workers: int = 6) -> None:
    """All of them, several at a time; the first error ends it."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, numbers))


def _wait(done: Callable[[], bool], what: str, timeout_s: float = 180) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.5)
