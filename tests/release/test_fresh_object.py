"""What is sent to the server to learn what it would make of an object today."""

import pytest

from pytest_zkrollback.release.drift import LiveObject, compare
from pytest_zkrollback.release.fresh_object import drop_admission_changes, fetch_made
from support.manifests import parse_manifest


class Kube:
    """Keeps the last request, and answers with its body."""

    def resource_path(self, api_version, kind, namespace, name=""):
        place = f"/namespaces/{namespace}" if kind == "ConfigMap" else ""
        return f"{place}/{kind}" + (f"/{name}" if name else "")

    def send(self, method, path, body, content_type="application/json", query=None, timeout_s=5.0):
        self.sent = (method, path, body["metadata"], query["dryRun"])
        return body


def sent(kind: str, live: dict | None) -> tuple:
    kube = Kube()
    [item] = parse_manifest(f"{{apiVersion: v1, kind: {kind}, metadata: {{name: things.example.org}}}}", "n")
    fetch_made(kube, item, live)
    return kube.sent


LIVE = {"metadata": {"name": "things.example.org", "resourceVersion": "7", "uid": "u"}}


@pytest.mark.parametrize("kind", ["CustomResourceDefinition", "APIService"])
def test_what_can_have_no_other_name_is_replaced_as_a_dry_run(kind):
    metadata = {"name": "things.example.org", "resourceVersion": "7"}
    assert sent(kind, LIVE) == ("PUT", f"/{kind}/things.example.org", metadata, "All")


def test_everything_else_is_made_under_another_name():
    metadata = {"name": "things.example.org-zkrollback-dry-run", "namespace": "n"}
    assert sent("ConfigMap", LIVE) == ("POST", "/namespaces/n/ConfigMap", metadata, "All")


STATED = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {publishNotReadyAddresses: false}}"


@pytest.mark.parametrize(("fresh", "kept"), [({}, True), ({"publishNotReadyAddresses": True}, False)])
def test_a_false_that_the_server_leaves_out_and_somebody_set_to_true_is_drift(fresh, kept):
    """Only where a fresh object is true as well is it the work of an admission."""
    [expected] = parse_manifest(STATED, "n")
    live = LiveObject({**expected, "spec": {"publishNotReadyAddresses": True}})
    found = compare([expected], [live])
    left = drop_admission_changes(found, expected, {**expected, "spec": fresh}, live, ())
    assert bool(left) is kept
