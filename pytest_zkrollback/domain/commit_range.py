"""The service's commits between two revisions of the release, as a git checkout knows them."""

from __future__ import annotations

from pydantic import Field

from .frozen import Frozen, Time


class SourceCommit(Frozen):
    """One commit; author and subject are foreign text."""

    sha: str = Field(description="full SHA")
    author: str = Field(description="the author's name; never the address")
    at: Time | None = Field(
        default=None, description="when it was written, by the author's clock; null: that is no date"
    )
    subject: str = Field(description="first line of its message")


class CommitRange(Frozen):
    """What the compared revision has and the target has not."""

    good_revision: int = Field(description="the target")
    bad_revision: int = Field(description="the revision that it is compared with")
    good: str = Field(default="", description="the target's commit, full SHA; empty: not known")
    bad: str = Field(default="", description="the other one's commit, full SHA; empty: not known")
    count: int | None = Field(default=None, description="how many commits lie between; null: not known")
    commits: tuple[SourceCommit, ...] = Field(default=(), description="the newest of them, newest first")
    problem: str = Field(default="", description="why they are not known, in a sentence; empty: they are")
