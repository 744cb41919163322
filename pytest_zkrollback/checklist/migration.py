"""Did a migration come with what was rolled back, and is it known what to do about it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from ..config.environment import Environment
from ..domain.checks import History
from ..domain.item_ids import MIGRATION
from ..domain.migration import MigrationFinding, MigrationWord
from ..domain.ports import Stage
from ..domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict
from ..report.by_hand import helm
from .titles import TITLES

HOW_TO_RECORD = (
    'Assess whether a reverse migration is needed, then record it: --rollback-migration-assessed "TEXT".'
)


@dataclass(frozen=True, kw_only=True)
class MigrationCheck:
    """The runbook's line: if a migration was part of the bad deploy, assess the reverse migration.

    ``sources`` are asked one after another; ``assessed`` is the operator's assessment, ``recorded`` what was
    said of the same revision in an earlier run. ``compared_with`` is the revision that was gone back from
    (for the command to repeat it by hand). ``gate_not_counted``: why the operator's word that this is no
    rollback did not count; empty: it did, or there was none.
    """

    env: Environment
    sources: tuple[Callable[[], MigrationFinding], ...]
    assessed: str | None = None
    recorded: MigrationWord | None = None
    compared_with: int | None = None
    gate_not_counted: str = ""
    id: str = field(default=MIGRATION, init=False)
    title: str = field(default=TITLES[MIGRATION], init=False)
    expected: str = field(
        default="evidence that no migration ran since the target revision, or a recorded assessment",
        init=False,
    )
    # Longer than every source's own deadline one after the other.
    deadline_s: float = field(default=30.0, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=None, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=False, init=False)
    failure_ends_waiting: bool = field(default=False, init=False)
    waiting_may_end: bool = field(default=False, init=False)

    @property
    def stage(self) -> Stage:
        """At once, unless the restored application has a word in it."""
        table = self.env.migrations
        return Stage.AFTER_ROLLOUTS if table is not None and table.health is not None else Stage.IMMEDIATE

    @property
    def command(self) -> str:
        """Shows the hooks of the revision that was gone back from."""
        if self.compared_with is None:
            return helm(self.env, "history", self.env.release)
        return helm(self.env, "get", "hooks", self.env.release, "--revision", str(self.compared_with))

    def observe(self) -> tuple[MigrationFinding, ...]:
        """Ask every source; each says itself where it could not find out."""
        return tuple(source() for source in self.sources)

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - asked once, no clock
        """PASS on evidence that none ran, that this is no rollback, or on an assessment; FAIL if one ran;
        else UNVERIFIED.
        """
        sample = history.last
        if sample is None:
            return Pending(observed="The revisions are being compared", seen=False)
        findings: tuple[MigrationFinding, ...] = () if sample.error is not None else sample.value
        shown = tuple(piece for finding in findings for piece in finding.evidence)
        said = " ".join(finding.observed for finding in findings)
        if sample.error is not None:
            said = f"It could not be found out whether a migration ran: {sample.error}"
        elif not findings:
            said = "It is not known whether a migration ran: no source is configured."
        limits = tuple(limit for finding in findings for limit in finding.limits)
        assessed = (self.assessed or "").strip()
        if assessed:
            return CheckResult(
                word=Verdict.PASS,
                observed=f"Assessed by the operator: {assessed.rstrip('.')}. Seen: {said}",
                evidence=shown,
                limits=limits,
            )
        if any(finding.settles for finding in findings) and not any(finding.ran for finding in findings):
            said = " ".join(finding.observed for finding in findings if finding.ran is False)
            return CheckResult(word=Verdict.PASS, observed=said, evidence=shown, limits=limits)
        if findings and all(finding.ran is False for finding in findings):
            return CheckResult(word=Verdict.PASS, observed=said, evidence=shown, limits=limits)
        if self.recorded is not None:
            return _remembered(self.recorded, said, shown, limits)
        if any(finding.ran for finding in findings):
            said = " ".join(finding.observed for finding in findings if finding.ran)
            if others := [finding.observed for finding in findings if finding.ran is False and finding.whole]:
                said = f"{said} Not all sources agree: {' '.join(others)}"
            return self._to_be_assessed(Verdict.FAIL, said, shown)
        return self._to_be_assessed(Verdict.UNVERIFIED, said, shown)

    def _to_be_assessed(self, word: Verdict, said: str, shown: tuple[Evidence, ...]) -> CheckResult:
        text = " ".join(filter(None, [said, self.gate_not_counted, HOW_TO_RECORD]))
        return CheckResult(word=word, observed=text, evidence=shown)


def _remembered(
    word: MigrationWord, said: str, shown: tuple[Evidence, ...], limits: tuple[str, ...]
) -> CheckResult:
    """What was said once of the migration holds for as long as the same revision is live."""
    when = f", {word.at:%Y-%m-%d %H:%M:%S} UTC" if word.at is not None else ""
    what = "Waived" if word.waived else "Assessed"
    return CheckResult(
        word=Verdict.WAIVED if word.waived else Verdict.PASS,
        observed=f"{what} by {word.by}{when}, run {word.run_id}: {word.text.rstrip('.')}. Seen: {said}",
        evidence=shown,
        limits=limits,
    )
