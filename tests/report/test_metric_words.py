"""A metric's picture in words: page and Markdown say the same."""

from __future__ import annotations

import pytest

from pytest_zkrollback.domain.decision import Answer, SignalName
from pytest_zkrollback.domain.metric import MetricPoint, NoValueKind
from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import NotificationEvent
from pytest_zkrollback.engine.metric_sample import thinned
from pytest_zkrollback.notify import text
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.metric_facts import MetricFacts, Stretch, find_metrics
from pytest_zkrollback.report.metric_words import bounds_words, count_words, impact_words, metric_words
from pytest_zkrollback.report.summary import users_affected
from support.example_records import DECISION, at, with_metrics
from support.html_page import Page

ERRORS = (
    "Out of bounds for 14 min 30 s, from 11:38:09 to 11:52:39 UTC. The limit is at most 1 %.",
    "Worst: 40 % at 11:39:59 UTC. When helm began: 40 %. At the end (11:55:19 UTC): 0.2 %.",
    "About 4,212 requests failed from 11:37:59 to 11:55:19 UTC (count_query of metric-error-rate).",
    "Source: Prometheus' range query, a value every 10 s.",
)
USERS = (
    "Error rate below 1 %: out of bounds for 14 min 30 s, from 11:38:09 to 11:52:39 UTC (by Prometheus). "
    "About 4,212 requests failed from 11:37:59 to 11:55:19 UTC (count_query of metric-error-rate)."
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


def test_users_affected_has_the_numbers_and_page_markdown_and_messages_say_the_same() -> None:
    record = with_metrics()
    assert impact_words(record) == USERS
    assert users_affected(record).endswith(USERS)
    assert USERS in Page(render_page(record)).first_screen()
    assert USERS in render_markdown(record)
    message = Notification(NotificationEvent.CHANGED, record)
    assert dict(text.fields(message))["Users affected"].endswith(USERS)


def test_where_no_metric_was_out_of_bounds_users_affected_is_as_without_metrics() -> None:
    record = with_metrics()
    calm = record.model_copy(update={"metrics": record.metrics[1:]})
    assert impact_words(calm) == ""
    assert users_affected(calm) == users_affected(record.model_copy(update={"metrics": ()}))


def counted(**count: object) -> str:
    record = with_metrics()
    series = record.metrics[0]
    assert series.count is not None
    changed = series.model_copy(update={"count": series.count.model_copy(update=count)})
    return count_words(find_metrics(record.model_copy(update={"metrics": (changed,)}))[0])


@pytest.mark.parametrize(
    ("count", "said"),
    [
        ({"value": 0.0}, "No request failed from 11:37:59 to 11:55:19 UTC"),
        ({"value": 0.8}, "About 1 request failed from 11:37:59 to 11:55:19 UTC"),
        (
            {"start": at(-86400)},
            "About 4,212 requests failed from 2026-11-22 11:50:39 UTC to 2026-11-23 11:55:19 UTC",
        ),
        ({"value": None, "problem": "no series"}, "How many requests failed is not known"),
    ],
)
def test_how_many_requests_failed(count: dict[str, object], said: str) -> None:
    why = ": no series." if count.get("problem") else "."
    assert counted(**count) == f"{said} (count_query of metric-error-rate){why}"


def test_many_metrics_out_of_bounds_are_counted() -> None:
    record = with_metrics()
    many = (record.metrics[0].model_copy(update={"count": None}),) * 5
    said = impact_words(record.model_copy(update={"metrics": many}))
    assert said.count("out of bounds for") == 2
    assert said.endswith("3 more metrics were out of bounds.")


def test_no_harm_was_seen_is_not_said_beside_a_metric_that_was_out_of_bounds() -> None:
    signals = tuple(
        each.model_copy(update={"answer": Answer.NO, "evidence": "/health answers 200"})
        if each.name is SignalName.USERS_IMPACTED
        else each
        for each in DECISION.signals
    )
    fields = {"decision": DECISION.model_copy(update={"signals": signals}), "impact_since": None}
    good = tuple(each for each in with_metrics().samples if each.value >= 1 or each.series != "health")
    record = with_metrics().model_copy(
        update={
            **fields,
            "served_again_at": None,
            "recovered_at": None,
            "provisional_at": None,
            "samples": good,
        }
    )
    assert "No harm was seen" in users_affected(record.model_copy(update={"metrics": ()}))
    assert "No harm was seen" not in users_affected(record)
    assert users_affected(record).endswith(USERS)


def sampled(*within: bool) -> tuple[MetricPoint, ...]:
    return tuple(
        MetricPoint(at=at(second), value=0.1 if each else 2.0, within=each)
        for second, each in enumerate(within)
    )


def test_where_values_were_left_out_it_was_out_of_bounds_at_most_so_long() -> None:
    every = sampled(*(not second % 2 for second in range(300)))
    assert words(0, curve=None, points=every)[0].startswith(
        "Out of bounds for 2 min 29 s in 150 stretches, from 11:50:40 to "
    )
    assert words(0, curve=None, points=thinned(every, 240), thinned=True)[0].startswith(
        "Out of bounds for at most 4 min 58 s, from 11:50:40 to "
    )


def test_one_bad_value_at_the_very_end_lasts_no_time() -> None:
    assert words(0, curve=None, points=sampled(True, True, False))[0] == (
        "Out of bounds at the last value, 2026-11-23 11:50:41 UTC. The limit is at most 1 %."
    )
