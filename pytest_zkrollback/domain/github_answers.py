"""What GitHub's REST API answers, as far as it is used here: one model for each kind of answer.

The methods of :class:`~.ports.GithubApi` read answers into these, so that an answer of any other shape is one
sentence and never a KeyError. Unknown members are left out; SHAs are full; numbers are GitHub's ids.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _plausible(value: datetime) -> datetime:
    # Far from both ends of what a datetime holds: it is calculated with.
    if value.tzinfo is None or not 1990 <= value.year <= 2990:
        raise ValueError("no time with a zone, in a year from 1990 to 2990")
    return value.astimezone(UTC)


Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
Id = Annotated[int, Field(gt=0, lt=2**53)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
When = Annotated[datetime, AfterValidator(_plausible)]


class ApiObject(BaseModel):
    """What is read of one answer, or of a part of it."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Named(ApiObject):
    """A commit or a tree, by its SHA."""

    sha: Sha


class Account(ApiObject):
    """A user, or an App; empty where GitHub knows of none."""

    login: str = ""


class Rights(ApiObject):
    """What the token's owner may do in the repository."""

    push: bool = False


class Repository(ApiObject):
    """``GET /repos/O/N``."""

    archived: bool = False
    permissions: Rights | None = None
    allow_merge_commit: bool = True
    allow_squash_merge: bool = True
    allow_rebase_merge: bool = True


class Author(ApiObject):
    """Who wrote a commit, as git says it."""

    name: str = "not known"


class CommitText(ApiObject):
    """The git side of a commit."""

    message: str
    tree: Named
    author: Author | None = None


class CommitAnswer(ApiObject):
    """``GET commits/REF``."""

    sha: Sha
    commit: CommitText
    author: Account | None = None

    @property
    def author_name(self) -> str:
        """The login, else the name in the commit."""
        if self.author is not None and self.author.login:
            return self.author.login
        return self.commit.author.name if self.commit.author is not None else "not known"


class GitCommit(ApiObject):
    """``GET git/commits/SHA``, and what ``POST git/commits`` made."""

    sha: Sha
    tree: Named
    parents: tuple[Named, ...] = ()

    @property
    def parent_shas(self) -> list[str]:
        """The parents' SHAs, in order."""
        return [parent.sha for parent in self.parents]


class GitRef(ApiObject):
    """``GET git/ref/heads/NAME``."""

    object: Named


class BranchAnswer(ApiObject):
    """``GET branches/NAME``."""

    commit: CommitAnswer
    protected: bool = False


class RuleParameters(ApiObject):
    """Of all kinds of rules together."""

    required_approving_review_count: Count = 0
    allowed_merge_methods: tuple[str, ...] | None = None


class Rule(ApiObject):
    """One of ``GET rules/branches/NAME``."""

    type: str
    parameters: RuleParameters | None = None


class ChangedFile(ApiObject):
    """A file of a comparison."""

    filename: str


class Comparison(ApiObject):
    """``GET compare/BASE...HEAD``. At most 300 files are shown."""

    status: str
    ahead_by: Count
    total_commits: Count
    commits: tuple[CommitAnswer, ...] = ()
    files: tuple[ChangedFile, ...] | None = None


class PullHead(ApiObject):
    """The branch that a pull request carries."""

    ref: str
    sha: Sha


class Pull(ApiObject):
    """``GET pulls/N``, and the entries of ``GET pulls``, which do not say ``merged``."""

    number: Id
    html_url: Url
    state: str
    head: PullHead
    merged: bool | None = None
    merged_at: When | None = None
    merge_commit_sha: Sha | None = None
    mergeable_state: str | None = None


class MergeAnswer(ApiObject):
    """``PUT pulls/N/merge``."""

    sha: Sha
    merged: bool


class Review(ApiObject):
    """One of ``GET pulls/N/reviews``."""

    state: str
    user: Account | None = None


class Team(ApiObject):
    """A team that was asked."""

    name: str = ""
    slug: str = ""


class RequestedReviewers(ApiObject):
    """``GET pulls/N/requested_reviewers``."""

    users: tuple[Account, ...] = ()
    teams: tuple[Team, ...] = ()


class Workflow(ApiObject):
    """One of ``GET actions/workflows``."""

    id: Id
    name: str
    path: str
    state: str


class Workflows(ApiObject):
    """A page of ``GET actions/workflows``."""

    workflows: tuple[Workflow, ...]


class RunAnswer(ApiObject):
    """``GET actions/runs/ID``, and the entries of a workflow's runs."""

    id: Id
    html_url: Url
    event: str
    head_sha: Sha
    status: str | None = None
    conclusion: str | None = None
    created_at: When
    updated_at: When
    run_attempt: Count | None = None
    display_title: str = ""


class RunsAnswer(ApiObject):
    """``GET actions/workflows/ID/runs``."""

    workflow_runs: tuple[RunAnswer, ...]


class JobStep(ApiObject):
    """A step of a job."""

    name: str
    conclusion: str | None = None


class JobAnswer(ApiObject):
    """A job of a run."""

    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None
    steps: tuple[JobStep, ...] | None = None


class JobsAnswer(ApiObject):
    """``GET actions/runs/ID/jobs``."""

    jobs: tuple[JobAnswer, ...]


class Approver(ApiObject):
    """A user's login, or a team's name."""

    login: str = ""
    name: str = ""
    slug: str = ""


class ApproverEntry(ApiObject):
    """Who may approve a deployment."""

    type: str = ""
    reviewer: Approver | None = None


class DeployEnvironment(ApiObject):
    """The environment that a deployment waits for."""

    name: str = ""


class PendingDeployment(ApiObject):
    """One of ``GET actions/runs/ID/pending_deployments``."""

    environment: DeployEnvironment
    wait_timer: Count = 0
    current_user_can_approve: bool = False
    reviewers: tuple[ApproverEntry, ...] = ()


class DispatchAnswer(ApiObject):
    """``POST actions/workflows/ID/dispatches``; older servers name no run and send no body."""

    workflow_run_id: Id | None = None
    html_url: Url | None = None


class CommentAnswer(ApiObject):
    """``POST issues/N/comments``."""

    html_url: Url
