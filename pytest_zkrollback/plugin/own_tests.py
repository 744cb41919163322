"""A repository's own tests that ask for our fixture: which they are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..domain.record import OwnTest, OwnTestOutcome
from ..report.sanitize import inert_line
from ..run.run import Run
from .checklist_tests import is_ours
from .fixtures import FIXTURE, is_our_fixture

_LINE = "zkrollback_first_line"
_LINE_LIMIT = 500


def asks_for_our_fixture(item: pytest.Item) -> bool:
    """Whether the test itself names our ``rollback``, as an argument or in a ``usefixtures`` mark.

    What an autouse fixture asks for does not count: it would draw a whole suite into an incident.
    """
    info = getattr(item, "_fixtureinfo", None)
    if info is None or is_ours(item):
        return False
    definitions = info.name2fixturedefs.get(FIXTURE)
    if not definitions or not is_our_fixture(definitions[-1]):
        return False
    return FIXTURE in info.argnames or any(FIXTURE in mark.args for mark in item.iter_markers("usefixtures"))


def why_none_runs(run: Run) -> str:
    """Why no own test runs after this run: nothing more is to be contacted. Empty where they run."""
    if run.request.plan:
        return "a plan verifies nothing"
    if run.was_interrupted:
        return "the run was interrupted"
    if run.was_refused:
        return "the run was refused"
    if not run.has_judged:
        return "nothing was verified"
    return ""


class OwnTests:
    """Own tests of a session, kept in the record as their reports come in."""

    def __init__(self, items: list[pytest.Item], record: Callable[[tuple[OwnTest, ...]], None]) -> None:
        """``record`` gets all of them after each change."""
        self.items = items
        self._tests = {item.nodeid: OwnTest(node_id=item.nodeid) for item in items}
        self._record = record

    def list_as_not_run(self, why: str = "") -> None:
        """List all of them as not run."""
        self._tests = {
            node_id: OwnTest(node_id=node_id, first_line=f"not run: {why}" if why else "")
            for node_id in self._tests
        }
        if self._tests:
            self._record(tuple(self._tests.values()))

    def add(self, report: pytest.TestReport) -> None:
        """Take up setup, call or teardown of one of them; a rerun begins it anew."""
        test = self._tests.get(report.nodeid)
        if test is None:
            return
        if report.outcome not in ("passed", "failed", "skipped"):  # "rerun", of pytest-rerunfailures
            changed = OwnTest(node_id=report.nodeid)
        elif test.outcome is OwnTestOutcome.FAILED or (report.outcome == "passed" and report.when != "call"):
            return  # what failed stays failed; a setup that passed says nothing about the test
        else:
            line = getattr(report, _LINE, "")
            changed = OwnTest(node_id=report.nodeid, outcome=OwnTestOutcome(report.outcome), first_line=line)
        self._tests[report.nodeid] = changed
        self._record(tuple(self._tests.values()))


def keep_first_line(
    report: pytest.TestReport, call: pytest.CallInfo[None], clean: Callable[[str], str]
) -> None:
    """Why a test failed or was skipped, for the record; what an exception says may hold many lines.

    Cleaned before it is cut: half a secret would not be found again.
    """
    if call.excinfo is None or report.outcome == "passed":
        return
    said = call.excinfo.exconly().strip()  # also where the exception's own __str__ fails
    if isinstance(call.excinfo.value, (pytest.fail.Exception, pytest.skip.Exception)):
        said = said.partition(":")[2].strip()  # the words without "Failed:" and "Skipped:"
    vars(report)[_LINE] = inert_line(clean(said).partition("\n")[0], _LINE_LIMIT)
