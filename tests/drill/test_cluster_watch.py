"""The watch, the schedule and the rollout's judge on a real API server with real controllers."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.checklist.rollout.pod_logs_and_events import PodDiagnosticsReader
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.kube.client import KubeClient, connect
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import Snapshot
from pytest_zkrollback.domain.errors import Forbidden
from pytest_zkrollback.domain.verdict import CheckResult, Verdict
from pytest_zkrollback.drill.local_cluster import Cluster
from pytest_zkrollback.engine.cluster_watch import ClusterWatch
from pytest_zkrollback.engine.recovery_series import Samples
from pytest_zkrollback.engine.scheduler import Schedule

GOOD, BETTER, MISSING = "zkprova/web:1.0.0-abcdef0", "zkprova/web:1.1.0-abcdef1", "zkprova/web:nope"
# kwok's containers crash where their database lies in no volume (drill/stages.py).
CRASHES = [{"name": "DATABASE_PATH", "value": "/nowhere/db"}]


def _template(image: str, env: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "app", "image": image, "env": env or []}],
        },
    }


def _object(kind: str, template: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


class Scene:
    """A namespace, a client, a watch on it."""

    def __init__(self, cluster: Cluster, namespace: str, kubeconfig: Path | None = None) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.clock = SystemClock()
        self.kube: KubeClient = connect(cluster.context, str(kubeconfig or cluster.kubeconfig), self.clock)
        self.watch = ClusterWatch(self.kube, namespace, self.clock)

    def path(self, kind: str, name: str = "") -> str:
        return self.kube.resource_path("apps/v1", kind, self.namespace, name)

    def create(self, body: dict[str, Any]) -> None:
        self.kube.send("POST", self.path(body["kind"]), body)

    def patch(self, kind: str, template: dict[str, Any]) -> None:
        self.kube.send(
            "PATCH",
            self.path(kind, "web"),
            {"spec": {"template": template}},
            "application/merge-patch+json",
        )

    def judge(self, workload: str = "deployment/web", timeout_s: float = 30) -> CheckResult:
        env = Environment(
            name="drill",
            context=self.cluster.context,
            namespace=self.namespace,
            workloads={"web": workload},
            rollout_timeout_s=timeout_s,
        )
        notes = PodDiagnosticsReader(self.kube, self.namespace, self.clock).fetch
        check = RolloutCheck(
            env=env, item="web", workload=workload, snapshot=self.watch.snapshot, notes=notes
        )
        self.watch.refresh()
        schedule = Schedule([check], self.clock, datetime.now(UTC), lambda *_: None)
        return schedule.run(lambda: False)["rollout-web"]

    def kubectl(self, workload: str = "deployment/web", timeout: str = "1s") -> int:
        argv = [str(self.cluster.binaries["kubectl"]), "--kubeconfig", str(self.cluster.kubeconfig)]
        argv += ["-n", self.namespace, "rollout", "status", workload, f"--timeout={timeout}"]
        return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode

    def until(self, met: Callable[[Snapshot], object], within_s: float) -> float:
        begun = time.monotonic()
        while not met(self.watch.snapshot()):
            assert time.monotonic() - begun < within_s, self.watch.snapshot()
            time.sleep(0.02)
        return time.monotonic() - begun


@pytest.fixture
def scene(cluster: Cluster, namespace: str) -> Iterator[Scene]:
    scene = Scene(cluster, namespace)
    yield scene
    scene.watch.stop()


def test_a_healthy_rollout_passes_and_kubectl_agrees(scene: Scene) -> None:
    scene.create(_object("Deployment", _template(GOOD), replicas=3))
    verdict = scene.judge()
    assert (verdict.word, verdict.observed) == (
        Verdict.PASS,
        f"3 of 3 pods ready, running {GOOD}",
    )
    assert scene.kubectl() == 0


@pytest.mark.parametrize(
    ("kind", "spec"),
    [("Deployment", {"replicas": 2}), ("StatefulSet", {"replicas": 1}), ("DaemonSet", {})],
)
def test_fault_35_and_36_a_crash_loop_is_red_and_its_replacement_green(
    scene: Scene, kind: str, spec: dict[str, Any]
) -> None:
    workload = f"{kind.lower()}/web"
    scene.create(_object(kind, _template(BETTER, CRASHES), **spec))
    # The containers are ready for 1.5 s before they crash; only a later look can see that.
    scene.watch.start()
    scene.until(_restarted_twice, 30)
    red = scene.judge(workload)
    assert red.word is Verdict.FAIL
    assert "crash-loops: exit code 1" in red.observed
    assert "; event of web-" in red.observed
    scene.patch(kind, _template(GOOD))
    if kind == "StatefulSet":
        blocked = scene.judge(workload, timeout_s=1)
        assert blocked.word is Verdict.FAIL
        assert blocked.observed.endswith(
            "; 1 pod of an older revision is not ready, and a StatefulSet waits for it for ever; delete it to"
            " go on: kubectl delete pod web-0 (still so after 1 s)"
        )
        scene.kube.send("DELETE", f"/api/v1/namespaces/{scene.namespace}/pods/web-0", {})
    green = scene.judge(workload)
    assert green.word is Verdict.PASS, green
    assert scene.kubectl(workload) == 0


@pytest.mark.parametrize(
    ("kind", "spec"),
    [("Deployment", {"replicas": 2}), ("StatefulSet", {"replicas": 2}), ("DaemonSet", {})],
)
def test_fault_40_a_quota_is_red_and_green_once_it_is_raised(
    scene: Scene, kind: str, spec: dict[str, Any]
) -> None:
    quotas = f"/api/v1/namespaces/{scene.namespace}/resourcequotas"
    scene.kube.send("POST", quotas, {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}})
    while "hard" not in scene.kube.get(f"{quotas}/small").get("status", {}):
        time.sleep(0.05)
    scene.create(_object(kind, _template(GOOD), **spec))
    begun = time.monotonic()
    red = scene.judge(f"{kind.lower()}/web")
    assert time.monotonic() - begun < 12
    assert red.word is Verdict.FAIL
    assert "pods of this revision cannot be created: " in red.observed
    assert "exceeded quota: small" in red.observed
    raised = {"spec": {"hard": {"pods": "9"}}}
    scene.kube.send("PATCH", f"{quotas}/small", raised, "application/merge-patch+json")
    scene.patch(kind, _template(BETTER))  # as a rollback does: the controller tries at once
    green = scene.judge(f"{kind.lower()}/web")
    assert green.word is Verdict.PASS, green


def _restarted_twice(snapshot: Snapshot) -> bool:
    return any(
        status["restartCount"] >= 2
        for pod in snapshot.objects.get("pods", ())
        for status in pod["status"].get("containerStatuses", ())
    )


def test_fault_37_a_missing_image_is_red_and_the_old_pods_stay_ignored(scene: Scene) -> None:
    scene.create(_object("Deployment", _template(GOOD), replicas=2))
    assert scene.judge().word is Verdict.PASS
    scene.patch("Deployment", _template(MISSING))
    begun = time.monotonic()
    red = scene.judge()
    assert time.monotonic() - begun < 5
    assert red.word is Verdict.FAIL
    assert red.observed.startswith(
        "0 of 2 new pods ready; container app of 1 of 1 pod has an image that does not exist: "
    )
    scene.patch("Deployment", _template(GOOD))
    green = scene.judge()
    assert green.word is Verdict.PASS, green
    assert "2 of 2 pods ready" in green.observed


def test_fault_39_what_no_node_takes_is_red_with_the_schedulers_words(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_zkrollback.checklist.rollout.diagnosis.UNSCHEDULABLE_S", 5.0)
    template = _template(GOOD)
    template["spec"]["nodeSelector"] = {"disk": "none-has-this"}
    scene.create(_object("Deployment", template, replicas=1))
    red = scene.judge()
    assert red.word is Verdict.FAIL
    assert red.observed.startswith("1 of 1 pod cannot be scheduled: 0/")
    assert "; event of web-" in red.observed
    assert "FailedScheduling" in red.observed


def test_fault_41_paused_is_unverified_although_kubectl_passes(scene: Scene) -> None:
    scene.create(_object("Deployment", _template(GOOD), replicas=1))
    assert scene.judge().word is Verdict.PASS
    scene.kube.send(
        "PATCH", scene.path("Deployment", "web"), {"spec": {"paused": True}}, "application/merge-patch+json"
    )
    assert scene.judge().word is Verdict.UNVERIFIED
    assert scene.kubectl() == 0


def test_fault_42_a_deleted_workload_is_red(scene: Scene) -> None:
    scene.create(_object("Deployment", _template(GOOD), replicas=1, paused=False))
    assert scene.judge().word is Verdict.PASS
    scene.kube.send("DELETE", scene.path("Deployment", "web"), {})
    assert scene.judge().word is Verdict.FAIL


def test_the_verdict_follows_the_last_pod_within_half_a_second(scene: Scene) -> None:
    scene.create(_object("Deployment", _template(GOOD), replicas=1))
    scene.judge()
    scene.patch("Deployment", _template(BETTER))
    done: list[float] = []

    def look() -> None:
        path = scene.path("Deployment", "web")
        while not done:
            status = scene.kube.get(path)["status"]
            if status.get("availableReplicas") == status.get("replicas") == 1 and _runs(scene, BETTER):
                done.append(time.monotonic())
            time.sleep(0.02)

    thread = threading.Thread(target=look)
    thread.start()
    verdict = scene.judge()
    ended = time.monotonic()
    thread.join(10)
    assert BETTER in verdict.observed
    assert ended - done[0] < 0.5


def _runs(scene: Scene, image: str) -> bool:
    pods = scene.kube.list(f"/api/v1/namespaces/{scene.namespace}/pods")
    return [pod["spec"]["containers"][0]["image"] for pod in pods] == [image]


def test_samples_show_one_image_taking_over_from_the_other(scene: Scene) -> None:
    samples, over = Samples(["deployment/web"]), threading.Event()
    old, new = "replicas/web/1.0.0-abcdef0", "replicas/web/1.1.0-abcdef1"

    def look() -> None:  # as the recovery timeline does
        while not over.wait(0.02):
            samples.add_snapshot(scene.watch.snapshot())

    scene.create(_object("Deployment", _template(GOOD), replicas=1))
    scene.judge()
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    scene.patch("Deployment", _template(BETTER))
    scene.judge()
    # One look may see both changes: then they have one time, and the order of their points says nothing.
    scene.until(lambda _: [point.value for point in samples.points() if point.series == old][-1:] == [0], 30)
    over.set()
    looking.join(5)
    ends = {point.series: (point.at, point.value) for point in samples.points()}
    assert [ends[series][1] for series in (old, new)] == [0, 1]
    assert ends[new][0] <= ends[old][0]


def test_fault_7_what_is_forbidden_is_said_and_the_rest_is_watched(
    scene: Scene, cluster: Cluster, tmp_path: Path
) -> None:
    narrow = _narrow_kubeconfig(scene, cluster, tmp_path, ["deployments", "replicasets", "pods"])
    scene.create(_object("Deployment", _template(GOOD), replicas=1))
    guest = Scene(cluster, scene.namespace, narrow)
    # Reading roles reach the API server's authorizer a moment after they were written.
    guest.watch.start()
    guest.until(lambda shot: {"deployments", "replicasets", "pods"} <= set(shot.objects), 10)
    # One that has not been answered yet is an error too, but not yet that of a refusal.
    guest.until(lambda shot: {type(error) for error in shot.errors.values()} == {Forbidden}, 10)
    assert set(guest.watch.snapshot().errors) == {"statefulsets", "daemonsets"}
    assert guest.judge().word is Verdict.PASS
    forbidden = guest.judge("statefulset/web")
    guest.watch.stop()
    assert forbidden.word is Verdict.UNVERIFIED
    assert "statefulsets" in forbidden.observed


def _narrow_kubeconfig(scene: Scene, cluster: Cluster, folder: Path, resources: list[str]) -> Path:
    rbac = "rbac.authorization.k8s.io"
    role = {
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": ["apps", ""], "resources": resources, "verbs": ["list", "watch"]}],
    }
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": scene.namespace}],
    }
    base = f"/apis/{rbac}/v1/namespaces/{scene.namespace}"
    scene.kube.send("POST", f"{base}/roles", role)
    scene.kube.send("POST", f"{base}/rolebindings", binding)
    token = scene.kube.send(
        "POST",
        f"/api/v1/namespaces/{scene.namespace}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )["status"]["token"]
    (secret,) = scene.kube._wire.access.secrets
    narrow = folder / "narrow"
    narrow.write_text(cluster.kubeconfig.read_text().replace(secret, token))
    return narrow
