"""What a record says, in sentences. Every rendering uses these, so that none says more than another."""

from __future__ import annotations

from datetime import datetime

from ..domain.item_ids import EQUIVALENCE, PREFLIGHT
from ..domain.record import GREEN_OUTCOMES, Mode, Outcome, OwnTest, OwnTestOutcome, Record, Revision
from ..domain.verdict import Verdict
from .failures import by_verdict, failed_own_tests, refused, unchecked, word_of
from .formatting import clock_time, duration, elapsed, moment
from .sanitize import inert_line

NONE_GIVEN = Record.model_fields["next_steps"].default
_SEEN_LIMIT = 160
_MOST_OWN_TESTS = 3

GREEN = (*GREEN_OUTCOMES, Outcome.PLANNED)


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


def offset(record: Record, at: datetime) -> str:
    """``+1.2 s`` or ``-12 min 40 s``: the distance from the run's beginning."""
    span = (at - record.started_at).total_seconds()
    return f"{'-' if span < 0 else '+'}{duration(abs(span))}"


def headline(record: Record) -> str:
    """The verdict of the whole run, in capitals."""
    if provisional(record):
        return "PROVISIONAL"
    return HEADLINES[record.outcome]


def provisional(record: Record) -> bool:
    """Whether every item is green, and the soak has not ended."""
    return record.outcome is Outcome.RUNNING and record.provisional_at is not None


def decided(record: Record) -> str:
    """What the runbook recommends and what the operator chose; empty where nothing was decided."""
    found = record.decision
    if found is None:
        return ""
    known = "; ".join(f"{one.name} {one.answer}" for one in found.signals if one.answer != "unknown")
    recommended = found.recommendation.replace("-", " ")
    return f"the runbook recommends {recommended} ({known or 'no signal is known'}); chosen: {found.choice}"


def title(record: Record) -> str:
    """``VERIFIED: zkprova rolled back from 6 to 5 in drill``, for a window's title or a heading."""
    return f"{headline(record)}: {mode_label(record)}"


def mode_label(record: Record) -> str:
    """What was done or asked for, with release, revisions and environment, and no verdict."""
    release, env = record.release or "release", record.environment
    before, target = record.revision_before, record.target_revision
    goal = "" if target is None else f" to revision {target}"
    origin = "" if before is None or target is None or before == target else f" from {before} to {target}"
    match record.mode:
        case Mode.VERIFY:
            number = head(record)
            revision = "" if number is None else f", revision {number}"
            return f"release {record.release}, environment {env}{revision} (checked only)"
        case Mode.PLAN:
            return f"rollback of {release}{goal} in {env} (rehearsal)"
        case Mode.GITHUB:
            return f"{release} in {env} through GitHub Actions"
        case Mode.RECOVER:
            return f"recovery of {release}{goal} in {env}"
    if record.helm.skipped_reason and target is not None:
        return f"{release} already back at {target} in {env}"
    if record.helm.exit_code == 0 and origin:
        return f"{release} rolled back{origin} in {env}"
    return f"rollback of {release}{origin or goal} in {env}"


def count_line(record: Record) -> str:
    """``11 items: 9 PASS, 1 FAIL, 1 WAIVED``; after a refusal, how little was looked at."""
    total = len(record.items)
    if refused(record):
        rest = record.items_without(PREFLIGHT)
        judged = [item for item in rest if item.verdict in (Verdict.PASS, Verdict.FAIL)]
        return f"{len(judged)} of {plural(len(rest), 'checklist item')} checked"
    counts = [(str(word), len(by_verdict(record, word))) for word in Verdict]
    counts.append(("without a verdict", len(by_verdict(record, None))))
    shown = ", ".join(f"{count} {word}" for word, count in counts if count)
    return f"{plural(total, 'item')}: {shown}" if total else "no items"


def answer(record: Record) -> str:
    """Did it work? One sentence that the verdicts alone justify."""
    total = len(record.items)
    failed, unverified = len(by_verdict(record, Verdict.FAIL)), len(by_verdict(record, Verdict.UNVERIFIED))
    unjudged, waived = len(by_verdict(record, None)), len(by_verdict(record, Verdict.WAIVED))
    match record.outcome:
        case Outcome.RUNNING if record.provisional_at is not None:
            return (
                f"Provisionally green since {clock_time(record.provisional_at)} UTC, but the soak of "
                f"{record.soak_s or 0:g} s had not ended: this is no result."
            )
        case Outcome.RUNNING:
            return "This run is still going on, or it was killed: this is no result."
        case Outcome.PLANNED:
            return "Nothing was changed: this was a rehearsal."
        case Outcome.VERIFIED:
            return f"Service is restored: all {total} items passed."
        case Outcome.VERIFIED_WITH_WAIVERS:
            return (
                f"Service is restored as far as it was checked: {waived} of {plural(total, 'item')} waived."
            )
        case Outcome.FAILED if failed:
            return f"Service is not shown to be restored: {failed} of {plural(total, 'item')} failed."
        case Outcome.UNVERIFIED:
            return (
                f"Service is not shown to be restored: {unverified + unjudged} of {plural(total, 'item')} "
                "could not be verified."
            )
        case Outcome.SUPERSEDED:
            return "Somebody else changed the release meanwhile: these verdicts do not describe what is live."
        case Outcome.REFUSED if not record.helm.ran:
            return "Refused before helm ran: nothing was changed."
        case Outcome.INTERRUPTED if record.provisional_at is not None:
            return "The run was interrupted during the soak: it was green provisionally, which is no result."
        case Outcome.INTERRUPTED:
            return "The run was interrupted: what had no verdict by then is not known."
    return "Service is not shown to be restored."


def own_tests_line(record: Record) -> str:
    """``Verified. 1 own test failed: tests/test_shop.py::test_cart``; empty where none failed."""
    found = failed_own_tests(record)
    if not found:
        return ""
    said = []
    for outcome, what in (
        (OwnTestOutcome.FAILED, "failed"),
        (OwnTestOutcome.NOT_RUN, "did not run to the end"),
    ):
        tests = [test for test in found if test.outcome is outcome]
        if tests:
            names = ", ".join(_own_test(test) for test in tests[:_MOST_OWN_TESTS])
            more = f" and {len(tests) - _MOST_OWN_TESTS} more" if len(tests) > _MOST_OWN_TESTS else ""
            said.append(f"{plural(len(tests), 'own test')} {what}: {names}{more}.")
    verdict = f"{headline(record).capitalize()}. " if record.outcome in GREEN_OUTCOMES else ""
    return verdict + " ".join(said)


def _own_test(test: OwnTest) -> str:
    return f"{test.node_id} ({test.first_line})" if test.first_line else test.node_id


def nothing_to_do(record: Record) -> bool:
    """Whether it is verified, nothing brings the bad version back, and no own test failed."""
    return record.outcome in GREEN_OUTCOMES and not record.redeploy_risks and not failed_own_tests(record)


def not_checked(record: Record) -> str:
    """What this run says nothing about, in one line."""
    if refused(record):
        return "the whole checklist: after a refusal nothing is run"
    if found := unchecked(record):
        return "; ".join(found)
    if record.mode is Mode.PLAN:
        return "whether users are served: a rehearsal runs no item of the checklist"
    return "nothing: every item has a verdict"


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
    guards = ", ".join(guard.id for guard in refused(record))
    match record.outcome:
        case Outcome.REFUSED:
            return f"refused ({guards})" if guards else "refused"
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
    helm, number = record.helm, head(record)
    if helm.running:
        return "Not known: helm's end was not seen. Read the history before anything else."
    if record.revision_after is None and helm.ran:
        return "Not known: helm ran, and the release was not read again."
    if number is None and record.outcome is Outcome.INTERRUPTED and not record.guards:
        return "Not known: nothing was reached."
    if number is None:
        return "Not known: the release's history was not read."
    known = f"{number}{_details_of(record, number)}"
    equal = record.find_item(EQUIVALENCE)
    if equal is None or equal.verdict is Verdict.PASS or record.outcome is Outcome.RUNNING or refused(record):
        return f"Revision {known}"
    if equal.verdict is Verdict.FAIL:
        return f"the current revision is {known}; {equal.id}: {inert_line(equal.observed, _SEEN_LIMIT)}"
    return f"Revision {known}; that the live objects match it was not shown ({word_of(equal, record)})"


def head(record: Record) -> int | None:
    """The current revision, as it was last read."""
    return record.revision_before if record.revision_after is None else record.revision_after


def _details_of(record: Record, number: int) -> str:
    known = revision_of(record, number)
    rolled_to = known.rollback_of if known else None
    deployed_at = known.deployed_at if known else None
    if record.helm.ran and number != record.revision_before:
        rolled_to = rolled_to or record.target_revision
        deployed_at = deployed_at or record.helm.finished_at
    origin = revision_of(record, rolled_to) or known
    parts = [] if rolled_to is None else [f"a rollback to {rolled_to}"]
    if origin:
        parts.append(origin.chart)
    details = f" since {moment(deployed_at)}" if deployed_at else ""
    details += f" ({', '.join(parts)})" if parts else ""
    changed = record.helm.ran or (record.mode is Mode.GITHUB and number != record.revision_before)
    return details if changed else f"{details}, not changed by this run"


def revisions(record: Record) -> str:
    """``before 6, target 5, after 7``; one number where none was asked for."""
    before, target, after = record.revision_before, record.target_revision, record.revision_after
    if record.mode is Mode.VERIFY:
        number = head(record)
        back = f", a rollback to {target}" if target not in (None, number) else ""
        return "not known" if number is None else f"{number}{back}"
    acted = record.helm.ran or (record.mode is Mode.GITHUB and before != after)
    ended = "not changed" if not acted else "after not known" if after is None else f"after {after}"
    return ", ".join(
        (
            "before not known" if before is None else f"before {before}",
            "target not known" if target is None else f"target {target}",
            ended,
        )
    )


def revision_of(record: Record, number: int | None) -> Revision | None:
    """The revision with this number, as far as the plan knows it."""
    known = (*record.plan.history, record.plan.target, record.plan.compared_with)
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
    bad, target = record.plan.compared_with, record.plan.target
    origin = target and (revision_of(record, target.rollback_of) or target)
    return None if bad is None or (origin and origin.deployed_at > bad.deployed_at) else bad


def _recovery(until: datetime | None) -> str:
    return f" Recovered {moment(until)}." if until else ""


def recovery(record: Record) -> str:
    """The recovery clock: from helm's start to the last green item, and since when ``/health`` passes.

    Empty where helm did not run, and where neither was seen.
    """
    helm_at, at, again = record.helm.started_at, record.recovered_at, record.served_again_at
    if not record.helm.ran or helm_at is None or (at is None and again is None):
        return ""
    said = f"{elapsed(helm_at, at)} from helm's start to the last green item" if at else "not seen"
    asked = {point.value for point in record.samples if point.series == "health"}
    if again is not None:
        health = f"/health passes since {clock_time(again)} UTC, {_from(helm_at, again)} helm's start"
    elif not asked:
        health = "/health was not asked"
    else:
        health = "/health does not pass" if 0 in asked else "/health passed whenever it was asked"
    return f"{said}; {health}"


def _from(start: datetime, at: datetime) -> str:
    return f"{elapsed(start, at)} after" if at >= start else f"{elapsed(at, start)} before"


def watch_line(record: Record) -> str:
    """How long the look was: ``Verified at 08:22:58 UTC, 2.0 s after helm; not watched since``; or empty.

    With a soak: ``... 2.0 s after helm, and watched for 10 s more; not watched since``.
    """
    at, helm_at = record.recovered_at, record.helm.finished_at
    if at is None or record.outcome not in GREEN_OUTCOMES:
        return ""
    after = f", {elapsed(helm_at, at)} after helm" if helm_at else ""
    soak = f", and watched for {record.soak_s:g} s more" if record.soak_s else ""
    return f"Verified at {clock_time(at)} UTC{after}{soak}; not watched since"


def plural(count: int, noun: str) -> str:
    """The count and its noun, in the plural where it has to be."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
