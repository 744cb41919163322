"""A node of our own: what only a real kubelet does, and that nothing of it stays on the machine.

Needs Linux and root; elsewhere these are skipped and say why.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.local_cluster import RunningCluster, start_cluster
from pytest_zkrollback.drill.scenarios import DEFAULT_SCENARIO, releases_of
from support.leftovers import Traces, left, take_inventory, trace
from support.played_pods import MISSING, container, create_pod, pod, probe

ROOT = Path(__file__).parents[2]
SERVING = container("c", "--port=8080", ports=[{"containerPort": 8080}], readinessProbe=probe("/health"))
# What is killed needs a moment to be gone.
GONE_S = 10.0


@pytest.fixture(scope="module")
def node_cluster(node_binaries: dict[str, Path]) -> Iterator[RunningCluster]:
    node = KubeletNode(LocalProcesses())
    running = start_cluster(node_binaries, node=node)
    try:
        node.import_images(releases_of(DEFAULT_SCENARIO))
        yield running
    finally:
        running.close()


def kubectl(running: RunningCluster, *args: str, timeout_s: float = 30) -> str:
    argv = [running.cluster.binaries["kubectl"], f"--kubeconfig={running.cluster.kubeconfig}", *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def serving(node_cluster: RunningCluster) -> str:
    """A ready pod, ``it`` in the namespace that is returned, behind the Service ``it``."""
    api, name = node_cluster.api, "serving"
    kubectl(node_cluster, "create", "namespace", name)
    node_cluster.wait_until(
        "the service account", lambda: api.get(f"/api/v1/namespaces/{name}/serviceaccounts/default")[0] == 200
    )
    service = {
        "metadata": {"name": "it"},
        "spec": {"selector": {"app": "it"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    assert api.send("POST", f"/api/v1/namespaces/{name}/services", service)[0] == 201
    create_pod(api, name, {**pod(SERVING), "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}})
    kubectl(node_cluster, "label", "pod", "it", "app=it", "-n", name)
    kubectl(node_cluster, "wait", "--for=condition=Ready", "pod/it", "-n", name, "--timeout=30s")
    return name


def test_logs_are_those_of_the_container_and_can_be_followed(
    node_cluster: RunningCluster, serving: str
) -> None:
    assert "INFO act 1.8.0 (3f9c2e1) starting" in kubectl(node_cluster, "logs", "it", "-n", serving)
    argv = [node_cluster.cluster.binaries["kubectl"], f"--kubeconfig={node_cluster.cluster.kubeconfig}"]
    following = subprocess.Popen(
        [*argv, "logs", "-f", "it", "-n", serving], stdout=subprocess.PIPE, text=True
    )
    with following:
        try:
            assert "starting" in following.stdout.readline()
            time.sleep(0.5)
            assert following.poll() is None, "kubectl logs -f ended by itself"
        finally:
            following.kill()


def test_a_command_runs_in_the_container(node_cluster: RunningCluster, serving: str) -> None:
    assert kubectl(node_cluster, "exec", "it", "-n", serving, "--", "/bin/zkprova", "version").startswith(
        "zkprova "
    )


def test_a_service_is_reached_through_the_api_server(node_cluster: RunningCluster, serving: str) -> None:
    path = f"/api/v1/namespaces/{serving}/services/it:http/proxy/health"
    node_cluster.wait_until("the Service's endpoint", lambda: node_cluster.api.get(path)[0] == 200, 10)


def test_a_port_of_a_pod_can_be_forwarded(node_cluster: RunningCluster, serving: str) -> None:
    argv = [node_cluster.cluster.binaries["kubectl"], f"--kubeconfig={node_cluster.cluster.kubeconfig}"]
    argv += ["port-forward", "pod/it", ":8080", "-n", serving, "--address=127.0.0.1"]
    forward = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    with forward:
        try:
            port = int(forward.stdout.readline().split("127.0.0.1:")[1].split()[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                assert answer.status == 200
        finally:
            forward.kill()


def test_an_image_that_was_not_brought_is_not_found(node_cluster: RunningCluster) -> None:
    look = create_pod(node_cluster.api, "default", pod(container("c", image=MISSING)))
    waiting: dict[str, str] = {}

    def refused() -> bool:
        for status in look().get("status", {}).get("containerStatuses", []):
            waiting.update(status["state"].get("waiting", {}))
        return waiting.get("reason") == "ErrImagePull"

    node_cluster.wait_until("ErrImagePull", refused, 15)
    assert waiting["message"].endswith("not found")
    kubectl(node_cluster, "delete", "pod", "it", "--now")


def test_nobody_but_the_owner_of_a_token_is_let_in_from_outside(node_cluster: RunningCluster) -> None:
    argv = [node_cluster.cluster.binaries["kubectl"], f"--kubeconfig={node_cluster.cluster.kubeconfig}"]
    done = subprocess.run(
        [*argv, "--token=wrong", "get", "pods"], capture_output=True, text=True, check=False
    )
    assert "Unauthorized" in done.stderr


def test_the_kubelet_writes_no_sysctl_of_the_machine_and_makes_no_folder_outside(
    node_cluster: RunningCluster,
) -> None:
    traces = trace(node_cluster.data_dir)
    inside = Path("/proc", (node_cluster.data_dir / "box.ready").read_text(), "root")
    assert (inside / "var/lib/kubelet/pods").exists()
    assert traces.files
    assert not {
        each
        for each in traces.files
        if node_cluster.data_dir.name not in each and "kubelet" in each and Path(each).exists()
    }


class Run:
    """A process that starts a node with two running pods, says so, and waits to be ended."""

    SCRIPT = """
import sys, time
from pathlib import Path
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.local_cluster import start_cluster
from pytest_zkrollback.drill.scenarios import DEFAULT_SCENARIO, releases_of
binaries = {name: Path(path) for name, path in zip(sys.argv[1::2], sys.argv[2::2])}
node = KubeletNode(LocalProcesses())
running = start_cluster(binaries, node=node)
try:
    node.import_images(releases_of(DEFAULT_SCENARIO))
    print(running.data_dir, flush=True)
    sys.stdin.read()
finally:
    running.close()
"""

    def __init__(self, binaries: dict[str, Path]) -> None:
        self.before = take_inventory()
        words = [word for name, path in binaries.items() for word in (name, str(path))]
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.data_dir = Path(self.process.stdout.readline().strip())
        argv = [binaries["kubectl"], f"--kubeconfig={self.data_dir}/kubeconfig"]
        manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "two"}}
        labels = {"app": "two"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [SERVING]}}
        manifest["spec"] = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        subprocess.run(
            [*argv, "apply", "-f", "-"],
            input=json.dumps(manifest),
            text=True,
            check=True,
            capture_output=True,
        )
        subprocess.run(
            [*argv, "rollout", "status", "deployment/two", "--timeout=60s"], check=True, capture_output=True
        )
        self.traces: Traces = trace(self.data_dir)
        assert len(self.traces.processes) > 15, "the drill's processes are not seen"
        assert len([each for each in self.traces.namespaces if each.startswith("net:")]) >= 3
        assert left(self.traces, self.before).keys() >= {"process", "namespace", "cgroup", "file"}

    def remains(self, *, but: Callable[[str], bool] = lambda _: False) -> dict[str, list[str]]:
        """What is left once it had a moment to go."""
        deadline = time.monotonic() + GONE_S
        while True:
            found = left(self.traces, self.before)
            found = {
                kind: kept for kind, each in found.items() if (kept := [one for one in each if not but(one)])
            }
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


@pytest.fixture
def run(node_binaries: dict[str, Path]) -> Iterator[Run]:
    started = Run(node_binaries)
    yield started
    started.process.kill()
    with started.process:  # its pipes are closed
        pass


def test_nothing_stays_after_an_ordinary_end(run: Run) -> None:
    run.process.communicate(timeout=30)
    assert run.remains() == {}


def test_nothing_stays_when_the_test_process_is_killed(run: Run) -> None:
    run.process.kill()
    assert run.remains() == {}


def test_what_a_killed_supervisor_leaves_are_folders_and_the_next_start_takes_its_cgroups(
    run: Run, node_binaries: dict[str, Path]
) -> None:
    os.kill(int((run.data_dir / "alive").read_text()), signal.SIGKILL)
    name = run.data_dir.name

    def folders(each: str) -> bool:
        return name in each and (each.startswith("/sys/fs/cgroup/") or Path(each).exists())

    assert run.remains(but=folders) == {}
    assert list(Path("/sys/fs/cgroup").glob(f"*/{name}"))
    start_cluster(node_binaries, node=KubeletNode(LocalProcesses())).close()
    assert "cgroup" not in left(run.traces, run.before)


def test_two_nodes_at_once_do_not_know_of_each_other(node_cluster: RunningCluster, run: Run) -> None:
    assert "two" not in kubectl(node_cluster, "get", "pods", "-A")
    run.process.communicate(timeout=30)
    assert "Ready" in kubectl(node_cluster, "get", "nodes")
    assert run.remains() == {}
