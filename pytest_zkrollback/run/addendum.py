"""What people add to a record when the run is over, and tell the team as an addendum."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from ..clients.clock import SystemClock
from ..clients.state_dir import user_name
from ..config.environment import Environment
from ..config.loader import DRILL, find_config, load_environment
from ..domain.errors import NotifyProblem, UsageProblem, ZkRollbackError
from ..domain.notes import AddedNote, NoteKind
from ..domain.notification import Notification
from ..domain.ports import Clock
from ..domain.record import Delivery, NotificationEvent, Outcome, Record
from ..domain.request import NONE_GIVEN, NOT_GIVEN
from ..domain.timestamps import parse_past_moment
from ..notify.channels import choose_channels
from ..notify.interface import Channel
from ..report.formatting import clock_time
from ..report.note_files import add_to_record
from ..report.post_mortem import spoken
from ..report.record_problem import RecordProblem, explain_problem
from ..report.redaction import Redactor
from .secrets import redactor_of_this_process, register_secrets_of_environment

_WRONG, _NOT_TOLD = 2, 1
_MOST_CHARACTERS = 4_000
_ACTION = re.compile(r"\s*([^:]*[^:\s])\s*:\s*(\S.*)", re.DOTALL)


@dataclass(frozen=True)
class Additions:
    """What was typed; empty: not said. ``due`` is for all ``actions``, each of which is ``OWNER: TEXT``."""

    text: str = ""
    severity: str = ""
    detected: str = ""
    detected_at: str = ""
    root_cause: str = ""
    lessons: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    due: str = ""


def add_note(file: Path, typed: Additions, *, notify: bool, config: str | None) -> int:
    """The exit code: 0; 1 where the team was not told; 2 where nothing was done. Says on stderr why."""
    try:
        clock = SystemClock()
        author = f"{user_name()}@{platform.node()}"
        notes = parse_notes(typed, author, clock.now())
        record = Record.model_validate_json(file.read_bytes())
        redactor = redactor_of_this_process()
        channels = _channels(record, file, config, redactor, clock, notify=notify)
        notes = tuple(
            AddedNote.model_validate(redactor.value(each.model_dump(mode="json"))) for each in notes
        )
        add_to_record(file, notes)
    except RecordProblem as problem:
        return _say(explain_problem(file, problem))
    if record.outcome is Outcome.RUNNING:
        _say("WARNING: this run's record has no end: it was killed, or it goes on on another machine.")
    deliveries = tell(channels, addendum(record, notes, author), redactor, clock)
    try:
        if deliveries:
            add_to_record(file, deliveries=deliveries)
    except (OSError, ValidationError) as error:
        _say(f"What became of the messages could not be added: {error}")
    for each in deliveries:
        lacks = each.refused or each.unsent
        became = "has it" if each.ok else "does not have it" if lacks else "may have it"
        _say(f"{each.to} {became}: {each.answer}")
    return 0 if all(each.ok for each in deliveries) else _NOT_TOLD


def parse_notes(typed: Additions, author: str, now: datetime) -> tuple[AddedNote, ...]:
    """What was typed as notes, redacted by nobody yet. Raises UsageProblem with what is wrong."""
    made = partial(AddedNote, at=now, author=author)
    found = []
    if typed.text:
        found.append(made(kind=NoteKind.NOTE, text=typed.text))
    if typed.severity:
        found.append(made(kind=NoteKind.SEVERITY, text=typed.severity))
    if typed.detected or typed.detected_at:
        at = parse_past_moment(typed.detected_at, now) if typed.detected_at else None
        if typed.detected_at and at is None:
            raise UsageProblem(
                f"--detected-at={typed.detected_at} is no time: write 20m (ago), 02:11 (here) or "
                "2026-11-23T02:11:00Z."
            )
        if at is not None and at > now:
            raise UsageProblem(f"--detected-at={typed.detected_at} has not come yet.")
        found.append(made(kind=NoteKind.DETECTED, text=typed.detected, detected_at=at))
    if typed.root_cause:
        found.append(made(kind=NoteKind.ROOT_CAUSE, text=typed.root_cause))
    found += [made(kind=NoteKind.LESSON, text=each) for each in typed.lessons]
    due = _due_date(typed)
    for action in typed.actions:
        if (parts := _ACTION.fullmatch(action)) is None:
            raise UsageProblem(
                f'--action={action!r} names no owner: write it as "OWNER: what is to be done".'
            )
        found.append(made(kind=NoteKind.ACTION, owner=parts[1], text=parts[2], due=due))
    if not found:
        raise UsageProblem(
            "Nothing was said: give a note in your own words, or an option such as --root-cause."
        )
    for note in found:
        if note.detected_at is None and not any(letter.isalnum() for letter in note.text):
            raise UsageProblem(f"{note.text!r} says nothing: write the note in your own words.")
        if len(note.text) > _MOST_CHARACTERS:
            raise UsageProblem(
                f"A note of {len(note.text)} characters is too long: {_MOST_CHARACTERS} are taken. "
                "Link to the rest."
            )
    return tuple(found)


def _due_date(typed: Additions) -> str:
    if not typed.due:
        return ""
    if not typed.actions:
        raise UsageProblem("--due goes with --action: it says until when that is to be done.")
    try:
        return date.fromisoformat(typed.due).isoformat()
    except ValueError:
        raise UsageProblem(f"--due={typed.due} is no date: write it as 2026-12-15.") from None


def addendum(record: Record, notes: Sequence[AddedNote], who: str) -> Notification:
    """The message: what was told before, the notes on top; a plain one is the reason that was missing."""
    told = next((each.at for each in record.deliveries if each.ok and each.at), None)
    earlier = f" the message of {clock_time(told)} UTC" if told else " what was told"
    changes = {"summary": f"{who} adds to{earlier}: {'; '.join(map(spoken, notes))}"}
    plain = next((each.text for each in notes if each.kind is NoteKind.NOTE), "")
    if plain and record.reason == NOT_GIVEN:
        changes["reason"] = plain
    elif plain and record.next_steps == NONE_GIVEN:
        changes["next_steps"] = plain
    return Notification(NotificationEvent.ADDENDUM, record.model_copy(update=changes))


def tell(
    channels: Sequence[Channel], news: Notification, redactor: Redactor, clock: Clock
) -> tuple[Delivery, ...]:
    """Tell every channel, once, one after the other; what became of it."""
    found = []
    for channel in channels:
        try:
            delivery = channel.tell(news)
        except NotifyProblem as problem:
            delivery = Delivery(
                to=channel.name, ok=False, refused=not problem.maybe_sent, answer=str(problem)
            )
        except ZkRollbackError as problem:
            delivery = Delivery(to=channel.name, ok=False, unsent=True, answer=str(problem))
        if delivery is not None:
            stamped = {"event": NotificationEvent.ADDENDUM, "at": clock.now()}
            clean = redactor.value(delivery.model_copy(update=stamped).model_dump(mode="json"))
            found.append(Delivery.model_validate(clean))
    return tuple(found)


def _channels(
    record: Record, file: Path, config: str | None, redactor: Redactor, clock: Clock, *, notify: bool
) -> tuple[Channel, ...]:
    """Those of the configuration, whose secrets ``redactor`` learns; none where nobody is to be told.

    Raises UsageProblem where somebody is to be told, and nobody can be.
    """
    if notify and record.environment == DRILL:
        raise UsageProblem("The drill's Slack is gone with the drill: nobody can be told.")
    env: Environment | None
    try:
        env = load_environment(find_config(Path.cwd(), config), record.environment)
    except UsageProblem:
        if notify or config is not None:
            raise
        env = _environment_beside(file, record.environment)
    if env is None:
        return ()
    variables: Mapping[str, str] = os.environ
    register_secrets_of_environment(redactor, env, variables)
    if not notify:
        return ()
    return choose_channels(env, variables, clock, _say) or _nobody(env)


def _environment_beside(file: Path, name: str) -> Environment | None:
    """That of the repository that the report lies in: typed elsewhere, its secrets are known, too."""
    for folder in file.resolve().parents[:3]:
        with suppress(UsageProblem):
            return load_environment(find_config(folder, None), name)
    return None


def _nobody(env: Environment) -> tuple[Channel, ...]:
    raise UsageProblem(f"No channel is configured for [environments.{env.name}]: nobody can be told.")


def _say(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return _WRONG
