"""Local programs: the one module that starts any.

Programs are given as a list of arguments, never as a shell line, and run in a session of their own, so
that Ctrl-C on the terminal reaches this program only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..domain.errors import ProcessProblem
from ..domain.ports import Clock, Finished
from .captured_output import Bounded, LineRelay, OutputFiles
from .clock import SystemClock
from .daemon_process import Daemon

TERM_GRACE_S = 2.0
_LOOK_S = 0.05  # how often it is looked whether the program ended although its pipes are still open
_DRAIN_S = 0.2  # how long a pipe is read on after the program's end
_CHUNK_BYTES = 64 * 1024
# So much is read between two pauses: `yes` would keep one processor busy with nothing.
_BURST_BYTES = 4 << 20
_PAUSE_S = 0.05
_PR_SET_PDEATHSIG = 1


class LocalProcesses:
    """The :class:`~pytest_zkrollback.domain.ports.Processes` port on this machine.

    ``end_on_error``: whether an exception out of a callback, or a KeyboardInterrupt, ends the program too.
    It does not by default: half a rollback is worse than one that finishes unwatched.
    """

    def __init__(self, clock: Clock | None = None, *, end_on_error: bool = False) -> None:
        """Keep the clock that deadlines are taken from."""
        self._clock = clock if clock is not None else SystemClock()
        self._end_on_error = end_on_error
        self._live: set[int] = set()

    def end_all(self) -> None:
        """SIGKILL the group of everything that still runs, but for what was started to survive us."""
        for pid in tuple(self._live):
            _signal_group(pid, signal.SIGKILL)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        limit_bytes: int = 256 * 1024,
        detached: bool = False,
    ) -> Finished:
        """Run to its end in a session of its own, standard input closed; raises ProcessProblem.

        ``output`` (both streams as they came), ``stdout`` and ``stderr`` keep at most ``limit_bytes`` each,
        head and tail, and say how much was left out. ``on_line`` gets the lines of both streams as fast as
        somebody can read them (:class:`~.captured_output.LineRelay`); lines above 64 KB come in pieces.
        A child that outlives the program and holds its pipes sets ``leftover_child`` and is left alone. At
        ``timeout_s`` the process group gets SIGTERM, 2 s later SIGKILL; then ``exit_code`` is None.
        """
        begun = self._clock.monotonic_s()
        files = OutputFiles() if detached else None
        stdout: IO[bytes] | int = subprocess.PIPE if files is None else files.stdout or subprocess.DEVNULL
        stderr: IO[bytes] | int = subprocess.PIPE if files is None else files.stderr or subprocess.DEVNULL
        popen = _popen(argv, env, cwd, stdout=stdout, stderr=stderr)
        watch = _Watch(popen, self._clock, limit_bytes, on_line)
        if not detached:
            self._live.add(popen.pid)
        try:
            if on_start is not None:
                on_start(popen.pid)
            timed_out = not watch.until(begun + timeout_s)
            if timed_out:
                self._end_group(popen, watch)
            leftover = watch.drain()
            if files is not None:
                files.read_into(watch.output, watch.stdout, watch.stderr)
        except BaseException:
            if self._end_on_error:
                self._end_group(popen, None)
            else:
                # Its end will never be read; without this the interpreter warns of a running child.
                popen.returncode = 0 if popen.poll() is None else popen.returncode
            raise
        finally:
            self._live.discard(popen.pid)
            watch.close()
            if files is not None:
                files.close()
        return Finished(
            argv=tuple(argv),
            exit_code=None if timed_out else popen.returncode,
            output=watch.output.text(),
            stdout=watch.stdout.text(),
            stderr=watch.stderr.text(),
            duration_s=self._clock.monotonic_s() - begun,
            timed_out=timed_out,
            leftover_child=leftover and not timed_out,
        )

    def _end_group(self, popen: subprocess.Popen[bytes], watch: _Watch | None) -> None:
        _signal_group(popen.pid, signal.SIGTERM)
        if watch is not None:
            watch.until(self._clock.monotonic_s() + TERM_GRACE_S)
        else:
            with suppress(subprocess.TimeoutExpired):
                popen.wait(TERM_GRACE_S)
        _signal_group(popen.pid, signal.SIGKILL)
        popen.wait()


class Server:
    """A program that runs until it is ended, its output in a log file."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        """Keep the process."""
        self._popen = popen

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if a signal ended it."""
        return self._popen.poll()

    def end(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def interrupt(self) -> None:
        """SIGINT to the program alone, as Ctrl-C would; nothing where it has ended."""
        self._popen.send_signal(signal.SIGINT)


def start_server(
    argv: Sequence[str],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    die_with_parent: bool = False,
) -> Server:
    """Start a program that stays: standard input closed, both outputs appended to ``log_path``.

    ``die_with_parent``: on Linux the kernel ends it when the calling *thread* ends; ask for it only from
    the main thread of a program without other threads. Elsewhere it is ignored. Raises ProcessProblem.
    """
    in_child = _death_signal(os.getpid()) if die_with_parent and sys.platform == "linux" else None
    with log_path.open("ab") as log:
        popen = _popen(
            argv,
            env,
            cwd,
            stdout=log,
            stderr=subprocess.STDOUT,
            new_session=False,
            in_child=in_child,
        )
    return Server(popen)


def start_job(
    argv: Sequence[str], *, output_path: Path | None, env: Mapping[str, str], cwd: Path | None = None
) -> Server:
    """Start a program that may outlive us: a session of its own, both outputs in a new file, or nowhere.

    The file is locked (flock) for as long as the program has it open: so anybody can see whether it lives.
    Raises ProcessProblem, and OSError where the file cannot be made or is there already.
    """
    if output_path is None:
        return Server(_popen(argv, env, cwd, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT))
    with output_path.open("xb") as output:
        with suppress(OSError):  # a file system without locks: then nobody can see it
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Server(_popen(argv, env, cwd, stdout=output, stderr=subprocess.STDOUT))


def start_daemon(
    argv: Sequence[str],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    clock: Clock | None = None,
) -> Daemon:
    """Start a program that calls :func:`detach` first thing; its stderr is appended to ``log_path``.

    Raises ProcessProblem, also if it ended with an error before it detached.
    """
    with log_path.open("ab") as log:
        popen = _popen(argv, env, cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    if popen.stdin is None or popen.stdout is None:  # for the type checker: both were asked for
        raise ProcessProblem(f"{argv[0]}: no pipes.")
    daemon = Daemon(popen.stdin, popen.stdout, clock if clock is not None else SystemClock())
    try:
        code = popen.wait()
    except BaseException:
        daemon.close()
        popen.wait()
        raise
    if code:
        daemon.close()
        raise ProcessProblem(f"{' '.join(argv[:3])} ended with exit code {code}; its log is {log_path}.")
    return daemon


def detach() -> None:
    """Go on in a child that the caller's parent does not have to wait for."""
    if os.fork():
        os._exit(0)


class _Watch:
    """Reads a program's two pipes until it ends."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        clock: Clock,
        limit_bytes: int,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self.output, self.stdout, self.stderr = (Bounded(limit_bytes) for _ in range(3))
        self._popen = popen
        self._clock = clock
        self._relay = None if on_line is None else LineRelay(on_line, clock)
        self._selector = selectors.DefaultSelector()
        self._burst_bytes = 0
        for pipe, kept in ((popen.stdout, self.stdout), (popen.stderr, self.stderr)):
            if pipe is not None:
                self._selector.register(pipe, selectors.EVENT_READ, kept)

    def until(self, deadline: float) -> bool:
        """Read until the program ended (True) or the deadline came (False)."""
        while True:
            left = deadline - self._clock.monotonic_s()
            if self._selector.get_map():
                self._read(min(_LOOK_S, max(left, 0)))
                if self._burst_bytes >= _BURST_BYTES:
                    self._burst_bytes = 0
                    self._clock.sleep(_PAUSE_S)
                ended = self._popen.poll() is not None
            else:
                with suppress(subprocess.TimeoutExpired):
                    self._popen.wait(max(left, 0))
                ended = self._popen.returncode is not None
            if ended or left <= 0:
                return ended

    def drain(self) -> bool:
        """Read what is left in the pipes after the end; True if somebody else still holds one."""
        deadline = self._clock.monotonic_s() + _DRAIN_S
        while self._selector.get_map() and self._clock.monotonic_s() < deadline:
            self._read(max(deadline - self._clock.monotonic_s(), 0))
        if self._relay is not None:
            self._relay.end()
        return bool(self._selector.get_map())

    def close(self) -> None:
        self._selector.close()
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            chunk = os.read(key.fd, _CHUNK_BYTES)
            if not chunk:
                self._selector.unregister(key.fileobj)
                continue
            key.data.add(chunk)
            self.output.add(chunk)
            if self._relay is not None:
                self._relay.add(key.fd, chunk)
            self._burst_bytes += len(chunk)


def _popen(
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: Path | None,
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    stdin: int = subprocess.DEVNULL,
    new_session: bool = True,
    in_child: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    if isinstance(argv, str) or not argv:
        raise ProcessProblem(f"a program is a list of arguments, not {argv!r}.")
    try:
        return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            list(argv),
            bufsize=0,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=new_session,
            preexec_fn=in_child,  # noqa: PLW1509 - only in a program without threads, see start_server
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ProcessProblem(_reason(argv[0], cwd, error)) from None


def _reason(program: str, cwd: Path | None, error: Exception) -> str:
    if cwd is not None and not cwd.is_dir():
        return f"{program} was not started: its working folder {cwd} does not exist or is no folder."
    path = program if cwd is None or "/" not in program else str(cwd / program)
    if isinstance(error, FileNotFoundError):
        if "/" not in program:
            return f"{program} was not started: no program of this name is on PATH."
        if Path(path).exists():
            return f"{program} was not started: the interpreter named in its first line does not exist."
        return f"{program} was not started: there is no such file."
    if isinstance(error, PermissionError):
        return f"{program} was not started: it is not executable (or a folder on its way is not readable)."
    if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
        return (
            f"{program} was not started: it is no program for this machine (a script without its #! line?)."
        )
    return f"{program} was not started: {error}."


def _signal_group(pid: int, number: signal.Signals) -> None:
    # Gone already; macOS says EPERM for a group in which nobody is left but a zombie.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _death_signal(parent: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)

    return in_child
