"""Earlier runs of this release, and whether recovering gets faster: the list, the picture, its words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from markupsafe import Markup
from pydantic import BaseModel, Field, ValidationError

from ..domain.earlier_run import EarlierRun
from ..domain.frozen import Time
from ..domain.record import Mode, Outcome, Record
from ..domain.regular_files import read_regular
from .file_names import environment_part
from .formatting import duration
from .incident_facts import Affected, find_affected
from .sanitize import inert_line
from .summary import HEADLINES, plural

MOST = 12
# Of a folder with years of runs.
_MOST_FILES = 100
_MOST_BYTES = 8_000_000
# What lasts longer is a wrong clock.
_LONGEST = timedelta(days=365)

_NAMES = {str(Mode.RECOVER): "recovery", str(Mode.GITHUB): "rollback through GitHub"}
_HEADLINES = {str(outcome): said for outcome, said in HEADLINES.items()}

_WIDTH, _HEIGHT, _BASE, _TOP = 300, 92, 74, 18


class _At(BaseModel):
    at: Time


class _Affected(BaseModel):
    since: _At | None = None
    until: _At | None = None


class _Facts(BaseModel):
    affected: _Affected = _Affected()


class _Helm(BaseModel):
    started_at: Time | None = None


class _Outline(BaseModel):
    """Of a record's JSON what is compared: a record of any version has these, and the rest is passed over."""

    run_id: str = Field(max_length=64)
    mode: Mode
    outcome: Outcome
    environment: str
    namespace: str = ""
    release: str = ""
    started_at: Time
    revision_before: int | None = None
    target_revision: int | None = None
    recovered_at: Time | None = None
    helm: _Helm = _Helm()
    facts: _Facts = _Facts()


def fetch_earlier_runs(folder: Path, record: Record) -> tuple[EarlierRun, ...]:
    """The newest runs of the record's release in ``folder`` but itself, newest first; rehearsals are none.

    What is no record of ours, or cannot be read, is passed over.
    """
    found: list[EarlierRun] = []
    for outline in _outlines(folder, record.environment):
        same = (outline.environment, outline.namespace, outline.release) == (
            record.environment,
            record.namespace,
            record.release,
        )
        if same and outline.run_id != record.run_id and outline.mode != Mode.PLAN:
            found.append(_facts_of(outline, outline.facts.affected))
        if len(found) == MOST:
            break
    return tuple(found)


def _outlines(folder: Path, environment: str) -> Iterator[_Outline]:
    for path in sorted(folder.glob("*-*-*.json"), reverse=True)[:_MOST_FILES]:
        try:
            if environment_part(environment) in path.name and path.stat().st_size <= _MOST_BYTES:
                yield _Outline.model_validate_json(read_regular(path))
        except (OSError, ValidationError):
            continue


def this_run(record: Record) -> EarlierRun:
    """The same facts of the record itself."""
    return _facts_of(record, find_affected(record))


def _facts_of(run: _Outline | Record, affected: _Affected | Affected) -> EarlierRun:
    began = run.started_at if run.mode == Mode.GITHUB else run.helm.started_at
    since, until = affected.since, affected.until
    return EarlierRun(
        run_id=run.run_id,
        mode=run.mode,
        outcome=run.outcome,
        started_at=run.started_at,
        revision_before=run.revision_before,
        target_revision=run.target_revision,
        recovery_s=_seconds(began, run.recovered_at),
        affected_s=_seconds(since.at if since else None, until.at if until else None),
    )


def listed(record: Record) -> tuple[EarlierRun, ...]:
    """This run and the earlier ones, newest first."""
    return (this_run(record), *record.earlier_runs)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or not timedelta() <= end - start <= _LONGEST:
        return None
    return (end - start) / timedelta(seconds=1)


def what_was_done(run: EarlierRun) -> str:
    """``rollback from 6 to 5``."""
    if run.mode == Mode.VERIFY:
        return "check only"
    name = _NAMES.get(run.mode, str(Mode.ROLLBACK))
    origin = "" if run.revision_before is None else f" from {run.revision_before}"
    return f"{name}{origin}" + ("" if run.target_revision is None else f" to {run.target_revision}")


def outcome(run: EarlierRun) -> str:
    """Its headline."""
    return _HEADLINES.get(run.outcome, run.outcome)


def recovered(run: EarlierRun) -> str:
    """How long it took until all checks had passed; a dash where they never did, or nothing was done."""
    return duration(run.recovery_s) or "-"


def affected(run: EarlierRun) -> str:
    """How long users were affected; a dash where that is not known."""
    return duration(run.affected_s) or "-"


def trend_words(record: Record) -> str:
    """The picture in a sentence; empty where there is nothing to compare."""
    times = [run.recovery_s for run in record.earlier_runs if run.recovery_s is not None]
    if not times:
        return ""
    now = this_run(record).recovery_s
    took = duration(now) or "not reached"
    said = f"Time to recover, from helm's start to all checks passed: {took} in this run."
    if len(times) == 1:
        return f"{said} {duration(times[0])} in the earlier one."
    return (
        f"{said} {duration(median(times))} in the middle of {plural(len(times), 'earlier run')}, "
        f"{duration(min(times))} to {duration(max(times))}."
    )


def trend_caption(record: Record) -> str:
    """The same below the picture: with what a cross means, where there is one."""
    cross = any(run.recovery_s is None for run in _drawn(record))
    return trend_words(record) + (" A cross is a run in which not all checks passed." if cross else "")


def _drawn(record: Record) -> list[EarlierRun]:
    """Runs that changed something, oldest first."""
    return [run for run in reversed(listed(record)) if run.mode != Mode.VERIFY]


def render_trend(record: Record) -> Markup:
    """A bar per run, oldest first, this one last; empty where fewer than two of them recovered."""
    runs = _drawn(record)
    times = [run.recovery_s for run in runs if run.recovery_s is not None]
    if len(times) < 2:
        return Markup("")
    longest, step = max(*times, 0.001), _WIDTH / len(runs)
    parts = [Markup('<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/>').format(_WIDTH, _BASE, _BASE)]
    labelled = {len(runs) - 1, next(index for index, run in enumerate(runs) if run.recovery_s == longest)}
    for index, run in enumerate(runs):
        middle, last = (index + 0.5) * step, index == len(runs) - 1
        if run.recovery_s is None:
            parts.append(_text("num", middle, _BASE - 4, "\N{MULTIPLICATION SIGN}"))
        else:
            height = max(2.0, run.recovery_s / longest * (_BASE - _TOP))
            parts.append(
                Markup(
                    '<rect class="bar{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
                ).format(
                    " now" if last else "",
                    round(middle - step * 0.32, 1),
                    round(_BASE - height, 1),
                    round(step * 0.64, 1),
                    round(height, 1),
                    f"{inert_line(outcome(run), 60)}, {duration(run.recovery_s)}",
                )
            )
            if index in labelled:
                parts.append(_text("num", middle, round(_BASE - height - 5, 1), duration(run.recovery_s)))
    parts.append(_text("num", step / 2, _BASE + 15, f"{runs[0].started_at:%Y-%m-%d}", anchor="start"))
    parts.append(_text("num", _WIDTH, _BASE + 15, "this run", anchor="end"))
    return Markup(
        '<svg class="trend" viewBox="0 0 {w} {h}" role="img" aria-labelledby="zkr-trend-t zkr-trend-d">'
        '<title id="zkr-trend-t">Time to recover, run by run</title>'
        '<desc id="zkr-trend-d">{words}</desc>{body}</svg>'
    ).format(w=_WIDTH, h=_HEIGHT, words=trend_words(record), body=Markup("").join(parts))


def _text(css: str, x: float, y: float, text: str, anchor: str = "middle") -> Markup:
    # What stands at the edge is not cut off there.
    at = min(max(x, 0.0), float(_WIDTH))
    if anchor == "middle" and at > _WIDTH - 22:
        at, anchor = float(_WIDTH), "end"
    if (anchor == "middle" and at < 22) or anchor == "start":
        at, anchor = 0.0, "start"
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        css, round(at, 1), y, anchor, text
    )
