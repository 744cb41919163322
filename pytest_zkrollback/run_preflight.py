"""First step: ask everything read-only, judge the guards, write the plan down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .domain.errors import HelmProblem
from .domain.model import Guard, Helm, Outcome, Plan
from .domain.observation import JsonObject
from .domain.verdict import Word
from .release.equivalence import Live, fetch_live
from .release.history import Release, ReleaseHistory, fetch_history
from .release.manifest import identity, parse_manifest, render_manifest_diff, secret_values
from .rollback.guards import Facts, judge_guards, judge_verify_guards, refusals
from .rollback.preflight import fetch_facts
from .scene import Scene, target_release


def run_preflight(scene: Scene) -> Facts | None:
    """The facts, or None where a guard refused: then nothing was changed and nothing more happens."""
    env, scribe, request = scene.env, scene.scribe, scene.request
    began = scene.clock.now()
    scene.display.status(f"preflight: {env.release} in namespace {env.namespace}, context {env.context}")

    def plan_writes(history: ReleaseHistory) -> dict[tuple[str, ...], list[JsonObject]]:
        """helm patches what exists, creates what does not, and deletes what only the head has."""
        wanted = history.content_of(target_release(scene, history))
        target = _objects(wanted, env.namespace) if wanted else ()
        live = fetch_live(scene.kube, target)
        kept = {identity(item) for item in target}
        head = _objects(history.head, env.namespace)
        return {
            ("get", "patch"): list(target),
            ("create",): [item for item, answer in zip(target, live, strict=True) if answer == Live()],
            ("get", "delete"): [item for item in head if identity(item) not in kept],
        }

    def history() -> ReleaseHistory:
        return fetch_history(scene.kube, env.namespace, env.release, also=[request.target or 0])

    facts = fetch_facts(
        env,
        scene.kube,
        scene.helm,
        history,
        plan_writes,
        scene.clock,
        writes=request.target is not None,
    )
    if request.target is None:
        guards = judge_verify_guards(facts, env)
    else:
        guards = judge_guards(facts, env, request.target, request.confirm)
    scribe.update(guards=guards)
    if facts.history.value is not None:
        _know_secrets(scene, facts.history.value)
        scribe.update(**_plan(scene, facts.history.value))
    if facts.server.value is not None:
        scribe.update(versions={**scribe.record.versions, "Kubernetes": facts.server.value})
    if facts.helm.value is not None:
        scribe.update(
            helm=Helm(version=facts.helm.value.text),
            versions={**scribe.record.versions, "Helm": facts.helm.value.text},
        )
    refused = refusals(guards)
    scribe.item(
        "preflight",
        verdict=Word.FAIL if refused else Word.PASS,
        observed=_observed(guards),
        started_at=began,
        finished_at=scene.clock.now(),
    )
    if refused:
        refuse(scene, refused)
        return None
    scribe.event("preflight passed", "zkrollback")
    scene.display.changed()
    return facts


def refuse(scene: Scene, refused: Iterable[Guard]) -> None:
    """Record that the run ends before helm."""
    scene.scribe.update(outcome=Outcome.REFUSED)
    scene.scribe.event(f"refused by {', '.join(guard.id for guard in refused)}", "zkrollback")


def _observed(guards: Sequence[Guard]) -> str:
    refused = [f"{guard.id}: {guard.evidence}" for guard in guards if guard.state == "refused"]
    if refused:
        return f"refused by {'; '.join(refused)}"
    warned = [f"{guard.id}: {guard.evidence}" for guard in guards if guard.state == "warned"]
    return "; ".join([f"{len(guards)} guards asked, none refuses", *warned])


def _plan(scene: Scene, history: ReleaseHistory) -> dict[str, object]:
    """What the history says before anything is done.

    The bad revision is the head, or, where the head already is the target, the last one before that differs.
    """
    head = history.head.revision
    target = target_release(scene, history)
    wanted = history.content_of(target)
    live = history.origin(head.revision) == history.origin(target)
    bad = history.bad_before(head.revision) if live else history.head
    return {
        "revision_before": head.revision,
        "revision_after": head.revision,
        "target_revision": target,
        "plan": Plan(
            target=wanted.revision if wanted else None,
            bad=bad.revision if bad else None,
            history=history.revisions,
            diff=_diff(scene, bad, wanted) if bad and wanted else "",
        ),
    }


def _diff(scene: Scene, bad: Release, wanted: Release) -> str:
    namespace = scene.env.namespace
    try:
        return render_manifest_diff(
            parse_manifest(bad.manifest, namespace), parse_manifest(wanted.manifest, namespace)
        )
    except HelmProblem as problem:
        return f"There is no diff: {problem}"  # no reason to stand between the operator and the rollback


def _objects(release: Release, namespace: str) -> tuple[JsonObject, ...]:
    try:
        return parse_manifest(release.manifest, namespace)
    except HelmProblem:
        return ()


def _know_secrets(scene: Scene, history: ReleaseHistory) -> None:
    """The values of the release's own Secrets are blanked from here on."""
    for release in history.releases:
        for item in _objects(release, scene.env.namespace):
            if item.get("kind") == "Secret":
                for value in secret_values(item):
                    scene.redactor.add(value)
