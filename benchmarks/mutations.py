"""One thing left wrong at random, 1,000 times, and 1,000 harmless changes: what the command says of each.

On the drill (kwok, a real API server, the real helm 4 and 3): a release with most kinds stands healthy, half
of the time after a real rollback; one thing is changed (tests/support/mutations, which knows by construction
whether it is harmful), the command verifies, the change is undone. Writes benchmarks/results/mutations.json.

`--count N` seeds of either side; `--seed N --side harmful` plays one alone and says what it did;
`--batch N` those of one release. Exit 1 on a false green or a false failure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, TOOLS  # noqa: E402
from support.mutations.campaign import EACH, SIDES, Seed, play_batch  # noqa: E402

AT_ONCE = 4  # releases; they mostly wait
# The results are committed, and this machine's folders are of no use there.
_PLACES = re.compile(r"/(tmp|work|root)/[^\s\"',)\\]*")
OUT = Path(__file__).parent / "results" / "mutations.json"


@dataclass(frozen=True)
class Access:
    """What a process of its own needs of the cluster."""

    context: str
    kubeconfig: Path
    binaries: dict[str, Path]


def summed_up(seeds: Sequence[Seed]) -> dict:
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
        "seconds_of_seeds": round(sum(each.seconds for each in seeds)),
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


def say(log: Path, seed: Seed) -> None:
    """One line a seed; all of it goes into the log."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(seed)) + "\n")
    mark = "WRONG " if seed.is_wrong else ""
    items = " | ".join(f"{name} {' '.join(said)}" for name, said in seed.items.items())
    print(
        f"{mark}{seed.side} {seed.seed} [{seed.kind}] {seed.said} => {seed.verdict} "
        f"({seed.seconds} s, {seed.cpu_s} s CPU) {items[:400]} {seed.trouble}",
        flush=True,
    )


def read_log(log: Path) -> dict[tuple[str, int], Seed]:
    """The newest of each seed."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else ()
    seeds = [Seed(**json.loads(line)) for line in lines]
    return {(each.side, each.seed): each for each in seeds}


def play(wanted: Sequence[tuple[str, int]], asked: argparse.Namespace, log: Path, folder: Path) -> None:
    """Each (side, seed), those of one release one after another."""
    batches: dict[int, list[tuple[str, int]]] = {}
    for side, seed in sorted(wanted, key=lambda each: each[1]):
        batches.setdefault(seed // EACH, []).append((side, seed))
    binaries = find_binaries(tools=TOOLS if asked.helm4 else (*TOOLS, HELM3), progress=print)
    running = start_cluster(binaries)
    try:
        access = Access(running.cluster.context, running.cluster.kubeconfig, binaries)
        context = get_context("spawn")
        with ProcessPoolExecutor(asked.at_once, mp_context=context, max_tasks_per_child=1) as pool:
            played = [
                pool.submit(play_batch, access, folder, number, mine, partial(say, log), asked.kind)
                for number, mine in batches.items()
            ]
            for done in as_completed(played):
                done.result()
    finally:
        running.close()


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
    parser.add_argument("--log", type=Path, help="a line a seed; what is right there is not played again")
    parser.add_argument("--sum-up", action="store_true", help="play nothing, write what the log has")
    asked = parser.parse_args()
    numbers = range(asked.first, asked.first + asked.count)
    if asked.batch is not None:
        numbers = range(asked.batch * EACH, asked.batch * EACH + EACH)
    if asked.seed is not None:
        numbers = range(asked.seed, asked.seed + 1)
    sides = (asked.side,) if asked.side else tuple(SIDES)
    whole = numbers == range(1000) and sides == tuple(SIDES) and not asked.kind
    with tempfile.TemporaryDirectory() as name:
        log = asked.log or Path(name) / "log"
        before = read_log(log)
        wanted = [(side, seed) for seed in numbers for side in sides]
        left = [one for one in wanted if one not in before or before[one].is_wrong]
        if left and not asked.sum_up:
            play(left, asked, log, Path(name))
        seeds = [each for one, each in read_log(log).items() if one in set(wanted)]
        result = summed_up(seeds)
        if whole:
            text = json.dumps(result, indent=1, ensure_ascii=False)
            OUT.write_text(_PLACES.sub("FOLDER", text) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key not in ("wrong", *SIDES)}))
    return int(bool(result["false_greens"] or result["false_failures"] or result["not_played"]))


if __name__ == "__main__":
    sys.exit(main())
