"""The dossier in words: one list of headed lines, of which page, Markdown and terminal are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..domain.change_summary import Change, ChangeSummary
from ..domain.forecast import ObjectForecast
from ..domain.record import Record
from .formatting import duration, moment

# On a terminal each heading shows at most this many lines.
_FEW = 4


def dossier_parts(record: Record) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(heading, lines) of all that is known of the target and of going there; empty where nothing is."""
    dossier = record.plan.dossier
    parts = [*_forecast(record), *(_parts(record, dossier) if dossier is not None else ())]
    return tuple((heading, lines) for heading, lines in parts if lines)


def render_dossier_lines(record: Record) -> list[str]:
    """The dossier for a terminal: one line each, few of a kind, the report has all."""
    lines = []
    for heading, found in dossier_parts(record):
        lines += [f"{heading}: {line}" for line in found[:_FEW]]
        if len(found) > _FEW:
            lines.append(f"{heading}: {len(found) - _FEW} more in the report")
    return lines


def _parts(record: Record, dossier: ChangeSummary) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "Target", tuple(_target(record, dossier))
    yield "Not taken", tuple(f"revision {each.revision} {each.reason}" for each in dossier.skipped)
    yield "Image", _changes(dossier.images)
    yield "Replicas", _changes(dossier.replicas)
    yield "Value", _changes(dossier.values)
    yield "Changes", _objects(dossier.objects)
    yield "Will be deleted", dossier.deleted
    yield "Will not move", dossier.stays
    yield "Missing", dossier.missing
    yield (
        "Hook",
        tuple(
            f"{hook.name} ({', '.join(hook.events)}) of revision {hook.revision} will run"
            for hook in dossier.hooks
        ),
    )
    yield "Drift", dossier.drift
    yield "Not known", dossier.unknown


def _forecast(record: Record) -> Iterator[tuple[str, tuple[str, ...]]]:
    forecast = record.plan.forecast
    if forecast is None:
        return
    yield "Forecast", (f"helm {forecast.will} ({forecast.method}, {len(forecast.objects)} objects tried)",)
    yield "Would fail", tuple(line for each in forecast.failing for line in _failure(each))
    yield "No restart", (forecast.restarts,) if forecast.restarts else ()
    yield "Cannot be tried", forecast.unknown


def _failure(failing: ObjectForecast) -> Iterator[str]:
    if not failing.conflicts:
        yield f"{failing.what}: {failing.cause}: {failing.why}"
    for each in failing.conflicts:
        owner = f"{failing.what} {each.field} belongs to {each.manager or 'somebody'}"
        yield f"{owner}: {each.live or '(none)'} -> {each.target or '(none)'}"


def _target(record: Record, dossier: ChangeSummary) -> Iterator[str]:
    target = record.plan.target
    if target is None:
        return
    asked = f" ({dossier.asked})" if dossier.asked != str(target.revision) else ""
    served = f", served for {duration(dossier.served_s)}" if dossier.served_s is not None else ""
    yield (
        f"revision {target.revision}{asked}, {target.chart}"
        + (f", app {target.app_version}" if target.app_version else "")
        + f", deployed {moment(target.deployed_at)}{served}"
    )
    yield f"chosen as {dossier.chosen_because}"
    if len(dossier.chain) > 1:
        yield f"it is a rollback: {' -> '.join(map(str, dossier.chain))}, whose content it has"


def _changes(changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(f"{each.what}: {each.live or '(none)'} -> {each.target or '(none)'}" for each in changes)


def _objects(changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(
        f"{each.what} comes back"
        if not each.live
        else f"{each.what} goes"
        if not each.target
        else f"{each.what}: {each.live} out, {each.target} in"
        for each in changes
    )
