"""What a run decides by: its verdicts so far, and the outcome that was found out otherwise."""

import pytest

from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.run.results import RunState
from support.example_records import verified
from support.run_states import state_of

GREEN = {item.id: item.verdict for item in verified().items}


def state(**changed):
    words = {**GREEN, **{key.replace("_", "-"): word for key, word in changed.items()}}
    found = RunState(words)
    for item_id, word in words.items():
        found.note(item_id, word)
    return found


@pytest.mark.parametrize(
    ("changed", "outcome", "stands"),
    [
        ({}, Outcome.VERIFIED, True),
        ({"smoke": Verdict.WAIVED}, Outcome.VERIFIED_WITH_WAIVERS, True),
        ({"notify": None}, Outcome.UNVERIFIED, True),
        ({"notify": Verdict.FAIL}, Outcome.FAILED, True),
        ({"logs": None}, Outcome.UNVERIFIED, False),
        ({"logs": Verdict.UNVERIFIED}, Outcome.UNVERIFIED, False),
        ({"logs": Verdict.FAIL}, Outcome.FAILED, False),
        ({"preflight": None}, Outcome.UNVERIFIED, False),
        ({"rollback": Verdict.FAIL}, Outcome.FAILED, False),
    ],
)
def test_the_verdicts_add_up(changed, outcome, stands):
    found = state(**changed)
    assert (found.outcome(), found.stands_verified()) == (outcome, stands)


@pytest.mark.parametrize("found_out", [Outcome.REFUSED, Outcome.INTERRUPTED, Outcome.SUPERSEDED])
def test_what_was_found_out_outweighs_green_verdicts(found_out):
    found = state()
    found.found = found_out
    assert (found.outcome(), found.stands_verified(), found.add_up()) == (
        found_out,
        False,
        Outcome.VERIFIED,
    )


@pytest.mark.parametrize("before", ["interrupted", "ended"])
def test_a_late_answer_supersedes_no_run_that_is_over(before):
    found = state()
    assert (found.supersede(), found.outcome()) == (True, Outcome.SUPERSEDED)
    found = state()
    if before == "interrupted":
        found.interrupt()
    outcome = found.end()
    assert (found.supersede(), found.outcome()) == (False, outcome)


@pytest.mark.parametrize(
    ("words", "judged"),
    [
        ({}, False),
        ({"preflight": Verdict.PASS, "rollback": Verdict.UNVERIFIED}, False),
        ({"preflight": Verdict.PASS, "smoke": Verdict.FAIL}, True),
        ({"smoke": Verdict.WAIVED}, True),
    ],
)
def test_whether_anything_of_the_checklist_was_judged(words, judged):
    found = RunState(GREEN)
    for item_id, word in words.items():
        found.note(item_id, word)
    assert found.has_judged is judged


def test_an_item_that_is_expected_and_never_judged_is_not_green():
    found = state()
    found.expect(["rollout-worker", "smoke"])
    assert found.outcome() is Outcome.UNVERIFIED
    assert found.verdict("smoke") is Verdict.PASS, "a verdict was lost"


def test_after_the_end_a_message_that_was_not_delivered_counts():
    ended = state_of(verified(outcome=Outcome.FAILED))
    assert not ended.stands_verified()


@pytest.mark.parametrize(
    ("rollouts", "rolled_out"),
    [
        ({}, False),
        ({"rollout-a": Verdict.PASS}, True),
        ({"rollout-a": Verdict.PASS, "rollout-b": None}, False),
        ({"rollout-a": Verdict.PASS, "rollout-b": Verdict.FAIL}, False),
        ({"rollout-a": Verdict.WAIVED}, False),
    ],
)
def test_rolled_out_means_that_every_rollout_passed(rollouts, rolled_out):
    found = RunState(["preflight", *rollouts])
    for item_id, word in rollouts.items():
        found.note(item_id, word)
    assert found.is_rolled_out() is rolled_out
