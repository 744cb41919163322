"""One small chart of our own for each kind of thing that a public chart brought; see tests/charts."""

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
