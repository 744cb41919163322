"""First step: ask everything read-only, judge the guards, write the plan down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from ..domain.errors import LockHeld, UsageProblem
from ..domain.item_ids import PREFLIGHT
from ..domain.record import Guard, GuardState, Outcome, Plan
from ..domain.verdict import Verdict
from ..preflight.facts import fetch_facts
from ..preflight.guards import in_order, judge_guards, judge_pipeline_guards, judge_verify_guards
from ..preflight.guards.cluster import judge_clock, judge_notify, refusals
from ..preflight.overrides import apply_overrides
from ..preflight.probe import OVERRIDDEN, WARNED, Facts
from ..preflight.recovery import needs_no_hooks, recovery_reasons
from ..preflight.release_view import ReleaseView
from ..preflight.target import describe_history
from ..release.applied_revision import is_already_live
from ..release.ca_bundles import ca_bundles
from ..release.drift import LiveObject
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory
from ..release.ignored_differences import IgnoreRules
from ..release.managed_fields import HELM
from ..release.manifest import ObjectKey, identity, render_diffs
from ..rollback.redeploy_risks import find_rolled_back_from
from .consent import ask_for_consent
from .context import RunContext
from .decision_step import note_decision, outside_questions
from .lock_wait import MadeByAnother, judge_what_it_made, wait_for_holder, waiting_helps
from .results import PreflightResult, Refusal
from .secrets import register_secrets_of_release


def run_preflight(
    context: RunContext, also: Callable[[Facts], tuple[Guard, ...]] = lambda _: ()
) -> PreflightResult | Refusal:
    """What is known, or the guards that refuse: then nothing was changed and nothing more happens.

    ``also`` asks what only a rollback through GitHub has to know. Raises UsageProblem where the configuration
    would ignore what runs.
    """
    env, recorder, request = context.env, context.recorder, context.request
    began = context.clock.now()
    context.display.status(f"preflight: {env.release} in namespace {env.namespace}, context {env.context}")

    view, facts = _fetch(context, request.target)
    offset = _set_clock_right(context)
    _require_harmless_ignore(context, view, facts)
    guards = _judge(context, view, facts, also)
    facts, guards, made_by = _after_holder(context, facts, guards)
    clock = context.clock
    guards = (*guards, *judge_notify(context.notifier.unusable))
    guards = (*guards, *judge_clock(clock.offset_s, clock.disagreement_s))
    plan = Plan()
    target = facts.choice.value.revision if facts.choice.value is not None else None
    if facts.history.value is not None:
        register_secrets_of_release(context.redactor, facts.history.value, env.namespace)
        plan = _plan(context, view, facts, facts.history.value)
        head = facts.history.value.head.revision.revision
        recorder.update(revision_before=head, revision_after=head, target_revision=target, plan=plan)
        if _release(facts) is not None and request.target is not None and facts.change_summary.value is None:
            recorder.event(
                f"what going back means was not gathered: {facts.change_summary.why}", "zkrollback"
            )
    if request.target is not None:
        guards = in_order((*guards, note_decision(context, facts.outside, target or request.target)))
        guards = apply_overrides(guards, _reasons(context, facts), request.break_glass)
    versions = {}
    if facts.server.value is not None:
        versions["Kubernetes"] = facts.server.value
    if facts.helm.value is not None:
        versions["Helm"] = facts.helm.value.text
        recorder.update_helm(version=facts.helm.value.text)
    recorder.add(versions=versions)
    guards = ask_for_consent(context, guards, _reasons(context, facts))
    refused = refusals(guards)
    recorder.item(
        PREFLIGHT,
        verdict=Verdict.FAIL if refused else Verdict.PASS,
        observed=_observed(guards),
        started_at=began + offset,
        finished_at=context.clock.now(),
    )
    if refused:
        recorder.update(outcome=Outcome.REFUSED)
        recorder.event(f"refused by {', '.join(guard.id for guard in refused)}", "zkrollback")
        return Refusal(tuple(refused))
    recorder.event("preflight passed", "zkrollback")
    context.display.changed()
    return PreflightResult(
        history=facts.history.value,
        target=target,
        plan=plan,
        helm_version=facts.helm.value,
        no_hooks=needs_no_hooks(facts.hook_jobs.value or ()),
        lock_holder=facts.lock.error.run_id if isinstance(facts.lock.error, LockHeld) else "",
        overridden=frozenset(guard.id for guard in guards if guard.state == OVERRIDDEN),
        started_at=began + offset,
        journal=facts.entries,
        made_by=made_by,
        injected=_injected(view, facts),
        lock=facts.lock.value,
    )


def _fetch(context: RunContext, asked: int | str | None) -> tuple[ReleaseView, Facts]:
    """Ask everything; ``asked`` is the target as typed, or its number once that is known."""
    request, lock = context.request, context.lock()
    view = ReleaseView(context.env, context.kube, lock.fetch, asked)
    facts = fetch_facts(
        context.env,
        context.kube,
        context.helm,
        view,
        lock.require_free,
        context.clock,
        writes=request.target is not None,
        locks=request.through_github,
        recovers=request.recover,
        patient=request.break_glass is not None,
        driver=os.environ.get("HELM_DRIVER", ""),
        outside=outside_questions(context, view) if request.target is not None else None,
    )
    return view, facts


def _judge(
    context: RunContext, view: ReleaseView, facts: Facts, also: Callable[[Facts], tuple[Guard, ...]]
) -> tuple[Guard, ...]:
    env, request = context.env, context.request
    if request.through_github:
        guards = (*judge_pipeline_guards(facts, env, request.confirm), *also(facts))
        return apply_overrides(guards, request.overrides, request.break_glass)
    if request.target is None:
        return judge_verify_guards(facts, env)
    objects = view.objects_of(_release(facts))
    guards = judge_guards(facts, env, request.confirm, objects, recovers=request.recover)
    return _unless_live(context, facts, guards)


def _after_holder(
    context: RunContext, facts: Facts, guards: tuple[Guard, ...]
) -> tuple[Facts, tuple[Guard, ...], str]:
    """Where nothing but another run at work refuses: the same once that has given the lock back.

    The text says that it made what was asked for; where it did not, this run refuses. What was asked for is
    the number that was chosen at first: by then ``previous`` would be another one.
    """
    request, held = context.request, facts.lock.error
    choice, before = facts.choice.value, facts.history.value
    refused = refusals(apply_overrides(guards, _reasons(context, facts), request.break_glass))
    if not isinstance(held, LockHeld) or not waiting_helps(refused) or request.plan or request.through_github:
        return facts, guards, ""
    if before is None or choice is None or choice.revision is None:
        return facts, guards, ""
    head = before.head.revision.revision  # what an interruption of the waiting leaves
    context.recorder.update(revision_before=head, revision_after=head, target_revision=choice.revision)
    if not wait_for_holder(context, context.lock(), held):
        return facts, guards, ""
    view, facts = _fetch(context, choice.revision)
    guards, now = _judge(context, view, facts, lambda _: ()), facts.history.value
    if now is None:
        return facts, guards, ""  # then another guard refuses
    made = judge_what_it_made(held, before, now, choice.revision)
    if isinstance(made, MadeByAnother):
        return facts, guards, made.reason
    return facts, tuple(made if guard.id == made.id else guard for guard in guards), ""


def _injected(view: ReleaseView, facts: Facts) -> dict[ObjectKey, str]:
    """Who has filled in the CA bundle of an object of the target; only asked where helm may take it away."""
    live: Mapping[ObjectKey, LiveObject] = facts.live.value or {}
    found: dict[ObjectKey, str] = {}
    release = _release(facts)
    wrote = (HELM, *([release.manager] if release is not None and release.manager else []))
    for item in view.objects_of(release) if live else ():
        answer = live.get(identity(item))
        bundles = ca_bundles(item, answer.item, wrote) if answer is not None and answer.item else ()
        found |= {identity(item): one.by for one in bundles if one.is_stated and one.is_filled and one.by}
    return found


def _require_harmless_ignore(context: RunContext, view: ReleaseView, facts: Facts) -> None:
    """Only the target's objects tell whether an entry covers what runs: a ConfigMap that a pod reads."""
    objects = view.objects_of(_release(facts)) if context.env.ignore else ()
    refusal = next(IgnoreRules.made_for(context.env.ignore, objects).refusals(objects), "")
    if refusal:
        raise UsageProblem(f"{refusal}: what runs is never ignored; helm did not run.")


def _set_clock_right(context: RunContext) -> timedelta:
    """What was noted before the API server had said its time, by which it is now known to have been wrong."""
    offset = timedelta(seconds=round(context.clock.offset_s))
    if offset:
        context.recorder.move(offset)
        which = "behind" if offset > timedelta() else "ahead of"
        off_s = abs(offset.total_seconds())
        text = f"this machine's clock is {off_s:.0f} s {which} the API server's, which counts"
        context.recorder.event(text, "zkrollback")
    return offset


def _release(facts: Facts) -> Release | None:
    """The target's content, where it is known."""
    history, choice = facts.history.value, facts.choice.value
    if history is None or choice is None or choice.revision is None:
        return None
    return history.content_of(choice.revision)


def _reasons(context: RunContext, facts: Facts) -> dict[str, str]:
    """Guard id -> why it is overridden: by the command line, or by what an explicit recovery is for."""
    history = facts.history.value
    implied = recovery_reasons(history, facts.now) if context.request.recover and history is not None else {}
    return {**implied, **context.request.overrides}


def _unless_live(context: RunContext, facts: Facts, guards: tuple[Guard, ...]) -> tuple[Guard, ...]:
    """Somebody's lock refuses nothing where helm need not run: a run that died leaves its lock behind."""
    history, choice = facts.history.value, facts.choice.value
    if (
        not isinstance(facts.lock.error, LockHeld)
        or history is None
        or choice is None
        or choice.revision is None
    ):
        return guards
    why = is_already_live(context.kube, history, choice.revision)
    if not why:
        return guards
    free = {"state": WARNED, "override": "", "consequence": f"None: helm is not needed, {why}."}
    return tuple(each.model_copy(update=free) if each.id == "lock" else each for each in guards)


def _observed(guards: Sequence[Guard]) -> str:
    refused = [f"{guard.id}: {guard.evidence}" for guard in guards if guard.state == GuardState.REFUSED]
    if refused:
        return f"refused by {'; '.join(refused)}"
    warned = [f"{guard.id}: {guard.evidence}" for guard in guards if guard.state == GuardState.WARNED]
    aside = [f"{guard.id} overridden: {guard.evidence}" for guard in guards if guard.state == OVERRIDDEN]
    said = f"{len(guards)} guards asked, none refuses"
    if aside:
        said = f"{len(guards)} guards asked, {len(aside)} overridden by the operator"
    return "; ".join([said, *aside, *warned])


def _plan(context: RunContext, view: ReleaseView, facts: Facts, history: ReleaseHistory) -> Plan:
    """What the history says before anything is done; without a target, that none could be chosen.

    The target is compared with the head, or, where the head already is the target, with the last revision
    before that differs.
    """
    head = history.head.revision
    target = facts.choice.value.revision if facts.choice.value is not None else None
    wanted = history.content_of(target) if target is not None else None
    live = target is not None and history.origin(head.revision) == history.origin(target)
    compared = history.find_replaced(head.revision) if live else history.head
    return Plan(
        target=wanted.revision if wanted else None,
        compared_with=compared.revision if compared else None,
        rolled_back_from=find_rolled_back_from(head, compared.revision if compared else None, helm_ran=False),
        **describe_history(history, facts.entries),
        diff=_diff(context, view, compared, wanted) if compared and wanted else "",
        forecast=facts.forecast.value,
        change_summary=facts.change_summary.value,
    )


def _diff(context: RunContext, view: ReleaseView, compared: Release, wanted: Release) -> str:
    unread = [
        f"# Not compared: {document} of revision {release.revision.revision}"
        for release in (compared, wanted)
        for document in release.read(context.env.namespace).unread
    ]
    diff = render_diffs(view.diffs(compared, wanted))
    return "\n".join([*unread, *([diff] if diff else [])])
