"""Nothing of the drill outlives its run: a process apart that owns all servers.

It leaves the test run's process tree, starts the servers on request and reads its standard input, the other
end of which only the test run holds. The end of that input, in whatever way the run ended (SIGKILL
included), or a SIGTERM, ends the servers, runs what was asked for the end and removes the data folder.
Should the supervisor itself be killed, the kernel ends the servers (Linux). After a ``keep`` it lets go of
the run and waits for SIGTERM or for the end of one of its servers that is ``vital``.

It holds an exclusive lock on ``<data folder>/alive``, which holds its process id: the lock says for
certain whether it lives, which a process id alone does not.

Requests and answers are JSON, one a line::

    {"start": NAME, "argv": [...], "env": {...}, "vital": BOOL}  ->  {"pid": N} or {"error": TEXT}
    {"stop": NAME}                                ->  {}
    {"ended": true}                               ->  {"ended": {NAME: EXIT_CODE}}
    {"keep": true}                                ->  {}
    {"at_end": [...], "env": {...}, "timeout_s": N}  ->  {}
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..clients.process import LocalProcesses, Server, detach, start_server
from ..domain.errors import ProcessProblem

ALIVE = "alive"
_STDIN, _STDOUT = 0, 1


def main(data_dir: Path) -> None:
    """Detach, serve until the end, remove the data folder."""
    detach()
    # Never closed: the lock is free when this process is gone, not a moment before.
    alive = os.open(data_dir / ALIVE, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(alive, fcntl.LOCK_EX)
    os.write(alive, str(os.getpid()).encode())
    supervisor = _Supervisor(data_dir)
    try:
        supervisor.serve()
    finally:
        supervisor.end_all()
        shutil.rmtree(data_dir, ignore_errors=True)


def end_supervisor(data_dir: Path) -> int:
    """Ask the supervisor of a data folder to end (SIGTERM); returns its process id.

    Call it only while its lock is held: then the process id is its own. Raises OSError.
    """
    pid = int((data_dir / ALIVE).read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    return pid


class _Supervisor:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._servers: dict[str, Server] = {}
        self._vital: set[str] = set()
        self._at_end: list[tuple[list[str], dict[str, str], float]] = []
        self._rest = b""
        self._kept = False
        self._ending = False
        self._wake, wake_to = os.pipe()
        os.set_blocking(wake_to, False)
        signal.set_wakeup_fd(wake_to, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._selector = selectors.DefaultSelector()
        self._selector.register(_STDIN, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def serve(self) -> None:
        """Answer requests until the input ends, a signal comes or (kept) a vital server ends."""
        self._say({"pid": os.getpid()})
        while not self._ending:
            ready = {key.fd for key, _ in self._selector.select()}
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._ending = self._ending or (self._kept and not self._vital.isdisjoint(self._ended()))
            if _STDIN in ready:
                self._read()

    def end_all(self) -> None:
        """End every server. Their data is thrown away, so they are not asked nicely."""
        for server in self._servers.values():
            server.end()
        for argv, env, timeout_s in self._at_end:
            with suppress(ProcessProblem):  # the others are still to be run
                LocalProcesses().run(argv, timeout_s=timeout_s, env=env)

    def _end(self, *_: object) -> None:
        self._ending = True

    def _read(self) -> None:
        chunk = os.read(_STDIN, 65536)
        if not chunk:
            self._ending = True
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            request = json.loads(line)
            self._say(self._answer(request))
            if "keep" in request:
                self._let_go()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"start": str(name), "argv": argv, "env": env, "vital": vital}:
                log_path = self._data_dir / "logs" / f"{name}.log"
                try:
                    server = start_server(
                        argv, log_path=log_path, env=env, cwd=self._data_dir, die_with_parent=True
                    )
                except ProcessProblem as problem:
                    return {"error": str(problem)}
                self._servers[name] = server
                if vital:
                    self._vital.add(name)
                return {"pid": server.pid}
            case {"stop": str(name)}:
                self._servers.pop(name).end()
            case {"at_end": argv, "env": env, "timeout_s": timeout_s}:
                self._at_end.append((argv, env, timeout_s))
            case {"ended": True}:
                return {"ended": self._ended()}
        return {}

    def _ended(self) -> dict[str, int]:
        codes = {name: server.exit_code() for name, server in self._servers.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def _say(self, answer: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # then the input has ended, too
            os.write(_STDOUT, json.dumps(answer).encode() + b"\n")

    def _let_go(self) -> None:
        self._kept = True
        self._selector.unregister(_STDIN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (_STDIN, _STDOUT):
            os.dup2(nothing, fd)
        os.close(nothing)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
