"""A repository's own tests in every rendering: a failed one is said, and takes no verdict back."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_zkrollback.domain.record import OwnTest, OwnTestOutcome
from pytest_zkrollback.report.github_actions import render_annotations
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.junit import render_junit
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.summary import nothing_to_do, own_tests_line
from pytest_zkrollback.report.terminal import render_last_lines
from support.example_records import failed, interrupted, refused, rehearsal, verified, waived

PASSED = OwnTest(node_id="tests/test_a.py::test_a", outcome=OwnTestOutcome.PASSED)
CART = OwnTest(
    node_id="tests/test_shop.py::test_cart",
    outcome=OwnTestOutcome.FAILED,
    first_line="AssertionError: <empty>",
)
SKIPPED = OwnTest(node_id="tests/test_b.py::test_b", outcome=OwnTestOutcome.SKIPPED, first_line="not today")
NOT_RUN = OwnTest(node_id="tests/test_c.py::test_c")
CANCELLED = OwnTest(node_id="tests/test_c.py::test_c", first_line="not run: the run was refused")
SAID = "1 own test failed: tests/test_shop.py::test_cart (AssertionError: <empty>)."


@pytest.mark.parametrize(
    ("record", "tests", "said"),
    [
        (verified(), (), ""),
        (verified(), (PASSED, SKIPPED), ""),
        (verified(), (PASSED, CART), f"Verified. {SAID}"),
        (waived(), (CART,), f"Verified with waivers. {SAID}"),
        (verified(), (NOT_RUN,), "Verified. 1 own test did not run to the end: tests/test_c.py::test_c."),
        (failed(), (CART, NOT_RUN), SAID),
        (refused(), (CANCELLED,), ""),
        (interrupted(), (CANCELLED,), ""),
        (rehearsal(), (CANCELLED,), ""),
    ],
)
def test_the_line(record, tests, said) -> None:
    record = record.model_copy(update={"own_tests": tests})
    assert own_tests_line(record) == said
    last = render_last_lines(record, "r.html").splitlines()
    assert [line for line in last if "own test" in line and "Next" not in line] == ([said] if said else [])


def test_of_many_the_first_are_named() -> None:
    tests = tuple(
        OwnTest(node_id=f"t.py::test_{number}", outcome=OwnTestOutcome.FAILED) for number in range(5)
    )
    record = verified().model_copy(update={"own_tests": tests})
    assert own_tests_line(record) == (
        "Verified. 5 own tests failed: t.py::test_0, t.py::test_1, t.py::test_2 and 2 more."
    )


def test_every_rendering_says_it_and_none_says_that_there_is_nothing_to_do() -> None:
    record = verified().model_copy(update={"own_tests": (PASSED, CART, SKIPPED, NOT_RUN)})
    assert nothing_to_do(verified())
    assert not nothing_to_do(record)
    page, text = render_page(record), render_markdown(record)
    assert (
        "Verified. 1 own test failed: tests/test_shop.py::test_cart (AssertionError: &lt;empty&gt;)." in page
    )
    for rendered in (page, text, render_last_lines(record, "")):
        assert "nothing to do" not in rendered
    assert "look at the own tests" in render_last_lines(record, "")
    for rendered in (page, text):
        assert "Look at the own test tests/test\\_shop.py" in rendered.replace("test_shop", "test\\_shop")
    assert "| failed | `tests/test_shop.py::test_cart` | AssertionError: &lt;empty&gt; |" in text
    assert "| not run | `tests/test_c.py::test_c` |  |" in text
    assert "<dt>not run</dt><dd><code>tests/test_c.py::test_c</code>" in page
    assert "<dt>skipped</dt><dd><code>tests/test_b.py::test_b</code><br>not today</dd>" in page
    assert next(line.partition("::AssertionError")[0] for line in render_annotations(record)) == (
        "::error title=own test tests/test_shop.py%3A%3Atest_cart"
    )


def test_junit_has_a_case_for_each() -> None:
    record = verified().model_copy(update={"own_tests": (PASSED, CART, SKIPPED, NOT_RUN)})
    suite = ET.fromstring(render_junit(record)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": str(len(record.items) + 5),
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }


def test_after_a_refusal_and_in_a_plan_a_test_that_did_not_run_is_no_error_in_junit() -> None:
    for record in (refused(), rehearsal()):
        before = ET.fromstring(render_junit(record)).find("testsuite")
        after = ET.fromstring(render_junit(record.model_copy(update={"own_tests": (CANCELLED,)})))
        suite = after.find("testsuite")
        assert before is not None and suite is not None
        assert [suite.get(name) for name in ("errors", "failures")] == [
            before.get(name) for name in ("errors", "failures")
        ]
        assert 'message="not run: the run was refused"' in ET.tostring(after, encoding="unicode")
