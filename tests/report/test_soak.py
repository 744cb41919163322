"""The recovery clock and the soak, as a person reads them."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from pytest_zkrollback.domain.record import Helm, Item, Outcome, Record, SamplePoint
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.live_table import render_live
from pytest_zkrollback.report.summary import headline, lead, recovery, render_summary, watch_line
from pytest_zkrollback.report.terminal import render_progress_line, render_waiting_line
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


def _with_metric(verdict: Verdict | None, **changes: Any) -> Record:
    observed = "0.4 % (limit: at most 1 %); in order for 12 of 60 s"
    metric = Item(
        id="metric-errors",
        title="Errors",
        verdict=verdict,
        observed=observed,
        started_at=at(7.6),
        finished_at=at(187),
    )
    known: dict[str, Any] = {"provisional_at": at(7.5), "soak_s": 180, "recovered_at": at(7.5), "summary": ""}
    return verified(items=(*items()[:-1], metric, items()[-1]), **{**known, **changes})


def test_while_metrics_are_watched_it_is_said_until_when_and_that_the_rest_has_passed() -> None:
    record = _with_metric(None, outcome=Outcome.RUNNING, recovered_at=None, finished_at=None)
    assert lead(record) == (
        "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: all checks "
        "but the metrics passed at 11:50:46 UTC; metrics are watched until 11:53:46 UTC. This is no result yet."
    )
    assert headline(record) == "PROVISIONAL"
    assert render_waiting_line(record, at(60)) == (
        "  1 min 00 s  provisionally green, 128 s left to watch; metric-errors: 0.4 % (limit: at most 1 %); in order "
        "for 12 of 60 s"
    )


def test_the_clock_is_that_of_the_first_verdict_and_says_what_came_later() -> None:
    record = _with_metric(Verdict.PASS, watched_until=at(188))
    assert watch_line(record) == (
        "All checks but the metrics passed at 11:50:46 UTC, 5.9 s after helm; the metrics by 11:53:47 UTC, when "
        "all still passed"
    )
    assert recovery(record).startswith("all checks but the metrics passed 6.3 s after helm's start; ")


@pytest.mark.parametrize(
    ("verdict", "outcome", "said"),
    [
        (
            Verdict.FAIL,
            Outcome.FAILED,
            "failed: metric-errors (all other checks had passed at 11:50:46 UTC, and did to the end).",
        ),
        (
            Verdict.UNVERIFIED,
            Outcome.UNVERIFIED,
            "not checked: metric-errors (all other checks had passed at 11:50:46 UTC, and did to the end).",
        ),
    ],
)
def test_a_metric_alone_takes_nothing_back_of_what_the_others_said(
    verdict: Verdict, outcome: Outcome, said: str
) -> None:
    assert render_summary(_with_metric(verdict, outcome=outcome)).endswith(said)


def test_interrupted_while_only_metrics_were_watched() -> None:
    assert render_summary(_with_metric(Verdict.UNVERIFIED, outcome=Outcome.INTERRUPTED)).endswith(
        "All checks but the metrics had passed at 11:50:46 UTC; then the run was stopped while it went on watching: "
        "this is no result."
    )
