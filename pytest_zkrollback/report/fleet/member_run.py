"""What a fleet's record holds of one member's run: facts of that run's own record."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ...domain.fleet import FailedItem, FleetItem, ReleaseVersion
from ...domain.frozen import Frozen, Time
from ...domain.item_ids import NOTIFY
from ...domain.record import GREEN_OUTCOMES, FleetMembership, Mode, Outcome, Record
from ...domain.verdict import Verdict
from ..failures import failed_items, failed_own_tests, refused
from ..incident_facts import find_live, head, revision_of
from ..sanitize import inert_facts
from ..summary import lead

_SAID_LIMIT = 320


class MemberRun(Frozen):
    """One member's run, small enough that a thousand of them are held at once."""

    environment: str
    run_id: str
    mode: Mode
    outcome: Outcome = Field(
        description="of its record; verified where it waives only what is left to the fleet"
    )
    fleet: FleetMembership | None
    record: str = Field(default="", description="the record's file, from the fleet's folder")
    page: str = Field(default="", description="its page's file; empty: there is none")
    started_at: Time
    finished_at: Time | None
    helm_started_at: Time | None
    helm_finished_at: Time | None
    recovered_at: Time | None
    summary: str
    cluster: str
    namespace: str
    release: str
    before: ReleaseVersion | None
    target: ReleaseVersion | None
    after: ReleaseVersion | None
    helm_ran: bool
    helm_running: bool
    skipped: bool = Field(description="helm was not run because what was asked for was live already")
    items: tuple[FleetItem, ...]
    first_failed: FailedItem | None
    refuses: FailedItem | None = Field(description="the guard that refused, where that is all there is")
    left_to_fleet: tuple[str, ...]
    protected: bool
    reason: str
    next_steps: str
    incident: str
    operator: str
    command_line: str
    report_timezone: str


def member_run(record: Record, file: str = "", page: str = "") -> MemberRun:
    """The facts of ``record``, which lies at ``file`` with its page at ``page``, from the fleet's folder."""
    left = _left_to_fleet(record)
    guards = refused(record)
    refuses = FailedItem(id=guards[0].id, observed=_said(guards[0].evidence)) if guards else None
    return MemberRun(
        environment=record.environment,
        run_id=record.run_id,
        mode=record.mode,
        outcome=_outcome(record, left),
        fleet=record.fleet,
        record=file,
        page=page,
        started_at=record.started_at,
        finished_at=record.finished_at,
        helm_started_at=record.helm.started_at,
        helm_finished_at=record.helm.finished_at,
        recovered_at=record.recovered_at,
        summary=_said(lead(record)),
        cluster=record.cluster,
        namespace=record.namespace,
        release=record.release,
        before=_version(record, record.revision_before),
        target=_version(record, record.target_revision),
        after=_live(record),
        helm_ran=record.helm.ran or (record.github is not None and record.github.deploys),
        helm_running=record.helm.running,
        skipped=bool(record.helm.skipped_reason),
        items=tuple(FleetItem(id=item.id, verdict=item.verdict) for item in record.items),
        first_failed=refuses or _first_failed(record),
        refuses=refuses,
        left_to_fleet=left,
        protected=record.protected,
        reason=record.reason,
        next_steps=record.next_steps,
        incident=record.incident,
        operator=record.operator,
        command_line=record.command_line,
        report_timezone=record.report_timezone,
    )


def run_order(run: MemberRun) -> tuple[datetime, bool, datetime, bool, str]:
    """Runs of one member in the order in which they were made, for ``sort``; the last one counts.

    Of runs that began at the same instant the one that ended last counts, of those the worse one: nothing
    else tells them apart, and green has to be earned.
    """
    ended = run.finished_at or run.started_at
    return run.started_at, run.finished_at is None, ended, run.outcome not in GREEN_OUTCOMES, run.run_id


def _said(text: str) -> str:
    return inert_facts(text, _SAID_LIMIT)


def _left_to_fleet(record: Record) -> tuple[str, ...]:
    """``notify``, where the run waives it because the fleet tells the team, and nobody else left it out."""
    if record.fleet is None or not record.fleet.told_by_fleet:
        return ()
    item = record.find_item(NOTIFY)
    left_out = any(each.id == NOTIFY and each.kind == "item" for each in record.overrides)
    return (NOTIFY,) if item is not None and item.verdict is Verdict.WAIVED and not left_out else ()


def _outcome(record: Record, left: tuple[str, ...]) -> Outcome:
    waived = {item.id for item in record.items if item.verdict is Verdict.WAIVED}
    if record.outcome is Outcome.VERIFIED_WITH_WAIVERS and waived and waived <= set(left):
        return Outcome.VERIFIED
    return record.outcome


def _version(record: Record, number: int | None) -> ReleaseVersion | None:
    if number is None:
        return None
    known = revision_of(record, number)
    if known is None:
        return ReleaseVersion(revision=number)
    return ReleaseVersion(revision=number, chart=known.chart, app_version=known.app_version)


def _live(record: Record) -> ReleaseVersion | None:
    """The current revision; what this run itself made holds what its target holds."""
    live = find_live(record)
    if live.revision is None:
        return None
    found = _version(record, head(record))
    if found is not None and (found.chart or live.rollback_of is None):
        return found
    content = revision_of(record, live.rollback_of)
    if content is None:
        return ReleaseVersion(revision=live.revision, chart=live.chart)
    return ReleaseVersion(revision=live.revision, chart=content.chart, app_version=content.app_version)


def _first_failed(record: Record) -> FailedItem | None:
    for item in failed_items(record):
        return FailedItem(id=item.id, verdict=item.verdict, observed=_said(item.observed))
    for test in failed_own_tests(record):
        return FailedItem(id=test.node_id, observed=_said(f"own test {test.outcome}. {test.first_line}"))
    return None
