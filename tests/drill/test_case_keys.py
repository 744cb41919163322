"""Keys of the configuration that settle a difference, on the real API server, and what they never settle."""

import json

import pytest
import yaml

from support.chart_release import ChartRelease

IGNORED = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: PLACE}
webhooks:
- name: a.example.org
  clientConfig: {url: "https://127.0.0.1:9/"}
  failurePolicy: Ignore
  sideEffects: None
  timeoutSeconds: 5
  admissionReviewVersions: [v1]
  rules: [{apiGroups: [none.example.org], apiVersions: [v1], operations: [CREATE], resources: [nones]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: read}
data: {LEVEL: {{ .Values.level | quote }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: free}
data: {LEVEL: "one"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {level: {{ .Values.level | quote }}}}
    spec: {containers: [{name: web, image: "example.org/web:1", envFrom: [{configMapRef: {name: read}}]}]}
"""
HOOKS = '{ kind = "ValidatingWebhookConfiguration", name = "*", path = "webhooks[*].timeoutSeconds" }'
FREE = '{ kind = "ConfigMap", name = "free", path = "data.LEVEL" }'
READ = '{ kind = "ConfigMap", name = "*", path = "data" }'
SLOWER = '[{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 7}]'


@pytest.fixture
def release(cluster, namespace, binaries, tmp_path):
    def make(template, helm=None):
        return ChartRelease(cluster, namespace, tmp_path, helm or binaries["helm"], template)

    return make


def say(own, *entries):
    """Write these entries of ``ignore`` into the environment."""
    path = own.folder / "zkrollback.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("ignore")]
    path.write_text("\n".join([*lines, f"ignore = [{', '.join(entries)}]", ""]))


def test_ignore_settles_what_is_named_and_refuses_what_a_pod_reads(release, namespace):
    own = release(IGNORED.replace("PLACE", namespace))
    own.deploy(level="good")
    own.deploy(level="good")
    own.kubectl("patch", "validatingwebhookconfiguration", namespace, "--type=json", "-p", SLOWER)
    own.kubectl("patch", "configmap", "free", "-p", '{"data": {"LEVEL": "two"}}')
    say(own, HOOKS, READ)
    refused = own.run("--rollback-to=1")
    assert refused.code == 4, refused.output
    assert (refused.record["helm"]["ran"], refused.record["outcome"], own.head()) == (False, "refused", 2)
    why = f"ignore = [{READ}] covers ConfigMap/read, which Deployment/web reads: what runs is never ignored; "
    assert refused.item("preflight")["observed"] == f"{why}helm did not run."
    assert why in refused.output
    assert refused.record["next_commands"] == [
        "# with that mended in the configuration or the command:",
        "pytest --env=test --rollback-to=1",
    ]
    say(own, HOOKS)
    red = own.run()
    assert red.verdicts()["release-equivalence"] == "FAIL", red.output
    assert red.item("release-equivalence")["observed"].startswith(
        f'ConfigMap/free data.LEVEL: expected "one", live "two" (set by kubectl-patch); if that is meant: ignore = [{FREE}]'
    )
    say(own, HOOKS, FREE)
    green = own.run()
    item = green.item("release-equivalence")
    assert item["verdict"] == "PASS", green.output
    assert item["observed"].startswith("No other difference; ")
    assert item["observed"].endswith("; 2 differences ignored by configuration")
    assert [(each["what"], each["live"], each["by"]) for each in item["ignored"]] == [
        ("ConfigMap/free", '"two"', "kubectl-patch"),
        (f"ValidatingWebhookConfiguration/{namespace}", "7", "kubectl-patch"),
    ]


INJECTED = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: PLACE, labels: {level: {{ .Values.level | quote }}}}
webhooks:
- name: a.example.org
  clientConfig: {url: "https://127.0.0.1:9/", caBundle: Cg==}
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
  rules: [{apiGroups: [none.example.org], apiVersions: [v1], operations: [CREATE], resources: [nones]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {level: {{ .Values.level | quote }}}}
    spec: {containers: [{name: web, image: "example.org/web:1"}]}
"""


@pytest.mark.parametrize("major", [3, 4])
def test_case_p7_a_bundle_that_an_injector_filled_in_is_no_drift_and_what_helm_will_do_is_said(
    release, namespace, binaries, helm3, major
):
    own = release(INJECTED.replace("PLACE", namespace), helm3 if major == 3 else binaries["helm"])
    own.deploy(level="good")
    own.deploy(level="bad")
    kubeconfig = yaml.safe_load(own.cluster.kubeconfig.read_text())
    bundle = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    filled = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
    how = ("--type=json", "--field-manager=cainjector", "-p", json.dumps(filled))
    own.kubectl("patch", "validatingwebhookconfiguration", namespace, *how)
    plan = own.run("--rollback-to=1", "--rollback-plan")
    where = f"ValidatingWebhookConfiguration/{namespace}"
    said = plan.guard("forecast")
    if major == 3:
        assert (said["state"], said["reason"]) == ("warned", "not-as-target")
        path = "webhooks[a.example.org].clientConfig.caBundle"
        assert (
            f"helm will put the placeholder back into {where} {path}, which cainjector filled in"
            in said["evidence"]
        )
    else:
        assert said["state"] == "refused"
        hidden = "(of cainjector, values not shown), which puts the placeholder back"
        assert said["evidence"].endswith(
            f'{where} .webhooks[name="a.example.org"].clientConfig.caBundle {hidden}'
        )
    verify = own.run().item("release-equivalence")
    assert verify["verdict"] == "PASS", verify["observed"]
    assert verify["observed"].endswith(f"; the CA bundle of {where} is cainjector's")
