"""Second step: helm, at most once, and what is true afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..clients.helm import HelmCli, HelmVersion
from ..clients.retry import constant, retry
from ..domain.errors import BadAnswer, Unreachable, ZkRollbackError
from ..domain.item_ids import ROLLBACK
from ..domain.record import Guard, Outcome, Plan
from ..domain.verdict import Evidence, Verdict, evidence
from ..preflight.target import describe_history
from ..release.applied_revision import (
    fetch_object_revisions,
    is_already_live,
    render_object_revisions,
    summarise_object_revisions,
)
from ..release.history import ReleaseHistory, fetch_history
from ..rollback.helm_run import HelmRun, judge_rollback
from ..rollback.journal import DONE, has_ended
from ..rollback.lock import ReleaseLock
from ..rollback.redeploy_risks import find_rolled_back_from
from .backup_step import BackupThread
from .context import RunContext
from .lock_step import acquire_lock, recheck_lock, report_interrupted_runs, unlock
from .lock_wait import MadeByAnother
from .results import HelmOutcome, HelmOutcomeStatus, PreflightResult, RunState

_BEGUN_S = 1.0
_TICK_S = 0.05
REREAD_S = 15.0  # how long what helm did is asked for again where the API server does not answer
_PAUSE_S = 0.5


@dataclass(frozen=True)
class HelmCallbacks:
    """What is called once helm has been started, and when it has ended; neither may wait or raise."""

    on_started: Callable[[], None] = lambda: None
    on_finished: Callable[[], None] = lambda: None


class RollbackStep:
    """Rolls back unless the target is live already, holding the release's lock while helm runs."""

    def __init__(
        self,
        context: RunContext,
        state: RunState,
        preflight: PreflightResult,
        history: ReleaseHistory,
        target: int,
        version: HelmVersion,
        callbacks: HelmCallbacks = HelmCallbacks(),
    ) -> None:
        """Nothing is contacted yet. ``history``, ``target`` and ``version`` are the preflight's, known here.

        The verdict goes into ``state``.
        """
        self._context = context
        self._state = state
        self._preflight = preflight
        self._history = history
        self._target = target
        self._version = version
        self._callbacks = callbacks
        self._helm_run: HelmRun | None = None

    @property
    def may_have_changed(self) -> bool:
        """Whether helm was started, so that the cluster has to be looked at; true also after an exception."""
        return self._helm_run is not None and self._helm_run.error is None

    def run(self) -> HelmOutcome:
        """What became of it. Raises KeyboardInterrupt if a signal came before helm was started."""
        context, history = self._context, self._history
        with context.signals.raising():
            reason = self._preflight.made_by or is_already_live(context.kube, history, self._target)
        if reason:
            report_interrupted_runs(context, history)
            return self._skipped(reason, history)
        helm = context.helm()
        backup = BackupThread(context, history)
        lock = context.lock()
        began = context.clock.now()
        planned = acquire_lock(context, lock, history, self._target, self._preflight)
        if not isinstance(planned, int):
            return self._not_run(planned)
        backup.note()
        context.recorder.flush()  # nobody looks at the lock and then waits for a busy disk
        context.recorder.write_async()
        before = recheck_lock(context, lock, history, planned, self._target, began)
        if not isinstance(before, int):
            unlock(context, lock, {"outcome": "refused" if isinstance(before, Guard) else "not needed"})
            return self._not_run(before)
        if context.signals.count:
            unlock(context, lock, {"outcome": "interrupted before helm"})
            raise KeyboardInterrupt
        outcome = self._run_helm(helm, lock, before)
        context.recorder.wait_written()  # then others may go on
        if not outcome.still_running:  # else the lock expires by itself, after helm's own timeout
            became = {"outcome": DONE, "exit_code": outcome.exit_code, "head_after": outcome.head}
            unlock(context, lock, became)
        return outcome

    def _not_run(self, found: Guard | MadeByAnother) -> HelmOutcome:
        """Helm is not started: this run is refused, or somebody else made what was asked for."""
        if isinstance(found, Guard):
            return self._refused(found)
        head, plan = found.history.head.revision, self._preflight.plan
        left = find_rolled_back_from(head, plan.compared_with, helm_ran=False)
        plan = plan.model_copy(update={"history": found.history.revisions, "rolled_back_from": left})
        self._context.recorder.update(plan=plan, revision_before=head.revision, revision_after=head.revision)
        return replace(self._skipped(found.reason, found.history), plan=plan)

    def _skipped(self, reason: str, history: ReleaseHistory) -> HelmOutcome:
        recorder, now = self._context.recorder, self._context.clock.now()
        text = f"helm was not run: {reason}"
        recorder.update_helm(skipped_reason=reason)
        self._note(Verdict.PASS, text, started_at=now)
        recorder.event(text, "zkrollback")
        head = history.head.revision.revision
        return HelmOutcome(HelmOutcomeStatus.SKIPPED, self._preflight.plan, head, history)

    def _note(self, verdict: Verdict, observed: str, **more: Any) -> None:
        self._state.note(ROLLBACK, verdict)
        now = self._context.clock.now()
        self._context.recorder.item(ROLLBACK, verdict=verdict, observed=observed, finished_at=now, **more)

    def _refused(self, refusal: Guard) -> HelmOutcome:
        recorder = self._context.recorder
        recorder.add(guards=[refusal])
        recorder.update(outcome=Outcome.REFUSED)
        self._note(Verdict.UNVERIFIED, f"helm was not run: {refusal.evidence}")
        recorder.event(f"refused by {refusal.id}: {refusal.evidence}", "zkrollback")
        locked = refusal.id == "lock"
        status = HelmOutcomeStatus.LOCKED if locked else HelmOutcomeStatus.REFUSED
        return HelmOutcome(status, self._preflight.plan)

    def _argv(self, helm: HelmCli) -> list[str]:
        context, request, target = self._context, self._context.request, self._target
        why = " ".join(text for text in (request.given_reason, request.incident) if text)
        description = f"Rollback to {target}: {why}" if why else f"Rollback to {target}"
        return helm.rollback_argv(
            context.env.release,
            target,
            timeout_s=context.env.helm_timeout_s,
            description=context.redactor.text(description),
            version=self._version,
            no_hooks=self._preflight.no_hooks,
            force_conflicts=self._preflight.force_conflicts,
        )

    def _run_helm(self, helm: HelmCli, lock: ReleaseLock, before: int) -> HelmOutcome:
        """Start helm, wait for its end, read the release again. ``before``: the newest revision until now."""
        context, recorder, target = self._context, self._context.recorder, self._target
        env, plan, began = context.env, self._preflight.plan, context.clock.now()
        argv = self._argv(helm)
        helm_run = HelmRun(helm, argv, timeout_s=env.helm_timeout_s)
        recorder.update_helm(ran=True, running=True, argv=tuple(argv), started_at=began)
        command = shlex.join(["helm", *argv[1:]])
        recorder.item(ROLLBACK, started_at=began, observed="helm is running", command=command)
        recorder.event(f"helm rollback {env.release} {target} started", "zkrollback", began)
        recorder.flush()  # from now on every change is waited for
        context.display.status(f"helm rollback {env.release} {target}")
        self._helm_run = helm_run
        helm_run.start()
        helm_run.wait_begun(_BEGUN_S)  # what else begins now must not hold it up
        with suppress(RuntimeError):  # no thread to be had must not hide what helm did
            self._callbacks.on_started()
        _wait(context, self._state, helm_run, lock)
        recorder.write_async()
        with suppress(RuntimeError):
            self._callbacks.on_finished()
        still_running = _note_end(context, helm_run)
        if helm_run.error is None:
            left = find_rolled_back_from(self._history.head.revision, plan.compared_with, helm_ran=True)
            plan = plan.model_copy(update={"rolled_back_from": left})
            recorder.update(plan=plan)
        if still_running:
            outcome = HelmOutcome(HelmOutcomeStatus.RAN, plan, still_running=True)
            recorder.update(revision_after=None)
            text = f"helm still runs (pid {helm_run.pid}): we were told twice to stop"
            self._note(Verdict.UNVERIFIED, text)
        else:
            outcome = self._judge(helm_run, before, plan)
        context.display.changed()
        return outcome

    def _judge(self, helm_run: HelmRun, before: int, plan: Plan) -> HelmOutcome:
        """Helm has ended: what is true now."""
        context, recorder, history = self._context, self._context.recorder, self._history
        now, journal = context.clock.now(), self._preflight.journal or ()
        judged = judge_rollback(
            helm_run,
            self._target,
            before,
            lambda: _read_again(context, history),
            lambda each: each.may_be_at_work(now) and not has_ended(journal, each.revision),
        )
        verdict, after = judged.result, judged.history
        recorder.update_helm(came_between=judged.came_between, beside=judged.beside)
        live, proof = "", verdict.evidence
        if verdict.word is not Verdict.PASS:
            live, more = _live_objects(context, history, self._target)
            proof = (*proof, *more)
        head = after.head.revision.revision if after is not None else None
        if after is not None:  # what is offered next follows from the history as it is now
            plan = plan.model_copy(update=describe_history(after, self._preflight.journal))
        recorder.update(revision_after=head, plan=plan)
        self._note(verdict.word, verdict.observed + live, evidence=proof)
        recorder.event(verdict.observed, "helm history")
        exit_code = helm_run.finished.exit_code if helm_run.finished is not None else None
        return HelmOutcome(HelmOutcomeStatus.RAN, plan, head, after, exit_code, beside=judged.beside)


def _read_again(context: RunContext, known: ReleaseHistory) -> ReleaseHistory:
    """The release as it is now; an API server that just restarts is waited for. Raises ZkRollbackErrors."""
    return retry(
        lambda: fetch_history(context.kube, context.env.namespace, context.env.release, known=known),
        on=lambda error: isinstance(error, Unreachable | BadAnswer),
        wait_s=constant(_PAUSE_S),
        clock=context.clock,
        end_s=context.clock.monotonic_s() + REREAD_S + _PAUSE_S,
        is_cancelled=lambda: context.signals.count > 1,
    )


def _live_objects(
    context: RunContext, history: ReleaseHistory, target: int
) -> tuple[str, tuple[Evidence, ...]]:
    """After a failure: what runs now, object by object, which the history does not say."""
    wanted = history.content_of(target)
    if wanted is None:
        return "", ()
    found = fetch_object_revisions(context.kube, history.head, wanted, context.env.namespace)
    proof = evidence("Which revision runs, object by object", render_object_revisions(found))
    return f"; live now, {summarise_object_revisions(found)}", (proof,)


def _wait(context: RunContext, state: RunState, helm_run: HelmRun, lock: ReleaseLock) -> None:
    """Until helm ends. The first signal is recorded at once; the second one ends the waiting."""
    said_pid = recorded = False
    renew_at_s = context.clock.monotonic_s() + lock.lease_s / 2
    while not helm_run.wait(_TICK_S):
        if context.clock.monotonic_s() > renew_at_s:
            renew_at_s += lock.lease_s / 2
            _renew(context, lock)
        if helm_run.pid is not None and not said_pid:
            said_pid = True
            context.recorder.update_helm(pid=helm_run.pid)
            context.notifier.notify_started()
        if context.signals.count and not recorded:
            recorded = True
            what = f"interrupted ({context.signals.spoken}), helm still running (pid {helm_run.pid})"
            state.interrupt()  # also where what follows fails
            context.recorder.update(outcome=Outcome.INTERRUPTED, summary=what)
            context.recorder.event(what, "operator")
            context.display.status(f"{what}; waiting for it to finish")
        if context.signals.count > 1:
            return


def _renew(context: RunContext, lock: ReleaseLock) -> None:
    """Helm takes long: nobody may think that we died."""
    try:
        lock.renew(context.run_id)
    except ZkRollbackError as error:
        context.recorder.event(f"the lock could not be renewed: {error}", "zkrollback")


def _note_end(context: RunContext, helm_run: HelmRun) -> bool:
    """Write down how helm ended; whether it still runs."""
    recorder, now = context.recorder, context.clock.now()
    done = helm_run.finished
    changes: dict[str, Any] = {"pid": helm_run.pid}
    if done is not None:
        changes |= {
            "running": False,
            "exit_code": done.exit_code,
            "finished_at": now,
            # Cut after secrets are taken out: half of one would not be found.
            "stdout_tail": context.redactor.text(done.stdout)[-4000:],
            "stderr_tail": context.redactor.text(done.stderr)[-4000:],
        }
        recorder.event(f"helm ended with exit code {done.exit_code}", "helm", now)
        context.notifier.notify_started()  # helm was faster than our look at it
    elif helm_run.error is not None:
        changes |= {"ran": False, "running": False, "finished_at": now}
    recorder.update_helm(**changes)
    return done is None and helm_run.error is None
