"""What a Prometheus that is gone costs a rollback: nothing before helm.

Prints, and writes to benchmarks/results/metrics_delay.json: seconds from the operator's Enter to helm's exec
on the drill's scenario error-rate. In turn with a Prometheus that answers, one that hangs (SIGSTOP: it takes
the connection and never answers) and none (SIGKILL: the connection is refused). The preflight asks it, too
(`users_impacted`). Helm is a script that notes the moment and changes nothing. Exit code 1 where, in the
median, none costs more than 0.2 s beside one that answers, or a hanging one more than the 2 s that the
preflight waits for it.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from exec_time import Marked, run_once, summary

from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.local_cluster import start_cluster
from support.incident import Incident

RUNS = 7
NONE_S, HANGS_S = 0.2, 2.2
OUT = Path(__file__).parent / "results" / "metrics_delay.json"


def measure(folder: Path) -> dict:
    """Seconds until helm is executed: the three in turn, so that they share the machine's moods."""
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        incident = Incident(running, folder, binaries["helm"], "error-rate")
        helm = Marked(incident)
        monitoring = incident.monitoring
        incident.configure(helm=str(helm.path), preflight_budget_s=5)
        rows: dict[str, list[dict]] = {"answers": [], "hangs": [], "none": []}
        for number in range(RUNS + 1):  # the first one warms up
            answers = run_once(incident, helm, "zkprova", 5)
            os.kill(monitoring.pid, signal.SIGSTOP)
            hangs = run_once(incident, helm, "zkprova", 5)
            running.stop_server(monitoring.prometheus)  # SIGKILL
            none = run_once(incident, helm, "zkprova", 5)
            monitoring.start()
            monitoring.wait_until_it_shows()
            if number:
                for name, row in (("answers", answers), ("hangs", hangs), ("none", none)):
                    rows[name].append(row)
        return {name: summary(found) for name, found in rows.items()}
    finally:
        running.close()


def main() -> int:
    """0 if the limits hold in the median."""
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name))
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f}",
        "limits_s": {"none": NONE_S, "hangs": HANGS_S},
        "prometheus": found,
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, each in found.items():
        print(name, json.dumps(each["median"]))
    answers, hangs, none = (found[name]["median"]["total_s"] for name in ("answers", "hangs", "none"))
    return int(none - answers > NONE_S or hangs - answers > HANGS_S)


if __name__ == "__main__":
    sys.exit(main())
