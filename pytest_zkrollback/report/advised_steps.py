"""What a proposed command does, and the same command as a rehearsal. Pure; the option table decides."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from ..domain.command_line import PLAN, Option, join_command, split_command
from ..domain.record import AdvisedStep, Outcome, Record, StepEffect

_PASS_GUARDS = ("--rollback-override", "--rollback-break-glass")
_HELM_CHANGES = ("install", "rollback", "test", "uninstall", "upgrade")
_KUBECTL_LOOKS = ("describe", "events", "get", "logs", "top")
_ROLLOUT_LOOKS = ("history", "status")


def advised_steps(record: Record) -> tuple[AdvisedStep, ...]:
    """The record's steps. A record from before steps were typed has lines alone: nothing is known of when a
    command there may be typed, so each that changes something counts as one with a condition."""
    if record.advice:
        return record.advice
    steps: list[AdvisedStep] = []
    why = ""
    for line in record.next_commands:
        if line.startswith("# "):
            steps += [AdvisedStep(why=why)] if why else []
            why = line[2:]
            continue
        effect = effect_of(line)
        steps.append(
            AdvisedStep(
                command=line,
                why=why,
                effect=effect,
                condition=effect is StepEffect.CHANGES,
                overrides=passes_guard(line),
                rehearsal="" if record.outcome is Outcome.PLANNED else rehearsal_of(line),
            )
        )
        why = ""
    return (*steps, AdvisedStep(why=why)) if why else tuple(steps)


def as_lines(steps: Iterable[AdvisedStep]) -> tuple[str, ...]:
    """Shell lines: each sentence as a comment before its command."""
    pairs = ((f"# {step.why}" if step.why else "", step.command) for step in steps)
    return tuple(line for pair in pairs for line in pair if line)


def effect_of(command: str) -> StepEffect:
    """What a command line of ours, of helm's or of kubectl's does."""
    words = _words(command)
    rest = words[1:3]
    match words[:1]:
        case ["pytest"]:
            changes = _rolls_back(_options(command))
        case ["helm"]:
            changes = bool(rest) and rest[0] in _HELM_CHANGES
        case ["kubectl"] if rest[:1] == ["rollout"]:
            changes = len(rest) > 1 and rest[1] not in _ROLLOUT_LOOKS
        case ["kubectl"]:
            changes = bool(rest) and rest[0] not in _KUBECTL_LOOKS
        case ["python"]:
            return StepEffect.TELLS
        case _:
            changes = False
    return StepEffect.CHANGES if changes else StepEffect.LOOKS


def passes_guard(command: str) -> bool:
    """Whether it overrides a guard."""
    return any(option is not None and option.name in _PASS_GUARDS for option, _ in _options(command))


def rehearsal_of(command: str) -> str:
    """The same rollback, rehearsed without passing a guard; empty: the command rolls nothing back."""
    options = _options(command)
    if not _rolls_back(options):
        return ""
    kept = [
        word
        for option, words in options
        if option is None or option.name not in _PASS_GUARDS
        for word in words
    ]
    return join_command(kept, (PLAN,))


def _rolls_back(options: Sequence[tuple[Option | None, list[str]]]) -> bool:
    typed = [option for option, _ in options if option is not None]
    return any(option.rolls_back for option in typed) and all(option.name != PLAN for option in typed)


def _options(command: str) -> list[tuple[Option | None, list[str]]]:
    """Of one of our own command lines; empty: it is another's."""
    return list(split_command(command)) if _words(command)[:1] == ["pytest"] else []


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []
