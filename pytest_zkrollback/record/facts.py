"""What a record says, in sentences. Every rendering uses these, so that none says more than another."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby

from ..domain.model import Guard, Item, Mode, Outcome, Record, Revision
from ..domain.verdict import Word

GREEN = (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS, Outcome.PLANNED)

HEADLINES = {
    Outcome.RUNNING: "NOT FINISHED",
    Outcome.PLANNED: "PLAN ONLY",
    Outcome.VERIFIED: "VERIFIED",
    Outcome.VERIFIED_WITH_WAIVERS: "VERIFIED WITH WAIVERS",
    Outcome.FAILED: "FAILED",
    Outcome.UNVERIFIED: "UNVERIFIED",
    Outcome.SUPERSEDED: "SUPERSEDED",
    Outcome.REFUSED: "REFUSED",
    Outcome.INTERRUPTED: "INTERRUPTED",
}


def moment(at: datetime | None) -> str:
    """``2026-11-23 11:50:39 UTC``; empty for None."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock_time(at: datetime | None) -> str:
    """``11:50:39`` (UTC); empty for None."""
    return "" if at is None else at.astimezone(UTC).strftime("%H:%M:%S")


def duration(span: timedelta | float | None) -> str:
    """``0.4 s``, ``12.0 s``, ``3 min 05 s``, ``2 h 04 min``, ``3 d 02 h``; empty for None."""
    if span is None:
        return ""
    seconds = max(0.0, span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """The :func:`duration` between two times; empty if one is not known."""
    return "" if start is None or end is None else duration(end - start)


def offset(record: Record, at: datetime) -> str:
    """``+1.2 s`` or ``-12 min 40 s``: the distance from the run's beginning."""
    span = (at - record.started_at).total_seconds()
    return f"{'-' if span < 0 else '+'}{duration(abs(span))}"


def headline(record: Record) -> str:
    """The verdict of the whole run, in capitals."""
    return HEADLINES[record.outcome]


def title(record: Record) -> str:
    """``VERIFIED: zkprova rolled back from 6 to 5 in drill``, for a window's title or a heading."""
    return f"{headline(record)}: {what(record)}"


def what(record: Record) -> str:
    """What was done or asked for, with release, revisions and environment, and no verdict."""
    release, env = record.release or "release", record.environment
    before, target = record.revision_before, record.target_revision
    goal = "" if target is None else f" to revision {target}"
    origin = "" if before is None or target is None or before == target else f" from {before} to {target}"
    match record.mode:
        case Mode.VERIFY:
            return (
                f"{release} in {env}" + ("" if target is None else f", revision {target}") + " (checked only)"
            )
        case Mode.PLAN:
            return f"rollback of {release}{goal} in {env} (rehearsal)"
        case Mode.GITHUB:
            return f"{release} in {env} through GitHub Actions"
        case Mode.RECOVER:
            return f"recovery of {release}{goal} in {env}"
    if record.helm.exit_code == 0 and origin:
        return f"{release} rolled back{origin} in {env}"
    return f"rollback of {release}{origin or goal} in {env}"


def by_verdict(record: Record, verdict: Word | None) -> tuple[Item, ...]:
    """The items with this verdict (None: still without one), in the record's order."""
    return tuple(item for item in record.items if item.verdict is verdict)


def red_items(record: Record) -> tuple[Item, ...]:
    """What is not PASS or WAIVED, failures first; an item without verdict counts once the run is over."""
    unfinished = () if record.outcome is Outcome.RUNNING else by_verdict(record, None)
    return by_verdict(record, Word.FAIL) + by_verdict(record, Word.UNVERIFIED) + unfinished


def grouped(items: Iterable[Item]) -> list[tuple[Item, ...]]:
    """Neighbours with the same verdict and the same observation together, so that a refusal is one line."""
    return [tuple(group) for _, group in groupby(items, key=lambda item: (item.verdict, item.observed))]


def word_of(item: Item, record: Record) -> str:
    """The item's verdict; ``WAITING`` while the run goes on and ``NO VERDICT`` afterwards."""
    if item.verdict is not None:
        return str(item.verdict)
    return "WAITING" if record.outcome is Outcome.RUNNING else "NO VERDICT"


def tally(record: Record) -> str:
    """``11 items: 9 PASS, 1 FAIL, 1 WAIVED``."""
    total = len(record.items)
    counts = [(str(word), len(by_verdict(record, word))) for word in Word]
    counts.append(("without a verdict", len(by_verdict(record, None))))
    shown = ", ".join(f"{count} {word}" for word, count in counts if count)
    return f"{_some(total, 'item')}: {shown}" if total else "no items"


def answer(record: Record) -> str:
    """Did it work? One sentence that the verdicts alone justify."""
    total = len(record.items)
    failed, unverified = len(by_verdict(record, Word.FAIL)), len(by_verdict(record, Word.UNVERIFIED))
    unjudged, waived = len(by_verdict(record, None)), len(by_verdict(record, Word.WAIVED))
    match record.outcome:
        case Outcome.RUNNING:
            return "This run is still going on, or it was killed: this is no result."
        case Outcome.PLANNED:
            return "Nothing was changed: this was a rehearsal."
        case Outcome.VERIFIED:
            return f"Service is restored: all {total} items passed."
        case Outcome.VERIFIED_WITH_WAIVERS:
            return f"Service is restored as far as it was checked: {waived} of {_some(total, 'item')} waived."
        case Outcome.FAILED if failed:
            return f"Service is not shown to be restored: {failed} of {_some(total, 'item')} failed."
        case Outcome.UNVERIFIED:
            return (
                f"Service is not shown to be restored: {unverified + unjudged} of {_some(total, 'item')} "
                "could not be verified."
            )
        case Outcome.SUPERSEDED:
            return "Somebody else changed the release meanwhile: these verdicts do not describe what is live."
        case Outcome.REFUSED if not record.helm.ran:
            return "Nothing was changed: the rollback was refused before helm ran."
        case Outcome.INTERRUPTED:
            return "The run was interrupted: what had no verdict by then is not known."
    return "Service is not shown to be restored."


def helm_line(record: Record) -> str:
    """``HELM RAN: ...`` or ``HELM DID NOT RUN: why``."""
    helm = record.helm
    if helm.running:
        pid = "" if helm.pid is None else f" (process {helm.pid})"
        return f"HELM RAN: its end was not seen{pid}; it may still be running"
    if helm.ran:
        took = elapsed(helm.started_at, helm.finished_at)
        code = "its exit code was not seen" if helm.exit_code is None else f"exit code {helm.exit_code}"
        return f"HELM RAN: once, {code}" + (f", after {took}" if took else "")
    return f"HELM DID NOT RUN: {_why_helm_did_not_run(record)}"


def _why_helm_did_not_run(record: Record) -> str:
    if record.helm.skipped_reason:
        return record.helm.skipped_reason.rstrip(".")
    refused = [guard.id for guard in record.guards if guard.state == "refused"]
    match record.outcome:
        case Outcome.REFUSED:
            return f"refused ({', '.join(refused)})" if refused else "refused"
        case Outcome.RUNNING if record.mode is Mode.ROLLBACK:
            return "not so far"
    match record.mode:
        case Mode.VERIFY:
            return "this run verifies only"
        case Mode.PLAN:
            return "this was a rehearsal"
        case Mode.GITHUB:
            return "this rollback goes through GitHub Actions"
    return "the run ended before it"


def live_now(record: Record) -> str:
    """What is live, since when, and how well that is known."""
    helm = record.helm
    if helm.running:
        return "Not known: helm's end was not seen. Read the history before anything else."
    if record.revision_after is None and helm.ran:
        return "Not known: helm ran, and the release was not read again."
    number = record.revision_before if record.revision_after is None else record.revision_after
    if number is None:
        return "Not known: the release's history was not read."
    return f"Revision {number}{_details_of(record, number)}"


def _details_of(record: Record, number: int) -> str:
    known = revision_of(record, number)
    rolled_to = known.rollback_of if known else None
    deployed_at = known.deployed_at if known else None
    if record.helm.ran and number != record.revision_before:
        rolled_to = rolled_to or record.target_revision
        deployed_at = deployed_at or record.helm.finished_at
    origin = revision_of(record, rolled_to) or known
    parts = []
    if rolled_to is not None:
        parts.append(f"a rollback to {rolled_to}")
    if origin:
        parts.append(origin.chart)
    if deployed_at:
        parts.append(f"deployed {moment(deployed_at)}")
    details = f" ({', '.join(parts)})" if parts else ""
    if not record.helm.ran:
        details += ", not changed by this run"
    equal = next((item for item in record.items if item.id == "release-equivalence"), None)
    asked = record.outcome not in (Outcome.REFUSED, Outcome.RUNNING)
    if asked and equal and equal.verdict is not Word.PASS:
        details += f"; that the live objects match it was not shown ({word_of(equal, record)})"
    return details


def revision_of(record: Record, number: int | None) -> Revision | None:
    """The revision with this number, as far as the plan knows it."""
    known = (*record.plan.history, record.plan.target, record.plan.bad)
    return next((each for each in known if each is not None and each.revision == number), None)


def users_affected(record: Record) -> str:
    """How long, from when to when; what is not known is said."""
    since, until = record.impact_since, record.recovered_at
    bad = _blamed(record)
    if since is None and bad is None:
        return f"Not known: since when was not said.{_recovery(until)}"
    if since is None and bad is not None:
        most = f"{bad.revision} was deployed {moment(bad.deployed_at)}"
        if until:
            most += f", {elapsed(bad.deployed_at, until)} before recovery"
        return f"Not known exactly: since when was not said; revision {most}.{_recovery(until)}"
    if until is None:
        ends = record.finished_at
        least = f"At least {elapsed(since, ends)}, since" if ends else "Since"
        return f"{least} {moment(since)}; no recovery was seen."
    return f"{elapsed(since, until)}, from {moment(since)} to {moment(until)}."


def _blamed(record: Record) -> Revision | None:
    """The bad revision, if users met it after the target's own deploy."""
    bad, target = record.plan.bad, record.plan.target
    origin = target and (revision_of(record, target.rollback_of) or target)
    return None if bad is None or (origin and origin.deployed_at > bad.deployed_at) else bad


def _recovery(until: datetime | None) -> str:
    return f" Recovered {moment(until)}." if until else ""


def not_checked(record: Record) -> tuple[Item, ...]:
    """Items about which this run does not know: unverified, waived or without a verdict."""
    return tuple(item for item in record.items if item.verdict not in (Word.PASS, Word.FAIL))


def unknowns(record: Record, most: int = 4) -> str:
    """``smoke (waived); logs, events, notify, migration and 2 more (unverified)``; empty if all is known."""
    said = []
    for word in ("WAIVED", "UNVERIFIED", "NO VERDICT", "WAITING"):
        ids = [item.id for item in not_checked(record) if word_of(item, record) == word]
        if len(ids) > most + 1:
            ids = [", ".join(ids[:most]), f"{len(ids) - most} more"]
        if ids:
            said.append(f"{listed(ids)} ({word.lower()})")
    return "; ".join(said)


def refusals(record: Record) -> tuple[Guard, ...]:
    """The guards that refused and whose evidence no red item repeats."""
    said = [item.observed for item in red_items(record)]
    return tuple(each for each in record.guards if each.state == "refused" and each.evidence not in said)


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
