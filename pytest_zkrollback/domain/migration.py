"""What is asked about migrations of the database since the target revision, and what one source answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .checks import JsonObject
from .verdict import Evidence


@dataclass(frozen=True)
class MigrationFinding:
    """One source's answer to: did a migration run between the target and the bad revision?

    ``ran`` is True too where something else moved the database away from what the target expects; it and
    ``reversible`` are None where that is not known. ``observed`` is one sentence that an operator can act on.
    ``whole``: its no is about all of the database, so that another source's yes contradicts it. ``limits``
    are sentences of ``observed`` that say what was not looked into. ``starts``: whether what the target runs
    at its start knows the schema that the database has, None where that is not known; ``start_problem`` is a
    sentence on why it will not, or may not. ``settles``: this is no rollback, so that what other sources do
    not know does not matter.
    """

    source: str
    ran: bool | None
    observed: str
    evidence: tuple[Evidence, ...] = ()
    reversible: bool | None = None
    whole: bool = True
    limits: tuple[str, ...] = ()
    starts: bool | None = None
    start_problem: str = ""
    settles: bool = False


@dataclass(frozen=True)
class MigrationWord:
    """What an operator said of the migration that came with a bad revision: an assessment, or a waiver."""

    text: str
    by: str
    run_id: str
    at: datetime | None
    waived: bool = False


@dataclass(frozen=True)
class RevisionContent:
    """What a revision of the release holds.

    ``objects`` is its parsed manifest, ``hooks`` are Helm's hook entries as its release record has them
    (``name``, ``kind``, ``events``, ``manifest`` in YAML, ``last_run.phase``). ``commit`` is the full SHA
    of the service's commit that it was made of; None where that is not known, and ``no_commit`` says why.
    ``unread`` names the documents of the manifest that cannot be read.
    """

    revision: int
    objects: tuple[JsonObject, ...]
    hooks: tuple[JsonObject, ...]
    commit: str | None = None
    no_commit: str = ""
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """What lies between the target and the bad revision: what a source is asked about.

    ``later`` is every revision after the target, up to the bad one, oldest first. ``jobs`` are live Jobs by
    name, ``pods`` live pods by UID, as they were before helm or are now.
    """

    target: RevisionContent
    later: tuple[RevisionContent, ...]
    jobs: Mapping[str, JsonObject] = field(default_factory=dict)
    pods: Mapping[str, JsonObject] = field(default_factory=dict)

    @property
    def bad(self) -> RevisionContent | None:
        """The revision that was, or will be, rolled away from."""
        return max(self.later, key=lambda one: one.revision, default=None)
