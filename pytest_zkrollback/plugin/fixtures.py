"""The session fixture ``rollback``, which performs the run, and the view on its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..domain.record import Record
    from .fleet_session import FleetSession
    from .session import RollbackSession

FIXTURE = "rollback"
SESSION_KEY: pytest.StashKey[RollbackSession] = pytest.StashKey()
FLEET_KEY: pytest.StashKey[FleetSession] = pytest.StashKey()
NOT_STARTED = "NOT STARTED"


class RunResult:
    """Read-only view on this session's run; without a run everything is UNVERIFIED."""

    __slots__ = ("_fetch",)

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


NOT_RUN = RunResult(None)


@pytest.fixture(scope="session")
def rollback(request: pytest.FixtureRequest) -> RunResult:
    """Roll the release back (--rollback-to=N) and verify it, once per process; without --env: nothing."""
    session = request.config.stash.get(SESSION_KEY, None)
    return NOT_RUN if session is None else session.perform()


def stored_result(config: pytest.Config) -> RunResult:
    """What is stored of the run; asking starts nothing."""
    session = config.stash.get(SESSION_KEY, None)
    return NOT_RUN if session is None else session.result


def stored_member(config: pytest.Config, environment: str) -> tuple[str, str]:
    """What is stored of a fleet's member, as a word and a text; asking starts nothing."""
    session = config.stash.get(FLEET_KEY, None)
    return ("UNVERIFIED", "nothing ran") if session is None else session.verdict(environment)


def is_our_fixture(fixturedef: pytest.FixtureDef[object]) -> bool:
    """Whether this is the plugin's own ``rollback``, and not a repository's of the same name."""
    function = fixturedef.func
    return (getattr(function, "__module__", ""), fixturedef.argname) == (__name__, FIXTURE)
