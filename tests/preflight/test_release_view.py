"""What helm would touch: nothing hides anything else, and what cannot be parsed is not known."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.domain.errors import NotFound
from pytest_zkrollback.preflight.facts import ask_all, fetch_facts
from pytest_zkrollback.preflight.guards import judge_guards
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.release_view import CachedProbe, ReleaseView
from pytest_zkrollback.preflight.target import choose_target
from pytest_zkrollback.release.history import ReleaseHistory
from support.preflight_facts import environment, facts, revision

CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
NAMELESS = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: job-}\n"
BROKEN = "apiVersion: v1\nkind: [\n"


def hook(manifest):
    return {"events": ["pre-rollback"], "manifest": manifest}


def view(head, target, hooks=()):
    def get(path, timeout_s=5.0):
        raise NotFound(path)

    kube = SimpleNamespace(get=get, resource_path=lambda *key: "/".join(key))
    found = ReleaseView(environment(), kube, lambda: None, 5)
    releases = (revision(5, manifest=target, hooks=hooks), revision(6, "deployed", manifest=head))
    found.history = lambda: ReleaseHistory("default", "zkprova", releases)
    return found


def labels(found):
    return [key.label for key in found]


def test_what_only_the_head_has_is_deleted():
    touched = view(f"{MAP}---\n{CLAIM}", MAP).touched()
    assert labels(touched.deleted) == ["PersistentVolumeClaim/data"]
    assert labels(touched.applied) == ["ConfigMap/settings"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (NAMELESS, "holds an object of kind Job without a name, only generateName job-"),
        (BROKEN, "is no YAML in line 3"),
    ],
)
def test_case_p13_a_hook_that_cannot_be_read_hides_none_of_the_others_and_is_named(bad, said):
    found = view(MAP, MAP, ({**hook(bad), "kind": "Job", "name": "job"}, hook(CLAIM)))
    touched = found.touched()
    assert labels(touched.hooks) == ["PersistentVolumeClaim/data"]
    (unread,) = touched.unread
    assert unread.startswith(f"hook Job/job {said}")
    # helm runs a hook without a name, and none that is no YAML.
    assert [part.helm_fails for part in found.unread()] == [bad == BROKEN]


@pytest.mark.parametrize(
    ("head", "target", "deleted", "applied", "unread"),
    [
        (f"{BROKEN}---\n{CLAIM}", MAP, ["PersistentVolumeClaim/data"], ["ConfigMap/settings"], 6),
        (f"{MAP}---\n{CLAIM}", f"{MAP}---\n{BROKEN}", [], ["ConfigMap/settings"], 5),
    ],
)
def test_case_p3_what_can_be_read_is_known_and_nothing_looks_deleted_that_may_be_in_the_rest(
    head, target, deleted, applied, unread
):
    touched = view(head, target).touched()
    assert labels(touched.deleted) == deleted
    assert labels(touched.applied) == applied
    (said,) = touched.unread
    assert said.startswith("document ")
    assert f"of revision {unread} is no YAML" in said


@pytest.mark.parametrize("policy", ["keep", "delete"])
def test_what_helm_deletes_it_needs_the_right_to_delete(policy):
    """Both answers come from one place, so that they cannot differ."""
    claim = CLAIM.replace(
        "{name: data}", f"{{name: data, annotations: {{helm.sh/resource-policy: {policy}}}}}"
    )
    look = view(f"{MAP}---\n{claim}", MAP)
    deleted = [] if policy == "keep" else ["data"]
    for _ in ("by the manifest alone", "with the live objects"):
        assert names(look.writes(0.0)[("get", "delete")]) == deleted
        look.live()
    assert [key.name for key in look.touched().deleted] == deleted


def names(items):
    return [item["metadata"]["name"] for item in items]


def test_what_only_the_target_has_helm_creates_and_what_was_deleted_by_hand_once_that_is_known():
    look = view(MAP, f"{MAP}---\n{CLAIM}")
    assert names(look.writes(0.0)[("create",)]) == ["data"]
    look.live()  # nothing is there
    assert names(look.writes(0.0)[("create",)]) == ["settings", "data"]


def test_the_rights_are_known_where_the_live_objects_take_longer_than_the_budget():
    """On a busy machine a thousand objects do: the guard refused what helm could have done."""
    ends = threading.Event()
    look = view(MAP, f"{MAP}---\n{CLAIM}")
    look.live = CachedProbe(lambda: ends.wait(30) and {})
    reviews = []

    def send(method, path, body, **_):
        reviews.append(body["spec"]["resourceAttributes"]["verb"])
        return {"status": {"allowed": True}}

    kube = look._kube
    kube.send, kube.resource_path = send, lambda api, kind, place, name="": f"/x/namespaces/{place}/{kind}"
    env = environment(preflight_budget_s=0.5)
    try:
        found = fetch_facts(env, kube, lambda: None, look, lambda lock: lock, SystemClock(), writes=True)
    finally:
        ends.set()
    assert found.live.value is None
    assert found.denied.value == ()
    assert {"get", "patch", "create"} <= {*reviews}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("metadata"), "KeyError: 'metadata'"),
        (TypeError("'NoneType' object is not iterable"), "TypeError: 'NoneType' object is not iterable"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum recursion depth"),
        (MemoryError(), "MemoryError: "),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
    ],
)
def test_case_p3_a9_a_question_whose_thread_died_says_of_what(error, said):
    asked = []

    def ask():
        asked.append(1)
        raise error

    shared = CachedProbe(ask)
    questions = {"denied": shared, "owners": shared, "server": lambda: "v1.37.2"}
    answers = ask_all(questions, 5.0, SystemClock())
    found = facts(denied=answers["denied"], owners=answers["owners"])
    choice = ProbeResult(value=choose_target(5, found.history.value, ()))
    guards = {each.id: each for each in judge_guards(replace(found, choice=choice), environment(), None)}
    for evidence in (guards["permissions"].evidence, guards["gitops"].evidence):
        assert f"is unknown: asking failed inside this tool: {said}" in evidence
        assert "budget" not in evidence
    assert answers["server"].value == "v1.37.2"
    assert len(asked) == 1
