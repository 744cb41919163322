"""Second step: helm, at most once, and what is true afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from ..clients.helm import HelmVersion
from ..domain.errors import BadAnswer, Unreachable, ZkRollbackError
from ..domain.record import Outcome
from ..domain.verdict import Evidence, Verdict, evidence
from ..release.applied_revision import fetch_standing, is_already_live, render_standing, summarise_standing
from ..release.history import ReleaseHistory, fetch_history
from ..rollback.helm_run import HelmRun, judge_rollback
from ..rollback.lock import ReleaseLock
from ..rollback.redeploy_risks import find_rolled_back_from
from .backup_step import BackupThread
from .context import RunContext
from .lock_step import recheck_lock, report_interrupted_runs, take_lock, unlock

_TICK_S = 0.05
REREAD_S = 15.0  # how long what helm did is asked for again where the API server does not answer
_PAUSE_S = 0.5


class HelmOutcomeStatus(Enum):
    """How the step ended."""

    RAN = "helm was started"
    SKIPPED = "the target is live already"
    LOCKED = "somebody else holds the lock"
    REFUSED = "the release changed since the plan"


@dataclass(frozen=True)
class HelmCallbacks:
    """What is called once helm has been started, and when it has ended; neither may wait or raise."""

    started: Callable[[], None] = lambda: None
    ended: Callable[[], None] = lambda: None


def run_rollback(
    context: RunContext,
    history: ReleaseHistory,
    target: int,
    version: HelmVersion,
    *,
    moments: HelmCallbacks = HelmCallbacks(),
    no_hooks: bool = False,
    holder: str = "",
) -> HelmOutcomeStatus:
    """Roll back unless the target is live already, holding the release's lock while helm runs.

    ``no_hooks``: for a stranded release whose hooks failed or hung, and would again. ``holder``: the run that
    the preflight saw holding the lock.

    Raises KeyboardInterrupt if a signal came before helm was started.
    """
    with context.signals.raising():
        reason = is_already_live(context.kube, history, target)
    if reason:
        report_interrupted_runs(context, history)
        _note_skipped(context, reason)
        return HelmOutcomeStatus.SKIPPED
    backup = BackupThread(context, history)
    lock = context.lock()
    before = history.head.revision.revision
    began = context.clock.now()
    refusal = take_lock(context, lock, history, target, holder)
    if refusal is None:
        backup.note()
        refusal = recheck_lock(context, lock, history, began)
        if refusal is not None:
            unlock(context, lock, {"outcome": "refused"})
    if refusal is None and context.signals.count:
        unlock(context, lock, {"outcome": "interrupted before helm"})
        raise KeyboardInterrupt
    if refusal is not None:
        guards = (*context.recorder.record.guards, refusal)
        context.recorder.update(guards=guards, outcome=Outcome.REFUSED)
        context.recorder.item(
            "rollback",
            verdict=Verdict.UNVERIFIED,
            observed=f"helm was not run: {refusal.evidence}",
            finished_at=context.clock.now(),
        )
        context.recorder.event(f"refused by {refusal.id}: {refusal.evidence}", "zkrollback")
        return HelmOutcomeStatus.LOCKED if refusal.id == "lock" else HelmOutcomeStatus.REFUSED
    before = context.recorder.record.revision_before or before
    argv = _argv(context, target, version, no_hooks=no_hooks)
    _run_helm(context, lock, argv, history, (before, target), moments)
    helm = context.recorder.record.helm
    context.recorder.wait_written()  # then others may go on
    if not helm.running:  # else the lock expires by itself, after helm's own timeout
        outcome = {
            "outcome": "done",
            "exit_code": helm.exit_code,
            "head_after": context.recorder.record.revision_after,
        }
        unlock(context, lock, outcome)
    return HelmOutcomeStatus.RAN


def _note_skipped(context: RunContext, reason: str) -> None:
    recorder = context.recorder
    recorder.update(helm=recorder.record.helm.model_copy(update={"skipped_reason": reason}))
    now = context.clock.now()
    text = f"helm was not run: {reason}"
    recorder.item("rollback", verdict=Verdict.PASS, observed=text, started_at=now, finished_at=now)
    recorder.event(text, "zkrollback")


def _argv(context: RunContext, target: int, version: HelmVersion, *, no_hooks: bool) -> list[str]:
    why = " ".join(text for text in (context.request.given_reason, context.request.incident) if text)
    return context.helm().rollback_argv(
        context.env.release,
        target,
        timeout_s=context.env.helm_timeout_s,
        description=context.redactor.text(f"Rollback to {target}: {why}" if why else f"Rollback to {target}"),
        version=version,
        no_hooks=no_hooks,
        force_conflicts=_forces(context),
    )


def _forces(context: RunContext) -> bool:
    """Whether conflicts alone were forecast, and the operator set that guard aside."""
    record = context.recorder.record
    forecast = record.plan.forecast
    aside = any(each.id == "forecast" and each.kind == "guard" for each in record.overrides)
    return aside and forecast is not None and forecast.forcible


def _run_helm(
    context: RunContext,
    lock: ReleaseLock,
    argv: list[str],
    history: ReleaseHistory,
    way: tuple[int, int],
    moments: HelmCallbacks,
) -> None:
    """Start helm, wait for its end, read the release again. ``way``: from and to which revision."""
    recorder, env, (before, target) = context.recorder, context.env, way
    began = context.clock.now()
    helm_run = HelmRun(context.helm(), argv, timeout_s=env.helm_timeout_s)
    changes = {"ran": True, "running": True, "argv": tuple(argv), "started_at": began}
    recorder.update(helm=recorder.record.helm.model_copy(update=changes))
    recorder.item(
        "rollback", started_at=began, observed="helm is running", command=shlex.join(["helm", *argv[1:]])
    )
    recorder.event(f"helm rollback {env.release} {target} started", "zkrollback", began)
    context.display.status(f"helm rollback {env.release} {target}")
    helm_run.start()
    with suppress(RuntimeError):  # no thread to be had must not hide what helm did
        moments.started()
    _wait(context, helm_run, lock)
    recorder.write_async()
    with suppress(RuntimeError):
        moments.ended()
    _note_end(context, helm_run)
    if recorder.record.helm.ran:
        plan = recorder.record.plan
        left = find_rolled_back_from(history.head.revision, plan.compared_with, helm_ran=True)
        recorder.update(plan=plan.model_copy(update={"rolled_back_from": left}))
    if not recorder.record.helm.running:
        verdict, after = judge_rollback(helm_run, target, before, lambda: _read_again(context, history))
        standing, proof = (
            _standing(context, history, target) if verdict.word is not Verdict.PASS else ("", ())
        )
        recorder.update(revision_after=after.head.revision.revision if after else None)
        recorder.item(
            "rollback",
            verdict=verdict.word,
            observed=verdict.observed + standing,
            evidence=(*verdict.evidence, *proof),
            finished_at=context.clock.now(),
        )
        recorder.event(verdict.observed, "helm history")
    context.display.changed()


def _read_again(context: RunContext, known: ReleaseHistory) -> ReleaseHistory:
    """The release as it is now; an API server that just restarts is waited for. Raises ZkRollbackErrors."""
    deadline_s = context.clock.monotonic_s() + REREAD_S
    while True:
        try:
            after = fetch_history(context.kube, context.env.namespace, context.env.release, known=known)
        except (Unreachable, BadAnswer):
            if context.signals.count > 1 or context.clock.monotonic_s() > deadline_s:
                raise
        else:
            context.readings.append(after)
            return after
        context.clock.sleep(_PAUSE_S)


def _standing(context: RunContext, history: ReleaseHistory, target: int) -> tuple[str, tuple[Evidence, ...]]:
    """After a failure: what runs now, object by object, which the history does not say."""
    wanted = history.content_of(target)
    if wanted is None:
        return "", ()
    found = fetch_standing(context.kube, history.head, wanted, context.env.namespace)
    proof = evidence("Which revision runs, object by object", render_standing(found))
    return f"; live now, {summarise_standing(found)}", (proof,)


def _wait(context: RunContext, helm_run: HelmRun, lock: ReleaseLock) -> None:
    """Until helm ends. The first signal is recorded at once; the second one ends the waiting."""
    recorded = False
    renew_at_s = context.clock.monotonic_s() + lock.lease_s / 2
    while not helm_run.wait(_TICK_S):
        if context.clock.monotonic_s() > renew_at_s:
            renew_at_s += lock.lease_s / 2
            _renew(context, lock)
        if helm_run.pid is not None and context.recorder.record.helm.pid is None:
            context.recorder.update(
                helm=context.recorder.record.helm.model_copy(update={"pid": helm_run.pid})
            )
            context.telling.begin()
        if context.signals.count and not recorded:
            recorded = True
            what = f"interrupted ({context.signals.spoken}), helm still running (pid {helm_run.pid})"
            context.recorder.update(outcome=Outcome.INTERRUPTED, summary=what)
            context.recorder.event(what, "operator")
            context.display.status(f"{what}; waiting for it to finish")
        if context.signals.count > 1:
            return


def _renew(context: RunContext, lock: ReleaseLock) -> None:
    """Helm takes long: nobody may think that we died."""
    try:
        lock.renew(context.recorder.record.run_id)
    except ZkRollbackError as error:
        context.recorder.event(f"the lock could not be renewed: {error}", "zkrollback")


def _note_end(context: RunContext, helm_run: HelmRun) -> None:
    recorder, now = context.recorder, context.clock.now()
    done = helm_run.finished
    changes: dict[str, object] = {"pid": helm_run.pid}
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
        context.telling.begin()  # helm was faster than our look at it
    elif helm_run.error is not None:
        changes |= {"ran": False, "running": False, "finished_at": now}
    else:
        recorder.update(revision_after=None)
        recorder.item(
            "rollback",
            verdict=Verdict.UNVERIFIED,
            observed=f"helm still runs (pid {helm_run.pid}): we were told twice to stop",
            finished_at=now,
        )
    recorder.update(helm=recorder.record.helm.model_copy(update=changes))
