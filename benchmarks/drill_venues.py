"""Every scenario of the drill in every place, verdict by verdict, and what a real kubelet's clock says.

    python benchmarks/drill_venues.py [--venue kwok|kubelet|NAME=OPTION[,OPTION]] ... [--only SCENARIO] ...

A venue of another name is given its pytest options, such as `context=--drill-context=kind-test`. Each run is
the operator's `pytest --env=drill --rollback-to=5`. For kwok and the kubelet it is also measured when a
container is started again, an image asked for again, a pod ready and gone. What is measured is merged into
benchmarks/results/drill_venues.json, and the tables of drill/README.md are made of that. Exit 1 if a run
does not end as it has to, or a venue's verdicts are not the others'.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.clients.clock import SystemClock  # noqa: E402
from pytest_zkrollback.clients.process import LocalProcesses  # noqa: E402
from pytest_zkrollback.domain.checks import JsonObject  # noqa: E402
from pytest_zkrollback.drill.cluster_api import Api  # noqa: E402
from pytest_zkrollback.drill.kubelet_venue import Kubelet  # noqa: E402
from pytest_zkrollback.drill.kwok_venue import Kwok  # noqa: E402
from pytest_zkrollback.drill.local_cluster import RunningCluster  # noqa: E402
from pytest_zkrollback.drill.scenarios import (  # noqa: E402
    DEFAULT_SCENARIO,
    HEALTHY_REVISION,
    releases_of,
)
from support.played_pods import MISSING, container, create_pod, pod, probe  # noqa: E402

OUT = Path(__file__).parent / "results" / "drill_venues.json"
README = ROOT / "pytest_zkrollback" / "drill" / "README.md"
BEGIN, END = "<!-- benchmarks/drill_venues.py -->", "<!-- end -->"
VENUES = {"kwok": (), "kubelet": ("--drill-kubelet",)}
PLACES = {"kwok": Kwok(), "kubelet": Kubelet()}
# What the operator types beside --rollback-to, and how it has to end.
PLAYED = {
    "crash-loop": ("crash-loop", (), "verified"),
    "bad-image": ("bad-image", (), "verified"),
    "failing-readiness": ("failing-readiness", (), "verified"),
    "reversible-migration": ("reversible-migration", (), "failed"),
    "reversible-migration, assessed": (
        "reversible-migration",
        ("--rollback-migration-assessed=rehearsed",),
        "verified",
    ),
    "irreversible-migration": ("irreversible-migration", (), "refused"),
    "irreversible-migration, overridden": (
        "irreversible-migration",
        ("--rollback-override=migration=rehearsed",),
        "failed",
    ),
}
TIMES = {"seconds": "run, s", "recovered_s": "recovered, s"}
# A fourth restart of a real kubelet comes after 10 + 20 + 40 s.
RESTARTS, WATCHED_S = 4, 120.0


def play(options: tuple[str, ...], case: str) -> dict[str, Any]:
    """One run: its outcome, the verdict of every item, and how long it took."""
    scenario, typed, _ = PLAYED[case]
    with tempfile.TemporaryDirectory() as name:
        argv = [sys.executable, "-m", "pytest", "--env=drill", f"--rollback-to={HEALTHY_REVISION}"]
        argv += [f"--drill-scenario={scenario}", f"--zkrollback-report-dir={name}", *typed, *options]
        begun = time.monotonic()
        env = {**os.environ, "XDG_STATE_HOME": f"{name}/state"}
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begun
        path = Path(name) / "latest.json"
        if not path.exists():
            return {"outcome": "no record", "exit_code": done.returncode, "said": done.stdout[-2000:]}
        record = json.loads(path.read_text())
    moments = [record["recovered_at"], (record.get("helm") or {}).get("started_at")]
    recovered, helm = (moment and datetime.fromisoformat(moment) for moment in moments)
    return {
        "outcome": record["outcome"],
        "exit_code": done.returncode,
        "verdicts": {item["id"]: item["verdict"] for item in record["items"]},
        "seconds": round(seconds, 1),
        "recovered_s": round((recovered - helm).total_seconds(), 1) if recovered and helm else None,
    }


PODS = {
    "crashes": pod(container("a", "--exit=3")),
    "missing": pod(container("a", image=MISSING)),
    "killed": pod(container("a", "--port=8080", livenessProbe=probe("/wrong", failureThreshold=3))),
    "healthy": pod(container("a", "--port=8080", readinessProbe=probe("/health"))),
}


def measure(venue: str) -> dict[str, Any]:
    """What differs between the places: when things happen, in seconds, seen by looking every 50 ms."""
    place = PLACES[venue].open(print, LocalProcesses(), SystemClock())
    running = place.supervised
    assert isinstance(running, RunningCluster)
    try:
        place.bring_images(releases_of(DEFAULT_SCENARIO))
        seen = _watch(running.api)
        began = time.monotonic()
        running.api.send("DELETE", "/api/v1/namespaces/healthy/pods/it", None)
        while running.api.get("/api/v1/namespaces/healthy/pods/it")[0] != 404:
            time.sleep(0.05)
        gone_s = time.monotonic() - began
    finally:
        place.close()
    restarts = _times(seen["crashes"], lambda facts: facts["restarts"])
    pulls = [at for at, facts in seen["missing"] if facts["waiting"] == "ErrImagePull"]
    return {
        "ready, from its creation": [_first(seen["healthy"], lambda facts: facts["ready"])],
        "gone, from its deletion": [round(gone_s, 1)],
        "started again after it ended at once": _between(
            [_first(seen["crashes"], lambda f: f["started"]), *restarts]
        )[:RESTARTS],
        "told of a missing image, and told again after": [round(pulls[0], 1), *_between(pulls)][:RESTARTS],
        "started again for a liveness probe of 3 x 1 s, from its creation": [
            _first(seen["killed"], lambda facts: facts["restarts"])
        ],
    }


def _watch(api: Api) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    """Pod -> (seconds from its creation, what it showed then), one entry a change."""
    looks, began, seen = {}, {}, {}
    for name, spec in PODS.items():
        api.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        while api.get(f"/api/v1/namespaces/{name}/serviceaccounts/default")[0] != 200:
            time.sleep(0.05)
        began[name] = time.monotonic()
        looks[name], seen[name] = create_pod(api, name, spec), []
    while time.monotonic() - min(began.values()) < WATCHED_S:
        for name, look in looks.items():
            facts = _facts(look())
            if not seen[name] or seen[name][-1][1] != facts:
                seen[name].append((time.monotonic() - began[name], facts))
        time.sleep(0.05)
    return seen


def _facts(live: JsonObject) -> dict[str, Any]:
    [status] = live["status"].get("containerStatuses") or [{"state": {}, "restartCount": 0}]
    return {
        "ready": bool(status.get("ready")),
        "started": "running" in status["state"] or "terminated" in status["state"],
        "restarts": int(status["restartCount"]),
        "waiting": status["state"].get("waiting", {}).get("reason", ""),
    }


def _first(seen: list[tuple[float, dict[str, Any]]], holds: Callable[[dict[str, Any]], Any]) -> float:
    return round(next(at for at, facts in seen if holds(facts)), 1)


def _times(seen: list[tuple[float, dict[str, Any]]], value: Callable[[dict[str, Any]], Any]) -> list[float]:
    """When the value rose."""
    return [at for (_, before), (at, facts) in itertools.pairwise(seen) if value(facts) > value(before)]


def _between(moments: Sequence[float]) -> list[float]:
    return [round(later - at, 1) for at, later in itertools.pairwise(moments)]


def render_tables(result: dict[str, Any]) -> str:
    """The drill's README's part: verdicts by scenario, venue and item, then the times."""
    venues = result["venues"]
    runs = [
        (scenario, name, venue["scenarios"][scenario])
        for scenario in PLAYED
        for name, venue in venues.items()
        if scenario in venue["scenarios"]
    ]
    items = list(dict.fromkeys(item for *_, run in runs for item in run.get("verdicts", ())))
    lines = [f"Measured {result['at'][:10]} on {result['machine']}.", ""]
    lines += _row("scenario", "place", "outcome", *items, *TIMES.values())
    lines += _row(*["---"] * (3 + len(items) + len(TIMES)))
    for scenario, name, run in runs:
        verdicts = [run.get("verdicts", {}).get(item, "-") for item in items]
        lines += _row(scenario, name, run["outcome"], *verdicts, *(run.get(key) or "-" for key in TIMES))
    timed = {name: venue["times_s"] for name, venue in venues.items() if "times_s" in venue}
    lines += [
        "",
        *_row("seconds until a pod or its container is", *timed),
        *_row(*["---"] * (1 + len(timed))),
    ]
    for what in dict.fromkeys(what for times in timed.values() for what in times):
        lines += _row(what, *(", ".join(map(str, times.get(what, ()))) for times in timed.values()))
    return "\n".join(lines) + "\n"


def _row(*cells: object) -> list[str]:
    return [f"| {' | '.join(map(str, cells))} |"]


def differences(result: dict[str, Any]) -> list[str]:
    """What did not end as it has to, or not with the same verdicts in every venue that played it."""
    wrong = []
    for case, (*_, outcome) in PLAYED.items():
        runs = {
            name: venue["scenarios"][case]
            for name, venue in result["venues"].items()
            if case in venue["scenarios"]
        }
        if len({json.dumps(run.get("verdicts"), sort_keys=True) for run in runs.values()}) > 1:
            wrong.append(f"{case}: {runs}")
        wrong += [f"{case} in {name}: {run}" for name, run in runs.items() if run["outcome"] != outcome]
    return wrong


def main() -> int:
    """0 if every scenario is verified, with the same verdicts in all venues."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venue", action="append", help="all that need nothing but this machine by default")
    parser.add_argument("--only", action="append", choices=PLAYED)
    asked = parser.parse_args()
    venues = dict(_venue(each) for each in asked.venue or VENUES)
    result = json.loads(OUT.read_text()) if OUT.exists() else {"venues": {}}
    for name, options in venues.items():
        found = result["venues"].setdefault(name, {"scenarios": {}})
        for scenario in asked.only or PLAYED:
            found["scenarios"][scenario] = play(options, scenario)
            print(name, scenario, json.dumps(found["scenarios"][scenario]), flush=True)
        if name in VENUES and not asked.only:
            found["times_s"] = measure(name)
            print(name, json.dumps(found["times_s"]), flush=True)
    result["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    result["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{render_tables(result)}{END}{rest.split(END)[1]}", encoding="utf-8")
    wrong = differences(result)
    print("\n".join(wrong) or "The same verdicts everywhere.")
    return int(bool(wrong))


def _venue(asked: str) -> tuple[str, tuple[str, ...]]:
    name, _, options = asked.partition("=")
    return name, VENUES[name] if name in VENUES else tuple(options.split(","))


if __name__ == "__main__":
    sys.exit(main())
