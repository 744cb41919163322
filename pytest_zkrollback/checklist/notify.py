"""Was the team told?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from ..domain.environment import Environment
from ..domain.errors import NotifyProblem
from ..domain.model import Delivery
from ..domain.observation import History
from ..domain.ports import Stage
from ..domain.verdict import Judgement, Pending, Verdict, Word, evidence

_RETRIES_S = 20.0


@dataclass(frozen=True, kw_only=True)
class NotifyCheck:
    """The runbook's line: notify the team in Slack.

    ``deliver`` sends the message once and answers what became of it; it raises NotifyProblem if the
    receiver refused it or may have it, and UsageProblem if the webhook's variable is not set.
    """

    deliver: Callable[[], Delivery]
    env: Environment
    id: str = field(default="notify", init=False)
    title: str = field(
        default="Notify the team in Slack with: environment, rolled-back revision, reason, and next steps",
        init=False,
    )
    expected: str = field(default="Slack answers that it has the message", init=False)
    command: str = field(
        default="", init=False
    )  # a second message by hand would prove nothing about this one
    stage: Stage = field(default=Stage.LAST, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=None, init=False)

    @property
    def deadline_s(self) -> float:
        """All tries together."""
        return _RETRIES_S if self.env.slack is False else _RETRIES_S + self.env.slack.timeout_s

    def observe(self) -> Delivery | None:
        """Send it, once; None if the configuration switched it off."""
        return None if self.env.slack is False else self.deliver()

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - sent once, no clock
        """PASS if Slack has it, FAIL if it refused, UNVERIFIED if nobody knows, WAIVED if switched off."""
        if self.env.slack is False:
            return Verdict(
                word=Word.WAIVED,
                observed=f"notify is switched off in the configuration (slack = false in "
                f"[environments.{self.env.name}]).",
            )
        sample = history.last
        if sample is None:
            return Pending(observed="The message is being sent", seen=False)
        if sample.error is not None:
            refused = isinstance(sample.error, NotifyProblem) and not sample.error.maybe_sent
            said = "The team was not told" if refused else "It is not known whether the team was told"
            return Verdict(word=Word.FAIL if refused else Word.UNVERIFIED, observed=f"{said}: {sample.error}")
        delivery: Delivery = sample.value
        answer = evidence(f"Answer of {delivery.to}", delivery.answer or "(empty)")
        if delivery.ok:
            return Verdict(
                word=Word.PASS,
                observed=f"{delivery.to} answered: {delivery.answer[:200]}",
                evidence=(answer,),
            )
        return Verdict(
            word=Word.FAIL,
            observed=f"The team was not told: {delivery.to} refused the message: {delivery.answer[:200]}",
            evidence=(answer,),
        )
