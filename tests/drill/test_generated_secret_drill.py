"""P14 on the real API server: a Secret that is made of an object of the release, read by pods that stay.

No controller of that kind runs here: kubectl writes the Secret in its place.
"""

import base64
import shlex
import subprocess
import time

import pytest
import yaml

from support.chart_release import ChartRelease

CHART = """
apiVersion: sealed.example.org/v1
kind: SealedSecret
metadata: {name: s}
spec: {encryptedData: {PASSWORD: {{ .Values.level | quote }}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.org/web:1", envFrom: [{secretRef: {name: s}}]}]}
"""
KIND = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "sealedsecrets.sealed.example.org"},
    "spec": {
        "group": "sealed.example.org",
        "scope": "Namespaced",
        "names": {"kind": "SealedSecret", "plural": "sealedsecrets", "singular": "sealedsecret"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


@pytest.fixture
def own(cluster, namespace, binaries, tmp_path):
    made = ChartRelease(cluster, namespace, tmp_path, binaries["helm"], CHART)
    (tmp_path / "kind.yaml").write_text(yaml.safe_dump(KIND))
    made.kubectl("apply", "-f", str(tmp_path / "kind.yaml"))
    made.kubectl("wait", "--for=condition=Established", f"crd/{KIND['metadata']['name']}")
    return made


def write(own, password):
    """What the controller would do."""
    data = base64.b64encode(password.encode()).decode()
    own.kubectl("patch", "secret", "s", "-p", f'{{"data": {{"PASSWORD": "{data}"}}}}')


def test_case_p14_a_pod_that_read_the_secret_before_it_was_written_is_unverified_until_it_is_restarted(own):
    own.kubectl("create", "secret", "generic", "s", "--from-literal=PASSWORD=good")
    own.deploy(level="good")
    own.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    time.sleep(1.1)  # API times are whole seconds
    own.deploy(level="bad")
    own.kubectl("annotate", "secret", "s", "refreshed=now")
    write(own, "good")  # the same again
    same = own.run("--rollback-to=1")
    assert same.verdicts()["release-equivalence"] == "PASS", same.output

    write(own, "bad")
    open_ = own.run()
    assert open_.verdicts()["release-equivalence"] == "UNVERIFIED", open_.output
    assert (
        ", of SealedSecret/s, which changed (kubectl rollout restart deployment/web)"
        in open_.item("release-equivalence")["observed"]
    )
    [cure] = open_.item("release-equivalence")["cures"]
    line = cure.replace("kubectl ", f"{shlex.quote(str(own.cluster.binaries['kubectl']))} ", 1)
    subprocess.run(["bash", "-c", line], check=True, capture_output=True, timeout=60)
    own.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    done = own.run()
    assert done.verdicts()["release-equivalence"] == "PASS", done.output
