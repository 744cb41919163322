"""Why a pull request is not merged yet, and whose word is missing."""

from __future__ import annotations

from ..domain.errors import GithubProblem
from ..domain.ports import GithubApi


def describe_wait(api: GithubApi, number: int, wanted: int | None, said: str) -> str:
    """One sentence; GitHub's own words (``said``) come last. What cannot be read is left out."""
    parts = []
    try:
        latest = {
            review["user"]["login"]: review["state"]
            for review in api.pages(f"pulls/{number}/reviews")
            if review.get("user") and review["state"] in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
        }
        asked = api.get(f"pulls/{number}/requested_reviewers")
    except GithubProblem as problem:
        return said or str(problem)
    approved = [login for login, state in latest.items() if state == "APPROVED"]
    against = [login for login, state in latest.items() if state == "CHANGES_REQUESTED"]
    if wanted:
        by = f" (by {', '.join(approved)})" if approved else ""
        parts.append(f"{len(approved)} of {wanted} approving reviews{by}")
    names = [user["login"] for user in asked["users"]] + [f"team {team['name']}" for team in asked["teams"]]
    if names:
        parts.append(f"asked for: {', '.join(names)}")
    if against:
        parts.append(f"changes requested by {', '.join(against)}")
    if said:
        parts.append(f"GitHub says: {said}")
    return "; ".join(parts) or "GitHub does not say for what"
