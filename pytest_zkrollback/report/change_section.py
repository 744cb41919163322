"""The change summary in words: one list of headed lines, of which page, Markdown and terminal are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..domain.change_summary import Change, ChangeSummary
from ..domain.forecast import ObjectForecast
from ..domain.record import Mode, Record, origin_of
from .failures import listed
from .formatting import duration, moment
from .incident_facts import is_usual_description, revision_of
from .sanitize import inert_line

# On a terminal each heading shows at most this many lines.
_FEW = 4
_BROUGHT_LIMIT = 160
_FIRST = ("Image", "Value", "Replicas")
_LAST = ("Target", "Changes", "Dry run", "Cannot be tried")
_ORDER = {
    **{name: index for index, name in enumerate(_FIRST)},
    **{name: len(_FIRST) + 1 + index for index, name in enumerate(_LAST)},
}
# They change with every version, whatever else does.
_LABELS = ("app.kubernetes.io/version:", "helm.sh/chart:")


def change_heading(record: Record) -> str:
    """``What changed``, where it did."""
    done = record.helm.ran or record.mode is Mode.VERIFY
    return "What changed" if done else "What going back would change"


def left_row(record: Record) -> tuple[str, str]:
    """Name and text of the fact: which revision was left, or would be, what it brought, how it differs."""
    acted = record.helm.ran or record.mode is Mode.VERIFY or bool(record.helm.skipped_reason)
    name = "Rolled back from" if acted else "To roll back from"
    live = revision_of(record, record.revision_before)
    if record.mode is Mode.VERIFY and live is not None and live.rollback_of is None:
        name = "Deployed before"  # nothing was rolled back
    left = record.plan.rolled_back_from or record.plan.compared_with
    if left is None:
        return name, "not known" if record.revision_before is None else "none"
    by_number = {each.revision: each for each in record.plan.history}
    first = by_number.get(origin_of(left, by_number.get), left)
    brought = ""
    if first.description and not is_usual_description(first.description):
        brought = f": {inert_line(first.description, _BROUGHT_LIMIT)}"
    again = "" if first.revision == left.revision else f", which is revision {first.revision} again"
    said = f"Revision {left.revision} ({left.chart}){again}{brought.rstrip('.')}."
    said += f" Deployed {moment(left.deployed_at)}."
    return name, said + _differs(record.plan.change_summary)


def _differs(summary: ChangeSummary | None) -> str:
    if summary is None:
        return ""
    names = [each.what for each in summary.values]
    shown = names[:_FEW] + ([f"{len(names) - _FEW} more values"] if len(names) > _FEW else [])
    images = len(summary.images)
    shown += [f"{images} image{'' if images == 1 else 's'}"] if images else []
    return f" What differs: {listed(shown)}." if shown else ""


def change_summary_parts(record: Record) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(heading, lines) of all that is known of the target and of going there; empty where nothing is."""
    change_summary = record.plan.change_summary
    parts = [*_forecast(record), *(_parts(record, change_summary) if change_summary is not None else ())]
    return tuple((heading, lines) for heading, lines in parts if lines)


def changed_lines(diff: str) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Of each object of a unified diff: its name, and (``add`` or ``del``, line) of what is no mere label."""
    what = named = ""
    lines: list[tuple[str, str]] = []
    for line in [*diff.splitlines(), "--- "]:
        if line.startswith(("--- ", "+++ ")):
            if lines:
                yield what, tuple(lines)
            lines = []
            name = line[4:].rpartition(" (")[0]
            what = name or what
        elif line[:1] in ("+", "-") and not line[1:].lstrip().startswith(_LABELS):
            if named and line[1:].lstrip().startswith(
                "value"
            ):  # an env variable's value says little without its name
                lines.append(("same", f"  {named}"))
            lines.append(("add" if line[0] == "+" else "del", f"{line[0]} {line[1:].strip()}"))
            named = ""
        else:
            text = line[1:].strip()
            named = text if line[:1] == " " and text.startswith("- name: ") else ""


def split_diff(diff: str) -> tuple[str, str]:
    """The diff without, and with alone, the objects of which nothing but labels of the version changes."""
    meant: list[str] = []
    labels: list[str] = []
    for lines in _objects_of(diff):
        changes = [line for line in lines if line[:1] in ("+", "-") and not _is_name(line)]
        only_labels = bool(changes) and all(line[1:].lstrip().startswith(_LABELS) for line in changes)
        (labels if only_labels else meant).extend(lines)
    return "\n".join(meant), "\n".join(labels)


def _objects_of(diff: str) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in diff.splitlines():
        if line.startswith("--- ") and lines:
            yield lines
            lines = []
        lines.append(line)
    if lines:
        yield lines


def _is_name(line: str) -> bool:
    return line.startswith(("--- ", "+++ "))


def parts_of_report(record: Record) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The same parts as :func:`change_summary_parts`: what changes first, how it was tried last."""
    parts = change_summary_parts(record)
    return tuple(sorted(parts, key=lambda part: _ORDER.get(part[0], len(_FIRST))))


def render_change_summary_lines(record: Record) -> list[str]:
    """The change summary for a terminal: one line each, few of a kind, the report has all."""
    lines = []
    for heading, found in change_summary_parts(record):
        lines += [f"{heading}: {line}" for line in found[:_FEW]]
        if len(found) > _FEW:
            lines.append(f"{heading}: {len(found) - _FEW} more in the report")
    return lines


def _parts(record: Record, change_summary: ChangeSummary) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "Target", tuple(_target(record, change_summary))
    yield "Not taken", tuple(f"revision {each.revision} {each.reason}" for each in change_summary.skipped)
    yield "Image", _changes(change_summary.images)
    yield "Replicas", _changes(change_summary.replicas)
    yield "Value", _changes(change_summary.values)
    yield "Changes", _objects(change_summary.objects, record.plan.diff)
    yield "Will be deleted", change_summary.deleted
    yield "Will not move", change_summary.not_rolled_back
    yield "Missing", change_summary.missing
    yield (
        "Hook",
        tuple(
            f"{hook.name} ({', '.join(hook.events)}) of revision {hook.revision} will run"
            for hook in change_summary.hooks
        ),
    )
    yield "Drift", change_summary.drift
    yield "Not known", change_summary.unknown


def _forecast(record: Record) -> Iterator[tuple[str, tuple[str, ...]]]:
    forecast = record.plan.forecast
    if forecast is None:
        return
    own = sum(each.action == "record" for each in forecast.objects)
    tried = f"{len(forecast.objects) - own} objects tried"
    record_too = " and helm's own record" if own else ""
    yield "Dry run", (f"helm {forecast.will} ({tried}{record_too}; {forecast.method})",)
    yield "Would fail", tuple(line for each in forecast.failing for line in _failure(each))
    yield "No restart", (forecast.restarts,) if forecast.restarts else ()
    yield "Cannot be tried", forecast.unknown


def _failure(failing: ObjectForecast) -> Iterator[str]:
    if not failing.conflicts:
        yield f"{failing.what}: {failing.cause}: {failing.why}"
    for each in failing.conflicts:
        yield each.explain(failing.what)


def _target(record: Record, change_summary: ChangeSummary) -> Iterator[str]:
    target = record.plan.target
    if target is None:
        return
    asked = f" ({change_summary.asked})" if change_summary.asked != str(target.revision) else ""
    served = (
        f", served for {duration(change_summary.deployed_for_s)}"
        if change_summary.deployed_for_s is not None
        else ""
    )
    yield (
        f"revision {target.revision}{asked}, {target.chart}"
        + (f", app {target.app_version}" if target.app_version else "")
        + f", deployed {moment(target.deployed_at)}{served}"
    )
    yield f"chosen as {change_summary.chosen_because}"
    if len(change_summary.chain) > 1:
        yield f"it is a rollback: {' -> '.join(map(str, change_summary.chain))}, whose content it has"


def _changes(changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(f"{each.what}: {each.live or '(none)'} -> {each.target or '(none)'}" for each in changes)


def _objects(changes: Sequence[Change], diff: str) -> tuple[str, ...]:
    """What becomes of each object; where labels of the version alone change, they stand in one line."""
    more = {what for what, _ in changed_lines(diff)}
    labels = [each for each in changes if diff and each.live and each.target and each.what not in more]
    said = [
        f"{each.what} comes back"
        if not each.live
        else f"{each.what} goes"
        if not each.target
        else f"{each.what}: {each.live} out, {each.target} in"
        for each in changes
        if each not in labels
    ]
    if labels:
        said.append(f"only labels of the version: {', '.join(each.what for each in labels)}")
    return tuple(said)
