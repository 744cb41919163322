"""The verification against the runbook's own commands, paired on one drill cluster.

    python benchmarks/verification.py [--only SCENARIO ...] [--runs N]

Scenarios: healthy, whole (with the smoke test), far (50 ms of latency added), crowded (500 pods, 10,000
events, 10 release records of about 1 MB), crash-loop, bad-image, failing-readiness, half-open. Each starts a
cluster of its own, and its results are merged into benchmarks/results/verification.json and the table of
docs/how-fast.md, so that they may be measured one by one. Exit 1 if a limit is missed.

What is counted from what:
  first verdict   from the moment at which the API server answered the status that made the last pod Ready
                  (its audit log) to the moment at which every item but the message is green (the record's)
  red             from the first answered pod status that qualifies (two restarts; an image that is not
                  found) to the first red item, or the first command that ends with an error
  whole command   from the command's start to its first verdict, and from the start of `helm history`, with
                  `helm rollback` after it, to the end of the runbook's last command
  to the exit     from the end of the soak to the end of the process
  requests, sizes one `pytest --env=NAME` until its first verdict: the audit log's, the proxy's on the wire
  memory          VmHWM of the pytest process
"""

from __future__ import annotations

import argparse
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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from crowd import make_crowd, make_records  # noqa: E402
from speed_table import REQUESTS, in_page, render_table  # noqa: E402

from pytest_zkrollback.clients.clock import SystemClock  # noqa: E402
from pytest_zkrollback.clients.kube.client import connect  # noqa: E402
from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import start_cluster  # noqa: E402
from pytest_zkrollback.engine.cluster_watch import ClusterWatch  # noqa: E402
from support.fault_proxy import FaultProxy  # noqa: E402
from support.incident import SCRIPTS, Incident  # noqa: E402

OUT = Path(__file__).parent / "results" / "verification.json"
PAGE = ROOT / "docs" / "how-fast.md"
RUNBOOK = Path(__file__).with_name("runbook.sh")
ROUND_TRIP_S = 0.05
FIRST_VERDICT_S = {"healthy": 0.2, "far": 0.5, "crowded": 0.25}
OF_THE_RUNBOOK = 0.85  # the whole command, as a part of what the plain commands take
RED_S = 0.05
RESPONSE_BYTES = 1_000_000
HALF_OPEN_S = 10.0
PEAK_RSS_BYTES = 100_000_000
RUNS = {"healthy": 20, "whole": 20, "far": 20, "crowded": 20, "crash-loop": 5, "bad-image": 5}
RUNS |= {"failing-readiness": 1, "half-open": 10}

_LINE = re.compile(r"^\{\"kind\":\"Event\".*\}$", re.MULTILINE)
_WAIVED = "--rollback-waive=smoke=measured by itself"


# --- what the API server's audit log says -------------------------------------------------------------------


class Audit:
    """The part of the audit log that is written from now on, for one namespace."""

    def __init__(self, incident: Incident) -> None:
        self._log, self.namespace = incident.cluster.audit_log, incident.namespace
        self._from = self._log.stat().st_size

    def events(self) -> list[dict]:
        time.sleep(0.3)  # it is written a little later
        with self._log.open("rb") as log:
            log.seek(self._from)
            # The first line may have been half written when its place was noted, the last one may be now.
            return [json.loads(line) for line in _LINE.findall(log.read().decode())]

    def statuses(self) -> Iterator[tuple[float, str, dict]]:
        """When the API server answered, which pod, the status that was written, in that order."""
        for event in self.events():
            about = event.get("objectRef") or {}
            names = (about.get("resource"), about.get("subresource"), about.get("namespace"))
            if names == ("pods", "status", self.namespace) and event["verb"] == "patch":
                status = (event.get("requestObject") or {}).get("status") or {}
                yield seconds(event["stageTimestamp"]), about["name"], status


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def last_ready(audit: Audit, before: float) -> float:
    """The moment of the last pod that became Ready before the first verdict."""
    return max(
        at
        for at, _, status in audit.statuses()
        if at < before
        and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
    )


def status_written(audit: Audit, before: float) -> float:
    """The moment of the last status of a Deployment that was written before the first verdict.

    kubectl rollout status waits for it, and so do we: no verdict can be sooner.
    """
    return max(
        at
        for event in audit.events()
        if (event.get("objectRef") or {}).get("resource") == "deployments"
        and event["objectRef"].get("subresource") == "status"
        and event["objectRef"].get("namespace") == audit.namespace
        and (at := seconds(event["stageTimestamp"])) < before
    )


def qualifies(audit: Audit, since: float) -> float | None:
    """The moment of the first pod status after ``since`` by which a rollout is known to fail."""

    def shows(container: dict) -> bool:
        reason = ((container.get("state") or {}).get("waiting") or {}).get("reason")
        return reason == "ErrImagePull" or container.get("restartCount", 0) >= 2

    return min(
        (
            at
            for at, _, status in audit.statuses()
            if at > since and any(map(shows, status.get("containerStatuses", ())))
        ),
        default=None,
    )


# --- one run of each ----------------------------------------------------------------------------------------


@dataclass
class Ours:
    """One command of ours: its record, its peak memory, when it was started."""

    record: dict
    peak_rss_bytes: int
    began: float
    ended: float
    code: int

    def event(self, text: str) -> float:
        return seconds(next(one["at"] for one in self.record["timeline"] if text in one["event"]))

    @property
    def first_verdict(self) -> float:
        if self.record.get("provisional_at"):
            return seconds(self.record["provisional_at"])
        return max(seconds(item["finished_at"]) for item in self.record["items"] if item["id"] != "notify")

    def took(self) -> dict[str, float]:
        """From when each item could be judged to its first PASS; what stands in its line is the last look."""
        passed = {
            event["item"]: seconds(event["at"])
            for event in reversed(self.record["timeline"])
            if event.get("verdict") == "PASS"
        }
        return {
            item["id"]: round(passed[item["id"]] - seconds(item["started_at"]), 3)
            for item in self.record["items"]
            if item["id"] in passed and item["started_at"]
        }

    def red(self) -> tuple[str, float]:
        """The first item that is not green after helm, and when."""
        late = [
            i for i in self.record["items"] if i["verdict"] in ("FAIL", "UNVERIFIED") and i["finished_at"]
        ]
        first = min(late, key=lambda item: item["finished_at"])
        return first["id"], seconds(first["finished_at"])


def run_ours(incident: Incident, *args: str) -> Ours:
    shutil.rmtree(incident.folder / "reports", ignore_errors=True)
    began = time.time()
    process = incident.start(*args)
    status = Path(f"/proc/{process.pid}/status")
    peak_kib = 0
    while process.poll() is None:
        with suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
            peak_kib = max(peak_kib, int(found[1])) if found else peak_kib
        time.sleep(0.005)
    ended = time.time()
    output = process.communicate()[0]
    record = incident.latest()
    if record is None:
        raise SystemExit(f"no record was written:\n{output}")
    return Ours(record, peak_kib * 1024, began, ended, process.returncode)


def run_theirs(incident: Incident, kubeconfig: Path) -> list[tuple[str, int, float, float]]:
    """The runbook's commands: name, exit code, began, ended."""
    folder = incident.cluster.binaries["kubectl"].parent
    env = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        [str(RUNBOOK), incident.namespace, incident.url],
        cwd=SCRIPTS,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("STEP ")]
    return [(name, int(code), float(began), float(ended)) for name, code, began, ended in rows]


# --- scenarios ----------------------------------------------------------------------------------------------


@contextmanager
def incident_with(scenario: str = "crash-loop") -> Iterator[Incident]:
    """A cluster of its own with the scenario's bad revision live."""
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Incident(running, Path(folder), binaries["helm"], scenario)
    finally:
        running.close()


def roll_back(incident: Incident, revision: int, keep: int = 10) -> float:
    """The real helm by hand; returns when it ended. Ten revisions are kept, as by default; 0: all."""
    incident.helm("rollback", "zkprova", str(revision), "--history-max", str(keep))
    return time.time()


def healthy(runs: int, *, whole: bool = False, far: bool = False, crowded: bool = False) -> dict:
    """Rollbacks from the bad revision to the good one, and back by hand, again and again.

    ``whole``: with the smoke test, each beside the plain commands.
    """
    with ExitStack() as stack:
        incident = stack.enter_context(incident_with())
        if crowded:
            make_crowd(incident)
            make_records(incident)
        kubeconfig = incident.cluster.kubeconfig
        if far:
            proxy = stack.enter_context(FaultProxy(incident.cluster, ROUND_TRIP_S))
            kubeconfig = proxy.kubeconfig(incident.folder)
        incident.configure(kubeconfig=str(kubeconfig))
        rows, theirs = [], []
        for number in range(runs + 1):  # the first one warms up
            row = _ours_healthy(incident, smoke=whole)
            if number:
                rows.append(row)
            if number and (whole or number <= max(1, runs // 4)):
                theirs.append(_theirs_healthy(incident, kubeconfig))
            print(json.dumps(row), flush=True)
            make_bad(incident)
        roll_back(incident, incident.head() - 1)
        found = {"runs": rows, "runbook": theirs}
        return found if whole or far else {**found, "verify_only": count_requests(incident)}


def make_bad(incident: Incident) -> None:
    """Back to the bad revision by hand; its pods come up, and the old ones go."""
    roll_back(incident, incident.head() - 1)
    time.sleep(2)


def _ours_healthy(incident: Incident, *, smoke: bool) -> dict:
    audit = Audit(incident)
    ours = run_ours(
        incident,
        f"--rollback-to={incident.head() - 1}",
        *("--rollback-soak=1", "--rollback-migration-assessed=none ran"),
        *(() if smoke else (_WAIVED,)),
    )
    if ours.code != 0:
        raise SystemExit(f"not verified: {json.dumps(ours.record['items'], indent=1)}")
    first, ready = ours.first_verdict, last_ready(audit, ours.first_verdict)
    return {
        "first_verdict_s": round(first - ready, 3),
        "status_written_s": round(status_written(audit, first) - ready, 3),
        "took_s": ours.took(),
        "command_to_helm_s": round(seconds(ours.record["helm"]["started_at"]) - ours.began, 3),
        "from_helms_exit_s": round(first - ours.event("helm ended"), 3),
        "whole_s": round(first - ours.began, 3),
        "to_the_exit_s": round(ours.ended - ours.event("watching has ended"), 3),
        "peak_rss_bytes": ours.peak_rss_bytes,
    }


def _theirs_healthy(incident: Incident, kubeconfig: Path) -> dict:
    """The same rollback by hand, then the runbook's commands."""
    make_bad(incident)
    target, audit, began = incident.head() - 1, Audit(incident), time.time()
    incident.helm("history", "zkprova")
    ended = roll_back(incident, target)
    steps = run_theirs(incident, kubeconfig)
    last = steps[-1][3]
    return {
        "last_command_s": round(last - last_ready(audit, last), 3),
        "from_helms_exit_s": round(last - ended, 3),
        "whole_s": round(last - began, 3),
        "exit_codes": [code for _, code, _, _ in steps],
    }


def count_requests(incident: Incident) -> dict:
    """One verify-only run through a proxy that only looks on."""
    time.sleep(2)
    with FaultProxy(incident.cluster) as proxy:
        incident.configure(kubeconfig=str(proxy.kubeconfig(incident.folder)))
        audit = Audit(incident)
        ours = run_ours(incident, "--rollback-soak=1", "--rollback-migration-assessed=none ran")
        sizes = [one.size_bytes for one in proxy.seen if one.agent == "pytest-zkrollback"]
        incident.configure()
    mine = [
        event
        for event in audit.events()
        if event.get("userAgent") == "pytest-zkrollback"
        and seconds(event["requestReceivedTimestamp"]) <= ours.first_verdict
    ]
    kinds = Counter(map(_what_for, mine))
    return {
        "code": ours.code,
        "requests": len(mine),
        "of_them": dict(kinds),
        "requests_counted": kinds["other"],
        "largest_response_bytes": max(sizes),
        "peak_rss_bytes": ours.peak_rss_bytes,
        "command_s": round(ours.first_verdict - ours.began, 3),
    }


def _what_for(event: dict) -> str:
    about = event.get("objectRef") or {}
    if about.get("subresource") == "log":
        return "container's log"
    if "continue=" in event["requestURI"]:
        return "further page"
    if event["verb"] == "get" and about.get("name") and about.get("namespace"):
        return "release record by name" if about["name"].startswith("sh.helm.") else "object compared"
    return "other"


def bad(scenario: str, runs: int) -> dict:
    """Rollbacks to a revision that is bad. Its backend asks for pods that are ready for 3 s, so that
    `kubectl rollout status` cannot take the first second of a crash loop for success."""
    with incident_with(scenario) as incident:
        incident.configure(rollout_timeout_s=120)
        chart = incident.folder / "slower"
        told = incident.cluster.data_dir / "scenarios" / incident.namespace / "6"
        shutil.copytree(told / "zkprova", chart)
        template = chart / "templates" / "backend.yaml"
        template.write_text(template.read_text().replace("\nspec:\n", "\nspec:\n  minReadySeconds: 3\n", 1))
        incident.helm("upgrade", "zkprova", str(chart), "--values", str(told / "values.json"))
        good, worse = 5, incident.head()
        rows = []
        for number in range(runs + 1):
            roll_back(incident, good, keep=0)
            time.sleep(3)
            good = incident.head()
            if number == runs:
                break
            audit = Audit(incident)
            against = "--rollback-override=target=how fast the bad one is found out is what is measured"
            ours = run_ours(incident, f"--rollback-to={worse}", against, _WAIVED)
            if not ours.record["helm"]["ran"]:
                raise SystemExit(f"refused: {ours.record['guards']}")
            exit_at = ours.event("helm ended")
            name, red = ours.red()
            rows.append(_red_row(name, red, exit_at, audit) | {"peak_rss_bytes": ours.peak_rss_bytes})
            print(json.dumps(rows[-1]), flush=True)
        audit = Audit(incident)
        exit_at = roll_back(incident, worse, keep=0)
        steps = run_theirs(incident, incident.cluster.kubeconfig)
        name, red = next(((name, end) for name, code, _, end in steps if code), ("(never red)", steps[-1][3]))
        return {"runs": rows, "runbook": [_red_row(name, red, exit_at, audit)]}


def _red_row(name: str, red: float, exit_at: float, audit: Audit) -> dict:
    qualified = qualifies(audit, exit_at)
    after = None if qualified is None or qualified > red else round(red - qualified, 3)
    return {"red_item": name, "red_s": after, "from_helms_exit_s": round(red - exit_at, 3)}


def half_open(runs: int) -> dict:
    """Every open connection falls silent; then an object is made that the watch has to come to know."""
    with incident_with() as incident, FaultProxy(incident.cluster) as proxy:
        direct = connect(incident.cluster.context, str(incident.cluster.kubeconfig))
        through = connect(incident.cluster.context, str(proxy.kubeconfig(incident.folder)))
        watch = ClusterWatch(through, incident.namespace, SystemClock())
        watch.start()
        rows = []
        for number in range(runs):
            time.sleep(1.3 * number)  # another moment in the life of the streams each time
            proxy.mute()
            began = time.monotonic()
            name = f"heard-{number}"
            body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
            direct.send("POST", f"/api/v1/namespaces/{incident.namespace}/pods", body)
            while name not in {pod["metadata"]["name"] for pod in watch.snapshot().objects.get("pods", ())}:
                time.sleep(0.02)
            rows.append({"heard_again_s": round(time.monotonic() - began, 3)})
            print(json.dumps(rows[-1]), flush=True)
        watch.stop()
        return {"runs": rows, "runbook": []}


SCENARIOS: dict[str, Callable[[int], dict]] = {
    "healthy": healthy,
    "whole": lambda runs: healthy(runs, whole=True),
    "far": lambda runs: healthy(runs, far=True),
    "crowded": lambda runs: healthy(runs, crowded=True),
    "crash-loop": lambda runs: bad("crash-loop", runs),
    "bad-image": lambda runs: bad("bad-image", runs),
    "failing-readiness": lambda runs: bad("failing-readiness", runs),
    "half-open": half_open,
}


# --- the result ---------------------------------------------------------------------------------------------


def judged(name: str, found: dict) -> dict:
    """The medians, each with its limit and whether it holds; None where there is no limit."""

    def median(rows: list[dict], key: str) -> float | None:
        values = [row[key] for row in rows if row.get(key) is not None]
        return round(statistics.median(values), 3) if values else None

    def held(value: float | None, limit: float | None) -> dict:
        return {
            "value": value,
            "limit": limit,
            "holds": limit is None or (value is not None and value <= limit),
        }

    ours, theirs = found["runs"], found["runbook"]
    if name == "half-open":
        return {"heard_again_s": held(max(row["heard_again_s"] for row in ours), HALF_OPEN_S)}
    result = {"peak_rss_bytes": held(max(row["peak_rss_bytes"] for row in ours), PEAK_RSS_BYTES)}
    if name in ("healthy", "far", "crowded"):
        result["first_verdict_s"] = held(median(ours, "first_verdict_s"), FIRST_VERDICT_S[name])
        result["runbook_s"] = held(median(theirs, "last_command_s"), None)
        result["status_written_s"] = held(median(ours, "status_written_s"), None)
        result["to_the_exit_s"] = held(median(ours, "to_the_exit_s"), None)
    elif name == "whole":
        plain_s = median(theirs, "whole_s") or 0.0
        result["whole_s"] = held(median(ours, "whole_s"), round(OF_THE_RUNBOOK * plain_s, 3))
        result["runbook_s"] = held(plain_s, None)
    else:
        key = "red_s" if median(ours, "red_s") is not None else "from_helms_exit_s"
        runbook_s = median(theirs, key)
        result[key] = held(median(ours, key), RED_S if name == "crash-loop" else None)
        result["runbook_s"] = held(runbook_s, None)
    if counted := found.get("verify_only"):
        result["requests"] = held(counted["requests_counted"], REQUESTS)
        result["largest_response_bytes"] = held(counted["largest_response_bytes"], RESPONSE_BYTES)
    return result


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    gib = int(memory[1]) / 1024**2 if memory else 0
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {gib:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--runs", type=int)
    given = parser.parse_args()
    result = json.loads(OUT.read_text()) if OUT.exists() else {"scenarios": {}}
    missed = []
    for name in given.only:
        load = os.getloadavg()[0]
        found = SCENARIOS[name](given.runs or RUNS[name])
        figures = judged(name, found)
        result["scenarios"][name] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{machine()}, load average before: {load:.1f}",
            "figures": figures,
            **found,
        }
        OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(in_page(PAGE.read_text(encoding="utf-8"), render_table(result)), encoding="utf-8")
        print(name, json.dumps(figures), flush=True)
        missed += [f"{name}: {key}" for key, figure in figures.items() if not figure["holds"]]
    print("all limits hold" if not missed else f"MISSED: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
