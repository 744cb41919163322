"""``workloads = "auto"`` and the journal's note: what must not get lost, and what must not be claimed."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.documents import read_manifest
from pytest_zkrollback.run.find_workloads import auto_workloads
from pytest_zkrollback.run.lock_step import note_failed, note_verified
from support.example_records import items, verified
from support.run_states import state_of

NAMES = ("a.b.c", "a-b.c", "a.b-c", "a-b-c", "a-b.c.d", "a-b-c")
MANIFEST = "---\n".join(
    f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
    for kind, name in zip(["Deployment"] * 5 + ["StatefulSet"], NAMES, strict=True)
)


def workloads_of(manifest):
    return auto_workloads(read_manifest(manifest, "ns").objects, "ns")


def test_case_p3_the_workloads_that_can_be_read_are_judged_whatever_else_cannot():
    broken = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\na: b: c\n---\n"
    assert len(workloads_of(broken + MANIFEST)) == len(NAMES)


def test_workloads_whose_names_differ_in_dots_alone_are_all_judged():
    assert workloads_of(MANIFEST) == {
        "a-b-c": "deployment/a.b.c",
        "deployment-a-b-c": "deployment/a-b.c",
        "ns-deployment-a-b-c": "deployment/a.b-c",
        "ns-deployment-a-b-c-2": "deployment/a-b-c",
        "a-b-c-d": "deployment/a-b.c.d",
        "statefulset-a-b-c": "statefulset/a-b-c",
    }


@pytest.mark.parametrize(("outcome", "noted"), [(Outcome.RUNNING, [7]), (Outcome.SUPERSEDED, [])])
def test_fault_22_the_revision_of_somebody_else_is_not_noted_as_verified(outcome, noted):
    """Seen by a look that was under way when the verdicts were final already."""
    found = []
    lock = SimpleNamespace(note_verified=lambda run, who, revision, installed: found.append(revision))
    context = SimpleNamespace(
        run_id="0", operator="ann", lock=lambda: lock, request=Request(environment="e", target=5)
    )
    note_verified(context, state_of(verified(outcome=outcome)), 7, "x")
    assert found == noted


FAIL, UNVERIFIED = (Verdict.FAIL, ""), (Verdict.UNVERIFIED, "")


@pytest.mark.parametrize(
    ("verdicts", "outcome", "noted"),
    [
        pytest.param({"smoke": FAIL}, Outcome.FAILED, [(7, ("smoke",))], id="one"),
        pytest.param(
            {
                "rollout_backend": FAIL,
                "release_equivalence": FAIL,
                "logs": FAIL,
                "events": FAIL,
                "notify": FAIL,
            },
            Outcome.FAILED,
            [(7, ("release-equivalence", "rollout-backend", "logs", "events"))],
            id="several-in-the-checklist's-order",
        ),
        pytest.param(
            {"health_database": FAIL}, Outcome.INTERRUPTED, [(7, ("health-database",))], id="interrupted"
        ),
        pytest.param({}, Outcome.VERIFIED, [], id="none"),
        pytest.param({"notify": FAIL, "migration": FAIL}, Outcome.FAILED, [], id="beside-the-revision"),
        pytest.param({"rollback": FAIL, "preflight": FAIL}, Outcome.FAILED, [], id="helm-says-that-itself"),
        pytest.param(
            {"rollback": FAIL, "release_equivalence": FAIL, "smoke": FAIL},
            Outcome.FAILED,
            [],
            id="helm-did-not-bring-the-target",
        ),
        pytest.param(
            {"rollback": UNVERIFIED, "release_equivalence": FAIL},
            Outcome.FAILED,
            [],
            id="github-has-not-deployed-it",
        ),
        pytest.param({"smoke": UNVERIFIED}, Outcome.UNVERIFIED, [], id="not-verified"),
        pytest.param({"smoke": FAIL}, Outcome.SUPERSEDED, [], id="somebody-else's-revision"),
    ],
)
def test_only_what_failed_on_the_revision_itself_is_noted_as_failed(verdicts, outcome, noted):
    found = []
    lock = SimpleNamespace(
        note_failed=lambda run, who, revision, items, installed: found.append((revision, items))
    )
    context = SimpleNamespace(run_id="0", operator="ann", lock=lambda: lock)
    state = state_of(verified(items=items(**verdicts), outcome=outcome))
    note_failed(context, state, 7, "x")
    assert found == noted
    note_failed(context, state, None, "x")  # which revision was judged is not known
    assert found == noted


def test_where_the_journal_cannot_be_written_to_the_record_says_so():
    said = []

    def refuse(*_):
        raise Unreachable("no answer")

    lock = SimpleNamespace(note_failed=refuse)
    recorder = SimpleNamespace(event=lambda text, source: said.append(text))
    context = SimpleNamespace(run_id="0", operator="ann", lock=lambda: lock, recorder=recorder)
    note_failed(context, state_of(verified(items=items(smoke=FAIL), outcome=Outcome.FAILED)), 7, "x")
    assert said == ["what failed was not written to the journal: no answer"]


def workload(name, kind="Deployment", namespace=None):
    place = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\n"


def test_case_c5_a_workload_in_another_namespace_has_that_in_its_id_whatever_else_there_is():
    alone = workloads_of(workload("agent", "DaemonSet", "monitoring"))
    assert alone == {"monitoring-agent": "monitoring/daemonset/agent"}
    documents = [
        workload("app", namespace="mn-b"),
        workload("app", namespace="mn-a"),
        workload("app", "StatefulSet", "mn-a"),
        workload("app"),
        workload("app", namespace="ns"),
    ]
    assert workloads_of("---\n".join(documents)) == {
        "mn-b-app": "mn-b/deployment/app",
        "mn-a-app": "mn-a/deployment/app",
        "mn-a-statefulset-app": "mn-a/statefulset/app",
        "app": "deployment/app",
    }


def test_case_c5_ids_of_the_releases_own_namespace_stay():
    documents = [workload("app", namespace="mn"), workload("mn-app")]
    assert workloads_of("---\n".join(documents)) == {
        "mn-deployment-app": "mn/deployment/app",
        "mn-app": "deployment/mn-app",
    }
