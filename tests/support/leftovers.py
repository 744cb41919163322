"""What a drill with a kubelet could leave on a machine: all of it that can be listed, before and after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_zkrollback.drill.box import node_folder, ready_file
from pytest_zkrollback.drill.supervisor import ALIVE

# Where a kubelet and a container runtime write, and where temporary files go.
FOLDERS = ("/run", "/var/lib", "/var/log", "/tmp", "/etc", "/opt")
SYSCTLS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "kernel/pid_max", "net/ipv4/ip_forward"),
    *("net/ipv4/conf/all/forwarding", "net/ipv4/conf/all/route_localnet", "fs/inotify/max_user_instances"),
)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


@dataclass(frozen=True)
class Traces:
    """What one drill has while it runs: its processes, the namespaces of its own, the files it wrote."""

    data_dir: Path
    processes: frozenset[str]
    namespaces: frozenset[str]
    files: frozenset[str]


def take_inventory() -> dict[str, set[str]]:
    """Kind -> what there is on the machine."""
    return {
        "process": set(_processes()),
        "namespace": set(_namespaces()),
        "mount": set(_lines("/proc/self/mountinfo", 4)),
        "interface": {path.name for path in Path("/sys/class/net").iterdir()},
        "route": set(_lines("/proc/net/route", 0)),
        "cgroup": set(_cgroups()),
        "sysctl": {f"{name}={_text(Path('/proc/sys', name))}" for name in SYSCTLS},
        "file": set(_files(FOLDERS)),
    }


def trace(data_dir: Path) -> Traces:
    """Of the drill that runs with this data folder."""
    tree = _descendants((data_dir / ALIVE).read_text())
    own = _namespaces_of("self")
    layers = Path("/proc", ready_file(data_dir).read_text(), f"root{node_folder(data_dir)}", "layers")
    written = set()
    for layer in layers.iterdir():
        upper = layer / "upper"
        below = "/" + layer.name.replace("-", "/")
        written |= {below + each.removeprefix(str(upper)) for each in _files((str(upper),))}
    return Traces(
        data_dir,
        frozenset(f"{pid} {_command(pid)}" for pid in tree),
        frozenset(set().union(*map(_namespaces_of, tree)) - own),
        frozenset(written),
    )


def left(traces: Traces, before: dict[str, set[str]]) -> dict[str, list[str]]:
    """What is there now and was not before, as far as it is the drill's; nothing else may come or go."""
    now = take_inventory()
    new = {kind: now[kind] - before[kind] for kind in now}
    name = traces.data_dir.name
    found = {
        "process": {
            each
            for each in new["process"]
            if each in traces.processes or _namespaces_of(each.partition(" ")[0]) & traces.namespaces
        },
        "namespace": new["namespace"] & traces.namespaces,
        "cgroup": {each for each in new["cgroup"] if name in each},
        "file": {each for each in new["file"] if name in each or each in traces.files},
    }
    found |= {kind: new[kind] for kind in ("mount", "interface", "route", "sysctl")}
    return {kind: sorted(each) for kind, each in found.items() if each}


def _pids() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _command(pid: str) -> str:
    return _text(Path("/proc", pid, "cmdline")).replace("\0", " ").strip()


def _processes() -> Iterator[str]:
    return (f"{pid} {command}" for pid in _pids() if (command := _command(pid)))


def _descendants(of: str) -> list[str]:
    parents: dict[str, list[str]] = {}
    for pid in _pids():
        # The name in parentheses may hold blanks.
        fields = _text(Path("/proc", pid, "stat")).rpartition(")")[2].split()
        if fields:
            parents.setdefault(fields[1], []).append(pid)
    found = [of]
    for pid in found:
        found += parents.get(pid, [])
    return found


def _namespaces() -> Iterator[str]:
    for pid in _pids():
        yield from _namespaces_of(pid)


def _namespaces_of(pid: str) -> set[str]:
    found = set()
    for kind in NAMESPACES:
        try:
            found.add(str(Path("/proc", pid, "ns", kind).readlink()))
        except OSError:
            continue
    return found


def _cgroups() -> Iterator[str]:
    return (folder for folder, _, _ in os.walk("/sys/fs/cgroup"))


def _files(tops: tuple[str, ...]) -> Iterator[str]:
    for top in tops:
        for folder, folders, names in os.walk(top):
            yield from (f"{folder}/{name}" for name in (*folders, *names))


def _lines(path: str, first_field: int) -> Iterator[str]:
    return (" ".join(line.split()[first_field:]) for line in _text(Path(path)).splitlines())


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
