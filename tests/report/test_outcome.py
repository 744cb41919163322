"""What items add up to: never green unverified."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.record import Guard, Helm, Item, Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.outcome import choose_outcome
from pytest_zkrollback.report.summary import render_summary
from support.example_records import verified

IDS = [
    *("preflight", "rollback", "release-equivalence", "rollout-backend", "rollout-frontend"),
    *("smoke", "logs", "health-database", "events", "migration", "notify"),
]
SERVICE = ("rollout-backend", "rollout-frontend", "smoke", "logs", "health-database", "events")


def items(words):
    return [Item(id=item, title=item, verdict=word) for item, word in words.items()]


def usual(**changes):
    return items(
        {**dict.fromkeys(IDS, Verdict.PASS), **{key.replace("_", "-"): word for key, word in changes.items()}}
    )


def test_all_pass_is_verified():
    assert choose_outcome(usual()) is Outcome.VERIFIED


def test_a_waiver_is_said_in_the_outcome():
    assert choose_outcome(usual(smoke=Verdict.WAIVED)) is Outcome.VERIFIED_WITH_WAIVERS


def test_one_red_item_is_enough():
    assert choose_outcome(usual(notify=Verdict.FAIL, smoke=Verdict.WAIVED)) is Outcome.FAILED
    assert choose_outcome(usual(logs=Verdict.UNVERIFIED)) is Outcome.UNVERIFIED
    assert choose_outcome(usual(logs=None)) is Outcome.UNVERIFIED
    assert choose_outcome([]) is Outcome.UNVERIFIED


def test_waiving_all_that_matters_is_not_green():
    waived = {item.replace("-", "_"): Verdict.WAIVED for item in SERVICE}
    assert choose_outcome(usual(**waived)) is Outcome.UNVERIFIED


@given(st.lists(st.sampled_from([*Verdict, None]), min_size=len(IDS), max_size=len(IDS)))
def test_green_means_every_item_has_pass_or_an_audited_waiver(words):
    outcome = choose_outcome(items(dict(zip(IDS, words, strict=True))))
    if outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS):
        assert set(words) <= {Verdict.PASS, Verdict.WAIVED}
        service = [word for item, word in zip(IDS, words, strict=True) if item in SERVICE]
        assert Verdict.PASS in service
    elif set(words) == {Verdict.PASS}:
        raise AssertionError(outcome)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ("The API server did not answer. Try again.", "the API server did not answer"),
        ("A proxy answered", "a proxy answered"),
        ("ConfigMap/x belongs to release n/o", "ConfigMap/x belongs to release n/o"),
        ("Deployment/x: forbidden", "Deployment/x: forbidden"),
        ("HELM_DRIVER=sql sends helm elsewhere", "HELM_DRIVER=sql sends helm elsewhere"),
    ],
)
def test_a_refusal_goes_on_after_the_colon_and_names_keep_their_capitals(evidence, said):
    guards = (Guard(id="forecast", state="refused", evidence=evidence),)
    record = verified(outcome=Outcome.REFUSED, guards=guards, helm=Helm(), decision=None, samples=())
    assert render_summary(record) == f"Not rolled back: {said}. Nothing was changed."
