"""The fleet's record as JUnit XML: one test case per member."""

from __future__ import annotations

from xml.etree import ElementTree as ET  # written here, never read from outside

from ...domain.fleet import FleetRecord, Member, MemberState
from ...domain.record import Outcome
from ..junit import close_suite
from ..sanitize import escape_control_characters, inert_line
from ..summary import GREEN
from .words import failed_line, headline, is_well, member_word, title


def render_fleet_junit(record: FleetRecord) -> str:
    """JUnit XML. A member that is not verified is a failure; not known or not ended: an error; not started:
    skipped.

    A last case ``outcome`` fails whenever the fleet is not green, so that nothing skipped hides it.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=inert_line(title(record)))
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("schema", record.schema_),
        ("fleet", record.fleet),
        ("fleet_run_id", record.fleet_run_id),
        ("outcome", str(record.outcome)),
        ("target", record.target),
        ("reason", record.reason),
        ("operator", record.operator),
    ):
        ET.SubElement(properties, "property", name=name, value=inert_line(value))
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for member in record.members:
        _add_member(suite, record, member, counts)
    case = ET.SubElement(suite, "testcase", classname=_class(record), name="outcome", time="0")
    if record.outcome not in GREEN:
        kind = "error" if record.outcome is Outcome.RUNNING else "failure"
        counts[f"{kind}s"] += 1
        message = inert_line(record.summary)
        ET.SubElement(case, kind, type=headline(record), message=message).text = message
    return close_suite(suites, suite, counts, record.started_at, record.finished_at)


def _class(record: FleetRecord, wave: int = 0) -> str:
    return inert_line(f"zkrollback.fleet.{record.fleet}") + (f".wave-{wave}" if wave else "")


def _add_member(suite: ET.Element, record: FleetRecord, member: Member, counts: dict[str, int]) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_class(record, member.wave),
        name=inert_line(member.environment),
        time=f"{_seconds(member):.3f}",
    )
    if not is_well(member):
        kind, key = "failure", "failures"
        if member.state is MemberState.NOT_STARTED:
            kind, key = "skipped", "skipped"
        elif member.state is not MemberState.FINISHED and member.state is not MemberState.REFUSED:
            kind, key = "error", "errors"
        counts[key] += 1
        said = inert_line(failed_line(member) or member.summary or member_word(member).lower())
        ET.SubElement(case, kind, type=member_word(member), message=said).text = said
    about = [f"Record: {member.record}"] if member.record else []
    about += [f"Summary: {member.summary}"] if member.summary else []
    if about:
        ET.SubElement(case, "system-out").text = escape_control_characters("\n".join(about))


def _seconds(member: Member) -> float:
    if member.started_at is None or member.finished_at is None:
        return 0.0
    return max(0.0, (member.finished_at - member.started_at).total_seconds())
