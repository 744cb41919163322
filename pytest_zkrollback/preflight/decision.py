"""Roll back or fix forward? The runbook's table as one rule. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..domain.decision import Answer, Decision, Recommendation, Signal, SignalName, SignalReading

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN

# The runbook's table: the signal, its line, and the way that its "Yes" stands under.
TABLE: Final = (
    (SignalName.USERS_IMPACTED, "Users actively impacted", Recommendation.ROLLBACK),
    (SignalName.ROOT_CAUSE_UNCLEAR, "Root cause is unclear", Recommendation.ROLLBACK),
    (SignalName.FIX_OBVIOUS, "Fix is obvious and small (< 30 min)", Recommendation.HOTFIX),
    (SignalName.MIGRATION_IRREVERSIBLE, "Database migration ran (non-reversible)", Recommendation.HOTFIX),
    (SignalName.MANY_COMMITS, "Multiple commits since last good deploy", Recommendation.ROLLBACK),
)
DEFAULT: Final = "Default to rollback when in doubt: restoring service is the priority."


def recommend(answers: Mapping[SignalName, Answer]) -> tuple[Recommendation, tuple[str, ...]]:
    """The runbook's recommendation and its reasons.

    Hotfix forward only if something speaks for it, nothing for rollback, and users are known to be well;
    everything else is a clear case for rollback, or doubt.
    """
    said = [(line, way) for name, line, way in TABLE if answers.get(name, UNKNOWN) is YES]
    back = [line for line, way in said if way is Recommendation.ROLLBACK]
    forward = [line for line, way in said if way is Recommendation.HOTFIX]
    reasons = tuple(f"{line}: speaks for {way.replace('-', ' ')}." for line, way in said)
    if back and not forward:
        return Recommendation.ROLLBACK, reasons
    if back:
        return Recommendation.ROLLBACK, (*reasons, f"The signals disagree. {DEFAULT}")
    if not forward:
        return Recommendation.ROLLBACK, (f"No signal speaks for either way. {DEFAULT}",)
    if answers.get(SignalName.USERS_IMPACTED, UNKNOWN) is NO:
        return Recommendation.HOTFIX, (*reasons, "Users are not impacted, and nothing speaks for rollback.")
    return Recommendation.ROLLBACK, (*reasons, f"Whether users are impacted is not known. {DEFAULT}")


def decide(
    seen: Mapping[SignalName, SignalReading], said: Mapping[SignalName, Answer], choice: str
) -> Decision:
    """The decision on what was ``seen`` from outside and what the operator ``said``.

    The operator's word stands, but for one: it cannot undo an irreversible migration that was seen.
    """
    signals = tuple(_signal(name, line, way, seen.get(name), said.get(name)) for name, line, way in TABLE)
    recommendation, reasons = recommend({signal.name: signal.answer for signal in signals})
    return Decision(recommendation=recommendation, reasons=reasons, choice=choice, signals=signals)


def _signal(
    name: SignalName, line: str, way: Recommendation, seen: SignalReading | None, said: Answer | None
) -> Signal:
    if seen is None:
        answer, source, evidence = (
            UNKNOWN,
            "",
            f"not answered by an option (--rollback-signal={name}=yes or =no)",
        )
    else:
        answer, source, evidence = seen.answer, seen.source, seen.evidence
    if said is not None:
        stands = not (name is SignalName.MIGRATION_IRREVERSIBLE and answer is YES and said is NO)
        before = f"; {source} says {answer}: {evidence}" if seen is not None else ""
        if stands:
            answer, source, evidence = said, "operator", f"the operator says {said}{before}"
        else:
            evidence = f"{evidence} (the operator says no; what was seen stands)"
    return Signal(name=name, question=line, answer=answer, speaks_for=way, source=source, evidence=evidence)
