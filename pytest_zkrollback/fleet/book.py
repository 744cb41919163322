"""The fleet's record while it is made: who is where, written down after every change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ..domain.fleet import FailedItem, FleetRecord, Member, MemberReason, MemberState
from ..domain.item_ids import PREFLIGHT
from ..domain.record import GREEN_OUTCOMES, Mode, Outcome
from ..report.fleet.member_run import MemberRun
from ..report.fleet.merge import fill_in, sum_up
from ..report.fleet.words import is_well
from .engines.interface import MemberResult, Phase
from .waves import NotStarted


class FleetBook:
    """Holds the record. What it gives out is summed up: its waves and outcome follow from its members."""

    def __init__(self, record: FleetRecord, save: Callable[[FleetRecord], None]) -> None:
        """``save`` writes it down; it raises nothing."""
        self._save = save
        self._lock = threading.Lock()
        self._record = sum_up(record)

    @property
    def record(self) -> FleetRecord:
        """As it stands."""
        return self._record

    def is_green(self, member: str) -> bool:
        """Whether somebody may rely on it, by its own run's record."""
        found = self._record.find_member(member)
        return (
            found is not None
            and found.state is MemberState.FINISHED
            and found.outcome in GREEN_OUTCOMES
            and found.exit_code == 0
            and is_well(found)
        )

    def is_refused(self, member: str) -> bool:
        """Whether its own preflight refuses."""
        found = self._record.find_member(member)
        return found is not None and found.state is MemberState.REFUSED

    def update(self, **facts: Any) -> None:
        """Facts of the fleet as a whole."""
        self._put(self._record.model_copy(update=facts))

    def begun(self, members: Iterable[str], phase: Phase, at: datetime) -> None:
        """These begin."""
        if phase is Phase.PLAN:
            self._change(members, state=MemberState.PREFLIGHT)
        else:
            self._change(members, state=MemberState.RUNNING, reason=None, said="", started_at=at)

    def ended(self, result: MemberResult, at: datetime, *, interrupted: bool = False) -> None:
        """One has ended. ``interrupted``: it had been asked to, by Ctrl-C."""
        if result.phase is Phase.PLAN and self._record.mode is not Mode.PLAN:
            self._planned(result, interrupted=interrupted)
            return
        if result.run is None:
            self._lost(result, at, interrupted=interrupted)
            return
        facts: dict[str, Any] = {"exit_code": result.exit_code}
        if result.run.mode is Mode.ROLLBACK and not result.run.helm_ran:
            known = self._record.find_member(result.member)
            done_before = known is not None and known.helm_ran
            facts["reason"] = MemberReason.DONE_BEFORE if done_before else MemberReason.AT_TARGET
        self._put(fill_in(_changed(self._record, [result.member], facts), [result.run]))

    def remember(self, runs: Iterable[MemberRun]) -> None:
        """Runs that a killed command of the same fleet run made: facts, and nobody counts as finished."""
        known = fill_in(self._record, runs)
        waits = {"state": MemberState.WAITING, "reason": None, "said": "", "exit_code": None}
        self._put(_changed(known, [each.environment for each in known.members], waits))

    def not_started(self, found: dict[str, NotStarted]) -> None:
        """These will not begin; what is known of an earlier run of theirs stays."""
        state = MemberState.NOT_STARTED
        changed = tuple(
            each.model_copy(update={"state": state, "reason": why.reason, "said": why.said})
            if (why := found.get(each.environment)) is not None
            else each
            for each in self._record.members
        )
        self._put(self._record.model_copy(update={"members": changed}))

    def go_on(self, runs: Mapping[str, str]) -> None:
        """These (member -> run id) were begun by a killed command, and nobody here waits for them."""
        facts = {"state": MemberState.RUNNING, "reason": MemberReason.INTERRUPTED, "said": "", "after": None}
        record = self._record
        for member, run_id in runs.items():
            known = record.find_member(member)
            if known is not None and known.state in (MemberState.WAITING, MemberState.NOT_STARTED):
                ran = True if known.helm_ran else None
                record = _changed(record, [member], {**facts, "run_id": run_id, "helm_ran": ran})
        if record is not self._record:
            self._put(record)

    def end(self, at: datetime) -> None:
        """Nobody is at work any more."""
        self._put(self._record.model_copy(update={"finished_at": at}))

    def _lost(self, result: MemberResult, at: datetime, *, interrupted: bool) -> None:
        """A run without a record that can be read: what an earlier one saw is no longer known."""
        reason = MemberReason.INTERRUPTED if interrupted else MemberReason.NO_RECORD
        if result.is_unreadable:
            reason = MemberReason.UNREADABLE_RECORD
        known = self._record.find_member(result.member)
        if known is None:
            return
        earlier = known.earlier_run_ids
        if known.run_id and known.run_id not in earlier:
            earlier = (*earlier, known.run_id)
        self._put_member(
            Member(
                environment=known.environment,
                wave=known.wave,
                state=MemberState.UNKNOWN,
                reason=reason,
                said=result.problem,
                exit_code=result.exit_code,
                earlier_run_ids=earlier,
                cluster=known.cluster,
                namespace=known.namespace,
                release=known.release,
                before=known.before,
                target=known.target,
                helm_ran=True if known.helm_ran else None,
                helm_started_at=known.helm_started_at,
                helm_finished_at=known.helm_finished_at,
                started_at=known.started_at,
                finished_at=at,
            )
        )

    def _planned(self, result: MemberResult, *, interrupted: bool) -> None:
        """A preflight before the waves."""
        known = self._record if result.run is None else fill_in(self._record, [result.run])
        refused = result.run is not None and result.run.outcome is Outcome.REFUSED
        facts: dict[str, Any]
        if is_planned(result):
            facts = {"state": MemberState.WAITING}
        elif not refused and (interrupted or is_interrupted(result)):
            facts = {"state": MemberState.NOT_STARTED, "reason": MemberReason.INTERRUPTED, "said": ""}
        else:
            facts = {"state": MemberState.REFUSED, "reason": MemberReason.PREFLIGHT_REFUSED}
            if not refused:
                facts["outcome"] = None if result.run is None else Outcome.REFUSED
                facts["first_failed"] = FailedItem(id=PREFLIGHT, observed=preflight_problem(result))
        self._put(_changed(known, [result.member], facts))

    def _put_member(self, member: Member) -> None:
        members = tuple(
            member if each.environment == member.environment else each for each in self._record.members
        )
        self._put(self._record.model_copy(update={"members": members}))

    def _change(self, members: Iterable[str], **facts: Any) -> None:
        self._put(_changed(self._record, members, facts))

    def _put(self, record: FleetRecord) -> None:
        with self._lock:
            self._record = sum_up(record)
            self._save(self._record)


def _changed(record: FleetRecord, members: Iterable[str], facts: dict[str, Any]) -> FleetRecord:
    """The record with these facts of these members."""
    names = frozenset(members)
    changed = tuple(
        each.model_copy(update=facts) if each.environment in names else each for each in record.members
    )
    return record.model_copy(update={"members": changed})


def is_planned(result: MemberResult) -> bool:
    """Whether a preflight refuses nothing."""
    return result.exit_code == 0 and result.run is not None and result.run.outcome is Outcome.PLANNED


def is_interrupted(result: MemberResult) -> bool:
    """Whether it says itself that somebody ended it."""
    return result.run is not None and result.run.outcome is Outcome.INTERRUPTED


def preflight_problem(result: MemberResult) -> str:
    """Why a preflight without a refusal of its own is none that one may go on with."""
    return result.problem or f"its preflight ended with exit code {result.exit_code}, and refused nothing"
