"""Is it over? The first sentence, from what was seen alone."""

from __future__ import annotations

import pytest

from pytest_zkrollback.domain.record import Helm, Mode, Outcome, Record, SamplePoint
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.service_line import service_line
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


@pytest.mark.parametrize("name", ALL)
def test_only_what_was_verified_is_called_served(name: str) -> None:
    record = ALL[name]()
    green = record.outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS)
    said = service_line(record)
    assert ("users are served" in said.lower() and "not known" not in said) is green
    assert record.mode is Mode.VERIFY or "is over" in said or not green
