"""What every message about a fleet says, in words without any markup."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..domain.fleet import FleetRecord, Wave, WaveState
from ..domain.links import is_address
from ..domain.record import NotificationEvent
from ..domain.verdict import Verdict
from ..report.fleet import facts_table
from ..report.fleet import words as fleet_words
from ..report.formatting import elapsed
from ..report.sanitize import inert_line
from ..report.summary import plural
from .text import MARKS, characters, shortened

_LINK_LIMIT = 1_000
_MARKS = {
    fleet_words.MemberWord.FAILED: MARKS[Verdict.FAIL],
    fleet_words.MemberWord.INTERRUPTED: MARKS[Verdict.FAIL],
    fleet_words.MemberWord.REFUSED: MARKS[Verdict.FAIL],
}


@dataclass(frozen=True)
class FleetNews:
    """One event of a fleet's run: its START, the end of a WAVE, or its VERDICT. ``record`` is redacted.

    ``wave``: which one has ended, or 0. ``cancelled`` is set once the end has waited for it
    in vain, so that it is not tried again.
    """

    event: NotificationEvent
    record: FleetRecord
    wave: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def ended_wave(self) -> Wave | None:
        """The wave that has ended; None: the news is of the whole fleet."""
        return next((each for each in self.record.waves if each.number == self.wave), None)


def headline(news: FleetNews) -> str:
    """``WAVE 2 OF 3 FAILED: fleet shop, rollback to app version 1.8.0``."""
    record, wave = news.record, news.ended_wave
    mark = "[PROTECTED] " if record.protected else ""
    stands = str(fleet_words.headline(record))
    if news.event is NotificationEvent.START:
        stands = "STARTED"
    elif wave is not None:
        stands = f"WAVE {wave.number} OF {len(record.waves)} {fleet_words.WAVE_STATES[wave.state]}"
    return f"{stands}: {mark}{shortened(fleet_words.fleet_label(record), 100)}"


def summary(news: FleetNews) -> str:
    """One or two sentences under the headline."""
    record, wave = news.record, news.ended_wave
    if news.event is NotificationEvent.START:
        members = plural(len(record.members), "member")
        first = record.members_of(1)
        return (
            f"{members} in {facts_table.waves_line(record)}. Wave 1 begins now: {fleet_words.names(first)}. "
            "What comes of each wave follows here. Nobody else needs to start one."
        )
    if wave is None:
        return record.summary
    line = f"{fleet_words.wave_line(wave, record.members_of(wave.number))}."
    if wave.state is WaveState.DONE:
        following = next((each for each in record.waves if each.number == wave.number + 1), None)
        if following is not None:
            line += f" Next: wave {following.number}, {plural(len(following.members), 'member')}."
    return line


def fields(news: FleetNews) -> list[tuple[str, str]]:
    """The short facts, as (name, value)."""
    record = news.record
    found = [("Members", fleet_words.count_line(record))]
    if news.event is not NotificationEvent.START:
        found.append(("helm", facts_table.helm_line(record)))
    if news.event is not NotificationEvent.WAVE:
        found += [("Who", record.operator or "not known"), ("Incident", record.incident or "none given")]
    if took := elapsed(record.started_at, record.finished_at):
        found.append(("Took", took))
    return found


def bad_lines(news: FleetNews, limit: int, room: int) -> list[str]:
    """A line per member that is not well, the worst first; of one wave if the news is of one.

    At most ``limit`` characters of each sentence, and ``room`` of all lines together.
    """
    record = news.record
    if news.event is NotificationEvent.START:
        return []
    members = record.members_of(news.wave) if news.wave else record.members
    bad = [
        each
        for each in fleet_words.worst_first(members)
        if not fleet_words.is_well(each) and not fleet_words.is_idle(each)
    ]
    lines: list[str] = []
    for member in bad:
        word = fleet_words.member_word(member)
        mark = _MARKS.get(word, MARKS[Verdict.UNVERIFIED])
        seen = shortened(inert_line(fleet_words.failed_line(member) or member.summary), limit)
        line = f"{mark} {word}: {shortened(inert_line(member.environment), 40)} \N{EM DASH} {seen}"
        if characters("\n".join([*lines, line])) > room - 40:
            lines.append(f"and {plural(len(bad) - len(lines), 'more member')} in the report")
            break
        lines.append(line)
    return lines


def links(record: FleetRecord) -> list[tuple[str, str]]:
    """What there is to click on, as (name, address)."""
    found = [("Report", record.report), ("Incident", record.incident)]
    return [(name, url) for name, url in found if is_address(url) and len(url) <= _LINK_LIMIT]


def foot(record: FleetRecord) -> str:
    """The last line: which run this is."""
    return f"pytest-zkrollback fleet run {record.fleet_run_id}"
