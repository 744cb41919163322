"""Charts of our own, one per kind, rolled back on the real API server by the real helm."""

import re
import shlex
import subprocess
import time

import pytest

from support.chart_release import ChartRelease

STATEFUL = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  updateStrategy: STRATEGY
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: db, image: "example.org/db:1", env: [{name: LEVEL, value: {{ .Values.level | quote }}}]}]
"""
PARTITIONED = "{type: RollingUpdate, rollingUpdate: {partition: {{ .Values.partition }}}}"
# What a server, a controller or a platform makes of a manifest is no drift.
FILLED_IN = """
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {type: NodePort, clusterIP: "", selector: {app: x}, ports: [{port: 80, nodePort: 0}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {A: }
stringData: {B: {{ .Values.level }}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sa}
secrets: [{name: own}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: PLACE}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {part-of: PLACE}}]}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: PLACE-part, labels: {part-of: PLACE}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"""


@pytest.fixture
def release(cluster, namespace, binaries, tmp_path):
    def make(template, helm=None):
        return ChartRelease(cluster, namespace, tmp_path, helm or binaries["helm"], template)

    return make


def until(done, within_s=30):
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def pods_have(own, *levels):
    """Whether db-0, db-1 are ready and have these levels."""
    path = r"jsonpath={range .items[*]}{.spec.containers[0].env[0].value}{.status.containerStatuses[0].ready} {end}"
    return own.kubectl("get", "pods", "-l", "app=db", "-o", path).split() == [
        f"{each}true" for each in levels
    ]


def typed(own, command):
    """A proposed command, exactly as it stands there, at a shell where kubectl is on PATH."""
    line = command.replace("kubectl ", f"{shlex.quote(str(own.cluster.binaries['kubectl']))} ", 1)
    env = {"KUBECONFIG": str(own.cluster.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(own.folder)}
    done = subprocess.run(
        ["bash", "-c", line], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_case_c2_on_delete_is_red_with_the_pods_to_delete_and_green_once_they_are_new(release):
    own = release(STATEFUL.replace("STRATEGY", "{type: OnDelete}"))
    own.deploy(level="good")
    until(lambda: pods_have(own, "good", "good"))
    own.deploy(level="bad")
    own.kubectl("delete", "pod", "db-0", "db-1")
    until(lambda: pods_have(own, "bad", "bad"))
    red = own.run("--rollback-to=1")
    assert red.record["helm"]["exit_code"] == 0
    verdicts = red.verdicts()
    assert (verdicts["rollout-db"], verdicts["release-equivalence"]) == ("FAIL", "FAIL"), red.output
    [cure] = red.item("rollout-db")["cures"]
    assert cure.startswith("kubectl delete pod db-0 db-1 ")
    typed(own, cure)
    until(lambda: pods_have(own, "good", "good"))
    green = own.run()
    assert (green.verdicts()["rollout-db"], green.verdicts()["release-equivalence"]) == ("PASS", "PASS")


def test_case_a1_what_a_partition_keeps_of_the_bad_revision_is_red(release):
    own = release(STATEFUL.replace("STRATEGY", PARTITIONED))
    own.deploy(level="good", partition=1)
    until(lambda: pods_have(own, "good", "good"))
    own.deploy(level="bad", partition=0)
    until(lambda: pods_have(own, "bad", "bad"))
    red = own.run("--rollback-to=1")
    assert red.verdicts()["release-equivalence"] == "FAIL", red.output
    observed = red.item("release-equivalence")["observed"]
    assert observed.startswith(
        "Pod db-0 of StatefulSet/db still runs the template of a revision that was rolled away from: partition 1 "
        "keeps it there; it is replaced once the partition is 0"
    )
    assert red.item("release-equivalence")["cures"] == []


def test_case_a1_what_a_partition_keeps_of_an_older_revision_is_said(release):
    own = release(STATEFUL.replace("STRATEGY", PARTITIONED))
    own.deploy(level="older", partition=0)
    until(lambda: pods_have(own, "older", "older"))
    own.deploy(level="good", partition=1)
    until(lambda: pods_have(own, "older", "good"))
    own.deploy(level="bad", partition=1)
    until(lambda: pods_have(own, "older", "bad"))
    done = own.run("--rollback-to=2")
    assert done.verdicts()["release-equivalence"] == "PASS", done.output
    observed = done.item("release-equivalence")["observed"]
    assert observed.endswith(
        "; Pod db-0 of StatefulSet/db is of an older revision: partition 1 keeps it there"
    )
    assert done.item("rollout-db")["observed"].endswith("; partition 1 keeps db-0 at another revision")


def test_cases_p2_p5_p6_p35_p36_what_is_filled_in_is_no_drift_and_what_is_changed_is(
    release, namespace, helm3
):
    """Helm 3: the upgrade of an aggregated role's rules is a conflict to Helm 4, which stops there."""
    own = release(FILLED_IN.replace("PLACE", namespace), helm3)
    own.deploy(level="good")
    own.deploy(level="bad")
    own.kubectl("patch", "serviceaccount", "sa", "--type=json", "-p", ADDED)
    done = own.run("--rollback-to=1")
    assert done.verdicts()["release-equivalence"] == "PASS", done.output
    own.kubectl("patch", "clusterrole", f"{namespace}-part", "--type=json", "-p", CHANGED)
    red = own.run()
    assert red.verdicts()["release-equivalence"] == "FAIL"
    observed = red.item("release-equivalence")["observed"]
    assert observed.startswith(f'ClusterRole/{namespace}-part rules[0].verbs[0]: expected "get", live "list"')


ADDED = '[{"op": "add", "path": "/secrets/0", "value": {"name": "dockercfg"}}]'
CHANGED = '[{"op": "replace", "path": "/rules/0/verbs/0", "value": "list"}]'


HOOKED = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
data: {LEVEL: {{ .Values.level | quote }}}
---
apiVersion: v1
kind: Secret
metadata: {name: s, annotations: {helm.sh/hook: pre-install}}
stringData: {PASSWORD: {{ randAlphaNum 12 | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {level: {{ .Values.level | quote }}}}
    spec:
      containers: [{name: web, image: "example.org/web:1", envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}]}]
"""


def test_case_a2_what_a_hook_of_the_bad_revision_left_is_red(release):
    own = release(HOOKED)
    own.deploy(level="good")
    own.deploy(level="bad")
    red = own.run("--rollback-to=1")
    assert red.verdicts()["release-equivalence"] == "FAIL", red.output
    warned = red.guard("forecast")
    assert (warned["state"], warned["evidence"].partition(": ")[2]) == (
        "warned",
        "helm rollback does not run the hook that makes ConfigMap/c: Deployment/web starts with revision 2's value, "
        "not revision 1's",
    )
    observed = red.item("release-equivalence")["observed"]
    assert observed.startswith(
        "ConfigMap/c, which Deployment/web refers to, is as the hook of revision 2 left it, not as that of "
        "revision 1: helm rollback runs no install and no upgrade hooks"
    )


def test_case_a2b_what_hooks_left_alike_or_made_once_is_no_drift(release):
    own = release(HOOKED)
    for _ in range(3):
        own.deploy(level="good")
    done = own.run("--rollback-to=2")
    assert done.verdicts()["release-equivalence"] == "PASS", done.output


FILES = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {LEVEL: {{ .Values.level | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      volumes: [{name: c, configMap: {name: c}}]
      containers: [{name: web, image: "example.org/web:1", volumeMounts: [{name: c, mountPath: /etc/c}]}]
"""


def test_case_a6_files_that_changed_under_a_running_pod_are_unverified_until_it_is_restarted(release):
    own = release(FILES)
    own.deploy(level="good")
    own.deploy(level="bad")
    own.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    time.sleep(1.1)  # API times are whole seconds
    open_ = own.run("--rollback-to=1")
    assert open_.verdicts()["release-equivalence"] == "UNVERIFIED", open_.output
    [cure] = open_.item("release-equivalence")["cures"]
    assert cure.startswith("kubectl rollout restart deployment/web ")
    typed(own, cure)
    own.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    done = own.run()
    assert done.verdicts()["release-equivalence"] == "PASS", done.output


BROUGHT = """
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.org/web:1", env: [{name: LEVEL, value: {{ .Values.level | quote }}}]}]}
{{- if eq .Values.level "bad" }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, annotations: {HOW}}
spec: {podSelector: {}}
{{- end }}
"""


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ('helm.sh/hook: "post-upgrade"', "left by a hook of revision 2"),
        ('helm.sh/resource-policy: "keep"', "kept by its policy"),
    ],
    ids=["hook", "keep"],
)
def test_case_b11_a_policy_of_the_bad_revision_that_stays_is_red(release, how, why):
    own = release(BROUGHT.replace("HOW", how))
    own.deploy(level="good")
    own.deploy(level="bad")
    red = own.run("--rollback-to=1")
    assert red.verdicts()["release-equivalence"] == "FAIL", red.output
    observed = red.item("release-equivalence")["observed"]
    assert observed.startswith(f"NetworkPolicy/deny, {why}, selects the pods of Deployment/web")


CRASHES = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "zkprova/backend:1.8.0-3f9c2e1", args: [act, "--{{ .Values.does }}"]}]}
"""


def test_case_k7_two_crashes_at_start_are_said_before_it_is_certain(release):
    own = release(CRASHES)
    own.deploy(does="exit=3")
    own.deploy(does="port=8080")
    own.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    red = own.run("--rollback-to=1")
    told = [each["event"] for each in red.record["timeline"] if each["event"].startswith("rollout-web: ")]
    failing, failed = told
    assert re.fullmatch(
        r"rollout-web: failing: crashed twice at start: \S+ INFO act 1\.8\.0 \(3f9c2e1\) starting; 0 of 1 new pods"
        " ready; container web of 1 of 1 pod has crashed: exit code 3, 1 restart",
        failing,
    )
    assert failed == "rollout-web: FAIL"
    assert failing in red.output
