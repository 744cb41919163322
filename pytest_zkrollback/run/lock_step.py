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
    scene: RunContext, lock: ReleaseLock, planned: ReleaseHistory, target: int, seen: str
) -> Guard | None:
    """Take the lock; the refusal if somebody has it, nobody knows, or the head moved since the plan.

    ``seen`` is the run that the preflight saw holding it; where the operator set that aside it is taken over.
    """
    record, request, before = scene.scribe.record, scene.request, planned.head.revision.revision
    intent: JsonObject = {
        "release": record.release,
        "cluster": record.cluster,
        "installed": planned.head.installed,
        "head_before": before,
        "asked": "recover" if request.recover and request.target is None else request.target,
        "target": target,
        "reason": scene.redactor.text(record.reason)[:200],
    }
    try:
        aside = _is_taken_over(scene)
        over = seen if aside else ""
        taken = lock.take(record.run_id, record.operator, intent, force=aside, over=over)
    except LockHeld as error:
        return judge_lock(error)  # even with break-glass: nobody saw this holder before
    except ZkRollbackError as error:
        refusal = judge_lock(error)
        if not (_is_taken_over(scene) or _set_aside(scene, refusal)):
            return refusal
        scene.scribe.event(f"helm runs without the lock: {error}", "zkrollback")
        taken = AcquiredLock(record.run_id)
    if taken.previous is not None:
        who = f"{taken.previous.operator} (run {taken.previous.run_id})"
        expired = taken.previous.expires_at <= scene.clock.now()
        why = "it had expired" if expired else "the operator said so"
        scene.scribe.event(f"lock taken over from {who}: {why}", "zkrollback")
    now = _unmoved(scene, planned, before)
    if isinstance(now, Guard):
        unlock(scene, lock, {"outcome": "refused"})
        return now
    if now is not None:
        _find_out(scene, lock, of_this_install(taken.entries, now), now)
    return None


def recheck_lock(
    scene: RunContext, lock: ReleaseLock, planned: ReleaseHistory, taken_at: datetime
) -> Guard | None:
    """Just before helm: the refusal if this process stood still (Ctrl-Z, a closed lid) since it took the lock
    at ``taken_at``, and somebody else was here meanwhile."""
    stood_s = (scene.clock.now() - taken_at).total_seconds()
    if stood_s < lock.lease_s / 4:
        return None
    scene.scribe.event(f"this process stood still for {stood_s:.0f} s, holding the lock", "zkrollback")
    try:
        lock.renew(scene.scribe.record.run_id)
    except LockHeld as error:
        if error.run_id:  # else nobody holds it: what was done meanwhile shows in the head
            return judge_lock(LockHeld(f"lost while this process stood still for {stood_s:.0f} s: {error}"))
    except ZkRollbackError as error:
        refusal = judge_lock(error)
        return None if _set_aside(scene, refusal) else refusal
    moved = _unmoved(scene, planned, scene.scribe.record.revision_before or 0)
    return moved if isinstance(moved, Guard) else None


def _unmoved(scene: RunContext, planned: ReleaseHistory, before: int) -> ReleaseHistory | Guard | None:
    """The history, if its head is still ``before``; else the refusal, or None if it was set aside."""
    try:
        history = fetch_history(scene.kube, scene.env.namespace, scene.env.release, known=planned)
    except ZkRollbackError as error:
        evidence = f"whether the release changed since the plan is unknown: {error}"
        reason = GuardReason.NO_ANSWER
    else:
        head, was = history.head.revision, planned.head
        if head.revision != before:
            scene.scribe.update(revision_before=head.revision, revision_after=head.revision)
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
    return None if _set_aside(scene, refusal) else refusal


def unlock(scene: RunContext, lock: ReleaseLock, outcome: JsonObject) -> None:
    """Release the lock as soon as helm's result is known; a failure is said and expires by itself."""
    try:
        lock.release_with(
            scene.scribe.record.run_id, {**outcome, "finished_at": scene.clock.now().isoformat()}
        )
    except ZkRollbackError as error:
        scene.scribe.event(f"the lock could not be given back and will expire: {error}", "zkrollback")


def report_interrupted_runs(scene: RunContext, history: ReleaseHistory) -> None:
    """Say what became of attempts that died, where helm need not run and so no lock is taken."""
    try:
        entries = scene.lock().fetch().entries
    except ZkRollbackError:
        return  # read for the record's sake alone
    for entry in unfinished(of_this_install(entries, history), scene.scribe.record.run_id):
        scene.scribe.event(explain_unfinished(entry, history), "journal")


def note_verified(scene: RunContext, history: ReleaseHistory) -> None:
    """Write the verified head into the journal, for ``last-verified``, if that is allowed.

    Not if the release changed meanwhile, and not if ``release-equivalence`` was left out: then nobody saw
    that this revision runs.
    """
    record = scene.scribe.record
    equal = next((item.verdict for item in record.items if item.id == "release-equivalence"), None)
    # The head may have been seen to move while a later look was under way: that one was not verified.
    if record.revision_after is None or equal is not Verdict.PASS or record.outcome is Outcome.SUPERSEDED:
        return
    try:
        scene.lock().note_verified(
            record.run_id, record.operator, record.revision_after, history.head.installed
        )
    except ZkRollbackError as error:
        scene.scribe.event(f"last-verified was not written to the journal: {error}", "zkrollback")


def _find_out(
    scene: RunContext, lock: ReleaseLock, entries: tuple[JsonObject, ...], history: ReleaseHistory
) -> None:
    """Under the lock: what became of earlier attempts that never said, in the record and in the journal."""
    record = scene.scribe.record
    found = {
        str(entry.get("run_id")): {"outcome": "found", "found": explain_unfinished(entry, history)}
        for entry in unfinished(entries, record.run_id)
    }
    for each in found.values():
        scene.scribe.event(each["found"], "journal")
    if found:
        try:
            lock.annotate_entries(found)
        except ZkRollbackError as error:
            scene.scribe.event(f"the journal could not be amended: {error}", "zkrollback")


def _is_taken_over(scene: RunContext) -> bool:
    """Whether the operator saw that somebody holds the lock, and goes ahead."""
    return any(each.id == "lock" and each.kind == "guard" for each in scene.scribe.record.overrides)


def _set_aside(scene: RunContext, refusal: Guard) -> bool:
    """Whether the command line says to go ahead against this one; then it is in the record."""
    request, record = scene.request, scene.scribe.record
    guards = apply_overrides([refusal], request.overrides, request.break_glass)
    used = overrides_used(guards, request.overrides, request.break_glass)
    if used:
        scene.scribe.update(guards=(*record.guards, *guards), overrides=(*record.overrides, *used))
        scene.scribe.event(f"guard {refusal.id} set aside: {used[0].reason}", "operator")
    return bool(used)
