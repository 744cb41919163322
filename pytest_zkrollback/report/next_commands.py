"""What to type next, computed from the record. Pure. docs/advice.md is its table.

At most three commands, the first one being what helps most. A command is safe, or it is not proposed: none
leaves what serves, none does what a guard refused, none is for a cluster that is gone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..config.environment import Environment
from ..domain.command_line import (
    BY_NAME,
    ENV,
    IMPACT_SINCE,
    OPTIONS,
    PLAN,
    Option,
    join_command,
    lasting_impact,
    split_command,
)
from ..domain.item_ids import HEALTH, MIGRATION, NOTIFY, ROLLBACK, SMOKE
from ..domain.record import (
    GREEN_OUTCOMES,
    AdvisedStep,
    Guard,
    GuardReason,
    GuardState,
    Item,
    Mode,
    ObjectionKind,
    Outcome,
    Record,
    StepEffect,
)
from ..domain.request import not_given
from ..domain.revision_list import RevisionRow
from ..domain.timestamps import parse_time
from ..domain.verdict import Verdict
from . import way_back
from .advised_steps import as_lines, effect_of, passes_guard, rehearsal_of
from .by_hand import helm
from .failures import listed
from .way_back import Ground, Offer, Service

MOST = 3
_WRONG = "the rollback itself was wrong"
_DEPLOYED_MEANWHILE = "it was deployed meanwhile, and is right"

# What has to be done before the same command is typed again, by the guard that refused.
_FIRST = {
    "cluster": "when that is mended:",
    "configuration": "with that mended in the configuration or the command:",
    "identity": "with the context or the pin in the configuration mended:",
    "release": "with `release`, `namespace` or `context` in the configuration mended:",
    "storage": "with HELM_DRIVER unset:",
    "pending": "when that operation has ended:",
    "ownership": "when that release has given it up:",
    "gitops": "when that is suspended, or reverted in its source:",
    "head": "when that is mended:",
    "lock": "when that run has ended:",
    "helm-version": 'with a helm that works on PATH, or as helm = "..." in the configuration:',
    "permissions": "with credentials that may do it:",
    "migration": "when there is a way back for the database:",
    "forecast": "when that is mended:",
    "hook-running": "when that Job has ended:",
    "github": "when GitHub answers:",
    "commit": "with a commit that is on the branch:",
    "branch": "when the environment before it was rolled back:",
    "token": "with a token that may do it:",
    "workflow": "with `workflow` in the configuration mended:",
    "workflow-files": "with a token that may change workflows:",
    "other-rollback": "when that pull request is merged or closed:",
    "verified-before": "when that environment was verified:",
}
# Refusals that say nothing of harm to the service: the command that goes ahead is offered as a whole.
_HARMLESS = (GuardReason.NOT_PINNED, GuardReason.NOT_CONFIRMED, GuardReason.OTHER_ENVIRONMENT)
_UNKNOWN_AND_HARMLESS = ("lock", "permissions")
_ACCEPTED = "accepted"
_ASSESSED = "with the assessment of the migration as --rollback-migration-assessed=TEXT"


@dataclass(frozen=True)
class _Step:
    """A command and what it is for; ``here``: it needs the very cluster that this run saw.

    Without a command it is a remark. ``condition``, ``instead``: as of :class:`AdvisedStep`. ``effect``: None
    where the command says it.
    """

    command: str = ""
    why: str = ""
    here: bool = False
    condition: bool = False
    instead: bool = False
    effect: StepEffect | None = None


def next_commands(record: Record, env: Environment | None, file: str = "") -> tuple[str, ...]:
    """Shell lines: commands, each with a comment line (``# ...``) before it where it needs one.

    A comment line that no command follows is a remark. ``env`` is None if no environment was opened (a drill
    that did not start). ``file``: the record's own; empty: there is none.
    """
    return as_lines(advise(record, env, file))


def advise(record: Record, env: Environment | None, file: str = "") -> tuple[AdvisedStep, ...]:
    """The same as typed steps, remarks among them."""
    steps = list(_steps(record, env))
    if record.drill == "ended":
        steps = _of_a_drill_that_ended(record, steps)
    left = MOST
    kept: list[AdvisedStep] = []
    for step in steps:
        if step.command and any(step.command == each.command for each in kept):
            continue
        if step.command:
            left -= 1
        if left >= 0 or not step.command:
            kept.append(_advised(record, step))
    return (*kept, *_tell_the_rest(record, file))


def _advised(record: Record, step: _Step) -> AdvisedStep:
    rehearsed = record.outcome is Outcome.PLANNED or record.drill == "ended"
    return AdvisedStep(
        command=step.command,
        why=step.why,
        effect=step.effect or effect_of(step.command),
        condition=step.condition,
        instead=step.instead,
        overrides=passes_guard(step.command),
        rehearsal="" if rehearsed else rehearsal_of(step.command),
    )


def _tell_the_rest(record: Record, file: str) -> tuple[AdvisedStep, ...]:
    """The team has the message, and it lacks what the runbook wants told. In a drill nobody waits for it."""
    told = record.find_item(NOTIFY)
    missing = not_given(record.reason, record.next_steps)
    tells = record.helm.ran or record.helm.skipped_reason or record.mode is Mode.GITHUB
    if not (missing and file and tells) or record.drill or told is None or told.verdict is not Verdict.PASS:
        return ()
    config = [word for name, words in _options(record) if name == "--zkrollback-config" for word in words]
    note = shlex.join(["python", "-m", "pytest_zkrollback.report", "note", file])
    rest = shlex.join(["--notify", *config])
    why = f"the team was not told {' and '.join(missing)}; with your words instead of the dots:"
    return (AdvisedStep(command=f'{note} "..." {rest}', why=why, effect=StepEffect.TELLS),)


def _of_a_drill_that_ended(record: Record, steps: Sequence[_Step]) -> list[_Step]:
    kept = [step for step in steps if not step.here and step.command][: MOST - 1]
    if record.outcome is not Outcome.REFUSED and record.revision_before is not None:
        again = _typed(record, also=("--drill-keep",))
        kept.append(_Step(again, "the drill's cluster has ended; to look into one:", instead=True))
    return kept


def undo_command(record: Record) -> str:
    """How to take back a rollback that was verified, with this tool; empty: there is nothing to take back.

    It is for somebody who knows that the rollback itself was wrong: no step that follows from the verdict.
    """
    before = way_back.by_number(record).get(record.revision_before or 0)
    if record.outcome not in GREEN_OUTCOMES or not record.helm.ran or record.drill == "ended":
        return ""
    failed = {each.revision for each in record.plan.objections if each.kind is ObjectionKind.FAILED}
    if before is None or before.revision in failed:  # nothing to go back to: guard `target` would refuse
        return ""
    # Guard `target` refuses to go back to what a good rollback left.
    against = shlex.quote(f"--rollback-override=target={_WRONG}")
    return f"{_verify(record)} --rollback-to={before.revision} {against}"


@dataclass(frozen=True)
class Proposal:
    """What to go back to, or why nothing is proposed, in one sentence; and what to type next."""

    said: str
    commands: tuple[str, ...] = ()


def propose_target(
    rows: Sequence[RevisionRow],
    command_line: str,
    env: Environment,
    *,
    stranded: str = "",
    at_work: str = "",
    journal_read: bool = True,
) -> Proposal:
    """For whoever looks at the list: all revisions, newest first.

    ``stranded``: why the release has to be led out first. ``at_work``: who may be changing it just now.
    Without the journal nobody knows whether the current revision was verified: then it is not left.
    """
    verify, now = verify_command(command_line, env.name), rows[0]
    confirm = [f"--rollback-confirm={env.name}"] if env.protected else []
    check = ("# to check what is live:", verify)
    if at_work:
        return Proposal(f"Nothing is proposed now: {at_work.rstrip('.')}.")
    if stranded:
        plan = shlex.join([*shlex.split(verify), "--rollback-recover", PLAN, *confirm])
        why = "# what leading it out means; it changes nothing:"
        return Proposal(f"The release is stranded: {stranded}.", (why, plan))
    if now.verified is not None:
        return Proposal(f"Nothing to roll back: revision {now.revision} is verified.")
    if now.rollback_of is not None:
        said = f"Nothing to roll back: revision {now.revision} already is the rollback to {now.rollback_of}."
        return Proposal(said, check)
    if not journal_read:
        return Proposal(
            f"Nothing is proposed: whether revision {now.revision} was verified is not known.", check
        )
    fit = next((row for row in rows[1:] if row.status and not row.objections), None)
    if fit is None:
        return Proposal("Nothing is proposed: something speaks against every older revision.", check)
    known = "this tool verified it" if fit.verified is not None else "that it was healthy is not known"
    said = f"Revision {fit.revision} ({fit.chart}) is the newest with nothing against it; {known}."
    back = shlex.join([*shlex.split(verify), f"--rollback-to={fit.revision}", *confirm])
    return Proposal(said, (f"# to roll back, if revision {now.revision} is bad:", back))


def _steps(record: Record, env: Environment | None) -> Iterator[_Step]:
    refused = [guard for guard in record.guards if guard.state == GuardState.REFUSED]
    if refused and not record.helm.ran:
        yield from _after_refusal(record, env, refused)
    elif record.outcome is Outcome.PLANNED:
        command = _typed(record, without=(PLAN,), also=_chosen(record))
        yield from _roll_back(record, command, "to do it:")
    elif record.outcome is Outcome.INTERRUPTED:
        yield from _after_interruption(record, env)
    elif record.outcome is Outcome.VERIFIED_WITH_WAIVERS:
        yield from _after_waivers(record)
    elif record.outcome not in GREEN_OUTCOMES and env is not None:
        yield from _not_green(record, env)


def _roll_back(record: Record, command: str, why: str, *, condition: bool = False) -> Iterator[_Step]:
    """A rollback that the operator asked for, unless it would leave what serves."""
    if way_back.service_before(record) is not Service.SERVES:
        yield _Step(command, why, condition=condition)
        return
    number = record.revision_before
    yield _Step(
        _verify(record), f"nothing is known to be wrong with revision {number}; to check it:", here=True
    )
    yield _Step(why="if users are affected all the same, say so: --rollback-signal=users-impacted=yes")


# After a refusal.


def _after_refusal(record: Record, env: Environment | None, refused: Sequence[Guard]) -> Iterator[_Step]:
    ids = {guard.id for guard in refused}
    reasons = {guard.reason for guard in refused}
    if env is not None:
        yield from _look_first(record, env, refused)
    if GuardReason.NOT_STRANDED in reasons:
        yield _Step(_verify(record), "the release needs no recovery; to check what is live:", here=True)
        return
    if any(map(_has_moved, refused)):  # what was seen of the service was seen of another revision
        yield _Step(_verify(record), "check what is live now:", here=True)
        yield _Step(why="if a rollback is still right after that, the same command looks at all of it anew")
    elif "target" in ids and record.plan.history and record.github is None:
        yield from _another_target(record, env, refused)
    else:
        cures = [command for guard in refused for command in guard.commands]
        if cures and record.drill != "ended":
            keep = "to keep it where it is, with everything in it:"
            yield _Step(" && ".join(cures), keep, here=True, effect=StepEffect.CHANGES)
        why = "and then:" if cures and record.drill != "ended" else _when(record, refused)
        yield from _again(record, refused, why)
    for guard in refused:
        if guard.override and not _is_harmless(record, guard):
            yield _Step(why=f"{guard.override} goes ahead against it, recorded: {_first_sentence(guard)}")
    unknown = all(guard.unknown for guard in refused)
    # Nothing by hand is a way around what GitHub did not say.
    if env is not None and unknown and "github" not in ids:
        yield _Step(helm(env, "history", record.release), "or look at it by hand:", here=True, instead=True)
        number = record.target_revision
        readable = GuardReason.KUBECONFIG not in reasons  # else helm finds no cluster either
        if record.mode is Mode.ROLLBACK and number is not None and readable and not record.plan.history:
            # By hand it prunes as little as ours (docs/helm-facts.md, 5).
            by_hand = helm(env, "rollback", record.release, str(number), "--history-max", "0")
            why = f"and if that history says that {number} is right:"
            yield _Step(by_hand, why, here=True, condition=True, instead=True)


def _look_first(record: Record, env: Environment, refused: Sequence[Guard]) -> Iterator[_Step]:
    reasons = {guard.reason for guard in refused}
    if any(guard.id == "release" and not guard.unknown for guard in refused):
        yield _Step(helm(env, "list", "--all-namespaces"), "which releases there are:", here=True)
    if any(map(_has_moved, refused)):
        yield _Step(helm(env, "history", record.release), "look first:", here=True)
    if GuardReason.HOOK_RUNNING in reasons:
        yield _Step(helm(env, "get", "hooks", record.release), "look at the hook first:", here=True)


def _another_target(record: Record, env: Environment | None, refused: Sequence[Guard]) -> Iterator[_Step]:
    """The target that was asked for is none: what is better, if something has to be done at all."""
    known, offers = way_back.service_before(record), way_back.offers(record)
    if known is Service.BROKEN and offers:
        instead = f"--rollback-to={offers[0].revision.revision}"
        others = [guard for guard in refused if guard.id not in ("target", "forecast")]  # of that revision
        why = _when(record, others) if others else ""
        command = _typed(record, without=("--rollback-to",), also=(instead, *_goes_ahead(record, others)))
        yield _Step(command, why or _offered(offers[0]), condition=_needs_mending(record, others))
        return
    if env is not None:
        yield _Step(helm(env, "history", record.release), _which_exist(record), here=True)
    if known is Service.SERVES:
        why = f"nothing is known to be wrong with revision {record.revision_before}; to check it:"
        yield _Step(_verify(record), why, here=True)
    # What was rolled back away from is refused as a target: nobody is sent there.
    elif better := [each.revision.revision for each in offers if each.ground is not Ground.LEFT]:
        plan = f"{_verify(record)} --rollback-to={better[0]} --rollback-plan"
        yield _Step(plan, f"what going back to {better[0]} means; it changes nothing:")


def _which_exist(record: Record) -> str:
    numbers = [each.revision for each in record.plan.history]
    if len(numbers) == 1:
        return f"there is revision {numbers[0]} alone; to look at it:"
    which = f"{numbers[0]} to {numbers[-1]}"
    if len(numbers) != numbers[-1] - numbers[0] + 1 or len(numbers) == 2:
        which = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return f"there are revisions {which}; to look at them:"


def _again(record: Record, refused: Sequence[Guard], why: str) -> Iterator[_Step]:
    if any(guard.reason is GuardReason.STRANDED for guard in refused):
        command = _typed(record, without=("--rollback-to",), also=("--rollback-recover",))
        yield _Step(command, "to lead the stranded release out:")
        return
    command = _typed(record, also=_goes_ahead(record, refused))
    if record.mode in (Mode.PLAN, Mode.VERIFY):  # changes nothing
        yield _Step(command, why)
    else:
        yield from _roll_back(record, command, why, condition=_needs_mending(record, refused))


def _needs_mending(record: Record, refused: Sequence[Guard]) -> bool:
    """Whether something has to become true before the same command goes ahead."""
    return not all(_is_harmless(record, guard) for guard in refused)


def _when(record: Record, refused: Sequence[Guard]) -> str:
    """What has to be done before the command is typed again."""
    reasons = {guard.reason for guard in refused}
    unknown = {guard.id for guard in refused if guard.unknown}
    if GuardReason.KUBECONFIG in reasons:
        return "set KUBECONFIG, or kubeconfig in the environment's table, then:"
    if "release" in unknown:
        return _FIRST["cluster"]
    mended = [each for each in refused if not _is_harmless(record, each)]
    for guard in mended:
        if guard.id in _FIRST:
            return _FIRST[guard.id]
    if mended:
        return "again:"
    if all(guard.id == "protected" for guard in refused):
        return "to go ahead in the protected environment:"
    return "to go ahead, recorded (your reason instead of 'accepted'):"


def _has_moved(guard: Guard) -> bool:
    """Whether somebody changed the release since the plan: also the run whose lock was waited for."""
    return guard.reason in (GuardReason.NEW_REVISION, GuardReason.NEW_STATUS)


def _is_harmless(record: Record, guard: Guard) -> bool:
    """Whether going past this refusal harms nothing that is known: then the command is offered as a whole."""
    forecast = record.plan.forecast
    if guard.reason is GuardReason.WOULD_FAIL:
        return forecast is not None and forecast.forcible
    return guard.reason in _HARMLESS or (guard.unknown and guard.id in _UNKNOWN_AND_HARMLESS)


def _goes_ahead(record: Record, refused: Sequence[Guard]) -> tuple[str, ...]:
    """The options that pass the refusals that harm nothing."""
    passed = [guard for guard in refused if _is_harmless(record, guard)]
    confirm = [f"--rollback-confirm={record.environment}" for guard in passed if guard.id == "protected"]
    rest = [guard.id for guard in passed if guard.id != "protected" and guard.override]
    return (*confirm, *(f"--rollback-override={each}={_ACCEPTED}" for each in rest))


def _first_sentence(guard: Guard) -> str:
    text = guard.consequence or guard.evidence
    return text.split(". ")[0].rstrip(".") + "."


# After an interruption.


def _after_interruption(record: Record, env: Environment | None) -> Iterator[_Step]:
    if record.revision_before is None:
        yield _Step(_typed(record), "again:")
        return
    verify = _Step(_verify_again(record), "check what is live:", here=True)
    if env is not None and record.helm.running:
        history = helm(env, "history", record.release)
        yield _Step(history, "helm may still be at work; wait for its end:", here=True)
        yield verify
        return
    yield verify
    if record.mode is Mode.GITHUB:
        yield _Step(_typed(record), "to go on at GitHub where it stopped:")
    elif (
        record.mode in (Mode.ROLLBACK, Mode.RECOVER)
        and not record.helm.ran
        and not record.helm.skipped_reason
    ):
        if way_back.service_before(record) is not Service.SERVES:
            yield _Step(_typed(record), "to roll back after all:")
    elif env is not None and record.helm.ran:
        yield _Step(helm(env, "history", record.release), "or look at the history:", here=True, instead=True)


def _after_waivers(record: Record) -> Iterator[_Step]:
    said = {each.id for each in record.overrides if each.kind == "item"}
    # A migration may be waived by what was said in an earlier run.
    waived = [
        item.id
        for item in record.items
        if item.verdict is Verdict.WAIVED and (item.id in said or item.id == MIGRATION)
    ]
    rest = [each for each in waived if each != MIGRATION]
    why = f"when {listed(rest)} can be checked after all" if rest else "check again"
    if MIGRATION in waived:  # else the next run remembers that it was waived
        why += f", {_ASSESSED}"
    if waived:
        yield _Step(_verify_again(record), f"{why}:", here=True, condition=bool(rest))


# After a failure, or where something was not verified.


def _not_green(record: Record, env: Environment) -> Iterator[_Step]:
    failed = way_back.failed_on(record)
    red = [item for item in record.items if item.verdict is Verdict.FAIL]
    red += [item for item in record.items if item.verdict in (Verdict.UNVERIFIED, None)]
    by_hand = [
        _Step(item.command, f"by hand, {item.id}:", here=True, effect=_effect_by_hand(item))
        for item in red
        if item.command
    ]
    steps: list[_Step] = []
    if record.outcome is Outcome.SUPERSEDED:
        steps.append(_Step(helm(env, "history", record.release), "see who changed it:", here=True))
        by_hand = []
    elif way_back.met_another_helm(record):
        steps += _after_another_helm(record, env)
        by_hand = []
    elif way_back.helm_failed(record):
        steps += _after_helm_failed(record, env)
        by_hand = []
    elif record.mode is Mode.GITHUB and (at_github := _at_github(record)) is not None:
        steps.append(at_github)
        by_hand = []
    elif way_back.has_come_up(record):
        by_hand = []
    elif (number := way_back.failed_by_helm_alone(record)) is not None:
        again = shlex.join([*shlex.split(_verify(record)), f"--rollback-to={number}", *_confirm(record)])
        steps.append(_Step(again, "the same rollback again, after which Helm calls it deployed:", here=True))
    elif not failed:
        steps += _cures(record, Verdict.UNVERIFIED)
        if way_back.only_users_show_it(record):
            cause = f"if revision {record.revision_before} is the cause"
            steps += [
                replace(step, condition=True, why=f"{cause}: {step.why}") for step in _go_back(record, env)
            ]
    else:
        steps += _cures(record, Verdict.FAIL)
        if way_back.service_now(record) is Service.BROKEN:
            steps += [replace(step, instead=bool(steps)) for step in _go_back(record, env)]
    steps += by_hand
    yield from steps[: MOST - 1]
    needs_url = env.url is None and any(item.id in (SMOKE, HEALTH) for item in red)
    assess = any(item.id == MIGRATION for item in red)
    why = "it has come up since; check again:" if way_back.has_come_up(record) else "check again:"
    if needs_url:
        why = f'with url = "https://..." added to [environments.{env.name}]:'
    elif assess:
        why = f"check again, {_ASSESSED}:"
    yield _Step(_verify_again(record), why, here=True, condition=needs_url or assess)
    if (number := way_back.stays_deployed(record)) is not None:
        yield _Step(
            why=f"revision {number} failed, and Helm's history goes on to call it deployed: "
            "a `helm rollback` or a pipeline's next `previous` would trust it"
        )


def _effect_by_hand(item: Item) -> StepEffect:
    return StepEffect.TELLS if item.id == NOTIFY else StepEffect.LOOKS


def _cures(record: Record, word: Verdict) -> list[_Step]:
    """What the observations of items with this verdict name as the cure."""
    found = [(item.id, item.cures) for item in record.items if item.verdict is word and item.cures]
    if not found:
        return []
    command = " && ".join(dict.fromkeys(each for _, cures in found for each in cures))
    why = f"what {' and '.join(item_id for item_id, _ in found)} needs:"
    return [_Step(command, why, here=True, effect=StepEffect.CHANGES)]


def _go_back(record: Record, env: Environment) -> list[_Step]:
    if record.plan.stranded and not record.helm.ran:
        recover = shlex.join([*shlex.split(_verify(record)), "--rollback-recover", *_confirm(record)])
        why = f"{record.plan.stranded}; when no helm works on it, to lead it out:"
        return [_Step(recover, why, condition=True)]
    offers = way_back.offers(record)
    if offers:
        return [_to(record, offers[0])]
    why = "nothing is left that nothing speaks against; look at the history:"
    return [_Step(helm(env, "history", record.release), why, here=True)]


def _after_helm_failed(record: Record, env: Environment) -> list[_Step]:
    if not way_back.has_new_revision(record):
        known = record.revision_after is not None
        why = "nothing was changed; when its cause is mended:"
        again = list(_roll_back(record, _typed(record), why, condition=True))
        return again if known else [_Step(helm(env, "history", record.release), "look first:", here=True)]
    offers = way_back.offers(record)
    if offers and offers[0].ground is Ground.LEFT and way_back.service_before(record) is Service.SERVES:
        return [_to(record, offers[0])]
    broken = way_back.service_now(record) is Service.BROKEN
    recover = ("--rollback-recover",) if record.plan.stranded else ()
    without = ("--rollback-to",) if record.plan.stranded else ()
    again_command = _typed(record, without=without, also=(*recover, *_past_pending(record)))
    why = "when its cause is mended, to lead the release out:"
    steps = [_Step(again_command, why, here=True, condition=True)]
    return steps + [replace(_to(record, each), instead=True) for each in offers[:1] if broken]


def _after_another_helm(record: Record, env: Environment) -> list[_Step]:
    """What another helm made is said to be right or wrong by who ran it: nothing here knows that."""
    steps = [_Step(helm(env, "history", record.release), "see who else deployed, and ask:", here=True)]
    number = way_back.newest_that_came_up(record, record.helm.came_between)
    if number is not None and not record.helm.beside:
        options = [f"--rollback-to={number}", *_confirm(record)]
        against = shlex.quote(f"--rollback-override=target={_DEPLOYED_MEANWHILE}")
        why = f"if revision {number}, which came between, was right, to bring it back:"
        command = f"{_verify(record)} {shlex.join(options)} {against}"
        steps.append(_Step(command, why, here=True, condition=True))
    if record.helm.beside and record.target_revision is not None:
        again = [f"--rollback-to={record.target_revision}", *_confirm(record)]
        why = f"when no other helm is at work, revision {record.target_revision} alone:"
        steps.append(_Step(f"{_verify(record)} {shlex.join(again)}", why, here=True, condition=True))
    return steps


def _to(record: Record, offer: Offer) -> _Step:
    options = [f"--rollback-to={offer.revision.revision}", *_confirm(record), *_past_pending(record)]
    # On a drill that has ended the numbers begin anew.
    here = way_back.has_new_revision(record)
    return _Step(f"{_verify(record)} {shlex.join(options)}", _offered(offer), here=here)


def _confirm(record: Record) -> tuple[str, ...]:
    return (f"--rollback-confirm={record.environment}",) if record.protected else ()


def _past_pending(record: Record) -> tuple[str, ...]:
    """For a revision that our own helm left pending: its end was seen, so nothing is under way."""
    now = way_back.by_number(record).get(record.revision_after or 0)
    ended = record.helm.ran and not record.helm.running and way_back.has_new_revision(record)
    if now is None or not now.status.startswith("pending") or not ended:
        return ()
    return (f"--rollback-override=pending=the helm of run {record.run_id} has ended",)


def _offered(offer: Offer) -> str:
    number, chart = offer.revision.revision, offer.revision.chart
    match offer.ground:
        case Ground.LEFT:
            return f"to take the rollback back: revision {number} ({chart}), from which it came:"
        case Ground.VERIFIED:
            return f"revision {number} ({chart}) is the newest that this tool verified:"
        case _:
            return f"revision {number} ({chart}) is the newest with nothing against it:"


def _at_github(record: Record) -> _Step | None:
    """What GitHub waits for, before the same command goes on; None: it has nothing to do there."""
    github, rolled = record.github, record.find_item(ROLLBACK)
    if github is None or rolled is None or rolled.verdict is Verdict.PASS:
        return None
    run, pull = (github.runs[-1] if github.runs else None), github.pull_request
    if run is not None and run.status != "completed":
        why = f"when {run.url} has ended:"
        if run.pending_approval:
            why = f"when {run.url} is approved:"
    elif run is not None and run.conclusion != "success":
        why = f"when the cause is mended, see {run.url}:"
    elif run is None and pull is not None and pull.state == "open":
        why = f"when {pull.url} is {'approved' if pull.pending_approval else 'merged'}:"
    elif run is None:
        return _Step(_typed(record), "to go on at GitHub where it stopped:")
    else:
        return None
    return _Step(_typed(record), why, condition=True)


# Command lines.


def _typed(record: Record, without: Sequence[str] = (), also: Sequence[str] = ()) -> str:
    """What the operator typed, with some options taken out and others added."""
    added = {each.partition("=")[0] for each in also}
    replaced = {name for name in added if name not in BY_NAME or not BY_NAME[name].repeatable}
    kept = [
        word
        for option, words in _options(record)
        if option not in without and option not in replaced
        for word in words
    ]
    return join_command(kept, also)


def _chosen(record: Record) -> tuple[str, ...]:
    """The number behind a name, so that what was looked at is what is done.

    Without any option that asks for a rollback it was `previous` that was rehearsed.
    """
    given = {name for name, _ in _options(record)}
    named = "--rollback-to" in given or not given & {each.name for each in OPTIONS if each.rolls_back}
    return (f"--rollback-to={record.target_revision}",) if named and record.target_revision else ()


def _verify(record: Record) -> str:
    return verify_command(record.command_line, record.environment)


def verify_command(command_line: str, environment: str) -> str:
    """``pytest --env=NAME``, with what was typed to find the environment and to report on it."""
    typed = _typed_options(command_line, environment)
    kept = [(option.name, words) for option, words in typed if option is not None and option.stays]
    if not any(name == ENV for name, _ in kept):
        kept.insert(0, (ENV, [f"{BY_NAME[ENV].label}={environment}"]))
    return shlex.join(["pytest", *(word for _, words in kept for word in words)])


def _verify_again(record: Record) -> str:
    """The same, with what was typed that only goes with verifying: it stands before no rollback."""
    again = [words for name, words in _options(record) if name and BY_NAME[name].only_verifies]
    return shlex.join([*shlex.split(_verify(record)), *(word for words in again for word in words)])


def _options(record: Record) -> list[tuple[str, list[str]]]:
    """The same of a record. "20 minutes ago" is another time when it is typed again, so it is repeated as the
    time that it was."""
    typed = _typed_options(record.command_line, record.environment)
    return [(option.name if option else "", _lasting(record, option, words)) for option, words in typed]


def _typed_options(command_line: str, environment: str) -> list[tuple[Option | None, list[str]]]:
    """Each of our options that was typed, with its words; what is not ours comes with None."""
    try:
        return list(split_command(command_line))
    except ValueError:
        return [(BY_NAME[ENV], [f"{BY_NAME[ENV].label}={environment}"])]


def _lasting(record: Record, option: Option | None, words: list[str]) -> list[str]:
    since = record.impact_since
    if option is None or option.name != IMPACT_SINCE or since is None:
        return words
    if parse_time(words[-1].removeprefix(f"{IMPACT_SINCE}=")) is not None:
        return words
    return [lasting_impact(since)]
