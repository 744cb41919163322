"""The service's commits between two revisions, in words. Nothing here is escaped yet."""

from __future__ import annotations

from ..domain.commit_range import CommitRange
from .summary import plural


def heading(found: CommitRange) -> str:
    """``What revision 6 brought: 3 commits since revision 5``."""
    what = "commits" if found.count is None else plural(found.count, "commit")
    if found.count == 0:
        what = "no commit"
    return f"What revision {found.bad_revision} brought: {what} since revision {found.good_revision}"


def remarks(found: CommitRange) -> tuple[str, ...]:
    """What the list does not show, in sentences."""
    if found.problem:
        return (f"The commits are not known. {found.problem}",)
    if found.count == 0 and found.good == found.bad:
        return (f"Both revisions are made of commit {found.good[:10]}.",)
    if found.count == 0:
        older, newer = found.bad[:10], found.good[:10]
        return (f"Commit {older} of revision {found.bad_revision} holds nothing that {newer} does not.",)
    more = (found.count or 0) - len(found.commits)
    return (f"{plural(more, 'older commit')} not shown here.",) if more > 0 else ()
