"""``workloads = "auto"`` and the journal's note: what must not get lost, and what must not be claimed."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.run.find_workloads import auto_workloads
from pytest_zkrollback.run.lock_step import note_verified
from support.example_records import verified
from support.run_states import state_of

NAMES = ("a.b.c", "a-b.c", "a.b-c", "a-b-c", "a-b.c.d", "a-b-c")
MANIFEST = "---\n".join(
    f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
    for kind, name in zip(["Deployment"] * 5 + ["StatefulSet"], NAMES, strict=True)
)


def test_workloads_whose_names_differ_in_dots_alone_are_all_judged():
    assert auto_workloads(MANIFEST, "ns") == {
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
    context = SimpleNamespace(run_id="0", operator="ann", lock=lambda: lock)
    note_verified(context, state_of(verified(outcome=outcome)), 7, "x")
    assert found == noted
