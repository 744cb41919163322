"""Second step of the runbook's other way: GitHub's workflow deploys, and the cluster says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from ..clients.github import GithubClient, choose_token
from ..clients.threads import submit
from ..config.environment import Environment, GithubActions
from ..domain.errors import GithubProblem, ProcessProblem, UsageProblem, ZkRollbackError
from ..domain.github import PullRequest, WorkflowRun
from ..domain.item_ids import ROLLBACK
from ..domain.record import Guard, Outcome
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..github.deploy import CommitFit, Deploy
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
from ..release.source_commit import is_sha
from ..report.previous_runs import fetch_earlier
from .context import RunContext
from .lock_keeper import LockKeeper
from .lock_step import acquire_lock, unlock
from .results import ExpectedRelease, PreflightResult, RunState
from .source_commits import commit_name, git_checkout, resolve_commit

# GitHub's runners and the cluster have clocks of their own.
_LATE, _EARLY = timedelta(seconds=60), timedelta(seconds=5)
_LOOK_S, _TICK_S = 10.0, 0.05  # for the look after an interruption


def refuse_without_github(request: Request, env: Environment | None) -> None:
    """Of a run through GitHub: raises UsageProblem where the configuration does not name the repository."""
    flag = "--rollback-redeploy-main" if request.redeploy else "--rollback-to-commit"
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
    """The workflow's run that was watched, and how it ended in GitHub's words.

    ``others``: newer runs that may have deployed another commit, in words. ``fits``: how the commit that a
    revision names goes with the one that was deployed.
    """

    run: WorkflowRun
    explained: str
    others: str
    fits: Callable[[str], CommitFit]


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
        self._keeper: LockKeeper | None = None
        self.was_locked = False

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
        guards = judge_github(state, table, self._token, verified, merges=not context.request.no_merge)
        history, sha = facts.history.value, state.target_sha or state.head_sha
        if history is None or state.missing:
            return guards
        name = partial(commit_name, context.env.git, namespace=context.env.namespace)
        return (judge_commit_target(history, facts.entries, sha, name), *guards)

    def run(self, preflight: PreflightResult, before: ReleaseHistory) -> ExpectedRelease | None:
        """What has to be live now; None where nothing was deployed, which the items say.

        ``before``: the history that the preflight read. The release's lock is held from before the first
        change at GitHub until the release has been read again. Raises ClusterError or HelmProblem where what
        was deployed cannot be read, and KeyboardInterrupt if a signal came: what is live was read again then,
        or is not known.
        """
        context, lock = self._context, self._context.lock()
        acquired = acquire_lock(context, lock, before, None, preflight)
        if not isinstance(acquired, int):
            assert isinstance(acquired, Guard)  # noqa: S101 - nobody made what has no number
            self._refused(acquired)
            return None
        became: dict[str, object] = {"outcome": "not known"}
        try:
            # Who went on without the lock has none that could be taken over.
            with LockKeeper(context, lock) if lock.is_acquired else nullcontext() as self._keeper:
                expected = self._interruptible(preflight, before)
            became = {"outcome": "done"}
            if expected is not None and self._run_state.verdict(ROLLBACK) is Verdict.PASS:
                became["head_after"] = expected.head
        finally:
            unlock(context, lock, became)
        return expected

    def _interruptible(self, preflight: PreflightResult, before: ReleaseHistory) -> ExpectedRelease | None:
        """A step that is cut off is looked at by the next run."""
        try:
            with self._context.signals.raising():
                return self._deploy_and_read(preflight, before)
        except KeyboardInterrupt:
            if self.may_have_changed:
                self._look_after_interrupt(preflight, before)
            raise

    def _deploy_and_read(self, preflight: PreflightResult, before: ReleaseHistory) -> ExpectedRelease | None:
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
        # GitHub's times have no fractions of a second.
        made_now = deployed.run.created_at >= preflight.started_at.replace(microsecond=0)
        word, text = judge_deploy(
            deployed.run,
            deployed.explained,
            expected.history,
            before.head.revision.revision,
            made_now=made_now,
            others=deployed.others,
            fit=self._fit(expected.history.head, deployed),
        )
        pull = self.pull_request
        merged = f"pull request #{pull.number} is merged; " if pull is not None else ""
        self._note(word, f"{merged}{text}")
        return expected

    def _fit(self, head: Release, deployed: _Deployed) -> CommitFit:
        """How the commit that the current revision names goes with the one that was deployed."""
        context = self._context
        name = commit_name(context.env.git, head, context.env.namespace)
        checkout = git_checkout(context)
        if name is not None and not is_sha(name) and context.env.git is not None and checkout is not None:
            try:
                name = resolve_commit(context.env.git, checkout, name)
            except ProcessProblem:
                return CommitFit.UNKNOWN
        return deployed.fits(name) if name is not None and is_sha(name) else CommitFit.UNKNOWN

    def _refused(self, refusal: Guard) -> None:
        """Nothing was sent to GitHub: somebody holds the lock, or the release changed since the plan."""
        recorder, text = self._context.recorder, f"nothing was done at GitHub: {refusal.evidence}"
        recorder.add(guards=[refusal])
        recorder.update(outcome=Outcome.REFUSED)
        self._run_state.found = Outcome.REFUSED
        self.was_locked = refusal.id == "lock"
        self._note(Verdict.UNVERIFIED, text)

    def _look_after_interrupt(self, preflight: PreflightResult, before: ReleaseHistory) -> None:
        """What is live now, in the record; it stays "not known" where that cannot be told."""
        context = self._context
        look = submit("history", lambda: self._fetch_history(before))
        until_s = context.clock.monotonic_s() + _LOOK_S
        while not look.done() and context.clock.monotonic_s() < until_s and context.signals.count < 2:
            context.clock.sleep(_TICK_S)
        if not look.done() or look.exception() is not None:
            return
        after, runs = look.result(), self._log.github.runs if self._log is not None else ()
        ended = bool(runs) and all(run.status == "completed" for run in runs)
        if ended or after.head.revision.revision != before.head.revision.revision:
            self._expected(preflight, before, after)

    @property
    def pull_request(self) -> PullRequest | None:
        """The pull request that carries the rollback, as it stands."""
        return self._log.github.pull_request if self._log is not None else None

    def _api(self, patience_s: float) -> GithubClient:
        context = self._context
        return GithubClient(
            self._table,
            self._token,
            context.clock,
            patience_s=patience_s,
            say=context.display.status,
            before_change=self._require_lock,
        )

    def _require_lock(self) -> None:
        """Nothing is sent once another run has taken the release's lock over."""
        if self._keeper is None:
            return
        try:
            self._keeper.require()
        except ZkRollbackError as error:
            raise GithubProblem(str(error)) from None

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
            workflow_id=state.workflow.id,
            commit=commit,
            tree=state.target_tree,
            by_push=by_push,
            again=context.request.redeploy,
        )
        watched = deploy.run(merged_now=merged_now)
        return _Deployed(
            watched,
            deploy.explain(watched),
            deploy.others_after(watched),
            lambda name: deploy.fits(watched, name, state.target_sha or watched.head_sha),
        )

    def _note(self, word: Verdict, text: str) -> None:
        context = self._context
        self._run_state.note(ROLLBACK, word)
        context.recorder.item(ROLLBACK, verdict=word, observed=text, finished_at=context.clock.now())
        context.recorder.event(text, "zkrollback")
        context.display.changed()

    def _stop(self) -> None:
        """Nothing was deployed: the checklist has nothing to say of it."""
        self._context.recorder.close_items(lambda _: "not run: nothing was deployed, see rollback")

    def _fetch_history(self, before: ReleaseHistory) -> ReleaseHistory:
        env = self._context.env
        return fetch_history(self._context.kube, env.namespace, env.release, known=before)

    def _read_again(self, preflight: PreflightResult, before: ReleaseHistory) -> ExpectedRelease:
        """The release as it is now, in the record too. Raises ClusterError or HelmProblem."""
        return self._expected(preflight, before, self._fetch_history(before))

    def _expected(
        self, preflight: PreflightResult, before: ReleaseHistory, after: ReleaseHistory
    ) -> ExpectedRelease:
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
        self._context.recorder.update(revision_after=head.revision, target_revision=head.revision, plan=plan)
        return ExpectedRelease(after, head.revision, plan, head.revision, after, preflight.journal)


def judge_deploy(
    run: WorkflowRun,
    explained: str,
    history: ReleaseHistory,
    before: int,
    *,
    made_now: bool,
    others: str = "",
    fit: CommitFit = CommitFit.UNKNOWN,
) -> tuple[Verdict, str]:
    """What the workflow's end and Helm's history say together. A green workflow alone proves nothing.

    ``before``: Helm's head as it was read first; ``made_now``: the run is younger than that. ``others``:
    newer runs of other commits. ``fit``: how the commit that the current revision names goes with the run's.
    """
    release = history.head.revision
    name = f"the current revision is {release.revision} ({release.chart}, {release.status})"
    said = f"{run.event} run {run.url}"
    if run.status != "completed":
        waits = f": {run.pending_approval}" if run.pending_approval else ""
        return Verdict.UNVERIFIED, f"{said} is {explained}{waits}; {name}"
    if run.conclusion != "success":
        return Verdict.FAIL, f"{said} ended with {explained}; {name}"
    ended = run.finished_at or run.created_at
    from_, to = run.created_at - _EARLY, ended + _LATE
    after_it = [one for one in history.revisions if not made_now or one.revision > before]
    within = [one.revision for one in after_it if from_ <= one.deployed_at <= to]
    later = [one.revision for one in after_it if one.deployed_at > to]
    later += [number for number in history.unreadable if number > before]
    if not within:
        return Verdict.FAIL, (
            f"{said} ended with success, but it deployed nothing here: {name}, deployed "
            f"{release.deployed_at:%Y-%m-%d %H:%M:%S} UTC. Is this the release that the workflow deploys?"
        )
    if fit is CommitFit.OTHER:
        return Verdict.UNVERIFIED, (
            f"{said} ended with success, but the current revision {release.revision} ({release.chart}) names "
            "another commit than the one that it deploys"
        )
    if fit is not CommitFit.SAME:
        several = sorted([*within, *later])
        if len(several) > 1:
            numbers = ", ".join(map(str, several[:-1]))
            return Verdict.UNVERIFIED, (
                f"{said} ended with success, but revisions {numbers} and {several[-1]} came since it began: "
                f"which of them it made is not known; {name}"
            )
        if others:
            return Verdict.UNVERIFIED, f"{said} ended with success, but {others}; {name}"
    if release.status != "deployed":
        return Verdict.FAIL, f"{said} ended with success, but {name}"
    made = "Helm made revision" if release.revision != before else "Helm has its revision"
    return Verdict.PASS, f"{said} ended with success; {made} {release.revision} ({release.chart})"
