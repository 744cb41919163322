"""The workflow's run that deploys: found, or dispatched once, and watched to its end."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from ..config.environment import GithubActions
from ..domain.checks import JsonObject
from ..domain.errors import GithubProblem
from ..domain.github import WorkflowRun
from ..domain.github_answers import Comparison, DispatchAnswer, GitCommit, RunAnswer
from ..domain.ports import Clock, GithubApi
from .state import fetch_runs
from .step_log import DONE, FAILED, FOUND, WAITING, Earlier, Journal
from .texts import short
from .workflow_runs import describe_run

INTENT = "zkrollback-"


class CommitFit(Enum):
    """How the commit that a revision names goes with the commit that was deployed."""

    SAME = "same"
    BEHIND = "behind"
    OTHER = "other"
    UNKNOWN = "unknown"


class Deploy:
    """Deploys ``commit``, the branch's tip, to one environment.

    ``by_push``: the merge's own run is expected. ``again``: a run that an earlier command brought to its end
    does not count (redeploying the tip).
    """

    def __init__(
        self,
        api: GithubApi,
        table: GithubActions,
        clock: Clock,
        journal: Journal,
        earlier: Earlier,
        *,
        workflow_id: int,
        commit: str,
        tree: str,
        by_push: bool,
        again: bool,
    ) -> None:
        """Nothing is changed before :meth:`run`."""
        self._api = api
        self._table = table
        self._clock = clock
        self._journal = journal
        self._earlier = earlier
        self._workflow_id = workflow_id
        self._commit = commit
        self._tree = tree
        self._by_push = by_push
        self._again = again

    @property
    def intent(self) -> str:
        """What ties a dispatched run to this deploy, wherever the workflow shows it in the run's name."""
        return f"{INTENT}{self._journal.record.environment}-{short(self._commit)}"

    def run(self, *, merged_now: bool) -> WorkflowRun:
        """The run as last seen; ``completed`` unless the deadline passed. Raises GithubProblem."""
        run_id = self._find(merged_now=merged_now)
        if run_id is None:
            run_id = self._dispatch()
        watched = self._watch(run_id)
        self._look_at_commit(watched)
        return watched

    def _find(self, *, merged_now: bool) -> int | None:
        """A run that deploys this, or that deployed it; a failed one of an earlier command is over."""
        self._journal.begin("run", f"looking for the run that deploys {short(self._commit)}")
        deadline_s = self._clock.monotonic_s() + (self._table.start_timeout_s if self._by_push else 0)
        while True:
            runs = [run for run in self._runs() if self._is_ours(run)]
            newest = max(runs, key=lambda run: (run.created_at, run.id), default=None)
            if newest is not None and (
                merged_now or newest.status != "completed" or newest.conclusion == "success"
            ):
                self._journal.end(FOUND, f"{newest.event} run {newest.id} found", newest.html_url)
                return newest.id
            if newest is not None:
                over = f"run {newest.id} ended before this command: {newest.conclusion}"
                self._journal.end(DONE, f"{over}; the workflow is run again", newest.html_url)
                return None
            if self._clock.monotonic_s() >= deadline_s:
                self._journal.end(DONE, self._none_found())
                return None
            self._clock.sleep(self._table.poll_s)

    def _none_found(self) -> str:
        if not self._by_push:
            return "no run deploys it yet"
        return (
            f"no push run began within {self._table.start_timeout_s:g} s (a merge made with GITHUB_TOKEN "
            "starts none, nor one that the workflow's paths leave out): the workflow is run by hand"
        )

    def _runs(self) -> tuple[RunAnswer, ...]:
        query = {"head_sha": self._commit, "branch": self._table.branch, "per_page": "100"}
        return fetch_runs(self._api, self._workflow_id, query)

    def _is_ours(self, run: RunAnswer) -> bool:
        if run.event == "push":
            return self._by_push
        if run.event != "workflow_dispatch":
            return False
        if self._again and self._earlier.concluded(run.id):
            return False
        if self._earlier.watched(run.id):
            return True
        title, cut_off = run.display_title, self._earlier.may_have_sent(run.created_at)
        if INTENT not in title:
            return cut_off
        return self.intent in title and (cut_off or not (self._again and run.status == "completed"))

    def _dispatch(self) -> int:
        """Run the workflow, once; with an unknown end, GitHub is looked at and nothing is sent again."""
        known = {run.id for run in self._dispatched()}
        environment = self._journal.record.environment
        inputs = {
            key: value.replace("{environment}", environment).replace("{intent}", self.intent)
            for key, value in self._table.inputs.items()
        }
        self._journal.begin("dispatch", f"running the workflow for {self._commit}")
        began = self._api.now()
        body = {"ref": self._table.branch, "inputs": inputs, "return_run_details": True}
        try:
            answer = self._send(body)
        except GithubProblem as problem:
            if not problem.maybe_received:
                self._journal.end(FAILED, f"the workflow was not run: {problem}")
                raise
            answer = None
        if answer and answer.workflow_run_id:
            run_id, url = answer.workflow_run_id, answer.html_url or ""
        else:
            found = self._await_new(known, began)
            run_id, url = found.id, found.html_url
        self._journal.end(DONE, f"workflow dispatched for {self._commit}: run {run_id}", url)
        return run_id

    def _send(self, body: JsonObject) -> DispatchAnswer:
        """Its answer; an older server's names no run."""
        path = f"actions/workflows/{self._workflow_id}/dispatches"
        try:
            return self._api.send("POST", path, body, DispatchAnswer)
        except GithubProblem as problem:
            if problem.status != 422 or "return_run_details" not in problem.said:
                raise
        plain = {key: value for key, value in body.items() if key != "return_run_details"}
        return self._api.send("POST", path, plain, DispatchAnswer)

    def _dispatched(self) -> tuple[RunAnswer, ...]:
        query = {"event": "workflow_dispatch", "branch": self._table.branch, "per_page": "50"}
        return fetch_runs(self._api, self._workflow_id, query)

    def _await_new(self, known: set[int], began: datetime) -> RunAnswer:
        """The run that our dispatch made."""
        deadline_s = self._clock.monotonic_s() + self._table.start_timeout_s
        while True:
            new = [
                run
                for run in self._dispatched()
                if run.id not in known and (run.created_at - began).total_seconds() >= -5
            ]
            named = [run for run in new if self.intent in run.display_title]
            if named or new:
                return min(named or new, key=lambda run: run.id)
            if self._clock.monotonic_s() >= deadline_s:
                break
            self._clock.sleep(self._table.poll_s)
        # The step stays `begun`: the next run of this tool knows that there may be one.
        raise GithubProblem(
            "GitHub was asked to run the workflow, and no run was seen within "
            f"{self._table.start_timeout_s:g} s: look under Actions. The same command looks again before it "
            "sends anything.",
            maybe_received=True,
        )

    def _watch(self, run_id: int) -> WorkflowRun:
        """Until it ends, or the deadline passes."""
        self._journal.begin("run", f"watching run {run_id}")
        deadline_s = self._clock.monotonic_s() + self._table.run_timeout_s
        seen: WorkflowRun | None = None
        while True:
            try:
                seen = describe_run(self._api, run_id)
            except GithubProblem as problem:
                if 0 < problem.status < 500 or self._clock.monotonic_s() > deadline_s:
                    raise
                self._journal.end(WAITING, f"run {run_id} is not visible now: {problem}")
            else:
                self._journal.run(seen)
                if seen.status == "completed":
                    state = DONE if seen.conclusion == "success" else FAILED
                    self._journal.end(state, f"run {run_id} ended: {self.explain(seen)}", seen.url)
                    return seen
                waits = f": {seen.pending_approval}" if seen.pending_approval else ""
                self._journal.end(WAITING, f"run {run_id} is {seen.status}{waits}", seen.url)
                if self._clock.monotonic_s() > deadline_s:
                    return seen
            self._clock.sleep(self._table.poll_s)

    def explain(self, run: WorkflowRun) -> str:
        """How it ended, with the job and step that failed, or the newer run that stands in its place."""
        if run.status != "completed":
            return f"still {run.status} after {self._table.run_timeout_s:g} s"
        if run.conclusion == "success":
            return "success"
        failed = [
            f"{job.name}{f' (step {job.failed_step})' if job.failed_step else ''}: {job.conclusion}"
            for job in run.jobs
            if job.conclusion not in ("", "success", "skipped", "neutral")
        ]
        text = "; ".join([run.conclusion, *failed])
        if run.conclusion != "cancelled":
            return text
        try:
            newer = self._newer_than(run)
        except GithubProblem:
            return text
        if not newer:
            return f"{text}; no newer run stands in its place"
        first = min(newer, key=lambda each: each.id)
        return (
            f"{text}; the newer run {first.html_url} ({first.event}, commit "
            f"{short(first.head_sha)}) most likely took its place in the concurrency group"
        )

    def _newer_than(self, run: WorkflowRun) -> list[RunAnswer]:
        runs = fetch_runs(self._api, self._workflow_id, {"branch": self._table.branch, "per_page": "20"})
        return [each for each in runs if each.id > run.id]

    def others_after(self, run: WorkflowRun) -> str:
        """Newer runs that may have deployed another commit, in words; empty: there is none."""
        try:
            newer = self._newer_than(run)
        except GithubProblem as problem:
            return f"whether a newer run deploys is not known: {problem}"
        others = [
            f"{each.html_url} (commit {short(each.head_sha)})"
            for each in newer
            if each.head_sha != run.head_sha and each.conclusion != "skipped"
        ]
        return f"a newer run of the workflow deploys another commit: {', '.join(others)}" if others else ""

    def fits(self, run: WorkflowRun, name: str, good: str) -> CommitFit:
        """How the commit ``name``, of which a revision was made, goes with what ``run`` deploys.

        A pipeline may name a part by the commit that changed it last: then it is behind ``good``.
        """
        if run.head_sha.startswith(name.lower()):
            return CommitFit.SAME
        try:
            status = self._api.get(f"compare/{name}...{good}", Comparison, {"per_page": "1"}).status
        except GithubProblem:
            return CommitFit.UNKNOWN
        return CommitFit.BEHIND if status in ("ahead", "identical") else CommitFit.OTHER

    def _look_at_commit(self, run: WorkflowRun) -> None:
        """The branch may have moved between the plan and the dispatch: what counts is what was deployed."""
        if run.head_sha == self._commit:
            return
        if self._api.get(f"git/commits/{run.head_sha}", GitCommit).tree.sha == self._tree:
            return
        raise GithubProblem(
            f"The run {run.url} deploys {short(run.head_sha)}, which came onto {self._table.branch} since "
            f"the plan, and not the tree of {short(self._commit)}."
        )
