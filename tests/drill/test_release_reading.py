"""History, manifest and equivalence on releases that the real helm made, on a real API server."""

import json
import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_zkrollback.checklist.equivalence.check import EquivalenceCheck
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.kube.client import KubeClient, connect
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import HelmProblem, NotFound
from pytest_zkrollback.domain.verdict import CheckResult, Verdict
from pytest_zkrollback.drill.local_cluster import Cluster
from pytest_zkrollback.release.drift import compare, fetch_live
from pytest_zkrollback.release.history import ReleaseHistory, fetch_history
from pytest_zkrollback.release.manifest import object_diffs, render_diffs
from support.manifests import parse_manifest

NOW = datetime(2026, 11, 23, tzinfo=UTC)

# Everything that a server rewrites: quantities, ints, empty maps, null, defaults, stringData, order.
TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-web
  annotations: {}
  creationTimestamp: null
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 50%}}
  template:
    metadata: {labels: {app: web}, annotations: {stamp: "2026-11-23", on: "yes"}}
    spec:
      hostNetwork: false
      nodeSelector: {}
      securityContext: {}
      terminationGracePeriodSeconds: 0
      initContainers: [{name: init, image: busybox:1, args: ["-c", "true"]}]
      containers:
        - name: app
          image: {{ .Values.image }}
          ports: [{containerPort: 8080}, {containerPort: 8080, protocol: UDP, name: u}]
          env: [{name: B, value: ""}, {name: A, value: 'a: {{ .Values.a }}'}]
          resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5, memory: 0.5Gi}}
          readinessProbe: {httpGet: {path: /, port: 8080}, initialDelaySeconds: 0}
          volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1024Ki}}]
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    metadata: {name: "{{ .Release.Name }}-s"}
    data: {a: aGVsbG8=}
    stringData: {b: plain}
  - apiVersion: v1
    kind: Service
    metadata: {name: "{{ .Release.Name }}-svc"}
    spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "{{ .Release.Namespace }}-role"}
rules: []
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: "{{ .Release.Name }}-pdb"}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
"""


class Scene:
    def __init__(self, cluster: Cluster, namespace: str, helm: Path, chart: Path) -> None:
        self.namespace, self.helm, self.chart, self.cluster = namespace, helm, chart, cluster
        self.kube: KubeClient = connect(cluster.context, str(cluster.kubeconfig), SystemClock())

    def run(self, program: Path, *args: str) -> str:
        done = subprocess.run(
            [program, f"--kubeconfig={self.cluster.kubeconfig}", "-n", self.namespace, *args],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HOME": str(self.chart.parent)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def upgrade(self, *settings: str) -> None:
        flags = [flag for setting in settings for flag in ("--set", setting)]
        self.run(self.helm, "upgrade", "--install", "web", str(self.chart), *flags)

    def kubectl(self, *args: str) -> str:
        return self.run(self.cluster.binaries["kubectl"], *args)

    def history(self) -> ReleaseHistory:
        return fetch_history(self.kube, self.namespace, "web")

    def differences(self, revision: int) -> list[str]:
        release = self.history().get(revision)
        assert release is not None
        expected = parse_manifest(release.manifest, self.namespace)
        return [str(one) for one in compare(expected, fetch_live(self.kube, expected))]


@pytest.fixture(params=["helm 4", "helm 3"])
def scene(request, cluster, namespace, tmp_path) -> Scene:
    helm = cluster.binaries["helm"] if request.param == "helm 4" else request.getfixturevalue("helm3")
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: demo, version: 1.2.3, appVersion: '7'}")
    (chart / "values.yaml").write_text("{replicas: 1, image: 'web:1', a: one}")
    (chart / "templates" / "all.yaml").write_text(TEMPLATE)
    scene = Scene(cluster, namespace, helm, chart)
    scene.upgrade()
    return scene


def test_history_is_what_helm_says(scene):
    scene.upgrade("image=web:2", "a=two")
    scene.run(scene.helm, "rollback", "web", "1")
    history = scene.history()
    told = json.loads(scene.run(scene.helm, "history", "web", "-o", "json"))
    for revision, said in zip(history.revisions, told, strict=True):
        assert (revision.revision, revision.status) == (said["revision"], said["status"])
        assert (revision.chart, revision.app_version) == (said["chart"], said["app_version"])
        assert revision.description == said["description"]
        assert revision.deployed_at == datetime.fromisoformat(said["updated"])
    assert [one.images for one in history.revisions] == [
        ("busybox:1", "web:1"),
        ("busybox:1", "web:2"),
        ("busybox:1", "web:1"),
    ]
    assert history.head.revision.rollback_of == 1
    assert history.origin(3) == 1
    assert history.deployed is history.head
    bad = history.find_replaced(3)
    assert bad is not None and bad.revision.revision == 2
    assert bad.values == {"image": "web:2", "a": "two"}
    assert history.head.apply_method == ("ssa" if "rollback_revision" in told[2] else "csa")
    target = history.get(1)
    assert target is not None
    diff = render_diffs(
        object_diffs(*(parse_manifest(each.manifest, scene.namespace) for each in (bad, target)))
    )
    assert "-        image: web:2" in diff and "+        image: web:1" in diff


def test_missing_release_and_namespace_fault_10_11(scene):
    with pytest.raises(HelmProblem) as caught:
        fetch_history(scene.kube, scene.namespace, "wob")
    assert str(caught.value).startswith(
        f"There is no release wob in namespace {scene.namespace}; releases there: web."
    )
    with pytest.raises(NotFound, match="There is no namespace no-such"):
        fetch_history(scene.kube, "no-such", "web")


def test_defaulting_is_no_difference_and_drift_is_fault_16_44(scene):
    assert scene.differences(1) == []
    before = scene.differences
    scene.upgrade("image=web:2")
    assert any("containers[app].image" in one for one in before(1))
    assert scene.differences(2) == []
    scene.run(scene.helm, "rollback", "web", "1")
    assert scene.differences(1) == []
    scene.kubectl("set", "env", "deployment/web-web", "-c", "app", "HAND=1")
    assert scene.differences(1) == [
        "Deployment/web-web spec.template.spec.containers[app].env[HAND]: expected (not stated), "
        'live {"name": "HAND", "value": "1"} (set by kubectl-set)'
    ]
    scene.kubectl("set", "env", "deployment/web-web", "-c", "app", "HAND-")
    assert scene.differences(1) == []
    leak = {"spec": {"template": {"spec": {"containers": [{"name": "debug", "image": "shell"}]}}}}
    scene.kubectl("patch", "deployment", "web-web", "-p", json.dumps(leak))
    (leaked,) = scene.differences(1)
    assert leaked.startswith(
        "Deployment/web-web spec.template.spec.containers[debug]: expected (not stated), live"
    )
    scene.kubectl("patch", "secret", "web-s", "-p", '{"stringData": {"b": "other"}}')
    changed = "Secret/web-s data.b: expected (hidden), live (hidden: another value)"
    assert any(one.startswith(changed) for one in scene.differences(1))
    scene.kubectl("delete", "service", "web-svc")
    assert "Service/web-svc: expected to exist, live (absent)" in scene.differences(1)


def test_scaled_by_hand_is_drift_and_by_an_autoscaler_not_fault_43(scene):
    scene.kubectl("scale", "deployment/web-web", "--replicas=2")
    assert scene.differences(1) == ["Deployment/web-web spec.replicas: expected 1, live 2"]


def judged(check: EquivalenceCheck, passed: bool | None = True):
    history = History((Sample(NOW, check.observe()),), since=NOW, rollouts_passed=passed)
    return check.judge(history, NOW)


def test_the_item_passes_only_when_the_pods_are_the_targets_too(scene):
    target = scene.history().get(1)
    assert target is not None
    env = Environment(
        name="drill",
        context=scene.cluster.context,
        namespace=scene.namespace,
        release="web",
        workloads={"web": "deployment/web-web"},
    )
    check = EquivalenceCheck(
        env=env, kube=scene.kube, revision=1, target=parse_manifest(target.manifest, scene.namespace)
    )
    deadline = time.monotonic() + 30
    while not isinstance(verdict := judged(check), CheckResult) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.PASS, verdict
    assert verdict.observed == "No difference; read-only comparison of 5 objects and 1 pods"
    scene.upgrade("image=web:2")
    assert judged(check).word is Verdict.FAIL
    two = scene.history().get(2)
    assert two is not None
    check = replace_target(check, two.manifest, scene.namespace)
    # The old pod is there until the new one is ready.
    seen = judged(check)
    assert (
        isinstance(seen, CheckResult)
        or "runs web:1 as app, not web:2" in seen.observed
        or "no pod" in seen.observed
    )


def replace_target(check: EquivalenceCheck, manifest: str, namespace: str) -> EquivalenceCheck:
    return replace(check, revision=2, target=parse_manifest(manifest, namespace))
