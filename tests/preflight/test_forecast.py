"""What helm would meet, told by dry runs: nothing is claimed of what was not read."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import NotFound
from pytest_zkrollback.domain.forecast import ApplyOutcome, ForecastCause
from pytest_zkrollback.domain.record import GuardState
from pytest_zkrollback.preflight.compare_revisions import gather_change_summary
from pytest_zkrollback.preflight.forecast import make_forecast
from pytest_zkrollback.preflight.guards.forecast import judge_forecast
from pytest_zkrollback.preflight.guards.objects import judge_data_loss, judge_ownership
from pytest_zkrollback.preflight.permissions import Granted
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.release_view import ReleaseView
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.release.manifest import identity
from pytest_zkrollback.release.shared_reads import SharedReads
from support.preflight_facts import environment, facts, revision

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n"
EMPTY_LIST = "apiVersion: v1\nkind: List\nitems:\n"
TWICE = (
    "# Source: web/templates/x.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\na: &x 1\nb: &x 2\n"
)
BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\na: b: c\n"
ROUTE = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec: {port: %s}\n"
SCALER = (
    "apiVersion: autoscaling.k8s.io/v1\nkind: VerticalPodAutoscaler\nmetadata: {name: web}\nspec: {a: %s}\n"
)
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: %s}\n"
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {a: %s}\n"
DEFINITION = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: w}\nspec: {a: %s}\n"
SERVED_BY_ANOTHER = (
    "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: w}\nspec: {a: %s}\n"
)


class Server:
    """Has every object of the head, and takes every dry run."""

    def __init__(self, head):
        self.sent = []
        self._head = head

    def get(self, path, query=None, timeout_s=5.0):
        if path.startswith("/api/v1/persistentvolumes"):
            raise NotFound(path)
        item = next((each for each in self._head if path.endswith(f"/{each['metadata']['name']}")), None)
        if item is None:
            raise NotFound(path)
        return item

    def send(self, method, path, body, content_type="application/json", query=None, timeout_s=5.0):
        self.sent.append((method, path, content_type))
        return body

    def list(self, path, query=None, timeout_s=5.0):
        return ()

    def list_metadata(self, path, query=None, timeout_s=5.0):
        return ()

    def resource_path(self, api_version, kind, namespace, name=""):
        return f"/{api_version}/{kind}{f'/{name}' if name else ''}"


def look(head, target):
    releases = (revision(5, manifest=target), revision(6, "deployed", manifest=head))
    found = ReleaseView(environment(), None, lambda: SimpleNamespace(entries=()), 5)
    found.history = lambda: ReleaseHistory("default", "zkprova", releases)
    server = found._kube = Server(found.objects_of(releases[1]))
    found.reads = SharedReads(server)
    return found, server


def forecast(head, target, major=3):
    found, server = look(head, target)
    return make_forecast(server, "default", found, major), found, server


def guard(found):
    return judge_forecast(ProbeResult(value=found), facts().helm)


def test_case_p3_a_list_with_null_items_is_empty_and_the_rest_is_judged():
    found, _, server = forecast(f"{MAP}---\n{CLAIM}", f"{EMPTY_LIST}---\n{MAP}")
    assert [(each.what, each.action) for each in found.objects if each.action in ("change", "delete")] == [
        ("ConfigMap/settings", "change"),
        ("PersistentVolumeClaim/data", "delete"),
    ]
    assert found.will is ApplyOutcome.APPLY
    assert ("DELETE", "/v1/PersistentVolumeClaim/data", "application/json") in server.sent


def test_case_p3_what_helm_may_read_and_we_cannot_is_a_warning_that_names_it():
    found, view, _ = forecast(f"{MAP}---\n{CLAIM}", f"{MAP}---\n{TWICE}")
    assert found.will is ApplyOutcome.UNKNOWN
    assert not found.failing
    assert "delete" not in {each.action for each in found.objects}  # it may be in what was not read
    judged = guard(found)
    assert judged.state is GuardState.WARNED
    assert "document 2 (web/templates/x.yaml) of revision 5: is no YAML in line 10" in judged.evidence
    known = facts(touched=ProbeResult(value=view.touched()))
    for each in (judge_ownership(known), judge_data_loss(known, environment())):
        assert (each.state, each.unknown) == (GuardState.WARNED, True)
        assert "document 2 (web/templates/x.yaml) of revision 5" in each.evidence
    summary = gather_change_summary(view._kube, "default", view)
    assert summary.deleted == ()
    assert any("document 2 (web/templates/x.yaml)" in each for each in summary.unknown)


@pytest.mark.parametrize(
    ("head", "target", "said"),
    [
        (MAP, f"{MAP}---\n{BROKEN}", "document 2 of revision 5"),
        (f"{BROKEN}---\n{MAP}", MAP, "document 1 of revision 6"),
        (MAP, f"{MAP}---\napiVersion: v1\nkind: ConfigMap\n", "document 2 of revision 5"),
    ],
)
def test_case_p3_where_helm_itself_would_fail_it_refuses(head, target, said):
    found, _, _ = forecast(head, target)
    assert [(each.what, each.cause) for each in found.failing] == [(said, ForecastCause.NO_OBJECT)]
    assert guard(found).state is GuardState.REFUSED


def test_case_p3_what_is_read_is_still_evidence_of_harm():
    """A claim that is deleted for certain refuses, whatever else of the head was not read."""
    _, view, _ = forecast(f"{TWICE}---\n{CLAIM}", MAP)
    known = facts(touched=ProbeResult(value=view.touched()))
    assert judge_data_loss(known, environment()).state is GuardState.REFUSED


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        (ROUTE, "merge"),
        (SCALER, "merge"),
        (SERVED_BY_ANOTHER, "merge"),
        (DEPLOYMENT, "strategic-merge"),
        (POLICY, "strategic-merge"),
        (DEFINITION, "strategic-merge"),
    ],
)
def test_case_p1_the_patch_is_that_of_helm_which_knows_kubernetes_own_groups_alone(template, kind):
    """A group's name that ends in .k8s.io says nothing: Gateway API is a custom resource."""
    found, _, server = forecast(template % 2, template % 1)
    assert found.will is ApplyOutcome.APPLY
    assert [each for method, _, each in server.sent if method == "PATCH"] == [
        f"application/{kind}-patch+json"
    ]


@pytest.mark.parametrize("was_listed", [False, True])
def test_what_came_out_of_a_list_shows_no_right_to_get_it(was_listed):
    found, server = look(f"{MAP}", f"{MAP}data: {{a: b}}\n")
    found.reads.was_listed = lambda path: was_listed
    granted = Granted()
    make_forecast(server, "default", found, 4, granted=granted)
    [key] = [identity(item) for item in found.objects_of(found.target)]
    assert (granted.has(key, "get"), granted.has(key, "patch")) == (not was_listed, True)
