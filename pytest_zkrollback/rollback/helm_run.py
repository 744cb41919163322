"""helm, once: start it, never interrupt it, and afterwards find out what is true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..clients.helm import shorten
from ..clients.threads import start_thread
from ..domain.errors import ZkRollbackError
from ..domain.verdict import CheckResult, Evidence, Verdict, evidence
from ..report.failures import listed
from .helm_errors import explain_failure

if TYPE_CHECKING:
    from ..clients.helm import HelmCli
    from ..domain.ports import Finished
    from ..domain.record import Revision
    from ..release.helm_secret import Release
    from ..release.history import ReleaseHistory


class HelmRun:
    """One ``helm rollback`` in a daemon thread; a second :meth:`start` is a bug and refused."""

    def __init__(self, helm: HelmCli, argv: Sequence[str], *, timeout_s: float) -> None:
        """``timeout_s`` is helm's own --timeout; nothing is started yet."""
        self._helm = helm
        self._argv = list(argv)
        self._timeout_s = timeout_s
        self._done = threading.Event()
        self._begun = threading.Event()
        self._started = False
        self.pid: int | None = None
        self.finished: Finished | None = None
        self.error: ZkRollbackError | None = None

    def start(self) -> None:
        """Start helm. Raises RuntimeError on a second call."""
        if self._started:
            raise RuntimeError("helm was already started by this run")
        self._started = True
        start_thread("helm-rollback", self._run)

    def wait_begun(self, timeout_s: float) -> None:
        """Until the process is there, or could not be started; after ``timeout_s`` seconds in any case."""
        self._begun.wait(timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Whether helm has ended, after at most ``timeout_s`` seconds."""
        return self._done.wait(timeout_s)

    def _run(self) -> None:
        try:
            self.finished = self._helm.run_rollback(
                self._argv, timeout_s=self._timeout_s, on_start=self._note_pid
            )
        except ZkRollbackError as error:
            self.error = error
        finally:
            self._done.set()
            self._begun.set()

    def _note_pid(self, pid: int) -> None:
        self.pid = pid
        self._begun.set()


@dataclass(frozen=True)
class JudgedRollback:
    """The verdict on the rollback, and what it was made from.

    ``history``: as it was read after helm; None: it could not be read. ``came_between``: revisions that
    somebody else made between our last look and our helm, which therefore left them, too. ``beside``: other
    revisions on which another helm may be at work, or which helm calls deployed beside ours.
    """

    result: CheckResult
    history: ReleaseHistory | None = None
    came_between: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()


def judge_rollback(
    run: HelmRun,
    target: int,
    before: int,
    fetch: Callable[[], ReleaseHistory],
    is_at_work: Callable[[Release], bool] = lambda _: False,
) -> JudgedRollback:
    """The verdict on the rollback, from the release as it is now; helm's own word is a hint.

    ``before``: the newest revision when we looked last; ours has to be the next one. ``is_at_work`` tells of
    a revision under way whether its helm may still live.
    """
    proof = _helm_evidence(run)
    if run.error is not None:
        text = f"helm did not start: {run.error}"
        return JudgedRollback(CheckResult(word=Verdict.FAIL, observed=text, evidence=proof))
    try:
        history = fetch()
    except ZkRollbackError as error:
        text = f"helm {_end(run)}, but the release could not be read again: {error}"
        return JudgedRollback(CheckResult(word=Verdict.UNVERIFIED, observed=text, evidence=proof))
    ours = _find_ours(history, target, before)
    between: tuple[Revision, ...] = ()
    beside: tuple[Revision, ...] = ()
    if ours is not None:
        # Who rolled back to the same left nothing that is right.
        origin = history.origin(target)
        between = tuple(
            one
            for one in history.revisions
            if before < one.revision < ours.revision and history.origin(one.revision) != origin
        )
        beside = tuple(each.revision for each in history.releases if _is_beside(each, ours, is_at_work))
    word, text = _judge_head(run, history, target, before)
    if between:
        word = Verdict.FAIL
        text += f"; but somebody else made {_named(between)} just before, and this rollback left that, too"
    if ours is not None and beside:
        word = Verdict.FAIL
        text += (
            f"; but beside revision {ours.revision} there is {_named(beside)}, of another helm: "
            "what is live may be of both"
        )
    return JudgedRollback(
        CheckResult(word=word, observed=text, evidence=proof),
        history,
        tuple(one.revision for one in between),
        tuple(one.revision for one in beside),
    )


def _judge_head(run: HelmRun, history: ReleaseHistory, target: int, before: int) -> tuple[Verdict, str]:
    head = history.head.revision
    same = history.origin(head.revision) == history.origin(target)
    if head.revision > before and head.status == "deployed" and same:
        if run.finished is not None and run.finished.exit_code == 0:
            return Verdict.PASS, f"revision {head.revision} is deployed and rolls back to {target}"
        text = f"helm {_end(run)}, and yet revision {head.revision} is deployed (back to {target})"
        return Verdict.PASS, text
    if head.revision == before:
        text = f"helm {_end(run)} and made no revision: {before} is still the current revision{_cause(run)}"
        return Verdict.FAIL, text
    why = head.description or "no description"
    text = f"helm {_end(run)}; revision {head.revision} is {head.status}: {why}{_cause(run)}"
    return Verdict.FAIL, text


def _find_ours(history: ReleaseHistory, target: int, before: int) -> Revision | None:
    """The newest of the new revisions that goes back to ``target``; None: there is none."""
    origin = history.origin(target)
    new = (one for one in reversed(history.revisions) if one.revision > before)
    return next((one for one in new if history.origin(one.revision) == origin), None)


def _is_beside(release: Release, ours: Revision, is_at_work: Callable[[Release], bool]) -> bool:
    """Whether another helm works on it or has just ended: when ours ends it leaves one revision deployed."""
    if release.revision.revision == ours.revision:
        return False
    if release.revision.status == ours.status == "deployed":
        return True
    return release.under_way_since is not None and is_at_work(release)


def _named(revisions: Collection[Revision]) -> str:
    """``revision 3 (shop-1.3, deployed: Upgrade complete)``."""
    each = (
        f"{one.revision} ({one.chart}, {one.status}: {shorten(one.description)[:80] or 'no description'})"
        for one in revisions
    )
    return f"revision{'s' if len(revisions) > 1 else ''} {listed(each)}"


def _end(run: HelmRun) -> str:
    if run.finished is None:
        return "has not ended"
    if run.finished.timed_out:
        return f"was ended by us after {run.finished.duration_s:.0f} s"
    return f"ended with exit code {run.finished.exit_code}"


def _cause(run: HelmRun) -> str:
    """What helm's words mean, as the end of a sentence; empty where they are unknown."""
    cause = explain_failure(run.finished.stderr) if run.finished is not None else None
    return f"; {cause.why} (next: {cause.next_step})" if cause is not None else ""


def _helm_evidence(run: HelmRun) -> tuple[Evidence, ...]:
    if run.finished is None:
        return ()
    return (evidence("helm's output", run.finished.output or "(none)", kind="log"),)
