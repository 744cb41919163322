"""A metric's picture in words: page and Markdown say the same."""

from __future__ import annotations

import pytest

from pytest_zkrollback.domain.metric import MetricPoint, NoValueKind
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.metric_facts import MetricFacts, Stretch, find_metrics
from pytest_zkrollback.report.metric_words import bounds_words, metric_words
from support.example_records import at, with_metrics

ERRORS = (
    "Out of bounds for 14 min 30 s, from 11:38:09 to 11:52:39 UTC. The limit is at most 1 %.",
    "Worst: 40 % at 11:39:59 UTC. When helm began: 40 %. At the end (11:55:19 UTC): 0.2 %.",
    "Source: Prometheus' range query, a value every 10 s.",
)


def words(number: int, **changes: object) -> tuple[str, ...]:
    record = with_metrics()
    series = record.metrics[number].model_copy(update=changes)
    record = record.model_copy(update={"metrics": (series,)})
    return metric_words(find_metrics(record)[0], series, record)


def test_a_metric_that_was_out_of_bounds() -> None:
    assert words(0) == ERRORS


def test_one_with_a_gap() -> None:
    assert words(1) == (
        "Never seen out of bounds. The limit is at most 500 ms.",
        "Worst: 216 ms at 11:24:09 UTC. When helm began: 180 ms. At the end (11:55:19 UTC): 201 ms.",
        "No value for 3 min 10 s in all: how it was then is not known.",
        "Source: Prometheus' range query, a value every 10 s.",
    )


def test_one_without_any_value() -> None:
    assert words(2) == (
        "No value is known.",
        "The whole curve is not there: the server cannot answer now (HTTP 503).",
    )
    assert words(2, curve=None)[-1] == "The whole curve was not asked for."


def test_samples_alone_say_why_there_is_no_curve() -> None:
    failed = with_metrics().metrics[2].curve
    said = words(0, curve=failed)
    assert said[-1] == (
        "Source: what this run sampled. The whole curve is not there: the server cannot answer now (HTTP 503)."
    )
    assert said[0].startswith("Out of bounds for at least ")


def test_a_curve_that_may_not_be_whole_says_so() -> None:
    curve = with_metrics().metrics[0].curve
    assert curve is not None
    warned = curve.model_copy(update={"warning": "store 1 did not answer"})
    assert words(0, curve=warned)[-1].endswith("a value every 10 s. Store 1 did not answer.")


def test_when_empty_and_infinite_values_are_named() -> None:
    points = (
        MetricPoint(at=at(0), within=False, kind=NoValueKind.INFINITE),
        MetricPoint(at=at(10), value=0, within=True, kind=NoValueKind.NOT_A_NUMBER),
        MetricPoint(at=at(30), value=0.5, within=True),
    )
    said = " ".join(words(0, curve=None, points=points))
    assert "Infinite values were out of bounds. Worst: 0.5 % at 11:51:09 UTC." in said
    assert "No value for 20.0 s in all, and when_empty stands in for it." in said


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"out": ((0, 60),), "out_s": 60}, "out of bounds for 1 min 00 s, from 11:50:39 to 11:51:39 UTC"),
        (
            {"out": ((0, 60),), "out_s": 60, "still_out": True},
            "out of bounds for 1 min 00 s, from 11:50:39 to 11:51:39 UTC, and still then",
        ),
        (
            {"out": ((0, 60),), "out_s": 60, "start": at(0)},
            "out of bounds for at least 1 min 00 s, from 11:50:39 to 11:51:39 UTC",
        ),
        (
            {"out": ((0, 60), (90, 120)), "out_s": 90},
            "out of bounds for 1 min 30 s in 2 stretches, from 11:50:39 to 11:52:39 UTC",
        ),
        (
            {"out": ((-86400, 60),), "out_s": 86460},
            "out of bounds for 1 d 00 h, from 2026-11-22 11:50:39 to 2026-11-23 11:51:39 UTC",
        ),
    ],
)
def test_how_long(facts: dict[str, object], said: str) -> None:
    out = tuple(Stretch(start=at(begin), end=at(end)) for begin, end in facts.pop("out"))  # type: ignore[attr-defined]
    assert bounds_words(MetricFacts(id="m", title="M", out=out, **facts)) == said  # type: ignore[arg-type]


def test_markdown_has_the_same_sentences() -> None:
    text = render_markdown(with_metrics())
    row = f"| Error rate below 1 %<br>`metric-error-rate` | {' '.join(ERRORS)} |"
    assert row in text
