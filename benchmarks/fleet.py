"""A fleet of 40 releases on one drill control plane, with real helm: what is rolled back, and how often.

1. Three waves (1, 9, 30), one member of wave 2 whose target does not come up: wave 3 does not begin, exit 1.
2. The same command is typed, killed with SIGKILL in wave 2, and typed again.

What helm did is counted in the API server's audit log. Prints, and writes to benchmarks/results/fleet.json.
The claims: exactly the members whose helm ran have one new revision, nobody two, nobody of wave 3 any; 40
rows on the page; typed again every member has one rollback and is verified.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.local_cluster import Cluster, start_cluster
from support.drill_fleet import TARGET, DrillFleet

OUT = Path(__file__).parent / "results" / "fleet.json"
SIZES = (1, 9, 30)
BROKEN = "w2-5"
WAVES = [[f"w{number}-{place}" for place in range(size)] for number, size in enumerate(SIZES, 1)]
AT_ONCE = "at_once = 5"


def one_bad(cluster: Cluster, helm: Path, folder: Path) -> dict[str, object]:
    """One bad member in wave 2; the claims that did not hold are in ``wrong``."""
    fleet = DrillFleet(cluster, folder, helm, WAVES, (BROKEN,), "bad", rollout_timeout_s=60)
    fleet.configure(AT_ONCE, rollout_timeout_s=60)
    mark, began = fleet.mark(), time.monotonic()
    code, output = fleet.run(TARGET, timeout=1800)
    took_s = round(time.monotonic() - began, 1)
    made, record = fleet.rollbacks(mark), fleet.record()
    states = Counter(each["outcome"] or each["state"] for each in record["members"])
    page = next(fleet.folder.glob("reports/2*-fleet-all-*.html")).read_text(encoding="utf-8")
    rows = {name for name in fleet.members if re.search(rf">\s*{re.escape(name)}\s*<", page)}
    begun = {each["environment"] for each in record["members"] if each["helm_ran"]}
    wrong = [
        text
        for text, is_so in {
            "exit 1": code == 1,
            "wave 3 not started": record["waves"][2]["state"] == "not-started",
            "one new revision for each member whose helm ran, and for no other": made
            == dict.fromkeys(begun, 1),
            "nobody of wave 3 was rolled back": not set(WAVES[2]) & set(made),
            "wave 1 and the bad member were": {*WAVES[0], BROKEN} <= set(made),
            "40 rows on the page": len(rows) == len(fleet.members),
        }.items()
        if not is_so
    ]
    if wrong:
        print(output)
    return {
        "took_s": took_s,
        "exit_code": code,
        "new_revisions": sum(made.values()),
        "members_with_one": sum(1 for count in made.values() if count == 1),
        "members_with_more": sum(1 for count in made.values() if count > 1),
        "waves": [each["state"] for each in record["waves"]],
        "states": dict(states),
        "rows_on_the_page": len(rows),
        "wrong": wrong,
    }


def killed(cluster: Cluster, helm: Path, folder: Path) -> dict[str, object]:
    """Killed while helms of wave 2 are at work, and typed again: all green, one rollback each."""
    fleet = DrillFleet(cluster, folder, helm, WAVES, (), "kill", rollout_timeout_s=60)
    slow = folder / "slow-helm"
    slow.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 1;; esac\nexec {helm} "$@"\n')
    slow.chmod(0o755)
    fleet.configure(AT_ONCE, slow, rollout_timeout_s=60)
    mark, began = fleet.mark(), time.monotonic()
    process = fleet.start(TARGET)
    while not any(each["environment"] in WAVES[1] and each["helm"]["pid"] for each in fleet.member_records()):
        if process.poll() is not None:
            raise SystemExit(f"ended too early:\n{process.communicate()[0]}")
        time.sleep(0.1)
    process.kill()
    process.communicate()
    killed_s = round(time.monotonic() - began, 1)
    before = fleet.rollbacks(mark)
    code, output = fleet.run(TARGET, timeout=1800)
    took_s = round(time.monotonic() - began, 1)
    made, record = fleet.rollbacks(mark), fleet.record()
    wrong = [
        text
        for text, is_so in {
            "exit 0": code == 0,
            "one rollback each": made == dict.fromkeys(fleet.members, 1),
            "it says that it goes on": "which was killed" in output,
        }.items()
        if not is_so
    ]
    if wrong:
        print(output)
    return {
        "killed_after_s": killed_s,
        "took_s": took_s,
        "exit_code": code,
        "new_revisions_when_killed": sum(before.values()),
        "new_revisions": sum(made.values()),
        "members_with_more": sum(1 for count in made.values() if count > 1),
        "reasons": dict(Counter(str(each["reason"]) for each in record["members"])),
        "wrong": wrong,
    }


def main() -> int:
    """Both, on a control plane each."""
    binaries = find_binaries(progress=print)
    found = {}
    for name, measure in {"one_bad": one_bad, "killed": killed}.items():
        running = start_cluster(binaries)
        try:
            with tempfile.TemporaryDirectory() as folder:
                found[name] = measure(running.cluster, binaries["helm"], Path(folder))
        finally:
            running.close()
        print(name, json.dumps(found[name]), flush=True)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "members": sum(SIZES),
        "waves": SIZES,
        **found,
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return int(any(each["wrong"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
