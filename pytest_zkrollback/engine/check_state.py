"""One check's run within a schedule: where it stands, and its samples, bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from threading import Condition
from typing import Final

from ..domain.checks import Sample
from ..domain.ports import Check, Clock
from ..domain.verdict import CheckResult, Judgement, Pending, Verdict

KEPT_EARLY: Final = 50
KEPT_FIRST: Final = 10
KEPT: Final = 250
# A thread that is behind by less is not called late: that is how a busy machine always works.
_PUNCTUAL_S: Final = 0.5
# News of a large release come in hundreds: looks on news take a third of a thread's time at most, and do not
# begin sooner one after another than this.
_REST: Final = 2.0
_NEWS_APART_S: Final = 0.01


@dataclass
class Lag:
    """By how much a thread of ours is behind its own plan: measured, where this machine is too busy."""

    planned_s: float | None = None  # when it is next to begin; None: it is at work, or has nothing to do
    interval_s: float = 0.0
    behind_s: float = 0.0
    noticed_s: float = 0.0

    def plan(self, at_s: float, interval_s: float) -> None:
        """The next thing is to begin at ``at_s``; every ``interval_s`` it does."""
        self.planned_s, self.interval_s = at_s, interval_s

    def begin(self, now_s: float) -> None:
        """What was planned begins."""
        behind_s, self.planned_s = self._behind_s(now_s), None
        if behind_s:
            self.behind_s, self.noticed_s = behind_s, now_s

    def at(self, now_s: float) -> float:
        """How far it is behind, or was until it had been on time for as long again; 0: it is on time."""
        before_s = self.behind_s if now_s - self.noticed_s <= self.behind_s else 0.0
        return max(before_s, self._behind_s(now_s))

    def _behind_s(self, now_s: float) -> float:
        behind_s = 0.0 if self.planned_s is None else now_s - self.planned_s
        return behind_s if behind_s > max(self.interval_s, _PUNCTUAL_S) else 0.0


class Alarm:
    """Wakes who looks at one check: at once where it is due, and on news once it has rested."""

    def __init__(self) -> None:
        """Neither is due."""
        self._changed = Condition()
        self._due = False
        self._news = False

    def ring(self) -> None:
        """It has to be looked at now."""
        with self._changed:
            self._due = True
            self._changed.notify_all()

    def note_news(self) -> None:
        """What it is judged by has changed."""
        with self._changed:
            if not self._news:
                self._news = True
                self._changed.notify_all()

    def clear(self) -> None:
        """A look begins, which sees all that was noted so far."""
        with self._changed:
            self._due = self._news = False

    def wait_due(self) -> None:
        """Wait until it is due, however long."""
        with self._changed:
            self._changed.wait_for(lambda: self._due)

    def wait(self, clock: Clock, until_s: float, rested_s: float) -> bool:
        """Wait until it is due, or for news; False if ``until_s`` came before. Both are monotonic.

        News are waited for, but not acted on before ``rested_s``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._due or self._news, max(0.0, until_s - clock.monotonic_s()))
            if self._news and not self._due:
                self._changed.wait_for(lambda: self._due, max(0.0, rested_s - clock.monotonic_s()))
            return self._due or self._news


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
    generation: int = 0  # of the observing thread whose samples count; an older one ends
    alarm: Alarm = field(default_factory=Alarm)
    observing: bool = False
    looking: bool = False  # an observation is under way
    took_s: float = 0.0  # the last observation
    lag: Lag = field(default_factory=Lag)
    judged_from: datetime | None = None
    pending_s: float = 0.0  # since when there is no verdict
    ends_s: float = 0.0
    judged_s: float = 0.0
    judging_took_s: float = 0.0
    judgement: Judgement | None = None
    finished_at: datetime | None = None
    green_since: datetime | None = None  # nothing else was seen since then
    parked: bool = False  # final unless something else fails: then it is looked at once more
    final: bool = False
    recheck_ends_s: float | None = None  # looked at once more, and no answer so far
    newest: datetime | None = None  # when the newest sample that was judged began

    @property
    def verdict(self) -> CheckResult | None:
        """The newest judgement, if it is a verdict."""
        return self.judgement if isinstance(self.judgement, CheckResult) else None

    @property
    def is_green(self) -> bool:
        """Whether the verdict is PASS or WAIVED."""
        return self.verdict is not None and self.verdict.word in (Verdict.PASS, Verdict.WAIVED)

    @property
    def has_failed(self) -> bool:
        """Whether the verdict is FAIL."""
        return self.verdict is not None and self.verdict.word is Verdict.FAIL

    @property
    def is_open(self) -> bool:
        """Whether it is being judged."""
        return self.judged_from is not None and not self.final and not self.parked

    def stop(self) -> None:
        """Observe no more; what is under way is not waited for, and counts no more."""
        self.generation += 1
        self.alarm.ring()

    def rested_s(self, begun_s: float, now_s: float) -> float:
        """When the next look may follow on news, if the last one was from ``begun_s`` until now."""
        took_s = now_s - begun_s + self.judging_took_s
        return max(now_s + _REST * took_s, begun_s + _NEWS_APART_S)

    def note_green(self, judgement: Judgement, now: datetime) -> None:
        """Since when it is green: an answer that did not come is no sign that it is not."""
        if isinstance(judgement, Pending):
            stays = not judgement.seen
        else:
            stays = judgement.word is not Verdict.FAIL
            if self.green_since is None and judgement.word in (Verdict.PASS, Verdict.WAIVED):
                self.green_since = now
        if not stays:
            self.green_since = None

    def answered(self, since: datetime) -> bool:
        """Whether an observation that began at ``since`` or later brought a value."""
        return any(sample.error is None and sample.at >= since for sample in reversed(self.counted))

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
