"""Second step: helm, at most once, and what is true afterwards."""

from __future__ import annotations

import shlex

from .clients.helm import HelmVersion
from .domain.model import Outcome
from .domain.verdict import Word
from .release.equivalence import compare, fetch_live
from .release.history import ReleaseHistory, fetch_history
from .release.manifest import parse_manifest
from .rollback.execute import HelmRun, judge_rollback
from .scene import Scene

_TICK_S = 0.05


def run_rollback(scene: Scene, history: ReleaseHistory, target: int, version: HelmVersion) -> bool:
    """Roll back unless the target is live already; True if helm was started.

    Raises KeyboardInterrupt if a signal came before helm was started.
    """
    scribe, env = scene.scribe, scene.env
    began = scene.clock.now()
    before = history.head.revision.revision
    with scene.signals.raising():
        reason = _live_already(scene, history, target)
    if reason:
        scribe.update(helm=scribe.record.helm.model_copy(update={"skipped_reason": reason}))
        scribe.item(
            "rollback",
            verdict=Word.PASS,
            observed=f"helm was not run: {reason}",
            started_at=began,
            finished_at=scene.clock.now(),
        )
        scribe.event(f"helm not run: {reason}", "zkrollback")
        return False
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
    scribe.update(
        helm=scribe.record.helm.model_copy(
            update={"ran": True, "running": True, "argv": tuple(argv), "started_at": began}
        )
    )
    scribe.item("rollback", started_at=began, observed="helm is running", command=shlex.join(argv))
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
    return True


def _live_already(scene: Scene, history: ReleaseHistory, target: int) -> str:
    """Why helm need not run: history and live objects both say that the target runs. Empty: it has to."""
    head = history.head.revision
    wanted = history.content_of(target)
    same = history.origin(head.revision) == history.origin(target)
    if wanted is None or head.status != "deployed" or not same:
        return ""
    expected = parse_manifest(wanted.manifest, scene.env.namespace)
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
            what = f"interrupted by {scene.signals.name}, helm still running (pid {helm_run.pid})"
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
