"""Asks for metrics from before helm on, each in a daemon thread of its own: nothing waits for an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock
from typing import Final

from ..clients.prometheus import PrometheusClient, fill_in
from ..clients.threads import start_thread, submit
from ..config.environment import Environment, Metric
from ..domain.item_ids import metric_id
from ..domain.metric import MetricCurve, MetricPoint, MetricSeries, NoValueKind, Reading
from ..domain.ports import Clock
from .metric_curve import MOST_POINTS, fetch_curve, no_curve, picture_begins
from .metric_sample import MetricSample, interval_s, point_of, read_sample, thinned

# 75 minutes in the slowest rhythm, and 15 times `for_s` in the others.
KEPT: Final = 300
POINTS: Final = MOST_POINTS
# Of what was before this run the watch needs an outline only.
_BEFORE_POINTS: Final = 61
_TICK_S: Final = 0.05
# Whoever was refused is asked no more often: a token that is wrong stays wrong, and may be locked out.
_REFUSED_S: Final = 15.0


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
        self._curve: MetricCurve | None = None
        self._asked: Future[MetricCurve] | None = None
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
            self._points.append(point_of(sample))
            if len(self._points) > 2 * POINTS:
                self._points = list(thinned(self._points, POINTS))

    def _read_before(self, picture_from: datetime) -> None:
        found = self._fetch_curve(picture_from, self._clock.now(), _BEFORE_POINTS)
        with self._lock:
            self._before = found.points

    def ask_curve(self, picture_from: datetime, until: datetime, timeout_s: float) -> None:
        """Ask in a thread for the whole curve, for the record; not where the last question got no answer."""
        newest = self._samples[-1] if self._samples else None
        if newest is None or newest.reading.kind is NoValueKind.NO_ANSWER:
            why = newest.reading.text if newest is not None else "it never answered"
            self._curve = no_curve(picture_from, until, self._clock.now(), f"not asked for: {why}")
            return
        late = f"no complete answer within {timeout_s:g} s"
        self._curve = no_curve(picture_from, until, self._clock.now(), late)
        work = partial(self._fetch_curve, picture_from, until, MOST_POINTS, timeout_s)
        self._asked = submit(f"zkrollback-{metric_id(self.metric.id)}-curve", work)

    def take_curve(self, patience_s: float) -> bool:
        """Wait so long for its answer; True: it is there, or none will come."""
        if self._asked is None:
            return True
        try:
            self._curve = self._asked.result(timeout=patience_s)
        except FutureTimeoutError:
            return False
        except Exception as error:  # noqa: BLE001 - a bug in drawing must not end a run
            said = f"asking failed inside this tool: {type(error).__name__}: {error}"
            self._curve = self._curve and self._curve.model_copy(update={"problem": said})
        self._asked = None
        return True

    @property
    def curve(self) -> MetricCurve | None:
        """What the range query gave; None: it was not asked."""
        return self._curve

    def _fetch_curve(
        self, start: datetime, end: datetime, most: int, timeout_s: float | None = None
    ) -> MetricCurve:
        found = fetch_curve(self.metric, self.query, self._client, start, end, most, timeout_s)
        return found.model_copy(update={"asked_at": self._clock.now()})


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
            feed.begin(picture_begins(incident_from, self._clock.now()))

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

    def ask_curves(self, incident_from: datetime, timeout_s: float) -> None:
        """When the verdict is out: ask for each whole curve, in threads, if anything was asked so far."""
        until = self._clock.now()
        for feed in self._feeds.values() if self._began else ():
            feed.ask_curve(picture_begins(incident_from, until), until, timeout_s)

    def wait_for_curves(self, timeout_s: float, stop: Callable[[], bool]) -> bool:
        """Wait for them together so long at most; ``stop`` ends it. True: :meth:`series` has changed."""
        ends_s = self._clock.monotonic_s() + timeout_s
        for feed in self._feeds.values():
            while not feed.take_curve(_TICK_S) and not stop() and self._clock.monotonic_s() < ends_s:
                pass
        return any(feed.curve is not None for feed in self._feeds.values())

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
                    curve=feed.curve,
                    points=feed.points(),
                )
            )
        return tuple(found)
