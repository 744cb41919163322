"""What a node lives in: network, mounts, processes, host name and shared memory of its own.

Run as the first process of these namespaces (:func:`box_argv`). When it dies, which it does with whoever
started it, the kernel ends every process inside; the mounts and the network go with them. What a kubelet and
a container runtime write elsewhere on a machine, they write into a layer of memory here: the machine's own
folders and sysctls stay as they are. Cgroup folders have no namespace that would take them along, see
:mod:`.cgroups`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from ..clients.clock import SystemClock
from ..clients.process import LocalProcesses
from ..domain.errors import DrillProblem, ProcessProblem
from . import cgroups
from .control_plane import SERVICE_RANGE

PROGRAMS: Final = ("unshare", "nsenter", "setpriv", "mount", "ip")
ADDRESS: Final = "10.88.0.1"
POD_RANGE: Final = "10.88.0.0/16"
BRIDGE: Final = "pods"
# Read by a kubelet, and written where they are not as it wants them.
_SYSCTLS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
)
_STEP_S = 10.0
_COVERED = ("/var/lib", "/var/log", "/run")


def box_argv(data_dir: Path, *, check: bool = False) -> list[str]:
    """The command line; ``check``: end with exit code 0 once everything is in place."""
    unshare = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    own = [sys.executable, "-m", "pytest_zkrollback.drill.box", str(data_dir)]
    return [*unshare, *own, *(["--check"] if check else [])]


def ready_file(data_dir: Path) -> Path:
    """Holds the first process's id, as it is outside, once the namespaces are ready."""
    return data_dir / "box.ready"


def node_folder(data_dir: Path) -> Path:
    """A file system of its own in memory, to be seen inside only."""
    return data_dir / "node"


def temporary_folder(data_dir: Path) -> Path:
    """TMPDIR for programs inside."""
    return node_folder(data_dir) / "tmp"


def network_only(pid: int) -> list[str]:
    """What goes before a command line that is to run in the network of process ``pid``."""
    return ["nsenter", f"--target={pid}", "--net"]


def inside(pid: int) -> list[str]:
    """What goes before a command line that is to run inside; the program dies with whoever started it."""
    namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc"]
    return ["nsenter", f"--target={pid}", *namespaces, "setpriv", "--pdeathsig=KILL"]


def main(data_dir: Path, *, check: bool) -> NoReturn:
    """Make it, then wait for the end."""
    pid = str(Path("/proc/self").readlink())  # /proc is still the outer one
    try:
        locks = cgroups.make(data_dir.name)
    except OSError as error:
        sys.exit(f"no folder can be made for a cgroup: {error}")
    if not locks:
        sys.exit("no cgroups are mounted on this machine")
    try:
        _mounts(data_dir)
        _network()
    except (DrillProblem, ProcessProblem, OSError) as error:
        sys.exit(str(error))
    if check:
        sys.exit(0)
    partial = ready_file(data_dir).with_suffix(".partial")
    partial.write_text(pid)
    partial.rename(ready_file(data_dir))
    clock = SystemClock()
    while True:
        try:
            os.wait()  # orphans become our children
        except ChildProcessError:
            clock.sleep(1)


def _mounts(data_dir: Path) -> None:
    node = node_folder(data_dir)
    node.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", "mode=700", "node", str(node))
    temporary_folder(data_dir).mkdir()
    _run("mount", "-t", "proc", "proc", "/proc")
    for folder in _COVERED:
        if Path(folder).is_dir():
            _cover(Path(folder).resolve(), data_dir, node)
    # Kubelet counts what is used and free on the file system that its folder is on.
    kubelet = Path("/var/lib/kubelet")
    kubelet.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "kubelet", str(kubelet))
    for name in _SYSCTLS:
        real = Path("/proc/sys", name)
        if real.exists():
            own = node / name.replace("/", ".")
            own.write_text(real.read_text())
            _run("mount", "--bind", str(own), str(real))
    # As on a machine that boots: a container may ask for mounts of its own to be passed on.
    _run("mount", "--make-rshared", "/")


def _cover(folder: Path, data_dir: Path, node: Path) -> None:
    """Lay a writable layer over ``folder``; what is mounted below it stays where it is."""
    below = [path for path in _mount_points() if folder in path.parents and path.is_dir()]
    below += [data_dir] if folder in data_dir.parents else []
    kept = {path: os.open(path, os.O_PATH) for path in sorted(set(below))}
    layer = node / "layers" / str(folder).strip("/").replace("/", "-")
    for name in ("upper", "work"):
        (layer / name).mkdir(parents=True)
    layers = f"lowerdir={folder},upperdir={layer}/upper,workdir={layer}/work"
    _run("mount", "-t", "overlay", "-o", layers, "layer", str(folder))
    for path, fd in kept.items():
        _run("mount", "--no-canonicalize", "--rbind", f"/proc/1/fd/{fd}", str(path))
        os.close(fd)


def _mount_points() -> list[Path]:
    # Octal escapes stand for blanks in the kernel's list.
    lines = Path("/proc/self/mounts").read_bytes().splitlines()
    return [Path(line.split(b" ")[1].decode("unicode_escape")) for line in lines]


def _network() -> None:
    for words in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"address add {ADDRESS}/16 dev {BRIDGE}",
        f"link set {BRIDGE} up",
        # The servers look for the interface of the default route to know an address of their own.
        f"route add default dev {BRIDGE}",
        # Nobody routes Services: who asks for one is told so at once.
        f"route add unreachable {SERVICE_RANGE}",
    ):
        _run("ip", *words.split())


def _run(*argv: str) -> None:
    ended = LocalProcesses().run(argv, timeout_s=_STEP_S)
    if ended.exit_code != 0:
        raise DrillProblem(f"`{' '.join(argv)}` says: {ended.stderr.strip() or ended.exit_code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), check="--check" in sys.argv[2:])
