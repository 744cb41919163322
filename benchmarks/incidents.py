"""Thirty random incidents, and an operator who does exactly what the last lines say, at most five times.

Played on the drill with real processes and the real helm, 4 and 3 in turn
(tests/support/random_incidents.py); judged by the API server's audit log and by what serves. Writes
benchmarks/results/incidents.json. `--count` and `--first` choose the seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, TOOLS  # noqa: E402
from support.random_incidents import Operator, Story  # noqa: E402

AT_ONCE = 2
OUT = Path(__file__).parent / "results" / "incidents.json"


def summed_up(stories: list[Story]) -> dict:
    """What is written down."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "incidents": len(stories),
        "restored": sum(story.end == "restored" for story in stories),
        "steps": sum(len(story.steps) for story in stories),
        "wrong": [[story.seed, *story.wrong] for story in stories if story.wrong],
        "stories": [dataclasses.asdict(story) for story in stories],
    }


def main() -> int:
    """0 if no step made anything worse, and every incident ended restored or with a reason."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = f"{name}/state"
        binaries = find_binaries(tools=(*TOOLS, HELM3), progress=print)
        running = start_cluster(binaries)

        def play(seed: int) -> Story:
            helm = ("helm", "helm3")[seed % 2]
            story = Operator(running, Path(name) / f"incident-{seed}", seed, helm, binaries[helm]).play()
            print(json.dumps({"seed": seed, "end": story.end, "wrong": story.wrong}), flush=True)
            return story

        stories: list[Story] = []
        result: dict = {}
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for story in pool.map(play, range(asked.first, asked.first + asked.count)):
                    stories.append(story)
                    result = summed_up(stories)
                    # The results are committed, and this machine's folders are of no use there.
                    text = json.dumps(result, indent=1).replace(str(running.cluster.kubeconfig), "KUBECONFIG")
                    asked.out.write_text(text.replace(name, "FOLDER") + "\n", encoding="utf-8")
        finally:
            running.close()
    print({key: value for key, value in result.items() if key != "stories"})
    return int(bool(result["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
