"""Second step of the runbook's other way: GitHub's workflow deploys, and the cluster says what came of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ..clients.github import GithubClient, choose_token
from ..config.environment import Environment, GithubActions
from ..domain.errors import GithubProblem, UsageProblem, ZkRollbackError
from ..domain.github import WorkflowRun
from ..domain.record import Guard
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..github.deploy import Deploy
from ..github.guards import judge_github, newest_verified, unreadable
from ..github.restore import Restore
from ..github.state import GithubState, describe, fetch_situation
from ..github.step_log import Earlier, Journal
from ..preflight.facts import ask_all
from ..preflight.target import find_objections
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory, fetch_history
from ..report.previous_runs import fetch_earlier
from .context import RunContext

# GitHub's runners and the cluster have clocks of their own.
_LATE, _EARLY = timedelta(seconds=60), timedelta(seconds=5)


def refuse_without_github(request: Request, env: Environment | None) -> None:
    """Raises UsageProblem where the configuration does not name the repository."""
    flag = "--rollback-redeploy-main" if request.redeploy else "--rollback-to-commit"
    if not request.through_github:
        return
    if env is None:
        raise UsageProblem(f"{flag} does not go with --env=drill: the drill has no GitHub; helm did not run.")
    if env.github is None:
        raise UsageProblem(
            f'{flag} needs a table [environments.{env.name}.github] with repository = "owner/name" '
            "(docs/github.md); helm did not run."
        )
    if request.no_merge and env.github.deploy != "push":
        raise UsageProblem(
            f"--rollback-no-merge does not go with --env={env.name}: it is deployed by dispatch, without a "
            "pull request; helm did not run."
        )


class GithubDeployment:
    """The preflight's part (:meth:`judge`) and the steps (:meth:`run`) of one run."""

    def __init__(self, context: RunContext) -> None:
        """Nothing is contacted before :meth:`judge`."""
        table = context.env.github
        assert table is not None  # noqa: S101 - Run.create refuses otherwise
        self._context = context
        self._table: GithubActions = table
        self._token = ""
        self._situation: GithubState | None = None

    def judge(self) -> tuple[Guard, ...]:
        """Every guard that GitHub's answers decide on; what they say is in the record."""
        context, table, commit = self._context, self._table, self._context.request.commit
        context.display.status(f"preflight: {table.repository}, workflow {table.workflow}")
        try:
            self._token = choose_token(table, context.variables)
        except UsageProblem as problem:
            return (unreadable(str(problem)),)
        api = self._api(patience_s=context.env.preflight_budget_s)
        questions = {"github": lambda: fetch_situation(api, table, commit)}
        answer = ask_all(questions, context.env.preflight_budget_s, context.clock)["github"]
        if answer.value is None:
            return (unreadable(answer.why),)
        situation: GithubState = answer.value
        self._situation = situation
        context.recorder.update(github=describe(situation, table))
        verified = None
        if table.after is not None:
            records = fetch_earlier(Path(context.request.report_dir), table.after)
            verified = newest_verified(records, table.after, table.repository, situation.good_tree)
        return judge_github(situation, table, self._token, verified)

    def run(self, before: ReleaseHistory) -> ReleaseHistory | None:
        """The release after the deploy; None where there is nothing to verify, which the items say."""
        recorder, clock = self._context.recorder, self._context.clock
        recorder.item("rollback", started_at=clock.now(), observed="GitHub is at work")
        self._context.telling.begin()
        try:
            watched, explained = self._deploy()
        except ZkRollbackError as error:
            unknown = isinstance(error, GithubProblem) and error.maybe_received
            self._note(Verdict.UNVERIFIED if unknown else Verdict.FAIL, str(error))
            github = recorder.record.github
            if github is not None and github.deploys:
                return self._read_again(before)
            self._stop()
            return None
        if watched is None:
            self._stop()
            return None
        after = self._read_again(before)
        made_now = watched.created_at > recorder.record.started_at
        word, text = judge_deploy(
            watched, explained, after.head, before.head.revision.revision, made_now=made_now
        )
        self._note(word, f"{self._told()}{text}")
        return after

    def _api(self, patience_s: float) -> GithubClient:
        context = self._context
        return GithubClient(
            self._table, self._token, context.clock, patience_s=patience_s, say=context.display.status
        )

    def _deploy(self) -> tuple[WorkflowRun | None, str]:
        """The watched run and how it ended; None where the pull request stays open."""
        context, table, situation = self._context, self._table, self._situation
        assert situation is not None and situation.workflow is not None  # noqa: S101 - guards refused else
        api = self._api(patience_s=table.run_timeout_s)
        journal = Journal(context.recorder, api.now, context.display.status, context.redactor.record)
        commit, merged_now = situation.tip_sha, False
        by_push = table.deploy == "push" and not context.request.redeploy
        if by_push:
            restore = Restore(api, table, context.clock, journal, situation)
            commit, merged_now = restore.run(merge=not context.request.no_merge), restore.merged_now
            if not commit:
                waits = journal.github.steps[-1]
                word = Verdict.UNVERIFIED if context.request.no_merge else Verdict.FAIL
                self._note(word, f"{waits.detail}: {journal.github.pull_request.url}")  # type: ignore[union-attr]
                return None, ""
        records = fetch_earlier(Path(context.request.report_dir), context.env.name)
        deploy = Deploy(
            api,
            table,
            context.clock,
            journal,
            Earlier(records, context.recorder.record, commit),
            workflow_id=int(situation.workflow["id"]),
            commit=commit,
            tree=situation.good_tree,
            by_push=by_push,
            again=context.request.redeploy,
        )
        watched = deploy.run(merged_now=merged_now)
        return watched, deploy.explain(watched)

    def _note(self, word: Verdict, text: str) -> None:
        context = self._context
        context.recorder.item("rollback", verdict=word, observed=text, finished_at=context.clock.now())
        context.recorder.event(text, "zkrollback")
        context.display.changed()

    def _stop(self) -> None:
        """Nothing was deployed: the checklist has nothing to say of it."""
        recorder, now = self._context.recorder, self._context.clock.now()
        for item in recorder.record.items:
            if item.verdict is None:
                text = "not run: nothing was deployed, see rollback"
                recorder.item(item.id, verdict=Verdict.UNVERIFIED, observed=text, finished_at=now)

    def _told(self) -> str:
        github = self._context.recorder.record.github
        pull = github.pull_request if github is not None else None
        return f"pull request #{pull.number} is merged; " if pull is not None else ""

    def _read_again(self, before: ReleaseHistory) -> ReleaseHistory:
        """The release as it is now, in the record too. Raises ClusterError or HelmProblem."""
        context = self._context
        after = fetch_history(context.kube, context.env.namespace, context.env.release)
        head, old = after.head.revision, before.head.revision
        plan = context.recorder.record.plan
        left = old if head.revision != old.revision else plan.compared_with
        context.recorder.update(
            revision_after=head.revision,
            target_revision=head.revision,
            plan=plan.model_copy(
                update={
                    "target": head,
                    "compared_with": left,
                    "rolled_back_from": left,
                    "history": after.revisions,
                    "objections": find_objections(after),
                }
            ),
        )
        return after


def judge_deploy(
    run: WorkflowRun, explained: str, head: Release, before: int, *, made_now: bool
) -> tuple[Verdict, str]:
    """What the workflow's end and Helm's history say together. A green workflow alone proves nothing.

    ``before``: Helm's head as it was read first; ``made_now``: the run is younger than that.
    """
    release = head.revision
    name = f"Helm's head is revision {release.revision} ({release.chart}, {release.status})"
    said = f"{run.event} run {run.url}"
    if run.status != "completed":
        waits = f": {run.pending_approval}" if run.pending_approval else ""
        return Verdict.UNVERIFIED, f"{said} is {explained}{waits}; {name}"
    if run.conclusion != "success":
        return Verdict.FAIL, f"{said} ended with {explained}; {name}"
    ended = run.finished_at or run.created_at
    within = run.created_at - _EARLY <= release.deployed_at <= ended + _LATE
    if not within or (made_now and release.revision == before):
        return Verdict.FAIL, (
            f"{said} ended with success, but it deployed nothing here: {name}, deployed "
            f"{release.deployed_at:%Y-%m-%d %H:%M:%S} UTC. Is this the release that the workflow deploys?"
        )
    if release.status != "deployed":
        return Verdict.FAIL, f"{said} ended with success, but {name}"
    made = "Helm made revision" if release.revision != before else "Helm has its revision"
    return Verdict.PASS, f"{said} ended with success; {made} {release.revision} ({release.chart})"
