"""Logs and events of every container on kwok: of init containers, of sidecars, of the second one of a pod."""

from __future__ import annotations

import subprocess
from collections import Counter

from pytest_zkrollback.drill.local_cluster import Cluster, RunningCluster
from support.played_pods import MISSING, SIDECAR, container, create_pod, pod, settle


def logs(cluster: Cluster, namespace: str, name: str, *options: str) -> tuple[int, str]:
    """Exit code of ``kubectl logs`` and what it wrote."""
    done = subprocess.run(
        [
            *(cluster.binaries["kubectl"], f"--kubeconfig={cluster.kubeconfig}", "-n", namespace),
            *("logs", "it", "-c", name, *options),
        ],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout


def test_every_container_has_its_log_or_its_refusal(
    cluster: Cluster, running_cluster: RunningCluster, namespace: str
) -> None:
    spec = pod(
        container("crashes", "--exit=3"),
        container("missing", image=MISSING),
        init=(container("sidecar", **SIDECAR), container("first", "--exit=0")),
    )
    fetch = create_pod(running_cluster.api, namespace, spec)
    states = lambda: str(  # noqa: E731
        sorted(
            str(one["state"].get("waiting", {}).get("reason"))
            for one in fetch()["status"].get("containerStatuses", ())
        )
    )
    settle(states, "['CrashLoopBackOff', 'ImagePullBackOff']")
    for name in ("crashes", "sidecar", "first"):
        code, text = logs(cluster, namespace, name)
        assert (code, "INFO act 1.8.0 (3f9c2e1) starting" in text) == (0, True), text
    assert logs(cluster, namespace, "crashes", "--previous")[0] == 0
    refusals = {
        "missing": 'container "missing" in pod "it" is waiting to start: trying and failing to pull image',
        "other": "container other is not valid for pod it",
    }
    for name, refusal in refusals.items():
        code, text = logs(cluster, namespace, name)
        assert (code, refusal in text) == (1, True), text
    code, text = logs(cluster, namespace, "first", "--previous")
    assert (code, 'previous terminated container "first" in pod "it" not found' in text) == (1, True), text


def test_events_are_of_the_container_that_they_are_about(
    running_cluster: RunningCluster, namespace: str
) -> None:
    spec = pod(container("a"), container("b", image=MISSING), init=(container("first", "--exit=0"),))
    create_pod(running_cluster.api, namespace, spec)

    def look() -> str:
        events = running_cluster.api.get(f"/api/v1/namespaces/{namespace}/events")[1]["items"]
        told = Counter(
            (event["involvedObject"]["fieldPath"], event["reason"])
            for event in events
            if "fieldPath" in event["involvedObject"]
        )
        return "\n".join(f"{where} {reason} {count}" for (where, reason), count in sorted(told.items()))

    started = [
        f"spec.{where} {reason} 1"
        for where in ("containers{a}", "initContainers{first}")
        for reason in ("Created", "Pulled", "Started")
    ]
    missing = [f"spec.containers{{b}} {told}" for told in ("BackOff 1", "Failed 3", "Pulling 1")]
    unhealthy = ["spec.containers{a} Unhealthy 1"]
    settle(look, "\n".join(sorted(started + missing + unhealthy)))


def test_containers_of_a_deleted_pod_stop_one_by_one_and_then_it_goes(
    running_cluster: RunningCluster, namespace: str
) -> None:
    fetch = create_pod(running_cluster.api, namespace, pod(container("a"), container("b")))
    settle(lambda: str(fetch()["status"]["phase"]), "Running")
    status, _ = running_cluster.api.send("DELETE", f"/api/v1/namespaces/{namespace}/pods/it", None)
    assert status == 200
    settle(lambda: str(running_cluster.api.get(f"/api/v1/namespaces/{namespace}/pods/it")[0]), "404")
    events = running_cluster.api.get(f"/api/v1/namespaces/{namespace}/events")[1]["items"]
    stopped = sorted(event["message"] for event in events if event["reason"] == "Killing")
    assert stopped == ["Stopping container a", "Stopping container b"]


def test_a_deleted_namespace_goes_with_its_pods(running_cluster: RunningCluster, namespace: str) -> None:
    spec = pod(container("a"), init=(container("sidecar", **SIDECAR),))
    fetch = create_pod(running_cluster.api, namespace, spec)
    settle(lambda: str(fetch()["status"]["phase"]), "Running")
    # Events are refused in a namespace that is being deleted.
    assert running_cluster.api.send("DELETE", f"/api/v1/namespaces/{namespace}", None)[0] == 200
    settle(lambda: str(running_cluster.api.get(f"/api/v1/namespaces/{namespace}")[0]), "404", 20)
