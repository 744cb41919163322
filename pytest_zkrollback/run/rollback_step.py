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
    scene: RunContext,
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
    with scene.signals.raising():
        reason = is_already_live(scene.kube, history, target)
    if reason:
        report_interrupted_runs(scene, history)
        _note_skipped(scene, reason)
        return HelmOutcomeStatus.SKIPPED
    backup = BackupThread(scene, history)
    lock = scene.lock()
    before = history.head.revision.revision
    began = scene.clock.now()
    refusal = take_lock(scene, lock, history, target, holder)
    if refusal is None:
        backup.note()
        refusal = recheck_lock(scene, lock, history, began)
        if refusal is not None:
            unlock(scene, lock, {"outcome": "refused"})
    if refusal is None and scene.signals.count:
        unlock(scene, lock, {"outcome": "interrupted before helm"})
        raise KeyboardInterrupt
    if refusal is not None:
        guards = (*scene.scribe.record.guards, refusal)
        scene.scribe.update(guards=guards, outcome=Outcome.REFUSED)
        scene.scribe.item(
            "rollback",
            verdict=Verdict.UNVERIFIED,
            observed=f"helm was not run: {refusal.evidence}",
            finished_at=scene.clock.now(),
        )
        scene.scribe.event(f"refused by {refusal.id}: {refusal.evidence}", "zkrollback")
        return HelmOutcomeStatus.LOCKED if refusal.id == "lock" else HelmOutcomeStatus.REFUSED
    before = scene.scribe.record.revision_before or before
    argv = _argv(scene, target, version, no_hooks=no_hooks)
    _run_helm(scene, lock, argv, history, (before, target), moments)
    helm = scene.scribe.record.helm
    scene.scribe.wait_written()  # then others may go on
    if not helm.running:  # else the lock expires by itself, after helm's own timeout
        outcome = {
            "outcome": "done",
            "exit_code": helm.exit_code,
            "head_after": scene.scribe.record.revision_after,
        }
        unlock(scene, lock, outcome)
    return HelmOutcomeStatus.RAN


def _note_skipped(scene: RunContext, reason: str) -> None:
    scribe = scene.scribe
    scribe.update(helm=scribe.record.helm.model_copy(update={"skipped_reason": reason}))
    now = scene.clock.now()
    text = f"helm was not run: {reason}"
    scribe.item("rollback", verdict=Verdict.PASS, observed=text, started_at=now, finished_at=now)
    scribe.event(text, "zkrollback")


def _argv(scene: RunContext, target: int, version: HelmVersion, *, no_hooks: bool) -> list[str]:
    why = " ".join(text for text in (scene.request.given_reason, scene.request.incident) if text)
    return scene.helm().rollback_argv(
        scene.env.release,
        target,
        timeout_s=scene.env.helm_timeout_s,
        description=scene.redactor.text(f"Rollback to {target}: {why}" if why else f"Rollback to {target}"),
        version=version,
        no_hooks=no_hooks,
        force_conflicts=_forces(scene),
    )


def _forces(scene: RunContext) -> bool:
    """Whether conflicts alone were forecast, and the operator set that guard aside."""
    record = scene.scribe.record
    forecast = record.plan.forecast
    aside = any(each.id == "forecast" and each.kind == "guard" for each in record.overrides)
    return aside and forecast is not None and forecast.forcible


def _run_helm(
    scene: RunContext,
    lock: ReleaseLock,
    argv: list[str],
    history: ReleaseHistory,
    way: tuple[int, int],
    moments: HelmCallbacks,
) -> None:
    """Start helm, wait for its end, read the release again. ``way``: from and to which revision."""
    scribe, env, (before, target) = scene.scribe, scene.env, way
    began = scene.clock.now()
    helm_run = HelmRun(scene.helm(), argv, timeout_s=env.helm_timeout_s)
    changes = {"ran": True, "running": True, "argv": tuple(argv), "started_at": began}
    scribe.update(helm=scribe.record.helm.model_copy(update=changes))
    scribe.item(
        "rollback", started_at=began, observed="helm is running", command=shlex.join(["helm", *argv[1:]])
    )
    scribe.event(f"helm rollback {env.release} {target} started", "zkrollback", began)
    scene.display.status(f"helm rollback {env.release} {target}")
    helm_run.start()
    with suppress(RuntimeError):  # no thread to be had must not hide what helm did
        moments.started()
    _wait(scene, helm_run, lock)
    scribe.write_async()
    with suppress(RuntimeError):
        moments.ended()
    _note_end(scene, helm_run)
    if scribe.record.helm.ran:
        plan = scribe.record.plan
        left = find_rolled_back_from(history.head.revision, plan.compared_with, helm_ran=True)
        scribe.update(plan=plan.model_copy(update={"rolled_back_from": left}))
    if not scribe.record.helm.running:
        verdict, after = judge_rollback(helm_run, target, before, lambda: _read_again(scene, history))
        standing, proof = _standing(scene, history, target) if verdict.word is not Verdict.PASS else ("", ())
        scribe.update(revision_after=after.head.revision.revision if after else None)
        scribe.item(
            "rollback",
            verdict=verdict.word,
            observed=verdict.observed + standing,
            evidence=(*verdict.evidence, *proof),
            finished_at=scene.clock.now(),
        )
        scribe.event(verdict.observed, "helm history")
    scene.display.changed()


def _read_again(scene: RunContext, known: ReleaseHistory) -> ReleaseHistory:
    """The release as it is now; an API server that just restarts is waited for. Raises ZkRollbackErrors."""
    deadline_s = scene.clock.monotonic_s() + REREAD_S
    while True:
        try:
            after = fetch_history(scene.kube, scene.env.namespace, scene.env.release, known=known)
        except (Unreachable, BadAnswer):
            if scene.signals.count > 1 or scene.clock.monotonic_s() > deadline_s:
                raise
        else:
            scene.readings.append(after)
            return after
        scene.clock.sleep(_PAUSE_S)


def _standing(scene: RunContext, history: ReleaseHistory, target: int) -> tuple[str, tuple[Evidence, ...]]:
    """After a failure: what runs now, object by object, which the history does not say."""
    wanted = history.content_of(target)
    if wanted is None:
        return "", ()
    found = fetch_standing(scene.kube, history.head, wanted, scene.env.namespace)
    proof = evidence("Which revision runs, object by object", render_standing(found))
    return f"; live now, {summarise_standing(found)}", (proof,)


def _wait(scene: RunContext, helm_run: HelmRun, lock: ReleaseLock) -> None:
    """Until helm ends. The first signal is recorded at once; the second one ends the waiting."""
    recorded = False
    renew_at_s = scene.clock.monotonic_s() + lock.lease_s / 2
    while not helm_run.wait(_TICK_S):
        if scene.clock.monotonic_s() > renew_at_s:
            renew_at_s += lock.lease_s / 2
            _renew(scene, lock)
        if helm_run.pid is not None and scene.scribe.record.helm.pid is None:
            scene.scribe.update(helm=scene.scribe.record.helm.model_copy(update={"pid": helm_run.pid}))
            scene.telling.begin()
        if scene.signals.count and not recorded:
            recorded = True
            what = f"interrupted ({scene.signals.spoken}), helm still running (pid {helm_run.pid})"
            scene.scribe.update(outcome=Outcome.INTERRUPTED, summary=what)
            scene.scribe.event(what, "operator")
            scene.display.status(f"{what}; waiting for it to finish")
        if scene.signals.count > 1:
            return


def _renew(scene: RunContext, lock: ReleaseLock) -> None:
    """Helm takes long: nobody may think that we died."""
    try:
        lock.renew(scene.scribe.record.run_id)
    except ZkRollbackError as error:
        scene.scribe.event(f"the lock could not be renewed: {error}", "zkrollback")


def _note_end(scene: RunContext, helm_run: HelmRun) -> None:
    scribe, now = scene.scribe, scene.clock.now()
    done = helm_run.finished
    changes: dict[str, object] = {"pid": helm_run.pid}
    if done is not None:
        changes |= {
            "running": False,
            "exit_code": done.exit_code,
            "finished_at": now,
            # Cut after secrets are taken out: half of one would not be found.
            "stdout_tail": scene.redactor.text(done.stdout)[-4000:],
            "stderr_tail": scene.redactor.text(done.stderr)[-4000:],
        }
        scribe.event(f"helm ended with exit code {done.exit_code}", "helm", now)
        scene.telling.begin()  # helm was faster than our look at it
    elif helm_run.error is not None:
        changes |= {"ran": False, "running": False, "finished_at": now}
    else:
        scribe.update(revision_after=None)
        scribe.item(
            "rollback",
            verdict=Verdict.UNVERIFIED,
            observed=f"helm still runs (pid {helm_run.pid}): we were told twice to stop",
            finished_at=now,
        )
    scribe.update(helm=scribe.record.helm.model_copy(update=changes))
