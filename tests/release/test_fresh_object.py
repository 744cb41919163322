"""What is sent to the server to learn what it would make of an object today."""

import pytest

from pytest_zkrollback.release.fresh_object import fetch_made
from pytest_zkrollback.release.manifest import parse_manifest


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
