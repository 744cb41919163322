"""Nothing of a cluster outlives its run, however the run ends; each is proved by listing processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RUN = """
import signal, sys, time
from pathlib import Path
from pytest_zkrollback.drill.local_cluster import start_cluster

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as pytest's own handling of it
running = start_cluster({name: Path(path) for name, path in (p.split("=") for p in sys.argv[2:])})
try:
    print(running.cluster.data_dir, flush=True)
    if sys.argv[1] == "raise":
        raise RuntimeError("as a failing run")
    if sys.argv[1] == "wait":
        time.sleep(60)
finally:
    if sys.argv[1] != "exit without close":
        running.close()
"""


def processes_of(data_dir: str) -> list[str]:
    """Command lines that name the data folder."""
    listed = subprocess.run(["ps", "-eo", "pid,args", "-ww"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if data_dir in line and "ps -eo" not in line]


def wait_for(done: Callable[[], bool], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def start(binaries: dict[str, Path]) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """Start a run of the given kind in a process of its own; it has a whole cluster when this returns."""
    started = []

    def start(kind: str) -> tuple[subprocess.Popen[str], str]:
        argv = [sys.executable, "-c", RUN, kind, *(f"{name}={path}" for name, path in binaries.items())]
        popen = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(popen)
        assert popen.stdout is not None
        data_dir = popen.stdout.readline().strip()
        assert data_dir, "no cluster was started"
        return popen, data_dir

    yield start
    for popen in started:
        popen.kill()
        popen.wait()
        popen.stdout.close()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="zk-") as folder:
        yield Path(folder)


def assert_nothing_is_left(data_dir: str) -> None:
    assert wait_for(lambda: not processes_of(data_dir)), processes_of(data_dir)
    assert wait_for(lambda: not Path(data_dir).exists())


@pytest.mark.parametrize(("kind", "code"), [("exit", 0), ("exit without close", 0), ("raise", 1)], ids=str)
def test_nothing_is_left_after_the_run_ended(start, kind: str, code: int) -> None:
    popen, data_dir = start(kind)
    assert popen.wait(20) == code
    assert_nothing_is_left(data_dir)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_nothing_is_left_after_a_signal_to_the_run(start, number: signal.Signals) -> None:
    popen, data_dir = start("wait")
    assert len(processes_of(data_dir)) == 7  # six servers and their supervisor
    popen.send_signal(number)
    popen.wait(20)
    assert_nothing_is_left(data_dir)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
def test_no_server_is_left_after_a_sigkill_of_the_supervisor(start, request) -> None:
    _, data_dir = start("wait")
    request.addfinalizer(lambda: shutil.rmtree(data_dir))
    os.kill(int((Path(data_dir) / "alive").read_text()), signal.SIGKILL)
    assert wait_for(lambda: not processes_of(data_dir)), processes_of(data_dir)


def test_nothing_is_left_if_the_start_is_interrupted(binaries: dict[str, Path], short_path: Path) -> None:
    argv = [sys.executable, "-c", RUN, "wait", *(f"{name}={path}" for name, path in binaries.items())]
    with subprocess.Popen(
        argv, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(short_path)}
    ) as run:
        assert wait_for(lambda: any("kube-apiserver" in line for line in processes_of(str(short_path))))
        run.send_signal(signal.SIGINT)
        run.wait(20)
    assert wait_for(lambda: not list(short_path.iterdir()))
    assert not processes_of(str(short_path))


def test_the_runs_pipes_are_not_held_open_by_the_servers(start) -> None:
    """As ``pytest ... | cat``: the reader sees the end as soon as the run itself ended."""
    popen, data_dir = start("wait")
    held = set()
    for line in processes_of(data_dir):
        fds = Path(f"/proc/{line.split()[0]}/fd")
        held |= {str(fd.readlink()) for fd in fds.iterdir() if fd.name in "012"}
    ours = str(Path(f"/proc/{popen.pid}/fd/1").readlink())
    assert ours not in held
