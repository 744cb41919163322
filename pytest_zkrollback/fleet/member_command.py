"""The command line of a member, out of the one that was typed for the fleet."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

from ..domain.command_line import (
    CONFIRM,
    ENV,
    FLEET,
    FLEET_ENGINE,
    FLEET_MEMBER,
    IMPACT_SINCE,
    SEPARATOR,
    lasting_impact,
    split_command,
)

# In a member's process: the ids of its run and of the fleet's, and whether the fleet tells the team.
RUN_ID = "ZKROLLBACK_RUN_ID"
FLEET_RUN_ID = "ZKROLLBACK_FLEET_RUN_ID"
FLEET_TELLS = "ZKROLLBACK_FLEET_TELLS"

# An engine says these itself.
_OF_THE_ENGINE = (FLEET_MEMBER, FLEET_ENGINE, "--zkrollback-report-dir")
# pytest's own: each would be written (or emptied) by every member, or splits a session.
_ONE_FILE_FOR_ALL = (
    "--junitxml",
    "--junit-xml",
    "--html",
    "--css",
    "--log-file",
    "--basetemp",
    "--report-log",
    "--numprocesses",
    "-n",
    "--dist",
)


def member_words(command_line: str, impact_since: datetime | None) -> tuple[str, ...]:
    """What was typed for the fleet after ``pytest``, as each member gets it behind its own name.

    Long names take the place of short ones: where members run there may be no ``conftest.py``.
    ``impact_since`` takes the place of a time that is told from now: members begin at different times.
    """
    return tuple(word for word in _kept(command_line, impact_since))


def own_command(command_line: str, member: str) -> str:
    """The command that asks the same of ``member`` alone: what its record proposes is derived from it."""
    words: list[str] = []
    for option, given in split_command(command_line):
        name = option.name if option is not None else ""
        if name in (FLEET, *_OF_THE_ENGINE[:2]):
            continue
        words += [f"{CONFIRM}={member}"] if name == CONFIRM else given
    return shlex.join(["pytest", f"{ENV}={member}", *words])


def _kept(command_line: str, impact_since: datetime | None) -> Iterator[str]:
    value_follows = False
    for option, words in split_command(command_line):
        if option is not None:
            value_follows = False
            if option.name == IMPACT_SINCE and impact_since is not None:
                yield lasting_impact(impact_since)
            elif option.name not in _OF_THE_ENGINE:
                name, joined, value = words[0].partition("=")
                is_fleets = option.name == FLEET and name == option.short
                yield f"{option.name}{joined}{value}" if is_fleets else words[0]
                yield from words[1:]
            continue
        if value_follows:
            value_follows = False
            continue
        [word] = words
        name, joined, _ = word.partition("=")
        if name in _ONE_FILE_FOR_ALL:
            value_follows = not joined
        elif not (word.startswith("-n") and not word.startswith("--") and word != SEPARATOR):
            yield word
