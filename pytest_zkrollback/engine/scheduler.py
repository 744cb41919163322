"""Observes all checks side by side and judges them until each has its final verdict.

Every check is observed in a daemon thread of its own (an executor's threads would hold the exit back);
judging happens in the caller's thread, so that ``on_judgement`` needs no locks.

The run of a schedule: *judging*, until every check but the SOAK and FINAL ones has a verdict; the *soak*, if
all are green, in which the SOAK ones are judged; the *closing*, when what is still open is looked at once
more, on a fresh sample. Where something failed, that is every PASS that can be looked at without doing
anything: none is older than the failure beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock
from typing import Final

from ..clients.threads import hand_over
from ..domain.checks import Change, History, Sample
from ..domain.errors import ZkRollbackError
from ..domain.ports import Check, Clock, Stage
from ..domain.verdict import CheckResult, Judgement, Pending, Verdict
from ..report.failures import listed
from .check_state import CheckRun, Lag

_TICK_S: Final = 0.03
# Without a new sample a judgement changes only by the passing of time; no judge needs that finer.
_REJUDGE_S: Final = 0.2
# Nor is one processor kept busy with it: a thousand objects take a while.
_REJUDGE_REST: Final = 5.0
# For the last look at what is open, even where its deadline is over by then. What took longer before (logs of
# thousands of pods) has the time of three looks, for one may be under way.
_CLOSING_S: Final = 10.0
_CLOSING_LOOKS: Final = 3
# After a failure: for one more answer from all that is green, together.
_RECHECK_S: Final = 4.0
_RETRY_S: Final = 0.5
# How long a check is still waited for once one has failed that says as much.
_GRACE_S: Final = 3.0


class Schedule:
    """Runs the checklist: observes, judges, and makes verdicts final at their deadlines.

    ``since`` is when the rollback began (verify-only: when the head was deployed), server time.
    ``on_judgement(check id, judgement, started_at, finished_at or None)`` is called in the thread of
    :meth:`run` whenever a judgement changed, and with what the last look at an open PASS saw. A PASS that
    stays open may still change, until every other item is judged. ``on_sample(check id, sample)`` is called
    in the observing thread for every sample (for the recovery clock); it may not raise.

    The first verdict: when every check that is not SOAK or FINAL has one. If all are green, and
    ``is_green()`` says that the run as a whole is, it is provisional where ``soak_s`` is above 0 or there are
    SOAK checks: ``on_provisional(moment)`` is called once, in the thread of :meth:`run`, and the FINAL checks
    begin then, beside the soak. While it lasts, every check with a ``soak_interval_s`` is looked at in that
    rhythm; the first failure ends it. Otherwise the FINAL checks begin when every other verdict is final and
    has been told.

    SOAK checks are judged from the soak's beginning, and it goes on until ``soak_until`` at least, and until
    each of them has a verdict: they keep their deadlines themselves. Where the soak ends or does not begin
    because of another check, they are not waited for: UNVERIFIED.

    ``failed_before``: ids of items that failed before this began. Where these or a check of ours failed,
    every PASS with ``rechecked_on_failure`` is looked at once more before the verdicts are final.
    ``on_last_look()`` is called before that, and before the last look after a soak: the place to read anew
    what samples are taken from.

    What needs longer says so (``watch_until``): a deadline and the soak wait for it, ``soak_max_s`` at most.
    ``on_prolonged(until, ids)`` is called once where the soak goes on for these checks.

    A sample's ``at`` is when its observation *began*; one begun before judging does not count.
    """

    def __init__(
        self,
        checks: Sequence[Check],
        clock: Clock,
        since: datetime,
        on_judgement: Callable[[str, Judgement, datetime, datetime | None], None],
        *,
        on_sample: Callable[[str, Sample], None] | None = None,
        soak_s: float = 0.0,
        soak_max_s: float = 0.0,
        soak_until: datetime | None = None,
        is_green: Callable[[], bool] = lambda: True,
        on_provisional: Callable[[datetime], None] | None = None,
        on_prolonged: Callable[[datetime, Sequence[str]], None] | None = None,
        on_last_look: Callable[[], None] | None = None,
        failed_before: Sequence[str] = (),
    ) -> None:
        """Nothing is observed before :meth:`start` or :meth:`run`."""
        self._runs = [CheckRun(check) for check in checks]
        self._before_last = [run for run in self._runs if run.check.stage is not Stage.FINAL]
        self._first = [run for run in self._before_last if run.check.stage is not Stage.SOAK]
        self._in_soak = [run for run in self._before_last if run.check.stage is Stage.SOAK]
        self._gates = [run for run in self._runs if run.check.gates_others]
        self._clock = clock
        self._since = since
        self._on_judgement = on_judgement
        self._on_sample = on_sample
        self._lock = Lock()
        self._wake = Event()
        self._latest = datetime.min.replace(tzinfo=since.tzinfo)
        self._rollouts_passed: bool | None = None
        self._soak_s = soak_s
        self._soak_max_s = soak_max_s
        self._soak_until = soak_until
        self._is_green = is_green
        self._on_provisional = on_provisional
        self._on_prolonged = on_prolonged
        self._on_last_look = on_last_look
        self._failed_before = tuple(failed_before)
        self._provisional_at: datetime | None = None
        self._soak_ends_s = 0.0
        self._soak_limit_s = 0.0
        self._closing_from: datetime | None = None
        self._rechecks = False
        self._grace_from_s: float | None = None
        self._lag = Lag()

    def start(self) -> None:
        """Begin to observe what is followed from the beginning; judging begins with :meth:`run`.

        The other threads are there, too, and wait: to start one takes time that is dear later.
        """
        for run in self._runs:
            with suppress(RuntimeError):  # no thread to be had: it is tried again when it is needed
                self._observe(run)

    def note_news(self, change: Change | None = None) -> None:
        """What is watched has changed: whoever is judged by it is looked at now. Called in any thread.

        ``change``: None where it may be anything. What has passed and is looked at more seldom since then
        waits for its time.
        """
        for run in self._runs:
            follows, often_s, now_s = run.check.follows, run.check.interval_s, self._interval_s(run)
            if follows is None or often_s is None or now_s is None or now_s > often_s:
                continue
            if change is None or follows(change):
                run.alarm.note_news()

    def stop(self) -> None:
        """Tell the observing threads to end; does not wait for them."""
        for run in self._runs:
            run.stop()

    @property
    def provisional_at(self) -> datetime | None:
        """When the soak began; None: it did not."""
        return self._provisional_at

    @property
    def green_since(self) -> datetime | None:
        """Since when every check of the first verdict is green, and not seen otherwise; None: it is not."""
        since = [run.green_since for run in self._first if run.is_green]
        known = [moment for moment in since if moment is not None]
        return max(known) if known and len(known) == len(self._first) else None

    @property
    def watched_until(self) -> datetime | None:
        """When the last look at any check but the FINAL ones was judged; None: not all are final."""
        known = [run.finished_at for run in self._before_last if run.final]
        ends = [moment for moment in known if moment is not None]
        return max(ends) if ends and len(ends) == len(self._before_last) else None

    def run(self, interrupted: Callable[[], bool]) -> dict[str, CheckResult]:
        """Judge until every check has a final verdict, or until ``interrupted()`` is true.

        Returns the final verdicts by check id, in the checks' order; after an interruption, also of the
        soak, the missing ones are missing. Never later than the longest chain of deadlines, the soak and
        the last look, plus 0.5 s, whatever an observation does.
        """
        self.start()
        try:
            while not interrupted() and not all(run.final for run in self._runs):
                self._lag.begin(self._clock.monotonic_s())
                self._plan_next_round()
                self._begin_stages()
                self._wake.clear()
                # A verdict may begin the next stage: look again before waiting.
                if not self._judge_all():
                    self._wake.wait(_TICK_S)
        finally:
            self.stop()
        return {run.check.id: run.verdict for run in self._runs if run.final and run.verdict is not None}

    def _plan_next_round(self) -> None:
        self._lag.plan(self._clock.monotonic_s() + _TICK_S, _REJUDGE_S)

    def _begin_stages(self) -> None:
        gates = [run.verdict for run in self._gates]
        if all(gates):
            self._rollouts_passed = all(
                verdict is not None and verdict.word is Verdict.PASS for verdict in gates
            )
        ends_waiting = all(gates) and self._failed(lambda check: check.failure_ends_waiting)
        if not ends_waiting:
            self._grace_from_s = None
        elif self._grace_from_s is None:
            self._grace_from_s = self._clock.monotonic_s()
        self._begin_soak_or_closing()
        open_stages = {
            Stage.IMMEDIATE: True,
            Stage.OBSERVED_EARLY: self._rollouts_passed is not None,
            Stage.AFTER_ROLLOUTS: self._rollouts_passed is not None,
            Stage.SOAK: self._provisional_at is not None and self._closing_from is None,
            Stage.FINAL: self._provisional_at is not None or all(run.final for run in self._before_last),
        }
        opening = [run for run in self._runs if run.judged_from is None and open_stages[run.check.stage]]
        # What has to answer several times takes longest, so it begins.
        for run in sorted(opening, key=lambda run: run.check.stage is not Stage.OBSERVED_EARLY):
            self._open(run)

    def _open(self, run: CheckRun) -> None:
        """Judge it from now on."""
        with self._lock:
            run.judged_from = self._tick()
            asks_too_early, run.looking = run.looking, False
        run.pending_s = self._clock.monotonic_s()
        run.ends_s = run.pending_s + run.check.deadline_s
        if asks_too_early and run.check.stage is Stage.OBSERVED_EARLY:
            run.stop()  # its answer does not count, and may be long in coming
            run.observing = False
        run.alarm.ring()
        self._observe(run)

    def _failed(self, which: Callable[[Check], bool] = lambda _: True) -> list[str]:
        """The ids of those checks that failed, but for the FINAL ones."""
        runs = self._before_last
        return [run.check.id for run in runs if run.has_failed and which(run.check)]

    def _begin_soak_or_closing(self) -> None:
        if self._rechecks:
            return
        if self._closing_from is not None:
            if self._failed():
                self._begin_recheck()
            elif not any(run.is_open for run in self._before_last):
                for run in self._before_last:
                    run.final = True
        elif self._provisional_at is not None:
            over = self._clock.monotonic_s() >= self._soak_ends_s
            if self._failed() or (over and not self._soaks_on()):
                self._begin_closing()
        elif all(run.verdict for run in self._first):
            green = all(run.is_green for run in self._first)
            soaks = self._soak_s > 0 or bool(self._in_soak)
            if soaks and self._first and green and self._is_green():
                self._begin_soak()
            else:
                self._begin_closing()

    def _begin_soak(self) -> None:
        with self._lock:
            moment = self._provisional_at = self._tick()
            for run in self._open_runs():
                run.at_soak = next((one for one in reversed(run.counted) if one.error is None), None)
        began_s = self._clock.monotonic_s()
        wanted_s = (self._soak_until - moment).total_seconds() if self._soak_until is not None else 0.0
        self._soak_ends_s = began_s + max(self._soak_s, wanted_s)
        self._soak_limit_s = max(self._soak_ends_s, began_s + self._soak_max_s)
        for run in self._open_runs():
            run.ends_s = self._soak_ends_s + _CLOSING_S
        if self._on_provisional is not None:
            self._on_provisional(moment)

    def _soaks_on(self) -> bool:
        """Whether something needs longer than the soak was meant to be, and may have it."""
        now = self._clock.now()
        left_s = self._soak_limit_s - self._clock.monotonic_s()
        judged = [run for run in self._in_soak if run.verdict is None]  # they end by deadlines of their own
        others = [run for run in self._open_runs() if run not in self._in_soak] if left_s > 0 else []
        runs = [*(run for run in others if self._needs_longer(run.judgement)), *judged]
        if runs and self._on_prolonged is not None:
            longest = now + timedelta(seconds=max(left_s, 0.0))
            until = max(
                _watch_until(run, now) if run in judged else min(_watch_until(run, now), longest)
                for run in runs
            )
            self._on_prolonged(until, [run.check.id for run in runs])
            self._on_prolonged = None
        return bool(runs)

    def _give_up_watching(self) -> None:
        """What is judged in the soak alone, and has no verdict when it ends, or where there is none."""
        failed = [*self._failed_before, *self._failed()]
        why = f"{listed(failed)} had failed" if failed else "the other items are not all in order"
        for run in self._in_soak:
            run.ends_s = self._clock.monotonic_s()  # what passed is looked at once more, as the others are
            if run.verdict is not None:
                continue
            seen = run.judgement
            text = f"not watched to its end: {why}" + (f"; last seen: {seen.observed}" if seen else "")
            if run.judged_from is None:
                with self._lock:
                    run.judged_from = self._tick()
            proof = seen.evidence if seen else ()
            run.final = True
            run.stop()
            result = CheckResult(word=Verdict.UNVERIFIED, observed=text, evidence=proof)
            self._tell(run, result, self._clock.now())

    def _needs_longer(self, judgement: Judgement | None) -> bool:
        until = judgement.watch_until if judgement is not None else None
        return until is not None and until > self._clock.now()

    def _waits_on(self, run: CheckRun, judgement: Judgement | None, now_s: float) -> bool:
        """Whether a deadline waits: for what needs longer, and for a PASS that the soak still watches."""
        if self._closing_from is not None:
            return False
        soaks = self._provisional_at is not None
        if isinstance(judgement, CheckResult):
            return soaks and judgement.word is Verdict.PASS
        limit_s = self._soak_limit_s if soaks else run.pending_s + self._soak_max_s
        return self._needs_longer(judgement) and now_s < limit_s

    def _begin_closing(self) -> None:
        """From here on a sample decides for good; it has to be taken from here on, too."""
        self._give_up_watching()
        if self._failed_before or self._failed():
            self._begin_recheck()
            return
        if self._provisional_at is not None:
            self._read_anew()
        self._close()

    def _begin_recheck(self) -> None:
        """Something failed: look at every PASS once more, where to look does nothing."""
        self._rechecks = True
        ends_s = self._clock.monotonic_s() + _RECHECK_S
        again = [run for run in self._before_last if self._is_rechecked(run)]
        if again or self._provisional_at is not None:
            self._read_anew()
        self._close(besides=again)
        for run in again:
            run.parked = run.final = False
            run.recheck_ends_s = ends_s
            run.ends_s = max(run.ends_s, ends_s)
            run.stop()  # an answer to an older question is not waited for
            run.observing = False
            self._observe(run)

    def _is_rechecked(self, run: CheckRun) -> bool:
        if run.verdict is None or run.verdict.word is not Verdict.PASS:
            return False
        soaked = self._provisional_at is not None and self._soak_interval_s(run) is not None
        still_open = run.is_open and (run.check.rechecked_at_end or soaked)
        return run.check.rechecked_on_failure or still_open

    def _read_anew(self) -> None:
        if self._on_last_look is not None:
            self._on_last_look()
            self._plan_next_round()  # to wait for the API server is no lag of ours

    def _close(self, besides: Sequence[CheckRun] = ()) -> None:
        with self._lock:
            self._closing_from = self._tick()
        for run in self._open_runs():
            if run in besides:
                continue
            looks_s = min(_CLOSING_LOOKS * run.took_s, run.check.deadline_s)
            run.ends_s = max(run.ends_s, self._clock.monotonic_s() + max(_CLOSING_S, looks_s))
            run.fresh = True  # what is not looked at again is final now
            run.alarm.ring()

    def _open_runs(self) -> list[CheckRun]:
        return [run for run in self._before_last if run.is_open]

    def _judge_all(self) -> bool:
        """Judge what is due; True if a verdict is new or became final."""
        decided = False
        for run in self._runs:
            if not run.is_open:
                continue
            now_s = self._clock.monotonic_s()
            if run.recheck_ends_s is not None:
                decided = self._await_recheck(run, run.recheck_ends_s, now_s) or decided
            if run.recheck_ends_s is None and run.is_open:
                decided = self._judge_when_due(run, now_s) or decided
        return decided

    def _await_recheck(self, run: CheckRun, ends_s: float, now_s: float) -> bool:
        """Wait for one more answer; where none comes, the PASS says that it is older than the failure."""
        with self._lock:
            answered = self._closing_from is not None and run.answered(self._closing_from)
            lost = run.counted[-1].error if run.counted else None
        if answered:
            run.recheck_ends_s = None
        if answered or now_s < ends_s or run.verdict is None:
            return False
        failed = listed([*self._failed_before, *self._failed()])
        why = f"no answer within {_RECHECK_S:g} s" + (f" ({lost})" if lost is not None else "")
        limit = f"not looked at again after {failed} had failed: {why}"
        verdict = run.verdict.model_copy(update={"limits": (*run.verdict.limits, limit)})
        run.recheck_ends_s, run.final = None, True
        run.stop()
        self._tell(run, verdict, run.finished_at)
        return True

    def _judge_when_due(self, run: CheckRun, now_s: float) -> bool:
        over = now_s >= run.ends_s
        again_s = max(_REJUDGE_S, _REJUDGE_REST * run.judging_took_s)
        if not (run.fresh or over or now_s - run.judged_s >= again_s):
            return False
        before = run.verdict
        judgement = self._judge(run)
        run.judged_s, run.judging_took_s = now_s, self._clock.monotonic_s() - now_s
        if over and self._waits_on(run, judgement, now_s):
            over, run.ends_s = False, now_s + _REJUDGE_S
        if over:
            judgement = self._at_deadline(run, judgement, now_s)
        if not isinstance(judgement, CheckResult) and run.verdict is not None:
            run.pending_s = now_s
        judgement = self._unless_in_vain(run, judgement, now_s)
        if isinstance(judgement, CheckResult):
            self._finish(run, judgement, over=over)
        if judgement is not None:
            run.note_green(judgement, self._clock.now())
            if not run.is_open or not _says_nothing_new(judgement, run.judgement):
                finished = isinstance(judgement, CheckResult)
                self._tell(run, judgement, self._clock.now() if finished else None)
        return not run.is_open or _word_of(run.verdict) is not _word_of(before)

    def _tell(self, run: CheckRun, judgement: Judgement, finished_at: datetime | None) -> None:
        assert run.judged_from is not None  # noqa: S101 - else it would not have been judged
        run.judgement, run.finished_at = judgement, finished_at
        self._on_judgement(run.check.id, judgement, run.judged_from, finished_at)

    def _finish(self, run: CheckRun, verdict: CheckResult, *, over: bool) -> None:
        """Final, or parked where a failure elsewhere would have it looked at once more."""
        at_end = over and self._closing_from is not None
        if not at_end and not self._is_final(run, verdict):
            return
        green = verdict.word is Verdict.PASS
        run.parked = green and run.check.rechecked_on_failure and not self._rechecks
        run.final = not run.parked
        run.stop()

    def _is_final(self, run: CheckRun, verdict: CheckResult) -> bool:
        """Every verdict is, but one that is looked at again: what goes wrong meanwhile overturns it.

        Also an UNVERIFIED of the soak: what could not be read once may be read at the end.
        """
        if verdict.word is Verdict.FAIL or not self._looks_again(run):
            return True
        if verdict.word is Verdict.UNVERIFIED and self._provisional_at is None:
            return True
        if self._closing_from is None or run.newest is None:
            return False
        return run.newest >= self._closing_from

    def _looks_again(self, run: CheckRun) -> bool:
        soaks = self._closing_from is None or self._provisional_at is not None
        return run.check.rechecked_at_end or (soaks and self._soak_interval_s(run) is not None)

    def _soak_interval_s(self, run: CheckRun) -> float | None:
        soaks = self._soak_s > 0 or run.check.stage is Stage.SOAK
        return run.check.soak_interval_s if soaks else None

    def _judge(self, run: CheckRun) -> Judgement | None:
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
                provisional_at=self._provisional_at,
            )
        if bug is not None:
            return CheckResult(word=Verdict.UNVERIFIED, observed=bug)
        if not seen:
            return None
        try:
            return run.check.judge(history, self._clock.now())
        except Exception as error:  # noqa: BLE001 - a bug in one judge must not cost the other verdicts
            return CheckResult(word=Verdict.UNVERIFIED, observed=_bug("judging", run.check, error))

    def _at_deadline(self, run: CheckRun, judgement: Judgement | None, now_s: float) -> Judgement:
        if judgement is None:
            judgement = _no_observation(run)
        if isinstance(judgement, Pending):
            behind_s = max(run.lag.at(now_s), self._lag.at(now_s))
            return judgement.at_deadline(round(run.ends_s - run.pending_s, 2), behind_s)
        closing = self._closing_from is not None
        if judgement.word is Verdict.PASS and closing and not self._is_final(run, judgement):
            text = "it was in order before, but could not be looked at again at the end"
            return CheckResult(word=Verdict.UNVERIFIED, observed=text)
        return judgement

    def _unless_in_vain(self, run: CheckRun, judgement: Judgement | None, now_s: float) -> Judgement | None:
        """The judgement, or that it is not waited for: what failed says as much, and the rollouts settled."""
        if isinstance(judgement, CheckResult) or not run.check.waiting_may_end or self._grace_from_s is None:
            return judgement
        if now_s < max(self._grace_from_s, run.pending_s) + _GRACE_S:
            return judgement
        pending = judgement or _no_observation(run)
        failed = listed(self._failed(lambda check: check.failure_ends_waiting))
        text = f"not waited for: {failed} had failed; last seen: {pending.observed}"
        return CheckResult(
            word=Verdict.UNVERIFIED, observed=text, evidence=pending.evidence, by_hand=pending.by_hand
        )

    def _observe(self, run: CheckRun) -> None:
        if run.observing:
            return
        run.observing = True
        hand_over(f"zkrollback-{run.check.id}", partial(self._keep_observing, run, run.generation))

    def _keep_observing(self, run: CheckRun, generation: int) -> None:
        if not self._wait_for_stage(run, generation):
            return
        while run.generation == generation:
            run.alarm.clear()
            begun_s = self._clock.monotonic_s()
            with self._lock:
                if run.generation != generation:
                    return
                at, run.looking = self._tick(), True
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
                if run.generation != generation:
                    return
                run.keep(sample)
                run.looking, run.took_s = False, self._clock.monotonic_s() - begun_s
            self._wake.set()
            if self._on_sample is not None:
                self._on_sample(run.check.id, sample)
            if not self._pause(run, generation, begun_s):
                return

    def _wait_for_stage(self, run: CheckRun, generation: int) -> bool:
        """Wait until this one is observed; False: it is not any more."""
        early = run.check.stage in (Stage.IMMEDIATE, Stage.OBSERVED_EARLY)
        while not (early and run.check.interval_s is not None) and run.judged_from is None:
            if run.generation != generation:
                return False
            run.alarm.wait_due()
            run.alarm.clear()
        return True

    def _pause(self, run: CheckRun, generation: int, begun_s: float) -> bool:
        """Wait until the next observation is due; False: there is none. It is judged meanwhile, and then
        may be looked at more seldom. ``begun_s``: when the last one began."""
        ended_s = self._clock.monotonic_s()
        rested_s = run.rested_s(begun_s, ended_s)
        waited_s = ended_s
        while (interval_s := self._interval_s(run)) is not None:
            # From beginning to beginning, but nobody is asked without a pause who answers slowly.
            due_s = max(begun_s + interval_s, ended_s + interval_s / 2)
            if waited_s >= due_s:
                break
            run.lag.plan(due_s, interval_s)
            if run.alarm.wait(self._clock, due_s, rested_s):
                run.lag.plan(self._clock.monotonic_s(), interval_s)
                break
            waited_s = due_s
        if run.generation == generation:
            run.lag.begin(self._clock.monotonic_s())
        return interval_s is not None

    def _interval_s(self, run: CheckRun) -> float | None:
        """What is in order is looked at more seldom; what has to answer once more, until it does."""
        if run.recheck_ends_s is not None:
            return run.check.interval_s or _RETRY_S
        often, seldom = run.check.interval_s, self._soak_interval_s(run)
        passed = run.verdict is not None and run.verdict.word is Verdict.PASS
        return (seldom or often) if passed else (often or seldom)

    def _tick(self) -> datetime:
        """Now, strictly after every earlier tick: what began before judging never looks as if it counted.

        The clock follows the server's and may go back a little when it is corrected. Needs the lock.
        """
        self._latest = max(self._clock.now(), self._latest + timedelta(microseconds=1))
        return self._latest


def _watch_until(run: CheckRun, now: datetime) -> datetime:
    """Until when it has to be watched, as it says itself."""
    until = run.judgement.watch_until if run.judgement is not None else None
    return until or now


def _word_of(verdict: CheckResult | None) -> Verdict | None:
    return None if verdict is None else verdict.word


def _no_observation(run: CheckRun) -> Pending:
    return Pending(observed=f"no observation of {run.check.id} came back", seen=False)


def _says_nothing_new(judgement: Judgement, before: Judgement | None) -> bool:
    if isinstance(judgement, CheckResult) and isinstance(before, CheckResult):
        return judgement.word is before.word
    return judgement == before


def _bug(doing: str, check: Check, error: Exception) -> str:
    return (
        f"{doing} {check.id} failed inside this tool: {type(error).__name__}: {error};"
        f" check it by hand: {check.command}"
    )
