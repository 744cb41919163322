"""The checklist as tests. A repository gets them with one line: ``from pytest_zkrollback.items import *``.

By the time they run the verdicts are final: an item reports what the run stored, so that no rerun, marker
or order can turn a red one green. They read the stash, so that a repository's own fixture ``rollback``
cannot replace what they report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..domain.item_ids import EQUIVALENCE, PREFLIGHT, ROLLBACK
from .fixtures import NOT_STARTED, stored_member, stored_result

__all__ = ["test_checklist", "test_fleet", "test_preflight", "test_release_equivalence", "test_rollback"]


def test_preflight(request: pytest.FixtureRequest) -> None:
    """Everything that has to be known before helm runs, read-only."""
    _report(request.config, PREFLIGHT)


def test_rollback(request: pytest.FixtureRequest) -> None:
    """The one helm rollback, judged by re-reading the release."""
    _report(request.config, ROLLBACK)


def test_release_equivalence(request: pytest.FixtureRequest) -> None:
    """The live objects equal the target revision."""
    _report(request.config, EQUIVALENCE)


def test_checklist(request: pytest.FixtureRequest, checklist_item: str) -> None:
    """One line of the runbook's post-rollback checklist."""
    _report(request.config, checklist_item)


def test_fleet(request: pytest.FixtureRequest, fleet_member: str) -> None:
    """One environment of a fleet, judged by its own run's record, or its message; only with --fleet."""
    __tracebackhide__ = True
    word, text = stored_member(request.config, fleet_member)
    if word == NOT_STARTED:
        pytest.skip(text)
    if word != "PASS":
        pytest.fail(text, pytrace=False)


class WorkloadItem(pytest.Item):
    """The rollout of a workload that became known only when the release had been read (``auto``)."""

    def __init__(self, *, checklist_item: str, **more: Any) -> None:
        """``checklist_item`` is the item's id; the rest is pytest's."""
        super().__init__(**more)
        self.checklist_item = checklist_item

    def runtest(self) -> None:
        """Report the stored verdict."""
        _report(self.config, self.checklist_item)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """The verdict's text alone."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where its neighbours stand."""
        return self.path, 0, self.name


def is_of_fleet(name: str, function: object) -> bool:
    """Whether what a file holds under that name is the test of a fleet's members."""
    return name == test_fleet.__name__ and getattr(function, "__module__", None) == __name__


def is_ours(item: pytest.Item) -> bool:
    """Whether the item is one of the above, from whichever file it was collected."""
    if isinstance(item, WorkloadItem):
        return True
    return getattr(getattr(item, "function", None), "__module__", None) == __name__


def _report(config: pytest.Config, item_id: str) -> None:
    __tracebackhide__ = True
    word, text = stored_result(config).verdict(item_id)
    if word == "WAIVED":
        pytest.skip(text)
    if word != "PASS":
        pytest.fail(text, pytrace=False)
