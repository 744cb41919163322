"""A metric over the whole incident, and how many requests failed: for the record, never for a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol

from ..clients.prometheus import fill_in_times
from ..config.environment import Metric
from ..domain.metric import (
    MetricCount,
    MetricCurve,
    MetricPoint,
    NoValueKind,
    PointOrigin,
    RangeReading,
    Reading,
)
from .metric_sample import point_of, read_sample, thinned

MOST_POINTS: Final = 240
# The picture begins before the version that was left, by so much; never further back than that.
_BEFORE: Final = timedelta(minutes=15)
_FARTHEST: Final = timedelta(hours=24)


class RangeClient(Protocol):
    """Whoever can be asked for a range."""

    def query_range(
        self, query: str, start: datetime, end: datetime, step_s: float, timeout_s: float | None = None
    ) -> RangeReading:
        """The values of the one series between two times."""

    def query_at(self, query: str, at: datetime, timeout_s: float | None = None) -> Reading:
        """The value at a time."""


def picture_begins(incident_from: datetime, until: datetime) -> datetime:
    """From when a curve is asked for, so that it shows how it was before."""
    return max(incident_from - _BEFORE, until - _FARTHEST)


def fetch_curve(
    metric: Metric,
    query: str,
    client: RangeClient,
    start: datetime,
    end: datetime,
    most: int = MOST_POINTS,
    timeout_s: float | None = None,
    *,
    may_shorten: bool = True,
) -> MetricCurve:
    """At most ``most`` points, in whole seconds from each other, the last one at ``end``.

    ``may_shorten``: where the server knows nothing of the first half, it is asked once more, from what it
    knows on and in finer steps.
    """
    span_s = max(1.0, (end - start).total_seconds())
    step_s = float(max(1, math.ceil(span_s / (most - 1))))
    start = end - timedelta(seconds=step_s * (span_s // step_s))
    found = client.query_range(query, start, end, step_s, timeout_s)
    if found.kind is not None and not (found.kind is NoValueKind.EMPTY and metric.when_empty is not None):
        return no_curve(start, end, end, found.text, found.kind, step_s)
    first = next((at for at, value in found.values if not math.isnan(value)), start)
    late = end - first < (end - start) / 2
    if may_shorten and late and step_s > 1 and metric.when_empty is None:
        since = first - timedelta(seconds=step_s)
        return fetch_curve(metric, query, client, since, end, most, timeout_s, may_shorten=False)
    points = tuple(_points(metric, found, start, end, step_s))
    return MetricCurve(
        start=start,
        end=end,
        step_s=step_s,
        asked_at=end,
        points=thinned(points, most),  # whoever answers with more than was asked for
        warning=found.warning,
    )


def fetch_count(
    query: str, client: RangeClient, start: datetime, end: datetime, timeout_s: float | None = None
) -> MetricCount:
    """What ``query`` counts between two times; of it {range}, {from} and {to} are still open."""
    start = max(start, end - _FARTHEST)
    asked = fill_in_times(query, start, end)
    found = client.query_at(asked, end, timeout_s)
    value, problem = found.value, found.text
    if value is not None and not (math.isfinite(value) and value >= 0):
        value, problem = None, f"the answer is {value:g}, and a number of requests is meant"
    return MetricCount(query=asked, start=start, end=end, value=value, problem=problem)


def no_curve(
    start: datetime,
    end: datetime,
    asked_at: datetime,
    problem: str,
    kind: NoValueKind = NoValueKind.NO_ANSWER,
    step_s: float = 1.0,
) -> MetricCurve:
    """Why there is none."""
    return MetricCurve(start=start, end=end, step_s=step_s, asked_at=asked_at, problem=problem, kind=kind)


def _points(
    metric: Metric, found: RangeReading, start: datetime, end: datetime, step_s: float
) -> Iterator[MetricPoint]:
    """One for each step; what the answer leaves out is a gap. VictoriaMetrics may move the steps."""

    def read(at: datetime, reading: Reading) -> MetricPoint:
        return point_of(read_sample(metric, at, reading), PointOrigin.RANGE_QUERY)

    step = timedelta(seconds=step_s)
    due = start
    for at, value in found.values:
        if not start - step <= at <= end + step:
            continue
        while at - due > step / 2:
            yield read(due, Reading(kind=NoValueKind.EMPTY))
            due += step
        reading = Reading(kind=NoValueKind.NOT_A_NUMBER) if math.isnan(value) else Reading(value=value)
        yield read(at, reading)
        due = at + step
    while due <= end + step / 4:
        yield read(due, Reading(kind=NoValueKind.EMPTY))
        due += step
