"""Which rights helm needs are asked for, where, and what counts as missing: against a store of rules as RBAC has them."""

import pytest

from pytest_zkrollback.domain.errors import NotFound, Unreachable
from pytest_zkrollback.preflight.guards.cluster import judge_permissions
from pytest_zkrollback.preflight.permissions import (
    Granted,
    fetch_denied,
    fetch_missing_of_records,
    fetch_unreadable,
)
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.release.manifest import identity
from support.manifests import parse_manifest

KINDS = {"Deployment": ("apps", "deployments"), "ConfigMap": ("", "configmaps"), "Secret": ("", "secrets")}
STORE = {("list", "secrets"), ("get", "secrets"), ("create", "secrets"), ("update", "secrets")}


class Rules:
    """Allows what its rules say: (verb, resource, namespace, name); a name of "" is every name."""

    def __init__(self, *allowed, namespace="shop"):
        self.allowed = {*allowed, *((verb, resource, namespace, "") for verb, resource in STORE)}
        self.asked = []

    def resource_path(self, api_version, kind, namespace, name=""):
        if kind == "ClusterRole":
            return f"/apis/{api_version}/clusterroles"
        if kind not in KINDS:
            raise NotFound(f"no {kind}")
        return f"/x/namespaces/{namespace}/{KINDS[kind][1]}"

    def send(self, method, path, body, **_):
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        asked = body["spec"]["resourceAttributes"]
        right = (asked["verb"], asked["resource"], asked["namespace"])
        self.asked.append((*right, asked.get("name", "")))
        allowed = {(*right, ""), (*right, asked.get("name", ""))} & self.allowed
        return {"status": {"allowed": bool(allowed)}}


def item(kind, name, namespace=None, api_version="apps/v1"):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


WEB = item("Deployment", "web")


@pytest.mark.parametrize(
    ("rules", "writes", "missing"),
    [
        pytest.param([("patch", "deployments", "shop", "")], [WEB], (), id="allowed"),
        pytest.param([], [WEB], ("patch deployments.apps",), id="fault_8_missing"),
        pytest.param([("patch", "deployments", "shop", "web")], [WEB], (), id="allowed-by-name"),
        pytest.param(
            [("patch", "deployments", "shop", "web")],
            [WEB, item("Deployment", "api")],
            ("patch deployments.apps",),
            id="one-of-two-by-name",
        ),
        pytest.param(
            [("patch", "deployments", "shop", "")],
            [item("Deployment", "agent", "monitoring")],
            ("patch deployments.apps in namespace monitoring",),
            id="an-object-in-another-namespace",
        ),
        pytest.param(
            [("patch", "deployments", "monitoring", "")],
            [item("Deployment", "agent", "monitoring")],
            (),
            id="allowed-in-another-namespace",
        ),
        pytest.param(
            [("patch", "clusterroles", "shop", "")],
            [item("ClusterRole", "reader", api_version="rbac.authorization.k8s.io/v1")],
            ("patch clusterroles.rbac.authorization.k8s.io",),
            id="a-role-in-the-namespace-is-no-right-on-the-cluster",
        ),
        pytest.param(
            [], [item("Widget", "w", api_version="none/v1")], (), id="not-served-is-the-forecasts-to-say"
        ),
    ],
)
def test_what_is_missing(rules, writes, missing):
    assert fetch_denied(Rules(*rules), "shop", {("patch",): writes}) == missing


def test_a_secret_that_may_be_read_by_name_is_not_helms_own_store_and_may_be_patched_by_name():
    rules = Rules(("patch", "secrets", "shop", "web"), ("get", "secrets", "shop", "web"))
    rules.allowed.discard(("get", "secrets", "shop", ""))
    writes = {("get", "patch"): [item("Secret", "web", api_version="v1")]}
    assert fetch_denied(rules, "shop", writes) == ("get secrets",)


def test_without_objects_helms_own_records_are_asked_for():
    rules = Rules()
    assert fetch_denied(rules, "shop", {}) == ()
    assert {(verb, resource) for verb, resource, _, _ in rules.asked} == STORE


def test_a_review_without_an_answer_is_no_permission():
    rules = Rules()

    def silent(*_, **__):
        raise Unreachable("no answer")

    rules.send = silent
    with pytest.raises(Unreachable):
        fetch_denied(rules, "shop", {})


def test_case_c5_the_rights_to_look_are_asked_for_where_the_target_stands_elsewhere():
    target = parse_manifest(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, namespace: monitoring}\n"
        "spec: {template: {}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: dns, namespace: kube-system}\n"
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {}}\n",
        "shop",
    )
    rules = Rules(("list", "pods", "monitoring", ""), ("list", "events", "monitoring", ""))
    assert fetch_unreadable(rules, "shop", target) == (
        "get pods/log in namespace monitoring",
        "list daemonsets.apps in namespace monitoring",
        "list events in namespace kube-system",
        "list replicasets.apps in namespace monitoring",
        "watch daemonsets.apps in namespace monitoring",
        "watch pods in namespace monitoring",
        "watch replicasets.apps in namespace monitoring",
    )
    assert ("get", "pods", "monitoring", "") in rules.asked  # pods/log: the subresource is asked apart


def test_case_c5_nothing_more_is_asked_of_a_release_in_one_namespace():
    rules = Rules()
    assert (
        fetch_unreadable(
            rules, "shop", parse_manifest("apiVersion: v1\nkind: Service\nmetadata: {name: w}", "shop")
        )
        == ()
    )
    assert rules.asked == []


def test_case_c5_a_right_to_look_that_is_missing_warns_and_refuses_nothing():
    fine, blind = ProbeResult(value=()), ProbeResult(value=("list pods in namespace monitoring",))
    guard = judge_permissions(fine, blind)
    assert (guard.state, guard.evidence, guard.consequence, guard.override) == (
        "warned",
        "helm has every right that it needs; you may not: list pods in namespace monitoring",
        "What is there will not be verified.",
        "",
    )
    assert judge_permissions(fine, fine).state == "ok"
    assert judge_permissions(ProbeResult(value=("delete services",)), blind).state == "refused"


def test_what_the_dry_run_did_is_not_asked_for_again():
    rules, granted = Rules(("get", "deployments", "shop", "")), Granted()
    granted.add(identity(WEB), "get", "patch")
    granted.add_records("list")
    granted.add_records("create")
    assert fetch_denied(rules, "shop", {("get", "patch"): [WEB]}, granted) == ()
    assert rules.asked == [("get", "secrets", "shop", ""), ("update", "secrets", "shop", "")]


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        pytest.param([("web", "patch")], ("patch deployments.apps",), id="of one of two objects"),
        pytest.param(
            [("web", "get"), ("api", "get")], ("patch deployments.apps",), id="read and not written"
        ),
        pytest.param([("web", "patch"), ("api", "patch")], (), id="both"),
    ],
)
def test_what_it_did_not_do_is_asked_for(done, missing):
    rules, granted, api = Rules(("get", "deployments", "shop", "")), Granted(), item("Deployment", "api")
    for name, verb in done:
        granted.add(identity(item("Deployment", name)), verb)
    assert fetch_denied(rules, "shop", {("get", "patch"): [WEB, api]}, granted) == missing


@pytest.mark.parametrize(
    ("removed", "missing"),
    [((), ()), (("get",), ("get secrets",)), (("get", "update"), ("get secrets", "update secrets"))],
    ids=["all are there", "get", "both"],
)
def test_what_was_asked_meanwhile_is_not_asked_for_again(removed, missing):
    rules, granted = Rules(("get", "secrets", "shop", "web"), ("patch", "secrets", "shop", "")), Granted()
    rules.allowed -= {(verb, "secrets", "shop", "") for verb in removed}
    of_records = fetch_missing_of_records(rules, "shop")
    assert [each[:2] for each in rules.asked] == [("get", "secrets"), ("update", "secrets")]
    rules.asked.clear()
    writes = {("get", "patch"): [item("Secret", "web", api_version="v1")]}
    assert fetch_denied(rules, "shop", writes, granted, lambda: of_records) == missing
    assert {each[:2] for each in rules.asked} == {
        ("create", "secrets"),
        ("list", "secrets"),
        ("patch", "secrets"),
    }


def test_a_record_that_may_be_made_is_no_right_to_read_others():
    rules, granted = Rules(), Granted()
    rules.allowed.clear()
    granted.add_records("create")
    assert fetch_denied(rules, "shop", {}, granted) == ("get secrets", "list secrets", "update secrets")
