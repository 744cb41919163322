"""The commits that the bad revision brought, for the report: asked in a thread, once the verdict is there."""

from __future__ import annotations

from concurrent.futures import Future

from ..clients.threads import submit
from ..domain.commit_range import CommitRange
from ..domain.errors import ProcessProblem
from ..domain.record import Plan
from ..release.history import ReleaseHistory
from .context import RunContext
from .source_commits import commit_name, git_checkout, resolve_commit

# More are counted, not listed.
MOST = 50
# How long the run's end waits for git; nothing else does.
PATIENCE_S = 2.0


class CommitsQuestion:
    """One question to the checkout, which a thread answers; nobody waits for it but :meth:`answer`."""

    def __init__(self, context: RunContext, history: ReleaseHistory, plan: Plan) -> None:
        """Ask, where a checkout is configured and there are two revisions to compare."""
        self._asked: Future[CommitRange] | None = None
        good, bad = plan.target, plan.compared_with
        if context.env.git is None or good is None or bad is None:
            return
        if plan.rolled_back_from is None and good.revision > bad.revision:  # nothing was rolled back
            good, bad = bad, good
        self._unknown = CommitRange(good_revision=good.revision, bad_revision=bad.revision)
        self._asked = submit("commits", lambda: fetch_commits(context, history, self._unknown))

    def answer(self) -> CommitRange | None:
        """What git said; why not, where it did not in time; None: it was not asked."""
        if self._asked is None:
            return None
        try:
            problem = self._asked.exception(PATIENCE_S)
        except TimeoutError:
            problem = ProcessProblem(f"git did not answer within {PATIENCE_S:g} s after the verdict.")
        if problem is None:
            return self._asked.result()
        said = str(problem) if isinstance(problem, ProcessProblem) else f"{type(problem).__name__}: {problem}"
        return self._unknown.model_copy(update={"problem": said})


def fetch_commits(context: RunContext, history: ReleaseHistory, between: CommitRange) -> CommitRange:
    """The same with its commits. Raises ProcessProblem with why they are not known."""
    git, checkout = context.env.git, git_checkout(context)
    if git is None or checkout is None:
        raise ProcessProblem("No git checkout is configured.")
    full = []
    for number in (between.good_revision, between.bad_revision):
        release = history.content_of(number)
        name = commit_name(git, release, context.env.namespace) if release is not None else None
        if name is None:
            raise ProcessProblem(f"What revision {number} says of its images and versions names no commit.")
        full.append(resolve_commit(git, checkout, name))
    good, bad = full
    commits = checkout.list_commits(good, bad, MOST)
    count = len(commits) if len(commits) < MOST else checkout.count_commits(good, bad)
    if checkout.is_shallow and not checkout.contains(bad, good):
        raise ProcessProblem("The git checkout is shallow: it does not hold all commits in between.")
    return between.model_copy(update={"good": good, "bad": bad, "count": count, "commits": commits})
