"""The printed Roles: whole, for a small release; and what decides about names, escalate and bind."""

import json
import math

import pytest
import yaml

from pytest_zkrollback.clients.kube.client import connect
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.release.history import fetch_history
from pytest_zkrollback.setup.rbac import render_rbac
from pytest_zkrollback.setup.release_rights import fetch_release_rights

APP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template: {spec: {containers: [{name: web, image: "web:1", envFrom: [{secretRef: {name: outer}}]}]}}
"""
ROLE = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: []
"""
CLUSTER_ROLE = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: viewer}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
"""
ELSEWHERE = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: monitoring}
spec: {template: {spec: {containers: [{name: agent, image: "agent:1"}]}}}
"""
WHOLE = """\
# Rights for release app in namespace shop (environment staging), made from its revisions 1. When a
# later revision brings objects of other names or kinds, print this again.
# It has two parts. Choose one for each account, put the account in the place of every REPLACE-ME, and
# apply that part:
#   kubectl apply -f FILE -l zkrollback/purpose=verify       # verifies, and changes nothing
#   kubectl apply -f FILE -l zkrollback/purpose=roll-back    # rolls back, and verifies
# A subject can also be a ServiceAccount (with its namespace, and without apiGroup) or a Group.
# Not in it: what your own checklist items ask, and reading what controllers outside of the chart
# made. Helm's records are Secrets, and their names go on: so all Secrets of that namespace are
# readable.
# Left out, because it is for the whole cluster and only helpful: list nodes (the guard images looks
# there).
"""


GRANTS = """\
  # the chart holds Role/reader
  # ESCALATE: whoever has this may write any right into these roles, also rights that they do not have.
  # Instead of it you can grant every right that the roles hold.
  - apiGroups: ["rbac.authorization.k8s.io"]
    resources: ["roles"]
    resourceNames: ["reader"]
    verbs: ["escalate"]
  # the chart's RoleBinding/reads binds Role/reader
  # BIND: whoever has this may give these roles to anybody, also to themselves. Instead of it you can
  # grant every right that the roles hold.
  - apiGroups: ["rbac.authorization.k8s.io"]
    resources: ["roles"]
    resourceNames: ["reader"]
    verbs: ["bind"]
"""


def environment(**keys):
    return Environment(
        name="staging", context="staging", namespace="shop", release="app", workloads="auto", **keys
    )


def rights_of(api, env=None):
    env = env or environment()
    kube = connect("staging", str(api.kubeconfig()))
    return fetch_release_rights(kube, env, fetch_history(kube, env.namespace, env.release))


def printed(api, **keys):
    env = environment(**keys)
    return render_rbac(rights_of(api, env), env)


def roles(text, purpose):
    """{(kind, namespace): [rules]} of the part for this purpose."""
    found = {}
    for item in yaml.safe_load_all(text):
        if item["metadata"]["labels"]["zkrollback/purpose"] == purpose and not item["kind"].endswith(
            "Binding"
        ):
            found[item["kind"], item["metadata"].get("namespace", "")] = item["rules"]
    return found


def allows(rules, verb, resource, name="", group=""):
    return any(
        verb in rule["verbs"]
        and resource in rule["resources"]
        and group in rule["apiGroups"]
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
        for rule in rules
    )


def test_the_roles_of_a_small_release_as_they_are_printed(api):
    api.add_release(1, APP)
    text = printed(api)
    head, _, body = text.partition("---\n")
    assert head == WHOLE
    assert body.split("\n---\n")[0] == EXPECTED_VERIFY
    found = roles(text, "verify")
    assert list(found) == [("Role", "shop"), ("Role", "kube-system")]
    assert {verb for rules in found.values() for rule in rules for verb in rule["verbs"]} == {
        "get",
        "list",
        "watch",
    }


EXPECTED_VERIFY = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "zkrollback:shop:app:verify", namespace: "shop", labels: {zkrollback/purpose: verify}}
rules:
  # helm keeps its records in Secrets, whose numbers go on
  - apiGroups: [""]
    resources: ["secrets"]
    verbs: ["get", "list"]
  # what is live is compared with what helm applied
  - apiGroups: [""]
    resources: ["configmaps"]
    resourceNames: ["settings"]
    verbs: ["get"]
  # what is live is compared with what helm applied
  - apiGroups: ["apps"]
    resources: ["deployments"]
    resourceNames: ["web"]
    verbs: ["get"]
  # rollouts are judged by workloads and pods
  - apiGroups: ["apps"]
    resources: ["deployments", "replicasets"]
    verbs: ["list", "watch"]
  # rollouts are judged by workloads and pods
  - apiGroups: [""]
    resources: ["pods"]
    verbs: ["list", "watch"]
  # the logs are read
  - apiGroups: [""]
    resources: ["pods/log"]
    verbs: ["get"]
  # the events are read
  # events are followed instead of listed
  - apiGroups: [""]
    resources: ["events"]
    verbs: ["list", "watch"]
  # they show which pods serve
  - apiGroups: ["discovery.k8s.io"]
    resources: ["endpointslices"]
    verbs: ["list"]"""


@pytest.mark.parametrize("purpose", ["verify", "roll-back"])
def test_every_role_has_a_binding_to_a_subject_that_exists_nowhere(api, purpose):
    api.add_release(1, APP + ROLE + CLUSTER_ROLE + ELSEWHERE)
    items = [
        item
        for item in yaml.safe_load_all(printed(api))
        if item["metadata"]["labels"]["zkrollback/purpose"] == purpose
    ]
    of_kind = {
        kind: [
            (each["metadata"].get("namespace", ""), each["metadata"]["name"])
            for each in items
            if each["kind"] in kind
        ]
        for kind in (("Role", "ClusterRole"), ("RoleBinding", "ClusterRoleBinding"))
    }
    first, second = of_kind.values()
    assert (
        first
        == second
        == [
            ("shop", f"zkrollback:shop:app:{purpose}"),
            ("", f"zkrollback:shop:app:{purpose}"),
            ("kube-system", f"zkrollback:shop:app:{purpose}"),
            ("monitoring", f"zkrollback:shop:app:{purpose}"),
        ]
    )
    for item in items:
        if item["kind"].endswith("Binding"):
            assert item["roleRef"]["kind"] == item["kind"].removesuffix("Binding")
            assert [subject["name"] for subject in item["subjects"]] == ["REPLACE-ME"]


def test_of_two_releases_no_role_takes_the_other_one_s_place(api):
    """A ClusterRole has no namespace that keeps them apart."""
    api.add_release(1, APP + CLUSTER_ROLE)
    rights = rights_of(api)
    names = {
        yaml.safe_load(line)["metadata"]["name"]
        for namespace, release in (("a", "b-c"), ("a-b", "c"), ("a-b-c", "d"), ("a", "b.c"))
        for line in render_rbac(
            rights, environment().model_copy(update={"namespace": namespace, "release": release})
        ).splitlines()
        if line.startswith("metadata: ")
    }
    assert len(names) == 8


@pytest.mark.parametrize(
    "name", ["\U0001f600", "caf\u00e9", "x\u2028y", 'a"b\\c', "\x7f", "\ufeff", "no", "1", "a" * 300]
)
def test_a_name_is_the_same_for_who_reads_the_file(api, name):
    quoted = yaml.safe_dump(name, default_style='"', width=math.inf)
    api.add_release(1, APP + ROLE.replace("name: reader", f"name: {quoted}"))
    own = roles(printed(api), "roll-back")["Role", "shop"]
    assert allows(own, "escalate", "roles", name, "rbac.authorization.k8s.io")


def test_a_live_role_with_a_hole_in_it_is_read(api):
    """The chart binds it and does not hold it."""
    binding = ROLE.partition("---")[2].partition("---")[2]
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/reader"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    api.items[path] = {"metadata": {"name": "reader", "namespace": "shop"}, "rules": [None, rule]}
    api.add_release(1, APP + "---" + binding)
    own = roles(printed(api), "roll-back")["Role", "shop"]
    assert allows(own, "bind", "roles", "reader", "rbac.authorization.k8s.io")


def test_without_objects_of_the_whole_cluster_there_is_no_cluster_role(api):
    api.add_release(1, APP + ROLE)
    assert "ClusterRole" not in printed(api)


def test_a_rollback_may_change_the_objects_of_every_kept_revision_by_name(api):
    api.add_release(1, APP, status="superseded")
    api.add_release(2, APP.replace("settings", "newer"))
    own = roles(printed(api), "roll-back")["Role", "shop"]
    for name in ("settings", "newer"):
        for verb in ("get", "patch", "delete"):
            assert allows(own, verb, "configmaps", name)
    assert allows(own, "create", "configmaps")
    assert not allows(own, "patch", "configmaps", "somebody-elses")
    assert not allows(own, "delete", "secrets", "sh.helm.release.v1.app.v1")
    assert allows(own, "update", "secrets")


def test_what_a_policy_keeps_may_not_be_deleted(api):
    kept = "metadata: {name: settings, annotations: {helm.sh/resource-policy: keep}}"
    api.add_release(1, APP.replace("metadata: {name: settings}", kept))
    own = roles(printed(api), "roll-back")["Role", "shop"]
    assert allows(own, "patch", "configmaps", "settings")
    assert not allows(own, "delete", "configmaps", "settings")


def test_verifying_alone_changes_nothing_and_a_pin_is_needed_in_one_namespace(api):
    api.add_release(1, APP + ROLE + CLUSTER_ROLE)
    found = roles(printed(api), "verify")
    assert allows(found["Role", "kube-system"], "get", "namespaces", "kube-system")
    assert allows(found["Role", "shop"], "get", "secrets", "outer")
    assert allows(found["ClusterRole", ""], "get", "clusterroles", "viewer", "rbac.authorization.k8s.io")
    every = [rule for rules in found.values() for rule in rules]
    assert {verb for rule in every for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_the_rights_to_look_stand_in_each_namespace_with_pods(api):
    api.add_release(1, APP + ELSEWHERE)
    for purpose in ("verify", "roll-back"):
        found = roles(printed(api), purpose)
        for place in ("shop", "monitoring"):
            assert allows(found["Role", place], "get", "pods/log")
            assert allows(found["Role", place], "watch", "deployments", group="apps")
            assert allows(found["Role", place], "list", "events")
    assert not allows(found["Role", "monitoring"], "get", "secrets")


def test_escalate_and_bind_are_named_where_the_chart_holds_roles_with_what_that_means(api):
    api.add_release(1, APP + ROLE)
    text, group = printed(api), "rbac.authorization.k8s.io"
    own = roles(text, "roll-back")["Role", "shop"]
    assert allows(own, "escalate", "roles", "reader", group)
    assert allows(own, "bind", "roles", "reader", group)
    assert not allows(own, "escalate", "roles", "another", group)
    assert GRANTS in text
    assert "ESCALATE" not in text[: text.index("purpose: roll-back")]


def test_a_role_that_a_kept_revision_lacks_has_to_be_made_anew_by_a_request_without_its_name(api):
    api.add_release(1, APP, status="superseded")
    api.add_release(2, APP + ROLE)
    own = roles(printed(api), "roll-back")["Role", "shop"]
    assert allows(own, "escalate", "roles", "", "rbac.authorization.k8s.io")


def test_what_cannot_be_read_is_said(api):
    api.add_release(1, APP + "---\nkind: [\n")
    hook = {"name": "check", "kind": "Job", "events": ["post-rollback"], "manifest": "kind: [\n"}
    api.add_release(2, APP, hooks=[hook])
    text = printed(api)
    assert "# NOT KNOWN: document 3 of revision 1 cannot be read, and may need more.\n" in text
    assert "# NOT KNOWN: hook Job/check of revision 2 cannot be read, and may need more.\n" in text


def test_hooks_of_a_rollback_are_made_anew_and_watched(api):
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: check}\nspec: {template: {spec: {containers: []}}}\n"
    api.add_release(
        1, APP, hooks=[{"name": "check", "kind": "Job", "events": ["post-rollback"], "manifest": job}]
    )
    own = roles(printed(api), "roll-back")["Role", "shop"]
    for verb in ("list", "watch", "create"):
        assert allows(own, verb, "jobs", group="batch")
    assert allows(own, "delete", "jobs", "check", "batch")
    assert not allows(own, "delete", "jobs", "another", "batch")


@pytest.mark.parametrize(
    ("events", "is_read"),
    [(["test"], False), (["test-success"], False), (["post-install", "test"], True), (["pre-upgrade"], True)],
)
def test_what_only_helm_test_makes_is_never_looked_at(api, events, is_read):
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: app-test-x1y2z}\nspec: {containers: []}\n"
    api.add_release(1, APP, hooks=[{"name": "t", "kind": "Pod", "events": events, "manifest": pod}])
    assert ("app-test-x1y2z" in printed(api)) is is_read


def test_a_name_in_a_comment_adds_no_rule(api):
    rule = '  - {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}'
    name = f"x\u2028{rule}\u2028#"
    api.add_release(1, APP + ROLE.replace("name: reader", f"name: {json.dumps(name)}"))
    own = roles(printed(api), "roll-back")["Role", "shop"]
    assert not allows(own, "delete", "pods", "any")
    assert not allows(own, "*", "*", "any", "*")
