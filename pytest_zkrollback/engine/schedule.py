"""Observes all checks side by side and judges them until each has its final verdict.

Every check is observed in a daemon thread of its own (an executor's threads would hold the exit back);
judging happens in the caller's thread, so that ``on_judgement`` needs no locks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Final

from ..domain.errors import ZkRollbackError
from ..domain.observation import History, Sample
from ..domain.ports import Check, Clock, Stage
from ..domain.verdict import Judgement, Pending, Verdict, Word

ROLLOUT_PREFIX: Final = "rollout-"

_TICK_S: Final = 0.03
# Without a new sample a judgement changes only by the passing of time; no judge needs that finer.
_REJUDGE_S: Final = 0.2
# For the last look at what stays open, even where its deadline is over by then.
_CLOSING_S: Final = 10.0
_KEPT_EARLY: Final = 50
_KEPT_FIRST: Final = 10
_KEPT: Final = 250


@dataclass
class _Run:
    """One check's run: where it stands, and its samples, bounded.

    Of those that count, the first ones that hold a value and the last ones are kept: what judges compare
    is the beginning and the present.
    """

    check: Check
    early: deque[Sample] = field(default_factory=lambda: deque(maxlen=_KEPT_EARLY))
    counted: list[Sample] = field(default_factory=list)
    bug: str | None = None
    fresh: bool = False
    stopped: bool = False
    due: Event = field(default_factory=Event)
    observing: bool = False
    judged_from: datetime | None = None
    begun_s: float = 0.0
    judged_s: float = 0.0
    judgement: Judgement | None = None
    final: bool = False
    newest: datetime | None = None  # when the newest sample that was judged began

    @property
    def is_rollout(self) -> bool:
        return self.check.id.startswith(ROLLOUT_PREFIX)

    @property
    def verdict(self) -> Verdict | None:
        return self.judgement if isinstance(self.judgement, Verdict) else None

    def stop(self) -> None:
        self.stopped = True
        self.due.set()

    def keep(self, sample: Sample) -> None:
        if self.judged_from is None or sample.at < self.judged_from:
            self.early.append(sample)
        else:
            self.counted.append(sample)
            if len(self.counted) > _KEPT:
                self._drop_one()
        self.fresh = True

    def _drop_one(self) -> None:
        values = 0
        for index, sample in enumerate(self.counted):
            values += sample.error is None
            if sample.error is not None or values > _KEPT_FIRST:
                del self.counted[index]
                return


class Schedule:
    """Runs the checklist: observes, judges, and makes verdicts final at their deadlines.

    ``since`` is when the rollback began (verify-only: when the head was deployed), server time.
    ``on_judgement(check id, judgement, started_at, finished_at or None)`` is called in the thread of
    :meth:`run` whenever a judgement changed. A PASS that stays open may still change, until every other item
    is judged; all verdicts are final and have been told before a LAST check begins.
    ``on_begin`` is called once when judging begins, before the first sample that counts is taken: the
    place for :meth:`~.watch.ClusterWatch.refresh`. ``on_sample(check id, sample)`` is called in the
    observing thread for every sample (for the recovery clock); neither may raise.

    A sample's ``at`` is when its observation *began*; one begun before judging does not count.
    """

    def __init__(
        self,
        checks: Sequence[Check],
        clock: Clock,
        since: datetime,
        on_judgement: Callable[[str, Judgement, datetime, datetime | None], None],
        *,
        on_begin: Callable[[], None] | None = None,
        on_sample: Callable[[str, Sample], None] | None = None,
        stays_open: Callable[[str], bool] = lambda item_id: item_id.startswith(ROLLOUT_PREFIX),
    ) -> None:
        """Nothing is observed before :meth:`start` or :meth:`run`.

        ``stays_open``: the ids whose PASS is looked at once more when every other item is judged.
        """
        self._runs = [_Run(check) for check in checks]
        self._clock = clock
        self._since = since
        self._on_judgement = on_judgement
        self._on_begin = on_begin
        self._on_sample = on_sample
        self._lock = Lock()
        self._wake = Event()
        self._latest = datetime.min.replace(tzinfo=since.tzinfo)
        self._rollouts_passed: bool | None = None
        self._stays_open = stays_open
        self._closing_from: datetime | None = None

    def start(self) -> None:
        """Begin to observe what is observed again and again; judging begins with :meth:`run`."""
        for run in self._runs:
            if run.check.interval_s is not None:
                self._observe(run)

    def stop(self) -> None:
        """Tell the observing threads to end; does not wait for them."""
        for run in self._runs:
            run.stop()

    def run(self, interrupted: Callable[[], bool]) -> dict[str, Verdict]:
        """Judge until every check has a verdict, or until ``interrupted()`` is true.

        Returns the verdicts by check id, in the checks' order; after an interruption the missing ones are
        missing. Never later than the longest chain of deadlines plus 0.5 s, whatever an observation does.
        """
        self.start()
        if self._on_begin is not None:
            self._on_begin()
        try:
            while not interrupted() and not all(run.final for run in self._runs):
                self._begin_stages()
                self._wake.clear()
                # A verdict may begin the next stage: look again before waiting.
                if not self._judge_all():
                    self._wake.wait(_TICK_S)
        finally:
            self.stop()
        return {run.check.id: run.verdict for run in self._runs if run.final and run.verdict is not None}

    def _begin_stages(self) -> None:
        rollouts = [run.verdict for run in self._runs if run.is_rollout]
        if all(rollouts):
            self._rollouts_passed = all(
                verdict is not None and verdict.word is Word.PASS for verdict in rollouts
            )
        before_last = [run for run in self._runs if run.check.stage is not Stage.LAST]
        if self._closing_from is None and all(
            run.final for run in before_last if not self._stays_open(run.check.id)
        ):
            self._begin_closing([run for run in before_last if run.verdict and not run.final])
        open_stages = {
            Stage.AT_ONCE: True,
            Stage.SETTLED: self._rollouts_passed is not None,
            Stage.LAST: all(run.final for run in before_last),
        }
        for run in self._runs:
            if run.judged_from is None and open_stages[run.check.stage]:
                with self._lock:
                    run.judged_from = self._tick()
                run.begun_s = self._clock.monotonic_s()
                run.due.set()
                self._observe(run)

    def _begin_closing(self, still_open: Sequence[_Run]) -> None:
        """From here on a sample decides for good; it has to be taken from here on, too."""
        with self._lock:
            self._closing_from = self._tick()
        for run in still_open:
            run.begun_s = max(run.begun_s, self._clock.monotonic_s() + _CLOSING_S - run.check.deadline_s)
            run.due.set()

    def _judge_all(self) -> bool:
        """Judge what is due; True if a verdict became final."""
        decided = False
        for run in self._runs:
            if run.judged_from is None or run.final:
                continue
            now_s = self._clock.monotonic_s()
            over = now_s - run.begun_s >= run.check.deadline_s
            if not (run.fresh or over or now_s - run.judged_s >= _REJUDGE_S):
                continue
            judgement = self._judge(run)
            if over and not isinstance(judgement, Verdict):
                judgement = self._at_deadline(run, judgement)
            run.judged_s = now_s
            if isinstance(judgement, Verdict):
                if over and self._closing_from is not None and not self._is_final(run, judgement):
                    text = "it was in order before, but could not be looked at again at the end"
                    judgement = Verdict(word=Word.UNVERIFIED, observed=text)
                if self._is_final(run, judgement):
                    run.final = decided = True
                    run.stop()
            if judgement is None or _says_nothing_new(judgement, run.judgement):
                continue
            run.judgement = judgement
            finished_at = self._clock.now() if isinstance(judgement, Verdict) else None
            self._on_judgement(run.check.id, judgement, run.judged_from, finished_at)
        return decided

    def _is_final(self, run: _Run, verdict: Verdict) -> bool:
        """Every verdict is, but a PASS that stays open: what goes wrong meanwhile overturns it."""
        if verdict.word is not Word.PASS or not self._stays_open(run.check.id):
            return True
        if self._closing_from is None or run.newest is None:
            return False
        return run.newest >= self._closing_from

    def _judge(self, run: _Run) -> Judgement | None:
        """The judgement on what was seen since judging began; None if nothing was."""
        with self._lock:
            run.fresh = False
            bug = run.bug
            seen = bool(run.counted)
            run.newest = run.counted[-1].at if run.counted else None
            history = History(
                samples=(*run.early, *run.counted),
                since=self._since,
                judged_from=run.judged_from,
                rollouts_passed=self._rollouts_passed,
            )
        if bug is not None:
            return Verdict(word=Word.UNVERIFIED, observed=bug)
        if not seen:
            return None
        try:
            return run.check.judge(history, self._clock.now())
        except Exception as error:  # noqa: BLE001 - a bug in one judge must not cost the other verdicts
            return Verdict(word=Word.UNVERIFIED, observed=_bug("judging", run.check, error))

    def _at_deadline(self, run: _Run, judgement: Pending | None) -> Verdict:
        if judgement is None:
            judgement = Pending(observed=f"no observation of {run.check.id} came back", seen=False)
        return judgement.at_deadline(run.check.deadline_s)

    def _observe(self, run: _Run) -> None:
        if run.observing:
            return
        run.observing = True
        Thread(
            target=self._keep_observing, args=(run,), name=f"zkrollback-{run.check.id}", daemon=True
        ).start()

    def _keep_observing(self, run: _Run) -> None:
        while not run.stopped:
            run.due.clear()
            with self._lock:
                at = self._tick()
            try:
                sample = Sample(at=at, value=run.check.observe())
            except ZkRollbackError as error:
                sample = Sample(at=at, error=error)
            except Exception as error:  # noqa: BLE001 - a bug in one check must not cost the other verdicts
                with self._lock:
                    run.bug = _bug("observing", run.check, error)
                    run.fresh = True
                self._wake.set()
                return
            with self._lock:
                run.keep(sample)
            self._wake.set()
            if self._on_sample is not None:
                self._on_sample(run.check.id, sample)
            if run.check.interval_s is None:
                return
            run.due.wait(run.check.interval_s)

    def _tick(self) -> datetime:
        """Now, strictly after every earlier tick: what began before judging never looks as if it counted.

        The clock follows the server's and may go back a little when it is corrected. Needs the lock.
        """
        self._latest = max(self._clock.now(), self._latest + timedelta(microseconds=1))
        return self._latest


def _says_nothing_new(judgement: Judgement, before: Judgement | None) -> bool:
    if isinstance(judgement, Verdict) and isinstance(before, Verdict):
        return judgement.word is before.word
    return judgement == before


def _bug(doing: str, check: Check, error: Exception) -> str:
    return (
        f"{doing} {check.id} failed inside this tool: {type(error).__name__}: {error};"
        f" check it by hand: {check.command}"
    )
