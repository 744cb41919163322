"""The programs of one drill and the folder they work in: both go when the drill ends, however it ends."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..clients.daemon_process import Daemon
from ..clients.process import start_daemon
from ..domain.errors import DrillProblem, ProcessProblem
from ..domain.ports import Clock

PREFIX = "zkrollback-drill-"
_ANSWER_S = 30.0
# What was asked for the end may have to ask a server that does not answer.
_END_S = 60.0


class Supervised:
    """Programs that this process started through a supervisor: they end with it, unless they are kept.

    ``data_dir`` is theirs; everything in it goes with them.
    """

    def __init__(self, data_dir: Path, daemon: Daemon) -> None:
        """Take the supervisor over."""
        self.data_dir = data_dir
        self._daemon = daemon

    @property
    def logs(self) -> Path:
        """Folder with one log file per program."""
        return self.data_dir / "logs"

    def start_server(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, *, vital: bool = True
    ) -> int:
        """Start one more program with the cluster's lifetime; returns its process id.

        A kept drill ends when a ``vital`` one does. Its output goes to ``<data_dir>/logs/<name>.log``, its
        working folder is the data folder, its environment is PATH, HOME (the data folder) and ``env``.
        Raises DrillProblem.
        """
        env = {**self._server_env(), **(env or {})}
        request = {"start": name, "argv": list(argv), "env": env, "vital": vital}
        answer = self._ask(request)
        if "error" in answer:
            raise DrillProblem(f"The drill could not start {name}: {answer['error']}")
        return int(answer["pid"])

    def stop_server(self, name: str) -> None:
        """SIGKILL one of the programs; it can be started again under its name."""
        self._ask({"stop": name})

    def ended(self) -> dict[str, int]:
        """Programs that ended by themselves, with their exit codes."""
        return dict(self._ask({"ended": True})["ended"])

    def last_words(self, name: str, count: int = 12) -> str:
        """The end of a program's log, indented."""
        log = self.logs / f"{name}.log"
        try:
            with log.open("rb") as file:
                file.seek(max(log.stat().st_size - 8192, 0))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"  (no log: {error.strerror})"
        return "\n".join(f"  {line}" for line in lines[-count:])

    def at_end(self, argv: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None) -> None:
        """Have the supervisor run this once all programs have ended, in whatever way the run ends.

        Before the data folder goes, in the order of the calls; what it says and how it ends is not told to
        anybody. Its environment is that of :meth:`start_server`. Raises DrillProblem.
        """
        env = {**self._server_env(), **(env or {})}
        self._ask({"at_end": list(argv), "env": env, "timeout_s": timeout_s})

    def keep(self) -> None:
        """From now on it stays after this process; only its own death or SIGTERM ends it."""
        self._ask({"keep": True})
        self._daemon.close()

    def close(self) -> None:
        """End every program and remove the data folder; returns when that is done."""
        if not self._daemon.close(timeout_s=_END_S):
            raise DrillProblem(
                f"The drill's supervisor did not end within {_END_S:g} s; its folder is"
                f" {self.data_dir}, its process id is in the file 'alive' there."
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = json.loads(self._daemon.ask(json.dumps(request), _ANSWER_S))
        except ProcessProblem as problem:
            raise DrillProblem(f"The drill's supervisor does not answer: {problem}") from None
        return dict(answer)

    def _server_env(self) -> dict[str, str]:
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.data_dir)}
        if "PYTHONPATH" in os.environ:
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return env


def start_supervisor(clock: Clock) -> tuple[Path, Daemon]:
    """A fresh data folder and its supervisor, for :class:`Supervised`.

    Raises DrillProblem; then nothing of it stays.
    """
    data_dir = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_short_folder())).resolve()
    daemon = None
    try:
        (data_dir / "logs").mkdir()
        daemon = start_daemon(
            [sys.executable, "-m", "pytest_zkrollback.drill.supervisor", str(data_dir)],
            log_path=data_dir / "logs" / "supervisor.log",
            clock=clock,
        )
        daemon.answer(_ANSWER_S)
    except BaseException as error:
        if daemon is not None:
            daemon.close(_ANSWER_S)
        shutil.rmtree(data_dir, ignore_errors=True)
        if isinstance(error, ProcessProblem):
            raise DrillProblem(f"The drill's supervisor could not be started: {error}") from None
        raise
    return data_dir, daemon


def _short_folder() -> str | None:
    """Where the data folder goes; None: the usual place. A Unix socket's path has 104 bytes on macOS."""
    return None if len(tempfile.gettempdir()) <= 60 else "/tmp"  # noqa: S108 - mkdtemp makes it ours
