"""A stranded release: what happened to it, and the one rollback that leads out. Pure.

Stranded is a release whose head is ``pending-*`` (its helm died), or that has no revision ``deployed`` or two
of them (docs/helm-facts.md, 2, 3, 4 and 6). One `helm rollback` to a revision that worked leads out of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..domain.change_summary import Skipped
from ..domain.checks import JsonObject
from ..release.helm_secret import FRESH
from ..release.history import ReleaseHistory, explain_stranding
from .target import TargetChoice, find_evidence

# What a recovery has in the place of a target where none was typed.
RECOVER = "recover"
_DEPLOYED = "deployed"


def choose_recovery(history: ReleaseHistory, entries: Sequence[JsonObject] | None) -> TargetChoice:
    """Where the one rollback goes that leads out.

    A rollback that was cut off is finished: its own target, as long as nothing speaks against that. Anything
    else goes back to the newest revision that worked before it. ``entries``: the journal; None: not read.
    """
    head = history.head.revision
    skipped: list[Skipped] = []
    if not explain_stranding(history):
        return TargetChoice(None, f"there is nothing to recover: revision {head.revision} is {head.status}")
    wanted = head.rollback_of
    if wanted is not None and history.content_of(wanted) is not None:
        against = find_evidence(history, wanted, entries)
        if against is None:
            return TargetChoice(
                wanted, f"the rollback to {wanted} that made revision {head.revision} is finished"
            )
        skipped.append(Skipped(revision=wanted, reason=against.text))
    for one in reversed(history.revisions):
        if one.revision == wanted or (one.revision == head.revision and one.status != _DEPLOYED):
            continue
        against = find_evidence(history, one.revision, entries)
        if against is None:
            because = f"the newest revision that worked before revision {head.revision}"
            return TargetChoice(one.revision, because, tuple(skipped))
        skipped.append(Skipped(revision=one.revision, reason=against.text))
    return TargetChoice(None, "no revision is left that ever worked", tuple(skipped))


def recovery_reasons(history: ReleaseHistory, now: datetime) -> dict[str, str]:
    """The guards that the explicit recovery overrides: a pending operation whose helm has long been dead."""
    head = history.head.revision
    stale = head.status.startswith("pending") and now - head.deployed_at >= FRESH
    return {"pending": "--rollback-recover: its helm is long dead"} if stale else {}


def needs_no_hooks(jobs: Sequence[JsonObject]) -> bool:
    """Whether hooks would fail or hang again: one of their Jobs failed, or still runs."""
    states = [job.get("status") or {} for job in jobs]
    return any(state.get("active") or state.get("failed") for state in states)
