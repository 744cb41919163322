"""Helm at most once per intent, and no wrong claim: random sequences, in process and on the drill.

Plays 10,000 sequences in process (tests/support/sequences.py), 2,000 by app versions, 300 on the drill
cluster with real processes (tests/support/real_sequences.py; helm 4 and 3 in turn), and 50 pairs of operators
at the same instant; writes benchmarks/results/sequences.json, after every part and every ten sequences on the
drill. `--in-process`, `--drill` and `--pairs` take other numbers; 0 leaves a part as the file has it.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import RunningCluster, start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, TOOLS  # noqa: E402
from support import real_sequences, sequences  # noqa: E402
from support.incident import Incident  # noqa: E402

EACH = 10  # sequences that follow each other on one release
AT_ONCE = 3  # releases
OUT = Path(__file__).parent / "results" / "sequences.json"


def as_json(tally: object) -> dict:
    """The tally, its sets as lists."""
    found = dataclasses.asdict(tally)  # type: ignore[call-overload]
    found.pop("foreign", None)
    return found


def in_process(count: int, folder: Path, *, versions: bool = False) -> dict:
    """The fakes; with ``versions`` operators ask for an app version, too."""
    began = time.perf_counter()
    tally = sequences.play(range(count), folder, versions=versions)
    versions = sequences.play(range(count // 5), folder, versions=True)
    return {
        **as_json(tally),
        "double_rollbacks": tally.double_rollbacks + versions.double_rollbacks,
        "wrong_claims": tally.wrong_claims + versions.wrong_claims,
        "by_version": as_json(versions),
        "seconds": round(time.perf_counter() - began),
    }


def on_the_drill(running: RunningCluster, helms: list[Path], count: int, folder: Path) -> Iterator[dict]:
    """Real processes; what was seen so far after every ten sequences, which share a release.

    They mostly wait, so several releases are played on at once.
    """
    whole, began = real_sequences.Tally(), time.perf_counter()

    def play(first: int) -> real_sequences.Tally:
        place, tally = folder / f"sequences-{first}", real_sequences.Tally()
        place.mkdir()
        incident = Incident(running, place, helms[0])
        for seed in range(first, min(first + EACH, count)):
            incident.use(helms[seed % len(helms)])
            real_sequences.Player(incident, seed, tally).play(steps=2)
        incident.close()
        return tally

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in as_completed([pool.submit(play, first) for first in range(0, count, EACH)]):
            if done.exception() is not None:
                pool.shutdown(wait=False, cancel_futures=True)
            for one in dataclasses.fields(whole):
                mine, theirs = getattr(whole, one.name), getattr(done.result(), one.name)
                setattr(whole, one.name, mine | theirs if isinstance(mine, set) else mine + theirs)
            yield {**as_json(whole), "seconds": round(time.perf_counter() - began)}


def operators(running: RunningCluster, helm: Path, pairs: int, folder: Path) -> dict:
    """Two at the same instant: who rolled back, whether the other verified that, and in which time."""
    place = folder / "pairs"
    place.mkdir()
    incident = Incident(running, place, helm)
    slow = place / "slow-helm"
    slow.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 1;; esac\nexec {helm} "$@"\n')
    slow.chmod(0o755)
    incident.configure(helm=str(slow))
    wrong, seconds, head = [], [], incident.head()
    for number in range(pairs):
        meant = "--rollback-override=target=there and back again"
        first, second, took_s = real_sequences.two_at_once(incident, 5 - number % 2, meant)
        head += 1
        good = (
            incident.head() == head
            and (first["helm"]["ran"], second["helm"]["ran"]) == (True, False)
            and (first["outcome"], second["outcome"]) == ("verified", "verified")
            and f"revision {head}" in second["helm"]["skipped_reason"]
        )
        seconds.append(round(took_s, 3))
        if not good:
            wrong.append(
                {
                    "pair": number,
                    "outcomes": [first["outcome"], second["outcome"]],
                    "summary": second["summary"],
                }
            )
            head = incident.head()
    incident.close()
    return {
        "pairs": pairs,
        "not_exactly_one": wrong,
        "second_ended_after_median_s": statistics.median(seconds),
        "second_ended_after_most_s": max(seconds),
        "second_ended_after_s": seconds,
    }


def write(part: str, found: dict) -> dict:
    """Put a part into the results; returns all of them."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    result[part] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **found}
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        part,
        json.dumps({key: value for key, value in found.items() if key != "second_ended_after_s"}),
        flush=True,
    )
    return result


def main() -> int:
    """0 if there was no double rollback, no wrong claim, and always exactly one of two operators."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-process", type=int, default=10_000)
    parser.add_argument("--drill", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=50)
    asked = parser.parse_args()
    result: dict = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        if asked.drill or asked.pairs:
            binaries = find_binaries(tools=(*TOOLS, HELM3), progress=print)
            running = start_cluster(binaries)
            try:
                if asked.pairs:
                    result = write("two_operators", operators(running, binaries["helm"], asked.pairs, folder))
                for found in on_the_drill(
                    running, [binaries["helm"], binaries["helm3"]], asked.drill, folder
                ):
                    result = write("on_the_drill", found)
            finally:
                running.close()
        if asked.in_process:
            result = write("in_process", in_process(asked.in_process, folder))
            by_version = in_process(asked.in_process // 5, folder, versions=True)
            result = write("in_process_by_version", by_version)
    wrong = [
        one
        for part in result.values()
        if isinstance(part, dict)  # the rest says when and where
        for key in ("double_rollbacks", "wrong_claims", "slips", "not_exactly_one")
        for one in part.get(key, ())
    ]
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
