"""Why a pull request is not merged yet, and whose word is missing."""

from __future__ import annotations

from ..domain.errors import GithubProblem
from ..domain.github_answers import RequestedReviewers, Review
from ..domain.ports import GithubApi

_WORDS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")


def describe_wait(api: GithubApi, number: int, wanted: int | None, said: str) -> str:
    """One sentence; GitHub's own words (``said``) come last. What cannot be read is left out."""
    parts = []
    try:
        reviews = api.pages(f"pulls/{number}/reviews", list[Review], lambda page: page)
        asked = api.get(f"pulls/{number}/requested_reviewers", RequestedReviewers)
    except GithubProblem as problem:
        return said or str(problem)
    latest = {each.user.login: each.state for each in reviews if each.user and each.state in _WORDS}
    approved = [login for login, state in latest.items() if state == "APPROVED"]
    against = [login for login, state in latest.items() if state == "CHANGES_REQUESTED"]
    if wanted:
        by = f" (by {', '.join(approved)})" if approved else ""
        parts.append(f"{len(approved)} of {wanted} approving reviews{by}")
    names = [user.login for user in asked.users] + [f"team {team.name or team.slug}" for team in asked.teams]
    if names:
        parts.append(f"asked for: {', '.join(names)}")
    if against:
        parts.append(f"changes requested by {', '.join(against)}")
    if said:
        parts.append(f"GitHub says: {said}")
    return "; ".join(parts) or "GitHub does not say for what"
