"""CA bundles that an injector fills in: in which fields, and by whom (P7)."""

import base64
import copy

import pytest

from pytest_zkrollback.release.ca_bundles import CaBundle, ca_bundles, is_certificate
from support.manifests import parse_manifest

BUNDLE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n").decode()
WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: hook, annotations: {cert-manager.io/inject-ca-from: n/c}}
webhooks: [{name: a.example.org, clientConfig: {caBundle: Cg==}}]
"""
SERVICE = """
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.example.org}
spec: {caBundle: "", service: {name: s}}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.org}
spec: {conversion: {webhook: {clientConfig: {caBundle: Cg==}}}}
"""
PLACES = [
    (WEBHOOK, ("webhooks", "[a.example.org]", "clientConfig", "caBundle")),
    (SERVICE, ("spec", "caBundle")),
    (DEFINITION, ("spec", "conversion", "webhook", "clientConfig", "caBundle")),
]


def filled(manifest, manager="cainjector"):
    """The object with a bundle in it that this manager set."""
    [item] = parse_manifest(manifest, "n")
    live = copy.deepcopy(item)
    spec = live.get("spec") or {}
    fields = {"f:caBundle": {}}
    if "webhooks" in live:
        live["webhooks"][0]["clientConfig"]["caBundle"] = BUNDLE
        owned = {"f:webhooks": {'k:{"name":"a.example.org"}': {"f:clientConfig": fields}}}
    elif "conversion" in spec:
        spec["conversion"]["webhook"]["clientConfig"]["caBundle"] = BUNDLE
        owned = {"f:spec": {"f:conversion": {"f:webhook": {"f:clientConfig": fields}}}}
    else:
        spec["caBundle"] = BUNDLE
        owned = {"f:spec": fields}
    live["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": owned}]
    return item, live


@pytest.mark.parametrize(("manifest", "path"), PLACES)
def test_case_p7_who_filled_in_a_bundle_is_known(manifest, path):
    item, live = filled(manifest)
    annotation = "cert-manager.io/inject-ca-from" if manifest is WEBHOOK else ""
    assert ca_bundles(item, live, ("helm",)) == (CaBundle(path, True, True, "cainjector", annotation),)
    assert ca_bundles(item, item, ("helm",)) == (CaBundle(path, True, False, "", annotation),)
    item, live = filled(manifest, "helm")
    assert ca_bundles(item, live, ("helm",))[0].by == ""


def test_case_p7_a_bundle_that_the_manifest_states_is_no_placeholder():
    _, live = filled(WEBHOOK)
    assert ca_bundles(live, live, ("helm",)) == ()


@pytest.mark.parametrize(
    ("value", "found"), [(BUNDLE, True), ("Cg==", False), ("", False), (None, False), (3, False)]
)
def test_what_a_bundle_is(value, found):
    assert is_certificate(value) is found
