"""No traceback, no exit 3, no false OK: what is generated, in larger numbers than `make test` plays.

Runs the property tests of CAMPAIGNS with their numbers, and writes benchmarks/results/generated.json after
each. Names as arguments run only those; the others' results stay.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).parent / "results" / "generated.json"


class Campaign(NamedTuple):
    """A property test, and the variable that says how many examples it plays."""

    test: str
    variable: str
    examples: int


CAMPAIGNS = {
    "kubeconfigs": Campaign(
        "tests/clients/test_kubeconfig_cases.py::test_case_a10_of_any_file_comes_an_access_or_one_sentence",
        "ZKROLLBACK_KUBECONFIGS",
        10_000,
    ),
    "migrations": Campaign(
        "tests/migrations/test_generated_folders.py::test_generated_folders_are_judged_as_they_were_made",
        "ZKROLLBACK_MIGRATIONS",
        2_000,
    ),
}


def play(campaign: Campaign) -> dict[str, object]:
    """Its result: whether no example failed, and how long it took."""
    env = {**os.environ, campaign.variable: str(campaign.examples)}
    argv = [sys.executable, "-m", "pytest", campaign.test, "-q", "-n", "0", "--hypothesis-show-statistics"]
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    print(done.stdout[-3000:])
    played = sum(int(number) for number in re.findall(r"- (\d+) passing, 0 failing", done.stdout))
    return {
        "test": campaign.test,
        "examples": played,
        "passed": done.returncode == 0 and played >= campaign.examples,
        "events": {
            what: share for share, what in re.findall(r"\* (\d+\.\d+%), ((?:an|one) .+)", done.stdout)
        },
        "seconds": round(time.perf_counter() - began),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> int:
    """0 if no example of any campaign failed."""
    results = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    names = sys.argv[1:] or list(CAMPAIGNS)
    for name in names:
        results[name] = play(CAMPAIGNS[name])
        OUT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if all(results[name]["passed"] for name in names) else 1


if __name__ == "__main__":
    raise SystemExit(main())
