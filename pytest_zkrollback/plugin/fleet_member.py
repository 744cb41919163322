"""``--fleet``: what is refused beside it, and the run of one member of a fleet."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import secrets
from dataclasses import replace
from typing import Any

import pytest

from ..config.loader import find_config, load_fleet
from ..domain.command_line import OPTIONS, SHORT_FLEET
from ..domain.errors import UsageProblem
from ..domain.record import FleetMembership
from ..domain.request import Request
from ..fleet.fleet_run import require_confirmed
from ..fleet.member_command import FLEET_RUN_ID, FLEET_TELLS, RUN_ID, own_command
from .options import command_line, parse_request

_ID = re.compile(r"[0-9a-f]{8}", flags=re.ASCII)


def fleet_request(option: Any) -> Request:
    """The request behind ``config.option`` with the fleet's name in the place of an environment's.

    Raises pytest.UsageError with one sentence (exit 4).
    """
    if option.zkrollback_env is not None:
        raise pytest.UsageError(
            f"{SHORT_FLEET}={option.zkrollback_fleet} and --env={option.zkrollback_env} exclude each other: "
            "a fleet names its environments itself; helm did not run."
        )
    for each in OPTIONS:
        if (each.not_for_fleets or each.needs_drill) and getattr(option, each.dest):
            raise pytest.UsageError(f"{each.name} does not go with {SHORT_FLEET}; helm did not run.")
    asked = argparse.Namespace(**{**vars(option), "zkrollback_env": option.zkrollback_fleet})
    request = parse_request(asked)
    if isinstance(request.target, int):
        raise pytest.UsageError(
            f"--rollback-to={request.target} is a revision's number, and every cluster counts its own: for a "
            "fleet give app:VERSION, chart:VERSION, previous or last-verified; helm did not run."
        )
    return request


def member_request(config: pytest.Config) -> tuple[Request, str]:
    """The request of ``--fleet-member``, and the command that asks the same of that environment alone.

    Raises pytest.UsageError.
    """
    option = config.option
    request, member = fleet_request(option), option.zkrollback_fleet_member
    try:
        fleet = load_fleet(find_config(config.rootpath, request.config_file), option.zkrollback_fleet)
        if member not in fleet.members:
            near = difflib.get_close_matches(member, fleet.members, n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(fleet.members)}"
            raise UsageProblem(
                f"--fleet-member={member} is no member of fleet {fleet.name} ({meant}); helm did not run."
            )
        require_confirmed(fleet, request)
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None
    membership = FleetMembership(
        fleet=fleet.name,
        fleet_run_id=_id(FLEET_RUN_ID),
        wave=fleet.wave_of(member),
        members=len(fleet.members),
        told_by_fleet=os.environ.get(FLEET_TELLS) == "1",
    )
    confirmed = request.confirm == fleet.name
    request = replace(
        request,
        environment=member,
        confirm=member if confirmed else request.confirm,
        fleet=membership,
        run_id=_id(RUN_ID) if RUN_ID in os.environ else "",
        interactive=request.interactive and RUN_ID not in os.environ,
    )
    option.zkrollback_env = member
    return request, own_command(command_line(config), member)


def _id(variable: str) -> str:
    """The id that whoever began this process gave it, or a new one."""
    given = os.environ.get(variable, "")
    return given if _ID.fullmatch(given) else secrets.token_hex(4)
