"""The checklist as tests. A repository gets them with one line: ``from pytest_zkrollback.items import *``.

By the time they run the verdicts are final: an item reports what the run stored, so that no rerun, marker
or order can turn a red one green.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .fixtures import RollbackView

__all__ = ["test_checklist", "test_preflight", "test_release_equivalence", "test_rollback"]


def test_preflight(rollback: RollbackView) -> None:
    """Everything that has to be known before helm runs, read-only."""
    _report(rollback, "preflight")


def test_rollback(rollback: RollbackView) -> None:
    """The one helm rollback, judged by re-reading the release."""
    _report(rollback, "rollback")


def test_release_equivalence(rollback: RollbackView) -> None:
    """The live objects equal the target revision."""
    _report(rollback, "release-equivalence")


def test_checklist(rollback: RollbackView, checklist_item: str) -> None:
    """One line of the runbook's post-rollback checklist."""
    _report(rollback, checklist_item)


def is_ours(item: pytest.Item) -> bool:
    """Whether the item is one of the above, from whichever file it was collected."""
    return getattr(getattr(item, "function", None), "__module__", None) == __name__


def _report(rollback: RollbackView, item_id: str) -> None:
    __tracebackhide__ = True
    word, text = rollback.verdict(item_id)
    if word == "WAIVED":
        pytest.skip(text)
    if word != "PASS":
        pytest.fail(text, pytrace=False)
