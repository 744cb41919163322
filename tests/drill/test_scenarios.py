"""Every scenario on the real cluster, with the real helm, kubectl and the runbook's own commands."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.demo_app import app_argv
from pytest_zkrollback.drill.local_cluster import Cluster, RunningCluster
from pytest_zkrollback.drill.scenarios import build_scenario
from pytest_zkrollback.drill.slack_sink import WEBHOOK_PATH, slack_sink_argv

SMOKE = Path(__file__).parents[2] / "pytest_zkrollback" / "drill" / "scripts" / "smoke-test.sh"
OK = {"status": "ok", "version": "1.8.0", "database": "ok", "schema": 7}
BACKEND = ("-l", "app=zkprova-backend")


def until(what: str, look: Callable[[], Any], timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.05)
    return seen


class Scene:
    """One namespace with its release and its application."""

    def __init__(self, running: RunningCluster, namespace: str, helm: Path) -> None:
        self.running = running
        self.cluster = running.cluster
        self.namespace = namespace
        self.helm_binary = helm
        folder = self.cluster.data_dir / f"app-{namespace}"
        folder.mkdir()
        port_file = folder / "port"
        running.start_server(f"app-{namespace}", app_argv(self.cluster, namespace, folder, port_file))
        until("the application listens", port_file.exists)
        self.url = f"http://127.0.0.1:{int(port_file.read_text())}"

    def tell(self, scenario: str) -> list[str]:
        said: list[str] = []
        build_scenario(
            self.cluster,
            namespace=self.namespace,
            scenario=scenario,
            helm=self.helm_binary,
            processes=LocalProcesses(end_on_error=True),
            progress=said.append,
        )
        return said

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.helm_binary), *arguments, "-n", self.namespace)

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.cluster.binaries["kubectl"]), "-n", self.namespace, *arguments)

    def pods(self) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", "pods", *BACKEND, "-o", "json").stdout)["items"]

    def events(self, *reasons: str) -> list[dict[str, Any]]:
        events = json.loads(self.kubectl("get", "events", "-o", "json").stdout)["items"]
        return [event for event in events if event["reason"] in reasons]

    def history(self) -> list[dict[str, Any]]:
        return json.loads(self.helm("history", "zkprova", "-o", "json").stdout)

    def health(self) -> tuple[int, dict[str, Any]]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/health", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def smoke(self) -> subprocess.CompletedProcess[str]:
        return self.run("bash", str(SMOKE), self.url)

    def roll_back(self) -> float:
        """To 5; returns after how many seconds ``/health`` was ok and every pod of 5 ready."""
        begun = time.monotonic()
        done = self.helm("rollback", "zkprova", "5")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "Rollback was a success! Happy Helming!\n"
        until("/health is ok", lambda: self.health() == (200, OK))
        until("only ready pods of 5", self._only_ready_pods_of_5)
        return time.monotonic() - begun

    def _only_ready_pods_of_5(self) -> bool:
        pods = self.pods()
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        ready = [
            pod["status"]["containerStatuses"][0]["ready"]
            for pod in pods
            if "containerStatuses" in pod["status"]
        ]
        return images == {"zkprova/backend:1.8.0-3f9c2e1"} and ready == [True] * 3


@pytest.fixture
def scene(running_cluster: RunningCluster, cluster: Cluster, namespace: str) -> Iterator[Scene]:
    scene = Scene(running_cluster, namespace, cluster.binaries["helm"])
    yield scene
    running_cluster.stop_server(f"app-{namespace}")
    scene.helm("uninstall", "zkprova", "--no-hooks")


def status_of(pod: dict[str, Any]) -> dict[str, Any]:
    return pod["status"]["containerStatuses"][0]


def assert_default_scenario(scene: Scene) -> None:
    history = scene.history()
    assert [(row["revision"], row["status"]) for row in history] == [
        *((1, "superseded"), (2, "superseded"), (3, "failed")),
        *((4, "superseded"), (5, "superseded"), (6, "deployed")),
    ]
    assert [row["chart"] for row in history[3:]] == ["zkprova-1.7.0", "zkprova-1.8.0", "zkprova-1.9.0"]
    assert [row["app_version"] for row in history[4:]] == ["1.8.0-3f9c2e1", "1.9.0-a7d20c4"]
    assert [row["description"] for row in history[4:]] == [
        "3f9c2e1 export of orders",
        "a7d20c4 move the data folder",
    ]
    assert "quantities must match" in history[2]["description"]
    code, health = scene.health()
    assert code == 503
    assert health["status"] == "error"
    assert health["database"] != "ok"


def test_crash_loop_and_back(scene):
    scene.tell("crash-loop")
    assert_default_scenario(scene)

    # as a kubelet tells it
    for pod in scene.pods():
        assert pod["status"]["phase"] == "Running"
        assert status_of(pod)["restartCount"] >= 2
        assert status_of(pod)["ready"] is False
        assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 1
        assert status_of(pod)["lastState"]["terminated"]["reason"] == "Error"
    uid = scene.pods()[0]["metadata"]["uid"]
    name = scene.pods()[0]["metadata"]["name"]
    back_off = until(
        "a pod in CrashLoopBackOff",
        lambda: [
            s
            for s in map(status_of, scene.pods())
            if s["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        ],
    )
    assert (
        "restarting failed container=backend pod=zkprova-zkprova-backend-"
        in back_off[0]["state"]["waiting"]["message"]
    )
    event = next(e for e in scene.events("BackOff") if e["involvedObject"]["uid"] == uid)
    assert (event["type"], event["involvedObject"]["fieldPath"]) == ("Warning", "spec.containers{backend}")
    assert (
        event["message"]
        == f"Back-off restarting failed container backend in pod {name}_{scene.namespace}({uid})"
    )

    # the runbook's commands
    assert (
        "has successfully rolled out"
        not in scene.kubectl("rollout", "status", "deployment/zkprova-zkprova-backend", "--timeout=1s").stdout
    )
    assert (
        scene.kubectl("rollout", "status", "deployment/zkprova-zkprova-frontend", "--timeout=5s").returncode
        == 0
    )
    fatal = "FATAL: unable to open database file: /var/lib/zkprova-data/zkprova.db"
    previous = scene.kubectl("logs", *BACKEND, "--tail=50", "--previous")
    assert previous.returncode == 0
    assert previous.stdout.count(fatal) == 3
    assert "1.9.0 (a7d20c4) starting" in scene.kubectl("logs", *BACKEND, "--tail=50").stdout
    smoke = scene.smoke()
    assert smoke.returncode == 1
    assert smoke.stdout.splitlines()[-1].startswith(
        "FAILED: /health says that the database is ok: status 503"
    )

    # the evidence that no migration ran between 5 and 6
    for what in ("hooks", "manifest"):
        of_5, of_6 = (scene.helm("get", what, "zkprova", "--revision", n).stdout for n in "56")
        assert ("SCHEMA_VERSION" in of_5) == (what == "manifest")
        assert [line for line in of_5.splitlines() if "SCHEMA_VERSION" in line] == [
            line for line in of_6.splitlines() if "SCHEMA_VERSION" in line
        ]
        assert "kind: Job" not in of_5 + of_6

    took_s = scene.roll_back()
    print(f"healthy again {took_s:.2f} s after `helm rollback` was typed")
    assert took_s < 15
    logs = scene.kubectl("logs", *BACKEND, "--tail=50")
    assert (logs.returncode, logs.stdout.count("INFO backend 1.8.0 (3f9c2e1) starting")) == (0, 3)
    assert "FATAL" not in logs.stdout
    assert scene.kubectl("logs", *BACKEND, "--previous").returncode == 1
    smoke = scene.smoke()
    assert (smoke.returncode, smoke.stdout.splitlines()[-1]) == (0, "all checks passed")
    for name in ("backend", "frontend"):
        done = scene.kubectl("rollout", "status", f"deployment/zkprova-zkprova-{name}", "--timeout=10s")
        assert done.returncode == 0
    assert scene.history()[-1]["description"] == "Rollback to 5"


def test_crash_loop_and_back_with_helm_3(running_cluster, namespace, helm3):
    scene = Scene(running_cluster, namespace, helm3)
    scene.tell("crash-loop")
    assert_default_scenario(scene)
    assert scene.roll_back() < 15
    running_cluster.stop_server(f"app-{namespace}")
    scene.helm("uninstall", "zkprova")


def test_bad_image_and_back(scene):
    scene.tell("bad-image")
    assert scene.health() == (200, OK)
    waiting = until(
        "ImagePullBackOff",
        lambda: [
            s
            for s in map(status_of, scene.pods())
            if s["state"].get("waiting", {}).get("reason") == "ImagePullBackOff"
        ],
    )
    image = "zkprova/backend:1.9.0-a7d20c"
    assert waiting[0]["state"]["waiting"]["message"] == (
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = failed to pull and'
        f' unpack image "{image}": failed to resolve image: {image}: not found'
    )
    assert len(scene.pods()) == 6
    back_off = until("the event", lambda: scene.events("BackOff"))
    assert {(e["type"], e["message"]) for e in back_off} == {("Normal", f'Back-off pulling image "{image}"')}
    failed = {(e["type"], e["message"].partition(":")[0]) for e in scene.events("Failed")}
    assert failed == {("Warning", "Error"), ("Warning", 'Failed to pull image "zkprova/backend')}
    bad = next(p["metadata"]["name"] for p in scene.pods() if p["status"]["phase"] == "Pending")
    refused = scene.kubectl("logs", bad)
    assert refused.returncode == 1
    assert f'container "backend" in pod "{bad}" is waiting to start: ' in refused.stderr
    assert scene.roll_back() < 15


def test_failing_readiness_and_back(scene):
    scene.tell("failing-readiness")
    assert scene.health() == (200, OK)
    unready = [pod for pod in scene.pods() if not status_of(pod)["ready"]]
    assert [(status_of(pod)["restartCount"], "running" in status_of(pod)["state"]) for pod in unready] == [
        (0, True)
    ] * 3
    bad = unready[0]["metadata"]["name"]
    event = until(
        "the event", lambda: [e for e in scene.events("Unhealthy") if e["involvedObject"]["name"] == bad]
    )[0]
    assert (event["type"], event["message"]) == (
        "Warning",
        "Readiness probe failed: HTTP probe failed with statuscode: 404",
    )
    until("a probe in the log", lambda: "GET /healthz 404 kube-probe" in scene.kubectl("logs", bad).stdout)
    assert scene.roll_back() < 15


def test_a_stopped_api_server_is_told_within_three_seconds(scene, cluster):
    """Not on the shared API server: the application is pointed at a port where nobody listens."""
    folder = cluster.data_dir / f"lost-{scene.namespace}"
    folder.mkdir()
    text = cluster.kubeconfig.read_text().replace(cluster.server, "https://127.0.0.1:9")
    (folder / "kubeconfig").write_text(text)
    lost = Cluster(**{**vars(cluster), "kubeconfig": folder / "kubeconfig"})
    name = f"lost-{scene.namespace}"
    scene.running.start_server(name, app_argv(lost, scene.namespace, folder, folder / "port"))
    until("it listens", (folder / "port").exists)
    scene.url = f"http://127.0.0.1:{int((folder / 'port').read_text())}"
    begun = time.monotonic()
    code, health = scene.health()
    assert (code, health["database"]) == (503, "unknown")
    assert time.monotonic() - begun < 3
    scene.running.stop_server(name)


def test_the_captured_slack_runs_as_a_process(running_cluster, namespace):
    folder = running_cluster.cluster.data_dir / f"slack-{namespace}"
    port_file = running_cluster.cluster.data_dir / f"slack-{namespace}.port"
    running_cluster.start_server(f"slack-{namespace}", slack_sink_argv(folder, port_file))
    until("it listens", port_file.exists)
    url = f"http://127.0.0.1:{int(port_file.read_text())}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}{WEBHOOK_PATH}abc", b'{"text": "hello"}', timeout=5) as answer:
        assert (answer.status, answer.read()) == (200, b"ok")
    with opener.open(f"{url}/messages", timeout=5) as answer:
        assert [entry["message"] for entry in json.load(answer)] == [{"text": "hello"}]
    running_cluster.stop_server(f"slack-{namespace}")
