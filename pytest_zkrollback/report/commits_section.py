"""The service's commits between two revisions, in words. Nothing here is escaped yet."""

from __future__ import annotations

from ..domain.commit_range import CommitRange
from .summary import plural


def heading(found: CommitRange) -> str:
    """``New commits in revision 6``."""
    return f"New commits in revision {found.bad_revision}"


def count_line(found: CommitRange) -> str:
    """``3 commits since revision 5.``; empty where their number is not known."""
    if found.count is None:
        return ""
    said = plural(found.count, "commit") if found.count else "No commit"
    return f"{said} since revision {found.good_revision}."


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
