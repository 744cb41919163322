"""The record of a run that dies: SIGKILL at 50 random moments, SIGTERM at 20, on the drill cluster.

After each kill the JSON on disk has to parse, what it says of helm and of the revision has to agree with the
API server's audit log, and no latest.* may be an older run's green; after SIGTERM the report has to be there
within 2 s. Writes benchmarks/results/kills.json. `--kills` and `--stops` take other numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import start_cluster  # noqa: E402
from support.incident import Incident  # noqa: E402
from support.kills import Killer, Tally  # noqa: E402

LIMIT_S = 2.0
EACH = 5  # runs on one release


def main() -> int:
    """0 if no file ever said what was not so, and every report came in time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=20)
    asked = parser.parse_args()
    tally, began = Tally(), time.perf_counter()
    late: list[tuple[str, float]] = []
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        with tempfile.TemporaryDirectory() as name:
            os.environ["XDG_STATE_HOME"] = f"{name}/state"
            todo = ["kill"] * asked.kills + ["stop"] * asked.stops
            random.Random(0).shuffle(todo)
            for first in range(0, len(todo), EACH):
                place = Path(name, str(first))
                place.mkdir()
                incident = Incident(running, place, binaries["helm"])
                killer = Killer(incident, first, tally)
                for what in todo[first : first + EACH]:
                    getattr(killer, what)()
                incident.close()
                late = save(tally, time.perf_counter() - began)
                print(f"{first + EACH} of {len(todo)}: {tally.moments}, wrong: {tally.wrong}", flush=True)
    finally:
        running.close()
    return int(bool(tally.wrong or late))


def save(tally: Tally, seconds: float) -> list[tuple[str, float]]:
    """Write what is known so far; returns the reports that came too late."""
    late = [(moment, took_s) for moment, took_s in tally.report_s if took_s > LIMIT_S]
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load_1_min": round(os.getloadavg()[0], 1),
        "kills": tally.kills,
        "moments": tally.moments,
        "helm_made_a_revision": tally.helm_made_a_revision,
        "wrong": tally.wrong,
        "sigterms": len(tally.report_s),
        "sigterm_report_most_s": max((took_s for _, took_s in tally.report_s), default=None),
        "sigterm_report_s": tally.report_s,
        "late": late,
        "seconds": round(seconds),
    }
    out = Path(__file__).parent / "results" / "kills.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return late


if __name__ == "__main__":
    sys.exit(main())
