"""What a fleet's record says, in sentences. Every rendering and every message uses these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

from ...domain.fleet import FleetRecord, Member, MemberReason, MemberState, Wave, WaveState
from ...domain.record import GREEN_OUTCOMES, Mode, Outcome
from ...domain.target_names import LAST_VERIFIED, PREVIOUS, parse_target_version
from ...domain.verdict import Verdict
from ..failures import listed
from ..formatting import elapsed
from ..sanitize import inert_facts, inert_line
from ..summary import HEADLINES, plural

_MOST_NAMES = 3
_NAME_LIMIT = 60
_SAID_LIMIT = 200


class MemberWord(StrEnum):
    """How a member stands, as it is read, worst first: broken, not known, on its way, not begun, well."""

    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"
    REFUSED = "REFUSED"
    SUPERSEDED = "SUPERSEDED"
    UNVERIFIED = "UNVERIFIED"
    UNKNOWN = "UNKNOWN"
    NOT_FINISHED = "NOT FINISHED"
    RUNNING = "RUNNING"
    PREFLIGHT = "PREFLIGHT"
    FINISHED = "FINISHED"
    WAITING = "WAITING"
    NOT_STARTED = "NOT STARTED"
    VERIFIED_WITH_WAIVERS = "VERIFIED WITH WAIVERS"
    PLAN_ONLY = "PLAN ONLY"
    VERIFIED = "VERIFIED"


_ORDER = tuple(MemberWord)
_IDLE = (MemberWord.NOT_STARTED, MemberWord.WAITING, MemberWord.PREFLIGHT)
_WELL = (MemberWord.VERIFIED, MemberWord.VERIFIED_WITH_WAIVERS, MemberWord.PLAN_ONLY)
_GREEN = (*GREEN_OUTCOMES, Outcome.PLANNED)
# The shape, and the class of colour, that stands beside a member's word.
_SHAPES = {
    MemberWord.FAILED: "fail",
    MemberWord.INTERRUPTED: "interrupted",
    MemberWord.REFUSED: "refused",
    MemberWord.SUPERSEDED: "superseded",
    MemberWord.UNVERIFIED: "unverified",
    MemberWord.UNKNOWN: "no-verdict",
    MemberWord.NOT_STARTED: "not-started",
    MemberWord.VERIFIED_WITH_WAIVERS: "waived",
    MemberWord.PLAN_ONLY: "planned",
    MemberWord.VERIFIED: "pass",
}
WAVE_STATES = {
    WaveState.WAITING: "WAITING",
    WaveState.RUNNING: "RUNNING",
    WaveState.DONE: "DONE",
    WaveState.FAILED: "FAILED",
    WaveState.NOT_STARTED: "NOT STARTED",
    WaveState.UNKNOWN: "UNKNOWN",
}


def member_word(member: Member) -> MemberWord:
    """How a member stands: its outcome, or how far it came."""
    state, outcome = member.state, member.outcome
    if state is MemberState.RUNNING:
        ended = member.reason in (MemberReason.NO_END, MemberReason.INTERRUPTED)
        return MemberWord.NOT_FINISHED if ended else MemberWord.RUNNING
    if outcome is None or state in (MemberState.UNKNOWN, MemberState.NOT_STARTED):
        return MemberWord[state.name]
    if outcome in _GREEN and not is_well(member):
        return MemberWord.FAILED if member.first_failed else MemberWord.UNVERIFIED
    return of_outcome(outcome)


def of_outcome(outcome: Outcome) -> MemberWord:
    """An outcome's headline."""
    return MemberWord(HEADLINES[outcome])


def shape(word: MemberWord) -> str:
    """The symbol of a member's word; of one that is on its way a clock."""
    return _SHAPES.get(word, "waiting")


def is_idle(member: Member) -> bool:
    """Whether it waits, or was not begun: there is nothing to look into."""
    return member_word(member) in _IDLE


def is_well(member: Member) -> bool:
    """Whether somebody may rely on this member: by its own record, all of it, and its exit code.

    A rehearsal has no checklist: there no guard refused.
    """
    rehearsed = member.outcome is Outcome.PLANNED
    judged = all(each.verdict in (Verdict.PASS, Verdict.WAIVED) for each in member.items)
    return (
        member.state is MemberState.FINISHED
        and bool(member.run_id)
        and member.outcome in _GREEN
        and (rehearsed or (bool(member.items) and judged))
        and member.first_failed is None
        and member.exit_code in (None, 0)
    )


def is_only_untold(record: FleetRecord) -> bool:
    """Whether every member is verified, and only the message to the team is missing."""
    return (
        record.outcome not in GREEN_OUTCOMES
        and bool(record.members)
        and not record.unnamed_members
        and all(is_well(each) and each.outcome in GREEN_OUTCOMES for each in record.members)
    )


def worst_first(members: Iterable[Member]) -> list[Member]:
    """The members by how bad it is, then in their own order."""
    return sorted(members, key=lambda each: _ORDER.index(member_word(each)))


def headline(record: FleetRecord) -> MemberWord:
    """The verdict of the whole fleet, in capitals."""
    return of_outcome(record.outcome)


def counts(record: FleetRecord) -> list[tuple[MemberWord, int]]:
    """``[("FAILED", 1), ("VERIFIED", 19), ("NOT STARTED", 20)]``, worst first, without what no member is."""
    found = Counter(map(member_word, record.members))
    found[MemberWord.UNKNOWN] += record.unnamed_members
    return [(word, found[word]) for word in _ORDER if found[word]]


def count_line(record: FleetRecord) -> str:
    """``40 members: 1 FAILED, 20 NOT STARTED, 19 VERIFIED``."""
    total = len(record.members) + record.unnamed_members
    return f"{plural(total, 'member')}: {', '.join(f'{count} {word}' for word, count in counts(record))}"


def title(record: FleetRecord) -> str:
    """``FAILED: fleet eu, rollback to app version 1.8.0``, for a window's title."""
    return f"{headline(record)}: {fleet_label(record)}"


def fleet_label(record: FleetRecord) -> str:
    """``fleet eu, rollback to app version 1.8.0``: what was asked for, without a verdict."""
    name = inert_line(record.fleet, _NAME_LIMIT)
    match record.mode:
        case Mode.VERIFY:
            return f"fleet {name} (checked only)"
        case Mode.PLAN:
            return f"fleet {name}, rollback{goal(record)} (rehearsal)"
    return f"fleet {name}, rollback{goal(record)}"


def goal(record: FleetRecord) -> str:
    """`` to app version 1.8.0``, with the space before it; empty: nothing to go back to."""
    if not record.target:
        return ""
    version = parse_target_version(record.target)
    if version is not None:
        return f" to {inert_line(version.described, _NAME_LIMIT)}"
    known = {PREVIOUS: "the previous revision", LAST_VERIFIED: "the revision verified last"}
    return f" to {known.get(record.target) or inert_line(record.target, _NAME_LIMIT)}"


def names(members: Sequence[Member], most: int = _MOST_NAMES) -> str:
    """``eu-1``, ``eu-1 and eu-2``, ``eu-1, eu-2, eu-3 and 12 more``."""
    shown = [inert_line(each.environment, _NAME_LIMIT) for each in members]
    if len(shown) > most + 1:
        shown = [*shown[:most], f"{len(shown) - most} more"]
    return listed(shown) if shown else ""


def said_of(member: Member, record: FleetRecord) -> str:
    """Why a member is where it is; empty where there is nothing to say beside its outcome."""
    match member.reason:
        case MemberReason.OTHERS_REFUSED:
            refused = [each for each in record.members if each.reason is MemberReason.PREFLIGHT_REFUSED]
            by = (
                f"the preflight of {names(refused)} refused"
                if refused
                else "another member's preflight refused"
            )
            return f"not started: {by}"
        case MemberReason.WAVE_FAILED:
            wave = next((each for each in record.waves if _stops(each) and each.number < member.wave), None)
            return f"not started: {f'wave {wave.number}' if wave else 'an earlier wave'} failed"
        case MemberReason.STOPPED:
            failed = [each for each in record.members if each.run_id and not is_well(each)]
            return f"not started: {names(failed) or 'too many members'} failed"
        case MemberReason.PREFLIGHT_REFUSED:
            first = member.first_failed
            return f"{first.id}: {first.observed}" if first else "its preflight refused"
        case MemberReason.INTERRUPTED if member.state is MemberState.RUNNING:
            return "begun by the command that was killed; it goes on, and was not waited for"
        case MemberReason.INTERRUPTED if member.state is MemberState.UNKNOWN:
            return "interrupted, and it left no record: what is live is not known"
        case MemberReason.INTERRUPTED:
            return "interrupted" if member.run_id else "not started: the fleet's run was interrupted"
        case MemberReason.UNREADABLE_RECORD:
            return member.said or "its record cannot be read: what is live is not known"
    return _REASONS.get(member.reason, member.said) if member.reason is not None else member.said


_REASONS = {
    MemberReason.AT_TARGET: "what was asked for was live already: verified only",
    MemberReason.DONE_BEFORE: "rolled back before, by the same fleet run: verified only",
    MemberReason.NO_RECORD: "there is no record of it: what is live is not known",
    MemberReason.NO_END: "its record has no end: it goes on, or was killed",
    MemberReason.OTHER_RUN: "its record is of a run that was asked for something else",
}


def _stops(wave: Wave) -> bool:
    return wave.state in (WaveState.FAILED, WaveState.UNKNOWN)


def failed_line(member: Member) -> str:
    """What went wrong first, in one sentence: ``rollout-backend: 1 of 2 replicas ...``; may be empty."""
    first = member.first_failed
    said = "" if first is None else f"{first.id}: {first.observed or 'no verdict; nothing was seen'}"
    if first is None and member.exit_code and member.outcome in GREEN_OUTCOMES:
        said = f"its process ended with exit code {member.exit_code}, which its record does not explain"
    known = member.reason in (MemberReason.INTERRUPTED, MemberReason.PREFLIGHT_REFUSED)
    if member.said and member.said != said and not (said and known):
        said = f"{said} ({member.said})" if said else member.said
    return inert_facts(said, _SAID_LIMIT * 2)


def render_summary(record: FleetRecord) -> str:
    """Did it work, and what is true now? What the members alone justify."""
    name, total = f"Fleet {inert_line(record.fleet, _NAME_LIMIT)}", len(record.members)
    every = f"all {plural(total, 'member')}"
    match record.outcome:
        case Outcome.VERIFIED | Outcome.VERIFIED_WITH_WAIVERS:
            return _all_verified(record, name, every)
        case Outcome.PLANNED:
            return f"{name} can go back{goal(record)}: no guard refuses in {every}. Nothing was changed."
        case Outcome.REFUSED:
            refused = [each for each in record.members if each.state is MemberState.REFUSED]
            return f"Nothing was {_done(record)}: {names(refused)} refused. Nothing was changed."
        case Outcome.RUNNING:
            return f"{_so_far(record)} It goes on, or it was killed: this is no result."
    if is_only_untold(record):
        told = _untold(record) or " It is not known whether the team was told."
        return f"{_all_verified(record, name, every)}{told}"
    word = "in order" if record.mode is Mode.VERIFY else "restored"
    stands = "NOT verified" if record.outcome is Outcome.UNVERIFIED else f"NOT {word}"
    if record.outcome is Outcome.INTERRUPTED:
        stands = "interrupted"
    return f"{name} is {stands}: {_where_members_are(record)}.{_untold(record)}"


def _all_verified(record: FleetRecord, name: str, every: str) -> str:
    back = "in order" if record.mode is Mode.VERIFY else f"back{goal(record)}"
    waived = Outcome.VERIFIED_WITH_WAIVERS in {record.outcome, *(each.outcome for each in record.members)}
    left = " with checks that were left out" if waived else ""
    return f"{name} is {back}: {every} verified{left}{_how(record)}."


def _done(record: FleetRecord) -> str:
    return "verified" if record.mode is Mode.VERIFY else "rolled back"


def _how(record: FleetRecord) -> str:
    """How many helms it took, where it rolled back."""
    if record.mode is Mode.VERIFY:
        return ""
    ran = sum(1 for each in record.members if each.helm_ran)
    unknown = sum(1 for each in record.members if each.helm_ran is None)
    rest = len(record.members) - ran - unknown
    said = [f"helm ran in {ran}"]
    said += [f"{rest} had it already"] if rest else []
    said += [f"of {unknown} it is not known whether helm ran"] if unknown else []
    return f"; {', '.join(said)}"


def _so_far(record: FleetRecord) -> str:
    well = sum(1 for each in record.members if is_well(each))
    return f"{well} of {plural(len(record.members), 'member')} verified so far."


def _where_members_are(record: FleetRecord) -> str:
    """``1 failed (eu-3: rollout-backend), 19 verified, 20 not started``; names where they are few."""
    parts = []
    for word, count in counts(record):
        mine = [each for each in record.members if member_word(each) == word]
        detail = ""
        if word not in (*_WELL, *_IDLE) and mine:
            detail = f" ({names(mine)})"
            if len(mine) == 1 and mine[0].first_failed is not None:
                detail = f" ({names(mine)}: {inert_line(mine[0].first_failed.id, _NAME_LIMIT)})"
        parts.append(f"{count} {word.lower()}{detail}")
    return ", ".join(parts) or "no member is known"


def _untold(record: FleetRecord) -> str:
    """That the team was not told, or is not known to have been."""
    if record.notify is None or record.notify.verdict in (None, Verdict.PASS, Verdict.WAIVED):
        return ""
    if record.notify.verdict is Verdict.FAIL:
        return " The team was not told."
    return " It is not known whether the team was told."


def wave_line(wave: Wave, members: Sequence[Member]) -> str:
    """``Wave 2: FAILED, 1 of 9 members failed (eu-3), took 1 min 05 s``."""
    took = elapsed(wave.started_at, wave.finished_at)
    bad = [each for each in members if not is_well(each) and each.run_id]
    said = [WAVE_STATES[wave.state], f"{plural(len(members), 'member')}"]
    if bad and wave.state is not WaveState.RUNNING:
        said[1] = f"{len(bad)} of {plural(len(members), 'member')} not verified ({names(bad)})"
    if took:
        said.append(f"took {took}")
    return f"Wave {wave.number}: {', '.join(said)}"


def stop_line(record: FleetRecord) -> str:
    """When no further member is begun, in words."""
    failures, share = record.stop.failures, record.stop.share
    if share is not None:
        return f"stops when more than {share:.0%} of the members failed"
    if failures is None:
        return "does not stop at a failure"
    if failures == 0:
        return "stops at the first failure"
    return f"stops when more than {plural(failures, 'member')} failed"
