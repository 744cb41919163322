"""One small chart of our own for each kind of thing that a public chart brought; see tests/charts."""

import json

import pytest

from support.chart_release import ChartRelease

# Nothing changes in it between the revisions; the server leaves out what is empty in a schema.
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.PLACE.example.org}
spec:
  group: PLACE.example.org
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList, shortNames: []}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {LEVEL: {{ .Values.level | quote }}}
"""

# Charts make their policies by a hook, the same in every revision.
GUARDED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: guard
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: PORT}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.org/web:1", env: [{name: LEVEL, value: {{ .Values.level | quote }}}]}]}
"""


@pytest.fixture
def release(cluster, namespace, binaries, tmp_path):
    def make(template):
        return ChartRelease(cluster, namespace, tmp_path, binaries["helm"], template)

    return make


def test_a_definition_that_the_server_writes_otherwise_is_no_drift_and_a_changed_one_is(release, namespace):
    """It can be made under no other name: what the server makes of it is tried in its place."""
    own = release(DEFINITION.replace("PLACE", namespace))
    own.deploy(level="good")
    own.deploy(level="bad")
    done = own.run("--rollback-to=1")
    assert done.verdicts()["release-equivalence"] == "PASS", done.item("release-equivalence")["observed"]
    change = '[{"op": "add", "path": "/spec/names/shortNames", "value": ["th"]}]'
    own.kubectl("patch", "crd", f"things.{namespace}.example.org", "--type=json", "-p", change)
    change = '[{"op": "replace", "path": "/spec/names/singular", "value": "thingy"}]'
    own.kubectl("patch", "crd", f"things.{namespace}.example.org", "--type=json", "-p", change)
    red = own.run()
    assert red.verdicts()["release-equivalence"] == "FAIL"
    observed = red.item("release-equivalence")["observed"]
    name = f"CustomResourceDefinition/things.{namespace}.example.org"
    assert observed.startswith(f'{name} spec.names.singular: expected "thing", live "thingy"')
    assert "could not be tried" not in observed


def test_what_the_hooks_of_all_revisions_make_alike_was_left_by_none(release):
    own = release(GUARDED.replace("PORT", "80"))
    own.deploy(level="good")
    own.deploy(level="bad")
    done = own.run("--rollback-to=1")
    assert done.verdicts()["release-equivalence"] == "PASS", done.item("release-equivalence")["observed"]


def test_what_a_hook_of_the_bad_revision_changed_is_red_in_a_later_run_too(release):
    own = release(GUARDED.replace("PORT", "{{ .Values.port }}"))
    own.deploy(level="good", port=80)
    own.deploy(level="bad", port=81)
    for red in (own.run("--rollback-to=1"), own.run()):
        assert red.verdicts()["release-equivalence"] == "FAIL", red.output
        observed = red.item("release-equivalence")["observed"]
        assert observed.startswith(
            "NetworkPolicy/guard, left by a hook of revision 2, selects the pods of Deployment/web"
        )


# A false that the server leaves out of what is live.
STATED_FALSE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}], publishNotReadyAddresses: false}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {LEVEL: {{ .Values.level | quote }}}
"""


def test_a_stated_false_that_somebody_set_to_true_is_drift(release):
    own = release(STATED_FALSE)
    own.deploy(level="good")
    own.deploy(level="bad")
    done = own.run("--rollback-to=1")
    assert done.verdicts()["release-equivalence"] == "PASS", done.item("release-equivalence")["observed"]
    own.kubectl("patch", "service", "web", "-p", '{"spec": {"publishNotReadyAddresses": true}}')
    red = own.run()
    assert red.verdicts()["release-equivalence"] == "FAIL"
    assert red.item("release-equivalence")["observed"].startswith(
        "Service/web spec.publishNotReadyAddresses: expected false, live true"
    )


WEB = GUARDED.partition("---\n")[2]


def test_a_variable_that_a_named_manager_adds_is_no_drift(release):
    """As a reloader or an injector that works on the templates; the same by another hand is drift."""
    own = release(WEB)
    own.deploy(level="good")
    own.deploy(level="bad")
    own.run("--rollback-to=1")
    container = {"name": "web", "env": [{"name": "STAKATER", "value": "1"}]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    own.kubectl("patch", "deployment", "web", "--field-manager=Reloader", "-p", patch)
    red = own.run()
    assert red.verdicts()["release-equivalence"] == "FAIL"
    assert "live {" in red.item("release-equivalence")["observed"], red.output
    with (own.folder / "zkrollback.toml").open("a") as configuration:
        configuration.write('field_managers = ["Reloader"]\n')
    done = own.run()
    assert done.verdicts()["release-equivalence"] == "PASS", done.item("release-equivalence")["observed"]
