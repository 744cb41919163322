"""One check's run within a schedule: where it stands, and its samples, bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Final

from ..domain.checks import Sample
from ..domain.ports import Check
from ..domain.verdict import CheckResult, Judgement, Verdict

KEPT_EARLY: Final = 50
KEPT_FIRST: Final = 10
KEPT: Final = 250


@dataclass
class CheckRun:
    """One check's run: where it stands, and its samples, bounded.

    Of those that count, the first ones that hold a value, the one at the soak's beginning and the last ones
    are kept: what judges compare is the beginning and the present.
    """

    check: Check
    early: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT_EARLY))
    counted: list[Sample] = field(default_factory=list)
    at_soak: Sample | None = None
    bug: str | None = None
    fresh: bool = False
    stopped: bool = False
    due: Event = field(default_factory=Event)
    observing: bool = False
    judged_from: datetime | None = None
    pending_s: float = 0.0  # since when there is no verdict
    ends_s: float = 0.0
    judged_s: float = 0.0
    judgement: Judgement | None = None
    final: bool = False
    newest: datetime | None = None  # when the newest sample that was judged began

    @property
    def verdict(self) -> CheckResult | None:
        """The newest judgement, if it is a verdict."""
        return self.judgement if isinstance(self.judgement, CheckResult) else None

    @property
    def is_green(self) -> bool:
        """Whether the verdict is PASS or WAIVED."""
        return self.verdict is not None and self.verdict.word in (Verdict.PASS, Verdict.WAIVED)

    def stop(self) -> None:
        """Observe no more; what is under way is not waited for."""
        self.stopped = True
        self.due.set()

    def keep(self, sample: Sample) -> None:
        """Add a sample, and drop one if there are too many."""
        if self.judged_from is None or sample.at < self.judged_from:
            self.early.append(sample)
        else:
            self.counted.append(sample)
            if len(self.counted) > KEPT:
                self._drop_one()
        self.fresh = True

    def _drop_one(self) -> None:
        values = 0
        for index, sample in enumerate(self.counted):
            values += sample.error is None
            if sample is not self.at_soak and (sample.error is not None or values > KEPT_FIRST):
                del self.counted[index]
                return
