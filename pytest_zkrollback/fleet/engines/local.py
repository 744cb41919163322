"""The default engine: one process of this tool for each member, on this machine.

A member's process has a session of its own, so that neither Ctrl-C nor the end of the fleet's own process
cuts it off. Its output goes to a file, on which it holds a lock of the kernel's for as long as it lives: so a
later command sees whether it still runs.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ...clients.process import Server, start_job
from ...domain.errors import ProcessProblem
from ...domain.ports import Clock
from ...domain.record import Record
from ...domain.regular_files import read_regular
from ...domain.request import REPORT_DIR
from ...report.file_locks import is_held
from ...report.fleet.member_run import MemberRun, member_run
from ...report.sanitize import inert_line
from .interface import MemberJob, MemberResult, Phase

_LOOK_S = 0.05
# The end of an output in which its last line is looked for.
_TAIL_BYTES = 4096
_ERROR = "ERROR: "
# What tells nobody how far a member is.
_PYTESTS_OWN = re.compile(r"=|Report: |.*\[ *[0-9]+%\]$|(rootdir|configfile|testpaths|platform)\b|collected ")
_SAID_LIMIT = 300
# One summary for the fleet, not one for each member.
_NOT_FOR_MEMBERS = ("GITHUB_STEP_SUMMARY",)


class LocalEngine:
    """Members as processes. ``folder`` takes outputs and plans, ``report_dir`` the members' reports."""

    name = "local"
    takes_whole_waves = False

    def __init__(
        self, report_dir: Path, folder: Path, here: Path, clock: Clock, environ: Mapping[str, str]
    ) -> None:
        """Nothing is started yet; ``here`` is where the operator typed the command."""
        self._report_dir = report_dir
        self._folder = folder
        self._here = here
        self._clock = clock
        self._environ = {key: value for key, value in environ.items() if key not in _NOT_FOR_MEMBERS}
        self._running: dict[str, tuple[MemberJob, Server]] = {}
        self._not_begun: list[MemberResult] = []

    def start(self, jobs: Sequence[MemberJob], at_once: int) -> None:  # noqa: ARG002 - handed over one by one
        """A process for each."""
        for job in jobs:
            argv = [*_pytest(self._here), *self._where(job.phase), *job.words]
            env = {**self._environ, **job.environ}
            try:
                server = start_job(argv, output_path=self._new_output(job.run_id), env=env, cwd=self._here)
            except (OSError, ProcessProblem) as problem:
                said = f"it could not be started: {problem}"
                result = MemberResult(job.member, job.run_id, job.phase, None, None, problem=said)
                self._not_begun.append(result)
            else:
                self._running[job.member] = (job, server)

    def poll(self, wait_s: float) -> Sequence[MemberResult]:
        """Whoever's process has ended, with the record that it left."""
        deadline = self._clock.monotonic_s() + wait_s
        while True:
            found, self._not_begun = self._not_begun, []
            for member, (job, server) in list(self._running.items()):
                code = server.exit_code()
                if code is not None:
                    del self._running[member]
                    found.append(self._result(job, code))
            left = deadline - self._clock.monotonic_s()
            if found or left <= 0:
                return found
            self._clock.sleep(min(_LOOK_S, left))

    def hold(self) -> Sequence[str]:
        """Nobody waits here."""
        return ()

    def describe(self, member: str) -> str:
        """The last line that it has written."""
        if member not in self._running:
            return ""
        job, _ = self._running[member]
        try:
            with self._output(job.run_id).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        said = (line.strip() for line in reversed(lines))
        return inert_line(next((line for line in said if line and not _PYTESTS_OWN.match(line)), ""))

    def interrupt(self) -> None:
        """SIGINT to each member's process, and to nothing that it has started."""
        for _, server in self._running.values():
            server.interrupt()

    def wait_for_orphans(self, jobs: Mapping[str, str], wait_s: float) -> Sequence[str]:
        """Whose output is still held by a living process."""
        deadline = self._clock.monotonic_s() + wait_s
        while True:
            alive = [member for member, run_id in jobs.items() if is_held(self._output(run_id))]
            left = deadline - self._clock.monotonic_s()
            if not alive or left <= 0:
                return alive
            self._clock.sleep(min(_LOOK_S, left))

    def close(self) -> None:
        """Members that still run have a session of their own and go on."""

    def _output(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.out"

    def _new_output(self, run_id: str) -> Path | None:
        """Where its output goes; None: nowhere. No rollback waits for a disk that takes no file."""
        path = self._output(run_id)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder):
                return path
        except OSError:
            return None

    def _error(self, run_id: str) -> str:
        """What pytest said was wrong, and where all of its output is."""
        where = f"its output is {self._output(run_id)}"
        try:
            lines = self._output(run_id).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            return f"its output was not kept ({error.strerror})"
        said = next((line for line in reversed(lines) if line.startswith(_ERROR)), "")
        return f"{inert_line(said.removeprefix(_ERROR), _SAID_LIMIT)} ({where})" if said else where

    def _reports(self, phase: Phase) -> Path:
        return self._folder if phase is Phase.PLAN else self._report_dir

    def _where(self, phase: Phase) -> list[str]:
        """Where the reports go, as somebody would type it here; what is the default is not typed."""
        folder = self._reports(phase)
        if folder.is_relative_to(self._here):
            folder = folder.relative_to(self._here)
        return [] if folder == Path(REPORT_DIR) else [f"--zkrollback-report-dir={folder}"]

    def _result(self, job: MemberJob, code: int) -> MemberResult:
        found = read_run(self._reports(job.phase), job.run_id, beside=self._report_dir)
        problem = found.problem and f"{found.problem}; {self._error(job.run_id)}"
        return MemberResult(
            job.member, job.run_id, job.phase, code, found.run, problem, is_unreadable=found.is_unreadable
        )


@dataclass(frozen=True)
class FoundRun:
    """What a run's record says, or what is wrong; ``is_unreadable``: there is a file and it is no help."""

    run: MemberRun | None = None
    problem: str = ""
    is_unreadable: bool = False


def read_run(folder: Path, run_id: str, beside: Path) -> FoundRun:
    """The run of that id, whose record lies in ``folder``; ``beside``: where the fleet's own files lie."""
    path = next(iter(folder.glob(f"*-{run_id}.json")), None)
    if path is None:
        return FoundRun(problem=f"it left no record in {folder}")
    try:
        record = Record.model_validate_json(read_regular(path))
    except (OSError, ValidationError) as problem:
        said = f"its record {path} cannot be read ({type(problem).__name__})"
        return FoundRun(problem=said, is_unreadable=True)
    if record.run_id != run_id:
        return FoundRun(problem=f"its record {path} is that of another run", is_unreadable=True)
    page = path.with_suffix(".html")
    names = [each.relative_to(beside).as_posix() if each.exists() else "" for each in (path, page)]
    return FoundRun(member_run(record, *names))


def _pytest(here: Path) -> list[str]:
    """This Python's pytest. Where the operator's was not begun from this folder's modules, neither is it."""
    unsafe = [] if {"", str(here)} & set(sys.path) else ["-P"]
    return [sys.executable, *unsafe, "-m", "pytest"]
