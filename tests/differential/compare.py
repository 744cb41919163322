"""Both judges over the same generated states; writes docs/rollout-differences.md: ``python compare.py``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from differential.differences import DIFFERENCES
from differential.kubectl_status import ask, build
from differential.states import BEGAN, KINDS, NOW, State, generate
from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.checklist.rollout.kubectl_status import rollout_status
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample, Snapshot
from pytest_zkrollback.domain.verdict import Judgement, Pending, Verdict

STATES = 3000
PAGE = Path(__file__).parents[2] / "docs" / "rollout-differences.md"


@dataclass(frozen=True)
class Comparison:
    """``agreed`` and ``differed`` (by name of the difference) are counts; ``unexplained`` and
    ``other_words`` have to be empty."""

    agreed: int
    differed: Counter[str]
    answers: Counter[str]
    unexplained: list[str]
    other_words: list[str]


def compare(program: Path, count: int) -> Comparison:
    """Judge ``count`` states twice."""
    states = [generate(seed) for seed in range(count)]
    answers = ask(program, [state.item for state in states])
    differed: Counter[str] = Counter()
    told: Counter[str] = Counter()
    agreed, unexplained, other_words = 0, [], []
    for seed, (state, answer) in enumerate(zip(states, answers, strict=True)):
        own = rollout_status(state.item["kind"].lower(), state.item)
        said = (own.message, own.done, own.error)
        if said != (_message(answer), answer["done"], bool(answer["error"])):
            other_words.append(f"state {seed}: kubectl {answer}, we {own}")
        kubectl = "red" if answer["error"] else "green" if answer["done"] else "waiting"
        told[kubectl] += 1
        ours = word(judge(state))
        if ours == kubectl:
            agreed += 1
            continue
        names = [each.name for each in DIFFERENCES if ours in each.ours and each.holds(state, kubectl)]
        if not names:
            unexplained.append(f"state {seed}: kubectl {kubectl} ({answer}), we {judge(state)}")
        differed.update(names[:1])
    return Comparison(agreed, differed, told, unexplained, other_words)


def judge(state: State) -> Judgement:
    """Our judge's answer a minute after the rollback began."""
    workload = f"{state.item['kind'].lower()}/web"
    env = Environment(name="test", context="test", namespace="shop", workloads={"web": workload})
    objects = {"deployments": (), "statefulsets": (), "daemonsets": ()} | {
        f"{state.item['kind'].lower()}s": (state.item,),
        "replicasets": state.replicasets,
        "pods": state.pods,
    }
    sample = Sample(at=NOW, value=Snapshot(at=NOW, objects=objects))
    history = History(samples=(sample,), since=BEGAN, judged_from=BEGAN + timedelta(seconds=2))
    check = RolloutCheck(env=env, item="web", workload=workload, snapshot=lambda: sample.value)
    return check.judge(history, NOW)


def word(judgement: Judgement) -> str:
    """``green``, ``red`` or ``waiting``: UNVERIFIED fails a run like FAIL."""
    if isinstance(judgement, Pending):
        return "waiting"
    return "green" if judgement.word is Verdict.PASS else "red"


def _message(answer: dict[str, Any]) -> str:
    return (answer["message"] or answer["error"]).rstrip("\n")


def render(found: Comparison, kinds: Sequence[str] = KINDS) -> str:
    """The page."""
    total = found.agreed + sum(found.differed.values())
    said = ", ".join(f"{count} {name}" for name, count in sorted(found.answers.items()))
    rows = [f"| {each.name} | {found.differed[each.name]} | {each.reason} |" for each in DIFFERENCES]
    return "\n".join(
        [
            "# Where a rollout is judged differently from kubectl",
            "",
            f"{total} generated states of {', '.join(kinds[:-1])} and {kinds[-1]} were given to kubectl's own code",
            "(`k8s.io/kubectl/pkg/polymorphichelpers`, v0.37.2) and to our judge. kubectl's message was ours, word for",
            f"word, in all of them. kubectl said: {said}. Of the verdicts {found.agreed} agree; the others",
            "differ on purpose:",
            "",
            "| difference | states | why |",
            "|---|---|---|",
            *rows,
            "",
            "No state differs for another reason; each is counted under the first that holds. This page is made by",
            "`python tests/differential/compare.py`; `tests/differential/test_against_kubectl.py` holds it to the code.",
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(render(compare(build(), STATES)), encoding="utf-8")
