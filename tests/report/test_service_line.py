"""Is it over? The first sentence, from what was seen alone."""

from __future__ import annotations

import pytest

from pytest_zkrollback.domain.record import Helm, Mode, Outcome, Record, SamplePoint
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.incident_facts import find_affected
from pytest_zkrollback.report.service_line import service_line
from pytest_zkrollback.report.todo import must_act
from support.example_records import (
    ALL,
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
)

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
