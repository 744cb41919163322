"""What a metric's picture shows, in sentences: for readers without it, for Markdown and for messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..domain.metric import MetricSeries, PointOrigin, limits, shown
from ..domain.record import Record
from .formatting import capital, clock_time, duration, moment
from .metric_facts import MetricFacts, find_metrics
from .sanitize import inert_line

_SAID_LIMIT = 300
_TITLE_LIMIT = 80
_MOST_OUT = 2


def metric_words(found: MetricFacts, series: MetricSeries, record: Record) -> tuple[str, ...]:
    """The picture of one metric in sentences."""
    return tuple(inert_line(each) for each in _sentences(found, series, record))


def _sentences(found: MetricFacts, series: MetricSeries, record: Record) -> Iterator[str]:
    if found.origin is None or found.start is None or found.end is None:
        yield "No value is known."
        yield from filter(None, (count_words(found), source_words(found)))
        return
    yield f"{capital(bounds_words(found))}. The limit is {limits(series)}."
    values = []
    if found.infinite:
        values.append("Infinite values were out of bounds.")
    if found.worst is not None and found.worst_at is not None:
        values.append(f"Worst: {shown(series, found.worst)} at {at_time(found.worst_at, record)}.")
    if found.at_helm is not None:
        values.append(f"When helm began: {shown(series, found.at_helm)}.")
    last = "not known" if found.last is None else shown(series, found.last)
    values.append(f"At the end ({at_time(found.end, record)}): {last}.")
    yield " ".join(values)
    if said := count_words(found):
        yield said
    if found.unknown_s:
        about = "about " if found.at_most else ""
        yield f"No value for {about}{duration(found.unknown_s)} in all: how it was then is not known."
    if found.assumed_s:
        yield f"No value for {duration(found.assumed_s)} in all, and when_empty stands in for it."
    yield source_words(found)


def impact_words(record: Record) -> str:
    """How long metrics were out of bounds, and how many requests failed; empty where none says so."""
    metrics = find_metrics(record)
    out = [each for each in metrics if each.out]
    said = []
    for each in out[:_MOST_OUT]:
        by = {PointOrigin.RANGE_QUERY: "Prometheus", PointOrigin.SAMPLED: "this run's samples"}
        source = by[each.origin] if each.origin is not None else ""
        title = inert_line(each.title, _TITLE_LIMIT)
        said.append(f"{title}: {bounds_words(each)} (by {source}).")
    if len(out) > _MOST_OUT:
        said.append(f"{len(out) - _MOST_OUT} more metrics were out of bounds.")
    said += [count_words(each) for each in metrics if each.counted is not None]
    return " ".join(said)


def count_words(found: MetricFacts) -> str:
    """``About 1,234 requests failed from 11:37:59 to 11:55:19 UTC (count_query of metric-e).``, or empty."""
    if found.counted is None:
        return ""
    source = f"(count_query of {inert_line(found.id)})"
    if found.failed is None:
        return (
            f"How many requests failed is not known {source}: {inert_line(found.count_problem, _SAID_LIMIT)}."
        )
    start, end = found.counted.start, found.counted.end
    first = clock_time(start) if start.date() == end.date() else moment(start)
    last = f"{clock_time(end)} UTC" if start.date() == end.date() else moment(end)
    count = round(found.failed)
    many = "No request" if not found.failed else f"About {count:,} request{'' if count == 1 else 's'}"
    return f"{many} failed from {first} to {last} {source}."


def bounds_words(found: MetricFacts) -> str:
    """``out of bounds for 12 min 30 s, from 11:38:09 to 11:50:39 UTC``, or that it never was."""
    if not found.out:
        return "never seen out of bounds"
    start, end = found.out[0].start, found.out[-1].end
    first = moment(start).removesuffix(" UTC") if start.date() != end.date() else clock_time(start)
    until = (
        f"{moment(end) if start.date() != end.date() else clock_time(end) + ' UTC'}, and still then"
        if found.still_out
        else moment(end)
        if start.date() != end.date()
        else f"{clock_time(end)} UTC"
    )
    often = f" in {len(found.out)} stretches" if len(found.out) > 1 else ""
    least = "at least " if found.start is not None and start <= found.start else ""
    if not found.out_s:
        return f"out of bounds at the last value, {moment(end)}"
    if found.at_most:
        least, often = "about " if least else "at most ", ""
    return f"out of bounds for {least}{duration(found.out_s)}{often}, from {first} to {until}"


def source_words(found: MetricFacts) -> str:
    """Who says so."""
    if found.origin is PointOrigin.RANGE_QUERY:
        warned = f" {capital(inert_line(found.warning, _SAID_LIMIT))}." if found.warning else ""
        again = f" Asked again at {moment(found.asked_again_at)}." if found.asked_again_at else ""
        return f"Source: Prometheus' range query, a value every {_step(found.step_s or 0)}.{again}{warned}"
    why = f" The whole curve is not there: {inert_line(found.problem, _SAID_LIMIT)}." if found.problem else ""
    if found.origin is None:
        return why.strip() or "The whole curve was not asked for."
    return f"Source: what this run sampled.{why}"


def _step(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else duration(seconds)


def at_time(at: datetime, record: Record) -> str:
    """The time alone on the run's own day."""
    return f"{clock_time(at)} UTC" if at.date() == record.started_at.date() else moment(at)
