"""The ``rollback`` fixture: a view on what the run stored. It starts nothing and never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..domain.record import Record

RECORD_KEY: pytest.StashKey[Callable[[], Record]] = pytest.StashKey()


class RollbackView:
    """What is known of this session's run; without a run everything is UNVERIFIED."""

    def __init__(self, fetch: Callable[[], Record] | None) -> None:
        """``fetch`` gives the redacted record, or None where nothing ran."""
        self._fetch = fetch

    @property
    def record(self) -> Record | None:
        """The record so far, redacted; None where nothing ran."""
        return self._fetch() if self._fetch is not None else None

    def verdict(self, item_id: str) -> tuple[str, str]:
        """The item's word (PASS, FAIL, UNVERIFIED, WAIVED) and the text that a person reads."""
        record = self.record
        item = next((item for item in record.items if item.id == item_id), None) if record else None
        if item is None or item.verdict is None:
            return "UNVERIFIED", f"UNVERIFIED {item_id}: it has no verdict"
        lines = [f"{item.verdict} {item.id}: {item.observed}"]
        if item.expected:
            lines.append(f"  expected: {item.expected}")
        if item.command:
            lines.append(f"  by hand:  {item.command}")
        return item.verdict, "\n".join(lines)


@pytest.fixture(scope="session")
def rollback(pytestconfig: pytest.Config) -> RollbackView:
    """A view on the stored outcome. Asking for it rolls nothing back (README says why)."""
    return RollbackView(pytestconfig.stash.get(RECORD_KEY, None))
