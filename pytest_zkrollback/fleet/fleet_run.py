"""One command's fleet run, from the configuration to the finished record. No pytest here."""

from __future__ import annotations

import os
import platform
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from .. import __version__
from ..clients.clock import SystemClock
from ..clients.state_dir import user_name
from ..config.fleet import Fleet
from ..config.loader import find_config, load_fleet
from ..domain.command_line import FLEET_MEMBER, PLAN
from ..domain.errors import UsageProblem
from ..domain.fleet import FleetRecord, Member, Wave
from ..domain.record import GREEN_OUTCOMES, Mode, Outcome
from ..domain.request import Request
from ..report.file_names import fleet_stem
from ..report.files import NONE_WRITTEN, SUFFIXES, free_bytes
from ..report.fleet.folder import LATEST_FLEET, write_fleet, write_journal, write_unfinished
from ..report.redaction import Redactor
from ..run.fleet_teller import create_fleet_teller
from ..run.initial_record import mode_of
from ..run.notify_step import report_address
from ..run.secrets import register_secrets_of_environment
from ..run.signals import Signals
from .book import FleetBook
from .command_journal import FleetJournal, Unfinished, Wanted, find_unfinished
from .engines.interface import Engine, EnginePlace, Phase
from .engines.local import LocalEngine, read_run
from .fleet_display import FleetDisplay
from .member_command import FLEET_RUN_ID, FLEET_TELLS, RUN_ID, member_words
from .runner import FleetRunner, Order

# After each writing of the record it rests so many times as long.
_REST = 3.0
# With less the disk is as good as full: the files of some ten members.
_FULL_BYTES = 32 << 20
# Where files go instead, unless TMPDIR says where: a fresh folder below the one with most room.
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108


class FleetRun:
    """One fleet run. Making it contacts nothing and writes nothing; :meth:`execute` does everything, once."""

    def __init__(
        self,
        request: Request,
        fleet: Fleet,
        here: Path,
        command_line: str,
        redactor: Redactor,
        engine: str,
        config_file: Path,
        *,
        has_own_channels: bool,
    ) -> None:
        """``request.environment`` is the fleet's name; ``here`` is where the command was typed."""
        self.request, self.fleet, self.redactor = request, fleet, redactor
        self._here = here
        self._clock = SystemClock()
        self._signals = Signals()
        self._problems: list[str] = []
        self._executed = self._writes = False
        self._clean: tuple[FleetRecord, FleetRecord] | None = None
        self._saved: FleetRecord | None = None
        self._next_save_s = 0.0
        self._words = member_words(command_line, request.impact_since)
        for env in fleet.environments.values():
            register_secrets_of_environment(redactor, env, os.environ)
        redactor.spare([fleet.name])
        mode = mode_of(request)
        self._wanted = Wanted(fleet.name, str(mode), str(request.target or ""), fleet.waves)
        self._asked_dir = Path(os.path.normpath(here / request.report_dir))
        self._report_dir = self._choose_folder(self._asked_dir)
        self.unfinished = find_unfinished(self._report_dir, self._wanted, self._clock.now())
        self._book = FleetBook(self._blank(mode, command_line), self._save)
        stem = fleet_stem(self._book.record)
        places = {report_address(env, f"{stem}.html", os.environ) for env in fleet.environments.values()}
        self._book.update(report=places.pop() if len(places) == 1 else "")
        self._folder = self._report_dir / stem
        self._journal = FleetJournal(self._folder)
        self._engine = _ENGINES[engine](
            EnginePlace(
                report_dir=self._report_dir,
                folder=self._folder,
                here=here,
                clock=self._clock,
                environ=os.environ,
                fleet=fleet,
                config_file=config_file,
                fleet_run_id=self._book.record.fleet_run_id,
            )
        )
        self._teller = create_fleet_teller(
            request,
            fleet.environments,
            os.environ,
            redactor,
            record=lambda: self._book.record,
            clock=self._clock,
            has_own_channels=has_own_channels,
        )

    @classmethod
    def create(
        cls,
        request: Request,
        rootpath: Path,
        here: Path,
        command_line: str,
        redactor: Redactor,
        engine: str,
        *,
        has_own_channels: bool = False,
    ) -> FleetRun:
        """Read the configuration; raises UsageProblem, also for a protected fleet without confirmation.

        ``has_own_channels``: the repository has channels of its own, which a fleet does not tell.
        """
        if engine not in _ENGINES:
            raise UsageProblem(
                f"--fleet-engine={engine} is not known: engines are {', '.join(_ENGINES)}; helm did not run."
            )
        config_file = find_config(rootpath, request.config_file)
        fleet = load_fleet(config_file, request.environment)
        require_confirmed(fleet, request)
        return cls(
            request,
            fleet,
            here,
            command_line,
            redactor,
            engine,
            config_file,
            has_own_channels=has_own_channels,
        )

    @property
    def members(self) -> tuple[str, ...]:
        """All members, wave by wave."""
        return self.fleet.members

    @property
    def tells(self) -> bool:
        """Whether the fleet tells the team, in its members' place."""
        return self._teller is not None

    @property
    def record(self) -> FleetRecord:
        """The record as it stands, without secrets."""
        record, known = self._book.record, self._clean
        if known is None or known[0] is not record:  # a table is drawn more often than anything changes
            known = self._clean = (record, self.redactor.fleet(record))
        return known[1]

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be written, in sentences."""
        journal = [f"{self._journal.problem}: this run cannot be resumed."] if self._journal.problem else []
        return (*self._problems, *journal)

    def describe_start(self) -> str:
        """What this run is about, in one line, before anything is contacted."""
        record, fleet = self._book.record, self.fleet
        to = f" to {self.request.target}" if self.request.target is not None else ""
        what = {Mode.VERIFY: "verify only", Mode.PLAN: f"rehearse a rollback{to}: nothing is changed"}.get(
            record.mode, f"roll back{to}"
        )
        sizes = ", ".join(str(len(wave)) for wave in fleet.waves)
        said = f"zkrollback: fleet {fleet.name}, {len(fleet.members)} members in waves of {sizes}, {what}"
        if self.unfinished is not None:
            said += f"; goes on with run {record.fleet_run_id}, which was killed"
        return self.redactor.text(said)

    def execute(self) -> None:
        """All of it, once. Raises UsageProblem where another command works on the same fleet run."""
        if self._executed:
            raise RuntimeError("a fleet's run is executed once")
        self._executed = True
        if not self._journal.open():
            raise UsageProblem(
                f"Another command works on fleet {self.fleet.name} (run {self._book.record.fleet_run_id}, "
                f"{self._folder}); helm did not run."
            )
        self._writes = True
        self._signals.install()
        try:
            self._begin()
            display = FleetDisplay(lambda: self.record, self._describe, self._clock, sys.stdout)
            for problem in self._teller.unusable if self._teller is not None else ():
                sys.stdout.write(f"WARNING notify: {self.redactor.text(problem)}\n")

            def on_change(said: str) -> None:
                self._save_what_waits()
                display.changed(said)

            with display:
                self._runner(on_change).run()
            self._end()
        finally:
            self._engine.close()
            self._journal.close()
            self._signals.restore()

    def finish(self) -> str:
        """Write all of the fleet's files; the path of the page, or of what is there instead."""
        try:
            return str(write_fleet(self._report_dir, self._book.record, self.redactor).resolve())
        except OSError as error:
            self._not_written("report", error)
            return NONE_WRITTEN

    def _blank(self, mode: Mode, command_line: str) -> FleetRecord:
        """What was asked for; a killed run's id and start, where this command goes on with it."""
        request, fleet, found = self.request, self.fleet, self.unfinished
        numbered = list(enumerate(fleet.waves, 1))
        return FleetRecord(
            fleet=fleet.name,
            fleet_run_id=found.fleet_run_id if found is not None else secrets.token_hex(4),
            mode=mode,
            target=str(request.target or ""),
            reason=request.reason,
            next_steps=request.next_steps,
            incident=request.incident,
            operator=f"{user_name()}@{platform.node()}",
            command_line=command_line,
            started_at=found.started_at if found is not None else self._clock.now(),
            stop=fleet.stop,
            at_once=fleet.at_once,
            pause_s=fleet.pause_s,
            protected=fleet.protected,
            waves=tuple(Wave(number=number, members=wave) for number, wave in numbered),
            members=tuple(
                Member(environment=name, wave=number) for number, wave in numbered for name in wave
            ),
            report_timezone=_same(env.report_timezone or "" for env in fleet.environments.values()),
            versions={"pytest-zkrollback": __version__, "Python": platform.python_version()},
        )

    def _choose_folder(self, asked: Path) -> Path:
        """Where reports go: where that cannot be written, elsewhere, since no rollback waits for a disk."""
        room = free_bytes(asked)
        if room >= _FULL_BYTES or (room and find_unfinished(asked, self._wanted, self._clock.now())):
            return asked
        folder = _new_folder(more_than=room)
        instead = "no other folder was found."
        if folder is not None:
            instead = (
                f"this run's files are in {folder}. If it is killed, the same command does not go on with it."
            )
        self.note(f"{asked} cannot be written, or is full; {instead}")
        return folder or asked

    def _begin(self) -> None:
        record, found = self._book.record, self.unfinished
        for folder in {self._asked_dir, self._report_dir}:  # better none than an older run's green
            for suffix in SUFFIXES:
                with suppress(OSError):
                    (folder / f"{LATEST_FLEET}{suffix}").unlink(missing_ok=True)
        self._report_start()
        if found is None:
            self._journal.note(
                "begun",
                **asdict(self._wanted),
                fleet_run_id=record.fleet_run_id,
                started_at=record.started_at.isoformat(),
            )
            self._save(record)
            return
        self._remember()

    def _report_start(self) -> None:
        """Say in every ``latest-fleet.*`` that a run goes on."""
        try:
            write_unfinished(self._report_dir, self._book.record, self.redactor)
        except OSError as error:
            self._not_written("record", error)

    def _remember(self) -> None:
        """What members' runs have left that the killed command had begun."""
        found = self.unfinished
        if found is None:
            return
        ids = [run_id for member in self.members for run_id in found.runs.get(member, ())]
        runs = [read_run(self._report_dir, run_id, self._report_dir).run for run_id in ids]
        self._book.remember(run for run in runs if run is not None)

    def _end(self) -> None:
        """The run's end, unless members go on: then the same command goes on with it, too."""
        self._book.end(self._clock.now())
        self._save_what_waits(at_once=True)  # before others are told
        if self._teller is not None:
            heard = self._signals.count
            told = self._teller.finish(
                self._book.record, interrupted=bool(heard), stop=lambda: self._signals.count > heard
            )
            self._book.update(notify=told.notify, deliveries=told.deliveries)
        if not self._still_at_work():
            self._journal.note("ended", outcome=str(self._book.record.outcome))

    def _still_at_work(self) -> bool:
        """Whether a member that this fleet run has begun goes on: after Ctrl-C, nobody may wait for it."""
        found = find_unfinished(self._report_dir, self._wanted, None)
        return found is not None and bool(self._engine.wait_for_orphans(found.open, 0))

    def _runner(self, on_change: Callable[[str], None]) -> FleetRunner:
        fleet, found = self.fleet, self.unfinished
        order = Order(
            waves=fleet.waves,
            stop=fleet.stop,
            at_once=fleet.at_once,
            pause_s=fleet.pause_s,
            mode=self._book.record.mode,
            words=self._words_of,
            environ=self._environ_of,
        )
        return FleetRunner(
            order,
            self._engine,
            self._book,
            self._journal,
            self._clock,
            self._signals,
            on_change=on_change,
            teller=self._teller,
            orphans=_still_members(found, fleet) if found is not None else {},
            remember=self._remember,
        )

    def _words_of(self, member: str, phase: Phase) -> tuple[str, ...]:
        plans = phase is Phase.PLAN and PLAN not in self._words
        return (f"{FLEET_MEMBER}={member}", *([PLAN] if plans else []), *self._words)

    def _environ_of(self, run_id: str) -> dict[str, str]:
        found = {RUN_ID: run_id, FLEET_RUN_ID: self._book.record.fleet_run_id}
        return {**found, FLEET_TELLS: "1"} if self._teller is not None else found

    def _describe(self, member: str) -> str:
        return self.redactor.text(self._engine.describe(member))

    def _save(self, record: FleetRecord) -> None:
        """Write it down, at most a quarter of the time: a thousand members make thousands of changes."""
        began_s = self._clock.monotonic_s()
        if not self._writes or began_s < self._next_save_s:
            return
        try:
            write_journal(self._report_dir, record, self.redactor)
            self._saved = record
        except OSError as error:
            self._not_written("record", error)
        ended_s = self._clock.monotonic_s()
        self._next_save_s = ended_s + _REST * (ended_s - began_s)

    def _save_what_waits(self, *, at_once: bool = False) -> None:
        if at_once:
            self._next_save_s = 0.0
        if self._saved is not self._book.record:
            self._save(self._book.record)

    def _not_written(self, what: str, error: OSError) -> None:
        self.note(f"The fleet's {what} could not be written to {self._report_dir}: {error.strerror}.")

    def note(self, problem: str) -> None:
        """A problem with files that somebody had; said once."""
        if problem not in self._problems:
            self._problems.append(problem)


def _new_folder(more_than: int) -> Path | None:
    """A fresh folder where there is most room, where that is more than these bytes."""
    places = [os.environ["TMPDIR"]] if os.environ.get("TMPDIR") else list(_ELSEWHERE)
    rooms = {place: free_bytes(Path(place)) for place in places}
    for place in sorted(rooms, key=lambda each: -rooms[each]):
        if rooms[place] > more_than:
            with suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="zkrollback-fleet-", dir=place))
    return None


def _local_engine(place: EnginePlace) -> Engine:
    return LocalEngine(place.report_dir, place.folder, place.here, place.clock, place.environ)


def _kubernetes_engine(place: EnginePlace) -> Engine:
    """Raises UsageProblem where the fleet has no table for it."""
    from .engines.kubernetes import KubernetesEngine  # brings the Kubernetes client along

    fleet = place.fleet
    if fleet.kubernetes is None:
        raise UsageProblem(
            f"--fleet-engine=kubernetes needs a table [fleets.{fleet.name}.kubernetes] with its image, in "
            f"{place.config_file.name}; helm did not run."
        )
    return KubernetesEngine(
        place.report_dir,
        place.folder,
        place.clock,
        fleet.kubernetes,
        place.config_file,
        place.fleet_run_id,
    )


# By their names on the command line.
_ENGINES: dict[str, Callable[[EnginePlace], Engine]] = {
    "local": _local_engine,
    "kubernetes": _kubernetes_engine,
}


def require_confirmed(fleet: Fleet, request: Request) -> None:
    """Raises UsageProblem where helm would run in a protected fleet, and its name was not typed again."""
    if not fleet.protected or request.plan or not request.changes or request.confirm == fleet.name:
        return
    also = "" if request.confirm is None else f", not --rollback-confirm={request.confirm}"
    raise UsageProblem(
        f"--fleet={fleet.name} is protected: add --rollback-confirm={fleet.name}{also}; helm did not run."
    )


def exit_code(record: FleetRecord) -> int:
    """0: green or rehearsed; 2: interrupted; else 1."""
    if record.outcome in (*GREEN_OUTCOMES, Outcome.PLANNED):
        return 0
    return 2 if record.outcome is Outcome.INTERRUPTED else 1


def _still_members(found: Unfinished, fleet: Fleet) -> dict[str, str]:
    return {member: run_id for member, run_id in found.open.items() if member in fleet.members}


def _same(texts: Iterable[str]) -> str:
    found = set(texts)
    return found.pop() if len(found) == 1 else ""
