"""Whether it is over, in a manager's words: the first sentence under the verdict. Pure."""

from __future__ import annotations

from ..domain.record import GREEN_OUTCOMES, Mode, Outcome, Record
from .formatting import clock_time
from .incident_facts import Affected, Source, find_affected


def service_line(record: Record) -> str:
    """Are users served? One or two short sentences, from what was seen alone."""
    users = find_affected(record)
    match record.outcome:
        case Outcome.RUNNING:
            return "It is not over: this run has not ended."
        case outcome if outcome in GREEN_OUTCOMES:
            return _served(record, users)
        case Outcome.PLANNED:
            return f"Nothing was changed. {_as_seen(users)}"
        case Outcome.REFUSED:
            return f"Nothing was rolled back. {_as_seen(users)}"
    if record.outcome is Outcome.INTERRUPTED and not users.now and not record.helm.ran:
        return f"The run was stopped before it changed anything. {_as_seen(users)}"
    return _not_served(users)


def _not_served(users: Affected) -> str:
    return "It is not over: users are affected." if users.now else "It is not known whether users are served."


def _served(record: Record, users: Affected) -> str:
    if users.now is not False:
        return _not_served(users)
    limits = ", as far as it was checked" if record.outcome is Outcome.VERIFIED_WITH_WAIVERS else ""
    since = ""
    if users.until is not None and users.until.source is Source.HEALTH:
        since = f" since {clock_time(users.until.at)} UTC"
    if (users.before or users.since is not None) and record.mode is not Mode.VERIFY:
        return f"It is over: users are served again{since}{limits}."
    return f"Users are served{limits}."


def _as_seen(users: Affected) -> str:
    if users.now:
        return "Users are affected."
    return "No harm to users was seen." if users.now is False else "Whether users are affected is not known."
