"""The journal's copy on this machine, and what became of an attempt whose end nobody wrote down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..clients.state_dir import server_digest, state_folder, write_private
from ..domain.checks import JsonObject
from ..domain.migration import MigrationWord
from ..domain.regular_files import read_regular
from ..domain.timestamps import parse_time

if TYPE_CHECKING:
    from ..domain.record import Revision
    from ..release.history import R, ReleaseHistory, RevisionHistory

STARTED = "started"
DONE = "done"
VERIFIED = "verified"
FAILED = "failed"
# The key of an entry whose run let a workflow at GitHub deploy.
THROUGH_GITHUB = "through_github"


@dataclass(frozen=True)
class LocalJournal:
    """The newest entries that this machine saw: read where the cluster's Secret is gone.

    Nothing depends on it: what cannot be read or written is left.
    """

    path: Path

    @classmethod
    def of(cls, server: str, namespace: str, release: str) -> LocalJournal | None:
        """The copy for one release of one API server; None where no folder can be made."""
        try:
            folder = state_folder("journal")
        except OSError:
            return None
        return cls(folder / f"{server_digest(server)}.{namespace}.{release}.json")

    def read(self) -> tuple[JsonObject, ...]:
        """The entries, oldest first; none if there is no file that can be read."""
        try:
            entries = json.loads(read_regular(self.path))
            return tuple(entry for entry in entries if isinstance(entry, dict))
        except (OSError, ValueError, TypeError):
            return ()

    def write(self, entries: tuple[JsonObject, ...]) -> None:
        """Replace the entries, if that is possible."""
        with suppress(OSError):
            write_private(self.path, json.dumps(entries, indent=1))


def of_this_install(entries: Iterable[JsonObject], history: RevisionHistory[R]) -> tuple[JsonObject, ...]:
    """The entries about this installation of the release: numbers begin anew when it was uninstalled."""
    now = history.head.installed
    return tuple(entry for entry in entries if not now or entry.get("installed", now) == now)


@dataclass(frozen=True)
class JudgedRevision:
    """What a run of this tool ended with on the revision that was live: verified, or which items failed.

    ``failed_items`` is empty where it was verified. ``at``: when that was written down; None: not known.
    """

    revision: int
    failed_items: tuple[str, ...] = ()
    run_id: str = ""
    at: datetime | None = None


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def judged_revisions(entries: Iterable[JsonObject]) -> tuple[JudgedRevision, ...]:
    """What earlier runs ended with, oldest first: by when each ended, not by when it began."""
    found = [judged for entry in entries for judged in (_verified(entry), _failed(entry)) if judged]
    return tuple(sorted(found, key=lambda judged: judged.at or _LONG_AGO))


def _verified(entry: JsonObject) -> JudgedRevision | None:
    number = _number(entry.get("verified_revision"))
    if number is None:
        return None
    at = parse_time(entry.get("verified_at"))
    return JudgedRevision(number, run_id=str(entry.get("run_id") or ""), at=at)


def _failed(entry: JsonObject) -> JudgedRevision | None:
    number, items = _number(entry.get("failed_revision")), entry.get("failed_items")
    if number is None or not isinstance(items, list) or not items:
        return None
    at = parse_time(entry.get("failed_at"))
    return JudgedRevision(number, tuple(map(str, items)), str(entry.get("run_id") or ""), at)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# The key of an entry under which an operator's word on the migration stands.
MIGRATION_WORD = "migration"


def find_migration_word(entries: Sequence[JsonObject], head: int | None) -> MigrationWord | None:
    """The newest word on the migration that was said of revision ``head``, by who made or judged it.

    What was said of a rollback that made no revision was not said of the one that it had meant to leave.
    """
    for entry in reversed(entries):
        said = entry.get(MIGRATION_WORD)
        about = {_number(entry.get(key)) for key in ("head_after", "verified_revision", "failed_revision")}
        about.discard(_number(entry.get("head_before")))
        if head is None or head not in about or not isinstance(said, dict):
            continue
        for key in ("assessed", "waived"):
            if isinstance(text := said.get(key), str) and text.strip():
                return MigrationWord(
                    text=text,
                    by=str(said.get("by") or "somebody"),
                    run_id=str(said.get("run_id") or "not known"),
                    at=parse_time(said.get("at")),
                    waived=key == "waived",
                )
    return None


def unfinished(entries: tuple[JsonObject, ...], run_id: str) -> tuple[JsonObject, ...]:
    """The attempts of other runs that started helm, or were about to, and never said how it ended."""
    return tuple(
        entry for entry in entries if entry.get("outcome") == STARTED and entry.get("run_id") != run_id
    )


def has_ended(entries: Iterable[JsonObject], revision: Revision) -> bool:
    """Whether a run of this tool made this revision and saw its helm end: pending, it is at rest."""
    return any(
        entry.get("outcome") == DONE
        and entry.get("head_after") == revision.revision
        and entry.get("target") == revision.rollback_of
        for entry in entries
    )


def explain_unfinished(entry: JsonObject, history: ReleaseHistory) -> str:
    """What became of such an attempt, from the release as it is now.

    helm writes a revision before it touches any object, and the lock outlasts helm's own timeout: without a
    new revision nothing was changed.
    """
    who = f"run {entry.get('run_id')} of {entry.get('operator')}, begun at {entry.get('at')},"
    before, target = entry.get("head_before"), entry.get("target")
    if entry.get(THROUGH_GITHUB):
        came = [
            str(one.revision)
            for one in history.revisions
            if isinstance(before, int) and one.revision > before
        ]
        since = f"since then came revision {', '.join(came)}" if came else "no revision came since then"
        return f"{who} did not record how its deploy by GitHub ended: {since}; the workflow may still run"
    made = next(
        (
            one
            for one in history.revisions
            if isinstance(before, int) and one.revision > before and one.rollback_of == target
        ),
        None,
    )
    if made is None:
        return f"{who} did not record how helm ended: it made no revision, so nothing was changed"
    return (
        f"{who} did not record how helm ended: it made revision {made.revision}, which is now {made.status}"
    )
