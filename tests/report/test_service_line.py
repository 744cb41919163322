"""Is it over? The first sentence, from what was seen alone."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.domain.record import Helm, Mode, Outcome, Plan, Record, SamplePoint
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.incident_facts import find_affected
from pytest_zkrollback.report.service_line import service_line
from pytest_zkrollback.report.summary import users_affected
from pytest_zkrollback.report.todo import must_act
from support.example_records import (
    ALL,
    HISTORY,
    at,
    checked_only,
    failed,
    interrupted,
    items,
    refused,
    rehearsal,
    running,
    verified,
    waived,
    with_metrics,
)

# Revision 6 is live, and was an ordinary deploy.
HEALTHY = Plan(target=HISTORY[3], compared_with=HISTORY[2], history=HISTORY)


def metric_run(word: Verdict, **more: Any) -> Record:
    """Only the metric that stands for users shows what is wrong."""
    record = with_metrics()
    series = record.metrics[0].model_copy(update={"users_impacted": True})
    found = tuple(
        each.model_copy(update={"verdict": word}) if each.id == series.id else each for each in record.items
    )
    return record.model_copy(
        update={
            "metrics": (series,),
            "items": found,
            "summary": "",
            "impact_since": None,
            "samples": (),
            **more,
        }
    )


def test_a_metric_that_stands_for_users_says_whether_they_are_served_and_until_when_they_were_not() -> None:
    bad = metric_run(Verdict.FAIL, outcome=Outcome.FAILED, mode=Mode.VERIFY, helm=Helm(), plan=HEALTHY)
    assert service_line(bad) == "It is not over: users are affected."
    assert users_affected(bad).startswith(
        "Affected when this run looked (11:50:39 UTC). Since when was not said. Revision 6 (zkprova-1.6.0) was"
        " deployed 2026-11-23 11:37:59 UTC."
    )
    good = metric_run(Verdict.PASS, outcome=Outcome.VERIFIED, served_again_at=None)
    assert service_line(good) == "It is over: users are served again."
    assert "; metrics are in order since 11:52:39 UTC." in users_affected(good)


AGAIN = "It is over: users are served again since 11:50:43 UTC"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (verified(), f"{AGAIN}."),
        (waived(), f"{AGAIN}, as far as it was checked."),
        (checked_only(), "Users are served."),
        (failed(), "It is not over: users are affected."),
        (running(), "It is not over: this run has not ended."),
        (refused(), "Nothing was rolled back. Users are affected."),
        (rehearsal(), "Nothing was changed. Users are affected."),
        (
            refused().model_copy(update={"decision": None}),
            "Nothing was rolled back. Whether users are affected is not known.",
        ),
        (
            interrupted().model_copy(update={"helm": Helm(), "decision": None, "samples": ()}),
            "The run was stopped before it changed anything. Whether users are affected is not known.",
        ),
        (
            verified(
                outcome=Outcome.UNVERIFIED,
                samples=(SamplePoint(at=at(2), series="health", value=1),),
                items=items(logs=(Verdict.UNVERIFIED, "forbidden")),
            ),
            "It is not known whether users are served.",
        ),
    ],
)
def test_the_sentence(record: Record, said: str) -> None:
    assert service_line(record) == said


def without_what_faces_users(value: float | None) -> Record:
    """Waived, with this as each answer of /health; None: it was not asked."""
    record = waived()
    facing = ("smoke", "health-database")
    skipped = tuple(
        each.model_copy(update={"verdict": Verdict.WAIVED}) if each.id in facing else each
        for each in record.items
    )
    samples = tuple(
        each.model_copy(update={"value": value}) if each.series == "health" else each
        for each in record.samples
        if each.series != "health" or value is not None
    )
    return record.model_copy(update={"items": skipped, "samples": samples, "served_again_at": None})


@pytest.mark.parametrize(
    ("value", "said", "now"),
    [
        (0, "It is not over: users are affected.", True),
        (None, "It is not known whether users are served.", None),
        (1, "It is over: users are served again, as far as it was checked.", False),
    ],
)
def test_a_green_outcome_is_no_evidence_about_users(value: float | None, said: str, now: bool | None) -> None:
    record = without_what_faces_users(value)
    assert service_line(record) == said
    assert find_affected(record).now is now
    assert must_act(record) is bool(now)
    assert (find_affected(record).until is None) is (now is not False)


@pytest.mark.parametrize("name", ALL)
def test_only_what_was_verified_is_called_served(name: str) -> None:
    record = ALL[name]()
    green = record.outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS)
    said = service_line(record)
    assert ("users are served" in said.lower() and "not known" not in said) is green
    assert record.mode is Mode.VERIFY or "is over" in said or not green
