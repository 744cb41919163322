"""The end of a verification: a rollout that failed may have come up since."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.domain.checks import Snapshot
from pytest_zkrollback.domain.errors import ClusterError
from pytest_zkrollback.domain.verdict import CheckResult, Verdict
from pytest_zkrollback.run.verify_step import _note_what_came_up
from support.workload_objects import at, deployment, environment, pod, snapshot

UP = snapshot(pod("web-a"), pod("web-b"), deployments=[deployment()])
DOWN = snapshot(pod("web-a"), deployments=[deployment(available=1)])


def _noted(word: Verdict, shot: Snapshot | ClusterError) -> dict[str, Any]:
    """What is written down of an item that ended with this verdict, where the cluster looks like that."""
    noted: dict[str, Any] = {}

    def look() -> Snapshot:
        if isinstance(shot, ClusterError):
            raise shot
        return shot

    recorder = SimpleNamespace(item=lambda item, **changes: noted.update({item: changes}))
    context: Any = SimpleNamespace(recorder=recorder, clock=SimpleNamespace(now=lambda: at(9)))
    check = RolloutCheck(env=environment(), item="web", workload="deployment/web", snapshot=look)
    verdict = CheckResult(word=word, observed="container app of 1 of 2 pods crash-loops")
    _note_what_came_up(context, [check], {check.id: verdict})
    return noted


def test_case_k5_a_rollout_that_failed_and_is_complete_by_now_says_so() -> None:
    said = "container app of 1 of 2 pods crash-loops; it has come up since: 2 of 2 pods ready"
    assert _noted(Verdict.FAIL, UP) == {"rollout-web": {"observed": said, "came_up_at": at(9)}}


@pytest.mark.parametrize(
    ("word", "shot"),
    [
        (Verdict.FAIL, DOWN),
        (Verdict.FAIL, ClusterError("no answer")),
        (Verdict.PASS, UP),
        (Verdict.UNVERIFIED, UP),
    ],
    ids=["still down", "not readable", "it passed", "it was not verified"],
)
def test_case_k5_else_nothing_is_said(word: Verdict, shot: Snapshot | ClusterError) -> None:
    assert _noted(word, shot) == {}
