"""What a record says of each metric over the whole incident, worked out once. Pure.

Page, Markdown, messages and the JSON's ``facts`` read this. The sentences are made in ``metric_words.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from pydantic import Field

from ..domain.frozen import Frozen, Time
from ..domain.metric import MetricCurve, MetricPoint, MetricSeries, NoValueKind, PointOrigin
from ..domain.record import Record

_WITH_THE_RUN = timedelta(seconds=60)


class Stretch(Frozen):
    """A time without a break."""

    start: Time = Field(description="from when")
    end: Time = Field(description="until when")


class MetricFacts(Frozen):
    """One metric over the incident: when it was out of bounds, how badly, and who says so."""

    id: str = Field(description="the item's id")
    title: str = Field(description="its title")
    origin: PointOrigin | None = Field(
        default=None,
        description="sampled by this run, or Prometheus' range query; null: there is no value at all",
    )
    start: Time | None = Field(default=None, description="of the first value or gap; null: there is none")
    end: Time | None = Field(default=None, description="of the last one")
    step_s: float | None = Field(
        default=None, description="seconds between two values; null: this run's samples, which are not even"
    )
    out_s: float = Field(default=0, description="how long it was out of bounds, in seconds")
    at_most: bool = Field(
        default=False, description="values were left out: it was out of bounds at most so long"
    )
    out: tuple[Stretch, ...] = Field(default=(), description="when, oldest first")
    still_out: bool = Field(default=False, description="the last value is out of bounds")
    unknown_s: float = Field(default=0, description="for how long nobody knows, in seconds")
    assumed_s: float = Field(default=0, description="how long `when_empty` stood in for a value, in seconds")
    worst: float | None = Field(
        default=None, description="the value farthest from the limit, or nearest to it"
    )
    worst_at: Time | None = Field(default=None, description="when")
    infinite: bool = Field(default=False, description="a value out of bounds was infinite")
    at_helm: float | None = Field(
        default=None, description="the last value before helm began; null: not known"
    )
    last: float | None = Field(default=None, description="the last value; null: it is not known")
    failed: float | None = Field(
        default=None, description="how many requests failed, by `count_query`; null: not known, or not asked"
    )
    counted: Stretch | None = Field(default=None, description="from when to when; null: nothing was counted")
    count_problem: str = Field(default="", description="why it is not known how many failed")
    problem: str = Field(default="", description="why there is no curve of the range query")
    warning: str = Field(default="", description="why part of the data may be missing")
    asked_again_at: Time | None = Field(
        default=None, description="when the curve was asked for after the run; null: only by the run"
    )


def points_of(series: MetricSeries) -> tuple[MetricPoint, ...]:
    """What the picture shows: the curve, or where there is none, what was sampled."""
    curve = series.curve
    return curve.points if curve is not None and curve.points else series.points


def find_metrics(record: Record) -> tuple[MetricFacts, ...]:
    """The facts of each metric check, in the checklist's order."""
    return tuple(_find(series, record) for series in record.metrics)


def _find(series: MetricSeries, record: Record) -> MetricFacts:
    points, curve = points_of(series), series.curve
    drawn = curve is not None and bool(curve.points)
    count = series.count
    found = MetricFacts(
        id=series.id,
        title=series.title,
        failed=count.value if count is not None else None,
        counted=Stretch(start=count.start, end=count.end) if count is not None else None,
        count_problem=count.problem if count is not None and count.value is None else "",
        problem=curve.problem if curve is not None else "",
    )
    if not any(each.within is not None for each in points):
        return found
    spans = [(point, (after.at - point.at).total_seconds()) for point, after in pairwise(points)]
    worst = _worst(series, points)
    helm_at = record.helm.started_at
    before = [each for each in points if helm_at is not None and each.at <= helm_at]
    return found.model_copy(
        update={
            "origin": PointOrigin.RANGE_QUERY if drawn else PointOrigin.SAMPLED,
            "start": points[0].at,
            "end": points[-1].at,
            "step_s": curve.step_s if curve is not None and drawn else None,
            "out_s": sum(span_s for point, span_s in spans if point.within is False),
            "at_most": series.thinned and not drawn,
            "out": tuple(_stretches(points)),
            "still_out": points[-1].within is False,
            "unknown_s": sum(span_s for point, span_s in spans if point.within is None),
            "assumed_s": sum(span_s for point, span_s in spans if is_assumed(point)),
            "worst": worst.value if worst is not None else None,
            "worst_at": worst.at if worst is not None else None,
            "infinite": any(is_infinite(each) for each in points),
            "at_helm": before[-1].value if before else None,
            "last": points[-1].value,
            "warning": curve.warning if curve is not None and drawn else "",
            "asked_again_at": curve.asked_at if curve is not None and _is_later(curve, record) else None,
        }
    )


def _is_later(curve: MetricCurve, record: Record) -> bool:
    return record.finished_at is not None and curve.asked_at > record.finished_at + _WITH_THE_RUN


def is_assumed(point: MetricPoint) -> bool:
    """Whether ``when_empty`` stands in for a value that was not there."""
    return point.value is not None and point.kind is not None


def is_infinite(point: MetricPoint) -> bool:
    """Whether it was out of bounds without a finite value."""
    return point.within is False and point.kind is NoValueKind.INFINITE


def _stretches(points: Sequence[MetricPoint]) -> Iterator[Stretch]:
    """Each lasts until the next look that was not out of bounds."""
    start = None
    for point in points:
        if point.within is False:
            start = start or point.at
        elif start is not None:
            yield Stretch(start=start, end=point.at)
            start = None
    if start is not None:
        yield Stretch(start=start, end=points[-1].at)


def _worst(series: MetricSeries, points: Sequence[MetricPoint]) -> MetricPoint | None:
    """The one farthest out of bounds, else the one nearest to a limit; None: there is no finite value."""

    def beyond(point: MetricPoint) -> float:
        value = point.value or 0.0
        over = value - series.max if series.max is not None else None
        under = series.min - value if series.min is not None else None
        return max(each for each in (over, under, -float("inf")) if each is not None)

    known = [each for each in points if each.value is not None and not is_assumed(each)]
    return max(known, key=beyond, default=None)
