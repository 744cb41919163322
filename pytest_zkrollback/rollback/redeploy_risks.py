"""What brings the bad version back after a rollback. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.record import Mode, Outcome, Record, Revision
from ..release.gitops import GitOpsOwner
from ..release.source_commit import commit_of
from ..report.outcome import choose_outcome
from ..report.summary import DONE, revision_of

_MOST = 3


@dataclass(frozen=True)
class QueuedDeploy:
    """A run of the deploy workflow that has not ended."""

    url: str
    status: str
    sha: str


@dataclass(frozen=True)
class Branch:
    """Whether the branch that ships by itself holds the bad commit; None: not known, and ``why``."""

    name: str = "main"
    holds: bool | None = None
    why: str = ""


def judge_redeploy_risks(
    record: Record,
    branch: Branch = Branch(),
    owners: Sequence[GitOpsOwner] = (),
    queued: Sequence[QueuedDeploy] = (),
) -> tuple[str, ...]:
    """Sentences, the likeliest first; empty where nothing was rolled away from or the target is not verified.

    Before that nobody knows which of the two is the bad one, and to revert the good one would be harm.
    """
    bad = record.plan.rolled_back_from
    if bad is None or not stands_verified(record):
        return ()
    return (*_by_merge(record, bad, branch), *map(_by_owner, owners), *map(_by_queue, queued[:_MOST]))


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


def stands_verified(record: Record) -> bool:
    """Whether the run ended verified, or every item but the telling is green so far."""
    if record.outcome is not Outcome.RUNNING:
        return record.outcome in DONE
    return choose_outcome([item for item in record.items if item.id != "notify"]) in DONE


def _by_merge(record: Record, bad: Revision, branch: Branch) -> tuple[str, ...]:
    """The runbook's auto-staging: the bad commit is still on main."""
    github = record.github
    if record.mode is Mode.GITHUB:
        pull = github.pull_request if github is not None else None
        if pull is not None and pull.state != "merged":
            return (
                f"Pull request #{pull.number} is not merged: {branch.name} ships the bad commit until it is.",
            )
        return ()
    commit, target = commit_of(bad), record.plan.target
    if target is not None and (_origin(record, bad) < _origin(record, target) or commit == commit_of(target)):
        return ()  # what is live holds that commit, or was built on it
    named = (
        f"commit {commit} of revision {bad.revision}" if commit else f"the commit of revision {bad.revision}"
    )
    revert = f"git revert {commit}" if commit else "revert it there."
    if branch.holds is False:
        return ()
    if branch.holds:
        return (f"{_capital(named)} is on {branch.name}: the next merge ships it again. First: {revert}",)
    why = f" ({branch.why})" if branch.why else ""
    return (
        f"{_capital(named)} is probably still on {branch.name}: then the next merge ships it again{why}. "
        f"First: {revert}",
    )


def _origin(record: Record, revision: Revision) -> int:
    """The number of the revision that first had its content."""
    while revision.rollback_of is not None and revision.rollback_of < revision.revision:
        earlier = revision_of(record, revision.rollback_of)
        if earlier is None:
            return revision.rollback_of
        revision = earlier
    return revision.revision


def _by_owner(owner: GitOpsOwner) -> str:
    if owner.idle:
        return (
            f"{owner} puts back what its source says once it acts again ({owner.idle}). First: revert there."
        )
    return (
        f"{owner} puts back what its source says, perhaps within minutes. First: suspend it, or revert there."
    )


def _by_queue(run: QueuedDeploy) -> str:
    said = f"A deploy of commit {run.sha[:7]} is {run.status}: {run.url}."
    return f"{said} First: cancel it, unless that is the good commit."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
