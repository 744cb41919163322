"""The lock and the journal around helm: taken with the intent, given back with what became of it."""

from __future__ import annotations

from datetime import datetime

from ..domain.checks import JsonObject
from ..domain.errors import LockHeld, ZkRollbackError
from ..domain.record import Guard, GuardReason, GuardState, Outcome
from ..domain.verdict import Verdict
from ..preflight.guards.cluster import judge_lock
from ..preflight.overrides import apply_overrides, override_option, overrides_used
from ..release.history import ReleaseHistory, fetch_history
from ..rollback.journal import explain_unfinished, of_this_install, unfinished
from ..rollback.lock import AcquiredLock, ReleaseLock
from .context import RunContext


def take_lock(
    context: RunContext, lock: ReleaseLock, planned: ReleaseHistory, target: int, seen: str
) -> Guard | None:
    """Take the lock; the refusal if somebody has it, nobody knows, or the head moved since the plan.

    ``seen`` is the run that the preflight saw holding it; where the operator set that aside it is taken over.
    """
    record, request, before = context.recorder.record, context.request, planned.head.revision.revision
    intent: JsonObject = {
        "release": record.release,
        "cluster": record.cluster,
        "installed": planned.head.installed,
        "head_before": before,
        "asked": "recover" if request.recover and request.target is None else request.target,
        "target": target,
        "reason": context.redactor.text(record.reason)[:200],
    }
    try:
        aside = _is_taken_over(context)
        over = seen if aside else ""
        taken = lock.take(record.run_id, record.operator, intent, force=aside, over=over)
    except LockHeld as error:
        return judge_lock(error)  # even with break-glass: nobody saw this holder before
    except ZkRollbackError as error:
        refusal = judge_lock(error)
        if not (_is_taken_over(context) or _set_aside(context, refusal)):
            return refusal
        context.recorder.event(f"helm runs without the lock: {error}", "zkrollback")
        taken = AcquiredLock(record.run_id)
    if taken.previous is not None:
        who = f"{taken.previous.operator} (run {taken.previous.run_id})"
        expired = taken.previous.expires_at <= context.clock.now()
        why = "it had expired" if expired else "the operator said so"
        context.recorder.event(f"lock taken over from {who}: {why}", "zkrollback")
    now = _unmoved(context, planned, before)
    if isinstance(now, Guard):
        unlock(context, lock, {"outcome": "refused"})
        return now
    if now is not None:
        _find_out(context, lock, of_this_install(taken.entries, now), now)
    return None


def recheck_lock(
    context: RunContext, lock: ReleaseLock, planned: ReleaseHistory, taken_at: datetime
) -> Guard | None:
    """Just before helm: the refusal if this process stood still (Ctrl-Z, a closed lid) since it took the lock
    at ``taken_at``, and somebody else was here meanwhile."""
    stood_s = (context.clock.now() - taken_at).total_seconds()
    if stood_s < lock.lease_s / 4:
        return None
    context.recorder.event(f"this process stood still for {stood_s:.0f} s, holding the lock", "zkrollback")
    try:
        lock.renew(context.recorder.record.run_id)
    except LockHeld as error:
        if error.run_id:  # else nobody holds it: what was done meanwhile shows in the head
            return judge_lock(LockHeld(f"lost while this process stood still for {stood_s:.0f} s: {error}"))
    except ZkRollbackError as error:
        refusal = judge_lock(error)
        return None if _set_aside(context, refusal) else refusal
    moved = _unmoved(context, planned, context.recorder.record.revision_before or 0)
    return moved if isinstance(moved, Guard) else None


def _unmoved(context: RunContext, planned: ReleaseHistory, before: int) -> ReleaseHistory | Guard | None:
    """The history, if its head is still ``before``; else the refusal, or None if it was set aside."""
    try:
        history = fetch_history(context.kube, context.env.namespace, context.env.release, known=planned)
    except ZkRollbackError as error:
        evidence = f"whether the release changed since the plan is unknown: {error}"
        reason = GuardReason.NO_ANSWER
    else:
        head, was = history.head.revision, planned.head
        if head.revision != before:
            context.recorder.update(revision_before=head.revision, revision_after=head.revision)
            evidence = (
                f"revision {head.revision} ({head.description}) appeared since the plan, made at {before}"
            )
            reason = GuardReason.NEW_REVISION
        elif head.status != was.revision.status and (
            history.head.under_way_since is not None or head.status == "uninstalled"
        ):
            evidence = f"revision {before} is {head.status} since the plan, when it was {was.revision.status}"
            reason = GuardReason.NEW_STATUS
        else:
            return history
    refusal = Guard(
        id="head",
        state=GuardState.REFUSED,
        reason=reason,
        unknown=reason is GuardReason.NO_ANSWER,
        evidence=evidence,
        consequence="Somebody else is changing the release; what you meant to undo may be gone.",
        override=override_option("head"),
    )
    return None if _set_aside(context, refusal) else refusal


def unlock(context: RunContext, lock: ReleaseLock, outcome: JsonObject) -> None:
    """Release the lock as soon as helm's result is known; a failure is said and expires by itself."""
    try:
        lock.release_with(
            context.recorder.record.run_id, {**outcome, "finished_at": context.clock.now().isoformat()}
        )
    except ZkRollbackError as error:
        context.recorder.event(f"the lock could not be given back and will expire: {error}", "zkrollback")


def report_interrupted_runs(context: RunContext, history: ReleaseHistory) -> None:
    """Say what became of attempts that died, where helm need not run and so no lock is taken."""
    try:
        entries = context.lock().fetch().entries
    except ZkRollbackError:
        return  # read for the record's sake alone
    for entry in unfinished(of_this_install(entries, history), context.recorder.record.run_id):
        context.recorder.event(explain_unfinished(entry, history), "journal")


def note_verified(context: RunContext, history: ReleaseHistory) -> None:
    """Write the verified head into the journal, for ``last-verified``, if that is allowed.

    Not if the release changed meanwhile, and not if ``release-equivalence`` was left out: then nobody saw
    that this revision runs.
    """
    record = context.recorder.record
    equal = next((item.verdict for item in record.items if item.id == "release-equivalence"), None)
    # The head may have been seen to move while a later look was under way: that one was not verified.
    if record.revision_after is None or equal is not Verdict.PASS or record.outcome is Outcome.SUPERSEDED:
        return
    try:
        context.lock().note_verified(
            record.run_id, record.operator, record.revision_after, history.head.installed
        )
    except ZkRollbackError as error:
        context.recorder.event(f"last-verified was not written to the journal: {error}", "zkrollback")


def _find_out(
    context: RunContext, lock: ReleaseLock, entries: tuple[JsonObject, ...], history: ReleaseHistory
) -> None:
    """Under the lock: what became of earlier attempts that never said, in the record and in the journal."""
    record = context.recorder.record
    found = {
        str(entry.get("run_id")): {"outcome": "found", "found": explain_unfinished(entry, history)}
        for entry in unfinished(entries, record.run_id)
    }
    for each in found.values():
        context.recorder.event(each["found"], "journal")
    if found:
        try:
            lock.annotate_entries(found)
        except ZkRollbackError as error:
            context.recorder.event(f"the journal could not be amended: {error}", "zkrollback")


def _is_taken_over(context: RunContext) -> bool:
    """Whether the operator saw that somebody holds the lock, and goes ahead."""
    return any(each.id == "lock" and each.kind == "guard" for each in context.recorder.record.overrides)


def _set_aside(context: RunContext, refusal: Guard) -> bool:
    """Whether the command line says to go ahead against this one; then it is in the record."""
    request, record = context.request, context.recorder.record
    guards = apply_overrides([refusal], request.overrides, request.break_glass)
    used = overrides_used(guards, request.overrides, request.break_glass)
    if used:
        context.recorder.update(guards=(*record.guards, *guards), overrides=(*record.overrides, *used))
        context.recorder.event(f"guard {refusal.id} set aside: {used[0].reason}", "operator")
    return bool(used)
