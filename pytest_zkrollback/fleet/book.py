"""The fleet's record while it is made: who is where, written down after every change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from ..domain.fleet import FailedItem, FleetRecord, MemberReason, MemberState
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

    def update(self, **facts: Any) -> None:
        """Facts of the fleet as a whole."""
        self._put(self._record.model_copy(update=facts))

    def begun(self, members: Iterable[str], phase: Phase, at: datetime) -> None:
        """These begin."""
        if phase is Phase.PLAN:
            self._change(members, state=MemberState.PREFLIGHT)
        else:
            self._change(members, state=MemberState.RUNNING, reason=None, said="", started_at=at)

    def ended(self, result: MemberResult, at: datetime, *, done_before: bool) -> None:
        """One has ended. ``done_before``: a run of the same fleet run was there before this one."""
        if result.phase is Phase.PLAN and self._record.mode is not Mode.PLAN:
            self._planned(result)
            return
        self._change([result.member], exit_code=result.exit_code)
        if result.run is None:
            reason = MemberReason.UNREADABLE_RECORD if result.is_unreadable else MemberReason.NO_RECORD
            state = MemberState.UNKNOWN
            self._change([result.member], state=state, reason=reason, said=result.problem, finished_at=at)
            return
        if result.run.mode is Mode.ROLLBACK and not result.run.helm_ran:
            reason = MemberReason.DONE_BEFORE if done_before else MemberReason.AT_TARGET
            self._change([result.member], reason=reason)
        self._put(fill_in(self._record, [result.run]))

    def remember(self, runs: Iterable[MemberRun]) -> None:
        """Runs that a killed command of the same fleet run made: facts, and nobody counts as finished."""
        self._put(fill_in(self._record, runs))
        self._change(
            [each.environment for each in self._record.members],
            state=MemberState.WAITING,
            reason=None,
            said="",
            exit_code=None,
        )

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

    def end(self, at: datetime) -> None:
        """Nobody is at work any more."""
        self._put(self._record.model_copy(update={"finished_at": at}))

    def _planned(self, result: MemberResult) -> None:
        """A preflight before the waves."""
        if result.run is not None:
            self._put(fill_in(self._record, [result.run]))
        if is_planned(result):
            self._change([result.member], state=MemberState.WAITING)
            return
        facts: dict[str, Any] = {"state": MemberState.REFUSED, "reason": MemberReason.PREFLIGHT_REFUSED}
        found = self._record.find_member(result.member)
        if found is None or found.first_failed is None:
            facts["first_failed"] = FailedItem(id=PREFLIGHT, observed=preflight_problem(result))
        self._change([result.member], **facts)

    def _change(self, members: Iterable[str], **facts: Any) -> None:
        names = frozenset(members)
        changed = tuple(
            each.model_copy(update=facts) if each.environment in names else each
            for each in self._record.members
        )
        self._put(self._record.model_copy(update={"members": changed}))

    def _put(self, record: FleetRecord) -> None:
        with self._lock:
            self._record = sum_up(record)
            self._save(self._record)


def is_planned(result: MemberResult) -> bool:
    """Whether a preflight refuses nothing."""
    return result.exit_code == 0 and result.run is not None and result.run.outcome is Outcome.PLANNED


def preflight_problem(result: MemberResult) -> str:
    """Why a preflight without a refusal of its own is none that one may go on with."""
    return result.problem or f"its preflight ended with exit code {result.exit_code}, and refused nothing"
