"""The recovery clock and the soak, as a person reads them."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from pytest_zkrollback.domain.record import Helm, Outcome, Record, SamplePoint
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.summary import headline, lead, recovery, render_summary, watch_line
from pytest_zkrollback.report.terminal import render_live, render_progress_line
from support.example_records import at, items, verified


def _live(record: Record) -> str:
    console = Console(width=80, file=None, record=True)
    with console.capture() as shown:
        console.print(render_live(record, at(9)))
    return shown.get()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "all checks passed 6.3 s after helm's start; /health passes since 11:50:43 UTC, 3.5 s after it",
        ),
        ({"recovered_at": None}, "not all checks passed; /health passes since 11:50:43 UTC, 3.5 s after it"),
        (
            {"served_again_at": at(1.0)},
            "all checks passed 6.3 s after helm's start; /health passes since 11:50:40 UTC, 0.2 s before it",
        ),
        ({"served_again_at": None}, "all checks passed 6.3 s after helm's start; /health does not pass"),
        (
            {"served_again_at": None, "samples": ()},
            "all checks passed 6.3 s after helm's start; /health was not asked",
        ),
        (
            {"served_again_at": None, "samples": (SamplePoint(at=at(1), series="health", value=1),)},
            "all checks passed 6.3 s after helm's start; /health passed whenever it was asked",
        ),
        ({"recovered_at": None, "served_again_at": None}, ""),
        ({"helm": Helm()}, ""),
    ],
)
def test_the_recovery_clock(changes: dict[str, Any], said: str) -> None:
    assert recovery(verified(**changes)) == said


def test_a_provisional_green_is_called_that_and_no_result() -> None:
    soaking = verified(
        outcome=Outcome.RUNNING,
        provisional_at=at(7.5),
        soak_s=10,
        recovered_at=None,
        finished_at=None,
        summary="",
    )
    assert headline(soaking) == "PROVISIONAL"
    assert lead(soaking) == (
        "All checks have passed since 11:50:46 UTC, but the watch of 10 s had not ended: this is no result."
    )
    assert render_progress_line(soaking, at(9)) == (
        "       7.5 s  all checks passed; watched for 10 s from here (11 of 11 judged)"
    )
    assert (
        _live(soaking)
        .splitlines()[1]
        .startswith("provisionally green, 9.0 s, 9 s left to watch; 11 of 11 judged")
    )
    green = soaking.model_copy(
        update={"outcome": Outcome.VERIFIED, "recovered_at": at(7.5), "watched_until": at(17.6)}
    )
    assert watch_line(green) == (
        "All checks passed at 11:50:46 UTC, 5.9 s after helm, and still at 11:50:56 UTC, when watching ended"
    )
    late = soaking.model_copy(
        update={"outcome": Outcome.FAILED, "items": items(logs=(Verdict.FAIL, "panic")), "summary": ""}
    )
    assert render_summary(late).endswith(
        "failed: application logs (all checks had passed at 11:50:46 UTC, no longer at the end)."
    )
    cut_off = soaking.model_copy(update={"outcome": Outcome.INTERRUPTED})
    assert render_summary(cut_off) == (
        "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7. "
        "All checks had passed at 11:50:46 UTC; then the run was stopped while it went on watching: this is "
        "no result."
    )
