"""First step: ask everything read-only, judge the guards, write the plan down."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from ..domain.errors import HelmProblem, LockHeld
from ..domain.record import Guard, GuardState, Helm, Outcome, Plan
from ..domain.request import NOT_GIVEN
from ..domain.verdict import Verdict
from ..preflight.facts import fetch_facts
from ..preflight.guards import in_order, judge_guards, judge_pipeline_guards, judge_verify_guards
from ..preflight.guards.cluster import judge_notify, refusals
from ..preflight.overrides import apply_overrides, overrides_used
from ..preflight.probe import OVERRIDDEN, WARNED, Facts
from ..preflight.recovery import recovery_reasons
from ..preflight.release_view import ReleaseView
from ..preflight.target import find_objections
from ..release.applied_revision import is_already_live
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory
from ..release.manifest import parse_manifest, render_manifest_diff
from ..rollback.redeploy_risks import find_rolled_back_from
from .context import RunContext
from .decision_step import note_decision, outside_questions
from .prompt import Reply, ask, parse_consent
from .secrets import register_secrets_of_release

# How long the operator may think at the terminal before no answer is an answer.
ASK_S = 60
CONSENT = "Type yes and why in one line to go ahead (yes the limit is wrong); anything else stops."


def run_preflight(scene: RunContext, also: Callable[[], tuple[Guard, ...]] = tuple) -> Facts | None:
    """The facts, or None where a guard refused: then nothing was changed and nothing more happens.

    ``also`` asks what only the way through GitHub has to know.
    """
    env, scribe, request = scene.env, scene.scribe, scene.request
    began = scene.clock.now()
    scene.display.status(f"preflight: {env.release} in namespace {env.namespace}, context {env.context}")

    look = ReleaseView(env, scene.kube, scene.lock().fetch, request.target)
    facts = fetch_facts(
        env,
        scene.kube,
        scene.helm,
        look,
        scene.lock().fetch_free,
        scene.clock,
        writes=request.target is not None,
        recovers=request.recover,
        patient=request.break_glass is not None,
        driver=os.environ.get("HELM_DRIVER", ""),
        outside=outside_questions(scene, look) if request.target is not None else None,
    )
    began += _set_clock_right(scene)
    if request.through_github:
        guards = (*judge_pipeline_guards(facts, env, request.confirm), *also())
        guards = apply_overrides(guards, request.overrides, request.break_glass)
    elif request.target is None:
        guards = judge_verify_guards(facts, env)
    else:
        found = _release(facts)
        target = look.objects_of(found)
        guards = judge_guards(facts, env, request.confirm, target, recovers=request.recover)
        guards = _unless_live(scene, facts, guards)
    guards = (*guards, *judge_notify(scene.telling.unusable))
    if facts.history.value is not None:
        register_secrets_of_release(scene.redactor, facts.history.value, env.namespace)
        scribe.update(**_plan(scene, facts, facts.history.value))
        if _release(facts) is not None and request.target is not None and facts.change_summary.value is None:
            scribe.event(f"what going back means was not gathered: {facts.change_summary.why}", "zkrollback")
    if request.target is not None:
        guards = in_order((*guards, note_decision(scene, facts.outside)))
        guards = apply_overrides(guards, _reasons(scene, facts), request.break_glass)
    if facts.server.value is not None:
        scribe.update(versions={**scribe.record.versions, "Kubernetes": facts.server.value})
    if facts.helm.value is not None:
        scribe.update(
            helm=Helm(version=facts.helm.value.text),
            versions={**scribe.record.versions, "Helm": facts.helm.value.text},
        )
    guards = _settled(scene, guards, _reasons(scene, facts))
    refused = refusals(guards)
    scribe.item(
        "preflight",
        verdict=Verdict.FAIL if refused else Verdict.PASS,
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


def _set_clock_right(scene: RunContext) -> timedelta:
    """What was noted before the API server had said its time, by which it is now known to have been wrong."""
    offset = timedelta(seconds=round(scene.clock.offset_s))
    if offset:
        scene.scribe.move(offset)
        which = "behind" if offset > timedelta() else "ahead of"
        off_s = abs(offset.total_seconds())
        text = f"this machine's clock is {off_s:.0f} s {which} the API server's, which counts"
        scene.scribe.event(text, "zkrollback")
    return offset


def _release(facts: Facts) -> Release | None:
    """The target's content, where it is known."""
    history, choice = facts.history.value, facts.choice.value
    if history is None or choice is None or choice.revision is None:
        return None
    return history.content_of(choice.revision)


def _reasons(scene: RunContext, facts: Facts) -> dict[str, str]:
    """Guard id -> why it is set aside: by the command line, or by what an explicit recovery is for."""
    history = facts.history.value
    implied = recovery_reasons(history, facts.now) if scene.request.recover and history is not None else {}
    return {**implied, **scene.request.overrides}


def _unless_live(scene: RunContext, facts: Facts, guards: tuple[Guard, ...]) -> tuple[Guard, ...]:
    """Somebody's lock refuses nothing where helm need not run: a run that died leaves its lock behind."""
    history, choice = facts.history.value, facts.choice.value
    if (
        not isinstance(facts.lock.error, LockHeld)
        or history is None
        or choice is None
        or choice.revision is None
    ):
        return guards
    why = is_already_live(scene.kube, history, choice.revision)
    if not why:
        return guards
    free = {"state": WARNED, "override": "", "consequence": f"None: helm is not needed, {why}."}
    return tuple(each.model_copy(update=free) if each.id == "lock" else each for each in guards)


def _settled(scene: RunContext, guards: tuple[Guard, ...], reasons: dict[str, str]) -> tuple[Guard, ...]:
    """The guards with what the operator accepts at the terminal, all of it in the record."""
    scribe, request = scene.scribe, scene.request
    scribe.update(guards=guards)
    refused = refusals(guards)
    if refused and request.interactive and not request.plan and all(guard.override for guard in refused):
        reasons |= _accepted(scene, refused)
        guards = apply_overrides(guards, reasons)
    used = overrides_used(guards, reasons, request.break_glass)
    for each in used:
        scribe.event(f"guard {each.id} set aside: {each.reason}", "operator")
    scribe.update(guards=guards, overrides=(*scribe.record.overrides, *used))
    return guards


def _accepted(scene: RunContext, refused: Sequence[Guard]) -> dict[str, str]:
    """Guard id -> reason, as typed at the terminal; empty unless all of them are accepted.

    All questions together have one time limit.
    """
    until_s = scene.clock.monotonic_s() + ASK_S
    reasons: dict[str, str] = {}
    rest = [guard for guard in refused if guard.id != "protected"]
    with scene.display.paused(), scene.signals.raising():
        for guard in refused:
            if guard.id == "protected":
                name = scene.env.name
                why = f"{guard.evidence}. {guard.consequence}" if guard.consequence else ""
                question = f"Type the environment's name, {name}, to go ahead; anything else stops."
                if _ask(scene, why, question, until_s).text != name:
                    return {}
                reasons[guard.id] = "its name was typed at the terminal"
        if rest:
            lines = [f"REFUSED {guard.id}: {guard.evidence}\n    {guard.consequence}" for guard in rest]
            consent = parse_consent(_ask(scene, "\n".join(lines), CONSENT, until_s).text)
            if consent is None:
                return {}
            reasons |= {guard.id: consent or NOT_GIVEN for guard in rest}
    return reasons


def _ask(scene: RunContext, why: str, question: str, until_s: float) -> Reply:
    """Question and answer stay on the screen and stand in the record."""
    left_s = max(0.0, until_s - scene.clock.monotonic_s())
    shown = "\n".join(filter(None, (why, question, f"{left_s:.0f} s to answer:")))
    reply = ask(scene.redactor.text(shown), scene.clock, until_s)
    scene.scribe.event(f"asked at the terminal: {question} Answer: {reply.spoken}", "operator")
    return reply


def refuse(scene: RunContext, refused: Iterable[Guard]) -> None:
    """Record that the run ends before helm."""
    scene.scribe.update(outcome=Outcome.REFUSED)
    scene.scribe.event(f"refused by {', '.join(guard.id for guard in refused)}", "zkrollback")


def _observed(guards: Sequence[Guard]) -> str:
    refused = [f"{guard.id}: {guard.evidence}" for guard in guards if guard.state == GuardState.REFUSED]
    if refused:
        return f"refused by {'; '.join(refused)}"
    warned = [f"{guard.id}: {guard.evidence}" for guard in guards if guard.state == GuardState.WARNED]
    aside = [f"{guard.id} set aside: {guard.evidence}" for guard in guards if guard.state == OVERRIDDEN]
    said = f"{len(guards)} guards asked, none refuses"
    if aside:
        said = f"{len(guards)} guards asked, {len(aside)} set aside by the operator"
    return "; ".join([said, *aside, *warned])


def _plan(scene: RunContext, facts: Facts, history: ReleaseHistory) -> dict[str, object]:
    """What the history says before anything is done; without a target, that none could be chosen.

    The bad revision is the head, or, where the head already is the target, the last one before that differs.
    """
    head = history.head.revision
    target = facts.choice.value.revision if facts.choice.value is not None else None
    wanted = history.content_of(target) if target is not None else None
    live = target is not None and history.origin(head.revision) == history.origin(target)
    bad = history.bad_before(head.revision) if live else history.head
    return {
        "revision_before": head.revision,
        "revision_after": head.revision,
        "target_revision": target,
        "plan": Plan(
            target=wanted.revision if wanted else None,
            compared_with=bad.revision if bad else None,
            rolled_back_from=find_rolled_back_from(head, bad.revision if bad else None, helm_ran=False),
            history=history.revisions,
            objections=find_objections(history),
            diff=_diff(scene, bad, wanted) if bad and wanted else "",
            forecast=facts.forecast.value,
            change_summary=facts.change_summary.value,
        ),
    }


def _diff(scene: RunContext, bad: Release, wanted: Release) -> str:
    namespace = scene.env.namespace
    try:
        return render_manifest_diff(
            parse_manifest(bad.manifest, namespace), parse_manifest(wanted.manifest, namespace)
        )
    except HelmProblem as problem:
        return f"There is no diff: {problem}"  # no reason to stand between the operator and the rollback
