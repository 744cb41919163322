"""One thing left wrong at random, 1,000 times, and 1,000 harmless changes: what the command says of each.

On the drill (kwok, a real API server, the real helm 4 and 3): a release with most kinds stands healthy, half
of the time after a real rollback; one thing is changed (tests/support/mutations, which knows by construction
whether it is harmful), the command verifies, the change is undone. Writes benchmarks/results/mutations.json.

`--count N` seeds of either side; `--seed N --side harmful` plays one alone and says what it did;
`--batch N` those of one release. Exit 1 on a false green or a false failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, TOOLS  # noqa: E402
from support.mutations.campaign import EACH, SIDES, Seed, play_batch  # noqa: E402

AT_ONCE = 4  # releases; they mostly wait
OUT = Path(__file__).parent / "results" / "mutations.json"


@dataclass(frozen=True)
class Access:
    """What a process of its own needs of the cluster."""

    context: str
    kubeconfig: Path
    binaries: dict[str, Path]


def summed_up(seeds: Sequence[Seed], seconds: float) -> dict:
    """What is written down: by kind, and every seed that was judged wrongly."""
    sides: dict = {}
    for side in SIDES:
        mine = [each for each in seeds if each.side == side]
        kinds = {
            kind: {"seeds": sum(each.kind == kind for each in mine)}
            | dict(sorted(Counter(each.verdict for each in mine if each.kind == kind).items()))
            for kind in SIDES[side]
        }
        verdicts = Counter(each.verdict for each in mine)
        sides[side] = {"seeds": len(mine), "verdicts": dict(verdicts), "kinds": kinds}
    wrong = [each for each in seeds if each.is_wrong]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seconds": round(seconds),
        "false_greens": sum(each.side == "harmful" and each.verdict == "PASS" for each in seeds),
        "false_failures": sum(each.side == "harmless" and each.verdict == "FAIL" for each in seeds),
        "needless_unverified": sum(
            each.side == "harmless" and each.verdict == "UNVERIFIED" for each in seeds
        ),
        "not_played": sum(each.verdict == "broken" for each in seeds),
        "drawn_again": sum(each.drawn for each in seeds),
        **sides,
        "wrong": [each.as_json() for each in sorted(wrong, key=lambda each: (each.side, each.seed))],
    }


def say(seed: Seed) -> None:
    """One line a seed."""
    mark = "WRONG " if seed.is_wrong else ""
    items = " | ".join(f"{name} {' '.join(said)}" for name, said in seed.items.items())
    print(
        f"{mark}{seed.side} {seed.seed} [{seed.kind}] {seed.said} => {seed.verdict} "
        f"({seed.seconds} s, {seed.cpu_s} s CPU) {items[:400]} {seed.trouble}",
        flush=True,
    )


def main() -> int:
    """0 if nothing that is wrong was green, and nothing that is right failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--side", choices=tuple(SIDES))
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--kind", help="this kind alone")
    parser.add_argument("--helm4", action="store_true", help="without helm 3")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    wanted = range(asked.first, asked.first + asked.count)
    if asked.batch is not None:
        wanted = range(asked.batch * EACH, asked.batch * EACH + EACH)
    if asked.seed is not None:
        wanted = range(asked.seed, asked.seed + 1)
    whole = asked.seed is None and asked.batch is None and asked.side is None
    out = asked.out or (OUT if whole and asked.count == 1000 else None)
    sides = (asked.side,) if asked.side else tuple(SIDES)
    batches: dict[int, list[int]] = {}
    for seed in wanted:
        batches.setdefault(seed // EACH, []).append(seed)
    seeds: list[Seed] = []
    with tempfile.TemporaryDirectory() as name:
        binaries = find_binaries(tools=TOOLS if asked.helm4 else (*TOOLS, HELM3), progress=print)
        running = start_cluster(binaries)
        access = Access(running.cluster.context, running.cluster.kubeconfig, binaries)
        began = time.monotonic()
        try:
            with ProcessPoolExecutor(
                asked.at_once, mp_context=get_context("spawn"), max_tasks_per_child=1
            ) as pool:
                played = [
                    pool.submit(play_batch, access, Path(name), number, mine, sides, say, asked.kind)
                    for number, mine in batches.items()
                ]
                for done in as_completed(played):
                    seeds += done.result()
                    result = summed_up(seeds, time.monotonic() - began)
                    if out is not None:
                        text = json.dumps(result, indent=1, ensure_ascii=False)
                        text = text.replace(str(running.cluster.kubeconfig), "KUBECONFIG").replace(
                            name, "FOLDER"
                        )
                        out.write_text(text + "\n", encoding="utf-8")
        finally:
            running.close()
    print(json.dumps({key: value for key, value in result.items() if key not in ("wrong", *SIDES)}))
    return int(bool(result["false_greens"] or result["false_failures"] or result["not_played"]))


if __name__ == "__main__":
    sys.exit(main())
