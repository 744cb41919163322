"""Renderings for a terminal and for a CI's log: the last lines, the live table, one line per change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from ..domain.item_ids import EVENTS, MIGRATION, PREFLIGHT, is_metric
from ..domain.record import GREEN_OUTCOMES, GuardState, Item, Mode, Outcome, Record
from ..domain.verdict import Verdict
from .change_section import render_change_summary_lines
from .failures import failed_own_tests, failures, word_of
from .formatting import elapsed
from .sanitize import inert_facts, inert_line
from .summary import (
    count_line,
    decided,
    decided_in_a_row,
    helm_line,
    lead,
    live_now,
    nothing_to_do,
    own_tests_line,
    plural,
    provisional,
    recovery,
    redeploy_risks_title,
    soak_line,
    title,
    watch_line,
    watched_until,
)

OBSERVED_LIMIT = 300
# What warned or failed, in a line of its own that may scroll: a cause at its end is still there.
_CAUSE_LIMIT = 600
# The verdict and what belongs to it have to fit into one look at the end, on a terminal of 80 columns.
_FIVE_ROWS = 390
_TWO_ROWS = 158
_THREE_ROWS = 228
_MOST_LINES = 8
_MOST_COMING_BACK = 3
_DRILL = "drill"


def render_last_lines(record: Record, report_path: str, shell: Sequence[str] = ()) -> str:
    """The last lines on the terminal: what failed, what to type, and last of all the verdict in one look.

    ``shell``: lines for the shell of whoever started the run, beside what to type next.
    """
    return "\n\n".join(
        "\n".join(_indented(line) for line in lines)
        for lines in (
            _change_summary(record),
            _not_well(record),
            _next(record, shell),
            _verdict(record, report_path),
        )
        if lines
    )


def _change_summary(record: Record) -> list[str]:
    """What a plan has found; after a rollback it is in the report."""
    if record.mode is not Mode.PLAN:
        return []
    return [inert_line(line, _THREE_ROWS) for line in render_change_summary_lines(record)]


def _not_well(record: Record) -> list[str]:
    all_wrong = failures(record)
    lines = [
        inert_facts(f"{each.word} {each.names()}: {each.text or 'nothing was seen'}", _CAUSE_LIMIT)
        for each in all_wrong[:_MOST_LINES]
    ]
    if len(all_wrong) > _MOST_LINES:
        lines.append(f"{len(all_wrong) - _MOST_LINES} more in the report")
    aside = [(f"WAIVED {each.id}", each.reason) for each in record.overrides if each.kind != "guard"]
    ours = {name for name, _ in aside}
    aside += [
        (f"WAIVED {each.id}", each.observed)  # as an earlier run was told
        for each in record.items
        if each.id == MIGRATION and each.verdict is Verdict.WAIVED and f"WAIVED {each.id}" not in ours
    ]
    aside += [
        (f"OVERRIDDEN {each.id}", each.evidence)
        for each in record.guards
        if each.state == GuardState.OVERRIDDEN
    ]
    return lines + [inert_facts(f"{name}: {text}", _CAUSE_LIMIT) for name, text in aside]


def _next(record: Record, shell: Sequence[str]) -> list[str]:
    commands = [f"  {line}" for line in (*record.next_commands, *shell)]
    if record.outcome not in GREEN_OUTCOMES:
        return ["Next:", *commands] if commands else []
    if record.redeploy_risks:
        back = [f"  - {inert_line(line, _THREE_ROWS)}" for line in record.redeploy_risks[:_MOST_COMING_BACK]]
        return [f"Next: see to this. {redeploy_risks_title(record)}:", *back, *commands]
    if nothing_to_do(record):
        return ["Next: nothing to do.", *commands]
    return ["Next: look at the own tests." if failed_own_tests(record) else "Next:", *commands]


def _verdict(record: Record, report_path: str) -> list[str]:
    seen, clock = watch_line(record), recovery(record)
    lines = [
        title(record),
        inert_facts(lead(record), _FIVE_ROWS),
        *([inert_line(own, _THREE_ROWS)] if (own := own_tests_line(record)) else []),
        helm_line(record) + ".",
        *_decided(record),
        f"Live now: {inert_line(live_now(record), _THREE_ROWS)}",
        f"Checked: {count_line(record)}" + (f". {seen}." if seen else ""),
        *([f"Recovery: {clock}."] if clock else []),
    ]
    return [*lines, f"Report: {report_path}"] if report_path else lines


def _decided(record: Record) -> list[str]:
    """One line wherever something was decided."""
    said = decided(record) if record.mode is Mode.PLAN else decided_in_a_row(record)
    return [inert_line(f"Decision: {said}", _TWO_ROWS)] if said else []


def render_text(record: Record) -> str:
    """All of the run's verdicts as plain text, ending with the :func:`render_last_lines`."""
    head = [
        f"{word_of(item, record):<10} {inert_line(item.id)}: {inert_line(item.observed, OBSERVED_LIMIT)}"
        for item in record.items
    ]
    return "\n".join([*head, "", render_last_lines(record, "")]) + "\n"


def _indented(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))] + inert_line(line)


def phase(record: Record) -> str:
    """What the run is doing."""
    if record.outcome is not Outcome.RUNNING:
        return record.outcome.replace("-", " ")
    if provisional(record):
        return "provisionally green"
    if record.helm.running:
        return "helm is running"
    looked_before = any(item.id == PREFLIGHT and item.verdict for item in record.items)
    if record.helm.ran or record.helm.skipped_reason or (looked_before and record.mode is Mode.VERIFY):
        return "verifying"
    if "://" in record.cluster or looked_before:
        return "preflight"
    return "connecting" if record.cluster or record.environment != _DRILL else "preparing the drill"


NOTHING_YET = ("connecting", "preparing the drill")


def render_progress_line(record: Record, now: datetime) -> str:
    """One line for a log: the newest verdict, or the phase. The same record gives the same line."""
    total, judged = len(record.items), [item for item in record.items if item.verdict is not None]
    count = f"{len(judged)} of {total} judged"
    newest = max((item for item in judged if item.finished_at), key=_finished, default=None)
    helm, green_at = record.helm, record.provisional_at
    if provisional(record) and green_at and (newest is None or _finished(newest) <= green_at):
        said = soak_line(record.soak_s or 0, watched_until(record))
        return f"{_since_start(record, green_at, now):>12}  {said} ({count})"
    if newest is None or (helm.running and helm.started_at and helm.started_at > _finished(newest)):
        at = helm.started_at or record.started_at
        return f"{_since_start(record, at, now):>12}  {phase(record)} ({count})"
    return (
        f"{_since_start(record, _finished(newest), now):>12}  {newest.verdict} {newest.id}: "
        f"{observed_in_short(newest, record, OBSERVED_LIMIT)} ({count})"
    )


def time_left(record: Record, now: datetime) -> str:
    """``7 s left to watch``: a countdown of the soak."""
    assert record.provisional_at is not None  # noqa: S101 - it is the soak
    seconds = (record.soak_s or 0) - (now - record.provisional_at).total_seconds()
    return f"{math.ceil(max(0.0, seconds))} s left to watch"


def observed_in_short(item: Item, record: Record, limit: int) -> str:
    """What was seen; of the preflight how many warnings there are, as each has a line of its own."""
    warned = sum(guard.state == GuardState.WARNED for guard in record.guards)
    if item.id != PREFLIGHT or item.verdict is not Verdict.PASS or not warned:
        return inert_facts(item.observed, limit)
    said = inert_line(item.observed.partition("; ")[0].rstrip("."), limit)
    return f"{said}; {plural(warned, 'warning')}"


def render_warning_lines(record: Record) -> list[str]:
    """``WARNING url: ...``: one line for each guard that warned."""
    return [
        inert_facts(f"WARNING {guard.id}: {guard.evidence}", _CAUSE_LIMIT)
        for guard in record.guards
        if guard.state == GuardState.WARNED
    ]


def render_waiting_line(record: Record, now: datetime, status: str = "") -> str:
    """For a log: what is waited for and the newest reason; ``status`` is what was said last.

    A rollout says how many pods are Ready, and the events why: the probe's own message.
    """
    at = f"{_since_start(record, now, now):>12}"
    if provisional(record):
        watched = [item for item in record.items if is_metric(item.id) and item.verdict is None]
        said = "".join(f"; {item.id}: {inert_line(item.observed, OBSERVED_LIMIT)}" for item in watched)
        return f"{at}  {phase(record)}, {time_left(record, now)}{said}"
    open_ = [item for item in record.items if item.verdict is None]
    seen = [item for item in open_ if item.observed and item.started_at is not None]
    if phase(record) != "verifying" or not seen:
        return f"{at}  {phase(record)}" + (f": {inert_line(status, OBSERVED_LIMIT)}" if status else "")
    shown = [seen[0], *(item for item in seen[1:] if item.id == EVENTS)]
    said = "; ".join(f"{item.id}: {inert_line(item.observed, OBSERVED_LIMIT)}" for item in shown)
    judged = len(record.items) - len(open_)
    return f"{at}  waits for {said} ({judged} of {len(record.items)} judged)"


def _finished(item: Item) -> datetime:
    assert item.finished_at is not None  # noqa: S101 - only asked of items that have one
    return item.finished_at


def _since_start(record: Record, at: datetime, now: datetime) -> str:
    return elapsed(record.started_at, min(at, now))
