"""Ten thousand generated manifests: what we read of each beside what helm's own code reads, and whole runs.

Each is read by cli-runtime's own builder (tests/differential/helm_objects.go) and by ours; what we cannot
read has to be said, and helm may only be said to fail where it does. Then as many rollbacks between two of
them, in process: no exception, no guard and no item that calls well what was not read. Writes
benchmarks/results/manifests.json; exit 1 where anything is wrong. `--count N`: fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pytest_zkrollback.release.documents import read_manifest
from run.test_generated_manifests import play
from support.manifest_judge import NAMESPACE, disagreement, helms_objects
from support.manifest_runs import Runs, threads_failed
from support.random_manifests import random_manifest

OUT = Path(__file__).parent / "results" / "manifests.json"
_BATCH = 1_000


def main() -> int:
    """Read, run, write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=int(os.environ.get("ZKROLLBACK_MANIFESTS", "10000")))
    count = parser.parse_args().count
    reading: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    for first in range(0, count, _BATCH):
        seeds = range(first, min(first + _BATCH, count))
        texts = [random_manifest(seed) for seed in seeds]
        for seed, text, answer in zip(seeds, texts, helms_objects(texts), strict=True):
            ours = read_manifest(text, NAMESPACE)
            helm = "helm fails" if answer["error"] else "helm reads it"
            fails = any(each.helm_fails and not each.nameless for each in ours.unread)
            said = "read" if not ours.unread else "said to fail" if fails else "not read, said so"
            reading[f"{helm}; here: {said}"] += 1
            if found := disagreement(text, answer):
                wrong[f"manifest {seed}"] = found
    died = threads_failed()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        for seed in range(count):
            try:
                found = play(seed, runs)
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                found = f"{type(error).__name__}: {error}"
            if found:
                wrong[f"run {seed}"] = found
    if died:
        wrong["threads"] = "; ".join(died[:5])
    outcomes = {
        f"{name}, {'not all' if unread else 'all'} of both manifests read": number
        for (name, unread), number in sorted(runs.seen.items())
    }
    result = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "manifests": count,
        "reading": dict(sorted(reading.items())),
        "runs": outcomes,
        "wrong": wrong,
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
