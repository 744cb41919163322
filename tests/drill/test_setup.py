"""Before the first rollback, on a real cluster: init, check, verify; and the printed Roles suffice."""

import json
import os
import subprocess
import time
import uuid

import pytest
import yaml

from support.chart_release import ChartRelease
from support.incident import BOTH

# Objects of the whole cluster, and a Role in a second namespace whose rights no account here has.
CHART = """
{{- range $place := list .Release.Namespace (print .Release.Namespace "-b") }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: {{ $place }}}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: {{ $.Values.image }}}]}
---
{{- end }}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: app, namespace: {{ .Release.Namespace }}-b}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [{{ .Values.verb }}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: app-{{ .Values.verb }}, namespace: {{ .Release.Namespace }}-b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}
subjects: [{kind: ServiceAccount, name: default, namespace: {{ .Release.Namespace }}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ .Release.Namespace }}-app}
rules: [{apiGroups: [""], resources: [nodes], verbs: [{{ .Values.verb }}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: {{ .Release.Namespace }}-app}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .Release.Namespace }}-app}
subjects: [{kind: ServiceAccount, name: default, namespace: {{ .Release.Namespace }}}]
"""
SUBJECT = "{kind: User, name: REPLACE-ME, apiGroup: rbac.authorization.k8s.io}"
SILENT = "url = false\nslack = false\nsmoke = false\n"


def until(done, within_s=60):
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Accounts:
    """ServiceAccounts that have one part of the printed Roles each, and nothing else."""

    def __init__(self, release):
        self.release = release
        self.admin = release.cluster.kubeconfig
        code, self.text, problem = release.typed("--zkrollback-check=rbac")
        assert (code, problem) == (0, ""), problem
        self.kubeconfigs = {each: self._made(each) for each in ("verify", "roll-back")}

    def kubectl(self, *args):
        scope = ["--context", self.release.cluster.context, "--kubeconfig", str(self.admin)]
        argv = [str(self.release.cluster.binaries["kubectl"]), *args, *scope]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _made(self, purpose):
        namespace, folder = self.release.namespace, self.release.folder
        self.release.kubectl("create", "serviceaccount", purpose)
        subject = f"{{kind: ServiceAccount, name: {purpose}, namespace: {namespace}}}"
        file = folder / f"{purpose}.yaml"
        file.write_text(self.text.replace(SUBJECT, subject))
        self.kubectl("apply", "-f", str(file), "-l", f"zkrollback/purpose={purpose}")
        who = f"system:serviceaccount:{namespace}:{purpose}"
        until(lambda: self._may_read(who, namespace))
        config = yaml.safe_load(self.admin.read_text())
        token = self.release.kubectl("create", "token", purpose).strip()
        config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
        path = folder / f"{purpose}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def _may_read(self, who, namespace):
        argv = [
            str(self.release.cluster.binaries["kubectl"]),
            "auth",
            "can-i",
            "list",
            "secrets",
            "-n",
            namespace,
        ]
        argv += ["--as", who, "--context", self.release.cluster.context, "--kubeconfig", str(self.admin)]
        return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0

    def become(self, purpose):
        """From now on the operator is this account."""
        toml = self.release.folder / "zkrollback.toml"
        text = toml.read_text()
        for path in (self.admin, *self.kubeconfigs.values()):
            text = text.replace(json.dumps(str(path)), json.dumps(str(self.kubeconfigs[purpose])))
        toml.write_text(text)

    def roles(self, purpose):
        """(kind, namespace, name, rules) of each."""
        return [
            (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"], item["rules"])
            for item in yaml.safe_load_all(self.text)
            if item["metadata"]["labels"]["zkrollback/purpose"] == purpose and "rules" in item
        ]


def pin(release):
    kube_system = release.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    return f'[environments.test.identity]\nkube_system_uid = "{kube_system}"\n'


def line(output, what):
    return next(each for each in output.splitlines() if each[11:].startswith(f"{what} "))


def forbidden(release, account):
    """(verb, resource) of what the API server refused to the account."""
    mark = f"mark-{uuid.uuid4().hex}"
    release.running.api.get(f"/api/v1/namespaces/{mark}")
    until(lambda: mark in release.cluster.audit_log.read_text())
    events = map(json.loads, release.cluster.audit_log.read_text().splitlines())
    who = f"system:serviceaccount:{release.namespace}:{account}"
    return {
        (event["verb"], event["objectRef"]["resource"])
        for event in events
        if event["user"]["username"] == who and (event.get("responseStatus") or {}).get("code") == 403
    }


def test_from_an_empty_folder_to_a_verified_release(incident):
    incident.helm("rollback", "zkprova", "5")
    for name in ("zkrollback.toml", "checks/test_runbook.py", "pytest.ini"):
        (incident.folder / name).unlink()
    programs = os.pathsep.join([str(incident.helm_path.parent), os.environ["PATH"]])

    def operator(*args):
        kubeconfig = str(incident.cluster.kubeconfig)
        code, said, problem = incident.typed(*args, KUBECONFIG=kubeconfig, PATH=programs)
        return code, said + problem

    code, said = operator("--zkrollback-init", f"--zkrollback-namespace={incident.namespace}")
    assert code == 0, said
    assert said.splitlines()[-3:] == [
        "Next:",
        "  pytest --zkrollback-env=test --zkrollback-check",
        "  pytest --zkrollback-env=test checks",
    ]
    code, said = operator("--zkrollback-check")
    assert code == 0, said
    code, said = operator("--rollback-migration-assessed=none", "checks")
    verdicts = {item["id"]: item["verdict"] for item in incident.latest()["items"]}
    assert code == 0, said
    assert {item for item, verdict in verdicts.items() if verdict != "PASS"} == {"smoke", "health-database"}
    assert incident.latest()["outcome"] == "verified-with-waivers"
    code, said = operator("--zkrollback-init")
    assert code == 4
    assert "zkrollback.toml and checks/test_runbook.py are there already" in said


@BOTH
def test_the_printed_roles_suffice_for_zkprova(incident):
    incident.configure(pin(incident))
    accounts = Accounts(incident)

    accounts.become("verify")
    refused = incident.run("--rollback-to=5")
    assert (refused.code, refused.guard("permissions")["state"]) == (1, "refused"), refused.output
    assert incident.head() == 6

    accounts.become("roll-back")
    result = incident.run("--rollback-to=5")
    assert set(result.verdicts().values()) == {"PASS"}, result.output
    assert result.code == 0
    code, said, _ = incident.typed("--zkrollback-check")
    assert code == 0, said
    assert forbidden(incident, "roll-back") <= {("list", "nodes")}

    accounts.become("verify")
    result = incident.run()
    assert set(result.verdicts().values()) == {"PASS"}, result.output
    code, said, _ = incident.typed("--zkrollback-check")
    assert code == 1
    assert line(said, "rights to verify").startswith("ok "), said
    assert said.splitlines()[-1].startswith("1 of "), said
    assert line(said, "rights to roll back").startswith("missing "), said


def test_one_right_less_is_reported_whichever_it_is(incident):
    """Some of the rights here; each of them in `make campaign`."""
    incident.configure(pin(incident))
    accounts = Accounts(incident)
    accounts.become("roll-back")
    for kind, namespace, name, rules in accounts.roles("roll-back"):
        place = ["-n", namespace] if namespace else []
        for number, rule in list(enumerate(rules))[:: 1 if os.environ.get("ZKROLLBACK_EACH_RIGHT") else 5]:
            less = [each for index, each in enumerate(rules) if index != number]
            accounts.kubectl(
                "patch", kind, name, *place, "--type=merge", "-p", json.dumps({"rules": less or None})
            )
            resource = rule["resources"][0]
            deadline = time.monotonic() + 20
            while True:
                _, said, _ = incident.typed("--zkrollback-check")
                found = [text for text in said.splitlines() if text[11:].startswith("rights to")]
                if any(f"{verb} {resource}" in text for text in found for verb in rule["verbs"]):
                    break
                assert time.monotonic() < deadline, (rule, said)
            accounts.kubectl("patch", kind, name, *place, "--type=merge", "-p", json.dumps({"rules": rules}))


@pytest.mark.parametrize("program", ["helm", "helm3"], ids=["helm 4", "helm 3"])
def test_the_printed_roles_suffice_where_the_chart_holds_roles_and_a_second_namespace(
    running_cluster, cluster, namespace, binaries, helm3, tmp_path, program
):
    api = running_cluster.api
    other = f"{namespace}-b"
    status, body = api.send("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    assert status == 201, body
    until(lambda: api.get(f"/api/v1/namespaces/{other}/serviceaccounts/default")[0] == 200)
    own = ChartRelease(cluster, namespace, tmp_path, binaries["helm"] if program == "helm" else helm3, CHART)
    toml = own.folder / "zkrollback.toml"
    toml.write_text(toml.read_text() + SILENT + pin(own))
    own.deploy(image="zkprova/worker:1.0.0-1234567", verb="list")
    own.deploy(image="zkprova/worker:1.0.1-1234567", verb="watch")
    accounts = Accounts(own)

    accounts.become("verify")
    assert own.run("--rollback-to=1").guard("permissions")["state"] == "refused"
    accounts.become("roll-back")
    code, said, _ = own.typed("--zkrollback-check")
    assert code == 0, said
    result = own.run("--rollback-to=1", "--rollback-migration-assessed=none")
    left_out = {"smoke", "health-database", "notify"}
    for purpose in ("roll-back", "verify"):
        assert result.code == 0, result.output
        verdicts = result.verdicts()
        assert {item for item, verdict in verdicts.items() if verdict == "WAIVED"} == left_out
        assert {verdict for item, verdict in verdicts.items() if item not in left_out} == {"PASS"}
        if purpose == "roll-back":
            accounts.become("verify")
            result = own.run("--rollback-migration-assessed=none")
