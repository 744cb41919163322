"""What one answer means for a metric, and what is kept of many. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..config.environment import Metric
from ..domain.metric import OF_THE_DATA, MetricPoint, NoValueKind, PointOrigin, Reading


@dataclass(frozen=True)
class MetricSample:
    """One look. ``value`` is what is judged; ``within`` whether it is within the limits, None: not known.

    ``assumed``: there was none, and ``when_empty`` stands in for it.
    """

    at: datetime
    reading: Reading
    value: float | None
    within: bool | None
    assumed: bool = False

    @property
    def answered(self) -> bool:
        """Whether the server said something of the metric, be it that it has no value."""
        return self.reading.kind is None or self.reading.kind in OF_THE_DATA


def interval_s(metric: Metric) -> float:
    """Seconds between two questions: twenty in the time that has to be in order."""
    return min(15.0, max(0.25, metric.for_s / 20))


def gap_s(metric: Metric) -> float:
    """Longer without a value is a gap, in which nobody knows how the metric was."""
    return min(metric.for_s, max(5.0, 3 * interval_s(metric), min(30.0, metric.for_s / 4)))


def read_sample(metric: Metric, at: datetime, reading: Reading) -> MetricSample:
    """What an answer means for this metric."""
    value, assumed = reading.value, False
    if reading.kind in (NoValueKind.EMPTY, NoValueKind.NOT_A_NUMBER) and metric.when_empty is not None:
        value, assumed = metric.when_empty, True
    if value is None:
        return MetricSample(at, reading, None, None)
    within = (metric.max is None or value <= metric.max) and (metric.min is None or value >= metric.min)
    if within and math.isinf(value):  # out of bounds it is a number; that it is in order nobody believes
        text = f"the query's value is {value:+}, and that is no measurement"
        return MetricSample(at, Reading(kind=NoValueKind.INFINITE, text=text), None, None)
    return MetricSample(at, reading, value, within, assumed)


def thinned(points: Sequence[MetricPoint], most: int) -> tuple[MetricPoint, ...]:
    """At most ``most``, first and last among them; of two neighbours the one that is less in order stays."""
    kept = list(points)
    while len(kept) > most:
        inner = kept[1:-1]
        pairs = [inner[index : index + 2] for index in range(0, len(inner), 2)]
        kept = [kept[0], *(min(pair, key=_in_order) for pair in pairs), kept[-1]]
    return tuple(kept)


def _in_order(point: MetricPoint) -> int:
    return 0 if point.within is False else 1 if point.within is None else 2


def point_of(sample: MetricSample, origin: PointOrigin = PointOrigin.SAMPLED) -> MetricPoint:
    """As the record keeps it, which holds no infinite number."""
    finite = sample.value is not None and math.isfinite(sample.value)
    kind = sample.reading.kind
    if sample.value is not None and not finite:
        kind = NoValueKind.INFINITE
    value = sample.value if finite else None
    return MetricPoint(at=sample.at, value=value, within=sample.within, kind=kind, origin=origin)
