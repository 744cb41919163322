"""A fleet's run on a terminal: the live table, one line per change elsewhere, and the last lines."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ...domain.command_line import (
    BY_NAME,
    CONFIRM,
    ENV,
    FLEET,
    FLEET_ENGINE,
    PLAN,
    join_command,
    split_command,
)
from ...domain.fleet import FleetRecord, Member, MemberReason, MemberState, Wave, WaveState
from ...domain.record import GREEN_OUTCOMES, Mode, Outcome
from ..formatting import elapsed
from ..sanitize import inert_line
from ..summary import plural
from . import words

_PASSING = ("--rollback-break-glass", "--rollback-override", "--rollback-waive")
_WORD_WIDTH = 14
_MOST_NAME = 24
_MOST_SAID = 300
# Rows that a screen without a size is taken to have, and those below the table.
_ROWS = 24
_ROWS_BELOW = 3
_MOST_LINES = 8
_MOST_NAMES = 6
_STYLES = {
    "FAILED": "bold red",
    "INTERRUPTED": "bold red",
    "REFUSED": "bold red",
    "UNVERIFIED": "bold magenta",
    "UNKNOWN": "bold magenta",
    "VERIFIED": "green",
    "VERIFIED WITH WAIVERS": "yellow",
    "PLAN ONLY": "green",
    "WAITING": "dim",
    "NOT STARTED": "dim",
}


def render_fleet_live(
    record: FleetRecord, now: datetime, status: str, describe: Callable[[str], str]
) -> RenderableType:
    """The table that is redrawn: waves, then members, worst first, as many as there are rows for.

    ``describe`` says what a running member is at.
    """
    return _FleetLive(record, now, status, describe)


def render_member_line(member: Member, record: FleetRecord, now: datetime) -> str:
    """One line for a member that has come further, for a log."""
    word = words.member_word(member)
    over = sum(1 for each in record.members if _is_over(each))
    said = words.failed_line(member)
    place = f"wave {member.wave}, {over} of {len(record.members)} done"
    at = f"{elapsed(record.started_at, max(record.started_at, now)):>12}"
    return f"{at}  {word:<{_WORD_WIDTH}} {inert_line(member.environment)} ({place})" + (
        f": {said}" if said else ""
    )


def render_refusals(record: FleetRecord) -> str:
    """Who refuses, and why: a table; empty where nobody does. That nothing has run is said where it is so."""
    refused = [each for each in record.members if each.state is MemberState.REFUSED]
    if not refused:
        return ""
    width = max(len(inert_line(each.environment)) for each in refused)
    rows = [f"  {inert_line(each.environment):<{width}}  {words.failed_line(each)}" for each in refused]
    head = f"REFUSED: {plural(len(refused), 'member')} of {len(record.members)}"
    head += "." if any(_has_run(each, record) for each in record.members) else "; nothing has run."
    return "\n".join([head, *rows])


def render_fleet_last_lines(record: FleetRecord, report_path: str) -> str:
    """What failed, what is live where, what to type, and last of all the verdict."""
    parts = (
        _not_well(record),
        [_helm(record), *_live_where(record)],
        _next(record),
        [
            f"FLEET {words.headline(record)}: {record.summary}",
            f"{words.count_line(record)}.",
            f"Report: {report_path}",
        ],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _has_run(member: Member, record: FleetRecord) -> bool:
    """Whether more than its preflight ran, as far as anybody knows."""
    begun = member.state in (MemberState.RUNNING, MemberState.FINISHED, MemberState.UNKNOWN)
    return bool(member.helm_ran) or (begun and record.mode is not Mode.PLAN)


def _is_over(member: Member) -> bool:
    return member.state in (
        MemberState.FINISHED,
        MemberState.REFUSED,
        MemberState.UNKNOWN,
        MemberState.NOT_STARTED,
    )


def _counted(members: Sequence[Member]) -> str:
    """``1 FAILED, 6 RUNNING``, worst first."""
    found = Counter(words.member_word(each) for each in words.worst_first(members))
    return ", ".join(f"{count} {word}" for word, count in found.items())


def _not_well(record: FleetRecord) -> list[str]:
    """Every member that ran and is not green, worst first; who refused; those that did not begin by why.

    Where nothing has run, the refusals alone: nobody began because of them.
    """
    refusals = render_refusals(record).splitlines()
    if refusals and not any(_has_run(each, record) for each in record.members):
        return refusals
    bad = [
        each
        for each in words.worst_first(record.members)
        if each.state in (MemberState.FINISHED, MemberState.UNKNOWN, MemberState.RUNNING)
        and not words.is_well(each)
    ]
    lines = []
    for each in bad[:_MOST_LINES]:
        page = f" ({each.page})" if each.page else ""
        said = words.failed_line(each)
        name = inert_line(each.environment)
        lines.append(f"{words.member_word(each)} {name}" + (f": {said}" if said else "") + page)
    if len(bad) > _MOST_LINES:
        lines.append(f"and {len(bad) - _MOST_LINES} more: see the report")
    lines += refusals
    waiting: dict[str, list[Member]] = {}
    for each in record.members:
        if each.state is MemberState.NOT_STARTED:
            waiting.setdefault(each.said or "not started", []).append(each)
    lines += [
        f"{said[0].upper()}{said[1:]}: {words.names(those, _MOST_NAMES)}" for said, those in waiting.items()
    ]
    return lines


def _helm(record: FleetRecord) -> str:
    """In which members helm ran; of whom nobody knows is said, and is no "did not"."""
    total = plural(len(record.members) + record.unnamed_members, "member")
    ran = [each for each in record.members if each.helm_ran]
    unknown = [each for each in record.members if each.helm_ran is None and _has_run(each, record)]
    count = len(unknown) + record.unnamed_members
    who = f" ({words.names(unknown, _MOST_NAMES)})" if unknown else ""
    if ran:
        said = f"HELM RAN: in {len(ran)} of {total} ({words.names(ran, _MOST_NAMES)})"
        return f"{said}; of {count} it is not known{who}" if count else said
    if count:
        return f"HELM MAY HAVE RUN: of {count} of {total} it is not known{who}"
    return "HELM DID NOT RUN in any member"


def _live_where(record: FleetRecord) -> list[str]:
    """Which version is live in which members, by Helm; what was not read is said."""
    if record.mode is Mode.PLAN:
        return []
    found: dict[str, list[Member]] = {}
    for each in record.members:
        may_have_changed = each.helm_ran or each.state in (MemberState.UNKNOWN, MemberState.RUNNING)
        version = each.after or (None if may_have_changed else each.before)
        name = "not known"
        if version is not None:
            name = f"app version {version.app_version}" if version.app_version else version.chart
            name = inert_line(name or f"revision {version.revision}", _MOST_NAME * 2)
        if each.helm_running:
            name = "helm is still at work"
        found.setdefault(name, []).append(each)
    ordered = sorted(found.items(), key=lambda each: -len(each[1]))
    said = [
        f"{name}: {plural(len(those), 'member')} ({words.names(those, _MOST_NAMES)})"
        for name, those in ordered
    ]
    return ["Live, by Helm:", *(f"  {each}" for each in said)]


def _next(record: FleetRecord) -> list[str]:
    """What to type next; each of it only reads, or goes on with what was asked for."""
    if record.outcome in GREEN_OUTCOMES or not record.command_line:
        return []
    again = _again(record)
    if record.outcome is Outcome.PLANNED:
        return ["Next:", f"  {_without_plan(record)}"]
    if words.is_only_untold(record):
        why = "every member is verified; only the message to the team is missing. To check all of them again:"
        return ["Next:", f"  # {why}", f"  {_verify_all(record)}"]
    lines = ["Next:"]
    bad = [
        each
        for each in words.worst_first(record.members)
        if not words.is_well(each) and each.state in (MemberState.FINISHED, MemberState.UNKNOWN)
    ]
    if bad:
        lines += ["  # how is it now? this only verifies:", f"  {_verify(record, bad[0])}"]
    refused = [each for each in record.members if each.state is MemberState.REFUSED]
    if record.outcome is Outcome.REFUSED and refused and record.mode is not Mode.VERIFY:
        name = inert_line(refused[0].environment, _MOST_NAME)
        lines += [f"  # rehearses {name} alone, and says what goes ahead there:"]
        lines += [f"  {_rehearse(record, refused[0])}"]
    why = {
        Outcome.REFUSED: "when what refuses is mended:",
        Outcome.INTERRUPTED: "goes on; finished members are only verified:",
    }.get(record.outcome, "when that is mended; finished members are only verified:")
    return [*lines, f"  # {why}", f"  {again}"]


def _again(record: FleetRecord) -> str:
    """The same, without what passes a guard or leaves an item out: that was said of another state."""
    return _typed(record, without=_PASSING)


def _without_plan(record: FleetRecord) -> str:
    """What was rehearsed, done: without a target it was ``previous``, and a protected fleet is confirmed."""
    confirm = (f"{CONFIRM}={record.fleet}",) if record.protected else ()
    return _typed(record, without=(PLAN,), also=("--rollback-to=previous", *confirm))


def _typed(record: FleetRecord, without: Sequence[str], also: Sequence[str] = ()) -> str:
    """What was typed, without some options, and with those of ``also`` that were not typed."""
    options = [
        (option.name if option is not None else "", given)
        for option, given in split_command(record.command_line)
    ]
    names = {name for name, _ in options if name not in without}
    kept = [word for name, given in options if name not in without for word in given]
    added = [each for each in also if each.partition("=")[0] not in names]
    return join_command(kept, added)


def _rehearse(record: FleetRecord, member: Member) -> str:
    """What was typed, of one member alone and rehearsed, without what passes a guard."""
    own = f"{ENV}={member.environment}"
    rehearsed = _typed(record, without=(FLEET, FLEET_ENGINE, CONFIRM, PLAN, *_PASSING), also=(PLAN,))
    return join_command(shlex.split(rehearsed)[1:], (own,))


def _verify_all(record: FleetRecord) -> str:
    """A run that only verifies the fleet, with what says where."""
    typed = (given for option, given in split_command(record.command_line) if option == BY_NAME[FLEET])
    return shlex.join(["pytest", *next(typed, [f"{FLEET}={record.fleet}"]), *_where(record)])


def _where(record: FleetRecord) -> list[str]:
    return [
        word
        for option, given in split_command(record.command_line)
        if option is not None and option.stays
        for word in given
    ]


def _verify(record: FleetRecord, member: Member) -> str:
    """A run that only verifies one member, with what says where."""
    return shlex.join(["pytest", f"{ENV}={member.environment}", *_where(record)])


class _FleetLive:
    def __init__(
        self, record: FleetRecord, now: datetime, status: str, describe: Callable[[str], str]
    ) -> None:
        self._record = record
        self._now = now
        self._status = status
        self._describe = describe

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record, width = self._record, options.max_width
        took = elapsed(record.started_at, record.finished_at or max(self._now, record.started_at))
        head = Text(inert_line(f"{words.fleet_label(record)}: {took}"), "bold")
        rows: list[Text] = [head, *map(self._wave, record.waves)]
        room = (console.size.height if console.is_terminal else _ROWS) - len(rows) - _ROWS_BELOW
        rows += self._members(max(3, room))
        if self._status:
            rows.append(Text(inert_line(self._status), "dim"))
        for row in rows:
            row.truncate(width, overflow="ellipsis")
            yield row

    def _wave(self, wave: Wave) -> Text:
        members = self._record.members_of(wave.number)
        over = sum(1 for each in members if _is_over(each) and each.state is not MemberState.NOT_STARTED)
        refused = any(each.state is MemberState.REFUSED and not each.run_id for each in members)
        state = "REFUSED" if refused else words.WAVE_STATES[wave.state]
        said = f"wave {wave.number}: {state}, {over} of {len(members)}"
        if wave.state is not WaveState.WAITING and len({words.member_word(each) for each in members}) > 1:
            said += f": {_counted(members)}"
        return Text(said)

    def _members(self, room: int) -> Sequence[Text]:
        members = words.worst_first(self._record.members)
        shown = members if len(members) <= room else members[: room - 1]
        width = min(_MOST_NAME, max((len(inert_line(each.environment)) for each in shown), default=1))
        rows = [self._member(each, width) for each in shown]
        if len(members) > len(shown):
            rows.append(Text(f"and {_counted(members[len(shown) :])}", "dim"))
        return rows

    def _member(self, member: Member, width: int) -> Text:
        word = words.member_word(member)
        state = Text(word, _STYLES.get(word, ""))
        state.truncate(_WORD_WIDTH, overflow="ellipsis", pad=True)
        name = Text(inert_line(member.environment))
        name.truncate(width, overflow="ellipsis", pad=True)
        running = member.state in (MemberState.RUNNING, MemberState.PREFLIGHT)
        said = self._describe(member.environment) if running else words.failed_line(member)
        if not said and member.reason is MemberReason.AT_TARGET:
            said = "was at the target"
        return Text(" ").join((state, name, Text(inert_line(said, _MOST_SAID))))
