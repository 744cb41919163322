"""The real ``kubectl rollout status`` and ours, on the same objects of a real cluster, at the same moment."""

import json
import subprocess

import pytest

from pytest_zkrollback.checklist.rollout.kubectl_status import rollout_status

TEMPLATE = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: web}}
spec:
  {more}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: app, image: "{image}"}}]}}
"""
KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
MISSING = "zkprova/backend:no-such-tag"


class Bench:
    """One workload, changed by kubectl and looked at by both."""

    def __init__(self, cluster, namespace, kind):
        scope = ["-n", namespace, "--context", cluster.context, "--kubeconfig", str(cluster.kubeconfig)]
        self.argv = [str(cluster.binaries["kubectl"]), *scope]
        self.kind = kind
        self.compared = set()

    def kubectl(self, *words, stdin=None):
        return subprocess.run(
            [*self.argv, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    def apply(self, image="pause:1", more=""):
        done = self.kubectl(
            "apply", "-f", "-", stdin=TEMPLATE.format(kind=KINDS[self.kind], image=image, more=more)
        )
        assert done.returncode == 0, done.stderr

    def item(self):
        return json.loads(self.kubectl("get", self.kind, "web", "-o", "json").stdout)

    def compare(self, times):
        """As often as asked, both on the same version of the object."""
        same = 0
        for _ in range(8 * times):
            before = self.item()
            told = self.kubectl("rollout", "status", f"{self.kind}/web", "--watch=false")
            if self.item()["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
                continue
            ours = rollout_status(self.kind, before)
            said = told.stdout.strip() or told.stderr.strip().removeprefix("error: ")
            assert (said, told.returncode) == (ours.message, int(ours.error))
            self.compared.add(ours.message)
            same += 1
            if same == times:
                return
        raise AssertionError("the object never stood still")


@pytest.mark.parametrize("kind", KINDS)
def test_kubectl_says_the_same_of_real_objects(cluster, namespace, kind):
    bench = Bench(cluster, namespace, kind)
    replicas = "" if kind == "daemonset" else "replicas: 2"
    bench.apply(more=replicas)
    bench.compare(3)
    assert bench.kubectl("rollout", "status", f"{kind}/web", "--timeout=40s").returncode == 0
    bench.compare(1)
    bench.apply(image=MISSING, more=replicas)
    bench.compare(3)
    strategy = (
        "updateStrategy: {type: OnDelete, rollingUpdate: null}" if kind != "deployment" else "paused: true"
    )
    bench.apply(more=f"{replicas}\n  {strategy}")
    bench.compare(2)
    assert len(bench.compared) >= 2, bench.compared
