"""Finds out, beside the verification, what could bring back the version that was rolled back from."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..clients.github import GithubClient, choose_token
from ..clients.threads import start_thread
from ..domain.checks import JsonObject
from ..domain.errors import ClusterError, ZkRollbackError
from ..domain.github import PullRequest
from ..engine.cluster_watch import NamespaceWatches
from ..github.state import choose_workflow, fetch_runs, fetch_workflows
from ..release.gitops import GitOpsOwner, fetch_suspended_reason, find_owners
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory
from ..release.manifest import release_of
from ..rollback.redeploy_risks import Branch, QueuedDeploy, judge_redeploy_risks
from .context import RunContext
from .results import ExpectedRelease, RunState
from .source_commits import commit_name, git_checkout, resolve_commit

# Of the newest runs; a deploy that still waits is among them.
_LOOKED_AT = "20"
_SEEN_S = 3.0
_TICK_S = 0.1


@dataclass(frozen=True)
class _Found:
    """What git, GitHub and the cluster said; before they are asked, nothing."""

    branch: Branch = field(default_factory=Branch)
    owners: tuple[GitOpsOwner, ...] = ()
    queued: tuple[QueuedDeploy, ...] = ()


class RedeployRisks:
    """Asks in a thread of its own; says it in the record while the target stands verified, and only then."""

    def __init__(
        self,
        context: RunContext,
        release: ExpectedRelease,
        state: RunState,
        watch: NamespaceWatches,
        pull_request: PullRequest | None = None,
    ) -> None:
        """``pull_request``: the one that carries the rollback. Nothing is asked yet."""
        self._context, self._release, self._state, self._watch = context, release, state, watch
        self._pull_request = pull_request
        self._lock = threading.Lock()
        self._found = _Found()
        self._said: tuple[str, ...] = ()

    def begin(self) -> None:
        """Ask; returns at once."""
        start_thread("redeploy-risks", self._guarded)

    def note(self) -> None:
        """Write down what is known by now, or nothing where it may not be said; called at each verdict."""
        with self._lock:
            said: tuple[str, ...] = ()
            if self._state.stands_verified():
                said = judge_redeploy_risks(
                    self._release.plan,
                    through_github=self._context.request.through_github,
                    pull_request=self._pull_request,
                    branch=self._found.branch,
                    owners=self._found.owners,
                    queued=self._found.queued,
                )
            if said != self._said:
                self._said = said
                self._context.recorder.update(redeploy_risks=said)

    def _guarded(self) -> None:
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001 - no verdict depends on it, and what was known at once stands
            text = f"what could bring it back was not found out: {type(error).__name__}: {error}"
            self._context.recorder.event(text, "zkrollback")

    def _ask(self) -> None:
        context, history, left = self._context, self._release.history, self._release.plan.rolled_back_from
        if left is None:
            return
        found = _Found(
            branch=_branch(context, history.get(left.revision)),
            queued=_queued(context),
            owners=_owners(context, history, self._watch),
        )
        with self._lock:
            self._found = found
        self.note()


def _branch(context: RunContext, left: Release | None) -> Branch:
    git, github = context.env.git, context.env.github
    name = git.branch if git is not None else github.branch if github is not None else "main"
    checkout = git_checkout(context)
    if git is None or checkout is None:
        return Branch(name)
    commit = commit_name(git, left, context.env.namespace) if left is not None else None
    if commit is None:
        return Branch(name, why="its tags and versions name no commit")
    try:
        return Branch(name, checkout.on_branch(resolve_commit(git, checkout, commit), git.branch))
    except ZkRollbackError as problem:
        return Branch(name, why=str(problem).rstrip("."))


def _owners(context: RunContext, history: ReleaseHistory, watch: NamespaceWatches) -> tuple[GitOpsOwner, ...]:
    """Those that show on the workloads, which are watched anyway."""
    for _ in range(round(_SEEN_S / _TICK_S)):
        seen = [snapshot.objects for each in watch.namespaces if (snapshot := watch.snapshot(each)).objects]
        if seen:
            break
        context.clock.sleep(_TICK_S)
    else:
        return ()
    objects: list[JsonObject] = [
        item
        for objects in seen
        for name in ("deployments", "statefulsets", "daemonsets")
        for item in objects.get(name, ())
    ]
    ours = [item for item in objects if release_of(item)[0] == context.env.release]
    found = find_owners(ours, history.head.manager)
    try:
        return tuple(fetch_suspended_reason(context.kube, owner) for owner in found)
    except ClusterError:
        return tuple(found)


def _queued(context: RunContext) -> tuple[QueuedDeploy, ...]:
    """Runs of the deploy workflow that have not ended; none where GitHub is not asked or does not say."""
    table = context.env.github
    if table is None or context.request.through_github:
        return ()
    try:
        token = choose_token(table, context.variables)
        api = GithubClient(table, token, context.clock, patience_s=0, say=context.display.status)
        workflow = choose_workflow(fetch_workflows(api), table.workflow)
        if workflow is None:
            return ()
        runs = fetch_runs(api, workflow.id, {"branch": table.branch, "per_page": _LOOKED_AT})
        return tuple(
            QueuedDeploy(
                url=run.html_url, status=(run.status or "queued").replace("_", " "), sha=run.head_sha
            )
            for run in runs
            if run.status != "completed"
        )
    except ZkRollbackError:
        return ()  # not told is not known; the commit that was rolled back is named all the same
