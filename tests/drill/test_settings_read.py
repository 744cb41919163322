"""Which settings the pods of the target read, on the real API server with the real helm (C3, C3b)."""

import time

import pytest

from support.chart_release import ChartRelease

STALE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {MODE: {{ .Values.mode }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}, annotations: {checksum/settings: {{ .Values.mode | sha256sum }}}}
    spec:
      terminationGracePeriodSeconds: 1
{{- if .Values.stuck }}
      nodeSelector: {no-such: node}
{{- end }}
      containers: [{name: app, image: "example.org/app:1", envFrom: [{configMapRef: {name: settings}}]}]
{{- if .Values.hook }}
---
apiVersion: batch/v1
kind: Job
metadata: {name: pre, annotations: {helm.sh/hook: pre-upgrade}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: pre, image: "example.org/pre:1", args: [act, "--exit=1", "--after=0"]}]
{{- end }}
"""


@pytest.fixture
def own(cluster, namespace, binaries, helm3, tmp_path, request):
    helm = helm3 if getattr(request, "param", "helm") == "helm3" else binaries["helm"]
    release = ChartRelease(cluster, namespace, tmp_path, helm, STALE)
    release.deploy(mode="older")
    release.deploy(mode="good")
    release.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    time.sleep(1.1)  # API times are whole seconds
    return release


def until_ready(own):
    """The ReplicaSet of the target has its pod again."""
    path = "jsonpath={.items[*].status.containerStatuses[*].ready}"
    deadline = time.monotonic() + 60
    while "true" not in own.kubectl("get", "pods", "-l", "app=app", "-o", path):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("own", ["helm3"], indirect=True)
def test_case_c3_pods_of_the_target_that_never_stopped_pass_and_one_that_began_meanwhile_fails(own):
    own.deploy(mode="bad", stuck="true")
    done = own.run("--rollback-to=2")
    assert done.verdicts()["release-equivalence"] == "PASS", done.output
    own.deploy(mode="bad", stuck="true")
    time.sleep(1.1)
    own.kubectl("delete", "pod", "-l", "app=app", "--field-selector=status.phase=Running")
    until_ready(own)
    red = own.run("--rollback-to=2")
    assert red.verdicts()["release-equivalence"] == "FAIL", red.output
    observed = red.item("release-equivalence")["observed"]
    assert (
        "was not restarted: its container app read ConfigMap/settings at its start, before the rollback"
        in observed
    )


def test_case_c3_a_revision_whose_hook_failed_never_reached_the_cluster(own):
    with pytest.raises(AssertionError, match="pre-upgrade hooks failed"):
        own.deploy(mode="bad", hook="true")
    done = own.run("--rollback-to=2")
    assert done.verdicts()["release-equivalence"] == "PASS", done.output


def test_case_k10_a_rollback_by_hand_that_ran_out_of_time_is_red_by_helm_alone(own):
    """The ConfigMap's Deployment is available 4 s after its pods are ready; helm waits 1 s."""
    own.kubectl("patch", "deployment", "app", "-p", '{"spec": {"minReadySeconds": 4}}')
    own.deploy(mode="bad")
    own.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    with pytest.raises(AssertionError, match="failed"):
        own.helm("rollback", "own", "2", "--wait", "--timeout", "1s")
    own.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    red = own.run()
    observed = red.item("release-equivalence")["observed"]
    assert observed.startswith('helm calls revision 4 failed: Release "own" failed: '), red.output
    assert any(line.endswith("--rollback-to=2") for line in red.record["next_commands"]), red.output
    assert not any("--rollback-to=1" in line for line in red.record["next_commands"])
    assert own.run("--rollback-to=2").verdicts()["release-equivalence"] == "PASS"
