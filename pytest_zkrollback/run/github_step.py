"""Second step of the runbook's other way: GitHub's workflow deploys, and the cluster says what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from ..clients.github import GithubClient, choose_token
from ..config.environment import Environment, GithubActions
from ..domain.errors import GithubProblem, UsageProblem, ZkRollbackError
from ..domain.github import PullRequest, WorkflowRun
from ..domain.item_ids import ROLLBACK
from ..domain.record import Guard
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..github.deploy import Deploy
from ..github.guards import judge_github, newest_verified, unreadable
from ..github.restore import Restore
from ..github.state import GithubState, describe, fetch_github_state
from ..github.step_log import Earlier, Journal
from ..preflight.facts import ask_all
from ..preflight.guards.release import judge_commit_target
from ..preflight.probe import Facts
from ..preflight.target import describe_history
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory, fetch_history
from ..report.previous_runs import fetch_earlier
from .context import RunContext
from .results import ExpectedRelease, PreflightResult, RunState
from .source_commits import commit_name

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


@dataclass(frozen=True)
class _Deployed:
    """The workflow's run that was watched, and how it ended in GitHub's words."""

    run: WorkflowRun
    explained: str


class GithubDeployment:
    """The preflight's part (:meth:`judge`) and the steps (:meth:`run`) of one run."""

    def __init__(self, context: RunContext, state: RunState) -> None:
        """Nothing is contacted before :meth:`judge`."""
        table = context.env.github
        assert table is not None  # noqa: S101 - Run.create refuses otherwise
        self._context = context
        self._table: GithubActions = table
        self._run_state = state
        self._token = ""
        self._state: GithubState | None = None
        self._log: Journal | None = None

    @property
    def may_have_changed(self) -> bool:
        """Whether something may have been deployed; true also after an exception."""
        return self._log is not None and self._log.github.deploys

    def judge(self, facts: Facts) -> tuple[Guard, ...]:
        """Every guard that GitHub's answers decide on; what they say is in the record.

        ``facts``: what the cluster says.
        """
        context, table, commit = self._context, self._table, self._context.request.commit
        context.display.status(f"preflight: {table.repository}, workflow {table.workflow}")
        try:
            self._token = choose_token(table, context.variables)
        except UsageProblem as problem:
            return (unreadable(str(problem)),)
        api = self._api(patience_s=context.env.preflight_budget_s)
        questions = {"github": lambda: fetch_github_state(api, table, commit)}
        answer = ask_all(questions, context.env.preflight_budget_s, context.clock)["github"]
        if answer.value is None:
            return (unreadable(answer.why),)
        state: GithubState = answer.value
        self._state = state
        context.recorder.update(github=describe(state, table))
        verified = None
        if table.after is not None:
            records = fetch_earlier(Path(context.request.report_dir), table.after)
            verified = newest_verified(records, table.after, table.repository, state.target_tree)
        guards = judge_github(state, table, self._token, verified)
        history, sha = facts.history.value, state.target_sha or state.head_sha
        if history is None or state.missing:
            return guards
        name = partial(commit_name, context.env.git, namespace=context.env.namespace)
        return (judge_commit_target(history, facts.entries, sha, name), *guards)

    def run(self, preflight: PreflightResult, before: ReleaseHistory) -> ExpectedRelease | None:
        """What has to be live now; None where nothing was deployed, which the items say.

        ``before``: the history that the preflight read. Raises ClusterError or HelmProblem where what was
        deployed cannot be read.
        """
        recorder, clock = self._context.recorder, self._context.clock
        recorder.item(ROLLBACK, started_at=clock.now(), observed="GitHub is at work")
        self._context.notifier.notify_started()
        try:
            deployed = self._deploy()
        except ZkRollbackError as error:
            unknown = isinstance(error, GithubProblem) and error.maybe_received
            self._note(Verdict.UNVERIFIED if unknown else Verdict.FAIL, str(error))
            if self.may_have_changed:
                return self._read_again(preflight, before)
            self._stop()
            return None
        if deployed is None:
            self._stop()
            return None
        expected = self._read_again(preflight, before)
        made_now = deployed.run.created_at > preflight.started_at
        head = expected.history.head
        word, text = judge_deploy(
            deployed.run, deployed.explained, head, before.head.revision.revision, made_now=made_now
        )
        pull = self.pull_request
        merged = f"pull request #{pull.number} is merged; " if pull is not None else ""
        self._note(word, f"{merged}{text}")
        return expected

    @property
    def pull_request(self) -> PullRequest | None:
        """The pull request that carries the rollback, as it stands."""
        return self._log.github.pull_request if self._log is not None else None

    def _api(self, patience_s: float) -> GithubClient:
        context = self._context
        return GithubClient(
            self._table, self._token, context.clock, patience_s=patience_s, say=context.display.status
        )

    def _deploy(self) -> _Deployed | None:
        """The watched run and how it ended; None where the pull request stays open."""
        context, table, state = self._context, self._table, self._state
        assert state is not None and state.workflow is not None  # noqa: S101 - guards refused else
        api = self._api(patience_s=table.run_timeout_s)
        journal = Journal(context.recorder, describe(state, table), api.now, context.display.status)
        self._log = journal
        commit, merged_now = state.head_sha, False
        by_push = table.deploy == "push" and not context.request.redeploy
        if by_push:
            restore = Restore(api, table, context.clock, journal, state)
            commit, merged_now = restore.run(merge=not context.request.no_merge), restore.merged_now
            if not commit:
                waits = journal.github.steps[-1]
                word = Verdict.UNVERIFIED if context.request.no_merge else Verdict.FAIL
                self._note(word, f"{waits.detail}: {journal.github.pull_request.url}")  # type: ignore[union-attr]
                return None
        records = fetch_earlier(Path(context.request.report_dir), context.env.name)
        earlier = [each for each in records if each.run_id != context.run_id]
        deploy = Deploy(
            api,
            table,
            context.clock,
            journal,
            Earlier(earlier, context.env.name, table.repository, commit),
            workflow_id=int(state.workflow["id"]),
            commit=commit,
            tree=state.target_tree,
            by_push=by_push,
            again=context.request.redeploy,
        )
        watched = deploy.run(merged_now=merged_now)
        return _Deployed(watched, deploy.explain(watched))

    def _note(self, word: Verdict, text: str) -> None:
        context = self._context
        self._run_state.note(ROLLBACK, word)
        context.recorder.item(ROLLBACK, verdict=word, observed=text, finished_at=context.clock.now())
        context.recorder.event(text, "zkrollback")
        context.display.changed()

    def _stop(self) -> None:
        """Nothing was deployed: the checklist has nothing to say of it."""
        self._context.recorder.close_items(lambda _: "not run: nothing was deployed, see rollback")

    def _read_again(self, preflight: PreflightResult, before: ReleaseHistory) -> ExpectedRelease:
        """The release as it is now, in the record too. Raises ClusterError or HelmProblem."""
        context = self._context
        after = fetch_history(context.kube, context.env.namespace, context.env.release)
        head, old = after.head.revision, before.head.revision
        left = old if head.revision != old.revision else preflight.plan.compared_with
        plan = preflight.plan.model_copy(
            update={
                "target": head,
                "compared_with": left,
                "rolled_back_from": left,
                **describe_history(after, preflight.journal),
            }
        )
        context.recorder.update(revision_after=head.revision, target_revision=head.revision, plan=plan)
        return ExpectedRelease(after, head.revision, plan, head.revision, after, preflight.journal)


def judge_deploy(
    run: WorkflowRun, explained: str, head: Release, before: int, *, made_now: bool
) -> tuple[Verdict, str]:
    """What the workflow's end and Helm's history say together. A green workflow alone proves nothing.

    ``before``: Helm's head as it was read first; ``made_now``: the run is younger than that.
    """
    release = head.revision
    name = f"the current revision is {release.revision} ({release.chart}, {release.status})"
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
