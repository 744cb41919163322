"""JUnit: our titles and verdicts, red whenever the run is, and always XML."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.domain.verdict import Verdict, evidence
from pytest_zkrollback.report.junit import render_junit
from pytest_zkrollback.report.redaction import Redactor
from support.example_records import ALL, failed, items, refused, running, verified, waived


def suite(text: str) -> ET.Element:
    found = ET.fromstring(text.encode()).find("testsuite")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "tests", "failures", "errors", "skipped"),
    [
        ("verified", 12, 0, 0, 0),
        ("failed", 12, 5, 0, 0),
        ("unverified", 12, 3, 0, 0),
        ("refused", 12, 12, 0, 0),
        ("interrupted", 12, 2, 9, 0),
        ("running", 12, 0, 7, 0),
        ("waived", 12, 0, 0, 1),
        ("checked-only", 11, 0, 0, 0),
        ("plan", 1, 0, 0, 0),
    ],
)
def test_counts(name: str, tests: int, failures: int, errors: int, skipped: int) -> None:
    found = suite(render_junit(ALL[name]()))
    counted = [int(found.get(key, "-1")) for key in ("tests", "failures", "errors", "skipped")]
    assert counted == [tests, failures, errors, skipped]
    assert len(found.findall("testcase")) == tests
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert len(found.findall(f"testcase/{tag}")) == int(found.get(key, "-1"))


def test_a_failure_as_a_whole() -> None:
    found = suite(render_junit(failed()))
    case = found.findall("testcase")[5]
    assert case.attrib == {"classname": "zkrollback.drill", "name": "smoke: Smoke tests", "time": "1.300"}
    failure = case.find("failure")
    assert failure is not None
    assert failure.attrib == {
        "type": "UNVERIFIED",
        "message": "The script could not be started: scripts/smoke-test.sh is missing.",
    }
    assert failure.text == (
        "Expected: the script exits 0 within 120 s\n"
        "Observed: The script could not be started: scripts/smoke-test.sh is missing.\n"
        "Command: bash scripts/smoke-test.sh http://127.0.0.1:18080"
    )


def test_waived_is_skipped_and_running_is_an_error() -> None:
    skipped = suite(render_junit(waived())).find("testcase/skipped")
    assert skipped is not None
    assert skipped.get("type") == "WAIVED"
    error = suite(render_junit(running())).findall("testcase/error")[-1]
    assert error.get("type") == "NOT FINISHED"


def test_a_red_outcome_is_red_even_where_every_item_is_green() -> None:
    for outcome in (
        Outcome.SUPERSEDED,
        Outcome.FAILED,
        Outcome.INTERRUPTED,
        Outcome.REFUSED,
        Outcome.UNVERIFIED,
    ):
        found = suite(render_junit(verified(outcome=outcome)))
        assert found.get("failures") == "1"
        assert found.findall("testcase")[-1].get("name") == "outcome"


def test_properties() -> None:
    found = {each.get("name"): each.get("value") for each in suite(render_junit(refused())).iter("property")}
    assert found["outcome"] == "refused"
    assert found["helm"] == "HELM DID NOT RUN: refused (pending-release)"


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_fault_47_any_string_is_xml(text: str) -> None:
    item = items(logs=(Verdict.FAIL, "x"))[6]
    item = item.model_copy(
        update={
            "id": text,
            "title": text,
            "observed": text,
            "expected": f"{text}]]>",
            "evidence": (evidence(text, text),),
        }
    )
    record = verified().model_copy(update={"items": (item,), "reason": text, "environment": text})
    found = suite(render_junit(Redactor().record(record)))
    assert found.get("failures") == "1"
