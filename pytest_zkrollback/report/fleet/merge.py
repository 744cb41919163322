"""One fleet's record out of its members' runs. Pure: no file, no clock, and no order of files matters.

Never green on hearsay: a member counts as verified only by its own run's record, and as a part of the run
that was asked for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from ...domain.fleet import (
    FleetRecord,
    Member,
    MemberReason,
    MemberState,
    Wave,
    WaveState,
)
from ...domain.record import GREEN_OUTCOMES, Mode, Outcome
from ...domain.verdict import Verdict
from . import words
from .member_run import MemberRun, run_order

# The fleet's process alone can say these of a member, and no record contradicts them.
_WITHOUT_RECORD = (MemberState.NOT_STARTED, MemberState.REFUSED)
_ON_ITS_WAY = (MemberState.WAITING, MemberState.PREFLIGHT, MemberState.RUNNING)
# Why a member that was to be rolled back is only verified.
_VERIFIED_ONLY = (MemberReason.AT_TARGET, MemberReason.DONE_BEFORE)


def fill_in(base: FleetRecord, runs: Iterable[MemberRun]) -> FleetRecord:
    """``base`` with what the members' runs say; who has none among them stays as it is.

    Runs of one member come one after another, in this call or in several. A run of no member is passed over.
    """
    found: dict[str, Member] = {each.environment: each for each in base.members}
    for run in sorted(runs, key=run_order):
        if (member := found.get(run.environment)) is not None:
            found[run.environment] = _with_run(member, run, base.mode)
    return base.model_copy(update={"members": tuple(found[each.environment] for each in base.members)})


def sum_up(base: FleetRecord, *, goes_on: bool = True) -> FleetRecord:
    """``base`` with its waves, outcome and summary as its members make them.

    ``goes_on``: the fleet's process lives and says itself how far each member is. Without it, who has no
    end is not waited for: it is not known, unless its own record tells.
    """
    members = base.members
    if not goes_on or base.finished_at is not None:
        members = tuple(map(_at_the_end, members))
    waves = tuple(
        _summed(wave, [each for each in members if each.wave == wave.number]) for wave in base.waves
    )
    record = base.model_copy(update={"members": members, "waves": waves})
    record = record.model_copy(update={"members": tuple(_with_words(each, record) for each in members)})
    record = record.model_copy(update={"outcome": choose_outcome(record, goes_on=goes_on)})
    return record.model_copy(update={"summary": words.render_summary(record)})


def merge(base: FleetRecord, runs: Iterable[MemberRun], *, goes_on: bool = True) -> FleetRecord:
    """Both: what the runs say, and what that makes of the fleet."""
    return sum_up(fill_in(base, runs), goes_on=goes_on)


def merge_offline(base: FleetRecord, runs: Sequence[MemberRun]) -> FleetRecord:
    """The same where no fleet's process is at work: only what the runs say themselves is believed of them."""
    members = tuple(map(_without_hearsay, base.members))
    record = fill_in(base.model_copy(update={"members": members}), runs)
    ids = {run.run_id for run in runs}
    members = tuple(
        each.model_copy(update={"helm_ran": None})
        if not each.helm_ran and set(each.earlier_run_ids) - ids
        else each
        for each in record.members
    )
    record = record.model_copy(update={"members": members})
    ended = [each.finished_at for each in record.members if each.finished_at is not None]
    if (
        record.finished_at is None
        and ended
        and all(each.finished_at or not each.run_id for each in record.members)
    ):
        record = record.model_copy(update={"finished_at": max(ended)})
    return sum_up(record, goes_on=False)


def plan_of(runs: Sequence[MemberRun], fleet: str = "", waves: Sequence[Sequence[str]] = ()) -> FleetRecord:
    """What a fleet's record begins with where its process left none; ``runs`` are not empty.

    ``waves``: the members that there have to be, as they were typed or configured; without them the waves
    that the runs name, else one.
    """
    planned = dict(enumerate(map(tuple, waves), 1)) or _waves_of(runs)
    strangers = {each.environment for each in runs}.difference(*planned.values())
    if strangers:
        planned[max(planned) + 1] = tuple(sorted(strangers))
    known = [name for wave in planned.values() for name in wave]
    wanted = max((run.fleet.members or 0 for run in runs if run.fleet is not None), default=0)
    first = min(runs, key=run_order)
    given = next((run.fleet for run in runs if run.fleet is not None), None)
    return FleetRecord(
        fleet=fleet or (given.fleet if given is not None else "merged"),
        fleet_run_id=given.fleet_run_id if given is not None else _digest(runs),
        mode=_mode(runs),
        target=_same(f"revision {run.target.revision}" if run.target else "" for run in runs),
        reason=_same((run.reason for run in runs), FleetRecord.model_fields["reason"].default),
        next_steps=_same((run.next_steps for run in runs), FleetRecord.model_fields["next_steps"].default),
        incident=_same(run.incident for run in runs),
        operator=_same(run.operator for run in runs),
        command_line=_same(run.command_line for run in runs),
        started_at=first.started_at,
        protected=any(run.protected for run in runs),
        waves=tuple(Wave(number=number, members=wave) for number, wave in planned.items()),
        members=tuple(
            Member(environment=name, wave=number) for number, wave in planned.items() for name in wave
        ),
        unnamed_members=max(0, wanted - len(known)),
        report_timezone=_same(run.report_timezone for run in runs),
    )


def choose_outcome(record: FleetRecord, *, goes_on: bool = True) -> Outcome:
    """What the members add up to. Green needs each of them, and the fleet's own message where it owes one."""
    members, outcomes = record.members, {each.outcome for each in record.members}
    if goes_on and record.finished_at is None:
        return Outcome.RUNNING
    if Outcome.FAILED in outcomes or any(_own_test_failed(each) for each in members):
        return Outcome.FAILED
    if Outcome.INTERRUPTED in outcomes or any(each.reason is MemberReason.INTERRUPTED for each in members):
        return Outcome.INTERRUPTED
    if _nothing_began(members) and any(each.state is MemberState.REFUSED for each in members):
        return Outcome.REFUSED
    if any(each.state in _ON_ITS_WAY for each in members):
        return Outcome.RUNNING
    wanted = {Outcome.PLANNED} if record.mode is Mode.PLAN else set(GREEN_OUTCOMES)
    if not _all_are_known(record) or not all(map(words.is_well, members)) or outcomes - wanted:
        return Outcome.UNVERIFIED
    if record.mode is Mode.PLAN:
        return Outcome.PLANNED
    return _with_notify(record, outcomes)


def _with_notify(record: FleetRecord, outcomes: set[Outcome | None]) -> Outcome:
    """Every member is green: what is left is whether the team was told, where the fleet does that."""
    waived = Outcome.VERIFIED_WITH_WAIVERS in outcomes
    if record.notify is None:
        left = any(each.left_to_fleet for each in record.members)
        if left:
            return Outcome.UNVERIFIED
    elif record.notify.verdict is Verdict.FAIL:
        return Outcome.FAILED
    elif record.notify.verdict is Verdict.WAIVED:
        waived = True
    elif record.notify.verdict is not Verdict.PASS:
        return Outcome.UNVERIFIED
    return Outcome.VERIFIED_WITH_WAIVERS if waived else Outcome.VERIFIED


def _all_are_known(record: FleetRecord) -> bool:
    return bool(record.members) and not record.unnamed_members and all(each.members for each in record.waves)


def _own_test_failed(member: Member) -> bool:
    return member.outcome in GREEN_OUTCOMES and member.first_failed is not None


def _nothing_began(members: Iterable[Member]) -> bool:
    return not any(each.helm_ran or each.outcome in GREEN_OUTCOMES for each in members)


def _with_run(member: Member, run: MemberRun, mode: Mode) -> Member:
    if run.mode is Mode.PLAN and mode is not Mode.PLAN:
        return _with_preflight(member, run)
    again = bool(member.run_id) and member.run_id != run.run_id
    earlier = member.earlier_run_ids
    if again and member.run_id not in earlier:
        earlier = (*earlier, member.run_id)
    acted = run.helm_ran
    fits = _fits(member, run, mode)
    return member.model_copy(
        update={
            "state": _state(run) if fits else MemberState.UNKNOWN,
            "reason": _reason(member, run, again=again) if fits else MemberReason.OTHER_RUN,
            "said": "",
            "run_id": run.run_id,
            "record": run.record,
            "page": run.page,
            "earlier_run_ids": tuple(each for each in earlier if each != run.run_id),
            "outcome": run.outcome,
            "left_to_fleet": run.left_to_fleet,
            "summary": run.summary,
            "cluster": run.cluster or member.cluster,
            "namespace": run.namespace or member.namespace,
            "release": run.release or member.release,
            "before": member.before if again and member.before else run.before,
            "target": run.target or member.target,
            "after": run.after,
            "helm_ran": run.helm_ran or bool(member.helm_ran),
            "helm_running": run.helm_running,
            "items": run.items,
            "first_failed": run.first_failed,
            "started_at": member.started_at if again and member.started_at else run.started_at,
            "finished_at": run.finished_at,
            "helm_started_at": run.helm_started_at if acted else member.helm_started_at,
            "helm_finished_at": run.helm_finished_at if acted else member.helm_finished_at,
            "recovered_at": run.recovered_at,
        }
    )


def _with_preflight(member: Member, run: MemberRun) -> Member:
    """What a rehearsal alone says of a member that was to be rolled back: whether it refuses."""
    known = {
        "cluster": member.cluster or run.cluster,
        "namespace": member.namespace or run.namespace,
        "release": member.release or run.release,
        "before": member.before or run.before,
        "target": member.target or run.target,
    }
    if member.run_id:
        # Begun by a command that was killed: what that run did stays, and nobody goes on with it now.
        refused_now: dict[str, object] = {}
        if run.outcome is Outcome.REFUSED:
            refused_now = {
                "state": MemberState.REFUSED,
                "reason": MemberReason.PREFLIGHT_REFUSED,
                "said": "",
                "outcome": Outcome.REFUSED,
                "first_failed": run.refuses or run.first_failed,
            }
        return member.model_copy(update=known | refused_now)
    if run.outcome is not Outcome.REFUSED:
        refused_before = member.reason is MemberReason.PREFLIGHT_REFUSED  # by an earlier rehearsal
        base = Member(environment=member.environment, wave=member.wave) if refused_before else member
        return base.model_copy(update=known)
    refused = {
        "state": MemberState.REFUSED,
        "reason": MemberReason.PREFLIGHT_REFUSED,
        "said": "",
        "record": run.record,
        "page": run.page,
        "outcome": Outcome.REFUSED,
        "first_failed": run.refuses or run.first_failed,
        "helm_ran": False,
        "items": run.items,
        "summary": run.summary,
    }
    return member.model_copy(update=known | refused)


def _fits(member: Member, run: MemberRun, mode: Mode) -> bool:
    """Whether the run is of the kind that was asked for."""
    if mode in (Mode.PLAN, Mode.VERIFY) or run.mode is not Mode.VERIFY:
        return (mode if mode in (Mode.PLAN, Mode.VERIFY) else run.mode) is run.mode
    return _may_verify(member, run)


def _may_verify(member: Member, run: MemberRun) -> bool:
    """Whether a run that only verifies stands for a rollback: what it saw is what was asked for."""
    if member.reason in _VERIFIED_ONLY:
        return True
    made = member.after if member.helm_ran and not member.helm_running else None
    return made is not None and run.after is not None and made.revision == run.after.revision


def _state(run: MemberRun) -> MemberState:
    if run.outcome is Outcome.RUNNING:
        return MemberState.RUNNING
    return MemberState.REFUSED if run.outcome is Outcome.REFUSED else MemberState.FINISHED


def _reason(member: Member, run: MemberRun, *, again: bool) -> MemberReason | None:
    if run.outcome is Outcome.REFUSED:
        return MemberReason.PREFLIGHT_REFUSED
    if run.outcome is Outcome.INTERRUPTED:
        return MemberReason.INTERRUPTED
    if again and member.helm_ran and not run.helm_ran:
        return MemberReason.DONE_BEFORE
    if member.reason in _VERIFIED_ONLY and run.outcome in GREEN_OUTCOMES:
        return member.reason
    return MemberReason.AT_TARGET if run.skipped else None


def _with_words(member: Member, record: FleetRecord) -> Member:
    """The same member where nothing is new: what was redacted once is known by its identity."""
    said = words.said_of(member, record)
    return member if said == member.said else member.model_copy(update={"said": said})


def _at_the_end(member: Member) -> Member:
    """A member that nobody is at work on any more."""
    if member.state not in _ON_ITS_WAY:
        return member
    if member.run_id and member.reason is MemberReason.INTERRUPTED:
        return member  # Ctrl-C: it goes on, and nobody waited for it
    if member.run_id:
        return member.model_copy(update={"reason": MemberReason.NO_END, "said": ""})
    unknown = {"state": MemberState.UNKNOWN, "reason": MemberReason.NO_RECORD, "said": ""}
    if member.reason is MemberReason.UNREADABLE_RECORD:
        unknown = {"state": MemberState.UNKNOWN}
    return member.model_copy(update=unknown)


def _without_hearsay(member: Member) -> Member:
    """A member as its fleet's process knew it, without what only its own record can say."""
    kept = {"environment", "wave", "exit_code", "said", "earlier_run_ids"}
    if member.state in _WITHOUT_RECORD and member.outcome is None:
        kept |= {"state", "reason"}
    elif member.reason in (*_VERIFIED_ONLY, MemberReason.UNREADABLE_RECORD):
        kept |= {"reason"}
    return Member(**{name: getattr(member, name) for name in kept})


def _summed(wave: Wave, members: Sequence[Member]) -> Wave:
    began = [each.started_at for each in members if each.started_at and each.run_id]
    ended = [each.finished_at for each in members if each.finished_at and each.run_id]
    state = _wave_state(members)
    over = state in (WaveState.DONE, WaveState.FAILED, WaveState.UNKNOWN)
    times: dict[str, datetime | None] = {
        "started_at": wave.started_at or min(began, default=None),
        "finished_at": wave.finished_at or (max(ended, default=None) if over else None),
    }
    return wave.model_copy(update={"state": state, **times})


def _wave_state(members: Sequence[Member]) -> WaveState:
    states = Counter(each.state for each in members)
    if not members:
        return WaveState.UNKNOWN
    on_their_way = sum(states[each] for each in _ON_ITS_WAY)
    ended = [each for each in members if each.state in (MemberState.FINISHED, MemberState.REFUSED)]
    if on_their_way:
        begun = states[MemberState.RUNNING] or any(each.run_id for each in ended)
        return WaveState.RUNNING if begun else WaveState.WAITING
    if states[MemberState.NOT_STARTED] == len(members):
        return WaveState.NOT_STARTED
    if states[MemberState.UNKNOWN]:
        return WaveState.UNKNOWN
    return WaveState.DONE if all(map(words.is_well, members)) else WaveState.FAILED


def _waves_of(runs: Sequence[MemberRun]) -> dict[int, tuple[str, ...]]:
    """The waves that the runs name, those between them included; runs that name none stand in the last."""
    last = max((run.fleet.wave for run in runs if run.fleet is not None), default=0)
    named: dict[str, int] = {}
    for run in runs:
        number = run.fleet.wave if run.fleet is not None else last + 1
        named[run.environment] = min(number, named.get(run.environment, number))
    return {
        number: tuple(sorted(name for name, mine in named.items() if mine == number))
        for number in range(1, max(named.values()) + 1)
    }


def _mode(runs: Sequence[MemberRun]) -> Mode:
    modes = {run.mode for run in runs}
    if modes <= {Mode.PLAN}:
        return Mode.PLAN
    return Mode.VERIFY if modes <= {Mode.VERIFY, Mode.PLAN} else Mode.ROLLBACK


def _same(texts: Iterable[str], otherwise: str = "") -> str:
    found = set(texts)
    return found.pop() if len(found) == 1 else otherwise


def _digest(runs: Sequence[MemberRun]) -> str:
    return hashlib.sha256(" ".join(sorted(run.run_id for run in runs)).encode()).hexdigest()[:8]
