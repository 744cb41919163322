"""How seconds, requests and memory grow with a release: its objects, its history, its logs, its pods.

    python benchmarks/growth.py [--only objects history logs pods server] [--runs N] [--sizes OBJECTS ...]

One drill cluster; every case is a release of a generated chart in a namespace of its own. Each part is merged
into benchmarks/results/growth.json, the table of docs/how-fast.md and docs/pictures/growth.svg.

  objects   releases of 10 to 1,020 objects that all differ between the revisions: a plan, a rollback (beside
            plain `helm rollback`, in turn), a verification
  history   10, 100 and 300 revisions: a plan of the newest one before, the list, a verification
  logs      20, 60 and 200 pods whose logs are read: a verification
  pods      500 and 5,000 pods of one release: a plan, a rollback to the same pods, a verification
  server    what another client waits for while 1,020 objects are verified, and before

What is counted from what:
  wall_s        from the start of `pytest` to its end
  cpu_s         user and system, of the process and of those that it has waited for: helm is one
  preflight_s   from "run started" to "preflight passed" of the record
  last_s        from the answer to the status that made the last pod Ready to the last verdict (or, where no
                pod changed after that, from helm's end)
  requests      ours in the API server's audit log
  at_once       how many of them it had at a time, without watches
  rss_bytes     VmHWM of the process
"""

from __future__ import annotations

import argparse
import base64
import copy
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from growth_page import PAGE, PICTURE, in_page, render_picture, render_table  # noqa: E402
from verification import Audit, last_ready, machine, seconds  # noqa: E402

from pytest_zkrollback.clients.kube.client import KubeClient, connect  # noqa: E402
from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.control_plane import NODE  # noqa: E402
from pytest_zkrollback.drill.local_cluster import RunningCluster, start_cluster  # noqa: E402
from support.chart_release import RELEASE, ChartRelease  # noqa: E402

OUT = Path(__file__).parent / "results" / "growth.json"
RUNS = 5
AGENT = "pytest-zkrollback"
WAIVED = tuple(f"--rollback-waive={item}=none" for item in ("smoke", "health-database", "notify"))
VERIFY = ("--rollback-soak=0", "--rollback-migration-assessed=none ran", *WAIVED)
MANIFEST = """
{{- range $i := until (int .Values.configmaps) }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings-{{ $i }}
  labels: {app.kubernetes.io/part-of: grown, app.kubernetes.io/version: "{{ $.Values.release }}"}
data:
  RELEASE: "{{ $.Values.release }}"
  SERVICE: service-{{ $i }}
  LOG_LEVEL: info
  settings.yaml: |
    release: {{ $.Values.release }}
    endpoint: http://service-{{ $i }}:8080/api
    timeouts: {connect: 2s, read: 10s}
{{- end }}
{{- range $i := until (int .Values.deployments) }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: service-{{ $i }}}
spec:
  replicas: {{ $.Values.pods }}
  selector: {matchLabels: {app: service-{{ $i }}}}
  template:
    metadata: {labels: {app: service-{{ $i }}}}
    spec:
      containers:
        - name: app
          image: "service:{{ $.Values.image }}"
          ports: [{name: http, containerPort: 8080}]
          env: [{name: SERVICE, value: service-{{ $i }}}]
{{- end }}
"""


class Case(NamedTuple):
    """A release: so many ConfigMaps, and Deployments of so many pods each."""

    configmaps: int
    deployments: int
    pods: int

    @property
    def objects(self) -> int:
        """How many there are in the manifest."""
        return self.configmaps + self.deployments


OBJECTS = (Case(8, 2, 1), Case(50, 10, 2), Case(280, 20, 5), Case(1000, 20, 5))
HISTORY = (10, 100, 300)
LOGS = (1, 3, 10)
PODS = (25, 250)
_PODS_OF_A_NODE = 500  # as the drill's stages have it


class Grown(ChartRelease):
    """A release of that size; revision 1 and 2 differ in every object, unless ``same_pods``."""

    def __init__(self, running: RunningCluster, folder: Path, helm: Path, case: Case, namespace: str) -> None:
        super().__init__(running.cluster, namespace, folder, helm, MANIFEST)
        self.case = case
        self.kube = connect(running.cluster.context, str(running.cluster.kubeconfig))
        self.kube.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        lines = (folder / "zkrollback.toml").read_text().replace("preflight_budget_s = 30\n", "")
        rollout = lines.replace("rollout_timeout_s = 30", "rollout_timeout_s = 170")
        (folder / "zkrollback.toml").write_text(f"{rollout}url = false\n")

    def deploy_as(self, release: str, image: str) -> None:
        """One more revision."""
        case = self.case
        self.deploy(
            configmaps=case.configmaps,
            deployments=case.deployments,
            pods=case.pods,
            release=release,
            image=image,
        )

    def wait_ready(self, timeout_s: float = 900) -> None:
        """Until every Deployment has all of its pods, and no old one."""
        end_s = time.monotonic() + timeout_s
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        while not all(map(_is_complete, self.kube.list(path, timeout_s=30))):
            if time.monotonic() > end_s:
                raise SystemExit(f"{self.namespace}: not all pods came up in {timeout_s:g} s")
            time.sleep(0.5)
        time.sleep(1)  # the old pods go


def _is_complete(item: dict) -> bool:
    wanted, status = item["spec"]["replicas"], item.get("status") or {}
    counts = [status.get(each, 0) for each in ("replicas", "updatedReplicas", "readyReplicas")]
    seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
    return seen and counts == [wanted] * 3


@dataclass
class Command:
    """What one command took."""

    row: dict
    record: dict | None


def run_command(grown: Grown, *args: str, code: int = 0) -> Command:
    """One command of ours, to its end; SystemExit where it ends otherwise than expected."""
    shutil.rmtree(grown.folder / "reports", ignore_errors=True)
    audit = Audit(grown)
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            grown.argv(*args),
            cwd=grown.folder,
            env=grown.environ(),
            stdout=output,
            stderr=output,
            text=True,
        )
        peak, status, usage = _wait(process.pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - began
        output.seek(0)
        said = output.read()
    if process.returncode != code:
        raise SystemExit(f"{grown.namespace} {args}: exit {process.returncode}\n{said}")
    events = [event for event in audit.events() if event.get("userAgent") == AGENT]
    row = {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "requests": len(events),
        "at_once": most_at_once(events),
        "rss_bytes": peak,
    }
    record = grown.latest()
    return Command(row | (_stages(record, audit) if record else {}), record)


def _wait(pid: int) -> tuple[int, int, os.struct_rusage]:
    """Peak memory in bytes, wait status and resources of a child, once it has ended."""
    path, peak_kib = Path(f"/proc/{pid}/status"), 0
    while True:
        with suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", path.read_text())
            peak_kib = max(peak_kib, int(found[1])) if found else peak_kib
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return peak_kib * 1024, status, usage
        time.sleep(0.02)


def _stages(record: dict, audit: Audit) -> dict:
    at = {event["event"]: seconds(event["at"]) for event in record["timeline"]}
    found = {}
    if "preflight passed" in at:
        found["preflight_s"] = round(at["preflight passed"] - at["run started"], 3)
    ends = [seconds(each["finished_at"]) for each in record["items"] if each["finished_at"]]
    if record["helm"]["ran"] and ends:
        helm_end = next(value for key, value in at.items() if key.startswith("helm ended"))
        last = max(ends)
        with suppress(ValueError):
            found["last_s"] = round(last - max(helm_end, last_ready(audit, last)), 3)
        found["after_helm_s"] = round(last - helm_end, 3)
        found["helm_s"] = round(helm_end - seconds(record["helm"]["started_at"]), 3)
    return found


def most_at_once(events: list[dict]) -> int:
    """How many of these requests the API server worked on at the same moment; streams do not count."""
    moments = []
    for event in events:
        if event["verb"] != "watch":
            moments.append((seconds(event["requestReceivedTimestamp"]), 1))
            moments.append((seconds(event["stageTimestamp"]), -1))
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def plain_helm(grown: Grown, revision: int) -> dict:
    """`helm rollback` by itself: seconds, seconds of processor, requests."""
    audit, began = Audit(grown), time.monotonic()
    argv = [str(grown.helm_path), "rollback", RELEASE, str(revision), "--history-max", "0"]
    argv += ["-n", grown.namespace, "--kube-context", grown.cluster.context]
    argv += ["--kubeconfig", str(grown.cluster.kubeconfig)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    peak, status, usage = _wait(process.pid)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"helm rollback ended with {process.returncode}")
    wall_s = time.monotonic() - began
    ours = [event for event in audit.events() if "helm/" in event.get("userAgent", "").lower()]
    return {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "requests": len(ours),
        "rss_bytes": peak,
    }


# --- the parts ----------------------------------------------------------------------------------------------


class Bench:
    """The cluster, and what is made in it."""

    def __init__(self, running: RunningCluster, folder: Path, helm: Path, given: argparse.Namespace) -> None:
        self.running, self.folder, self.helm = running, folder, helm
        self._runs, self.sizes = given.runs, given.sizes

    def runs(self, usual: int = RUNS) -> int:
        """How often a command is measured."""
        return self._runs or usual

    @contextmanager
    def release(self, case: Case, *, name: str, image: str = "") -> Iterator[Grown]:
        """Two revisions, all pods Ready; taken away afterwards. ``image``: the same in both."""
        grown = Grown(self.running, self.folder / name, self.helm, case, name)
        for number in ("1", "2"):
            grown.deploy_as(f"r{number}", image or f"1.{number}.0")
        grown.wait_ready()
        yield grown
        grown.kube.send("DELETE", f"/api/v1/namespaces/{name}", {})
        path = f"/api/v1/namespaces/{name}/pods"
        end_s = time.monotonic() + 300
        while grown.kube.list(path, timeout_s=30) and time.monotonic() < end_s:
            time.sleep(0.5)

    def objects(self) -> list[dict]:
        """A plan, a rollback and a verification of each size; beside them plain helm."""
        found = []
        for case in (each for each in OBJECTS if not self.sizes or each.objects in self.sizes):
            with self.release(case, name=f"objects-{case.objects}") as grown:
                rows: dict[str, list[dict]] = {"plan": [], "rollback": [], "verify": [], "helm": []}
                for _ in range(self.runs()):
                    target = f"--rollback-to={grown.head() - 1}"
                    row = {"plan": run_command(grown, target, "--rollback-plan").row}
                    row["rollback"] = run_command(grown, target, *VERIFY).row
                    row["verify"] = run_command(grown, *VERIFY).row
                    grown.wait_ready()
                    row["helm"] = plain_helm(grown, grown.head() - 1)
                    grown.wait_ready()
                    show(case, row)
                    for name, each in row.items():
                        rows[name].append(each)
                found.append({"objects": case.objects, **case._asdict(), **rows})
        return found

    def history(self) -> list[dict]:
        """A plan, the list and a verification of a small release with so many revisions."""
        found = []
        with self.release(Case(8, 2, 1), name="history") as grown:
            for count in HISTORY:
                add_revisions(grown, count)
                rows: dict[str, list[dict]] = {"plan": [], "list": [], "verify": []}
                for number in range(self.runs() + 1):
                    row = {"plan": run_command(grown, "--rollback-to=previous", "--rollback-plan").row}
                    row["list"] = run_command(grown, "--rollback-list").row
                    row["verify"] = run_command(grown, *VERIFY).row
                    show(count, row)
                    for name, each in row.items() if number else ():
                        rows[name].append(each)
                found.append({"revisions": count, **rows})
        return found

    def logs(self) -> list[dict]:
        """A verification, in which the log of every pod is read."""
        found = []
        for pods in LOGS:
            case = Case(0, 20, pods)
            with self.release(case, name=f"logs-{20 * pods}") as grown:
                rows = [run_command(grown, *VERIFY).row for _ in range(self.runs() + 1)][1:]
                show(case, {"verify": rows[-1]})
                found.append({"pods": 20 * pods, "verify": rows})
        return found

    def pods(self) -> list[dict]:
        """Many pods of one release; the rollback changes the ConfigMaps alone, so that none is made anew."""
        found = []
        for number in range(20 * max(PODS) // _PODS_OF_A_NODE):
            name = f"node-{number}"
            labels = {**NODE["metadata"]["labels"], "kubernetes.io/hostname": name}
            node = {**NODE, "metadata": {**NODE["metadata"], "name": name, "labels": labels}}
            self.running.api.send("POST", "/api/v1/nodes", node)
        for pods in PODS:
            case = Case(8, 20, pods)
            with self.release(case, name=f"pods-{20 * pods}", image="1.1.0") as grown:
                rows: dict[str, list[dict]] = {"plan": [], "rollback": [], "verify": []}
                for number in range(self.runs(3)):
                    target = f"--rollback-to={grown.head() - 1}"
                    row = {"plan": run_command(grown, target, "--rollback-plan").row}
                    row["rollback"] = run_command(grown, target, *VERIFY).row
                    row["verify"] = run_command(grown, *VERIFY).row
                    show(case, row)
                    grown.deploy_as(f"r{number + 3}", "1.1.0")  # what was rolled back away from is no target
                    for name, each in row.items():
                        rows[name].append(each)
                found.append({"pods": 20 * pods, **rows})
        return found

    def server(self) -> dict:
        """What another client waits for at the API server: before, and while the largest is verified."""
        case = OBJECTS[-1]
        with self.release(case, name="server") as grown:
            run_command(grown, *VERIFY)
            rows = []
            for _ in range(self.runs()):
                before = Probe(grown.kube)
                time.sleep(5)
                row = {"before": before.stop()}
                for name, args in (
                    ("verify", VERIFY),
                    ("plan", (f"--rollback-to={grown.head() - 1}", "--rollback-plan")),
                ):
                    probe = Probe(grown.kube)
                    command = run_command(grown, *args)
                    row[name] = probe.stop() | {"at_once": command.row["at_once"]}
                print(json.dumps(row), flush=True)
                rows.append(row)
        return {"objects": case.objects, "runs": rows}


class Probe:
    """Another client: it reads one small object again and again, 20 ms after each answer."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube, self._ends, self._took_ms = kube, threading.Event(), list[float]()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._ends.wait(0.02):
            began = time.perf_counter()
            self._kube.get("/api/v1/namespaces/default", timeout_s=60)
            self._took_ms.append((time.perf_counter() - began) * 1000)

    def stop(self) -> dict:
        """Milliseconds: median, that of 19 in 20, the longest."""
        self._ends.set()
        self._thread.join()
        took = sorted(self._took_ms)
        at = {"median_ms": len(took) // 2, "p95_ms": len(took) * 19 // 20, "longest_ms": len(took) - 1}
        return {"asked": len(took)} | {name: round(took[place], 2) for name, place in at.items()}


def add_revisions(grown: Grown, count: int) -> None:
    """Copies of its two revisions in turn, as helm would have stored them, until there are ``count``."""
    path = f"/api/v1/namespaces/{grown.namespace}/secrets"
    records = sorted(
        grown.kube.list(path, {"labelSelector": f"owner=helm,name={RELEASE}"}, timeout_s=60),
        key=lambda item: int(item["metadata"]["labels"]["version"]),
    )
    newest, number = records[-1], len(records)
    while number < count:
        number += 1
        made = copy.deepcopy(records[(number - 1) % 2])
        content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(made["data"]["release"]))))
        content["version"] = number
        content["info"] |= {
            "status": "deployed",
            "last_deployed": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        _mark(grown, newest, "superseded")
        packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
        labels = {"name": RELEASE, "owner": "helm", "status": "deployed", "version": str(number)}
        newest = grown.kube.send(
            "POST",
            path,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "helm.sh/release.v1",
                "metadata": {"name": f"sh.helm.release.v1.{RELEASE}.v{number}", "labels": labels},
                "data": {"release": base64.b64encode(packed).decode()},
            },
        )


def _mark(grown: Grown, secret: dict, status: str) -> None:
    """As helm does when a newer revision is deployed."""
    content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    content["info"]["status"] = status
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    name = secret["metadata"]["name"]
    grown.kube.send(
        "PATCH",
        f"/api/v1/namespaces/{grown.namespace}/secrets/{name}",
        {
            "metadata": {"labels": {"status": status}},
            "data": {"release": base64.b64encode(packed).decode()},
        },
        "application/merge-patch+json",
    )


def show(what: object, row: dict) -> None:
    """One line on the terminal."""
    print(f"{what}: {json.dumps(row)}", flush=True)


PARTS: dict[str, Callable[[Bench], object]] = {
    "objects": Bench.objects,
    "history": Bench.history,
    "logs": Bench.logs,
    "pods": Bench.pods,
    "server": Bench.server,
}


def main() -> int:
    """Measures; always 0: the limits stand in the page, and counts are held by tests."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--runs", type=int)
    parser.add_argument("--sizes", nargs="+", type=int, default=[])
    given = parser.parse_args()
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(running, Path(folder), binaries["helm"], given)
            for name in given.only:
                load = os.getloadavg()[0]
                found = PARTS[name](bench)
                result = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
                if name == "objects":  # may be measured size by size
                    before = result.get(name, {}).get("found", [])
                    found += [
                        each for each in before if each["objects"] not in {one["objects"] for one in found}
                    ]
                    found.sort(key=lambda each: each["objects"])
                at = datetime.now(UTC).isoformat(timespec="seconds")
                where = f"{machine()}, load average before: {load:.1f}"
                result[name] = {"at": at, "machine": where, "found": found}
                OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                PAGE.write_text(
                    in_page(PAGE.read_text(encoding="utf-8"), render_table(result)), encoding="utf-8"
                )
                PICTURE.write_text(render_picture(result), encoding="utf-8")
    finally:
        running.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
