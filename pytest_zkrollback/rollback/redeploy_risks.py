"""What could bring back the version that was rolled back from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.github import PullRequest
from ..domain.record import Plan, Revision, origin_of
from ..release.gitops import GitOpsOwner
from ..release.source_commit import commit_of
from ..report.formatting import capital

_MOST = 3


@dataclass(frozen=True)
class QueuedDeploy:
    """A run of the deploy workflow that has not ended."""

    url: str
    status: str
    sha: str


@dataclass(frozen=True)
class Branch:
    """Whether the branch that ships by itself holds what was rolled back; None: not known, and ``why``."""

    name: str = "main"
    holds: bool | None = None
    why: str = ""


def judge_redeploy_risks(
    plan: Plan,
    *,
    through_github: bool = False,
    pull_request: PullRequest | None = None,
    branch: Branch = Branch(),
    owners: Sequence[GitOpsOwner] = (),
    queued: Sequence[QueuedDeploy] = (),
) -> tuple[str, ...]:
    """Sentences, the likeliest first; empty where nothing was rolled back from.

    To be said only while the target stands verified: before that nobody knows which of the two revisions is
    to revert, and to revert the good one would be harm. ``pull_request`` is the one that carries the
    rollback.
    """
    left = plan.rolled_back_from
    if left is None:
        return ()
    merge = _by_pull_request(pull_request, branch) if through_github else _by_merge(plan, left, branch)
    return (*merge, *map(_by_owner, owners), *map(_by_queue, queued[:_MOST]))


def find_rolled_back_from(
    head: Revision, compared_with: Revision | None, *, helm_ran: bool
) -> Revision | None:
    """The revision that a rollback left: this run's, or the one that made the current revision; else None.

    ``head``: the current revision before the run; it is ``compared_with`` unless the target is live already.
    """
    if compared_with is None:
        return None
    if compared_with.revision == head.revision:
        return compared_with if helm_ran else None
    return compared_with if head.rollback_of is not None else None


def _by_pull_request(pull: PullRequest | None, branch: Branch) -> tuple[str, ...]:
    """Through GitHub the merge takes the commit that was rolled back off the branch."""
    if pull is None or pull.state == "merged":
        return ()
    return (
        f"Pull request #{pull.number} is not merged: until it is, {branch.name} ships what was rolled back.",
    )


def _by_merge(plan: Plan, left: Revision, branch: Branch) -> tuple[str, ...]:
    """The runbook's auto-staging: the commit that was rolled back is still on main."""
    commit, target = commit_of(left), plan.target
    find = {each.revision: each for each in plan.history}.get
    if target is not None and (
        origin_of(left, find) < origin_of(target, find) or commit == commit_of(target)
    ):
        return ()  # what is live holds that commit, or was built on it
    named = (
        f"commit {commit} of revision {left.revision}"
        if commit
        else f"the commit of revision {left.revision}"
    )
    revert = f"git revert {commit}" if commit else "revert it there."
    if branch.holds is False:
        return ()
    if branch.holds:
        return (f"{capital(named)} is on {branch.name}: the next merge ships it again. First: {revert}",)
    why = f" ({branch.why})" if branch.why else ""
    return (
        f"{capital(named)} is probably still on {branch.name}: then the next merge ships it again{why}. "
        f"First: {revert}",
    )


def _by_owner(owner: GitOpsOwner) -> str:
    if owner.suspended_reason:
        return (
            f"{owner} puts back what its source says once it acts again ({owner.suspended_reason}). "
            "First: revert there."
        )
    return (
        f"{owner} puts back what its source says, perhaps within minutes. First: suspend it, or revert there."
    )


def _by_queue(run: QueuedDeploy) -> str:
    said = f"A deploy of commit {run.sha[:7]} is {run.status}: {run.url}."
    return f"{said} First: cancel it, unless it is the one that mends it."
