"""How long, how badly, and who says so: worked out of a record's curve, or of what was sampled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.metric import MetricCurve, MetricPoint, MetricSeries, NoValueKind, PointOrigin
from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report.metric_facts import MetricFacts, find_metrics
from support.example_records import at, verified, with_metrics

IN, OUT, NONE = True, False, None
VALUE = {True: 0.5, False: 3.0, None: None}


def point(second: float, within: bool | None, **more: object) -> MetricPoint:
    fields = {"at": at(second), "value": VALUE[within], "within": within, **more}
    return MetricPoint.model_validate(fields)


def record_of(*words: bool | None, sampled: bool = False, **more: object) -> Record:
    points = tuple(point(10 * index, word) for index, word in enumerate(words))
    curve = None
    if not sampled:
        curve = MetricCurve(start=at(0), end=points[-1].at, step_s=10, asked_at=at(999), points=points)
    series = {"id": "metric-e", "title": "Errors", "query": "x", "max": 1, "curve": curve, **more}
    if sampled:
        series["points"] = points
    return verified(metrics=(MetricSeries.model_validate(series),))


def facts_of(*words: bool | None, **more: object) -> MetricFacts:
    (found,) = find_metrics(record_of(*words, **more))  # type: ignore[arg-type]
    return found


def test_each_value_stands_for_the_time_until_the_next_one() -> None:
    found = facts_of(IN, OUT, OUT, IN, NONE, NONE, OUT, IN)
    assert found.out_s == 30
    assert found.unknown_s == 20
    assert [(each.start, each.end) for each in found.out] == [(at(10), at(30)), (at(60), at(70))]
    assert (found.still_out, found.last, found.worst, found.worst_at) == (False, 0.5, 3.0, at(10))
    assert (found.origin, found.step_s, found.start, found.end) == (
        PointOrigin.RANGE_QUERY,
        10,
        at(0),
        at(70),
    )


def test_what_is_out_of_bounds_at_the_end_lasts_to_the_end_and_is_not_over() -> None:
    found = facts_of(IN, OUT, OUT)
    assert (found.out_s, found.still_out, found.out[-1].end) == (10, True, at(20))


def test_without_a_curve_it_is_what_was_sampled() -> None:
    found = facts_of(IN, OUT, IN, sampled=True)
    assert (found.origin, found.step_s, found.out_s) == (PointOrigin.SAMPLED, None, 10)


def test_a_curve_that_could_not_be_read_leaves_the_samples_and_says_why() -> None:
    failed = MetricCurve(start=at(0), end=at(9), step_s=1, asked_at=at(9), problem="gone")
    found = facts_of(IN, OUT, IN, sampled=True, curve=failed)
    assert (found.origin, found.out_s, found.problem) == (PointOrigin.SAMPLED, 10, "gone")


@pytest.mark.parametrize("words", [(NONE, NONE), ()])
def test_where_nothing_is_known_nothing_is_said(words: tuple[None, ...]) -> None:
    (found,) = find_metrics(record_of(*words, sampled=True))
    assert found == MetricFacts(id="metric-e", title="Errors")


def test_the_worst_is_the_farthest_from_the_limits_on_either_side() -> None:
    low = MetricPoint(at=at(5), value=-9.0, within=False)
    high = MetricPoint(at=at(6), value=8.0, within=False)
    series = MetricSeries(id="metric-e", title="E", query="x", max=5, min=0, points=(low, high))
    (found,) = find_metrics(verified(metrics=(series,)))
    assert (found.worst, found.worst_at) == (-9.0, at(5))


def test_an_infinite_value_is_out_of_bounds_and_no_number() -> None:
    infinite = MetricPoint(at=at(0), within=False, kind=NoValueKind.INFINITE)
    series = MetricSeries(id="metric-e", title="E", query="x", max=5, points=(infinite, point(10, IN)))
    (found,) = find_metrics(verified(metrics=(series,)))
    assert (found.infinite, found.out_s, found.worst) == (True, 10, 0.5)


def test_what_when_empty_stands_in_for_is_no_gap_and_not_the_worst() -> None:
    assumed = MetricPoint(at=at(0), value=0.9, within=True, kind=NoValueKind.EMPTY)
    series = MetricSeries(id="metric-e", title="E", query="x", max=1, points=(assumed, point(10, IN)))
    (found,) = find_metrics(verified(metrics=(series,)))
    assert (found.assumed_s, found.unknown_s, found.worst) == (10, 0, 0.5)


def test_at_helm_is_the_last_value_before_it() -> None:
    errors, latency, _ = find_metrics(with_metrics())
    assert errors.at_helm == 40 and latency.at_helm is not None
    assert errors.out_s == 870


@given(st.lists(st.sampled_from([IN, IN, OUT, NONE]), min_size=2, max_size=60))
def test_the_times_add_up(words: list[bool | None]) -> None:
    found = facts_of(*words)
    if found.origin is None:
        assert set(words) == {None}
        return
    total = timedelta(seconds=10 * (len(words) - 1))
    seen = sum((each.end - each.start for each in found.out), timedelta())
    assert seen == timedelta(seconds=found.out_s)
    in_order = sum(10 for word in words[:-1] if word)
    assert found.out_s + found.unknown_s + in_order == total.total_seconds()
    assert bool(found.out) == (OUT in words)
