"""helm, once: start it, never interrupt it, and afterwards find out what is true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..clients.threads import start_thread
from ..domain.errors import ZkRollbackError
from ..domain.verdict import CheckResult, Evidence, Verdict, evidence
from .helm_errors import explain_failure

if TYPE_CHECKING:
    from ..clients.helm import HelmCli
    from ..domain.ports import Finished
    from ..release.history import ReleaseHistory


class HelmRun:
    """One ``helm rollback`` in a daemon thread; a second :meth:`start` is a bug and refused."""

    def __init__(self, helm: HelmCli, argv: Sequence[str], *, timeout_s: float) -> None:
        """``timeout_s`` is helm's own --timeout; nothing is started yet."""
        self._helm = helm
        self._argv = list(argv)
        self._timeout_s = timeout_s
        self._done = threading.Event()
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

    def _note_pid(self, pid: int) -> None:
        self.pid = pid


def judge_rollback(
    run: HelmRun, target: int, before: int, fetch: Callable[[], ReleaseHistory]
) -> tuple[CheckResult, ReleaseHistory | None]:
    """The verdict on the rollback, from the release as it is now; helm's own word is a hint.

    Returns the re-read history too, or None where it could not be read.
    """
    proof = _helm_evidence(run)
    if run.error is not None:
        return CheckResult(
            word=Verdict.FAIL, observed=f"helm did not start: {run.error}", evidence=proof
        ), None
    try:
        history = fetch()
    except ZkRollbackError as error:
        return (
            CheckResult(
                word=Verdict.UNVERIFIED,
                observed=f"helm {_end(run)}, but the release could not be read again: {error}",
                evidence=proof,
            ),
            None,
        )
    head = history.head.revision
    same = history.origin(head.revision) == history.origin(target)
    rolled_back = head.revision > before and head.status == "deployed" and same
    if rolled_back and run.finished is not None and run.finished.exit_code == 0:
        word, text = Verdict.PASS, f"revision {head.revision} is deployed and rolls back to {target}"
    elif rolled_back:
        word, text = (
            Verdict.PASS,
            f"helm {_end(run)}, and yet revision {head.revision} is deployed (back to {target})",
        )
    elif head.revision == before:
        word, text = (
            Verdict.FAIL,
            f"helm {_end(run)} and made no revision: {before} is still the current revision{_cause(run)}",
        )
    else:
        word = Verdict.FAIL
        why = head.description or "no description"
        text = f"helm {_end(run)}; revision {head.revision} is {head.status}: {why}{_cause(run)}"
    return CheckResult(word=word, observed=text, evidence=proof), history


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
