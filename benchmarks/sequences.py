"""Helm at most once per intent, and no wrong claim: random sequences, in process and on the drill.

Plays 10,000 sequences in process (tests/unit/sequences.py), 300 on the drill cluster with real processes
(tests/drill/real_sequences.py), and 50 pairs of operators at the same instant; writes
benchmarks/results/sequences.json. `--in-process`, `--drill` and `--pairs` take other numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
for _name in ("unit", "drill"):
    sys.path.insert(0, str(ROOT / "tests" / _name))

import real_sequences  # noqa: E402 - found by the lines before
import sequences  # noqa: E402
from incident import Incident  # noqa: E402

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.cluster import start_cluster  # noqa: E402

EACH = 10  # sequences that follow each other on one release


def as_json(tally: object) -> dict:
    """The tally, its sets as lists."""
    found = dataclasses.asdict(tally)  # type: ignore[call-overload]
    found.pop("foreign", None)
    return found


def in_process(count: int, folder: Path) -> dict:
    """The fakes."""
    began = time.perf_counter()
    tally = sequences.play(range(count), folder)
    return {**as_json(tally), "seconds": round(time.perf_counter() - began)}


def on_the_drill(count: int, pairs: int, folder: Path) -> tuple[dict, dict]:
    """Real processes: sequences, then pairs of operators."""
    binaries = find_binaries(progress=print)
    running = start_cluster(binaries)
    try:
        tally, began = real_sequences.Tally(), time.perf_counter()
        for first in range(0, count, EACH):
            place = folder / f"sequences-{first}"
            place.mkdir()
            incident = Incident(running, place, binaries["helm"])
            tally.foreign = set()
            for seed in range(first, min(first + EACH, count)):
                real_sequences.Player(incident, seed, tally).play(steps=2)
            incident.close()
            print(f"{first + EACH} sequences on the drill", flush=True)
        played = {**as_json(tally), "seconds": round(time.perf_counter() - began)}
        return played, operators(running, binaries["helm"], pairs, folder)
    finally:
        running.close()


def operators(running: object, helm: Path, pairs: int, folder: Path) -> dict:
    """Two at the same instant: who rolled back, who was refused by what, and in which time."""
    place = folder / "pairs"
    place.mkdir()
    incident = Incident(running, place, helm)  # type: ignore[arg-type]
    slow = place / "slow-helm"
    slow.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 1;; esac\nexec {helm} "$@"\n')
    slow.chmod(0o755)
    incident.configure(helm=str(slow))
    wrong, seconds, head = [], [], incident.head()
    for number in range(pairs):
        verified, refused, took_s = real_sequences.two_at_once(incident, 5 - number % 2)
        head += 1
        guards = {each["id"]: each["evidence"] for each in refused["guards"] if each["state"] == "refused"}
        good = (
            incident.head() == head
            and (verified["helm"]["ran"], refused["helm"]["ran"]) == (True, False)
            and verified["run_id"] in guards.get("lock", "")
            and verified["operator"] in guards.get("lock", "")
        )
        seconds.append(round(took_s, 3))
        if not good:
            wrong.append(
                {"pair": number, "guards": guards, "outcomes": [verified["outcome"], refused["outcome"]]}
            )
            head = incident.head()
    incident.close()
    return {
        "pairs": pairs,
        "not_exactly_one": wrong,
        "refused_after_median_s": statistics.median(seconds),
        "refused_after_most_s": max(seconds),
        "refused_after_s": seconds,
    }


def main() -> int:
    """0 if there was no double rollback, no wrong claim, and always exactly one of two operators."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-process", type=int, default=10_000)
    parser.add_argument("--drill", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        played, pairs = on_the_drill(asked.drill, asked.pairs, folder)
        result = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "in_process": in_process(asked.in_process, folder),
            "on_the_drill": played,
            "two_operators": pairs,
        }
    out = Path(__file__).parent / "results" / "sequences.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2)[:3000])
    both = (result["in_process"], result["on_the_drill"])
    wrong = [one for part in both for one in (*part["double_rollbacks"], *part["wrong_claims"])]
    return int(bool(wrong or pairs["not_exactly_one"]))


if __name__ == "__main__":
    sys.exit(main())
