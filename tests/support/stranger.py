"""Somebody's cluster, and a checkout from which drills are run against it (``--drill-context``)."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pytest_zkrollback.drill.drill_namespace import LEASE, checkout_id, namespace_name
from pytest_zkrollback.drill.local_cluster import RunningCluster
from support.checkout import make_checkout

CONTEXT = "stranger"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}
_volumes = itertools.count(1)


@dataclass
class Stranger:
    """Somebody's cluster, and a folder from which drills are run against it."""

    running: RunningCluster
    folder: Path
    programs: Path
    images: str  # the option that says how the nodes get them

    @property
    def api(self):
        return self.running.api

    @property
    def namespace(self):
        return namespace_name(checkout_id(self.folder))

    @property
    def path(self):
        return f"/api/v1/namespaces/{self.namespace}"

    def environ(self, **more):
        env = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        own = {
            "PATH": path,
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "XDG_STATE_HOME": str(self.folder),
        }
        return {**env, **own, **more}

    def argv(self, *args):
        return [
            *(sys.executable, "-m", "pytest", "--env=drill", f"--drill-context={CONTEXT}", self.images),
            *args,
        ]

    def run(self, *args, **env):
        """Exit code and output."""
        done = subprocess.run(
            self.argv(*args),
            cwd=self.folder,
            env=self.environ(**env),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def latest(self):
        """The newest record."""
        return json.loads((self.folder / "reports" / "latest.json").read_text())

    def start(self, *args):
        return subprocess.Popen(
            self.argv(*args),
            cwd=self.folder,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def create_namespace(self, labels, annotations=None):
        metadata = {"name": self.namespace, "labels": labels, "annotations": annotations or {}}
        status, body = self.api.send("POST", "/api/v1/namespaces", {"metadata": metadata})
        assert status == 201, body
        return body["metadata"]["uid"]

    def create_lease(self, renewed, seconds=60):
        spec = {
            "holderIdentity": "an-earlier-run",
            "leaseDurationSeconds": seconds,
            "renewTime": renewed.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        status, body = self.api.send("POST", path, {"metadata": {"name": LEASE}, "spec": spec})
        assert status == 201, body

    def uid(self):
        """Of the namespace, None where there is none, or none any more in a moment."""
        status, body = self.api.get(self.path)
        assert status in (200, 404), body
        return None if status == 404 else body["metadata"]["uid"]

    def remove(self):
        self.api.send("DELETE", self.path, {})
        wait_for(lambda: self.uid() is None)

    def is_going(self):
        status, body = self.api.get(self.path)
        return status == 404 or "deletionTimestamp" in body["metadata"]

    def add_volume(self, folder="/srv/zkprova"):
        """A static volume for the next drill's claim: ``folder`` of the node."""
        spec = {
            "storageClassName": CLASS["metadata"]["name"],
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
        }
        volume = {"metadata": {"name": f"volume-{next(_volumes)}"}, "spec": spec}
        assert self.api.send("POST", "/api/v1/persistentvolumes", volume)[0] == 201

    def audit(self):
        """A function that gives the writes from now on: what ``writes`` says."""
        log = self.running.cluster.audit_log
        begun = log.stat().st_size
        return lambda: writes(log, begun)

    def outside(self, found: Sequence[dict]) -> list[tuple[str, str]]:
        """(verb, URI) of those that are neither in its namespace nor that namespace's making or deletion."""
        return [
            (event["verb"], event["requestURI"])
            for event in found
            if f"/namespaces/{self.namespace}/" not in event["requestURI"]
            and event["requestURI"].partition("?")[0] not in ("/api/v1/namespaces", self.path)
        ]


def writes(log: Path, begun: int) -> list[dict]:
    """The audit log's writes by this tool, helm and kubectl behind ``begun``, but for questions about rights."""
    with log.open("rb") as file:
        file.seek(begun)
        events = [json.loads(line) for line in file if line.endswith(b"\n")]
    return [
        event
        for event in events
        if event["verb"] not in ("get", "list", "watch")
        and event.get("userAgent", "").split("/")[0] in ("pytest-zkrollback", "Helm", "helm", "kubectl")
        and event["objectRef"]["resource"] != "selfsubjectaccessreviews"
    ]


def make_stranger(running: RunningCluster, binaries: dict[str, Path], folder: Path, images: str) -> Stranger:
    """A fresh checkout in ``folder``, with helm and kubectl on PATH and a kubeconfig of its own."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("helm", "kubectl"):
        (programs / name).symlink_to(binaries[name])
    checkout = folder / "checkout"
    make_checkout(checkout)
    config = yaml.safe_load(running.cluster.kubeconfig.read_text())
    config["contexts"][0]["name"] = config["current-context"] = CONTEXT
    (checkout / "kubeconfig").write_text(yaml.safe_dump(config))
    return Stranger(running, checkout, programs, images)


def plain(output: str) -> str:
    """Without the line breaks of the terminal's width."""
    return re.sub(r"\s+", " ", output)


def wait_for(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
