"""Metrics: in order for ``for_s`` without a gap, once ``settle_s`` has passed since helm's end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from ..config.environment import Metric, Metrics
from ..domain.checks import History
from ..domain.item_ids import metric_id
from ..domain.metric import limits, shown
from ..domain.ports import Stage
from ..domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence
from ..engine.metric_sample import MetricSample, gap_s, interval_s
from ..report.formatting import clock_time, duration

_LOOK_S = 0.5
_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class MetricCheck:
    """One metric of the configuration.

    ``samples`` gives what its feed has seen so far; ``settle_from``: helm's end, or the run's beginning, as
    ``settles_after`` says.
    """

    metric: Metric
    table: Metrics
    query: str
    samples: Callable[[], tuple[MetricSample, ...]]
    settle_from: datetime
    settles_after: str
    stage: Stage = field(default=Stage.SOAK, init=False)
    interval_s: float | None = field(default=_LOOK_S, init=False)  # at the feed: it asks in its own rhythm
    soak_interval_s: float | None = field(default=_LOOK_S, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=False, init=False)
    failure_ends_waiting: bool = field(default=False, init=False)
    waiting_may_end: bool = field(default=False, init=False)

    @property
    def id(self) -> str:
        """``metric-ID``."""
        return metric_id(self.metric.id)

    @property
    def title(self) -> str:
        """The configuration's."""
        return self.metric.title

    @property
    def expected(self) -> str:
        """The limits, for how long, and from when on."""
        metric = self.metric
        start = f"{metric.settle_s:g} s after {self.settles_after}"
        return f"{limits(metric)} for {metric.for_s:g} s, from {start} on"

    @property
    def command(self) -> str:
        """curl with the same question; secrets stand there as the variables that hold them."""
        table = self.table
        argv = ["curl", "-sS", "-G", "--max-time", f"{table.timeout_s:g}"]
        if table.ca_file:
            argv += ["--cacert", table.ca_file]
        argv += ["--proxy", table.proxy] if table.proxy else ["--noproxy", "*"]
        secrets = {"Authorization": f"Bearer ${table.token_env}"} if table.token_env else {}
        secrets |= {header: f"${variable}" for header, variable in table.headers_env.items()}
        shown = [f'-H "{header}: {value}"' for header, value in secrets.items()]
        url = f"{table.url.rstrip('/')}/api/v1/query"
        asked = shlex.join(["--data-urlencode", f"query={self.query}", url])
        return " ".join([shlex.join(argv), *shown, asked])

    @property
    def deadline_s(self) -> float:
        """The judge keeps the deadline itself, by the server's clock; this one is never earlier."""
        return self.metric.gives_up_s + _LOOK_S * 4

    @property
    def watched_until(self) -> datetime:
        """When it passes if it is in order: with the look that comes after ``for_s``."""
        metric = self.metric
        needs_s = metric.settle_s + metric.for_s + interval_s(metric) + 2 * _LOOK_S
        return self.settle_from + timedelta(seconds=min(needs_s, metric.gives_up_s))

    def observe(self) -> tuple[MetricSample, ...]:
        """What is known by now; asks nobody."""
        return self.samples()

    def judge(self, history: History, now: datetime) -> Judgement:
        """By the newest look at the feed, which holds all samples."""
        seen = history.last.value if history.last is not None and history.last.error is None else ()
        found = judge_samples(self.metric, seen, self.settle_from, now)
        place = urlsplit(self.table.url)
        proof = _evidence(self.metric, self.query, f"{place.scheme}://{place.netloc}", seen)
        return found.model_copy(update={"evidence": proof})


def judge_samples(
    metric: Metric, samples: Sequence[MetricSample], settle_from: datetime, now: datetime
) -> Judgement:
    """PASS where the last ``for_s`` hold only values in order, and no gap; a deadline of its own ends it.

    FAIL at the deadline where it was seen out of bounds in the last ``for_s`` and a value is known now; else
    UNVERIFIED, by what is wrong with the newest sample.
    """
    counts_from = settle_from + timedelta(seconds=metric.settle_s)
    ends_at = settle_from + timedelta(seconds=metric.gives_up_s)
    gap = timedelta(seconds=gap_s(metric))
    counted = [sample for sample in samples if sample.at >= counts_from]
    stretch = _in_order(counted, gap)
    known = next((sample for sample in reversed(counted) if sample.answered), None)
    known = known if known is not None and now - known.at <= gap else None
    if stretch and known is stretch[-1] and stretch[-1].at - stretch[0].at >= timedelta(seconds=metric.for_s):
        return _passed(metric, stretch)
    recent = [sample for sample in counted if now - sample.at <= timedelta(seconds=metric.for_s)]
    out = [sample for sample in recent if sample.within is False]
    failing = bool(out) and known is not None and known.within is not None
    if now >= ends_at:
        return _at_deadline(metric, counted, stretch, out if failing else [], now)
    in_order = bool(stretch) and known is stretch[-1]
    passes_at = (stretch[0].at if in_order else counts_from) + timedelta(seconds=metric.for_s)
    return Pending(
        observed=_so_far(metric, samples, stretch if known is not None else [], counts_from, now),
        seen=failing,
        failing=known is not None and known.within is False,
        # What is not in order may become so at any time, until the deadline.
        watch_until=min(passes_at, ends_at) if in_order or now < counts_from else ends_at,
    )


def _in_order(samples: Sequence[MetricSample], gap: timedelta) -> list[MetricSample]:
    """The samples at the end that are in order, without a gap between them; no answer only leaves one."""
    found: list[MetricSample] = []
    for sample in reversed(samples):
        if not sample.answered:
            continue
        if not sample.within or (found and found[-1].at - sample.at > gap):
            break
        found.append(sample)
    return found[::-1]


def _passed(metric: Metric, stretch: Sequence[MetricSample]) -> CheckResult:
    span_s = (stretch[-1].at - stretch[0].at).total_seconds()
    values = [sample.value for sample in stretch if sample.value is not None]
    extreme = f"At most {shown(metric, max(values))}"
    if metric.max is None:
        extreme = f"At least {shown(metric, min(values))}"
    elif metric.min is not None:
        extreme = f"{shown(metric, min(values))} to {shown(metric, max(values))}"
    assumed = sum(sample.assumed for sample in stretch)
    said = f"{extreme} in {span_s:.0f} s (limit: {limits(metric)}), {len(stretch)} samples"
    if assumed:
        said += f", {assumed} of them without a value and counted as {metric.when_empty:g} (when_empty)"
    silent = assumed == len(stretch)
    limit = f"Not checked: metric {metric.id} had no value at all, and when_empty stands in for it."
    return CheckResult(word=Verdict.PASS, observed=f"{said}.", limits=(limit,) if silent else ())


def _at_deadline(
    metric: Metric,
    counted: Sequence[MetricSample],
    stretch: Sequence[MetricSample],
    out: Sequence[MetricSample],
    now: datetime,
) -> CheckResult:
    """``out``: what was out of bounds in the last ``for_s``, where that decides."""
    if not out:
        why = _why_not_known(metric, counted, stretch, now)
        return CheckResult(word=Verdict.UNVERIFIED, observed=f"Not known at its deadline: {why}.")
    newest = out[-1]
    said = (
        f"{_value(metric, newest)} at {clock_time(newest.at)} UTC (limit: {limits(metric)}), at its deadline"
    )
    first = _first_out(counted, newest)
    if first is not newest:
        said += f"; out of bounds since {clock_time(first.at)} UTC"
    if stretch:
        said += f"; in order after that, but not for {metric.for_s:g} s"
    return CheckResult(word=Verdict.FAIL, observed=f"{said}.")


def _first_out(samples: Sequence[MetricSample], newest: MetricSample) -> MetricSample:
    """Since when it was never seen in order, up to ``newest``."""
    first = newest
    for sample in reversed([each for each in samples if each.at <= newest.at]):
        if sample.within:
            break
        if sample.within is False:
            first = sample
    return first


def _value(metric: Metric, sample: MetricSample) -> str:
    """The value, or why there is none."""
    return sample.reading.text if sample.value is None else shown(metric, sample.value)


def _why_not_known(
    metric: Metric, counted: Sequence[MetricSample], stretch: Sequence[MetricSample], now: datetime
) -> str:
    newest = counted[-1] if counted else None
    if newest is None:
        return "no answer came after settle_s"
    if newest.within is None:
        return newest.reading.text
    silent_s = (now - newest.at).total_seconds()
    if silent_s > gap_s(metric):
        return f"the last value is {duration(silent_s)} old"
    span_s = (stretch[-1].at - stretch[0].at).total_seconds() if stretch else 0.0
    return f"in order for {span_s:.0f} of {metric.for_s:g} s only; before that there was no value"


def _so_far(
    metric: Metric,
    samples: Sequence[MetricSample],
    stretch: Sequence[MetricSample],
    counts_from: datetime,
    now: datetime,
) -> str:
    newest = samples[-1] if samples else None
    if newest is None:
        return "Not answered yet"
    said = _value(metric, newest)
    said += f" (limit: {limits(metric)})" if newest.value is not None else ""
    if now < counts_from:
        return f"{said}; counts from {clock_time(counts_from)} UTC on"
    if not stretch:
        return said
    span_s = (stretch[-1].at - stretch[0].at).total_seconds()
    return f"{said}; in order for {span_s:.0f} of {metric.for_s:g} s"


def _evidence(
    metric: Metric, query: str, place: str, samples: Iterable[MetricSample]
) -> tuple[Evidence, ...]:
    lines: list[str] = []
    infos: dict[str, None] = {}
    every = list(samples)
    for sample in every[-_SHOWN:]:
        said = _value(metric, sample)
        if sample.assumed:
            said += f"  (when_empty; {sample.reading.kind})"
        word = {True: "in order", False: "OUT OF BOUNDS", None: "not known"}[sample.within]
        lines.append(f"{clock_time(sample.at)}  {word:<13}  {said}")
        infos |= dict.fromkeys(sample.reading.infos)
    found = [evidence(f"Query, asked of {place}", query)]
    if lines:
        found.append(evidence(f"Last {len(lines)} of {len(every)} answers (UTC)", "\n".join(lines)))
    if infos:
        found.append(evidence("What the server remarks on the query", "\n".join(infos)))
    return tuple(found)
