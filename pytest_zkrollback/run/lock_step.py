"""The lock and the journal around helm: taken with the intent, given back with what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..domain.checks import JsonObject
from ..domain.errors import LockHeld, ZkRollbackError
from ..domain.item_ids import EQUIVALENCE, MIGRATION, ROLLBACK, judges_revision
from ..domain.record import Guard, GuardReason, GuardState, Outcome
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..preflight.guards.cluster import judge_lock
from ..preflight.guards.release import judge_left_revision
from ..preflight.overrides import apply_overrides, override_option, overrides_used
from ..release.history import ReleaseHistory, fetch_history
from ..rollback.journal import (
    MIGRATION_WORD,
    THROUGH_GITHUB,
    explain_unfinished,
    of_this_install,
    unfinished,
)
from ..rollback.lock import AcquiredLock, ReleaseLock
from .context import RunContext
from .lock_wait import MadeByAnother, find_another, follow_holder, holds
from .results import ExpectedRelease, PreflightResult, RunState


def acquire_lock(
    context: RunContext,
    lock: ReleaseLock,
    planned: ReleaseHistory,
    target: int | None,
    preflight: PreflightResult,
) -> int | Guard | MadeByAnother:
    """Acquire the lock: the newest revision under it, what another run made meanwhile, or the refusal.

    ``target`` is None where a workflow at GitHub deploys: then nobody is waited for.
    It refuses if somebody keeps the lock, if nobody knows, or if the head moved since the plan, unless what
    was asked for is there now. Where the operator overrode the guard ``lock``, it is taken over from the run
    that the preflight saw. Raises KeyboardInterrupt if a signal ends the waiting for the lock.
    """
    request, before = context.request, planned.head.revision.revision
    intent: JsonObject = {
        "release": context.env.release,
        "cluster": context.cluster,
        "installed": planned.head.installed,
        "head_before": before,
        "asked": _asked(request),
        "target": target,
        "reason": context.redactor.text(request.reason)[:200],
        **({THROUGH_GITHUB: True} if request.through_github else {}),
        **_migration_word(context),
    }
    takes_over = "lock" in preflight.overridden
    holder = preflight.lock_holder if takes_over else ""
    try:
        taken = lock.acquire(
            context.run_id,
            context.operator,
            intent,
            force=takes_over,
            expected_holder=holder,
            known=preflight.lock,
        )
    except LockHeld as error:
        # Even with break-glass: nobody saw this holder before.
        return judge_lock(error) if target is None else follow_holder(context, lock, error, planned, target)
    except ZkRollbackError as error:
        refusal = judge_lock(error)
        if not (takes_over or _is_overridden(context, refusal)):
            return refusal
        context.recorder.event(f"the rollback goes on without the lock: {error}", "zkrollback")
        taken = AcquiredLock(context.run_id)
    if taken.previous is not None:
        who = f"{taken.previous.operator} (run {taken.previous.run_id})"
        expired = taken.previous.expires_at <= context.clock.now()
        why = "it had expired" if expired else "the operator said so"
        context.recorder.event(f"lock taken over from {who}: {why}", "zkrollback")
    found = _find_head(context, planned, before, target)
    if isinstance(found, _Head) and found.history is not None:
        entries = of_this_install(taken.entries, found.history)
        # The guard did not see it, unless somebody has consented to what it saw of the history.
        if preflight.journal is None and target is not None and "target" not in preflight.overridden:
            left = judge_left_revision(found.history, target, entries)
            if left is not None and not _is_overridden(context, left):
                found = left
    if isinstance(found, Guard | MadeByAnother):
        unlock(context, lock, {"outcome": "refused" if isinstance(found, Guard) else "not needed"})
        return found
    if found.history is not None:
        _explain_unfinished(context, lock, entries, found.history)
    return found.revision


def _asked(request: Request) -> int | str | None:
    """What the operator typed, for the journal."""
    if request.commit is not None:
        return f"commit {request.commit}"
    if request.redeploy:
        return "redeploy"
    return "recover" if request.recover and request.target is None else request.target


def recheck_lock(
    context: RunContext,
    lock: ReleaseLock,
    planned: ReleaseHistory,
    before: int,
    target: int,
    acquired_at: datetime,
) -> int | Guard | MadeByAnother:
    """Just before helm: the newest revision, what was made meanwhile, or the refusal.

    It refuses if this process stood still (Ctrl-Z, a closed lid) since it acquired the lock at
    ``acquired_at``, and somebody else was here meanwhile.
    """
    stood_s = (context.clock.now() - acquired_at).total_seconds()
    if stood_s < lock.lease_s / 4:
        return before
    context.recorder.event(f"this process stood still for {stood_s:.0f} s, holding the lock", "zkrollback")
    try:
        lock.renew(context.run_id)
    except LockHeld as error:
        if error.run_id:  # else nobody holds it: what was done meanwhile shows in the head
            return judge_lock(LockHeld(f"lost while this process stood still for {stood_s:.0f} s: {error}"))
    except ZkRollbackError as error:
        refusal = judge_lock(error)
        return before if _is_overridden(context, refusal) else refusal
    found = _find_head(context, planned, before, target)
    return found.revision if isinstance(found, _Head) else found


@dataclass(frozen=True)
class _Head:
    """The newest revision; ``history`` is None where an operator overrode that it moved or is not known."""

    revision: int
    history: ReleaseHistory | None = None


def _find_head(
    context: RunContext, planned: ReleaseHistory, before: int, target: int | None
) -> _Head | Guard | MadeByAnother:
    """The newest revision, if it is still ``before`` or that was overridden; else the refusal.

    Where it holds ``target``, somebody else was faster.
    """
    newest = before
    try:
        history = fetch_history(context.kube, context.env.namespace, context.env.release, known=planned)
    except ZkRollbackError as error:
        evidence = f"whether the release changed since the plan is unknown: {error}"
        reason = GuardReason.NO_ANSWER
    else:
        head, was = history.head.revision, planned.head
        newest = head.revision
        if head.revision != before:
            context.recorder.update(revision_before=head.revision, revision_after=head.revision)
        numbers = (before,) if target is None else (before, target)
        if other := find_another(planned, history, numbers):
            evidence, reason = other, GuardReason.NEW_REVISION
        elif head.revision != before:
            evidence = (
                f"revision {head.revision} ({head.description}) appeared since the plan, made at {before}"
            )
            if target is not None and holds(history, target):
                return MadeByAnother(history, f"{evidence}, and holds revision {target}")
            reason = GuardReason.NEW_REVISION
        elif head.status != was.revision.status and (
            history.head.under_way_since is not None or head.status == "uninstalled"
        ):
            evidence = f"revision {before} is {head.status} since the plan, when it was {was.revision.status}"
            reason = GuardReason.NEW_STATUS
        else:
            return _Head(newest, history)
    refusal = Guard(
        id="head",
        state=GuardState.REFUSED,
        reason=reason,
        unknown=reason is GuardReason.NO_ANSWER,
        evidence=evidence,
        consequence="Somebody else is changing the release; what you meant to undo may be gone.",
        override=override_option("head"),
    )
    return _Head(newest) if _is_overridden(context, refusal) else refusal


def unlock(context: RunContext, lock: ReleaseLock, outcome: JsonObject) -> None:
    """Release the lock as soon as helm's result is known; a failure is said and expires by itself."""
    try:
        lock.release_lock(context.run_id, {**outcome, "finished_at": context.clock.now().isoformat()})
    except ZkRollbackError as error:
        context.recorder.event(f"the lock could not be given back and will expire: {error}", "zkrollback")


def report_interrupted_runs(context: RunContext, history: ReleaseHistory) -> None:
    """Say what became of attempts that died, where helm need not run and so no lock is taken."""
    try:
        entries = context.lock().fetch().entries
    except ZkRollbackError:
        return  # read for the record's sake alone
    for entry in unfinished(of_this_install(entries, history), context.run_id):
        context.recorder.event(explain_unfinished(entry, history), "journal")


def _migration_word(context: RunContext) -> JsonObject:
    """The operator's word on the migration, for later runs on the same revision; empty: there is none."""
    request = context.request
    said = {"assessed": request.migration_assessed, "waived": request.waivers.get(MIGRATION)}
    given = {key: context.redactor.text(text)[:400] for key, text in said.items() if text}
    if not given:
        return {}
    who = {"by": context.operator, "run_id": context.run_id, "at": context.clock.now().isoformat()}
    return {MIGRATION_WORD: {**given, **who}}


def note_verified(context: RunContext, state: RunState, head: int | None, installed: str) -> None:
    """Write the verified head into the journal, for ``last-verified``, if that is allowed.

    Not if the release changed meanwhile, and not if ``release-equivalence`` was left out: then nobody saw
    that this revision runs.
    """
    equal = state.verdict(EQUIVALENCE)
    # The head may have been seen to move while a later look was under way: that one was not verified.
    if head is None or equal is not Verdict.PASS or state.found is Outcome.SUPERSEDED:
        return
    try:
        context.lock().note_verified(
            context.run_id, context.operator, head, installed, **_migration_word(context)
        )
    except ZkRollbackError as error:
        context.recorder.event(f"last-verified was not written to the journal: {error}", "zkrollback")


def judged_head(release: ExpectedRelease) -> int | None:
    """The revision that a failure speaks against; None where another helm was at work on the release.

    What fails meanwhile may be well when that has ended.
    """
    return None if release.last_read.head.under_way_since is not None else release.head


def note_failed(context: RunContext, state: RunState, head: int | None, installed: str) -> None:
    """Write into the journal which items failed on the head, if they speak against it.

    Nothing that is beside the revision counts (the team was not told, a migration), nor what was not
    verified; and nothing of a release that somebody else changed meanwhile. Where the target was not brought
    there, what is live was judged by another revision's measure.
    """
    failed = tuple(each for each in state.failed if judges_revision(each))
    brought = state.verdict(ROLLBACK) in (None, Verdict.PASS)
    if head is None or not failed or not brought or state.found is Outcome.SUPERSEDED:
        return
    try:
        context.lock().note_failed(context.run_id, context.operator, head, failed, installed)
    except ZkRollbackError as error:
        context.recorder.event(f"what failed was not written to the journal: {error}", "zkrollback")


def _explain_unfinished(
    context: RunContext, lock: ReleaseLock, entries: tuple[JsonObject, ...], history: ReleaseHistory
) -> None:
    """Under the lock: what became of earlier attempts that never said, in the record and in the journal."""
    found = {
        str(entry.get("run_id")): {"outcome": "found", "found": explain_unfinished(entry, history)}
        for entry in unfinished(entries, context.run_id)
    }
    for each in found.values():
        context.recorder.event(each["found"], "journal")
    if found:
        try:
            lock.annotate_entries(found)
        except ZkRollbackError as error:
            context.recorder.event(f"the journal could not be amended: {error}", "zkrollback")


def _is_overridden(context: RunContext, refusal: Guard) -> bool:
    """Whether the command line overrides this refusal; then that is in the record."""
    request = context.request
    guards = apply_overrides([refusal], request.overrides, request.break_glass)
    used = overrides_used(guards, request.overrides, request.break_glass)
    if used:
        context.recorder.add(guards=guards, overrides=used)
        context.recorder.event(f"guard {refusal.id} overridden: {used[0].reason}", "operator")
    return bool(used)
