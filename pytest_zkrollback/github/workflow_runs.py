"""A workflow run as GitHub shows it."""

from __future__ import annotations

from ..domain.errors import GithubProblem
from ..domain.github import Job, WorkflowRun
from ..domain.github_answers import ApproverEntry, JobAnswer, JobsAnswer, PendingDeployment, RunAnswer
from ..domain.ports import GithubApi


def describe_run(api: GithubApi, run_id: int) -> WorkflowRun:
    """The run with its jobs and what it waits for. Raises GithubProblem."""
    run = api.get(f"actions/runs/{run_id}", RunAnswer)
    if run.id != run_id:
        raise GithubProblem(f"GitHub was asked about run {run_id} and answered about run {run.id}.")
    jobs = api.get(f"actions/runs/{run_id}/jobs", JobsAnswer, {"filter": "latest", "per_page": "100"}).jobs
    return WorkflowRun(
        id=run.id,
        url=run.html_url,
        event=run.event,
        head_sha=run.head_sha,
        status=run.status or "",
        conclusion=run.conclusion or "",
        created_at=run.created_at,
        finished_at=run.updated_at if run.status == "completed" else None,
        attempt=run.run_attempt or 1,
        pending_approval=_pending_approval(api, run),
        jobs=tuple(map(_job, jobs)),
    )


def _job(job: JobAnswer) -> Job:
    failed = next((each for each in job.steps or () if each.conclusion in ("failure", "cancelled")), None)
    return Job(
        name=job.name,
        status=job.status,
        conclusion=job.conclusion or "",
        failed_step=failed.name if failed else "",
        url=job.html_url or "",
    )


def _pending_approval(api: GithubApi, run: RunAnswer) -> str:
    if run.status == "pending":
        return "another run of its concurrency group is in front of it"
    if run.status != "waiting":
        return ""
    try:
        pending = api.get(f"actions/runs/{run.id}/pending_deployments", list[PendingDeployment])
    except GithubProblem as problem:
        return f"an approval; whose is not known: {problem}"
    waits = []
    for entry in pending:
        who = [_approver(each) for each in entry.reviewers]
        by = f" by {' or '.join(who)}" if who else ""
        timer = f", after a timer of {entry.wait_timer} min" if entry.wait_timer else ""
        you = " (you may give it)" if entry.current_user_can_approve else ""
        waits.append(f"approval for environment {entry.environment.name}{by}{timer}{you}")
    return "; ".join(waits) or "an approval"


def _approver(entry: ApproverEntry) -> str:
    found = entry.reviewer
    if found is None:
        return "somebody"
    return f"team {found.name or found.slug}" if entry.type == "Team" else found.login
