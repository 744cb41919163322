"""A release with workloads in two namespaces, namesakes among them: rolled back and judged where they are."""

import os
import subprocess
import time

import pytest
import yaml

from support.chart_release import ChartRelease

# The release's own namespace is well in every revision; the values are those of the other one.
CHART = """
{{- range $place := list .Release.Namespace (print .Release.Namespace "-b") }}
{{- $other := ne $place $.Release.Namespace }}
apiVersion: v1
kind: Service
metadata: {name: app, namespace: {{ $place }}}
spec: {selector: {app: app}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: {{ $place }}}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - name: app
        image: {{ $other | ternary $.Values.image "zkprova/worker:1.0.0-1234567" }}
        {{- if and $other $.Values.lost }}
        env: [{name: DATABASE_PATH, value: /no/such/volume}]
        {{- end }}
---
{{- end }}
"""
GOOD = {"image": "zkprova/worker:1.0.0-1234567", "lost": ""}
MISSING = {"image": "zkprova/worker:missing", "lost": ""}
LOST = {"image": "zkprova/worker:1.0.0-1234567", "lost": "yes"}


@pytest.fixture
def other(running_cluster, namespace):
    """A second namespace, in which pods can be made at once."""
    name, api = f"{namespace}-b", running_cluster.api
    status, body = api.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert status == 201, body
    until(lambda: api.get(f"/api/v1/namespaces/{name}/serviceaccounts/default")[0] == 200)
    return name


@pytest.fixture
def own(cluster, namespace, other, binaries, tmp_path):
    return ChartRelease(cluster, namespace, tmp_path, binaries["helm"], CHART)


def until(done, within_s=60):
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def typed(own, command):
    """A command as it is printed, at a shell with kubectl and helm on PATH."""
    programs = {own.cluster.binaries["kubectl"].parent, own.helm_path.parent}
    env = {**os.environ, "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]])}
    env.pop("KUBECONFIG", None)
    done = subprocess.run(
        ["bash", "-ec", f"set -o pipefail; {command}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_case_c5_what_stands_in_another_namespace_is_judged_there(own, other):
    own.deploy(**GOOD)
    own.deploy(**MISSING)
    good = own.run("--rollback-to=1")
    verdicts, there = good.verdicts(), f"rollout-{other}-app"
    judged = ("rollout-app", there, "release-equivalence", "logs", "events")
    assert {verdicts[item] for item in judged} == {"PASS"}, good.output
    assert good.item(there)["title"] == f"kubectl rollout status deployment/app -n {other} --timeout=30s"
    assert good.item(there)["observed"] == "1 of 1 pods ready, running zkprova/worker:1.0.0-1234567"
    assert good.item("logs")["observed"].startswith("2 containers of 2 pods: ")
    assert {point["series"] for point in good.record["samples"]} >= {f"wanted/app in {other}", "wanted/app"}
    for item in judged:
        command = good.item(item)["command"]
        assert all(line.count(" -n ") == 1 for line in command.split("; ")), command
        typed(own, command)

    own.deploy(**MISSING)
    bad = own.run()
    verdicts = bad.verdicts()
    assert (verdicts["rollout-app"], verdicts[there]) == ("PASS", "FAIL"), bad.output
    assert "zkprova/worker:missing" in bad.item(there)["observed"]
    assert verdicts["events"] != "PASS"  # it is not waited for long once a rollout has failed
    assert f" in namespace {other} is " in bad.item("events")["observed"]
    assert f" -n {other} " in bad.item(there)["command"]
    assert "missing" in typed(own, bad.item(there)["command"])

    own.deploy(**LOST)
    until(lambda: "CrashLoopBackOff" in own.kubectl("get", "pods", "-A", "-l", "app=app"))
    crash = own.run()
    verdicts = crash.verdicts()
    assert (verdicts["rollout-app"], verdicts[there], verdicts["logs"]) == ("PASS", "FAIL", "FAIL"), (
        crash.output
    )
    assert f"{other}/app-" in crash.item("logs")["observed"]
    assert "FATAL: unable to open database file" in crash.item("logs")["observed"]
    assert "FATAL" in typed(own, crash.item("logs")["command"])


def test_case_c5_where_there_is_no_right_to_look_nothing_is_called_well(own, other):
    own.deploy(**GOOD)
    own.deploy(**{**GOOD, "image": "zkprova/worker:1.0.1-1234567"})
    kubeconfig = own.folder / "narrow"
    own.kubectl("create", "serviceaccount", "deployer")
    account = f"--serviceaccount={own.namespace}:deployer"
    own.kubectl("create", "rolebinding", "own", "--clusterrole=admin", account)
    allowed = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "helm", "namespace": other},
        "rules": [
            {
                "apiGroups": ["", "apps"],
                "resources": ["services", "deployments"],
                "verbs": ["get", "create", "patch", "update", "delete"],
            }
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "helm", "namespace": other},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "helm"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": own.namespace}],
    }
    (own.folder / "rights.yaml").write_text(yaml.safe_dump_all([allowed, binding]))
    args = ["--context", own.cluster.context, "--kubeconfig", str(own.cluster.kubeconfig)]
    subprocess.run(
        [str(own.cluster.binaries["kubectl"]), "apply", "-f", str(own.folder / "rights.yaml"), *args],
        check=True,
        capture_output=True,
    )
    token = own.kubectl("create", "token", "deployer").strip()
    config = yaml.safe_load(own.cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    kubeconfig.write_text(yaml.safe_dump(config))
    kubeconfig.chmod(0o600)
    toml = own.folder / "zkrollback.toml"
    toml.write_text(toml.read_text().replace(str(own.cluster.kubeconfig), str(kubeconfig)))

    result = own.run("--rollback-to=1")
    assert result.record["helm"]["exit_code"] == 0, result.output
    guard = result.guard("permissions")
    missing = [
        "get pods/log",
        "list deployments.apps",
        "list events",
        "list pods",
        "list replicasets.apps",
        "watch deployments.apps",
        "watch pods",
        "watch replicasets.apps",
    ]
    named = ", ".join(f"{right} in namespace {other}" for right in missing)
    assert (guard["state"], guard["evidence"]) == (
        "warned",
        f"helm has every right that it needs; you may not: {named}",
    )
    verdicts = result.verdicts()
    there = f"rollout-{other}-app"
    assert verdicts["rollout-app"] == "PASS", result.output
    for item, right in (
        (there, "list deployments"),
        ("release-equivalence", "list replicasets"),
        ("logs", "list deployments"),
        ("events", "list events"),
    ):
        assert verdicts[item] == "UNVERIFIED", result.item(item)
        assert f"may not {right} in namespace {other}" in result.item(item)["observed"]
