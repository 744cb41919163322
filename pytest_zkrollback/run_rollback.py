"""Second step: helm, at most once, and what is true afterwards."""

from __future__ import annotations

import shlex
from enum import Enum

from .clients.helm import HelmVersion
from .domain.errors import HelmProblem, ZkRollbackError
from .domain.model import Guard, Outcome
from .domain.observation import JsonObject
from .domain.verdict import Word
from .release.equivalence import compare, fetch_live
from .release.history import ReleaseHistory, fetch_history
from .release.manifest import parse_manifest
from .rollback.execute import HelmRun, judge_rollback
from .rollback.guards import judge_lock, way_past
from .rollback.lock import ReleaseLock
from .rollback.overrides import apply_overrides, overrides_used
from .scene import Scene

_TICK_S = 0.05


class Step(Enum):
    """How the step ended."""

    RAN = "helm was started"
    SKIPPED = "the target is live already"
    LOCKED = "somebody else holds the lock"
    REFUSED = "the release changed since the plan"


def run_rollback(scene: Scene, history: ReleaseHistory, target: int, version: HelmVersion) -> Step:
    """Roll back unless the target is live already, holding the release's lock while helm runs.

    Raises KeyboardInterrupt if a signal came before helm was started.
    """
    with scene.signals.raising():
        reason = _live_already(scene, history, target)
    if reason:
        _note_skipped(scene, reason)
        return Step.SKIPPED
    lock = scene.lock()
    before = history.head.revision.revision
    refusal = _take(scene, lock, before, target)
    before = scene.scribe.record.revision_before or before
    if refusal is None and scene.signals.count:
        _give_back(scene, lock, {"outcome": "interrupted before helm"})
        raise KeyboardInterrupt
    if refusal is not None:
        guards = (*scene.scribe.record.guards, refusal)
        scene.scribe.update(guards=guards, outcome=Outcome.REFUSED)
        scene.scribe.item(
            "rollback",
            verdict=Word.UNVERIFIED,
            observed=f"helm was not run: {refusal.evidence}",
            finished_at=scene.clock.now(),
        )
        scene.scribe.event(f"refused by {refusal.id}: {refusal.evidence}", "zkrollback")
        return Step.LOCKED if refusal.id == "lock" else Step.REFUSED
    _run_helm(scene, target, before, version)
    helm = scene.scribe.record.helm
    if not helm.running:  # else the lock expires by itself, after helm's own timeout
        outcome = {
            "outcome": "done",
            "exit_code": helm.exit_code,
            "head_after": scene.scribe.record.revision_after,
        }
        _give_back(scene, lock, outcome)
    return Step.RAN


def _take(scene: Scene, lock: ReleaseLock, before: int, target: int) -> Guard | None:
    """Take the lock; the refusal if somebody has it, nobody knows, or the head moved since the plan."""
    record = scene.scribe.record
    intent: JsonObject = {
        "release": record.release,
        "cluster": record.cluster,
        "head_before": before,
        "target": target,
        "reason": scene.redactor.text(record.reason)[:200],
    }
    try:
        taken = lock.take(record.run_id, record.operator, intent, force=_is_taken_over(scene))
    except ZkRollbackError as error:
        return judge_lock(error)
    if taken.previous is not None:
        who = f"{taken.previous.operator} (run {taken.previous.run_id})"
        expired = taken.previous.expires_at <= scene.clock.now()
        why = "it had expired" if expired else "the operator said so"
        scene.scribe.event(f"lock taken over from {who}: {why}", "zkrollback")
    try:
        head = fetch_history(scene.kube, scene.env.namespace, scene.env.release).head.revision
    except ZkRollbackError as error:
        evidence = f"whether the release changed since the plan is unknown: {error}"
    else:
        if head.revision == before:
            return None
        scene.scribe.update(revision_before=head.revision, revision_after=head.revision)
        evidence = f"revision {head.revision} ({head.description}) appeared since the plan, made at {before}"
    refusal = Guard(
        id="head",
        state="refused",
        evidence=evidence,
        consequence="Somebody else is changing the release; what you meant to undo may be gone.",
        override=way_past("head"),
    )
    if _set_aside(scene, refusal):
        return None
    _give_back(scene, lock, {"outcome": "refused"})
    return refusal


def _is_taken_over(scene: Scene) -> bool:
    """Whether the operator saw that somebody holds the lock, and goes ahead."""
    return any(each.id == "lock" and each.kind == "guard" for each in scene.scribe.record.overrides)


def _set_aside(scene: Scene, refusal: Guard) -> bool:
    """Whether the command line says to go ahead against this one; then it is in the record."""
    request, record = scene.request, scene.scribe.record
    guards = apply_overrides([refusal], request.overrides, request.break_glass)
    used = overrides_used(guards, request.overrides, request.break_glass)
    if used:
        scene.scribe.update(guards=(*record.guards, *guards), overrides=(*record.overrides, *used))
        scene.scribe.event(f"guard {refusal.id} set aside: {used[0].reason}", "operator")
    return bool(used)


def _give_back(scene: Scene, lock: ReleaseLock, outcome: JsonObject) -> None:
    """Release the lock as soon as helm's result is known; a failure is said and expires by itself."""
    try:
        lock.release_with(
            scene.scribe.record.run_id, {**outcome, "finished_at": scene.clock.now().isoformat()}
        )
    except ZkRollbackError as error:
        scene.scribe.event(f"the lock could not be given back and will expire: {error}", "zkrollback")


def _note_skipped(scene: Scene, reason: str) -> None:
    scribe = scene.scribe
    scribe.update(helm=scribe.record.helm.model_copy(update={"skipped_reason": reason}))
    now = scene.clock.now()
    text = f"helm was not run: {reason}"
    scribe.item("rollback", verdict=Word.PASS, observed=text, started_at=now, finished_at=now)
    scribe.event(text, "zkrollback")


def _run_helm(scene: Scene, target: int, before: int, version: HelmVersion) -> None:
    """Start helm, wait for its end, read the release again."""
    scribe, env = scene.scribe, scene.env
    began = scene.clock.now()
    why = " ".join(text for text in (scene.request.given_reason, scene.request.incident) if text)
    text = f"Rollback to {target}: {why}" if why else f"Rollback to {target}"
    helm = scene.helm()
    argv = helm.rollback_argv(
        env.release,
        target,
        timeout_s=env.helm_timeout_s,
        description=scene.redactor.text(text),
        version=version,
    )
    helm_run = HelmRun(helm, argv, timeout_s=env.helm_timeout_s)
    changes = {"ran": True, "running": True, "argv": tuple(argv), "started_at": began}
    scribe.update(helm=scribe.record.helm.model_copy(update=changes))
    scribe.item(
        "rollback", started_at=began, observed="helm is running", command=shlex.join(["helm", *argv[1:]])
    )
    scribe.event(f"helm rollback {env.release} {target} started", "zkrollback", began)
    scene.display.status(f"helm rollback {env.release} {target}")
    helm_run.start()
    _wait(scene, helm_run)
    _note_end(scene, helm_run)
    if not scribe.record.helm.running:
        verdict, after = judge_rollback(
            helm_run, target, before, lambda: fetch_history(scene.kube, env.namespace, env.release)
        )
        scribe.update(revision_after=after.head.revision.revision if after else None)
        scribe.item(
            "rollback",
            verdict=verdict.word,
            observed=verdict.observed,
            evidence=verdict.evidence,
            finished_at=scene.clock.now(),
        )
        scribe.event(verdict.observed, "helm history")
    scene.display.changed()


def _live_already(scene: Scene, history: ReleaseHistory, target: int) -> str:
    """Why helm need not run: history and live objects both say that the target runs. Empty: it has to."""
    head = history.head.revision
    wanted = history.content_of(target)
    same = history.origin(head.revision) == history.origin(target)
    if wanted is None or head.status != "deployed" or not same or len(history.deployed_numbers) > 1:
        return ""
    try:
        expected = parse_manifest(wanted.manifest, scene.env.namespace)
    except HelmProblem:
        return ""
    if compare(expected, fetch_live(scene.kube, expected)):
        return ""
    return f"revision {head.revision} already is revision {target}, in history and in the live objects"


def _wait(scene: Scene, helm_run: HelmRun) -> None:
    """Until helm ends. The first signal is recorded at once; the second one ends the waiting."""
    recorded = False
    while not helm_run.wait(_TICK_S):
        if helm_run.pid is not None and scene.scribe.record.helm.pid is None:
            scene.scribe.update(helm=scene.scribe.record.helm.model_copy(update={"pid": helm_run.pid}))
        if scene.signals.count and not recorded:
            recorded = True
            what = f"interrupted ({scene.signals.spoken}), helm still running (pid {helm_run.pid})"
            scene.scribe.update(outcome=Outcome.INTERRUPTED, summary=what)
            scene.scribe.event(what, "operator")
            scene.display.status(f"{what}; waiting for it to finish")
        if scene.signals.count > 1:
            return


def _note_end(scene: Scene, helm_run: HelmRun) -> None:
    scribe, now = scene.scribe, scene.clock.now()
    done = helm_run.finished
    changes: dict[str, object] = {"pid": helm_run.pid}
    if done is not None:
        changes |= {
            "running": False,
            "exit_code": done.exit_code,
            "finished_at": now,
            "stdout_tail": done.stdout[-4000:],
            "stderr_tail": done.stderr[-4000:],
        }
        scribe.event(f"helm ended with exit code {done.exit_code}", "helm", now)
    elif helm_run.error is not None:
        changes |= {"ran": False, "running": False, "finished_at": now}
    else:
        scribe.update(revision_after=None)
        scribe.item(
            "rollback",
            verdict=Word.UNVERIFIED,
            observed=f"helm still runs (pid {helm_run.pid}): we were told twice to stop",
            finished_at=now,
        )
    scribe.update(helm=scribe.record.helm.model_copy(update=changes))
