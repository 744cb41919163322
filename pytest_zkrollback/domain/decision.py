"""Whether to roll back or to fix forward: the runbook's signals and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from .frozen import Frozen


class Answer(StrEnum):
    """A signal's answer."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Recommendation(StrEnum):
    """The runbook's two ways."""

    ROLLBACK = "rollback"
    HOTFIX = "hotfix-forward"


class SignalName(StrEnum):
    """The runbook's five signals, in its order."""

    USERS_IMPACTED = "users-impacted"
    ROOT_CAUSE_UNCLEAR = "root-cause-unclear"
    FIX_OBVIOUS = "fix-obvious"
    MIGRATION_IRREVERSIBLE = "migration-irreversible"
    MANY_COMMITS = "many-commits"


class Signal(Frozen):
    """One signal: what is known of it, and who says so."""

    name: SignalName = Field(description="as --rollback-signal takes it")
    question: str = Field(description="the runbook's words")
    answer: Answer = Field(description="yes, no or unknown")
    speaks_for: Recommendation = Field(
        description="the way that a yes speaks for; no and unknown speak for nothing"
    )
    source: str = Field(default="", description="operator, cluster, /health, git, helm history, migrations")
    evidence: str = Field(default="", description="what was seen or said")

    @property
    def speaks(self) -> Recommendation | None:
        """What it speaks for as it was answered; None: for nothing."""
        return self.speaks_for if self.answer is Answer.YES else None


class Decision(Frozen):
    """What the runbook recommends on these signals, and what the operator chose."""

    recommendation: Recommendation = Field(description="rollback or hotfix-forward; in doubt, rollback")
    reasons: tuple[str, ...] = Field(description="why, in sentences")
    choice: str = Field(description="what the operator asked for")
    signals: tuple[Signal, ...] = Field(description="the five signals, in the runbook's order")

    @property
    def in_doubt(self) -> bool:
        """Whether it is the runbook's default: nothing speaks for rollback, or something against it too."""
        said = {each.speaks for each in self.signals} - {None}
        return self.recommendation is Recommendation.ROLLBACK and said != {Recommendation.ROLLBACK}


@dataclass(frozen=True)
class SignalReading:
    """What one source outside says about a signal.

    ``start_problem``, of migrations: why what the target runs at its start will fail, as a sentence.
    """

    answer: Answer
    source: str
    evidence: str
    start_problem: str = ""
