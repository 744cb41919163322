"""What items add up to: never green unverified."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.record import FleetMembership, Guard, Helm, Item, Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.outcome import choose_outcome
from pytest_zkrollback.report.summary import render_summary
from support.example_records import verified

IDS = [
    *("preflight", "rollback", "release-equivalence", "rollout-backend", "rollout-frontend"),
    *("smoke", "logs", "health-database", "events", "migration", "notify"),
]
SERVICE = ("rollout-backend", "rollout-frontend", "smoke", "health-database")


def items(words):
    return [Item(id=item, title=item, verdict=word) for item, word in words.items()]


def usual_words():
    return dict.fromkeys(IDS, Verdict.PASS)


def usual(**changes):
    return items({**usual_words(), **{key.replace("_", "-"): word for key, word in changes.items()}})


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


LEFT_OUT = {"smoke": Verdict.WAIVED, "health_database": Verdict.WAIVED}


def test_without_smoke_and_health_the_rollouts_have_to_show_service():
    """Logs and events are silent, too, where nothing runs."""
    assert choose_outcome(usual(**LEFT_OUT)) is Outcome.VERIFIED_WITH_WAIVERS
    rest = {key: word for key, word in usual_words().items() if not key.startswith("rollout-")}
    found = items({**rest, "smoke": Verdict.WAIVED, "health-database": Verdict.WAIVED})
    assert choose_outcome(found) is Outcome.UNVERIFIED
    assert choose_outcome([*found, *items({"orders": Verdict.PASS})]) is Outcome.VERIFIED_WITH_WAIVERS


def test_a_metric_that_is_in_order_shows_no_service_and_one_that_is_not_known_is_never_green():
    words = {**usual_words(), "metric-errors": Verdict.PASS}
    assert choose_outcome(items(words)) is Outcome.VERIFIED
    assert choose_outcome(items({**words, "metric-errors": Verdict.UNVERIFIED})) is Outcome.UNVERIFIED
    assert choose_outcome(items({**words, "metric-errors": None})) is Outcome.UNVERIFIED
    assert choose_outcome(items({**words, "metric-errors": Verdict.FAIL})) is Outcome.FAILED
    waived = {**words, **dict.fromkeys(SERVICE, Verdict.WAIVED)}
    assert choose_outcome(items(waived)) is Outcome.UNVERIFIED


def test_the_summary_says_what_was_left_out_and_what_shows_no_service():
    left = {"smoke": Verdict.WAIVED, "health-database": Verdict.WAIVED}
    found = tuple(
        each.model_copy(update={"verdict": left[each.id]} if each.id in left else {})
        for each in verified().items
    )
    record = verified().model_copy(update={"items": found, "outcome": Outcome.VERIFIED_WITH_WAIVERS})
    assert render_summary(record) == (
        "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: 9 of 11 "
        "checks passed. Not checked: smoke test (switched off in the configuration), database via /health "
        "(switched off in the configuration)."
    )
    without = tuple(each for each in found if not each.id.startswith("rollout-"))
    record = record.model_copy(update={"items": without, "outcome": choose_outcome(without)})
    assert render_summary(record) == (
        "Release zkprova, environment drill, is NOT verified: revision 7 (back to 5, zkprova-1.5.0) is live; no "
        "check that passed shows service to users."
    )


def test_a_member_whose_fleet_tells_the_team_says_so():
    found = tuple(
        each.model_copy(update={"verdict": Verdict.WAIVED} if each.id == "notify" else {})
        for each in verified().items
    )
    fleet = FleetMembership(fleet="eu", fleet_run_id="1a2b3c4d", wave=1, told_by_fleet=True)
    told = {"items": found, "outcome": choose_outcome(found), "fleet": fleet}
    assert choose_outcome(found) is Outcome.VERIFIED_WITH_WAIVERS
    said = render_summary(verified().model_copy(update=told))
    assert said.endswith("Not checked: telling the team (fleet eu tells the team).")


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
