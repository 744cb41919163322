"""A workflow run as GitHub shows it."""

from __future__ import annotations

from ..domain.checks import JsonObject
from ..domain.errors import GithubProblem
from ..domain.github import Job, WorkflowRun
from ..domain.ports import GithubApi
from ..domain.timestamps import require_time


def describe_run(api: GithubApi, run_id: int) -> WorkflowRun:
    """The run with its jobs and what it waits for. Raises GithubProblem."""
    run = api.get(f"actions/runs/{run_id}")
    jobs = api.get(f"actions/runs/{run_id}/jobs", {"filter": "latest", "per_page": "100"})["jobs"]
    return WorkflowRun(
        id=run["id"],
        url=run["html_url"],
        event=run["event"],
        head_sha=run["head_sha"],
        status=run["status"] or "",
        conclusion=run["conclusion"] or "",
        created_at=require_time(run["created_at"]),
        finished_at=require_time(run["updated_at"]) if run["status"] == "completed" else None,
        attempt=run.get("run_attempt") or 1,
        pending_approval=_pending_approval(api, run),
        jobs=tuple(_job(job) for job in jobs),
    )


def _job(job: JsonObject) -> Job:
    steps = job.get("steps") or ()
    failed = next((step for step in steps if step.get("conclusion") in ("failure", "cancelled")), None)
    return Job(
        name=job["name"],
        status=job["status"],
        conclusion=job.get("conclusion") or "",
        failed_step=str(failed["name"]) if failed else "",
        url=job.get("html_url") or "",
    )


def _pending_approval(api: GithubApi, run: JsonObject) -> str:
    if run["status"] == "pending":
        return "another run of its concurrency group is in front of it"
    if run["status"] != "waiting":
        return ""
    try:
        pending = api.get(f"actions/runs/{run['id']}/pending_deployments")
    except GithubProblem as problem:
        return f"an approval; whose is not known: {problem}"
    waits = []
    for entry in pending:
        who = [_reviewer(reviewer) for reviewer in entry.get("reviewers") or ()]
        by = f" by {' or '.join(who)}" if who else ""
        timer = f", after a timer of {entry['wait_timer']} min" if entry.get("wait_timer") else ""
        you = " (you may give it)" if entry.get("current_user_can_approve") else ""
        waits.append(f"approval for environment {entry['environment']['name']}{by}{timer}{you}")
    return "; ".join(waits) or "an approval"


def _reviewer(entry: JsonObject) -> str:
    found = entry.get("reviewer") or {}
    if entry.get("type") == "Team":
        return f"team {found.get('name') or found.get('slug')}"
    return str(found.get("login"))
