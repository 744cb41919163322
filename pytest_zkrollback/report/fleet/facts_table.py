"""The facts of the head, always the same ones, and what each member's row says; for page and Markdown."""

from __future__ import annotations

from typing import NamedTuple

from ...domain.fleet import FleetRecord, Member, ReleaseVersion
from ...domain.record import Mode
from ...domain.verdict import Verdict
from ..formatting import clock_time, elapsed, lasting, moment
from ..sanitize import inert_line
from ..summary import NONE_GIVEN, plural
from . import words
from .compare import Difference, Topic

_TOPICS = {
    Topic.APP_BEFORE: "App version before",
    Topic.CHART_BEFORE: "Chart before",
    Topic.APP_TARGET: "App version to go back to",
    Topic.CHART_TARGET: "Chart to go back to",
    Topic.APP_LIVE: "App version live now",
    Topic.CHART_LIVE: "Chart live now",
    Topic.FAILED_ITEM: "First check that failed",
    Topic.HELM: "helm",
    Topic.ITEMS: "Checks that there are",
}


class Row(NamedTuple):
    """One fact."""

    name: str
    text: str


def head_rows(record: FleetRecord) -> tuple[Row, ...]:
    """What was asked for, how it stands, who did it."""
    asked = {
        Mode.VERIFY: "verify only",
        Mode.PLAN: f"rehearse a rollback{words.goal(record)}",
    }.get(record.mode, f"roll back{words.goal(record)}")
    return (
        Row("Asked for", asked),
        Row("Members", f"{words.count_line(record)}."),
        Row("helm", helm_line(record)),
        Row("Waves", waves_line(record)),
        Row("Told", told_line(record)),
        Row("Reason", record.reason.strip() or "not given"),
        Row("Operator's next steps", record.next_steps.strip() or NONE_GIVEN),
        Row("Incident", record.incident or NONE_GIVEN),
        Row("Operator", record.operator or "not known"),
        Row("Run", _when(record)),
    )


def helm_line(record: FleetRecord) -> str:
    """``ran in 19 of 40 members; not in 21``, with who has a helm whose end was not seen."""
    ran = [each for each in record.members if each.helm_ran]
    unknown = [each for each in record.members if each.helm_ran is None and not words.is_idle(each)]
    running = [each for each in record.members if each.helm_running]
    total = plural(len(record.members), "member")
    said = [f"RAN in {len(ran)} of {total}" if ran else f"DID NOT RUN in any of {total}"]
    if unknown:
        said.append(f"not known of {words.names(unknown)}")
    if running:
        said.append(f"its end was not seen in {words.names(running)}")
    return "; ".join(said)


def waves_line(record: FleetRecord) -> str:
    """``3 waves, at most 10 members at once, 30 s between waves; stops at the first failure``."""
    parts = [plural(len(record.waves), "wave")]
    if record.at_once is not None:
        parts.append(f"at most {plural(record.at_once, 'member')} at once")
    if record.pause_s:
        parts.append(f"{record.pause_s:g} s between waves")
    line = ", ".join(parts)
    return f"{line}; {words.stop_line(record)}" if record.at_once is not None else line


def told_line(record: FleetRecord) -> str:
    """Who tells the team, and whether it was told."""
    if record.notify is None:
        return "each member tells of itself"
    word = {
        Verdict.PASS: "the team was told",
        Verdict.WAIVED: "nobody was told",
        Verdict.FAIL: "THE TEAM WAS NOT TOLD",
        Verdict.UNVERIFIED: "it is not known whether the team was told",
        None: "not yet",
    }[record.notify.verdict]
    return f"{word}: {inert_line(record.notify.observed, 300)}" if record.notify.observed else word


def _when(record: FleetRecord) -> str:
    if record.finished_at is None:
        return f"since {moment(record.started_at)}, not finished"
    return f"{moment(record.started_at)}, took {elapsed(record.started_at, record.finished_at)}"


def version(found: ReleaseVersion | None) -> str:
    """``6 (2026.11.5)``: revision and app version, or the chart; empty: not known."""
    if found is None:
        return ""
    name = found.app_version or found.chart
    return f"{found.revision} ({inert_line(name, 60)})" if name else str(found.revision)


def began(member: Member) -> str:
    """``11:50:39, 12.0 s``, UTC; empty: it did not begin."""
    if member.started_at is None:
        return ""
    took = lasting(member.started_at, member.finished_at) or ("" if member.finished_at else "not ended")
    return ", ".join(filter(None, (clock_time(member.started_at), took)))


def helm_word(member: Member) -> str:
    """Whether helm ran there."""
    if member.helm_running:
        return "ran, its end was not seen"
    if member.helm_ran is None:
        return "did not run" if words.is_idle(member) else "not known"
    return "ran" if member.helm_ran else "did not run"


def topic(difference: Difference) -> str:
    """What is compared, in a person's words."""
    return _TOPICS[difference.topic]
