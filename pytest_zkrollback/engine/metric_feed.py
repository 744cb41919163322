"""Asks for metrics from before helm on, each in a daemon thread of its own: nothing waits for an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Lock
from typing import Final

from ..clients.prometheus import PrometheusClient, fill_in
from ..clients.threads import start_thread
from ..config.environment import Environment, Metric
from ..domain.item_ids import metric_id
from ..domain.metric import OF_THE_DATA, MetricPoint, MetricSeries, NoValueKind, Reading
from ..domain.ports import Clock

# 75 minutes in the slowest rhythm, and 15 times `for_s` in the others.
KEPT: Final = 300
POINTS: Final = 240
# The picture begins before the version that was left, by so much; never further back than that.
_BEFORE: Final = timedelta(minutes=15)
_FARTHEST: Final = timedelta(hours=6)
_STEPS: Final = 60
# Whoever was refused is asked no more often: a token that is wrong stays wrong, and may be locked out.
_REFUSED_S: Final = 15.0


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


def limits(metric: Metric) -> str:
    """``at most 1 %``."""
    said = []
    if metric.min is not None:
        said.append(f"at least {shown(metric, metric.min)}")
    if metric.max is not None:
        said.append(f"at most {shown(metric, metric.max)}")
    return " and ".join(said)


def shown(metric: Metric, value: float) -> str:
    """``0.42 %``."""
    return f"{value:.4g} {metric.unit}".strip()


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


class MetricFeed:
    """The samples of one metric."""

    def __init__(self, metric: Metric, query: str, client: PrometheusClient, clock: Clock) -> None:
        """Nothing is asked before :meth:`begin`."""
        self.metric = metric
        self.query = query
        self._client = client
        self._clock = clock
        self._samples: tuple[MetricSample, ...] = ()
        self._points: list[MetricPoint] = []
        self._before: tuple[MetricPoint, ...] = ()
        self._lock = Lock()
        self._over = Event()

    def begin(self, picture_from: datetime) -> None:
        """Ask in a thread, at once and then in its rhythm, and once for what was from ``picture_from`` on."""
        start_thread(f"zkrollback-{metric_id(self.metric.id)}", self._keep_asking)
        start_thread(
            f"zkrollback-{metric_id(self.metric.id)}-before", lambda: self._read_before(picture_from)
        )

    def stop(self) -> None:
        """Ask no more; an answer that is under way is not waited for."""
        self._over.set()

    def samples(self) -> tuple[MetricSample, ...]:
        """The newest samples, oldest first."""
        return self._samples

    def points(self) -> tuple[MetricPoint, ...]:
        """All that was seen, thinned out, oldest first."""
        with self._lock:
            first = self._points[0].at if self._points else None
            before = [each for each in self._before if first is None or each.at < first]
            return thinned((*before, *self._points), POINTS)

    def _keep_asking(self) -> None:
        while not self._over.is_set():
            at = self._clock.now()
            try:
                reading = self._client.query(self.query)
            except Exception as error:  # noqa: BLE001 - a bug in asking must not end the watch without a word
                text = f"asking failed inside this tool: {type(error).__name__}: {error}"
                reading = Reading(kind=NoValueKind.NO_ANSWER, text=text)
            if self._over.is_set():
                return
            self._add(read_sample(self.metric, at, reading))
            pause_s = interval_s(self.metric)
            if reading.kind in (NoValueKind.UNAUTHORIZED, NoValueKind.BAD_QUERY):
                pause_s = max(pause_s, _REFUSED_S)
            self._over.wait(pause_s)

    def _add(self, sample: MetricSample) -> None:
        with self._lock:
            if self._samples and sample.at <= self._samples[-1].at:
                return  # the clock was set back a little: the next one is later
            self._samples = (*self._samples, sample)[-KEPT:]
            self._points.append(_point(sample))
            if len(self._points) > 2 * POINTS:
                self._points = list(thinned(self._points, POINTS))

    def _read_before(self, picture_from: datetime) -> None:
        now = self._clock.now()
        start = max(picture_from, now - _FARTHEST)
        span_s = (now - start).total_seconds()
        if span_s <= 0:
            return
        found = self._client.query_range(self.query, start, now, max(1.0, span_s / _STEPS))
        samples = [read_sample(self.metric, at, Reading(value=value)) for at, value in found.values]
        with self._lock:
            self._before = tuple(_point(sample) for sample in samples)


class MetricFeeds:
    """The feeds of an environment's metrics; without any nothing is ever asked."""

    def __init__(self, env: Environment, environ: Mapping[str, str], clock: Clock) -> None:
        """``environ`` holds the secrets that the table names. Nothing is asked before :meth:`begin`."""
        self._feeds: dict[str, MetricFeed] = {}
        self.unusable = ""  # why nothing can be asked
        if env.metrics:
            client = PrometheusClient(env.metrics, environ, clock)
            self.unusable = client.unusable
            for metric in env.metric_checks:
                query = fill_in(metric.query, env.namespace, env.release)
                self._feeds[metric.id] = MetricFeed(metric, query, client, clock)
        self._began = False
        self._settles_from: datetime | None = None
        self.settles_after = "the run's beginning"
        self._clock = clock

    def __getitem__(self, metric: str) -> MetricFeed:
        """The feed of the metric with that id in the configuration."""
        return self._feeds[metric]

    def begin(self, incident_from: datetime) -> None:
        """Begin to ask, once; ``incident_from``: when what is to be left came, as far as that is known."""
        if self._began:
            return
        self._began = True
        for feed in self._feeds.values():
            feed.begin(incident_from - _BEFORE)

    def settle_from(self, at: datetime, after: str) -> None:
        """From here on ``settle_s`` is counted; ``after``: what that is, as in "helm's end"."""
        self._settles_from, self.settles_after = at, after

    @property
    def settles_from(self) -> datetime:
        """From when ``settle_s`` is counted; not earlier than now where nobody said."""
        return self._settles_from or self._clock.now()

    def stop(self) -> None:
        """Ask no more."""
        for feed in self._feeds.values():
            feed.stop()

    def series(self) -> tuple[MetricSeries, ...]:
        """What was seen so far, for the record; empty where nothing was asked."""
        if not self._began:
            return ()
        found = []
        for feed in self._feeds.values():
            metric, begun = feed.metric, self._settles_from
            found.append(
                MetricSeries(
                    id=metric_id(metric.id),
                    title=metric.title,
                    query=feed.query,
                    unit=metric.unit,
                    max=metric.max,
                    min=metric.min,
                    counts_from=begun + timedelta(seconds=metric.settle_s) if begun is not None else None,
                    points=feed.points(),
                )
            )
        return tuple(found)


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


def _point(sample: MetricSample) -> MetricPoint:
    finite = sample.value is not None and math.isfinite(sample.value)
    kind = sample.reading.kind
    if sample.value is not None and not finite:
        kind = NoValueKind.INFINITE
    return MetricPoint(at=sample.at, value=sample.value if finite else None, within=sample.within, kind=kind)
