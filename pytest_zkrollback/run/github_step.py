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

    def __init__(self, scene: RunContext) -> None:
        """Nothing is contacted before :meth:`judge`."""
        table = scene.env.github
        assert table is not None  # noqa: S101 - Run.create refuses otherwise
        self._scene = scene
        self._table: GithubActions = table
        self._token = ""
        self._situation: GithubState | None = None

    def judge(self) -> tuple[Guard, ...]:
        """Every guard that GitHub's answers decide on; what they say is in the record."""
        scene, table, commit = self._scene, self._table, self._scene.request.commit
        scene.display.status(f"preflight: {table.repository}, workflow {table.workflow}")
        try:
            self._token = choose_token(table, scene.variables)
        except UsageProblem as problem:
            return (unreadable(str(problem)),)
        api = self._api(patience_s=scene.env.preflight_budget_s)
        questions = {"github": lambda: fetch_situation(api, table, commit)}
        answer = ask_all(questions, scene.env.preflight_budget_s, scene.clock)["github"]
        if answer.value is None:
            return (unreadable(answer.why),)
        situation: GithubState = answer.value
        self._situation = situation
        scene.scribe.update(github=describe(situation, table))
        verified = None
        if table.after is not None:
            records = fetch_earlier(Path(scene.request.report_dir), table.after)
            verified = newest_verified(records, table.after, table.repository, situation.good_tree)
        return judge_github(situation, table, self._token, verified)

    def run(self, before: ReleaseHistory) -> ReleaseHistory | None:
        """The release after the deploy; None where there is nothing to verify, which the items say."""
        scribe, clock = self._scene.scribe, self._scene.clock
        scribe.item("rollback", started_at=clock.now(), observed="GitHub is at work")
        self._scene.telling.begin()
        try:
            watched, explained = self._deploy()
        except ZkRollbackError as error:
            unknown = isinstance(error, GithubProblem) and error.maybe_received
            self._note(Verdict.UNVERIFIED if unknown else Verdict.FAIL, str(error))
            github = scribe.record.github
            if github is not None and github.deploys:
                return self._read_again(before)
            self._stop()
            return None
        if watched is None:
            self._stop()
            return None
        after = self._read_again(before)
        made_now = watched.created_at > scribe.record.started_at
        word, text = judge_deploy(
            watched, explained, after.head, before.head.revision.revision, made_now=made_now
        )
        self._note(word, f"{self._told()}{text}")
        return after

    def _api(self, patience_s: float) -> GithubClient:
        scene = self._scene
        return GithubClient(
            self._table, self._token, scene.clock, patience_s=patience_s, say=scene.display.status
        )

    def _deploy(self) -> tuple[WorkflowRun | None, str]:
        """The watched run and how it ended; None where the pull request stays open."""
        scene, table, situation = self._scene, self._table, self._situation
        assert situation is not None and situation.workflow is not None  # noqa: S101 - guards refused else
        api = self._api(patience_s=table.run_timeout_s)
        journal = Journal(scene.scribe, api.now, scene.display.status, scene.redactor.record)
        commit, merged_now = situation.tip_sha, False
        by_push = table.deploy == "push" and not scene.request.redeploy
        if by_push:
            restore = Restore(api, table, scene.clock, journal, situation)
            commit, merged_now = restore.run(merge=not scene.request.no_merge), restore.merged_now
            if not commit:
                waits = journal.github.steps[-1]
                word = Verdict.UNVERIFIED if scene.request.no_merge else Verdict.FAIL
                self._note(word, f"{waits.detail}: {journal.github.pull_request.url}")  # type: ignore[union-attr]
                return None, ""
        records = fetch_earlier(Path(scene.request.report_dir), scene.env.name)
        deploy = Deploy(
            api,
            table,
            scene.clock,
            journal,
            Earlier(records, scene.scribe.record, commit),
            workflow_id=int(situation.workflow["id"]),
            commit=commit,
            tree=situation.good_tree,
            by_push=by_push,
            again=scene.request.redeploy,
        )
        watched = deploy.run(merged_now=merged_now)
        return watched, deploy.explain(watched)

    def _note(self, word: Verdict, text: str) -> None:
        scene = self._scene
        scene.scribe.item("rollback", verdict=word, observed=text, finished_at=scene.clock.now())
        scene.scribe.event(text, "zkrollback")
        scene.display.changed()

    def _stop(self) -> None:
        """Nothing was deployed: the checklist has nothing to say of it."""
        scribe, now = self._scene.scribe, self._scene.clock.now()
        for item in scribe.record.items:
            if item.verdict is None:
                text = "not run: nothing was deployed, see rollback"
                scribe.item(item.id, verdict=Verdict.UNVERIFIED, observed=text, finished_at=now)

    def _told(self) -> str:
        github = self._scene.scribe.record.github
        pull = github.pull_request if github is not None else None
        return f"pull request #{pull.number} is merged; " if pull is not None else ""

    def _read_again(self, before: ReleaseHistory) -> ReleaseHistory:
        """The release as it is now, in the record too. Raises ClusterError or HelmProblem."""
        scene = self._scene
        after = fetch_history(scene.kube, scene.env.namespace, scene.env.release)
        head, old = after.head.revision, before.head.revision
        plan = scene.scribe.record.plan
        left = old if head.revision != old.revision else plan.compared_with
        scene.scribe.update(
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
