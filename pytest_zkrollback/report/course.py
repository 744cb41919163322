"""What happened, as one timeline: helm's history, probes, pods, verdicts, messages. Pure.

Seconds are counted from helm's start, in the table and in the pictures alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ..domain.metric import limits
from ..domain.record import Record, Revision, TimelineEntry, origin_of
from ..domain.verdict import Verdict
from .failures import listed
from .formatting import clock_time, duration, moment, of_day
from .incident_facts import (
    PENDING,
    Source,
    find_affected,
    health_answers,
    incident_began,
    ready_counts,
    split_series,
)
from .metric_facts import find_metrics, points_of

_MOST_DEPLOYS = 10
_MOST_TURNS = 20  # of a workload
_MOST_OUT = 10  # times that a metric was out of bounds
_DESCRIPTION_LIMIT = 200
_SAME_MOMENT = timedelta(seconds=2)


def counted_from(record: Record) -> tuple[datetime, str]:
    """The moment that is 0, and what it is: helm's start, or the run's where helm did not run."""
    if record.helm.started_at is not None:
        return record.helm.started_at, "helm's start"
    return record.started_at, "the run's start"


def offset(record: Record, at: datetime) -> str:
    """``+1.2 s`` or ``-12 min 40 s``: the distance from what is 0."""
    span = (at - counted_from(record)[0]).total_seconds()
    return f"{'-' if span <= -0.05 else '+'}{duration(abs(span))}"


def near(record: Record, at: datetime) -> str:
    """The time alone on the day of what is 0, which is said once, else with its date."""
    day = counted_from(record)[0].date()
    return of_day(at) if at.date() == day else moment(at)


def count_words(record: Record) -> str:
    """``Times are UTC, of 2026-11-29. 0 is helm's start, 00:29:09.``"""
    at, what = counted_from(record)
    return f"Times are UTC, of {at:%Y-%m-%d}. 0 is {what}, {clock_time(at)}."


def find_course(record: Record) -> tuple[TimelineEntry, ...]:
    """The timeline from the bad deploy on, oldest first; verdicts of one moment are one line."""
    every = (
        *_deploys(record),
        *record.timeline,
        *_health_course(record),
        *_pods_course(record),
        *_restarts(record),
        *_metrics_course(record),
    )
    return tuple(_verdicts_together(sorted(every, key=lambda each: each.at)))


def _deploys(record: Record) -> list[TimelineEntry]:
    """The history from the deploy on that users met: what was left, or what the target brought back."""
    began = incident_began(record.plan, record.impact_since)
    affected = find_affected(record)
    since = [at for at in (began or affected.left_since,) if at is not None]
    if affected.by_this_rollback and (brought := _first_with_the_targets_content(record)):
        since.append(brought.deployed_at)
    return [
        TimelineEntry(
            at=each.deployed_at,
            event=f"revision {each.revision} ({each.chart}) {_became(each)}: "
            f"{each.description[:_DESCRIPTION_LIMIT]}",
            source=Source.HISTORY,
        )
        for each in record.plan.history
        if since and min(since) <= each.deployed_at < record.started_at
    ][-_MOST_DEPLOYS:]


def _first_with_the_targets_content(record: Record) -> Revision | None:
    by_number = {each.revision: each for each in record.plan.history}
    target = record.plan.target
    return by_number.get(origin_of(target, by_number.get)) if target is not None else None


def _became(revision: Revision) -> str:
    return "began to be deployed" if revision.status.startswith(PENDING) else "was deployed"


def _health_course(record: Record) -> Iterator[TimelineEntry]:
    """The first probe, and each one whose answer is another than the one before."""
    last = None
    for at, ok in health_answers(record):
        if ok is not last:
            what = "/health passes" if ok else "/health fails"
            probe = "when first asked" if last is None else "again" if ok else "from here on"
            yield TimelineEntry(at=at, event=f"{what} {probe}", source=Source.HEALTH)
        last = ok


def _pods_course(record: Record) -> Iterator[TimelineEntry]:
    """Where the number of a workload's ready pods turned, ended, or fell below what is wanted."""
    wanted = {
        split_series(point.series)[1]: round(point.value)
        for point in record.samples
        if point.series.startswith("wanted/")
    }
    counts: dict[str, list[tuple[datetime, int]]] = {}
    for at, workload, ready in ready_counts(record):
        seen = counts.setdefault(workload, [])
        if not seen or seen[-1][1] != ready:
            seen.append((at, ready))
    for workload, seen in counts.items():
        turns = list(_turns(seen, wanted.get(workload)))
        if len(turns) > _MOST_TURNS:
            turns = [*turns[: _MOST_TURNS // 2], *turns[-_MOST_TURNS // 2 :]]
        for at, ready in turns:
            yield TimelineEntry(
                at=at, event=_ready_words(workload, ready, wanted.get(workload)), source=Source.PODS
            )


def _turns(seen: Sequence[tuple[datetime, int]], wanted: int | None) -> Iterator[tuple[datetime, int]]:
    for index, (at, ready) in enumerate(seen):
        ends = index in (0, len(seen) - 1)
        turns = ends or (ready > seen[index - 1][1]) != (seen[index + 1][1] > ready)
        falls_below = index > 0 and wanted is not None and ready < wanted <= seen[index - 1][1]
        if turns or falls_below:
            yield at, ready


def _ready_words(workload: str, ready: int, wanted: int | None) -> str:
    if wanted is not None and ready <= wanted:
        return f"{workload}: {ready} of {wanted} pods ready"
    more = "" if wanted is None else f", {wanted} wanted: old and new ones"
    return f"{workload}: {ready} ready pod{'' if ready == 1 else 's'}{more}"


def _restarts(record: Record) -> Iterator[TimelineEntry]:
    """The first restart of a container of each version that was seen."""
    said = set()
    for point in sorted(record.samples, key=lambda each: each.at):
        kind, workload, version = split_series(point.series)
        if kind == "restarts" and point.series not in said:
            said.add(point.series)
            yield TimelineEntry(
                at=point.at,
                event=f"{workload}: first restart of a container of {version}",
                source=Source.PODS,
            )


def _metrics_course(record: Record) -> Iterator[TimelineEntry]:
    """When each metric went out of bounds, and when it no longer was."""
    for series, found in zip(record.metrics, find_metrics(record), strict=True):
        few = found.out
        if len(few) > _MOST_OUT:
            few = (*few[: _MOST_OUT // 2], *few[-_MOST_OUT // 2 :])
        within = {point.at: point.within for point in points_of(series)}
        for each in few:
            said = f"{series.id}: out of bounds from here on (limit: {limits(series)})"
            yield TimelineEntry(at=each.start, event=said, source=Source.METRICS)
            if within.get(each.end) is not False:
                ended = "in order again" if within.get(each.end) else "not known from here on"
                yield TimelineEntry(at=each.end, event=f"{series.id}: {ended}", source=Source.METRICS)


def _verdicts_together(entries: Sequence[TimelineEntry]) -> Iterator[TimelineEntry]:
    """Verdicts of the same moment as one entry, at the time of the first: the checks say more."""
    begun: list[TimelineEntry] = []
    for each in entries:
        if begun and (not each.item or each.at - begun[0].at > _SAME_MOMENT):
            yield _together(begun)
            begun = []
        if each.item:
            begun.append(each)
        else:
            yield each
    if begun:
        yield _together(begun)


def _together(entries: Sequence[TimelineEntry]) -> TimelineEntry:
    first = entries[0]
    if len(entries) == 1:
        return first
    by_word = {
        word: [each.item for each in entries if each.verdict is word]
        for word in (Verdict.FAIL, Verdict.UNVERIFIED, Verdict.PASS)
    }
    said = "; ".join(f"{word}: {listed(items)}" for word, items in by_word.items() if items)
    return first.model_copy(update={"event": said})
