"""Plays generated rollouts to the judge, by a simulated clock, and writes what came of it.

``python tests/differential/replay.py [COUNT]`` (``make campaign``) -> benchmarks/results/rollouts.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from differential.rollouts import BEGAN, Rollout, failing, recovering
from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample, Snapshot
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Verdict

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "rollouts.json"
DEADLINE_S = 120.0
JUDGED_FROM_S = 0.5  # helm's exit
# The schedule judges every new sample at once (they come every 0.1 s) and the passing of time every 0.2 s.
STEP_S = 0.2


@dataclass(frozen=True)
class Played:
    """How a rollout ended: ``word`` is the judge's, ``at_s`` when; PENDING at the deadline otherwise."""

    word: str
    at_s: float
    observed: str


def play(rollout: Rollout) -> Played:
    """The first red, or the last judgement. A PASS counts only if it is the last word."""
    env = Environment(name="t", context="t", namespace="shop", workloads={"web": rollout.workload})
    samples: list[Sample] = []
    check = RolloutCheck(env=env, item="web", workload=rollout.workload, snapshot=lambda: samples[-1].value)
    found: Judgement | None = None
    second = 0.0
    for second, objects in _moments(rollout):
        at = BEGAN + timedelta(seconds=second)
        samples.append(Sample(at=at, value=Snapshot(at=at, objects=objects)))
        begun = BEGAN + timedelta(seconds=JUDGED_FROM_S)
        found = check.judge(History(samples=tuple(samples), since=BEGAN, judged_from=begun), at)
        if isinstance(found, CheckResult) and found.word is not Verdict.PASS:
            break
    assert found is not None
    return Played(found.word.value if isinstance(found, CheckResult) else "PENDING", second, found.observed)


def _moments(rollout: Rollout) -> Iterator[tuple[float, dict[str, tuple[dict[str, object], ...]]]]:
    """Every change, and the passing of time: in steps, or for what recovers just before the next change."""
    later = [second for second, _ in rollout.moments[1:]] + [DEADLINE_S]
    for (second, objects), until in zip(rollout.moments, later, strict=True):
        if until <= JUDGED_FROM_S or second >= DEADLINE_S:
            continue
        now, ends = max(second, JUDGED_FROM_S), min(until, DEADLINE_S)
        yield now, objects
        if rollout.qualifies_s is None:
            yield max(now, ends - 0.001), objects
            continue
        while (now := now + STEP_S) < ends:
            yield now, objects


@dataclass(frozen=True)
class Summary:
    """``late_s``: seconds from the first state that qualifies to red, sorted."""

    words: Counter[str]
    wrong: list[str]
    late_s: list[float]

    def percentile_s(self, share: float) -> float:
        """Of :attr:`late_s`."""
        return self.late_s[min(len(self.late_s) - 1, int(share * len(self.late_s)))]


def run(make: Callable[[int], Rollout], count: int, expected: str) -> Summary:
    """Play ``count`` rollouts; ``wrong`` names those that do not end with ``expected`` or are red too soon."""
    words: Counter[str] = Counter()
    wrong, late_s = [], []
    for seed in range(count):
        rollout = make(seed)
        played = play(rollout)
        words[played.word] += 1
        if played.word != expected:
            wrong.append(f"{rollout.name} ({rollout.workload}): {played}")
        elif rollout.qualifies_s is not None:
            late_s.append(played.at_s - max(rollout.qualifies_s, JUDGED_FROM_S))
            if late_s[-1] < -STEP_S:  # what is gone was last seen up to a step before
                wrong.append(
                    f"{rollout.name} ({rollout.workload}) red before {rollout.qualifies_s:.1f} s: {played}"
                )
    return Summary(words, wrong, sorted(late_s))


def main(count: int) -> None:
    """Both kinds, and the file."""
    begun = time.monotonic()
    well, ill = run(recovering, count, "PASS"), run(failing, count, "FAIL")
    result = {
        "recovering": {"count": count, "words": dict(well.words), "wrong": well.wrong},
        "failing": {
            "count": count,
            "words": dict(ill.words),
            "wrong": ill.wrong,
            "seconds_from_qualifying_to_red": {
                "median": round(ill.percentile_s(0.5), 2),
                "p99": round(ill.percentile_s(0.99), 2),
                "max": round(ill.late_s[-1], 2),
            },
        },
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2), f"{time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
