"""Pods of every kind come to the same state on kwok and on a kubelet (``--cluster=kwok|kubelet``).

What they agree on is written here once: phase, conditions, states, reasons, exit codes. Times are not: kwok's
are shorter.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.drill.local_cluster import RunningCluster
from support.played_pods import MISSING, SIDECAR, container, create_pod, pod, probe, settle, summarize

READY = """Running
ContainersReady True
Initialized True
PodReadyToStartContainers True
PodScheduled True
Ready True
"""
NOT_READY = """Running
ContainersReady False ContainersNotReady
Initialized True
PodReadyToStartContainers True
PodScheduled True
Ready False ContainersNotReady
"""
NOT_STARTED = NOT_READY.replace("Running", "Pending")
NOT_INITIALIZED = NOT_STARTED.replace("Initialized True", "Initialized False ContainersNotInitialized")
SUCCEEDED = """Succeeded
ContainersReady False PodCompleted
Initialized True PodCompleted
PodReadyToStartContainers False PodSandboxNotReady
PodScheduled True
Ready False PodCompleted
"""
FAILED = """Failed
ContainersReady False PodFailed
Initialized True
PodReadyToStartContainers False PodSandboxNotReady
PodScheduled True
Ready False PodFailed
"""
FAILED_INIT = FAILED.replace("Initialized True", "Initialized False ContainersNotInitialized")

CRASHED = "waiting CrashLoopBackOff, restarted, before terminated Error 3"

PODS: dict[str, tuple[dict[str, Any], str]] = {
    "two containers": (
        pod(container("a"), container("b")),
        READY + "a: running, ready, started\nb: running, ready, started",
    ),
    "two containers, one crashes": (
        pod(container("a"), container("b", "--exit=3")),
        NOT_READY + f"a: running, ready, started\nb: {CRASHED}",
    ),
    "two containers, one image is missing": (
        pod(container("a"), container("b", image=MISSING)),
        NOT_STARTED + "a: running, ready, started\nb: waiting ImagePullBackOff",
    ),
    "init containers": (
        pod(container("main"), init=(container("first", "--exit=0"), container("second", "--exit=0"))),
        READY
        + "first: terminated Completed 0, ready\nsecond: terminated Completed 0, ready\n"
        + "main: running, ready, started",
    ),
    "an init container takes its time": (
        pod(container("main"), init=(container("first", "--exit=0", "--after=20"), container("second"))),
        NOT_INITIALIZED
        + "first: running, started\nsecond: waiting PodInitializing\nmain: waiting PodInitializing",
    ),
    "an init container's image is missing": (
        pod(container("main"), init=(container("first", image=MISSING),)),
        NOT_INITIALIZED + "first: waiting ImagePullBackOff\nmain: waiting PodInitializing",
    ),
    "an init container fails": (
        pod(container("main"), init=(container("first", "--exit=3"),)),
        NOT_INITIALIZED + f"first: {CRASHED}\nmain: waiting PodInitializing",
    ),
    "an init container fails and nothing is restarted": (
        pod(container("main"), init=(container("first", "--exit=3"),), restart="Never"),
        FAILED_INIT + "first: terminated Error 3\nmain: waiting PodInitializing",
    ),
    "a sidecar": (
        pod(container("main"), init=(container("sidecar", **SIDECAR), container("first", "--exit=0"))),
        READY
        + "sidecar: running, ready, started\nfirst: terminated Completed 0, ready\n"
        + "main: running, ready, started",
    ),
    "a sidecar crashes": (
        pod(container("main"), init=(container("sidecar", "--exit=3", "--after=2", **SIDECAR),)),
        NOT_READY + f"sidecar: {CRASHED}\nmain: running, ready, started",
    ),
    "a sidecar ends with its pod": (
        pod(container("main", "--exit=0"), init=(container("sidecar", **SIDECAR),), restart="Never"),
        SUCCEEDED + "sidecar: terminated Completed 0\nmain: terminated Completed 0",
    ),
    "a pod that succeeds": (
        pod(container("a", "--exit=0"), container("b", "--exit=0", "--after=1"), restart="Never"),
        SUCCEEDED + "a: terminated Completed 0\nb: terminated Completed 0",
    ),
    "a pod that fails": (
        pod(container("a", "--exit=0"), container("b", "--exit=3", "--after=1"), restart="Never"),
        FAILED + "a: terminated Completed 0\nb: terminated Error 3",
    ),
    "restarted on failure": (
        pod(container("a", "--exit=0"), container("b", "--exit=3"), restart="OnFailure"),
        NOT_READY + f"a: terminated Completed 0\nb: {CRASHED}",
    ),
    "a readiness probe is refused": (
        pod(container("a", "--port=8080", readinessProbe=probe("/wrong"))),
        NOT_READY + "a: running, started",
    ),
    "a ready container stops being ready": (
        pod(
            container(
                "a", "--port=8080", "--unready-after=3", readinessProbe=probe("/health", failureThreshold=1)
            )
        ),
        NOT_READY + "a: running, started",
    ),
    "a liveness probe fails": (
        pod(container("a", "--port=8080", livenessProbe=probe("/wrong", failureThreshold=3))),
        READY + "a: running, ready, started, restarted, before terminated Completed 0",
    ),
}
WAS_READY = "a ready container stops being ready"

JOBS: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "a job that succeeds": (
        {"backoffLimit": 0, "template": {"spec": pod(container("a", "--exit=0"), restart="Never")}},
        ("SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"),
        "succeeded 1, failed 0",
    ),
    "a job that fails": (
        {"backoffLimit": 0, "template": {"spec": pod(container("a", "--exit=3"), restart="Never")}},
        ("FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"),
        "succeeded 0, failed 1",
    ),
    "a job whose container is started again": (
        {"backoffLimit": 1, "template": {"spec": pod(container("a", "--exit=3"), restart="OnFailure")}},
        ("FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"),
        "succeeded 0, failed 1",
    ),
    "a job that tries twice": (
        {"backoffLimit": 1, "template": {"spec": pod(container("a", "--exit=3"), restart="Never")}},
        ("FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"),
        "succeeded 0, failed 2",
    ),
    "a job with a sidecar": (
        {
            "backoffLimit": 0,
            "template": {
                "spec": pod(
                    container("a", "--exit=0", "--after=1"),
                    init=(container("sidecar", **SIDECAR),),
                    restart="Never",
                )
            },
        },
        ("SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"),
        "succeeded 1, failed 0",
    ),
}


@pytest.mark.parametrize("case", PODS)
def test_a_pod_comes_to_the_same_state(case: str, running_cluster: RunningCluster, namespace: str) -> None:
    spec, expected = PODS[case]
    fetch = create_pod(running_cluster.api, namespace, spec)
    if case == WAS_READY:
        settle(lambda: summarize(fetch()), READY + "a: running, ready, started")
    settle(lambda: summarize(fetch()), expected)


@pytest.mark.parametrize("case", JOBS)
def test_a_job_comes_to_the_same_end(case: str, running_cluster: RunningCluster, namespace: str) -> None:
    spec, conditions, counts = JOBS[case]
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "it"}, "spec": spec}
    status, answer = running_cluster.api.send("POST", jobs, made)
    assert status == 201, answer

    def look() -> str:
        job = running_cluster.api.get(f"{jobs}/it")[1]["status"]
        told = [f"{one['type']} {one['reason']}" for one in job.get("conditions", ())]
        return "\n".join([*told, f"succeeded {job.get('succeeded', 0)}, failed {job.get('failed', 0)}"])

    settle(look, "\n".join([*conditions, counts]))
