"""From the operator's Enter to helm's exec, beside the plain `helm history` and `helm rollback`.

Prints, and writes to benchmarks/results/exec_time.json and a table of docs/how-fast.md: seconds and API
requests until helm is executed, by stage, on the drill cluster as it is (limit 1.2 s), for a release of 60
objects behind 50 ms of latency (limit 2.5 s), and for releases with nothing, 300 KB and 600 KB of random
base64 in ConfigMaps (300 KB cost 1.0 s at most, twice the size 2.2 times that); beside them those of the
plain commands. Helm is a script that notes the moment and changes nothing; the run is then killed, so that
every run begins with the same release. The plain commands run for real, on a release of their own.

"start" says what Python and pytest take without us, and which packages are imported until then (one run with
-X importtime, which is itself slower).
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from speed_table import START, in_page, render_start

from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.local_cluster import start_cluster
from support.checkout import NOT_THE_OPERATORS
from support.fault_proxy import FaultProxy
from support.incident import Incident

PAGE = Path(__file__).parents[1] / "docs" / "how-fast.md"
RUNS, FILLED_RUNS = 20, 5
ROUND_TRIP_S = 0.05
LIMITS_S = {"drill": 1.2, "60 objects, 50 ms": 2.5}
FILLED_S, TWICE = 1.0, 2.2
_NOISE_S = 0.05  # a difference that is smaller cannot be told from none
_CHART = {"apiVersion": "v2", "name": "wide", "version": "1.0.0"}
_MANY = """
{{- range $i := until 58 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: wide-{{ $i }}}
data: {release: "{{ $.Values.release }}"}
{{- end }}
{{- range $i := until 2 }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: wide-{{ $i }}}
spec:
  replicas: 1
  selector: {matchLabels: {app: wide-{{ $i }}}}
  template:
    metadata: {labels: {app: wide-{{ $i }}}}
    spec:
      containers: [{name: app, image: "wide:{{ $.Values.release }}"}]
{{- end }}
"""

_FILLED = """
{{- range $i := until 3 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: filled-{{ $.Values.size }}-{{ $i }}}
data: {random: "{{ randBytes (int $.Values.bytes) }}"}
{{- end }}
"""


class Marked:
    """A helm that notes when it is asked to roll back, and does nothing."""

    def __init__(self, incident: Incident) -> None:
        self.mark = incident.folder / "executed"
        self.path = incident.folder / "marked-helm"
        self.path.write_text(
            f'#!/bin/sh\nif [ "$1" = rollback ]; then date +%s.%N > {self.mark}.new\n'
            f'mv {self.mark}.new {self.mark}; exit 0; fi\nexec {incident.helm_path} "$@"\n'
        )
        self.path.chmod(0o755)

    def wait(self, timeout_s: float = 60) -> float:
        deadline_s = time.monotonic() + timeout_s
        while not self.mark.exists():
            if time.monotonic() > deadline_s:
                raise SystemExit("helm was not executed")
            time.sleep(0.002)
        at = float(self.mark.read_text())
        self.mark.unlink()
        return at


def run_once(incident: Incident, helm: Marked, release: str, target: int) -> dict:
    """One command until helm's exec: seconds by stage, and requests."""
    incident.kubectl("delete", "secret", f"zkrollback.v1.{release}", "--ignore-not-found")
    shutil.rmtree(incident.folder / "reports", ignore_errors=True)
    log = AuditLog(incident)
    began = time.time()
    process = incident.start(f"--rollback-to={target}")
    executed = helm.wait()
    process.kill()
    process.communicate()
    record = json.loads((incident.folder / "reports" / "latest.json").read_text())
    at = {event["event"]: _seconds(event["at"]) for event in record["timeline"]}
    helm_started = next(value for key, value in at.items() if key.startswith("helm rollback"))
    asked = log.times("pytest-zkrollback")
    return {
        "total_s": round(executed - began, 3),
        "python_and_pytest_s": round(at["run started"] - began, 3),
        "preflight_s": round(at["preflight passed"] - at["run started"], 3),
        "lock_and_journal_s": round(helm_started - at["preflight passed"], 3),
        "helm_process_s": round(executed - helm_started, 3),
        "preflight_requests": sum(each <= at["preflight passed"] for each in asked),
        "lock_and_journal_requests": sum(at["preflight passed"] < each <= helm_started for each in asked),
        "requests": sum(each <= executed for each in asked),
    }


class AuditLog:
    """What the API server is asked for from now on."""

    def __init__(self, incident: Incident) -> None:
        self._file = incident.cluster.audit_log
        self._seen = self._file.stat().st_size

    def times(self, agent: str) -> list[float]:
        """When requests of this user agent came in."""
        time.sleep(0.3)  # the log is written a little later
        with self._file.open("rb") as log:
            log.seek(max(self._seen - 1, 0))
            # The line that was being written then began before.
            _, _, text = log.read().decode().partition("\n") if self._seen else ("", "", log.read().decode())
            # The last line may be half.
            events = [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]
        return [
            _seconds(event["requestReceivedTimestamp"])
            for event in events
            if agent in event.get("userAgent", "").lower()
        ]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def plain(incident: Incident) -> dict:
    """`helm history`, then `helm rollback`, for real; afterwards the bad revision is put back."""
    scope = ["-n", incident.namespace, "--kube-context", incident.cluster.context]
    scope += ["--kubeconfig", str(incident.cluster.kubeconfig)]
    env = {**os.environ, "HELM_MAX_HISTORY": "0"}

    def timed(*words: str) -> tuple[float, int]:
        log, began = AuditLog(incident), time.perf_counter()
        argv = [str(incident.helm_path), *words, *scope]
        subprocess.run(argv, env=env, check=True, capture_output=True)
        took_s = round(time.perf_counter() - began, 3)
        return took_s, len(log.times("helm/"))

    history_s, history_requests = timed("history", "zkprova")
    rollback_s, rollback_requests = timed("rollback", "zkprova", "5")
    timed("rollback", "zkprova", "6")
    return {
        "history_s": history_s,
        "rollback_s": rollback_s,
        "history_requests": history_requests,
        "rollback_requests": rollback_requests,
    }


def wide(incident: Incident) -> None:
    """A release of 60 objects with two revisions beside the scenario's."""
    chart = _write_chart(incident, "wide", _MANY)
    for number in (1, 2):
        incident.helm("upgrade", "--install", "wide", str(chart), "--set", f"release=r{number}")


def filled(incident: Incident, kilobytes: int) -> str:
    """The name of a release with that much random base64, another one in each of its two revisions."""
    name = f"filled-{kilobytes}"
    chart = _write_chart(incident, name, _FILLED)
    values = f"size={kilobytes},bytes={kilobytes * 1000 * 3 // 4 // 3}"
    for _ in range(2):
        incident.helm("upgrade", "--install", name, str(chart), "--set", values)
    return name


def _write_chart(incident: Incident, name: str, template: str) -> Path:
    chart = incident.folder / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(json.dumps(_CHART))
    (chart / "templates" / "all.yaml").write_text(template)
    return chart


def summary(rows: list[dict]) -> dict:
    """Medians, and the slowest total."""
    medians = {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
    return {"median": medians, "slowest_total_s": max(row.get("total_s", 0) for row in rows), "runs": rows}


_ALONE = tuple(f"-pno:{name}" for name in ("html", "metadata", "zkrollback"))
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


def start_steps(incident: Incident, helm: Marked) -> dict:
    """Seconds of what is there without us, and milliseconds by package until helm's exec."""
    empty = incident.folder / "empty"
    empty.mkdir()

    def median_s(*words: str) -> float:
        took = []
        for _ in range(RUNS):
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], cwd=empty, capture_output=True, check=False)
            took.append(time.perf_counter() - began)
        return round(statistics.median(took), 3)

    return {
        "python_s": median_s("-c", "pass"),
        "import_pytest_s": median_s("-c", "import pytest"),
        "pytest_alone_s": median_s("-m", "pytest", "--collect-only", *NOT_THE_OPERATORS, *_ALONE),
        "packages": imports_until_exec(incident, helm),
    }


def imports_until_exec(incident: Incident, helm: Marked) -> dict[str, dict]:
    """By top package, those with most time first: how many modules, how long their own code took."""
    incident.kubectl("delete", "secret", "zkrollback.v1.zkprova", "--ignore-not-found")
    told = incident.folder / "imports.txt"
    with told.open("w") as errors:
        python, *words = incident.argv("--rollback-to=5")
        process = subprocess.Popen(
            [python, "-X", "importtime", *words],
            cwd=incident.folder,
            env=incident.environ(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        helm.wait()
        process.kill()
        process.wait()
    found: dict[str, dict] = {}
    for took_us, module in _IMPORT.findall(told.read_text()):
        package = found.setdefault(module.partition(".")[0], {"modules": 0, "ms": 0.0})
        package["modules"] += 1
        package["ms"] += int(took_us) / 1000
    ordered = sorted(found.items(), key=lambda pair: -pair[1]["ms"])
    return {name: {**each, "ms": round(each["ms"], 1)} for name, each in ordered}


def measure(folder: Path) -> tuple[dict, dict]:
    """All scenarios on one cluster, and what the start is made of."""
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        for name in ("ours", "theirs"):
            (folder / name).mkdir()
        ours = Incident(running, folder / "ours", binaries["helm"])
        theirs = Incident(running, folder / "theirs", binaries["helm"])
        wide(ours)
        helm = Marked(ours)
        ours.configure(helm=str(helm.path), preflight_budget_s=5)
        rows: dict[str, list[dict]] = {"drill": [], "plain helm": [], "60 objects, 50 ms": []}
        for number in range(RUNS + 1):  # the first one warms up
            pair = run_once(ours, helm, "zkprova", 5), plain(theirs)
            if number:
                rows["drill"].append(pair[0])
                rows["plain helm"].append(pair[1])
        sizes = {f"{size} KB of base64": filled(ours, size) for size in (0, 300, 600)}
        rows |= {name: [] for name in sizes}
        for number in range(FILLED_RUNS + 1):
            for name, release in sizes.items():
                ours.configure(helm=str(helm.path), release=release, preflight_budget_s=5)
                row = run_once(ours, helm, release, 1)
                if number:
                    rows[name].append(row)
        with FaultProxy(running.cluster, ROUND_TRIP_S) as proxy:
            far = proxy.kubeconfig(ours.folder)
            ours.configure(helm=str(helm.path), release="wide", kubeconfig=str(far), preflight_budget_s=5)
            for number in range(RUNS + 1):
                row = run_once(ours, helm, "wide", 1)
                if number:
                    rows["60 objects, 50 ms"].append(row)
        ours.configure(helm=str(helm.path), preflight_budget_s=5)
        return {name: summary(found) for name, found in rows.items()}, start_steps(ours, helm)
    finally:
        running.close()


def main() -> int:
    """0 if all limits hold in the median."""
    with tempfile.TemporaryDirectory() as folder:
        scenarios, start = measure(Path(folder))
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f}",
        "limits_s": LIMITS_S,
        "scenarios": scenarios,
        "start": start,
    }
    out = Path(__file__).parent / "results" / "exec_time.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    page = in_page(PAGE.read_text(encoding="utf-8"), render_start(result), START)
    PAGE.write_text(page, encoding="utf-8")
    for name, found in scenarios.items():
        print(name, json.dumps(found["median"]))
    empty, some, twice = (scenarios[f"{size} KB of base64"]["median"]["total_s"] for size in (0, 300, 600))
    more_s = some - empty
    print(f"300 KB cost {more_s:.3f} s, 600 KB {twice - empty:.3f} s")
    late = any(scenarios[name]["median"]["total_s"] > limit for name, limit in LIMITS_S.items())
    return int(late or more_s > FILLED_S or twice - empty > TWICE * max(more_s, _NOISE_S))


if __name__ == "__main__":
    sys.exit(main())
