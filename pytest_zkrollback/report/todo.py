"""What is left to do: one table, the same on the page and in Markdown. Pure.

A row says what, why, who, by when and with which command. Nobody is put down for a task who was not named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..domain.item_ids import NOTIFY, PREFLIGHT, ROLLBACK
from ..domain.notes import NoteKind
from ..domain.record import (
    GREEN_OUTCOMES,
    AdvisedStep,
    GuardReason,
    GuardState,
    Item,
    Outcome,
    Record,
    StepEffect,
)
from ..domain.verdict import Verdict
from .advised_steps import advised_steps
from .failures import failed_own_tests, grouped, listed, refused
from .formatting import capital
from .incident_facts import find_affected
from .post_mortem import added_by
from .sanitize import inert_line
from .summary import NONE_GIVEN, item_name, plural, redeploy_risks_title
from .way_back import Service, service_now

NOBODY = "nobody named"
NO_DATE = "not said"
_WHY_LIMIT = 300
_MOST_ALONE = 3


class NextCommand(NamedTuple):
    """One of the commands to type next, and the sentence before it."""

    why: str
    command: str


class Todo(NamedTuple):
    """One task. ``command`` may be empty; ``changes``: the release, or the cluster."""

    what: str
    why: str = ""
    command: str = ""
    owner: str = NOBODY
    due: str = NO_DATE
    changes: bool = False


def must_act(record: Record) -> bool:
    """Whether somebody has to act now: users are not served, or what was changed is not known to be good."""
    if find_affected(record).now is True:
        return True
    if record.outcome in GREEN_OUTCOMES or record.outcome in (Outcome.SUPERSEDED, Outcome.RUNNING):
        return False
    broken = record.outcome is Outcome.FAILED and service_now(record) is Service.BROKEN
    by_github = record.github is not None and record.github.deploys
    return broken or record.helm.ran or by_github


def do_now(record: Record) -> NextCommand | None:
    """The one command that comes before everything else; None where nothing is urgent, or none is safe.

    It is safe to copy: it only looks, or it leads out and nothing has to be true first. A rollback with a
    condition, or one that passes a guard, is rehearsed first: that changes nothing.
    """
    urgent = _urgent(record)
    if urgent is None:
        return None
    step, rehearsed = urgent
    if not rehearsed:
        return NextCommand(capital(step.why), step.command)
    why = "See whether it can go ahead" if step.condition else "See first what it would do"
    return NextCommand(f"{why}; this changes nothing:", step.rehearsal)


def _urgent(record: Record) -> tuple[AdvisedStep, bool] | None:
    """The step to begin with, and whether it is rehearsed."""
    if not must_act(record):
        return None
    for step in _commands(record):
        if step.effect is StepEffect.LOOKS or (step.effect is StepEffect.CHANGES and not _guarded(step)):
            return step, False
        if step.rehearsal and not step.instead:
            return step, True
    return None


def _guarded(step: AdvisedStep) -> bool:
    return step.condition or step.overrides or step.instead


def _commands(record: Record) -> list[AdvisedStep]:
    return [step for step in advised_steps(record) if step.command]


def remarks(record: Record) -> tuple[str, ...]:
    """What has to be known beside the commands."""
    return tuple(capital(step.why) for step in advised_steps(record) if not step.command)


def find_todos(record: Record) -> tuple[Todo, ...]:
    """All tasks but the one to do now, the most pressing first. At most one of their commands changes the
    release."""
    cause = _cause(record)
    others = (
        *_own_tests(record),
        *_skipped(record),
        *_unknown(record),
        *_configuration(record),
        *_reverts(record),
        *_actions(record),
        *_planned(record),
    )
    said = {each.command for each in others}
    steps = (
        Todo(_sentence(step) or "Next", cause, step.command, changes=step.effect is StepEffect.CHANGES)
        for step in _sorted_out(record)[0]
        if step.command not in said
    )
    return (*steps, *others)


def alternatives(record: Record) -> tuple[NextCommand, ...]:
    """What is for when the rest does not help: no tasks, for what comes first may make them needless."""
    return tuple(NextCommand(capital(step.why), step.command) for step in _sorted_out(record)[1])


def _sorted_out(record: Record) -> tuple[list[AdvisedStep], list[AdvisedStep]]:
    """The steps that are left to do, and those for when these do not help."""
    urgent, tasks, instead = _urgent(record), list[AdvisedStep](), list[AdvisedStep]()
    acted = urgent is not None and not urgent[1] and urgent[0].effect is StepEffect.CHANGES
    changed = False  # by a task
    for step in _commands(record):
        if urgent == (step, False):
            continue
        changes = step.effect is StepEffect.CHANGES
        # What has to be done first is what Do now does.
        if step.instead or (changes and (changed or (acted and not step.condition))):
            instead.append(step)
        else:
            tasks.append(step)
            changed |= changes
    return tasks, instead


def _sentence(step: AdvisedStep) -> str:
    return capital(step.why).rstrip(":")


def _cause(record: Record) -> str:
    """Why there is a command at all."""
    failed = sum(item.verdict is Verdict.FAIL for item in record.items)
    unknown = sum(item.verdict in (Verdict.UNVERIFIED, None) for item in record.items)
    match record.outcome:
        case Outcome.FAILED:
            return f"{plural(failed, 'check')} failed"
        case Outcome.UNVERIFIED:
            return f"{plural(unknown, 'check')} could not be verified"
        case Outcome.INTERRUPTED:
            return "the run was stopped"
        case Outcome.REFUSED:
            return "the rollback was refused"
        case Outcome.PLANNED:
            return "this was a rehearsal"
        case Outcome.VERIFIED_WITH_WAIVERS:
            return "a check was skipped"
    return ""


def _own_tests(record: Record) -> Iterator[Todo]:
    for test in failed_own_tests(record):
        yield Todo(f"Look at the own test {test.node_id}", inert_line(test.first_line, _WHY_LIMIT))


def _skipped(record: Record) -> Iterator[Todo]:
    reasons = {each.id: each.reason for each in record.overrides if each.kind == "item"}
    for item in record.items:
        if item.verdict is Verdict.WAIVED and item.id in reasons:
            by = record.operator or "the operator"
            why = f"skipped by {by}: {inert_line(reasons[item.id], _WHY_LIMIT)}"
            yield Todo(f"Check what was skipped: {item_name(record, item.id)}", why, item.command)


def _unknown(record: Record) -> Iterator[Todo]:
    """Checks that did not get an answer; those that were not reached for one reason are one task."""
    if refused(record) or record.outcome is Outcome.RUNNING:
        return
    open_ = [
        item
        for item in record.items
        if item.verdict in (Verdict.UNVERIFIED, None) and item.id not in (PREFLIGHT, ROLLBACK, NOTIFY)
    ]
    for group in grouped(open_):
        why = inert_line(group[0].observed, _WHY_LIMIT) or "no verdict; nothing was seen"
        if len(group) > _MOST_ALONE:
            yield Todo(f"Check {_names(record, group)}", why)
            continue
        for item in group:
            yield Todo(f"Check {item_name(record, item.id)}", why, item.command)
    told = record.find_item(NOTIFY)
    if told is not None and told.verdict not in (Verdict.PASS, Verdict.WAIVED):
        yield Todo("Tell the team yourself", inert_line(told.observed, _WHY_LIMIT) or "nobody was told")


def _names(record: Record, items: tuple[Item, ...]) -> str:
    return listed([item_name(record, item.id) for item in items])


def _configuration(record: Record) -> Iterator[Todo]:
    for guard in record.guards:
        if guard.state is GuardState.WARNED and guard.reason is GuardReason.NOT_PINNED:
            yield Todo(
                f"Pin the cluster of environment {record.environment} in the configuration",
                inert_line(guard.evidence, _WHY_LIMIT),
            )


def _reverts(record: Record) -> Iterator[Todo]:
    title = redeploy_risks_title(record)
    for risk in record.redeploy_risks:
        yield Todo(f"{title}: see to it that nothing does", risk)


def _actions(record: Record) -> Iterator[Todo]:
    """What people added as action items."""
    for each in record.notes:
        if each.kind is NoteKind.ACTION:
            why = f"action item, added by {added_by(each)}"
            yield Todo(each.text, why, owner=each.owner, due=each.due or NO_DATE)


def _planned(record: Record) -> Iterator[Todo]:
    planned = record.next_steps.strip()
    if planned and planned != NONE_GIVEN:
        yield Todo(planned, f"next steps, in the words of {record.operator or 'the operator'}")
