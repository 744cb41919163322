"""A run's record before anything is known: what was asked for, by whom, and the items to come."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Sequence
from datetime import datetime

from .. import __version__
from ..checklist.titles import TITLES
from ..clients.state_dir import user_name
from ..domain.item_ids import EQUIVALENCE, PREFLIGHT, ROLLBACK
from ..domain.record import Item, Mode, Override, Record
from ..domain.request import Request

_FIRST = {
    PREFLIGHT: ("Preflight: what has to be known before helm runs", "no guard refuses"),
    ROLLBACK: ("helm rollback, once", "one new revision, deployed, that rolls back to the target"),
    EQUIVALENCE: (TITLES[EQUIVALENCE], ""),
}
_GITHUB = {
    ROLLBACK: (
        "Deployed through GitHub Actions",
        "the good tree on the branch, the workflow's success, and Helm's new revision from it",
    ),
}


def initial_record(
    request: Request, release: str, checklist: Sequence[Item], command_line: str, started_at: datetime
) -> Record:
    """The record of a run that begins now: what was asked, and every item without a verdict."""
    rolls_back = request.changes
    first = [
        Item(id=key, title=title, expected=expected)
        for key, (title, expected) in (_FIRST | (_GITHUB if request.through_github else {})).items()
        if key == PREFLIGHT or (not request.plan and (key != ROLLBACK or rolls_back))
    ]
    return Record(
        run_id=request.run_id or secrets.token_hex(4),
        mode=mode_of(request),
        environment=request.environment,
        release=release,
        target_revision=request.target if isinstance(request.target, int) else None,
        reason=request.reason,
        next_steps=request.next_steps,
        incident=request.incident,
        operator=f"{user_name()}@{platform.node()}",
        command_line=command_line,
        started_at=started_at,
        impact_since=request.impact_since,
        bundle=request.bundle,
        fleet=request.fleet,
        items=(*first, *checklist),
        overrides=tuple(
            Override(id=key, kind="item", reason=reason) for key, reason in request.waivers.items()
        ),
        versions={"pytest-zkrollback": __version__, "Python": platform.python_version()},
    )


def mode_of(request: Request) -> Mode:
    """What was asked for."""
    if request.plan:
        return Mode.PLAN
    if request.through_github:
        return Mode.GITHUB
    if request.recover:
        return Mode.RECOVER
    return Mode.VERIFY if request.target is None else Mode.ROLLBACK
