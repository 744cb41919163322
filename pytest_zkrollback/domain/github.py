"""What became of a rollback through GitHub Actions: part of the record, and the journal that a rerun reads.

Commits and trees are full SHAs. What GitHub said (titles, names, logins) is foreign text.
"""

from __future__ import annotations

from pydantic import Field

from .frozen import Frozen, Time


class Commit(Frozen):
    """A commit that the rollback undoes."""

    sha: str = Field(description="full SHA")
    author: str = Field(description="login, else the name in the commit")
    title: str = Field(description="first line of its message")


class GithubStep(Frozen):
    """One change at GitHub, or the wait for one. It is on disk as ``begun`` before the request is sent."""

    name: str = Field(description="commit, branch, pull request, merge, dispatch or run")
    state: str = Field(description="begun, done, found (an earlier run did it), waiting or failed")
    detail: str = Field(default="", description="what was made, found or waited for, in one sentence")
    url: str = Field(default="", description="where to look at it")
    began_at: Time = Field(description="when it was begun, by this machine's clock")
    finished_at: Time | None = Field(default=None, description="when its end was known")


class PullRequest(Frozen):
    """The pull request that carries the rollback to the branch."""

    number: int = Field(description="its number")
    url: str = Field(description="its page")
    head: str = Field(description="head commit that was meant to be merged")
    state: str = Field(
        description="open, merging (GitHub was asked, and its answer is not known yet), merged or closed"
    )
    pending_approval: str = Field(
        default="", description="why it is not merged yet, and whose approval is missing"
    )


class Job(Frozen):
    """A job of a workflow run."""

    name: str = Field(description="as the workflow names it")
    status: str = Field(description="queued, in_progress, completed, waiting, requested or pending")
    conclusion: str = Field(default="", description="success, failure, skipped, ...; empty: not ended")
    failed_step: str = Field(default="", description="the first step that did not succeed")
    url: str = Field(default="", description="its log")


class WorkflowRun(Frozen):
    """The workflow's run that deploys."""

    id: int = Field(description="GitHub's id of the run")
    url: str = Field(description="its page")
    event: str = Field(description="push or workflow_dispatch")
    head_sha: str = Field(description="the commit that it deploys")
    status: str = Field(description="queued, in_progress, waiting, pending (concurrency), completed")
    conclusion: str = Field(default="", description="success, failure, cancelled, ...; empty: not ended")
    created_at: Time = Field(description="when GitHub made it, by GitHub's clock")
    finished_at: Time | None = Field(default=None, description="when it ended; None: not ended")
    attempt: int = Field(default=1, description="its run_attempt")
    pending_approval: str = Field(default="", description="which approval it waits for, and who may give it")
    jobs: tuple[Job, ...] = Field(default=(), description="its jobs, as last seen")


class Github(Frozen):
    """Everything about one rollback or redeploy through GitHub Actions."""

    repository: str = Field(description="owner/name")
    branch: str = Field(description="the branch that is deployed")
    workflow: str = Field(default="", description="the workflow's name and file")
    target_commit: str = Field(
        default="", description="the commit to go back to; empty: redeploy the branch's tip"
    )
    tree: str = Field(default="", description="tree of that commit, which has to be live in the end")
    head_commit: str = Field(default="", description="the branch's tip at preflight")
    reverted_commits: tuple[Commit, ...] = Field(
        default=(), description="commits that the rollback reverts, oldest first"
    )
    reverted_count: int = Field(default=0, description="how many there are, where not all could be listed")
    files: tuple[str, ...] = Field(default=(), description="files that change (GitHub lists 300 at most)")
    all_files: bool = Field(default=True, description="false: more may change than `files`")
    workflow_files: tuple[str, ...] = Field(default=(), description="of these, files of workflows")
    migrations: tuple[str, ...] = Field(default=(), description="of these, what looks like a migration")
    head_branch: str = Field(default="", description="the branch that carries the rollback")
    pull_request: PullRequest | None = Field(default=None, description="the pull request")
    merge_commit: str = Field(default="", description="the commit that the merge made on the branch")
    tree_restored: bool | None = Field(
        default=None, description="whether the merged tree is the good one; None: not looked at"
    )
    deployed: str = Field(default="", description="the commit that was deployed")
    reland: tuple[str, ...] = Field(default=(), description="git commands that bring the undone work back")
    runs: tuple[WorkflowRun, ...] = Field(default=(), description="workflow runs that were watched")
    steps: tuple[GithubStep, ...] = Field(default=(), description="what was done, oldest first")

    @property
    def deploys(self) -> bool:
        """Whether something may have been deployed by now, so that the cluster has to be looked at."""
        pull, sent = self.pull_request, any(step.name == "dispatch" for step in self.steps)
        merged = pull is not None and pull.state in ("merging", "merged")
        return bool(merged or self.merge_commit or self.runs or sent)
