"""A fleet's run: all preflights together, then wave by wave. It rolls nothing back itself: members do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..domain.fleet import MemberReason, StopRule
from ..domain.ports import Clock
from ..domain.record import Mode
from .book import FleetBook, is_planned
from .command_journal import FleetJournal
from .engines.interface import Engine, MemberJob, MemberResult, Phase
from .waves import NotStarted, Stage, Waves

_LOOK_S = 0.25
# After so many signals nobody is waited for: members go on, and the record says so.
_ENOUGH = 3


class Heard(Protocol):
    """Signals that asked to stop (run/signals.Signals)."""

    count: int


class Teller(Protocol):
    """Tells the team; none of these may raise or take long."""

    def start(self) -> None:
        """The first wave begins."""

    def wave(self, number: int) -> None:
        """A wave has ended."""


@dataclass(frozen=True)
class Order:
    """What the members are to do.

    ``words`` gives a member's command line, ``environ`` what its process finds in its environment beside that
    of this one. ``asks_first``: all preflights come before the first wave.
    """

    waves: tuple[tuple[str, ...], ...]
    stop: StopRule
    at_once: int
    pause_s: float
    mode: Mode
    words: Callable[[str, Phase], tuple[str, ...]]
    environ: Callable[[str], Mapping[str, str]]

    @property
    def members(self) -> tuple[str, ...]:
        """All, wave by wave."""
        return tuple(member for wave in self.waves for member in wave)


class FleetRunner:
    """Performs one order, once."""

    def __init__(
        self,
        order: Order,
        engine: Engine,
        book: FleetBook,
        journal: FleetJournal,
        clock: Clock,
        heard: Heard,
        *,
        on_change: Callable[[str], None] = lambda _: None,
        teller: Teller | None = None,
        orphans: Mapping[str, str] | None = None,
        remember: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is begun yet. ``on_change`` is told what is going on.

        ``orphans``: member -> run id, of those that a killed command began and that may still go on.
        ``remember`` puts into the book what members' runs have left, once none of them goes on.
        """
        self._order = order
        self._engine = engine
        self._book = book
        self._journal = journal
        self._clock = clock
        self._heard = heard
        self._on_change = on_change
        self._teller = teller
        self._orphans = dict(orphans or {})
        self._remember = remember
        self._passed_on = 0
        self._told_start = False

    def run(self) -> None:
        """All of it. The record is in the book; nothing is raised for what a member does."""
        self._wait_for_orphans()
        self._remember()
        self._run()
        self._name_orphans()

    def _run(self) -> None:
        if self._order.mode is Mode.PLAN:
            self._perform(self._all_at_once(), Phase.PLAN, tell=False)
            return
        if self._order.mode is not Mode.VERIFY and not self._ask_all():
            return
        # Verifying changes nothing: whoever asks wants to know of every member.
        stop = StopRule() if self._order.mode is Mode.VERIFY else self._order.stop
        self._perform(Waves(self._order.waves, stop, self._at_once), Phase.RUN, tell=True)

    def _name_orphans(self) -> None:
        """Whom Ctrl-C kept from being waited for goes on: it is not one that was not begun."""
        if not self._orphans or not self._heard.count:
            return
        alive = self._engine.wait_for_orphans(self._orphans, 0)
        self._book.go_on({member: self._orphans[member] for member in alive})

    @property
    def _at_once(self) -> int | None:
        return None if self._engine.takes_whole_waves else self._order.at_once

    def _all_at_once(self) -> Waves:
        """Everybody in one wave, and no failure stops it."""
        return Waves([self._order.members], StopRule(), self._at_once)

    def _wait_for_orphans(self) -> None:
        """Members that a killed command began go on by themselves: nobody is begun beside them."""
        while self._orphans and not self._heard.count:
            alive = self._engine.wait_for_orphans(self._orphans, _LOOK_S)
            if not alive:
                return
            names = ", ".join(alive[:3]) + (f" and {len(alive) - 3} more" if len(alive) > 3 else "")
            self._on_change(f"waiting for {names}, which the command that was killed had begun")

    def _ask_all(self) -> bool:
        """All preflights together; True where nobody refuses."""
        self._on_change(f"preflight of {len(self._order.members)} members")
        results = self._perform(self._all_at_once(), Phase.PLAN, tell=False)
        refused = [result.member for result in results if not is_planned(result)]
        if self._heard.count:
            left = [each for each in self._order.members if not self._book.is_refused(each)]
            why = NotStarted(MemberReason.INTERRUPTED, "not started: interrupted")
            self._book.not_started(dict.fromkeys(left, why))
            return False
        if refused:
            left = [each for each in self._order.members if each not in refused]
            why = NotStarted(MemberReason.OTHERS_REFUSED, "not started: another member refused")
            self._book.not_started(dict.fromkeys(left, why))
        return not refused

    def _perform(self, waves: Waves, phase: Phase, *, tell: bool) -> Sequence[MemberResult]:
        """Begin whoever may, until nobody runs and nobody may; the results as they came."""
        results: list[MemberResult] = []
        wave, held = waves.current, False
        while not waves.is_over:
            self._pass_signals_on(waves)
            if self._heard.count >= _ENOUGH:
                break
            if waves.current != wave and waves.startable():
                self._pause(wave, waves)
                wave = waves.current
            self._begin(waves, phase)
            for result in self._engine.poll(_LOOK_S):
                if waves.stages.get(result.member) is not Stage.RUNNING:
                    continue  # of a command that was killed: nobody here has begun it
                results.append(result)
                self._take(result, waves)
                if tell and self._teller is not None and waves.current != wave:
                    self._teller.wave(wave)
            if waves.is_stopped and not held:
                held = True
                waves.take_back(self._engine.hold())
            self._on_change("")
        if phase is Phase.RUN:
            self._book.not_started(waves.not_started())
        return results

    def _begin(self, waves: Waves, phase: Phase) -> None:
        jobs = [self._job(member, phase) for member in waves.startable()]
        if not jobs:
            return
        for job in jobs:
            waves.begin(job.member)
            self._journal.note("member-begun", member=job.member, phase=str(phase), run_id=job.run_id)
        self._book.begun([job.member for job in jobs], phase, self._clock.now())
        if phase is Phase.RUN and self._teller is not None and not self._told_start:
            self._told_start = True
            self._teller.start()
        self._engine.start(jobs, self._order.at_once)

    def _take(self, result: MemberResult, waves: Waves) -> None:
        self._journal.note(
            "member-ended", member=result.member, run_id=result.run_id, exit_code=result.exit_code
        )
        self._book.ended(result, self._clock.now(), interrupted=self._passed_on > 0)
        green = is_planned(result) if result.phase is Phase.PLAN else self._book.is_green(result.member)
        waves.end(result.member, is_green=green)

    def _job(self, member: str, phase: Phase) -> MemberJob:
        run_id = secrets.token_hex(4)
        number = next(at for at, wave in enumerate(self._order.waves, 1) if member in wave)
        return MemberJob(
            member=member,
            run_id=run_id,
            phase=phase,
            wave=number,
            words=self._order.words(member, phase),
            environ=self._order.environ(run_id),
        )

    def _pause(self, ended: int, waves: Waves) -> None:
        """Between two waves; a signal ends it."""
        pause_s = 0.0 if self._order.mode is Mode.VERIFY else self._order.pause_s
        until_s = self._clock.monotonic_s() + pause_s
        while (left := until_s - self._clock.monotonic_s()) > 0 and not self._heard.count:
            self._on_change(f"wave {ended} has ended; wave {waves.current} begins in {left:.0f} s")
            self._clock.sleep(min(_LOOK_S, left))
        self._pass_signals_on(waves)

    def _pass_signals_on(self, waves: Waves) -> None:
        """Ctrl-C: nobody else begins, and whoever runs ends with its record, its helm first."""
        while self._passed_on < self._heard.count:
            self._passed_on += 1
            waves.interrupt()
            waves.take_back(self._engine.hold())
            self._on_change("interrupted: nobody else begins; what helm has begun is brought to its end")
            self._engine.interrupt()
