"""Asks for metrics from before helm on, each in a daemon thread of its own: nothing waits for an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock
from typing import Any, Final

from ..clients.prometheus import PrometheusClient, fill_in, fill_in_times
from ..clients.threads import start_thread, submit
from ..config.environment import Environment, Metric
from ..domain.item_ids import metric_id
from ..domain.metric import MetricCount, MetricCurve, MetricPoint, MetricSeries, NoValueKind, Reading
from ..domain.ports import Clock
from .metric_curve import MOST_POINTS, fetch_count, fetch_curve, no_curve, picture_begins
from .metric_sample import MetricSample, interval_s, point_of, read_sample, thinned

# 75 minutes in the slowest rhythm, and 15 times `for_s` in the others.
KEPT: Final = 300
POINTS: Final = MOST_POINTS
# Of what was before this run the watch needs an outline only.
_BEFORE_POINTS: Final = 61
_TICK_S: Final = 0.05
# How long metrics may take to say how they were over the whole incident.
INCIDENT_S: Final = 3.0
# Whoever was refused is asked no more often: a token that is wrong stays wrong, and may be locked out.
_REFUSED_S: Final = 15.0


class MetricFeed:
    """The samples of one metric."""

    def __init__(
        self, metric: Metric, query: str, client: PrometheusClient, clock: Clock, count_query: str = ""
    ) -> None:
        """Nothing is asked before :meth:`begin`. In ``count_query`` {range}, {from} and {to} are open."""
        self.metric = metric
        self.query = query
        self.count_query = count_query
        now = clock.now()
        self._window = (now, now, now)
        self._client = client
        self._clock = clock
        self._samples: tuple[MetricSample, ...] = ()
        self._points: list[MetricPoint] = []
        self._thinned = False
        self._before: tuple[MetricPoint, ...] = ()
        self._curve: MetricCurve | None = None
        self._count: MetricCount | None = None
        self._asked: list[Future[Any]] = []  # of a MetricCurve and of a MetricCount
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
            seen = (*before, *self._points)
            self._thinned = self._thinned or len(seen) > POINTS
            return thinned(seen, POINTS)

    @property
    def is_thinned(self) -> bool:
        """Whether values were left out of :meth:`points`."""
        return self._thinned

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
                self._thinned = True
                self._points = list(thinned(self._points, POINTS))

    def _read_before(self, picture_from: datetime) -> None:
        found = self._fetch_curve(picture_from, self._clock.now(), _BEFORE_POINTS)
        with self._lock:
            self._before = found.points

    def ask_incident(self, began: datetime, until: datetime, timeout_s: float) -> None:
        """Ask in threads for the whole curve and the count; not where the last question got no answer."""
        start = picture_begins(began, until)
        self._window, self._asked = (start, began, until), []
        newest = self._samples[-1] if self._samples else None
        if newest is None or newest.reading.kind is NoValueKind.NO_ANSWER:
            self._give_up(
                f"not asked for: {newest.reading.text if newest is not None else 'it never answered'}"
            )
            return
        name = f"zkrollback-{metric_id(self.metric.id)}"
        curve = partial(self._fetch_curve, start, until, MOST_POINTS, timeout_s)
        self._asked = [submit(f"{name}-curve", curve)]
        if self.count_query:
            count = partial(fetch_count, self.count_query, self._client, began, until, timeout_s)
            self._asked.append(submit(f"{name}-count", count))

    def take_incident(self, patience_s: float, if_late: str = "") -> bool:
        """Wait so long for the answers; True: all are there. ``if_late``: nobody waits on, and why not."""
        done, still = wait(self._asked, timeout=patience_s)
        for future in done:
            self._asked.remove(future)
            error = future.exception()
            if error is not None:  # a bug in what is only shown must not end a run
                self._give_up(f"asking failed inside this tool: {type(error).__name__}: {error}")
            else:
                self._keep(future.result())
        if still and if_late:
            self._asked = []
            self._give_up(if_late)
        return not still

    def _keep(self, found: MetricCurve | MetricCount) -> None:
        """An answer takes the place of an earlier one; what went wrong does not, and is said."""
        if isinstance(found, MetricCount):
            if found.value is not None or self._count is None or self._count.value is None:
                self._count = found
        elif found.problem and self._curve is not None and not self._curve.problem:
            self._curve = self._curve.model_copy(update={"warning": f"its end is missing: {found.problem}"})
        else:
            self._curve = found

    def _give_up(self, why: str) -> None:
        """Say it of what has not come."""
        start, began, until = self._window
        if self._curve is None or self._curve.end < until:
            self._keep(no_curve(start, until, self._clock.now(), why))
        if self.count_query and (self._count is None or self._count.end < until):
            query = fill_in_times(self.count_query, began, until)
            self._keep(MetricCount(query=query, start=began, end=until, problem=why))

    @property
    def incident(self) -> tuple[MetricCurve | None, MetricCount | None]:
        """What has come so far."""
        return self._curve, self._count

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
                count = fill_in(metric.count_query or "", env.namespace, env.release)
                self._feeds[metric.id] = MetricFeed(metric, query, client, clock, count)
        self._users_impacted = env.metrics.users_impacted if env.metrics else None
        self._began, self._incident_from = False, clock.now()
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
        self._began, self._incident_from = True, incident_from
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

    def ask_incident(self, timeout_s: float) -> None:
        """When a verdict is out: ask for whole curves and counts, in threads, if anything was asked."""
        until = self._clock.now()
        for feed in self._feeds.values() if self._began else ():
            feed.ask_incident(self._incident_from, until, timeout_s)

    def wait_for_incident(self, timeout_s: float, stop: Callable[[], bool]) -> bool:
        """Wait for all of that so long at most; ``stop`` ends it. True: :meth:`series` has changed."""
        ends_s = self._clock.monotonic_s() + timeout_s
        for feed in self._feeds.values() if self._began else ():
            while not feed.take_incident(_TICK_S) and not stop() and self._clock.monotonic_s() < ends_s:
                pass
            feed.take_incident(0, if_late=f"no complete answer within {timeout_s:g} s")
        return self._began and bool(self._feeds)

    def series(self) -> tuple[MetricSeries, ...]:
        """What was seen so far, for the record; empty where nothing was asked."""
        if not self._began:
            return ()
        found = []
        for feed in self._feeds.values():
            metric, begun = feed.metric, self._settles_from
            feed.take_incident(0)
            curve, count = feed.incident
            found.append(
                MetricSeries(
                    id=metric_id(metric.id),
                    title=metric.title,
                    query=feed.query,
                    unit=metric.unit,
                    max=metric.max,
                    min=metric.min,
                    users_impacted=metric.id == self._users_impacted,
                    counts_from=begun + timedelta(seconds=metric.settle_s) if begun is not None else None,
                    curve=curve,
                    count=count,
                    points=feed.points(),
                    thinned=feed.is_thinned,
                )
            )
        return tuple(found)
