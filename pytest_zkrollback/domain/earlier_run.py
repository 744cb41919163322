"""One run of the past, in the few facts that a later report compares itself with."""

from __future__ import annotations

from pydantic import Field

from .frozen import Frozen, Time


class EarlierRun(Frozen):
    """A run of the same release and environment, from a record in the report folder."""

    run_id: str = Field(description="8 hex digits, also in the files' names")
    mode: str = Field(description="what was asked for: rollback, verify, recover or github")
    outcome: str = Field(description="how it ended; running: it was killed, or goes on")
    started_at: Time = Field(description="when it began")
    revision_before: int | None = Field(default=None, description="the current revision before it")
    target_revision: int | None = Field(default=None, description="what had to be live in the end")
    recovery_s: float | None = Field(
        default=None,
        description="from helm's start (through GitHub: the run's) until all checks had passed; null: never",
    )
    affected_s: float | None = Field(
        default=None, description="how long users were affected; null: its beginning or end is not known"
    )
