"""What every engine can do: begin members, say who ended, collect their records.

A member is an ordinary run of this tool, wherever it runs: ``pytest --fleet=NAME --fleet-member=eu-1 ...``
with :attr:`MemberJob.environ` in its environment. It keeps its own lock and journal in its cluster, so that
nothing here has to know whether helm may run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ...config.fleet import Fleet
from ...domain.ports import Clock
from ...report.fleet.member_run import MemberRun


@dataclass(frozen=True)
class EnginePlace:
    """What an engine is made of.

    ``folder`` takes outputs and plans of the fleet run ``fleet_run_id``, ``report_dir`` the members' reports.
    ``here`` is where the command was typed, ``config_file`` what was read.
    """

    report_dir: Path
    folder: Path
    here: Path
    clock: Clock
    environ: Mapping[str, str]
    fleet: Fleet
    config_file: Path
    fleet_run_id: str


class Phase(StrEnum):
    """What the members are begun for."""

    PLAN = "plan"  # --rollback-plan: only reads
    RUN = "run"


@dataclass(frozen=True)
class MemberJob:
    """One member to begin.

    ``words`` are the command line after ``pytest``, without the report folder, which the engine adds.
    ``run_id`` is that of its record, whose file is named after it.
    """

    member: str
    run_id: str
    phase: Phase
    wave: int
    words: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True)
class MemberResult:
    """How a member ended.

    ``run``: what its record says, or None where none could be read, and ``problem`` says why.
    ``exit_code``: None where it is not known. ``is_unreadable``: there is a record, and it does not tell. The
    records themselves are dropped: a hundred are too large to be held.
    """

    member: str
    run_id: str
    phase: Phase
    exit_code: int | None
    run: MemberRun | None
    problem: str = ""
    is_unreadable: bool = False


class Engine(Protocol):
    """Begins members and says what became of them. It decides nothing: neither order nor success."""

    name: str
    # Whether it takes all of a wave at one time, and itself sees to it that only so many run side by side.
    takes_whole_waves: bool

    def start(self, jobs: Sequence[MemberJob], at_once: int) -> None:
        """Begin these members; what was begun before goes on. Returns at once.

        ``at_once`` matters only to an engine that takes whole waves. What could not be begun is a result
        without a record.
        """

    def poll(self, wait_s: float) -> Sequence[MemberResult]:
        """Who has ended since the last question; waits ``wait_s`` seconds at most for the first one."""

    def hold(self) -> Sequence[str]:
        """Begin none of the members that were handed over and wait; returns their names."""

    def describe(self, member: str) -> str:
        """What a running member is at, in one line; empty: not known."""

    def interrupt(self) -> None:
        """Ask whoever runs to end with its record, as Ctrl-C does: a helm that was started ends by itself."""

    def wait_for_orphans(self, jobs: Mapping[str, str], wait_s: float) -> Sequence[str]:
        """Whoever of ``jobs`` (member -> run id), begun by a command that was killed, still runs.

        Returns at once where none does, else after ``wait_s`` seconds.
        """

    def close(self) -> None:
        """Leave nothing behind but what members did. Those that still run go on."""
