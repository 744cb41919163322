"""``--rollback-list``: the release's revisions, to find the one to go back to. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..clients.kube.client import connect
from ..clients.malloc import limit_malloc_arenas
from ..domain.errors import LockHeld, ZkRollbackError
from ..domain.record import GuardReason, Objection, ObjectionKind, Record
from ..domain.revision_list import NamedTarget, RevisionList, merge_rows
from ..domain.timestamps import parse_time
from ..preflight.target import choose_names, describe_revisions, find_objection
from ..release.helm_secret import Outline, is_fresh
from ..release.history import RevisionHistory, explain_stranding, fetch_outlines
from ..report.formatting import moment
from ..report.next_commands import propose_target
from ..report.previous_runs import fetch_earlier
from ..rollback.journal import LocalJournal, has_ended, of_this_install
from ..rollback.lock import ReleaseLock
from ..run.secrets import register_secrets_of_environment, register_secrets_of_objects

if TYPE_CHECKING:
    from ..clients.clock import SystemClock
    from ..clients.process import LocalProcesses
    from ..config.environment import Environment
    from ..domain.checks import JsonObject
    from ..domain.ports import Clock, Kube
    from ..report.redaction import Redactor


@dataclass(frozen=True)
class _Journal:
    """``entries``: of this installation; None: they could not be read. ``at_work``: who holds the lock."""

    entries: tuple[JsonObject, ...] | None
    at_work: str = ""
    unread: str = ""


def fetch_revision_list(
    env: Environment,
    redactor: Redactor,
    variables: Mapping[str, str],
    clock: SystemClock,
    processes: LocalProcesses,
    command_line: str,
    report_dir: Path,
) -> RevisionList:
    """All revisions without a secret in them, and what to type next. Raises ZkRollbackError.

    ``command_line``: as it was typed. ``report_dir``: where earlier runs have left their records.
    """
    limit_malloc_arenas()
    register_secrets_of_environment(redactor, env, variables)
    kube = connect(env.kube_context, env.kubeconfig, clock, processes=processes, keep_secret=redactor.add)
    history = _fetch_history(kube, env, redactor)
    now = clock.now()
    journal = _fetch_journal(kube, clock, kube.server, env, history)
    targeted = [each for entry in journal.entries or () if isinstance(each := entry.get("target"), int)]
    # A run reads no more than the newest, and what its journal names.
    choices = choose_names(history.newest(targeted), journal.entries)
    records = fetch_earlier(report_dir, env.name, GuardReason.IRREVERSIBLE_MIGRATION.encode())
    objections = [
        *_objections(history, journal.entries),
        *_migrations([each for each in records if _is_here(each, kube.server, env)], history),
    ]
    facts = describe_revisions(history, journal.entries, choices)
    rows = merge_rows(history.revisions, facts, objections, now)
    stranded = explain_stranding(history)
    proposal = propose_target(
        rows,
        command_line,
        env,
        stranded=stranded,
        at_work=journal.at_work or _helm_at_work(history, journal.entries, now),
        journal_read=journal.entries is not None,
    )
    found = RevisionList(
        environment=env.name,
        cluster=f"context {env.context}, {kube.server}",
        namespace=env.namespace,
        release=env.release,
        listed_at=now,
        revisions=rows,
        targets=tuple(
            NamedTarget(name=name, revision=choice.revision, because=choice.because)
            for name, choice in choices.items()
        ),
        stranded=stranded,
        unknown=(journal.unread,) if journal.unread else (),
        proposal=proposal.said,
        next_commands=proposal.commands,
    )
    return RevisionList.model_validate(redactor.value(found.model_dump(by_alias=True)))


def _fetch_history(kube: Kube, env: Environment, redactor: Redactor) -> RevisionHistory[Outline]:
    """The redactor hears of each revision's Secrets while that is in memory."""
    look = partial(register_secrets_of_objects, redactor)
    return fetch_outlines(kube, env.namespace, env.release, look=look)


def _fetch_journal(
    kube: Kube, clock: Clock, server: str, env: Environment, history: RevisionHistory[Outline]
) -> _Journal:
    # Whether a holder is dead its own lease says; this takes no lock.
    local = LocalJournal.of(server, env.namespace, env.release)
    lock = ReleaseLock(kube, clock, env.namespace, env.release, 0, local)
    try:
        state = lock.fetch()
    except ZkRollbackError as problem:
        unread = f"What this tool verified, or judged failed, is not known: {problem}"
        return _Journal(None, unread=unread)
    entries = of_this_install(state.entries, history)
    try:
        lock.require_free(state)
    except LockHeld as held:
        return _Journal(entries, at_work=str(held))
    return _Journal(entries)


def _helm_at_work(
    history: RevisionHistory[Outline], entries: Sequence[JsonObject] | None, now: datetime
) -> str:
    """That a helm may still work on the newest revision; empty: none does."""
    head = history.head
    if not is_fresh(head.under_way_since, now) or has_ended(entries or (), head.revision):
        return ""
    return f"revision {head.revision.revision} is {head.revision.status}, and its helm may still be at work"


def _objections(
    history: RevisionHistory[Outline], entries: Sequence[JsonObject] | None
) -> Iterator[Objection]:
    for number in (*(one.revision for one in history.revisions), *history.unreadable):
        found = find_objection(history, number, entries)
        if found is not None:
            yield found


def _is_here(record: Record, server: str, env: Environment) -> bool:
    same = (record.namespace, record.release) == (env.namespace, env.release)
    return same and record.cluster.endswith(f", {server}")


def _migrations(records: Sequence[Record], history: RevisionHistory[Outline]) -> Iterator[Objection]:
    """What earlier runs, newest first, found against their target holds against all that is older, too."""
    installed = parse_time(history.head.installed)
    found = [
        (record.target_revision, f"run {record.run_id} found at {moment(record.started_at)}")
        for record in records
        if record.target_revision is not None
        and (installed is None or record.started_at >= installed)
        and any(guard.reason is GuardReason.IRREVERSIBLE_MIGRATION for guard in record.guards)
    ]
    for one in history.revisions:
        said = next((said for target, said in found if one.revision <= target), None)
        if said is not None:
            yield Objection(
                revision=one.revision,
                kind=ObjectionKind.IRREVERSIBLE_MIGRATION,
                text=f"a migration after it cannot be undone, as {said}",
            )
