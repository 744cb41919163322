"""Runs of `pytest --env=drill --drill-kubelet --rollback-to=5` in a row, and all that they leave there.

    python benchmarks/kubelet_leftovers.py [--runs 20]

What there is before and after is listed: processes, namespaces, mounts, interfaces, routes, cgroups, sysctls,
files where a kubelet and a container runtime write. What others on the machine do meanwhile is not listed:
all of it runs in PID, network and mount namespaces made for it, with folders of its own as /tmp and /run.

Needs Linux and root. The result is written to benchmarks/results/kubelet_leftovers.json. Exit 1 if anything
is left, or a run is not verified.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.leftovers import take_inventory  # noqa: E402

_SETTLES_S = 5.0
_APART = "ZKROLLBACK_APART"
# A loopback interface is there; what others write into these folders is not seen. The first process, a shell,
# ends what nobody waits for, as an init does.
_PREPARE = (
    "ip link set lo up && for each in /tmp /run; do mount -t tmpfs -o mode=1777 apart $each; done"
    ' && mkdir -p /run/mount && { "$@" & wait $!; }'
)
OUT = Path(__file__).parent / "results" / "kubelet_leftovers.json"


def main() -> int:
    """Run, compare, write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    if _APART not in os.environ:
        unshare = ["unshare", "--pid", "--net", "--mount", "--fork", "--mount-proc", "--kill-child"]
        argv = [*unshare, "sh", "-c", _PREPARE, "sh", sys.executable, *sys.argv]
        return subprocess.run(argv, env={**os.environ, _APART: "yes"}, check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        # The state folder and the interpreter's caches are there before, as on a machine in use.
        before = take_inventory()
        seconds, outcomes = [], []
        for number in range(runs):
            began = time.monotonic()
            reports = Path(folder, str(number))
            argv = [sys.executable, "-m", "pytest", "--env=drill", "--drill-kubelet", "--rollback-to=5"]
            subprocess.run(
                [*argv, f"--zkrollback-report-dir={reports}"], cwd=ROOT, capture_output=True, check=False
            )
            seconds.append(round(time.monotonic() - began, 1))
            record = json.loads((reports / "latest.json").read_text())
            outcomes.append(record["outcome"])
            print(f"{number + 1} of {runs}: {record['outcome']} after {seconds[-1]} s", flush=True)
        time.sleep(_SETTLES_S)  # the kernel is still at the last namespaces
        after = take_inventory()
    left = {kind: sorted(after[kind] - before[kind] - _own(kind, folder, after)) for kind in after}
    gone = {
        kind: sorted(before[kind] - after[kind])
        for kind in ("mount", "interface", "route", "cgroup", "sysctl")
    }
    result = {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "runs": runs,
        "verified": outcomes.count("verified"),
        "seconds": {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)},
        "raw_seconds": seconds,
        "left": {kind: each for kind, each in left.items() if each},
        "gone": {kind: each for kind, each in gone.items() if each},
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["left"], indent=2) if result["left"] else "Nothing is left.")
    return 0 if result["verified"] == runs and not result["left"] and not result["gone"] else 1


def _own(kind: str, folder: str, after: dict[str, set[str]]) -> set[str]:
    """What is ours, and what the kernel's own threads come and go with."""
    if kind == "file":
        return {path for path in after["file"] if path.startswith(folder)}
    if kind == "process":  # as listed: number and command; kernel threads have none
        return {each for each in after["process"] if not each.partition(" ")[2].strip()}
    return set()


if __name__ == "__main__":
    sys.exit(main())
