"""Which member may begin now. Pure: it knows no clock, starts nothing, and is told who ended how."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..domain.fleet import MemberReason, StopRule


class Stage(StrEnum):
    """How far a member is."""

    WAITING = "waiting"
    RUNNING = "running"
    GREEN = "green"
    FAILED = "failed"  # whatever ended otherwise than green


@dataclass(frozen=True)
class NotStarted:
    """Why a member was not begun."""

    reason: MemberReason
    said: str


def most_failures(stop: StopRule, members: int) -> int:
    """So many of ``members`` may fail before no further one begins."""
    if stop.failures is not None:
        return stop.failures
    if stop.share is not None:
        # A share is written with two decimals of a percent: 0.07 * 100 is below 7 only by rounding.
        return math.floor(stop.share * members + 1e-6)
    return members


class Waves:
    """The waves of one run: a wave begins when the one before it has ended, and nobody after the stop.

    ``at_once``: at most so many members side by side; None: whoever starts them sees to that.
    """

    def __init__(self, waves: Sequence[Sequence[str]], stop: StopRule, at_once: int | None) -> None:
        """Everybody waits."""
        self._waves = [tuple(wave) for wave in waves]
        self._stages = dict.fromkeys((member for wave in waves for member in wave), Stage.WAITING)
        self._most = most_failures(stop, len(self._stages))
        self._at_once = at_once
        self._interrupted = False  # before anything else had stopped it
        self._ended = False

    @property
    def stages(self) -> Mapping[str, Stage]:
        """How far each member is, wave by wave."""
        return dict(self._stages)

    @property
    def is_stopped(self) -> bool:
        """Whether more have failed than may."""
        return sum(stage is Stage.FAILED for stage in self._stages.values()) > self._most

    @property
    def current(self) -> int:
        """The number, from 1, of the first wave that has not ended; after the last one that many and one."""
        for number, wave in enumerate(self._waves, 1):
            if any(self._stages[each] in (Stage.WAITING, Stage.RUNNING) for each in wave):
                return number
        return len(self._waves) + 1

    @property
    def is_over(self) -> bool:
        """Whether nobody runs and nobody else will."""
        if any(stage is Stage.RUNNING for stage in self._stages.values()):
            return False
        return self._ended or self.is_stopped or self.current > len(self._waves)

    def startable(self) -> tuple[str, ...]:
        """Who may begin now, in the waves' order."""
        number = self.current
        if self._ended or self.is_stopped or number > len(self._waves):
            return ()
        waiting = [each for each in self._waves[number - 1] if self._stages[each] is Stage.WAITING]
        if self._at_once is None:
            return tuple(waiting)
        running = sum(stage is Stage.RUNNING for stage in self._stages.values())
        return tuple(waiting[: max(0, self._at_once - running)])

    def begin(self, member: str) -> None:
        """``member`` begins. RuntimeError where it may not: that is a bug, and it would be a rollback."""
        if member not in self.startable():
            raise RuntimeError(f"{member} may not begin now")
        self._stages[member] = Stage.RUNNING

    def end(self, member: str, *, is_green: bool) -> None:
        """``member`` has ended."""
        if self._stages[member] is not Stage.RUNNING:
            raise RuntimeError(f"{member} ended and had not begun")
        self._stages[member] = Stage.GREEN if is_green else Stage.FAILED

    def take_back(self, members: Iterable[str]) -> None:
        """These were handed to an engine that then began none of them."""
        for member in members:
            self._stages[member] = Stage.WAITING

    def interrupt(self) -> None:
        """Nobody begins any more."""
        self._interrupted = self._interrupted or not self.is_stopped
        self._ended = True

    def not_started(self) -> dict[str, NotStarted]:
        """Whoever waits and will not begin, and why; empty where nothing is stopped."""
        if not (self._ended or self.is_stopped):
            return {}
        found: dict[str, NotStarted] = {}
        for number, wave in enumerate(self._waves, 1):
            for member in wave:
                if self._stages[member] is Stage.WAITING:
                    found[member] = self._why(number)
        return found

    def _why(self, number: int) -> NotStarted:
        if self._interrupted:
            return NotStarted(MemberReason.INTERRUPTED, "not started: interrupted")
        failed = [
            wave
            for wave, members in enumerate(self._waves, 1)
            if any(self._stages[each] is Stage.FAILED for each in members)
        ]
        if number in failed:
            return NotStarted(MemberReason.STOPPED, f"not started: as many of wave {number} failed as may")
        return NotStarted(MemberReason.WAVE_FAILED, f"not started: wave {failed[-1]} failed")
