"""What a fleet costs, from 1 member to 100: seconds, processor, memory, requests. Beside it: the shell loop.

    python benchmarks/fleet_scale.py [--sizes MEMBERS ...]

One drill control plane, a small release for each member (one Deployment of one pod), installed by real helm.
For each size, from the bad version, in turn:

  fleet   `pytest --fleet=all --rollback-to=app:1.8.0`: one wave, 10 at once, soak 2 s
  shell   `xargs -P 10` of `helm rollback` and what benchmarks/runbook.sh types with kubectl

The releases have no URL: both leave smoke test and /health out. Merged size by size into
benchmarks/results/fleet_scale.json, docs/fleet-scale.md and docs/pictures/fleet-scale.svg.

What is counted from what:
  wall_s            from the command's start to its end
  cpu_s             user and system, of the process and of all that were waited for: members and helm are
  control_plane_s   the same of the drill's servers and its node, meanwhile
  others_s          what else the machine's processors did meanwhile
  rss_bytes         most of all processes together (what they share counts several times), looked at 4 times/s
  pss_bytes         the same, what is shared counted once; looked at once a second
  requests          in the API server's audit log, by user agent
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fleet_scale_page import PAGE, PICTURE, in_page, render_picture, render_table
from verification import Audit, machine

from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.local_cluster import start_cluster
from support.drill_fleet import BAD, RELEASE, TARGET, DrillFleet

OUT = Path(__file__).parent / "results" / "fleet_scale.json"
SIZES = (1, 10, 40, 100)
AT_ONCE, SOAK_S, LOOK_S = 10, 2, 0.25
TICKS, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
AGENTS = {"ours": "pytest-zkrollback", "helm": "Helm/", "kubectl": "kubectl/"}
# What benchmarks/runbook.sh types, for a release of one Deployment without a URL.
SHELL = """#!/usr/bin/env bash
set -u
export KUBECONFIG={kubeconfig}
kubectl() {{ {kubectl} --context {context} -n "$1" "${{@:2}}"; }}
{helm} rollback {release} -n "$1" --kube-context {context} || exit 1
kubectl "$1" rollout status deployment/shop --timeout=120s || exit 1
kubectl "$1" logs -l app=shop --tail=50
kubectl "$1" get events --sort-by=.lastTimestamp | tail -20
"""


class Memory:
    """The most that a process and all below it hold at one time, until :meth:`stop`."""

    def __init__(self, pid: int) -> None:
        self._root, self._ends = pid, threading.Event()
        self.rss = self.pss = self.processes = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> dict:
        self._ends.set()
        self._thread.join()
        return {"rss_bytes": self.rss, "pss_bytes": self.pss, "processes": self.processes}

    def _look(self) -> None:
        looks = 0
        while not self._ends.wait(LOOK_S):
            pids = _tree(self._root)
            self.processes = max(self.processes, len(pids))
            self.rss = max(self.rss, sum(_rss(pid) for pid in pids))
            if looks % 4 == 0:
                self.pss = max(self.pss, sum(_pss(pid) for pid in pids))
            looks += 1


def _pids() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty: it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _tree(root: int) -> list[str]:
    below = defaultdict(list)
    for pid in _pids():
        if fields := _stat(pid):
            below[fields[1]].append(pid)
    found = [str(root)]
    for pid in found:
        found.extend(below[pid])
    return found


def _rss(pid: str) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return 0


def _pss(pid: str) -> int:
    with suppress(OSError):
        found = re.search(r"Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def _control_plane_s(data_dir: Path) -> float:
    """Processor seconds so far of what names that folder on its command line."""
    ticks = 0
    for pid in _pids():
        with suppress(OSError):
            if str(data_dir).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and (fields := _stat(pid)):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def _machine_s() -> float:
    """Processor seconds so far of the whole machine: user, nice, system, interrupts."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[place]) for place in (0, 1, 2, 5, 6)) / TICKS


def _agent(event: dict) -> str:
    """Who asked; empty: somebody else."""
    said = event.get("userAgent", "")
    return next((name for name, agent in AGENTS.items() if said.startswith(agent)), "")


class Bench:
    """A cluster with as many releases as the largest size."""

    def __init__(self, fleet: DrillFleet) -> None:
        self.fleet = fleet
        self._members = list(fleet.members)
        self._rolled_back: set[str] = set()
        self._script = fleet.folder / "shell.sh"
        cluster = fleet.cluster
        names = {"kubeconfig": cluster.kubeconfig, "context": cluster.context, "helm": fleet.helm}
        names |= {"kubectl": cluster.binaries["kubectl"], "release": RELEASE}
        self._script.write_text(SHELL.format(**names))

    def measure(self, size: int) -> dict:
        """Both, on the same members."""
        members, rest = self._members[:size], self._members[size:]
        self._members = rest + members  # the next size begins with others: histories stay alike
        self.fleet.members, self.fleet.waves = members, [members]
        self.fleet.configure(f"at_once = {AT_ONCE}", soak_s=SOAK_S, rollout_timeout_s=120)
        row: dict = {"members": size, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        namespaces = "".join(f"{self.fleet.namespace(name)}\n" for name in members)
        (self.fleet.folder / "namespaces").write_text(namespaces)
        shutil.rmtree(self.fleet.folder / "reports", ignore_errors=True)
        for name, argv in {
            "fleet": self.fleet.argv(TARGET),
            "shell": ["xargs", "-P", str(AT_ONCE), "-I{}", "bash", str(self._script), "{}"],
        }.items():
            self._put_back()
            row[name] = self._command(argv)
            print(size, name, json.dumps(row[name]), flush=True)
        return row

    def _command(self, argv: list[str]) -> dict:
        cluster, members = self.fleet.cluster, self.fleet.members
        load, mark, audit = os.getloadavg()[0], self.fleet.mark(), Audit(self.fleet)  # type: ignore[arg-type]
        control_s, machine_s, self_s = _control_plane_s(cluster.data_dir), _machine_s(), time.process_time()
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
        with tempfile.TemporaryFile("w+") as output, (self.fleet.folder / "namespaces").open() as names:
            began = time.monotonic()
            process = subprocess.Popen(
                argv,
                cwd=self.fleet.folder,
                env=environ,
                stdin=names,
                stdout=output,
                stderr=output,
            )
            memory = Memory(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall_s, most = time.monotonic() - began, memory.stop()
            output.seek(0)
            said = output.read()
        cpu_s = usage.ru_utime + usage.ru_stime
        control_s = _control_plane_s(cluster.data_dir) - control_s
        others_s = _machine_s() - machine_s - control_s - cpu_s - (time.process_time() - self_s)
        agents = Counter(map(_agent, audit.events()))
        made = self.fleet.rollbacks(mark)
        if process.returncode or made != dict.fromkeys(members, 1):
            raise SystemExit(f"{argv}: exit {process.returncode}, new revisions {dict(made)}\n{said}")
        self._rolled_back |= set(members)
        return {
            "wall_s": round(wall_s, 2),
            "cpu_s": round(cpu_s, 2),
            "control_plane_s": round(control_s, 2),
            "others_s": round(others_s, 2),
            **most,
            "requests": {name: agents[name] for name in AGENTS if agents[name]},
            "load_before": round(load, 1),
        }

    def _put_back(self) -> None:
        """The bad version again, everywhere, with all of its pods Ready; 4 at a time."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._helm_back, self._rolled_back))
        self._rolled_back.clear()
        while not all(map(_is_complete, self._deployments())):
            time.sleep(0.5)
        time.sleep(2)  # the old pods go

    def _helm_back(self, member: str) -> None:
        cluster = self.fleet.cluster
        # An upgrade: what was rolled back away from once is no target for us any more.
        chart = self.fleet.folder / f"chart-{BAD}"
        argv = [str(self.fleet.helm), "upgrade", RELEASE, str(chart), "-n", self.fleet.namespace(member)]
        argv += ["--kubeconfig", str(cluster.kubeconfig), "--kube-context", cluster.context]
        subprocess.run(argv, check=True, capture_output=True)

    def _deployments(self) -> list[dict]:
        cluster = self.fleet.cluster
        argv = [str(cluster.binaries["kubectl"]), "get", "deployments", "-A", "-o", "json"]
        argv += ["--kubeconfig", str(cluster.kubeconfig), "--context", cluster.context]
        return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)["items"]


def _is_complete(item: dict) -> bool:
    status = item.get("status") or {}
    counts = [status.get(each, 0) for each in ("replicas", "updatedReplicas", "readyReplicas")]
    seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
    return seen and counts == [item["spec"]["replicas"]] * 3


def keep(row: dict) -> None:
    """Into the results, the page and the picture."""
    result = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"found": []}
    found = [each for each in result["found"] if each["members"] != row["members"]]
    result = {
        "machine": machine(),
        "at_once": AT_ONCE,
        "soak_s": SOAK_S,
        "found": sorted([*found, row], key=lambda each: each["members"]),
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(in_page(PAGE.read_text(encoding="utf-8"), render_table(result)), encoding="utf-8")
    PICTURE.write_text(render_picture(result), encoding="utf-8")


def main() -> int:
    """Measures; a command that ends otherwise than expected is an error, and its size is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    sizes = parser.parse_args().sizes
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        with tempfile.TemporaryDirectory() as folder:
            names = [[f"m{number}" for number in range(max(sizes))]]
            bench = Bench(DrillFleet(running.cluster, Path(folder), binaries["helm"], names, prefix="scale"))
            print("installed", flush=True)
            for size in sizes:
                keep(bench.measure(size))
    finally:
        running.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
