"""Where helm's own ``--wait`` is wrong, with this tool's verdict beside it; on kwok and on a kubelet."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support.checkout import make_checkout
from support.http_server import LoopbackHttpServer, QuietHandler
from support.played_pods import settle

CHART = Path(__file__).parent / "charts" / "act"
RECREATE = ("--set", "strategy=Recreate", "--timeout=60s")
HEALTHY = ("--port=8080",)
READY_FOR_3_S = ("--port=8080", "--exit=1", "--after=3")
STALE_S = 3.0


class Service(QuietHandler):
    """A service that is well, so that everything hangs on the pods."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"database": "ok"}')


class Release:
    """The release ``it``, and the operator's command in a folder of its own."""

    def __init__(self, running, helm, namespace, folder, url):
        self.running, self.cluster, self.helm_path = running, running.cluster, helm
        self.namespace, self.folder = namespace, folder
        cluster = self.cluster
        make_checkout(folder)
        keys = {
            "context": cluster.context,
            "kubeconfig": str(cluster.kubeconfig),
            "namespace": namespace,
            "release": "it",
            "workloads": "auto",
            "helm": str(helm),
            "preflight_budget_s": 30,
            "slack": False,
            "url": url,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        smoke = '[environments.test.smoke]\ncommand = ["true"]\n'
        (folder / "zkrollback.toml").write_text(f"[environments.test]\n{chr(10).join(lines)}\n{smoke}")

    def helm(self, *args):
        """Exit code and what helm said."""
        argv = [str(self.helm_path), *args, "-n", self.namespace, "--kube-context", self.cluster.context]
        env = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def deploy(self, verb, args, *more):
        """``helm install`` or ``upgrade`` with these arguments of the container."""
        return self.helm(verb, "it", str(CHART), "--set-json", f"args={json.dumps(args)}", *more)

    def run(self, *args):
        argv = [sys.executable, "-m", "pytest", "--env=test", *args]
        argv.append("--rollback-migration-assessed=there is no database")
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=240, check=False)
        path = self.folder / "reports" / "latest.json"
        assert path.exists(), done.stdout + done.stderr
        record = json.loads(path.read_text())
        return done, {item["id"]: item for item in record["items"]}

    def deployment(self):
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/it"
        return self.running.api.get(path)[1]


@contextlib.contextmanager
def kept_pods(release):
    """Nobody deletes a pod, as where a webhook is slow: so the bad revision's pod stays for a while.

    The controller has seen the new spec then, and its status still has the missed deadline of the one before.
    """
    api, name = release.running.api, f"kept-{release.namespace}"
    group, kind = "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolic"
    here = {"matchLabels": {"kubernetes.io/metadata.name": release.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}
    policy = {
        "matchConstraints": {"namespaceSelector": here, "resourceRules": [rule]},
        "validations": [{"expression": "false"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    made = {f"{group}/{kind}ies": policy, f"{group}/{kind}ybindings": binding}
    pods = f"/api/v1/namespaces/{release.namespace}/pods"
    [pod] = api.get(pods)[1]["items"]

    def refused():
        return str(api.send("DELETE", f"{pods}/{pod['metadata']['name']}?dryRun=All", None)[0])

    def lift():
        for path in made:
            api.send("DELETE", f"{path}/{name}", None)

    for path, spec in made.items():
        status, answer = api.send("POST", path, {"metadata": {"name": name}, "spec": spec})
        assert status == 201, answer
    try:
        settle(refused, "422")
        yield lift
    finally:
        lift()


@pytest.fixture(params=["helm", "helm3"], ids=["helm 4", "helm 3"])
def release(request, running_cluster, binaries, namespace, tmp_path):
    helm = binaries["helm"] if request.param == "helm" else request.getfixturevalue("helm3")
    with LoopbackHttpServer(Service) as server:
        yield Release(running_cluster, helm, namespace, tmp_path, server.url)


def test_helm_says_success_of_a_pod_that_is_ready_for_three_seconds(release):
    assert release.deploy("install", HEALTHY, "--wait")[0] == 0
    code, text = release.deploy("upgrade", READY_FOR_3_S, "--wait", "--timeout=60s")
    assert (code, "STATUS: deployed" in text) == (0, True), text
    done, items = release.run("--rollback-to=2")
    assert done.returncode == 1, done.stdout
    assert items["rollout-it"]["verdict"] == "FAIL", done.stdout


@pytest.mark.parametrize("release", ["helm"], indirect=True, ids=["helm 4"])
def test_helm_says_failure_of_a_rollback_that_was_fine(release):
    assert release.deploy("install", HEALTHY, "--wait", *RECREATE)[0] == 0

    def miss_the_deadline(path):
        # Each time with another ReplicaSet: where it knows the ReplicaSet, the controller misses no deadline.
        never_ready = ("--set", f"path={path}", "--wait")
        code, text = release.deploy("upgrade", HEALTHY, *never_ready, *RECREATE)
        assert (code, "Progress deadline exceeded" in text) == (1, True), text

    miss_the_deadline("/wrong")
    with kept_pods(release):
        code, text = release.helm("rollback", "it", "1", "--wait")
    assert (code, "Progress deadline exceeded" in text) == (1, True), text
    settle(lambda: str(release.deployment()["status"].get("readyReplicas")), "1")

    miss_the_deadline("/wrong-again")
    seen = release.deployment()["metadata"]["generation"]
    with kept_pods(release) as lift:
        lifted = threading.Thread(target=lift_after, args=(release, seen, lift), daemon=True)
        lifted.start()
        done, items = release.run("--rollback-to=1")
        lifted.join()
    assert done.returncode == 0, done.stdout
    assert items["rollout-it"]["verdict"] == "PASS"


def lift_after(release, generation, lift):
    """Lift it when the controller has seen another generation for ``STALE_S``."""
    while release.deployment()["status"]["observedGeneration"] <= generation:
        time.sleep(0.05)
    time.sleep(STALE_S)
    lift()
