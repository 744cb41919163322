"""Asks Prometheus again when a run is over: its record then shows the time after it. No verdict changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ..clients.clock import SystemClock
from ..clients.prometheus import PrometheusClient, fill_in
from ..clients.threads import submit_each
from ..config.environment import Environment, Metric
from ..config.loader import DRILL, find_config, load_environment
from ..domain.errors import UsageProblem
from ..domain.item_ids import metric_id
from ..domain.metric import MetricCount, MetricCurve, MetricSeries
from ..domain.ports import Clock
from ..domain.record import Outcome, Record
from ..engine.metric_curve import fetch_count, fetch_curve, picture_begins
from ..report.formatting import capital, moment
from ..report.incident_facts import find_window
from ..report.note_files import change_record
from ..report.record_problem import RecordProblem, explain_problem
from ..report.redaction import Redactor
from .secrets import redactor_of_this_process, register_secrets_of_environment

NOTHING_DONE, _NOT_ALL = 2, 1
# So long after the run the curve goes on: a longer picture would hide the incident.
_AFTER: Final = timedelta(hours=1)
_WORKERS: Final = 4
# A server that has forgotten part of the incident may not take it out of the record.
_MUCH: Final = 0.9


@dataclass(frozen=True)
class Refreshed:
    """What came for one metric; ``problem``: why nothing did."""

    id: str
    curve: MetricCurve | None = None
    count: MetricCount | None = None
    problem: str = ""


def refresh_metrics(file: Path, config: str | None) -> int:
    """The exit code: 0; 1 where not every metric could be read; 2 where nothing was changed.

    Says on stderr what became of each.
    """
    try:
        clock, redactor = SystemClock(), redactor_of_this_process()
        record = Record.model_validate_json(file.read_bytes())
        env = _environment(record, config)
        register_secrets_of_environment(redactor, env, os.environ)
        found = tuple(_clean(each, redactor) for each in ask_again(record, env, os.environ, clock, redactor))
        if any(not each.problem for each in found):
            change_record(file, lambda current: with_metrics(current, found))
    except RecordProblem as problem:
        return _say(explain_problem(file, problem))
    for each in found:
        if each.curve is None or each.problem:
            _say(f"{each.id} stays as it was: {each.problem}.")
        else:
            _say(f"{each.id}: read from {moment(each.curve.start)} to {moment(each.curve.end)}.")
    if all(each.problem for each in found):
        return _say("Nothing was changed.")
    return _NOT_ALL if any(each.problem for each in found) else 0


def _environment(record: Record, config: str | None) -> Environment:
    """That of the configuration, with metrics; raises UsageProblem where nobody can be asked."""
    if record.environment == DRILL:
        raise UsageProblem("The record of a drill is not read again: its Prometheus goes with it.")
    if record.outcome is Outcome.RUNNING:
        raise UsageProblem("This run has not ended, or was killed: its metrics cannot be read again.")
    if not record.metrics:
        raise UsageProblem("This record holds no metrics: the run asked for none.")
    env = load_environment(find_config(Path.cwd(), config), record.environment)
    if not env.metrics:
        raise UsageProblem(f"[environments.{env.name}] has no metrics: nobody can be asked.")
    return env


def ask_again(
    record: Record, env: Environment, environ: Mapping[str, str], clock: Clock, redactor: Redactor
) -> tuple[Refreshed, ...]:
    """What Prometheus says now of each metric of the record; raises UsageProblem where it cannot be asked."""
    assert env.metrics  # noqa: S101 - the caller has looked
    client = PrometheusClient(env.metrics, environ, clock)
    if client.unusable:
        raise UsageProblem(f"{capital(client.unusable)}.")
    checks = {metric_id(each.id): each for each in env.metric_checks}
    now, began = clock.now(), find_window(record).since
    ended = record.finished_at or record.started_at
    until = min(now, ended + _AFTER)

    def ask(series: MetricSeries) -> Refreshed:
        metric = checks.get(series.id)
        if metric is None:
            return Refreshed(series.id, problem="the configuration has no such check any more")
        query = fill_in(metric.query, env.namespace, env.release)
        if redactor.text(query) != series.query:
            return Refreshed(series.id, problem="its query in the configuration is another one now")
        curve = _curve(series, metric, query, client, picture_begins(began, until), until, now)
        count = None
        if metric.count_query is not None:
            counts = fill_in(metric.count_query, env.namespace, env.release)
            count = fetch_count(counts, client, began, ended)
        return Refreshed(series.id, curve, count, _objection(series, curve))

    return tuple(each.result() for each in submit_each("refresh", ask, record.metrics, _WORKERS))


def _curve(
    series: MetricSeries,
    metric: Metric,
    query: str,
    client: PrometheusClient,
    start: datetime,
    until: datetime,
    now: datetime,
) -> MetricCurve:
    """By the limits of the run, not by those that the configuration has now."""
    as_then = metric.model_copy(update={"max": series.max, "min": series.min})
    return fetch_curve(as_then, query, client, start, until).model_copy(update={"asked_at": now})


def _objection(series: MetricSeries, curve: MetricCurve) -> str:
    """Why what came may not take the place of what is there; empty: it may."""
    if curve.problem:
        return curve.problem
    known = sum(each.within is not None for each in curve.points) * curve.step_s
    if not known:
        return "Prometheus has no value of that time"
    old = series.curve
    if old is None or not old.points:
        return ""
    before = sum(each.within is not None for each in old.points) * old.step_s
    inside = sum(each.within is not None for each in curve.points if each.at <= old.end) * curve.step_s
    return "" if inside >= _MUCH * before else "Prometheus has less of it now than the record"


def with_metrics(record: Record, found: tuple[Refreshed, ...]) -> Record:
    """The record with what came; nothing else of it changes, and a count that is not known takes no place."""
    came = {each.id: each for each in found if not each.problem}
    metrics = []
    for series in record.metrics:
        new = came.get(series.id)
        if new is not None:
            keeps = new.count is None or (new.count.value is None and series.count is not None)
            count = series.count if keeps else new.count
            series = series.model_copy(update={"curve": new.curve, "count": count})  # noqa: PLW2901
        metrics.append(series)
    return record.model_copy(update={"metrics": tuple(metrics)})


def _clean(found: Refreshed, redactor: Redactor) -> Refreshed:
    """A server's words and a query may hold a secret."""
    curve, count = found.curve, found.count
    if curve is not None:
        said = {"problem": redactor.text(curve.problem), "warning": redactor.text(curve.warning)}
        curve = curve.model_copy(update=said)
    if count is not None:
        said = {"query": redactor.text(count.query), "problem": redactor.text(count.problem)}
        count = count.model_copy(update=said)
    return Refreshed(found.id, curve, count, redactor.text(found.problem))


def _say(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return NOTHING_DONE
