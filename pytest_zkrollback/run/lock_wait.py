"""Another run holds the release's lock: wait for it a little, then see what it made.

Who waited never runs helm: either the other run made what was asked for, and that is verified, or this run
refuses, because what it planned was planned for another state.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ..domain.errors import LockHeld, ZkRollbackError
from ..domain.record import Guard, GuardReason, GuardState
from ..preflight.guards.cluster import judge_lock
from ..release.history import ReleaseHistory, fetch_history
from ..report.failures import listed
from ..rollback.lock import ReleaseLock
from .context import RunContext

WAIT_S: Final = 10.0
_EVERY_S: Final = 0.25

# What the other run's helm causes while it works.
_CAUSED_BY_HOLDER: Final = frozenset(
    {
        GuardReason.LOCK_HELD,
        GuardReason.UNDER_WAY,
        GuardReason.HOOK_RUNNING,
        GuardReason.NONE_DEPLOYED,
        GuardReason.SEVERAL_DEPLOYED,
    }
)


@dataclass(frozen=True)
class MadeByAnother:
    """What was asked for is there, and this run did not make it: ``reason`` says who did.

    ``history``: as it was read then.
    """

    history: ReleaseHistory
    reason: str


def waiting_helps(refused: Collection[Guard]) -> bool:
    """Whether nothing but another run at work stands against this one."""
    reasons = {guard.reason for guard in refused}
    return GuardReason.LOCK_HELD in reasons and reasons <= _CAUSED_BY_HOLDER


def follow_holder(
    context: RunContext, lock: ReleaseLock, held: LockHeld, before: ReleaseHistory, target: int
) -> Guard | MadeByAnother:
    """Wait for the run that holds the lock: what it made, or the refusal.

    ``before``: the history when ``target`` was chosen. Raises KeyboardInterrupt if a signal ends the waiting.
    """
    if not wait_for_holder(context, lock, held):
        return judge_lock(held)
    try:
        now = fetch_history(context.kube, context.env.namespace, context.env.release, known=before)
    except ZkRollbackError as error:
        return judge_lock(error)
    head = now.head.revision.revision
    if head != before.head.revision.revision:
        context.recorder.update(revision_before=head, revision_after=head)
    return judge_what_it_made(held, before, now, target)


def wait_for_holder(context: RunContext, lock: ReleaseLock, held: LockHeld) -> bool:
    """Wait up to ``WAIT_S``: whether the lock is free then. A signal raises KeyboardInterrupt."""
    context.recorder.event(f"waiting up to {WAIT_S:g} s for the lock: {held}", "zkrollback")
    context.display.status(f"waiting up to {WAIT_S:g} s for the lock, Ctrl-C stops: {held}")
    until_s = context.clock.monotonic_s() + WAIT_S
    with context.signals.raising():
        while context.clock.monotonic_s() < until_s:
            context.clock.sleep(_EVERY_S)
            try:
                lock.require_free(lock.fetch())
            except ZkRollbackError:
                continue  # still held, or not known
            return True
    return False


def judge_what_it_made(
    held: LockHeld, before: ReleaseHistory, now: ReleaseHistory, target: int
) -> Guard | MadeByAnother:
    """The other run gave the lock back: does the release hold ``target`` now?"""
    who = f"{held.operator} (run {held.run_id})"
    head, was = now.head.revision, before.head.revision
    other = find_another(before, now, (was.revision, target))
    if not other and holds(now, target):
        return MadeByAnother(
            now, f"{who} held the lock, and revision {head.revision} now holds revision {target}"
        )
    moved = bool(other) or (head.revision, head.status) != (was.revision, was.status)
    return Guard(
        id="lock",
        state=GuardState.REFUSED,
        reason=GuardReason.NEW_REVISION if moved else GuardReason.LOCK_HELD,
        evidence=f"{who} held the lock; {other or _what_is_there(before, now, target)}",
        consequence="What this run planned may no longer be right: start it again, and it looks anew.",
    )


def _what_is_there(before: ReleaseHistory, now: ReleaseHistory, target: int) -> str:
    head, was = now.head.revision, before.head.revision
    found = f"the current revision is still {head.revision}"
    if (head.revision, head.status) != (was.revision, was.status):
        found = f"revision {head.revision} is {head.status} now ({head.description})"
    if now.origin(head.revision) != now.origin(target):
        found += f", which is not revision {target}"
    elif len(now.deployed_numbers) > 1:
        found += f", and helm calls revisions {listed(map(str, now.deployed_numbers))} deployed"
    return found


def holds(history: ReleaseHistory, target: int) -> bool:
    """Whether helm calls what holds ``target`` deployed, and nothing else."""
    head = history.head.revision
    same = history.origin(head.revision) == history.origin(target)
    return same and head.status == "deployed" and len(history.deployed_numbers) == 1


def find_another(before: ReleaseHistory, now: ReleaseHistory, numbers: Sequence[int]) -> str:
    """That one of these numbers is of another revision than before; empty: none is.

    One that is gone is left to helm, which says so.
    """
    for number in numbers:
        was, found = before.get(number), now.get(number)
        why = found.other_than(was) if was is not None and found is not None else ""
        if why:
            return f"revision {number} is another one than before, under the same number: {why}"
    return ""
