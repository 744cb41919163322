"""What one source knows about migrations of the database since the target revision."""

from __future__ import annotations

from dataclasses import dataclass

from .verdict import Evidence


@dataclass(frozen=True)
class MigrationFinding:
    """One source's answer to: did a migration run between the target and the bad revision?

    ``ran`` and ``reversible`` are None where that is not known. ``observed`` is one sentence that an operator
    can act on.
    """

    source: str
    ran: bool | None
    observed: str
    evidence: tuple[Evidence, ...] = ()
    reversible: bool | None = None
