"""A note that is added to a record when the run is over, and told to the team as an addendum."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..clients.clock import SystemClock
from ..clients.state_dir import user_name
from ..config.environment import Environment
from ..config.loader import DRILL, find_config, load_environment
from ..domain.errors import NotifyProblem, UsageProblem, ZkRollbackError
from ..domain.notification import Notification
from ..domain.ports import Clock
from ..domain.record import SCHEMA, Delivery, NotificationEvent, Record, TimelineEntry
from ..domain.request import NONE_GIVEN, NOT_GIVEN
from ..notify.channels import choose_channels
from ..notify.interface import Channel
from ..report.files import render_json, replace_file
from ..report.formatting import clock_time
from ..report.redaction import Redactor
from .secrets import redactor_of_this_process, register_secrets_of_environment

_WRONG, _NOT_TOLD = 2, 1


def add_note(file: Path, text: str, *, notify: bool, config: str | None) -> int:
    """The exit code: 0; 1 where the team was not told; 2 where nothing was done. Says on stderr why."""
    try:
        if not any(letter.isalnum() for letter in text):
            raise UsageProblem(f"{text!r} says nothing: write the note in your own words.")
        record = Record.model_validate_json(file.read_bytes())
        redactor, clock = redactor_of_this_process(), SystemClock()
        channels = _channels(record, config, redactor, clock) if notify else ()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        return _say(f"{file} is no record of {SCHEMA}: {where}: {first['msg']}")
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}")
    except ZkRollbackError as problem:
        return _say(str(problem))
    note = redactor.text(text)
    who = f"{user_name()}@{platform.node()}"
    entry = TimelineEntry(at=clock.now(), event=f"added by {who}: {note}", source="operator")
    deliveries = tell(channels, addendum(record, note, who), redactor, clock)
    noted = record.model_copy(
        update={
            "timeline": (*record.timeline, entry),
            "deliveries": (*record.deliveries, *deliveries),
        }
    )
    try:
        replace_file(file, render_json(noted).encode("utf-8", errors="replace"))
    except OSError as error:
        _say(f"The note could not be added: {error.filename}: {error.strerror}")
    for each in deliveries:
        lacks = each.refused or each.unsent
        became = "has it" if each.ok else "does not have it" if lacks else "may have it"
        _say(f"{each.to} {became}: {each.answer}")
    return 0 if all(each.ok for each in deliveries) else _NOT_TOLD


def addendum(record: Record, note: str, who: str) -> Notification:
    """The message: what was told before, with the note at its top and where something was not given."""
    said = next((each.at for each in record.deliveries if each.ok and each.at), None)
    earlier = f" the message of {clock_time(said)} UTC" if said else " what was told"
    changes = {"summary": f"{who} adds to{earlier}: {note}"}
    if record.reason == NOT_GIVEN:
        changes["reason"] = note
    elif record.next_steps == NONE_GIVEN:
        changes["next_steps"] = note
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


def _channels(record: Record, config: str | None, redactor: Redactor, clock: Clock) -> tuple[Channel, ...]:
    """Those of the configuration; raises UsageProblem where there are none."""
    if record.environment == DRILL:
        raise UsageProblem("The drill's Slack is gone with the drill: nobody can be told.")
    env = load_environment(find_config(Path.cwd(), config), record.environment)
    variables: Mapping[str, str] = os.environ
    register_secrets_of_environment(redactor, env, variables)
    found = choose_channels(env, variables, clock, _say)
    return found or _nobody(env)


def _nobody(env: Environment) -> tuple[Channel, ...]:
    raise UsageProblem(f"No channel is configured for [environments.{env.name}]: nobody can be told.")


def _say(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return _WRONG
