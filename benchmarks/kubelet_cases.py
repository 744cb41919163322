"""What only running containers decide: each case three times on a kubelet of our own, verdict by verdict.

    python benchmarks/kubelet_cases.py [--runs 3] [--jobs 6] [--missing] [--only NAME] ...

The cases, each with the verdict that is right, are those of tests/support/kubelet_cases.py: a small chart,
the real helm (4 and 3 in turn), the operator's command. Beside it runs ``kubectl rollout status
--timeout=120s`` of the same workload, from the same moment. Needs Linux and root.

All that is measured goes into benchmarks/results/kubelet_cases.json, and docs/kubelet-cases.md is made of
that. With ``--only`` or ``--missing`` the rest stays as it was measured before. Exit 1 if anything is not as
it has to be.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.clients.process import LocalProcesses  # noqa: E402
from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.kubelet_node import KubeletNode  # noqa: E402
from pytest_zkrollback.drill.local_cluster import RunningCluster, start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, NODE_TOOLS, TOOLS  # noqa: E402
from support.kubelet_cases import CASES, RELEASES, Judged, Place, served  # noqa: E402

OUT = Path(__file__).parent / "results" / "kubelet_cases.json"
PAGE = ROOT / "docs" / "kubelet-cases.md"
HELMS = ("helm", "helm3")


class Played:
    """One case, played once."""

    def __init__(self, name: str, run: int) -> None:
        self.name, self.run = name, run
        self.helm = HELMS[run % len(HELMS)]
        self.judged: list[Judged] = []
        self.broken = ""


def play(running: RunningCluster, node: KubeletNode, url: str, folder: Path, asked: Played) -> Place:
    """In a namespace of its own."""
    cluster = running.cluster
    name = f"{asked.name.replace('_', '-')}-{asked.run}"
    place = Place(cluster, running.api, name, folder / name, cluster.binaries[asked.helm], url, node)
    try:
        asked.judged += CASES[asked.name].play(place)
    except Exception:  # noqa: BLE001 - the others go on
        asked.broken = traceback.format_exc()
    with _PRINTING:
        for each in asked.judged:
            said = "; ".join(each.wrong) or "right"
            red = "" if each.red_s is None else f", red after {each.red_s} s"
            print(f"{name} {each.name}: {each.outcome}{red}: {said}", flush=True)
            if each.wrong:
                print(each.output[-2500:], flush=True)
        if asked.broken:
            print(f"{name}: {asked.broken}", flush=True)
    return place


_PRINTING = threading.Lock()


def finish(place: Place, asked: Played) -> None:
    """The namespace goes when kubectl has said its last word on it."""
    for each in asked.judged:
        if each.kubectl is not None:
            each.kubectl.join()
    place.close()


def play_all(asked: list[Played], jobs: int, folder: Path, stop_s: float) -> list[Played]:
    """On one node, so many at once; what waits longest begins first, and nothing after ``stop_s``."""
    began = time.monotonic()
    processes = LocalProcesses()
    binaries = find_binaries(tools=(*TOOLS, HELM3, *NODE_TOOLS), progress=print)
    node = KubeletNode(processes)
    running = start_cluster(binaries, node=node, progress=print)
    try:
        node.import_images(RELEASES)
        with served() as url, ThreadPoolExecutor(len(asked)) as ends, ThreadPoolExecutor(jobs) as pool:

            def played(each: Played) -> None:
                if time.monotonic() - began > stop_s:
                    return
                ends.submit(finish, play(running, node, url, folder, each), each)

            list(pool.map(played, asked))
    finally:
        running.close()
    return asked


def collect(played: list[Played]) -> list[dict[str, Any]]:
    """One entry for each step of each case, with all its runs."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for each in sorted(played, key=lambda one: (list(CASES).index(one.name), one.run)):
        case = CASES[each.name]
        for judged in each.judged:
            entry = entries.setdefault(
                (each.name, judged.name),
                {
                    "case": each.name,
                    "numbers": case.numbers,
                    "situation": case.situation,
                    "step": judged.name,
                    "right": judged.right,
                    "runs": [],
                },
            )
            entry["runs"].append(_run(each, judged))
    return list(entries.values())


def merge(known: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured before, with what was measured now in the place of the same case's same run."""
    entries = {(each["case"], each["step"]): each for each in known}
    anew = {(each["case"], run["run"]) for each in found for run in each["runs"]}
    for each in entries.values():
        each["runs"] = [run for run in each["runs"] if (each["case"], run["run"]) not in anew]
    for each in found:
        before = entries.get((each["case"], each["step"]), {"runs": []})["runs"]
        runs = sorted([*before, *each["runs"]], key=lambda run: run["run"])
        entries[each["case"], each["step"]] = {**each, "runs": runs}
    left = [each for each in entries.values() if each["runs"]]
    return sorted(left, key=lambda each: list(CASES).index(each["case"]))


def _run(each: Played, judged: Judged) -> dict[str, Any]:
    status = judged.kubectl
    return {
        "run": each.run,
        "helm": "3" if each.helm == "helm3" else "4",
        "outcome": judged.outcome,
        "kind": judged.kind,
        "seconds": judged.seconds,
        "red_s": judged.red_s,
        "failing_s": judged.failing_s,
        "kubectl": {
            "seconds": status.seconds,
            "exit_code": None if status.stopped else status.code,
            "said": status.said,
        },
        "not_pass": {name: word for name, word in judged.verdicts.items() if word != "PASS"},
        "said": {name: judged.observed[name] for name, word in judged.verdicts.items() if word == "FAIL"},
        "wrong": judged.wrong,
    }


def counts(cases: list[dict[str, Any]]) -> dict[str, int]:
    """How many runs, and how many of them were wrong in which way."""
    runs = [run for each in cases for run in each["runs"]]
    return {
        "runs": len(runs),
        "false_greens": sum(run["kind"] == "false green" for run in runs),
        "false_failures": sum(run["kind"] == "false failure" for run in runs),
        "needless_unverified": sum(run["kind"].startswith("needless") for run in runs),
        "otherwise_wrong": sum(bool(run["wrong"]) and run["kind"] == "right" for run in runs),
    }


HEAD = """# What running containers decide

On kwok the drill's containers are played; here they run. How it was measured:

- Each case is a small chart of our own. Its node is a kubelet and containerd of our own, as with
  `--drill-kubelet`. The real helm deployed it and rolled it back, versions 4 and 3 in turn.
- The operator's command judged it. The right verdict was written down before
  (`tests/support/kubelet_cases.py`).
- Five or six cases ran at once on a busy machine. So /health is asked every 0.5 s only, and the preflight has
  120 s. The rest are the configuration's defaults.
- Beside it ran `kubectl rollout status --timeout=120s` of the same workload, from the same moment: helm's
  end, or the command's start where nothing was rolled back.
- "failed" is the first FAIL after that moment. "failing" is the first line that says so before it is certain.
  Times are medians, in seconds.
- What a run found wrong was mended, and that run played again.

This page is made by `benchmarks/kubelet_cases.py`. `tests/project/test_kubelet_cases_page.py` holds it to the
result.
"""
LIMITS = """
## What one node and one hour cannot show

- K2b: the run that crashed lasted 65 s here, not 72 h. Its age decides by the same rule (longer than 60 s).
- K6: one node imports its images. A pulled image has another digest than an imported one; that is tried on
  stated objects (`tests/checklist/test_equivalence.py`). Two builds under one tag are tried here.
"""


def render_page(result: dict[str, Any]) -> str:
    """docs/kubelet-cases.md."""
    found = result["counts"]
    lines = [
        HEAD,
        f"Measured {result['at'][:10]} on {result['machine']}: {found['runs']} runs,"
        f" {found['false_greens']} false greens, {found['false_failures']} false failures,"
        f" {found['needless_unverified']} needless UNVERIFIED.\n",
        "| case | situation | run | right | said | failing, s | failed, s | kubectl rollout status |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in result["cases"]:
        runs = each["runs"]
        outcomes = sorted({run["outcome"] for run in runs})
        cells = (
            each["numbers"],
            each["situation"],
            each["step"],
            each["right"],
            f"{', '.join(outcomes)} ({len(runs)} of {len(runs)})" if len(outcomes) == 1 else _split(runs),
            _median(run["failing_s"] for run in runs),
            _median(run["red_s"] for run in runs),
            _kubectl(runs),
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n" + LIMITS


def _split(runs: list[dict[str, Any]]) -> str:
    words = [run["outcome"] for run in runs]
    return ", ".join(f"{word} ({words.count(word)} of {len(words)})" for word in sorted(set(words)))


def _median(values: Iterator[float | None]) -> str:
    known = [each for each in values if each is not None]
    return f"{statistics.median(known):.1f}" if known else ""


def _kubectl(runs: list[dict[str, Any]]) -> str:
    seconds = statistics.median(run["kubectl"]["seconds"] for run in runs)
    codes = {run["kubectl"]["exit_code"] for run in runs}
    if codes == {0}:
        return f"success after {seconds:.1f} s"
    if None in codes:
        return f"no answer in {seconds:.1f} s, until it was mended"
    if any("timed out" in run["kubectl"]["said"] for run in runs):
        return f"timed out after {seconds:.0f} s"
    return f"error after {seconds:.1f} s" if 0 not in codes else f"success or error after {seconds:.1f} s"


def main() -> int:
    """Play, write, and say what was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--stop-after", type=float, default=math.inf, help="seconds; nothing begins later")
    parser.add_argument("--missing", action="store_true", help="only what was not measured yet, or was wrong")
    parser.add_argument("--only", action="append", choices=CASES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = sorted(asked.only or CASES, key=lambda name: not CASES[name].slow)
        known = json.loads(OUT.read_text())["cases"] if (asked.only or asked.missing) and OUT.exists() else []
        plays = [Played(name, run) for run in range(asked.runs) for name in names]
        if asked.missing:
            runs = [(each["case"], run) for each in known for run in each["runs"]]
            done = {(name, run["run"]) for name, run in runs}
            done -= {(name, run["run"]) for name, run in runs if run["wrong"]}
            plays = [each for each in plays if (each.name, each.run) not in done]
        played = play_all(plays, asked.jobs, Path(folder), asked.stop_after)
    cases = merge(known, collect(played))
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "counts": counts(cases),
        "cases": cases,
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render_page(result), encoding="utf-8")
    print(json.dumps(result["counts"]))
    wrong = [
        f"{each['case']} {each['step']}: {run['wrong']}"
        for each in cases
        for run in each["runs"]
        if run["wrong"]
    ]
    wrong += [f"{each.name}: {each.broken.splitlines()[-1]}" for each in played if each.broken]
    print("\n".join(wrong) or "Everything is as it has to be.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
