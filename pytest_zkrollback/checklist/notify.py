"""Was the team told?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..domain.checks import History
from ..domain.item_ids import NOTIFY
from ..domain.ports import Stage
from ..domain.record import Delivery
from ..domain.verdict import CheckResult, Judgement, Pending, Verdict, evidence
from .titles import TITLES

# All tries of a message, its file included (clients/retry.py, notify/slack_channels.py).
PATIENCE_S = 28.0


@dataclass(frozen=True, kw_only=True)
class NotifyCheck:
    """The runbook's line: notify the team in Slack.

    ``deliver`` tells every channel once, within ``PATIENCE_S``, and answers what became of it; ``off`` says
    why the configuration has nobody told, else it is empty. ``missing``: what the operator did not give of
    what the runbook wants told.
    """

    deliver: Callable[[], Sequence[Delivery]]
    off: str = ""
    missing: tuple[str, ...] = ()
    id: str = field(default=NOTIFY, init=False)
    title: str = field(default=TITLES[NOTIFY], init=False)
    expected: str = field(default="Slack, and whoever else is configured, answers that it has it", init=False)
    command: str = field(
        default="", init=False
    )  # a second message by hand would prove nothing about this one
    stage: Stage = field(default=Stage.FINAL, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=None, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=False, init=False)
    failure_ends_waiting: bool = field(default=False, init=False)
    waiting_may_end: bool = field(default=False, init=False)
    deadline_s: float = field(default=PATIENCE_S + 2, init=False)

    def observe(self) -> Sequence[Delivery]:
        """Tell everybody, once."""
        return () if self.off else self.deliver()

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - sent once, no clock
        """WAIVED if switched off, else what :func:`judge_deliveries` says."""
        if self.off:
            return CheckResult(word=Verdict.WAIVED, observed=self.off)
        sample = history.last
        if sample is None:
            return Pending(observed="The message is being sent", seen=False)
        if sample.error is not None:
            text = f"It is not known whether the team was told: {sample.error}"
            return CheckResult(word=Verdict.UNVERIFIED, observed=text)
        return judge_deliveries(sample.value, self.missing)


def judge_deliveries(deliveries: Sequence[Delivery], missing: Sequence[str] = ()) -> CheckResult:
    """PASS if everybody has the message, FAIL if somebody certainly has not, else UNVERIFIED.

    ``missing``: what the message does not say; that is said, and fails nothing.
    """
    if not deliveries:
        return CheckResult(
            word=Verdict.UNVERIFIED,
            observed="Nobody was told: no channel is configured that this run could use.",
        )
    proof = tuple(
        evidence(f"Answer of {each.to}", each.answer or "(empty)") for each in deliveries if each.answer
    )
    has = ", ".join(f"{each.to} answered: {each.answer[:200]}" for each in deliveries if each.ok)
    refused = [each for each in deliveries if not each.ok and each.refused]
    unsent = [each for each in deliveries if each.unsent]
    unknown = [each for each in deliveries if not (each.ok or each.refused or each.unsent)]
    if not refused and not unknown and not unsent:
        lacks = f"; not given: {' and '.join(missing)}" if missing else ""
        return CheckResult(word=Verdict.PASS, observed=f"{has}{lacks}", evidence=proof)
    said = [f"The team was not told by {each.to}: {each.answer}" for each in refused]
    said += [
        f"Nobody was told by {each.to}: {each.answer.rstrip('.')}. Tell the team yourself" for each in unsent
    ]
    said += [f"It was not verified that {each.to} told the team: {each.answer}" for each in unknown]
    text = " ".join(line if line.endswith(".") else f"{line}." for line in [*said, *([has] if has else [])])
    return CheckResult(word=Verdict.FAIL if refused else Verdict.UNVERIFIED, observed=text, evidence=proof)
