"""The record as JUnit XML: one test case per item, with our titles and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from xml.etree import ElementTree as ET  # written here, never read from outside

from ..domain.record import Item, Outcome, OwnTest, OwnTestOutcome, Record
from ..domain.verdict import Verdict
from .failures import failed_own_tests, word_of
from .sanitize import escape_control_characters, inert_line
from .summary import GREEN, headline, helm_line, lead, live_now, title

_OUTPUT_LIMIT = 4000


def render_junit(record: Record) -> str:
    """JUnit XML. FAIL and UNVERIFIED are failures, WAIVED is skipped, an item without verdict is an error.

    A last case ``outcome`` fails whenever the run is not green, so that no green items hide a refusal.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=_attribute(title(record)))
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("schema", record.schema_),
        ("run_id", record.run_id),
        ("outcome", str(record.outcome)),
        ("environment", record.environment),
        ("release", record.release),
        ("reason", record.reason),
        ("operator", record.operator),
        ("helm", helm_line(record)),
        ("live_now", live_now(record)),
    ):
        ET.SubElement(properties, "property", name=name, value=_attribute(value))
    for item in record.items:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_attribute(f"zkrollback.{record.environment}"),
            name=_attribute(f"{item.id}: {item.title}"),
            time=f"{_seconds(item):.3f}",
        )
        _add_verdict(case, item, record, counts)
    failed = failed_own_tests(record)
    for test in record.own_tests:
        case = ET.SubElement(
            suite, "testcase", classname="own tests", name=_attribute(test.node_id), time="0"
        )
        _add_outcome(case, test, test in failed, counts)
    case = ET.SubElement(
        suite, "testcase", classname=_attribute(f"zkrollback.{record.environment}"), name="outcome", time="0"
    )
    if record.outcome not in GREEN:
        kind = "error" if record.outcome is Outcome.RUNNING else "failure"
        counts[f"{kind}s"] += 1
        message = lead(record)
        ET.SubElement(case, kind, type=headline(record), message=_attribute(message)).text = _text(message)
    return close_suite(suites, suite, counts, record.started_at, record.finished_at)


def close_suite(
    suites: ET.Element,
    suite: ET.Element,
    counts: Mapping[str, int],
    started_at: datetime,
    finished_at: datetime | None,
) -> str:
    """The XML's text, once the ``suite`` has its cases: how many, how they ended, and how long it took."""
    suite.set("tests", str(len(suite.findall("testcase"))))
    for name, count in counts.items():
        suite.set(name, str(count))
    span = (finished_at or started_at) - started_at
    suite.set("time", f"{max(0.0, span.total_seconds()):.3f}")
    suite.set("timestamp", started_at.isoformat(timespec="milliseconds"))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _add_outcome(case: ET.Element, test: OwnTest, is_red: bool, counts: dict[str, int]) -> None:
    """Red as in every other rendering: after a refusal, and in a plan, a test that did not run is skipped."""
    if test.outcome is OwnTestOutcome.PASSED:
        return
    kind, key = ("skipped", "skipped")
    if is_red:
        kind, key = ("failure", "failures") if test.outcome is OwnTestOutcome.FAILED else ("error", "errors")
    counts[key] += 1
    said = test.first_line or f"own test {test.outcome}"
    ET.SubElement(case, kind, type=str(test.outcome), message=_attribute(said))


def _add_verdict(case: ET.Element, item: Item, record: Record, counts: dict[str, int]) -> None:
    message = _attribute(item.observed or "nothing was seen")
    if item.verdict in (Verdict.FAIL, Verdict.UNVERIFIED):
        counts["failures"] += 1
        failure = ET.SubElement(case, "failure", type=str(item.verdict), message=message)
        failure.text = _text(f"Expected: {item.expected}\nObserved: {item.observed}\nCommand: {item.command}")
    elif item.verdict is Verdict.WAIVED:
        counts["skipped"] += 1
        ET.SubElement(case, "skipped", type="WAIVED", message=message)
    elif item.verdict is None:
        counts["errors"] += 1
        ET.SubElement(case, "error", type=word_of(item, record), message="The run had not judged this item.")
    if item.evidence:
        pieces = (f"== {piece.title}\n{piece.text[:_OUTPUT_LIMIT]}" for piece in item.evidence)
        ET.SubElement(case, "system-out").text = _text("\n".join(pieces))


def _seconds(item: Item) -> float:
    if item.started_at is None or item.finished_at is None:
        return 0.0
    return max(0.0, (item.finished_at - item.started_at).total_seconds())


def _attribute(value: str) -> str:
    return inert_line(value)


def _text(value: str) -> str:
    return escape_control_characters(value)
