"""The drill's cluster: what it promises to the tests and to the run that use it."""

import json
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pytest_zkrollback.domain.errors import DrillProblem
from pytest_zkrollback.drill.cluster_api import Api
from pytest_zkrollback.drill.local_cluster import Cluster, RunningCluster, start_cluster


def kubectl(cluster: Cluster, *args: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        [cluster.binaries["kubectl"], f"--kubeconfig={cluster.kubeconfig}", *args],
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def deployment(name: str, replicas: int = 1) -> str:
    labels = {"app": name}
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "main", "image": "example/nothing:1"}]},
                },
            },
        }
    )


def test_a_deployment_rolls_out_on_the_simulated_node(cluster: Cluster, namespace: str) -> None:
    kubectl(cluster, "-n", namespace, "apply", "-f", "-", stdin=deployment("web", 2))
    told = kubectl(cluster, "-n", namespace, "rollout", "status", "deployment/web", "--timeout=20s")
    assert "successfully rolled out" in told


def test_kubectl_logs_works_over_a_verified_connection(cluster: Cluster, namespace: str) -> None:
    kubectl(cluster, "-n", namespace, "apply", "-f", "-", stdin=deployment("web"))
    kubectl(cluster, "-n", namespace, "rollout", "status", "deployment/web", "--timeout=20s")
    assert "starting" in kubectl(cluster, "-n", namespace, "logs", "deployment/web")


def test_only_loopback_is_listened_on_and_etcd_on_a_socket_file(cluster: Cluster) -> None:
    sockets = listening_sockets(cluster.data_dir)
    assert {host for host, _ in sockets} == {"127.0.0.1"}
    assert {program for _, program in sockets} == {"kube-apiserver", "kwok", Path(sys.executable).name}
    assert stat.S_ISSOCK((cluster.data_dir / "etcd.sock").stat().st_mode)
    assert stat.S_IMODE(cluster.data_dir.stat().st_mode) == 0o700


def test_the_kubeconfig_is_its_owners_alone_and_verifies_the_server(cluster: Cluster) -> None:
    assert stat.S_IMODE(cluster.kubeconfig.stat().st_mode) == 0o600
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    assert config["current-context"] == cluster.context == "drill"
    assert set(config["clusters"][0]["cluster"]) == {"server", "certificate-authority-data"}


def test_a_strict_client_verifies_the_certificate_and_a_stranger_does_not(cluster: Cluster) -> None:
    host, port = cluster.server.removeprefix("https://").split(":")
    strict = ssl.create_default_context(cafile=str(cluster.ca_file))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 does by default
    with socket.create_connection((host, int(port))) as raw:
        strict.wrap_socket(raw, server_hostname=host).close()
    with socket.create_connection((host, int(port))) as raw, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(raw, server_hostname=host)


def test_nobody_is_let_in_without_a_token(cluster: Cluster) -> None:
    status, _ = Api(cluster.server, cluster.ca_file, "wrong").get("/api")
    assert status == 401


def test_the_audit_log_has_writes_with_bodies_but_no_secrets(cluster: Cluster, namespace: str) -> None:
    kubectl(cluster, "-n", namespace, "create", "configmap", "plain", "--from-literal=word=visible")
    kubectl(cluster, "-n", namespace, "create", "secret", "generic", "hidden", "--from-literal=word=unseen")
    kubectl(cluster, "-n", namespace, "get", "configmap", "plain")
    deadline = time.monotonic() + 5
    while True:
        lines = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
        mine = [e for e in lines if e.get("objectRef", {}).get("namespace") == namespace]
        by = {
            (e["verb"], e["objectRef"].get("name")): e for e in mine if e["user"]["username"] == "drill-admin"
        }
        if ("get", "plain") in by or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert by["create", "plain"]["requestObject"]["data"] == {"word": "visible"}
    assert "requestObject" not in by["create", "hidden"]
    assert "requestObject" not in by["get", "plain"]


def test_the_node_stays_ready_and_its_lease_is_renewed(running_cluster: RunningCluster) -> None:
    lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/drill-node"
    status, body = running_cluster.api.get(lease)
    assert status == 200
    assert body["spec"]["leaseDurationSeconds"] == 40


def test_a_server_that_ends_at_once_is_named_with_its_last_words(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "kwok"
    broken.write_text("#!/bin/sh\necho 'kwok: no such stage' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(DrillProblem) as caught:
        start_cluster({**binaries, "kwok": broken})
    assert str(caught.value) == (
        "The drill's kwok ended with exit code 3 while waiting for the node to be ready."
        " Its last words:\n  kwok: no such stage"
    )


def test_a_program_that_does_not_exist_is_named(binaries: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DrillProblem) as caught:
        start_cluster({**binaries, "etcd": tmp_path / "etcd"})
    assert str(caught.value) == (
        f"The drill could not start etcd: {tmp_path}/etcd was not started: there is no such file."
    )


def listening_sockets(data_dir: Path) -> set[tuple[str, str]]:
    """(address, program) of every TCP socket that a program of this cluster listens on; from /proc."""
    inodes = {}
    for pid in Path("/proc").glob("[0-9]*"):
        try:
            if str(data_dir) not in (pid / "cmdline").read_text():
                continue
            program = Path((pid / "cmdline").read_text().split("\0")[0]).name
            for fd in (pid / "fd").iterdir():
                inodes[str(fd.readlink())] = program
        except OSError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            program = inodes.get(f"socket:[{fields[9]}]")
            if fields[3] == "0A" and program is not None:
                address = fields[1].split(":")[0]
                host = (
                    ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
                    if len(address) == 8
                    else address
                )
                found.add((host, program))
    return found
