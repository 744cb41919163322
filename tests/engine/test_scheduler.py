"""Stages, deadlines and finality; observations that hang, fail or come too early."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from pytest_zkrollback.domain.checks import Change, History, Sample
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.ports import Stage
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from pytest_zkrollback.engine import scheduler
from pytest_zkrollback.engine.check_state import KEPT, KEPT_EARLY, KEPT_FIRST, CheckRun, Lag
from pytest_zkrollback.engine.scheduler import Schedule

SINCE = datetime(2026, 11, 23, 12, tzinfo=UTC)


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the schedule does not sleep by the clock")


def _word(word: Verdict, observed: str = "seen") -> CheckResult:
    return CheckResult(word=word, observed=observed)


PASS, FAIL = _word(Verdict.PASS), _word(Verdict.FAIL)
PENDING = Pending(observed="not yet", seen=True)


@dataclass
class FakeCheck:
    """Observes and judges as told; keeps what it was given to judge."""

    id: str
    observing: Callable[[], object] = lambda: "value"
    judging: Callable[[History], Judgement] = lambda history: PASS
    stage: Stage = Stage.IMMEDIATE
    deadline_s: float = 5.0
    interval_s: float | None = 0.01
    soak_interval_s: float | None = None
    follows: Callable[[Change], bool] | None = None
    gates_others: bool = False
    rechecked_at_end: bool = False
    rechecked_on_failure: bool = False
    failure_ends_waiting: bool = False
    waiting_may_end: bool = False
    title: str = "title"
    expected: str = "expected"
    command: str = "kubectl get it"
    histories: list[History] = field(default_factory=list)

    def observe(self) -> object:
        return self.observing()

    def judge(self, history: History, now: datetime) -> Judgement:
        assert now.tzinfo is not None
        self.histories.append(history)
        return self.judging(history)


_rollout = partial(
    FakeCheck, gates_others=True, rechecked_at_end=True, rechecked_on_failure=True, failure_ends_waiting=True
)


@dataclass
class Heard:
    """What on_judgement was told, in order."""

    calls: list[tuple[str, Judgement, datetime, datetime | None]] = field(default_factory=list)

    def __call__(self, item: str, judgement: Judgement, begun: datetime, ended: datetime | None) -> None:
        self.calls.append((item, judgement, begun, ended))

    @property
    def finals(self) -> list[str]:
        return [item for item, _, _, ended in self.calls if ended is not None]


def _run(*checks: FakeCheck, heard: Heard | None = None, **options: Any) -> dict[str, CheckResult]:
    schedule = Schedule(checks, RealClock(), SINCE, heard or Heard(), **options)
    return schedule.run(lambda: False)


@pytest.fixture
def hang() -> Iterator[Callable[[], object]]:
    """An observation that does not come back before the test ends."""
    over = threading.Event()
    yield lambda: over.wait(10)
    over.set()


def test_verdicts_in_the_checks_order() -> None:
    slow = FakeCheck("a", interval_s=None, observing=lambda: time.sleep(0.05))
    verdicts = _run(slow, FakeCheck("b", judging=lambda _: FAIL))
    assert list(verdicts.items()) == [("a", PASS), ("b", FAIL)]


def test_what_takes_long_to_look_at_has_the_time_for_a_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs of thousands of pods: one look is under way when the soak ends, and one has to follow."""
    monkeypatch.setattr("pytest_zkrollback.engine.scheduler._CLOSING_S", 0.2)
    slow = FakeCheck("a", observing=lambda: time.sleep(0.5), soak_interval_s=0.05, deadline_s=5)
    assert _run(slow, FakeCheck("b"), soak_s=0.2) == {"a": PASS, "b": PASS}
    assert slow.histories[-1].judged[-1].at > slow.histories[-1].provisional_at + timedelta(seconds=0.2)


def test_no_checks_no_verdicts() -> None:
    assert _run() == {}


def test_judged_until_it_is_no_longer_pending_and_told_of_every_change() -> None:
    heard = Heard()
    check = FakeCheck("a", judging=lambda history: PASS if len(history.judged) >= 4 else PENDING)
    assert _run(check, heard=heard) == {"a": PASS}
    assert [(item, judgement) for item, judgement, _, _ in heard.calls] == [("a", PENDING), ("a", PASS)]
    (_, _, begun, nothing), (_, _, begun_still, ended) = heard.calls
    assert nothing is None
    assert begun == begun_still
    assert ended is not None
    assert begun <= ended
    assert check.histories[-1].since == SINCE


def test_a_verdict_follows_its_sample_within_a_tenth_of_a_second() -> None:
    decided: list[float] = []

    def observing() -> object:
        decided.append(time.monotonic())
        return None

    _run(FakeCheck("a", observing=observing, interval_s=None))
    assert time.monotonic() - decided[0] < 0.1


def test_an_early_red_is_final() -> None:
    words = iter([FAIL])
    check = FakeCheck("a", judging=lambda _: next(words))
    slow = FakeCheck("b", interval_s=None, observing=lambda: time.sleep(0.1))
    assert _run(check, slow)["a"] == FAIL
    assert len(check.histories) == 1


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        (Pending(observed="3 of 4", seen=True), _word(Verdict.FAIL, "3 of 4 (still so after 0.1 s)")),
        (Pending(observed="?", seen=False), _word(Verdict.UNVERIFIED, "? (still so after 0.1 s)")),
    ],
)
def test_pending_becomes_final_at_the_deadline(pending: Pending, expected: CheckResult) -> None:
    assert _run(FakeCheck("a", judging=lambda _: pending, deadline_s=0.1)) == {"a": expected}


def test_an_observation_that_hangs_holds_nobody_up(hang: Callable[[], object]) -> None:
    begun = time.monotonic()
    verdicts = _run(FakeCheck("a", observing=hang, deadline_s=0.1), FakeCheck("b"))
    assert time.monotonic() - begun < 0.6
    assert verdicts == {
        "a": _word(Verdict.UNVERIFIED, "no observation of a came back (still so after 0.1 s)"),
        "b": PASS,
    }
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("zkrollback"))


def test_an_error_is_a_sample_and_the_judge_decides() -> None:
    def observing() -> object:
        raise Unreachable("no answer")

    def judging(history: History) -> Judgement:
        assert history.last is not None
        return CheckResult(word=Verdict.UNVERIFIED, observed=str(history.last.error))

    assert _run(FakeCheck("a", observing, judging)) == {"a": _word(Verdict.UNVERIFIED, "no answer")}


def test_a_bug_in_observing_is_unverified() -> None:
    def observing() -> object:
        raise KeyError("status")

    expected = "observing a failed inside this tool: KeyError: 'status'; check it by hand: kubectl get it"
    assert _run(FakeCheck("a", observing), FakeCheck("b")) == {
        "a": _word(Verdict.UNVERIFIED, expected),
        "b": PASS,
    }


def test_a_bug_in_judging_is_unverified() -> None:
    def judging(history: History) -> Judgement:
        raise ZeroDivisionError("division by zero")

    expected = (
        "judging a failed inside this tool: ZeroDivisionError: division by zero; check it by hand:"
        " kubectl get it"
    )
    assert _run(FakeCheck("a", judging=judging)) == {"a": _word(Verdict.UNVERIFIED, expected)}


@pytest.mark.parametrize(
    ("rollouts", "passed"),
    [([PASS, PASS], True), ([PASS, FAIL], False), ([], True)],
)
def test_settled_checks_are_judged_once_every_rollout_has_a_verdict(
    rollouts: list[CheckResult], passed: bool
) -> None:
    begun = time.monotonic()

    def after(seconds: float, verdict: CheckResult) -> Callable[[History], Judgement]:
        return lambda _: verdict if time.monotonic() - begun >= seconds else PENDING

    checks = [
        _rollout(f"rollout-{number}", judging=after(0.05 * number, verdict))
        for number, verdict in enumerate(rollouts)
    ]
    health = FakeCheck("health", stage=Stage.OBSERVED_EARLY)
    objects = FakeCheck("objects", stage=Stage.AFTER_ROLLOUTS)
    heard = Heard()
    _run(objects, health, *checks, heard=heard)
    assert heard.finals.index("health") >= len(rollouts)
    history = health.histories[0]
    assert history.rollouts_passed is passed
    assert history.judged_from is not None
    assert all(sample.at >= history.judged_from for sample in history.judged)
    if rollouts:
        assert len(history.samples) > len(history.judged) >= 1
    asked = objects.histories[-1]
    assert asked.samples == asked.judged  # nothing was asked before


def test_what_is_observed_once_is_observed_when_judging_begins() -> None:
    seen: list[str] = []
    rollout = _rollout("rollout-a", judging=lambda h: (seen.append("rollout"), PASS)[1])
    smoke = FakeCheck(
        "smoke", observing=lambda: seen.append("smoke"), stage=Stage.AFTER_ROLLOUTS, interval_s=None
    )
    _run(smoke, rollout)
    assert seen[:2] == ["rollout", "smoke"]
    assert seen.count("smoke") == 1
    assert len(smoke.histories[-1].samples) == 1


def test_the_last_ones_wait_for_all_others_and_those_have_been_told() -> None:
    heard = Heard()
    told: list[list[str]] = []
    notify = FakeCheck(
        "notify", observing=lambda: told.append(heard.finals), stage=Stage.FINAL, interval_s=None
    )
    smoke = FakeCheck(
        "smoke", observing=lambda: time.sleep(0.05), stage=Stage.AFTER_ROLLOUTS, interval_s=None
    )
    _run(notify, _rollout("rollout-a"), smoke, heard=heard)
    assert told == [["rollout-a", "smoke", "rollout-a"]], "the last look at the rollout is told, too"
    assert heard.finals == ["rollout-a", "smoke", "rollout-a", "notify"]


def test_interrupted_leaves_the_missing_verdicts_missing(hang: Callable[[], object]) -> None:
    heard = Heard()
    schedule = Schedule([FakeCheck("a"), FakeCheck("b", hang)], RealClock(), SINCE, heard)
    assert schedule.run(lambda: heard.finals == ["a"]) == {"a": PASS}


def test_observed_from_start_but_judged_only_from_run() -> None:
    observed: list[Sample] = []
    check = FakeCheck("health")
    schedule = Schedule(
        [check],
        RealClock(),
        SINCE,
        Heard(),
        on_sample=lambda item, sample: observed.append(sample),
    )
    schedule.start()
    while len(observed) < 3:
        time.sleep(0.002)
    assert check.histories == []
    schedule.run(lambda: False)
    first = check.histories[0]
    assert first.judged_from is not None
    assert [sample.at < first.judged_from for sample in first.samples[:3]] == [True] * 3
    assert len(first.judged) >= 1


def test_an_observation_begun_before_judging_does_not_count() -> None:
    release = threading.Event()
    answers = iter(["stale", "fresh"])

    def observing() -> object:
        answer = next(answers, "later")
        if answer == "stale":
            release.wait(5)
        return answer

    check = FakeCheck("health", observing)
    schedule = Schedule([check], RealClock(), SINCE, Heard())
    schedule.start()
    threading.Timer(0.05, release.set).start()
    schedule.run(lambda: False)
    assert check.histories[0].judged[0].value == "fresh"


def test_a_clock_set_back_does_not_make_an_early_sample_count() -> None:
    class JumpingClock(RealClock):
        offset = timedelta(0)

        def now(self) -> datetime:
            return super().now() + self.offset

    clock = JumpingClock()
    samples: list[Sample] = []
    check = FakeCheck("health", observing=lambda: len(samples))
    schedule = Schedule(
        [check],
        clock,
        SINCE,
        Heard(),
        on_sample=lambda _, sample: samples.append(sample),
    )
    schedule.start()
    while len(samples) < 2:
        time.sleep(0.002)
    clock.offset = timedelta(hours=-1)
    schedule.run(lambda: False)
    history = check.histories[0]
    assert samples[0] not in history.judged
    assert samples[1] not in history.judged


def test_observing_ends_with_the_verdict() -> None:
    check = FakeCheck("a", interval_s=0.005)
    _run(check)
    time.sleep(0.03)
    assert not [thread for thread in threading.enumerate() if thread.name == "zkrollback-a"]


def test_a_long_history_keeps_its_beginning_and_its_end() -> None:
    check: Any = FakeCheck("a")
    run = CheckRun(check)
    for number in range(1000):
        run.keep(Sample(at=SINCE + timedelta(seconds=number), value=number))
    assert [sample.value for sample in run.early] == list(range(1000 - KEPT_EARLY, 1000))
    run.judged_from = SINCE + timedelta(seconds=1000)
    lost = Unreachable("no answer")
    for number in range(1000, 3000):
        at = SINCE + timedelta(seconds=number)
        run.keep(Sample(at=at, error=lost) if number < 1500 else Sample(at=at, value=number))
    values = [sample.value for sample in run.counted]
    assert values[:KEPT_FIRST] == list(range(1500, 1500 + KEPT_FIRST))
    assert values[KEPT_FIRST:] == list(range(3000 - KEPT + KEPT_FIRST, 3000))


def test_a_rollouts_pass_stays_open_until_the_others_are_judged() -> None:
    heard = Heard()
    crashed = threading.Event()
    rollout = _rollout("rollout-a", judging=lambda _: FAIL if crashed.is_set() else PASS)

    def health(history: History) -> Judgement:
        crashed.set()
        return (
            _word(Verdict.FAIL, f"passed: {history.rollouts_passed}") if len(history.judged) > 3 else PENDING
        )

    verdicts = _run(rollout, FakeCheck("health", judging=health, stage=Stage.AFTER_ROLLOUTS), heard=heard)
    assert verdicts["rollout-a"] == FAIL
    assert verdicts["health"].observed == "passed: False"
    assert [item for item in heard.finals if item == "rollout-a"] == ["rollout-a", "rollout-a"]


def test_what_is_looked_at_again_may_hold_nobody_up() -> None:
    """As ``release-equivalence`` does: the engine asks each check, and knows none by its id."""
    heard = Heard()
    broken = threading.Event()
    equal = FakeCheck(
        "equal",
        judging=lambda _: FAIL if broken.is_set() else PASS,
        stage=Stage.AFTER_ROLLOUTS,
        rechecked_at_end=True,
    )
    slow = FakeCheck("rollout-in-name-only", observing=lambda: time.sleep(0.1), interval_s=None)
    slow.judging = lambda _: (broken.set(), PASS)[1]
    verdicts = _run(slow, equal, heard=heard)
    assert verdicts == {"rollout-in-name-only": PASS, "equal": FAIL}
    assert heard.finals == ["equal", "rollout-in-name-only", "equal"]


def test_a_rollout_that_is_pending_again_is_told_so_and_waited_for() -> None:
    heard = Heard()
    answers = iter([PASS, PENDING, PASS])
    last: list[Judgement] = []

    def judging(history: History) -> Judgement:
        last[:] = [next(answers, PASS)]
        return last[0]

    smoke = FakeCheck(
        "smoke", stage=Stage.AFTER_ROLLOUTS, judging=lambda h: PASS if len(h.judged) > 8 else PENDING
    )
    told = FakeCheck("notify", stage=Stage.FINAL)
    assert _run(_rollout("rollout-a", judging=judging), smoke, told, heard=heard)["rollout-a"] == PASS
    words = [judgement for item, judgement, _, _ in heard.calls if item == "rollout-a"]
    assert words == [PASS, PENDING, PASS, PASS]
    assert heard.finals[-1] == "notify"


def test_what_cannot_be_looked_at_again_at_the_end_is_not_green(
    hang: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_zkrollback.engine.scheduler._CLOSING_S", 0.2)
    smoked = threading.Event()

    def observing() -> object:
        return hang() if smoked.is_set() else "value"

    smoke = FakeCheck("smoke", observing=smoked.set, stage=Stage.AFTER_ROLLOUTS, interval_s=None)
    verdicts = _run(_rollout("rollout-a", observing=observing, deadline_s=0.3), smoke)
    assert verdicts["smoke"] == PASS
    assert verdicts["rollout-a"].word is Verdict.UNVERIFIED
    assert verdicts["rollout-a"].observed == (
        "it was in order before, but could not be looked at again at the end"
    )


SOAK_S = 0.15


def _soaked(item: str, **more: Any) -> FakeCheck:
    return FakeCheck(item, soak_interval_s=0.01, **more)


def _crashed_in_the_soak(history: History) -> Judgement:
    crashed = history.provisional_at is not None and len(history.judged) > 5
    return FAIL if crashed else PASS


def test_the_first_green_is_provisional_and_told_before_the_soak_ends() -> None:
    heard = Heard()
    moments: list[tuple[float, datetime]] = []
    begun = time.monotonic()
    notify = FakeCheck("notify", stage=Stage.FINAL, interval_s=None)
    notify.judging = lambda _: _word(Verdict.PASS, f"told in the soak: {time.monotonic() - begun < SOAK_S}")
    verdicts = _run(
        _rollout("rollout-a", soak_interval_s=0.01),
        FakeCheck("smoke", stage=Stage.AFTER_ROLLOUTS, interval_s=None),
        notify,
        heard=heard,
        soak_s=SOAK_S,
        on_provisional=lambda moment: moments.append((time.monotonic() - begun, moment)),
    )
    assert time.monotonic() - begun >= SOAK_S
    assert {item: verdict.word for item, verdict in verdicts.items()} == dict.fromkeys(
        ("rollout-a", "smoke", "notify"), Verdict.PASS
    )
    assert verdicts["notify"].observed == "told in the soak: True"
    [(after_s, moment)] = moments
    assert after_s < SOAK_S
    assert moment.tzinfo is not None
    assert heard.finals == ["rollout-a", "smoke", "notify", "rollout-a"]


def test_what_goes_wrong_in_the_soak_is_red_and_ends_it() -> None:
    heard = Heard()
    begun = time.monotonic()
    verdicts = _run(
        _rollout("rollout-a", soak_interval_s=0.01, judging=_crashed_in_the_soak),
        _soaked("logs", stage=Stage.AFTER_ROLLOUTS),
        FakeCheck("notify", stage=Stage.FINAL),
        heard=heard,
        soak_s=30.0,
    )
    assert time.monotonic() - begun < 5
    assert verdicts["rollout-a"] == FAIL
    assert verdicts["logs"] == verdicts["notify"] == PASS
    assert heard.finals == ["rollout-a", "logs", "notify", "rollout-a", "logs"]


@pytest.mark.parametrize(
    ("judging", "options"),
    [
        (lambda _: FAIL, {"soak_s": 30.0}),
        (lambda _: PASS, {"soak_s": 30.0, "is_green": lambda: False}),
        (lambda _: PASS, {"soak_s": 0.0}),
    ],
    ids=["red", "red_elsewhere_in_the_run", "switched_off"],
)
def test_no_soak(judging: Callable[[History], Judgement], options: dict[str, Any]) -> None:
    moments: list[datetime] = []
    notify = FakeCheck("notify", stage=Stage.FINAL)
    begun = time.monotonic()
    verdicts = _run(
        _rollout("rollout-a", soak_interval_s=0.01),
        _soaked("logs", judging=judging, stage=Stage.AFTER_ROLLOUTS, interval_s=None),
        notify,
        on_provisional=moments.append,
        **options,
    )
    assert time.monotonic() - begun < 5
    assert len(verdicts) == 3
    assert moments == []
    assert notify.histories[0].provisional_at is None


def test_what_passed_at_the_first_look_is_looked_at_in_the_soaks_rhythm_at_once() -> None:
    looks: list[float] = []
    equal = _soaked("a", observing=lambda: looks.append(0.0), stage=Stage.AFTER_ROLLOUTS, interval_s=0.1)
    equal.soak_interval_s = 5.0
    smoke = FakeCheck("smoke", observing=lambda: time.sleep(0.35), interval_s=None)
    _run(equal, smoke, soak_s=0.1)
    assert len(looks) == 2, "the first look, and the last one after the soak"


def test_what_is_observed_once_is_looked_at_again_in_the_soak_if_it_has_a_rhythm_there() -> None:
    looks: list[str] = []
    smoke = FakeCheck(
        "smoke", observing=lambda: looks.append("smoke"), stage=Stage.AFTER_ROLLOUTS, interval_s=None
    )
    logs = _soaked(
        "logs", observing=lambda: looks.append("logs"), stage=Stage.AFTER_ROLLOUTS, interval_s=None
    )
    _run(smoke, logs, soak_s=SOAK_S)
    assert looks.count("smoke") == 1
    assert looks.count("logs") > 3


def test_what_is_green_is_looked_at_once_more_after_the_soak() -> None:
    ended: list[datetime] = []
    logs = _soaked("logs", stage=Stage.AFTER_ROLLOUTS)
    heard = Heard()
    schedule = Schedule([logs], RealClock(), SINCE, heard, soak_s=SOAK_S, on_provisional=ended.append)
    schedule.run(lambda: False)
    last = logs.histories[-1]
    assert last.last is not None
    assert last.last.at >= ended[0] + timedelta(seconds=SOAK_S * 0.9)
    assert last.provisional_at == ended[0]


def test_fault_3_after_the_soak_nothing_decides_that_was_read_before_its_end() -> None:
    """A half-open watch still shows what was there before the crash: it is read anew before the last look."""
    picture = {"now": "as it was"}
    rollout = _rollout("rollout-a", soak_interval_s=0.01, observing=lambda: picture["now"])
    rollout.judging = lambda h: FAIL if h.last is not None and h.last.value == "crashed" else PASS
    read = partial(picture.update, now="crashed")
    assert _run(rollout, soak_s=SOAK_S, on_last_look=read) == {"rollout-a": FAIL}
    picture["now"] = "as it was"
    assert _run(rollout, on_last_look=read) == {"rollout-a": PASS}, "without a soak nothing is read again"


def test_unread_once_in_the_soak_is_not_red_but_unread_at_its_end_is() -> None:
    def once(history: History) -> Judgement:
        return _word(Verdict.UNVERIFIED) if history.provisional_at and len(history.judged) == 4 else PASS

    assert _run(_soaked("logs", judging=once), soak_s=SOAK_S)["logs"] == PASS

    def from_then_on(history: History) -> Judgement:
        return _word(Verdict.UNVERIFIED) if history.provisional_at else PASS

    assert _run(_soaked("logs", judging=from_then_on), soak_s=SOAK_S)["logs"].word is Verdict.UNVERIFIED


def test_pending_at_the_end_of_the_soak_is_waited_for_and_then_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_zkrollback.engine.scheduler._CLOSING_S", 0.2)
    rollout = _rollout(
        "rollout-a",
        soak_interval_s=0.01,
        judging=lambda h: PENDING if h.provisional_at else PASS,
        deadline_s=0.1,
    )
    verdict = _run(rollout, soak_s=SOAK_S)["rollout-a"]
    assert verdict.word is Verdict.FAIL
    assert re.fullmatch(r"not yet \(still so after 0\.3\d? s\)", verdict.observed), verdict.observed


def test_interrupted_in_the_soak_there_is_no_final_green() -> None:
    began: list[datetime] = []
    schedule = Schedule(
        [_rollout("rollout-a", soak_interval_s=0.01)],
        RealClock(),
        SINCE,
        Heard(),
        soak_s=30.0,
        on_provisional=began.append,
    )
    assert schedule.run(lambda: bool(began)) == {}


def test_the_sample_from_the_beginning_of_a_long_soak_is_kept() -> None:
    check: Any = FakeCheck("a")
    run = CheckRun(check)
    run.judged_from = SINCE
    for number in range(1000):
        run.keep(Sample(at=SINCE + timedelta(seconds=number), value=number))
        if number == 100:
            run.at_soak = run.counted[-1]
    values = [sample.value for sample in run.counted]
    assert values[: KEPT_FIRST + 1] == [*range(KEPT_FIRST), 100]
    assert len(values) == KEPT


# ---- Sentence, evidence and time of a PASS are those of the last look.


def _counted(history: History) -> Judgement:
    return _word(Verdict.PASS, f"look {len(history.judged)}")


def test_after_the_soak_a_pass_says_what_the_last_look_saw() -> None:
    heard = Heard()
    ended: list[datetime] = []
    logs = _soaked("logs", stage=Stage.AFTER_ROLLOUTS, judging=_counted, rechecked_on_failure=True)
    smoke = FakeCheck("smoke", stage=Stage.AFTER_ROLLOUTS, interval_s=None, judging=_counted)
    verdicts = _run(logs, smoke, heard=heard, soak_s=SOAK_S, on_provisional=ended.append)
    (_, first, begun, _), (_, last, begun_still, at) = [each for each in heard.calls if each[0] == "logs"]
    assert first.observed != last.observed == verdicts["logs"].observed
    assert last.observed == f"look {len(logs.histories[-1].judged)}"
    assert begun == begun_still
    assert at is not None
    assert at >= ended[0] + timedelta(seconds=SOAK_S * 0.9)
    assert [each[1] for each in heard.calls if each[0] == "smoke"] == [_word(Verdict.PASS, "look 1")]


@pytest.mark.parametrize(
    ("between", "moves"),
    [
        (Pending(observed="could not be read", seen=False), False),
        (_word(Verdict.UNVERIFIED), False),
        (PENDING, True),
    ],
    ids=["unread", "unverified", "not_in_order"],
)
def test_green_since_is_the_first_green_that_stayed(between: Judgement, moves: bool) -> None:
    """A look that brought no answer is no sign that it was not green."""

    def judging(history: History) -> Judgement:
        return between if history.provisional_at and len(history.judged) == 6 else PASS

    began: list[datetime] = []
    schedule = Schedule(
        [_soaked("logs", judging=judging), FakeCheck("notify", stage=Stage.FINAL)],
        RealClock(),
        SINCE,
        Heard(),
        soak_s=SOAK_S,
        on_provisional=began.append,
    )
    assert schedule.green_since is schedule.watched_until is None
    assert schedule.run(lambda: False)["logs"] == PASS
    assert schedule.green_since is not None
    assert schedule.watched_until is not None
    assert (schedule.green_since > began[0]) is moves
    assert schedule.watched_until >= began[0] + timedelta(seconds=SOAK_S * 0.9)


def test_what_failed_is_green_since_never() -> None:
    schedule = Schedule([FakeCheck("a"), FakeCheck("b", judging=lambda _: FAIL)], RealClock(), SINCE, Heard())
    schedule.run(lambda: False)
    assert schedule.green_since is None
    assert schedule.watched_until is not None


# ---- Where something failed, no PASS is older than that.


def _rechecked(item: str, **more: Any) -> FakeCheck:
    more = {"stage": Stage.AFTER_ROLLOUTS, "interval_s": None, **more}
    return FakeCheck(item, rechecked_on_failure=True, **more)


@dataclass
class Picture:
    """What the cluster shows: well, until it crashes; counts who reads it anew."""

    crashed: threading.Event = field(default_factory=threading.Event)
    read_anew: int = 0

    def read(self) -> None:
        self.read_anew += 1

    def look(self) -> str:
        return "crashed" if self.crashed.is_set() else "well"

    @staticmethod
    def judge(history: History) -> Judgement:
        assert history.last is not None
        word = {"well": Verdict.PASS, "crashed": Verdict.FAIL, "odd": Verdict.UNVERIFIED}
        return _word(word[str(history.last.value)], str(history.last.value))


def _failing_when(begins: threading.Event, item: str = "smoke") -> FakeCheck:
    """It fails, but not before ``begins``."""

    def judging(history: History) -> Judgement:
        return FAIL if begins.is_set() else PENDING

    return FakeCheck(item, judging=judging, stage=Stage.AFTER_ROLLOUTS)


@pytest.mark.parametrize("soak_s", [0.0, 30.0], ids=["no_soak", "with_a_soak"])
def test_what_passed_before_a_failure_is_looked_at_once_more(soak_s: float) -> None:
    heard, picture, passed = Heard(), Picture(), threading.Event()

    def crash_later(item: str, judgement: Judgement, *_: Any) -> None:
        if item == "logs" and judgement == _word(Verdict.PASS, "well"):
            picture.crashed.set()
            passed.set()

    def on_judgement(*told: Any) -> None:
        heard(*told)
        crash_later(*told)

    logs = _rechecked("logs", observing=picture.look, judging=picture.judge, soak_interval_s=5.0)
    notify = FakeCheck("notify", stage=Stage.FINAL)
    notify.judging = lambda _: _word(Verdict.PASS, str(heard.finals))
    verdicts = _run(
        logs,
        _failing_when(passed),
        notify,
        heard=on_judgement,  # type: ignore[arg-type]
        soak_s=soak_s,
        on_last_look=picture.read,
    )
    assert verdicts["logs"] == _word(Verdict.FAIL, "crashed")
    assert picture.read_anew == 1
    assert verdicts["notify"].observed == "['logs', 'smoke', 'logs']", "the team hears what was seen last"


def test_still_well_beside_a_failure_it_says_what_was_seen_after_that() -> None:
    heard = Heard()
    looks: list[int] = []
    logs = _rechecked("logs", observing=lambda: looks.append(0) or len(looks))
    logs.judging = lambda h: _word(Verdict.PASS, f"look {h.judged[-1].value}")
    verdicts = _run(logs, FakeCheck("smoke", judging=lambda _: FAIL), heard=heard)
    assert verdicts["logs"] == _word(Verdict.PASS, "look 2")
    smoke_at = next(at for item, _, _, at in heard.calls if item == "smoke")
    logs_at = heard.calls[-1][3]
    assert smoke_at is not None
    assert logs_at is not None
    assert logs_at > smoke_at


def test_what_cannot_be_judged_any_more_is_not_green() -> None:
    answers = iter(["well"])
    logs = _rechecked("logs", observing=lambda: next(answers, "odd"), judging=Picture.judge)
    verdicts = _run(logs, FakeCheck("smoke", judging=lambda _: FAIL))
    assert verdicts["logs"] == _word(Verdict.UNVERIFIED, "odd")


@pytest.mark.parametrize("how", ["hangs", "is refused"])
def test_what_gives_no_answer_keeps_its_pass_and_says_so(
    how: str, hang: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_zkrollback.engine.scheduler._RECHECK_S", 0.2)
    heard = Heard()
    looks: list[int] = []

    def observing() -> object:
        looks.append(0)
        if len(looks) == 1:
            return "well"
        if how == "hangs":
            return hang()
        raise Unreachable("the API server does not answer")

    others = [_rechecked("logs", observing=observing), _rechecked("events")]
    failing = [FakeCheck(item, judging=lambda _: FAIL) for item in ("smoke", "health")]
    begun = time.monotonic()
    verdicts = _run(*others, *failing, heard=heard, failed_before=["rollback"])
    why = " (the API server does not answer)" if how == "is refused" else ""
    limit = f"not looked at again after rollback, smoke and health had failed: no answer within 0.2 s{why}"
    assert verdicts["logs"] == PASS.model_copy(update={"limits": (limit,)})
    assert verdicts["events"] == PASS
    assert time.monotonic() - begun < 5
    told = [(judgement, at) for item, judgement, _, at in heard.calls if item == "logs"]
    assert [judgement for judgement, _ in told] == [PASS, verdicts["logs"]]
    assert told[0][1] == told[1][1], "when it was last looked at has not changed"


def test_a_hanging_older_look_does_not_hold_the_new_one_up(hang: Callable[[], object]) -> None:
    looks: list[int] = []
    passed = threading.Event()

    def observing() -> object:
        looks.append(0)
        if len(looks) == 2:  # in the rhythm of the soak that never begins
            passed.set()
            return hang()
        return len(looks)

    logs = _rechecked("logs", observing=observing, interval_s=0.01, soak_interval_s=0.01)
    verdicts = _run(logs, _failing_when(passed), soak_s=30.0)
    assert verdicts["logs"] == PASS
    assert len(looks) == 3


def test_only_what_says_so_is_looked_at_again() -> None:
    looks: list[str] = []
    smoke = FakeCheck("smoke", observing=lambda: looks.append("smoke"), interval_s=None)
    _run(smoke, FakeCheck("migration", judging=lambda _: FAIL))
    assert looks == ["smoke"]


def test_without_a_failure_nothing_is_looked_at_again() -> None:
    looks: list[str] = []
    logs = _rechecked("logs", observing=lambda: looks.append("logs"))
    verdicts = _run(logs, FakeCheck("smoke", judging=lambda _: _word(Verdict.UNVERIFIED)))
    assert verdicts["logs"] == PASS
    assert looks == ["logs"]


def test_a_failure_at_the_last_look_has_the_others_looked_at_once_more() -> None:
    """Without a soak a rollout's last look is the first that sees the crash: ``logs`` passed before it."""
    picture = Picture()
    begun: list[str] = []

    def rollout(history: History) -> Judgement:
        if begun and history.last is not None and history.last.value == "crashed":
            return FAIL
        return PASS

    def smoke(history: History) -> Judgement:
        begun.append("smoke")
        picture.crashed.set()
        return PASS

    logs = _rechecked("logs", observing=picture.look, judging=picture.judge)
    slow = FakeCheck("smoke", interval_s=None, observing=lambda: time.sleep(0.1), judging=smoke)
    verdicts = _run(_rollout("rollout-a", observing=picture.look, judging=rollout), logs, slow)
    assert verdicts == {
        "rollout-a": FAIL,
        "logs": _word(Verdict.FAIL, "crashed"),
        "smoke": PASS,
    }


# ---- What is waited for, and how long.


class HandClock(RealClock):
    """Goes on only where a test moves it."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return SINCE + timedelta(seconds=self.passed_s)

    def monotonic_s(self) -> float:
        return self.passed_s


def _at(clock: HandClock, seconds: float, verdict: CheckResult) -> Callable[[History], Judgement]:
    return lambda _: verdict if clock.passed_s >= seconds else PENDING


def _stepping(clock: HandClock, step_s: float = 0.1, until_s: float = 200.0) -> Callable[[], bool]:
    """Moves the clock once for each round of the schedule, that is whenever it asks for an interruption."""

    def interrupted() -> bool:
        clock.passed_s += step_s
        time.sleep(0.001)  # the observing threads take part
        return clock.passed_s > until_s

    return interrupted


def _waiting(item: str, **more: Any) -> FakeCheck:
    more = {"judging": lambda _: PENDING, "deadline_s": 30.0, **more}
    return FakeCheck(item, stage=Stage.AFTER_ROLLOUTS, waiting_may_end=True, **more)


def _run_by_hand(*checks: FakeCheck) -> tuple[dict[str, CheckResult], dict[str, float]]:
    """The verdicts, and after how many seconds each was final."""
    clock, heard = HandClock(), Heard()
    verdicts = Schedule(checks, clock, SINCE, heard).run(_stepping(clock))
    return verdicts, {item: (at - SINCE).total_seconds() for item, _, _, at in heard.calls if at is not None}


def test_case_an_unverified_migration_shortens_no_rollout() -> None:
    clock = HandClock()
    migration = FakeCheck("migration", judging=_at(clock, 0.5, _word(Verdict.UNVERIFIED)))
    rollout = _rollout("rollout-a", judging=_at(clock, 20.0, PASS), deadline_s=120.0)
    verdicts = Schedule([migration, rollout], clock, SINCE, Heard()).run(_stepping(clock))
    assert verdicts == {"migration": _word(Verdict.UNVERIFIED), "rollout-a": PASS}
    assert clock.passed_s >= 20.0


def test_what_says_no_more_than_what_failed_is_waited_for_three_seconds() -> None:
    smoke = FakeCheck("smoke", judging=lambda _: FAIL, failure_ends_waiting=True)
    logs = FakeCheck("logs", judging=lambda _: FAIL, failure_ends_waiting=True)
    verdicts, at_s = _run_by_hand(_rollout("rollout-a"), smoke, logs, _waiting("health"))
    text = "not waited for: smoke and logs had failed; last seen: not yet"
    assert verdicts["health"] == _word(Verdict.UNVERIFIED, text)
    assert 3.0 <= at_s["health"] - at_s["logs"] <= 3.5


def test_what_is_told_within_these_seconds_counts() -> None:
    clock = HandClock()
    smoke = FakeCheck("smoke", judging=lambda _: FAIL, failure_ends_waiting=True)
    health = _waiting("health", judging=_at(clock, 2.0, PASS))
    verdicts = Schedule([smoke, health], clock, SINCE, Heard()).run(_stepping(clock))
    assert verdicts["health"] == PASS


@pytest.mark.parametrize(
    "other",
    [
        FakeCheck("migration", judging=lambda _: FAIL),
        FakeCheck("smoke", judging=lambda _: _word(Verdict.UNVERIFIED), failure_ends_waiting=True),
    ],
    ids=["a_failure_that_says_nothing_of_users", "unverified"],
)
def test_nothing_else_shortens_the_waiting(other: FakeCheck) -> None:
    verdicts, at_s = _run_by_hand(_rollout("rollout-a"), other, _waiting("health"))
    assert verdicts["health"].word is Verdict.FAIL
    assert at_s["health"] >= 30.0


@pytest.mark.parametrize(
    "patient",
    [
        FakeCheck("smoke", judging=lambda _: PENDING, deadline_s=30.0),
        FakeCheck("custom", judging=lambda _: PENDING, deadline_s=30.0),
        _rollout("rollout-b", judging=lambda _: PENDING, deadline_s=30.0),
    ],
    ids=lambda check: check.id,
)
def test_these_are_never_cut(patient: FakeCheck) -> None:
    failed = FakeCheck("logs", judging=lambda _: FAIL, failure_ends_waiting=True)
    verdicts, at_s = _run_by_hand(_rollout("rollout-a"), failed, patient)
    assert verdicts[patient.id].word is Verdict.FAIL
    assert at_s[patient.id] >= 30.0


def test_nothing_is_cut_while_a_rollout_goes_on() -> None:
    clock, heard = HandClock(), Heard()
    failed = FakeCheck("logs", judging=lambda _: FAIL, failure_ends_waiting=True)
    rollout = _rollout("rollout-a", judging=_at(clock, 15.0, PASS), deadline_s=120.0)
    health = _waiting("health")
    health.stage = Stage.IMMEDIATE
    verdicts = Schedule([failed, rollout, health], clock, SINCE, heard).run(_stepping(clock))
    at = next(at for item, _, _, at in heard.calls if item == "health" and at is not None)
    assert verdicts["rollout-a"] == PASS
    assert 18.0 <= (at - SINCE).total_seconds() <= 18.5


# ---- Late because we were busy.


def test_a_machine_that_stood_still_until_the_deadline_is_no_failure() -> None:
    """Neither thread ran for 60 s (a closed lid, SIGSTOP): nobody knows what was there at the deadline."""
    clock = HandClock()

    def judging(history: History) -> Judgement:
        return PENDING

    rounds: list[int] = []

    def interrupted() -> bool:
        rounds.append(0)
        clock.passed_s += 60.0 if len(rounds) == 20 else 0.01
        time.sleep(0.001)
        return False

    check = FakeCheck("health", judging=judging, deadline_s=30.0, interval_s=0.1)
    verdict = Schedule([check], clock, SINCE, Heard()).run(interrupted)["health"]
    assert verdict.word is Verdict.UNVERIFIED
    assert re.fullmatch(
        r"not yet \(not known whether still so after 30 s: this machine was (59|60)\.\d s behind\)",
        verdict.observed,
    )


def test_who_was_on_time_again_for_as_long_is_believed() -> None:
    clock = HandClock()
    rounds: list[int] = []

    def interrupted() -> bool:
        rounds.append(0)
        clock.passed_s += 5.0 if len(rounds) == 20 else 0.1
        time.sleep(0.001)
        return False

    check = FakeCheck("health", judging=lambda _: PENDING, deadline_s=30.0, interval_s=0.1)
    verdict = Schedule([check], clock, SINCE, Heard()).run(interrupted)["health"]
    assert verdict == _word(Verdict.FAIL, "not yet (still so after 30 s)")


@pytest.mark.parametrize(
    ("planned_s", "interval_s", "now_s", "behind_s"),
    [
        (10.0, 0.05, 10.4, 0.0),  # a busy machine is never quite on time
        (10.0, 0.05, 10.6, 0.6),
        (10.0, 5.0, 14.0, 0.0),  # less than its interval
        (10.0, 5.0, 16.0, 6.0),
        (None, 0.1, 99.0, 0.0),  # at work, or nothing to do: whoever answers late is not us
    ],
)
def test_how_far_a_thread_is_behind(
    planned_s: float | None, interval_s: float, now_s: float, behind_s: float
) -> None:
    lag = Lag(planned_s, interval_s)
    assert lag.at(now_s) == pytest.approx(behind_s)
    lag.begin(now_s)
    assert lag.at(now_s) == pytest.approx(behind_s)
    assert lag.at(now_s + behind_s + 0.01) == 0.0


def _needs(seconds: float, word: Verdict = Verdict.PASS) -> Callable[[History], Judgement]:
    """A judging that wants to be watched until so long after the first call."""
    until: list[datetime] = []

    def judging(_: History) -> Judgement:
        now = datetime.now(UTC)
        until[:] = until or [now + timedelta(seconds=seconds)]
        done = now >= until[0]
        if word is Verdict.PASS:
            return CheckResult(word=word, observed="done" if done else "may still show", watch_until=until[0])
        return PASS if done else Pending(observed="may still show", seen=False, watch_until=until[0])

    return judging


@pytest.mark.parametrize(("max_s", "observed"), [(2.0, "done"), (0.3, "may still show")])
def test_case_k1_the_soak_lasts_as_long_as_the_evidence_needs_within_its_bound(
    max_s: float, observed: str
) -> None:
    heard: list[tuple[datetime, Sequence[str]]] = []
    begun = time.monotonic()
    rollout = _rollout("rollout-a", soak_interval_s=0.01, judging=_needs(0.6))
    verdicts = _run(
        rollout,
        FakeCheck("smoke", stage=Stage.AFTER_ROLLOUTS, interval_s=None),
        soak_s=SOAK_S,
        soak_max_s=max_s,
        on_prolonged=lambda until, ids: heard.append((until, ids)),
    )
    assert time.monotonic() - begun >= min(0.6, max_s)
    assert verdicts["rollout-a"].word is Verdict.PASS
    assert verdicts["rollout-a"].observed == observed
    assert [ids for _, ids in heard] == [["rollout-a"]]


def test_a_soak_that_nothing_needs_longer_is_not_prolonged() -> None:
    heard: list[object] = []
    rollout = _rollout("rollout-a", soak_interval_s=0.01, judging=_needs(0.01))
    _run(rollout, soak_s=SOAK_S, soak_max_s=60.0, on_prolonged=lambda *said: heard.append(said))
    assert heard == []


def test_case_k1_what_fails_in_the_prolonged_soak_ends_it() -> None:
    events = _soaked("events", judging=lambda h: FAIL if h.provisional_at and len(h.judged) > 40 else PASS)
    rollout = _rollout("rollout-a", soak_interval_s=0.01, judging=_needs(30))
    begun = time.monotonic()
    assert _run(rollout, events, soak_s=SOAK_S, soak_max_s=60.0)["events"] == FAIL
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(("max_s", "word"), [(2.0, Verdict.PASS), (0.0, Verdict.UNVERIFIED)])
def test_case_k2_a_deadline_waits_for_what_is_decided_soon(max_s: float, word: Verdict) -> None:
    rollout = _rollout("rollout-a", judging=_needs(0.5, Verdict.UNVERIFIED), deadline_s=0.1)
    assert _run(rollout, soak_max_s=max_s)["rollout-a"].word is word


def _metric(item: str, judging: Callable[[History], Judgement], **more: Any) -> FakeCheck:
    return FakeCheck(item, stage=Stage.SOAK, soak_interval_s=0.01, judging=judging, **more)


def _after(seconds: float, word: CheckResult, pending: Judgement = PENDING) -> Callable[[History], Judgement]:
    """Pending until so long after judging began, then that word."""

    def judging(history: History) -> Judgement:
        assert history.judged_from is not None
        over = datetime.now(UTC) >= history.judged_from + timedelta(seconds=seconds)
        return word if over else pending

    return judging


@pytest.mark.parametrize("soak_s", [0.0, SOAK_S])
def test_what_is_judged_in_the_soak_holds_up_neither_the_first_verdict_nor_who_is_told(soak_s: float) -> None:
    """Also with the soak switched off, which is that of the others."""
    heard, told = Heard(), []
    begun = time.monotonic()
    notify = FakeCheck("notify", stage=Stage.FINAL, interval_s=None)
    notify.observing = lambda: told.append(time.monotonic() - begun)
    metric = _metric("metric-a", _after(0.6, PASS))
    verdicts = _run(
        _rollout("rollout-a", soak_interval_s=0.01),
        metric,
        notify,
        heard=heard,
        soak_s=soak_s,
        soak_until=datetime.now(UTC) + timedelta(seconds=0.5),
    )
    assert time.monotonic() - begun >= 0.6
    assert verdicts == {"rollout-a": PASS, "metric-a": PASS, "notify": PASS}
    assert told[0] < 0.5
    assert next(call for call in heard.calls if call[0] == "metric-a")[1] == PENDING
    assert metric.histories[0].provisional_at is not None


def test_the_soak_lasts_until_it_is_judged_beyond_any_bound_of_the_others() -> None:
    heard: list[tuple[datetime, Sequence[str]]] = []
    until = datetime.now(UTC) + timedelta(seconds=30)
    pending = Pending(observed="not yet", seen=True, watch_until=until)
    verdicts = _run(
        _rollout("rollout-a", soak_interval_s=0.01),
        _metric("metric-a", _after(0.5, PASS, pending)),
        soak_s=0.05,
        soak_max_s=0.1,
        on_prolonged=lambda *said: heard.append(said),
    )
    assert verdicts["metric-a"] == PASS
    assert heard == [(until, ["metric-a"])]


def test_until_the_time_that_was_said_the_soak_goes_on_and_is_not_called_prolonged() -> None:
    heard: list[object] = []
    begun = time.monotonic()
    _run(
        _rollout("rollout-a", soak_interval_s=0.01),
        _metric("metric-a", lambda _: PASS),
        soak_s=0.05,
        soak_until=datetime.now(UTC) + timedelta(seconds=0.6),
        on_prolonged=lambda *said: heard.append(said),
    )
    assert time.monotonic() - begun >= 0.6
    assert heard == []


def test_without_a_first_green_it_is_not_waited_for_and_not_verified() -> None:
    heard = Heard()
    notify = FakeCheck("notify", stage=Stage.FINAL, interval_s=None)
    metric = _metric("metric-a", lambda _: PASS)
    begun = time.monotonic()
    verdicts = _run(
        _rollout("rollout-a"),
        FakeCheck("smoke", stage=Stage.AFTER_ROLLOUTS, judging=lambda _: FAIL),
        metric,
        notify,
        heard=heard,
        soak_until=datetime.now(UTC) + timedelta(seconds=60),
    )
    assert time.monotonic() - begun < 5
    said = "not watched to its end: smoke had failed"
    assert verdicts["metric-a"] == CheckResult(word=Verdict.UNVERIFIED, observed=said)
    assert metric.histories == []
    assert heard.finals.index("metric-a") < heard.finals.index("notify")


def test_where_the_others_are_only_not_verified_it_says_that() -> None:
    unread = FakeCheck("health", judging=lambda _: _word(Verdict.UNVERIFIED))
    verdicts = _run(unread, _metric("metric-a", lambda _: PASS))
    said = "not watched to its end: the other items are not all in order"
    assert verdicts["metric-a"] == CheckResult(word=Verdict.UNVERIFIED, observed=said)


def test_what_fails_in_the_soak_ends_the_watch_of_what_has_no_verdict_and_keeps_what_has_one() -> None:
    begun = time.monotonic()
    verdicts = _run(
        _rollout("rollout-a", soak_interval_s=0.01),
        _soaked("logs", judging=lambda h: FAIL if h.provisional_at and len(h.judged) > 30 else PASS),
        _metric("metric-a", lambda _: PENDING),
        _metric("metric-b", lambda _: PASS),
        soak_s=SOAK_S,
        soak_until=datetime.now(UTC) + timedelta(seconds=60),
    )
    assert time.monotonic() - begun < 20
    assert verdicts["logs"] == FAIL
    assert verdicts["metric-b"] == PASS
    said = "not watched to its end: logs had failed; last seen: not yet"
    assert verdicts["metric-a"] == CheckResult(word=Verdict.UNVERIFIED, observed=said)


def test_a_fail_of_it_ends_the_soak_and_has_the_others_looked_at_once_more() -> None:
    begun = time.monotonic()
    rollout = _rollout("rollout-a", soak_interval_s=0.01)
    verdicts = _run(
        rollout,
        _metric("metric-a", _after(0.2, FAIL)),
        _metric("metric-b", lambda _: PENDING),
        FakeCheck("notify", stage=Stage.FINAL, interval_s=None),
        soak_until=datetime.now(UTC) + timedelta(seconds=60),
    )
    assert time.monotonic() - begun < 20
    assert (verdicts["rollout-a"], verdicts["metric-a"]) == (PASS, FAIL)
    assert verdicts["metric-b"].word is Verdict.UNVERIFIED


def test_what_is_not_known_at_its_deadline_ends_the_soak_as_not_verified() -> None:
    unknown = _word(Verdict.UNVERIFIED, "no series")
    verdicts = _run(_rollout("rollout-a", soak_interval_s=0.01), _metric("metric-a", _after(0.2, unknown)))
    assert verdicts == {"rollout-a": PASS, "metric-a": unknown}


def test_interrupted_in_the_soak_it_alone_never_had_a_verdict() -> None:
    heard, began = Heard(), []
    schedule = Schedule(
        [_rollout("rollout-a", soak_interval_s=0.01), _metric("metric-a", lambda _: PENDING)],
        RealClock(),
        SINCE,
        heard,
        on_provisional=began.append,
    )
    assert schedule.run(lambda: bool(began) and any(call[0] == "metric-a" for call in heard.calls)) == {}
    assert [item for item, judgement, _, _ in heard.calls if isinstance(judgement, CheckResult)] == [
        "rollout-a"
    ]


def test_green_since_is_that_of_the_first_verdict_and_the_watch_ends_with_all() -> None:
    schedule = Schedule(
        [_rollout("rollout-a", soak_interval_s=0.01), _metric("metric-a", _after(0.4, PASS))],
        RealClock(),
        SINCE,
        Heard(),
    )
    schedule.run(lambda: False)
    assert schedule.green_since is not None and schedule.provisional_at is not None
    assert schedule.green_since <= schedule.provisional_at
    assert schedule.watched_until is not None
    assert (schedule.watched_until - schedule.provisional_at).total_seconds() >= 0.4


def test_news_are_a_reason_to_look_at_once_for_who_is_judged_by_them() -> None:
    looks: list[str] = []
    watched = _rollout(
        "rollout-a",
        interval_s=30.0,
        follows=lambda _: True,
        observing=lambda: looks.append("watched"),
        judging=lambda history: PASS if len(history.judged) > 3 else PENDING,
    )
    other = FakeCheck(
        "smoke", interval_s=30.0, observing=lambda: looks.append("other"), rechecked_at_end=False
    )
    schedule = Schedule([watched, other], RealClock(), SINCE, Heard())
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.005):
            schedule.note_news()

    threading.Thread(target=tell, daemon=True).start()
    begun = time.monotonic()
    schedule.run(lambda: False)
    over.set()
    assert time.monotonic() - begun < 10
    assert looks.count("watched") >= 4
    assert looks.count("other") == 1


def test_news_of_something_else_are_no_reason_to_look() -> None:
    looks: dict[str, int] = {"a": 0, "b": 0}

    def count(name: str) -> None:
        looks[name] += 1

    checks = [
        FakeCheck(
            name,
            interval_s=30.0,
            follows=lambda change, name=name: change.item["name"] == name,  # type: ignore[misc]
            observing=partial(count, name),
            judging=lambda _: PENDING,
        )
        for name in looks
    ]
    schedule = Schedule(checks, RealClock(), SINCE, Heard())

    def tell() -> bool:
        schedule.note_news(Change("pods", {"name": "a"}))
        return looks["a"] > 5

    schedule.run(tell)
    assert looks["b"] == 1


def test_news_of_nobody_knows_what_are_a_reason_to_look_for_all() -> None:
    looks: list[str] = []
    check = FakeCheck(
        "a",
        interval_s=30.0,
        follows=lambda _: False,
        observing=lambda: looks.append("a"),
        judging=lambda _: PENDING,
    )
    schedule = Schedule([check], RealClock(), SINCE, Heard())

    def tell() -> bool:
        schedule.note_news()
        return len(looks) > 3

    begun = time.monotonic()
    schedule.run(tell)
    assert time.monotonic() - begun < 10


def test_who_judges_slowly_is_not_asked_again_all_the_time_without_anything_new() -> None:
    """A thousand objects take a while to compare."""
    judged: list[float] = []

    def slow(_: History) -> Judgement:
        began = time.monotonic()
        time.sleep(0.2)
        judged.append(time.monotonic() - began)
        return PENDING

    check = FakeCheck("a", interval_s=None, judging=slow, deadline_s=3.0)
    begun = time.monotonic()
    _run(check)
    assert sum(judged) < 0.35 * (time.monotonic() - begun)


def test_news_without_end_leave_others_their_time() -> None:
    """A large release has hundreds in a second: a look that takes long is followed by a longer pause."""
    busy: list[float] = []

    def slow() -> None:
        begun = time.monotonic()
        time.sleep(0.02)
        busy.append(time.monotonic() - begun)

    check = FakeCheck("a", interval_s=30.0, follows=lambda _: True, observing=slow, judging=lambda _: PENDING)
    schedule = Schedule([check], RealClock(), SINCE, Heard())
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.001):
            schedule.note_news()

    threading.Thread(target=tell, daemon=True).start()
    begun = time.monotonic()
    schedule.run(lambda: len(busy) > 5)
    over.set()
    assert sum(busy[:5]) < 0.45 * (time.monotonic() - begun)


def test_what_passed_and_is_looked_at_seldom_since_then_waits_in_spite_of_news() -> None:
    looks: list[float] = []
    events = _soaked(
        "events",
        observing=lambda: looks.append(0.0),
        stage=Stage.AFTER_ROLLOUTS,
        interval_s=0.01,
        follows=lambda _: True,
    )
    events.soak_interval_s = 30.0
    schedule = Schedule([events], RealClock(), SINCE, Heard(), soak_s=0.2)

    def tell() -> bool:
        schedule.note_news()
        return False

    schedule.run(tell)
    assert len(looks) <= 3, "at first, and at the soak's end"


def test_between_the_last_rollout_and_the_first_verdict_nobody_waits_for_a_tick_and_no_thread_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What follows a verdict follows at once: with ticks of a minute the run would take one."""
    monkeypatch.setattr(scheduler, "_TICK_S", 60.0)
    started: list[str] = []
    settled = threading.Event()
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        if settled.is_set():
            started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)

    def settles(history: History) -> Judgement:
        settled.set()
        return PASS

    provisional: list[datetime] = []
    more = {"stage": Stage.AFTER_ROLLOUTS, "interval_s": None}
    checks = [
        _rollout("rollout-a", interval_s=30.0, soak_interval_s=30.0, judging=settles),
        FakeCheck(
            "health", stage=Stage.OBSERVED_EARLY, interval_s=0.02, soak_interval_s=30.0, judging=_thrice
        ),
        FakeCheck("smoke", **more),
        FakeCheck("logs", soak_interval_s=30.0, **more),
        FakeCheck("notify", stage=Stage.FINAL, interval_s=None),
    ]
    schedule = Schedule(checks, RealClock(), SINCE, Heard(), soak_s=60.0, on_provisional=provisional.append)
    begun = time.monotonic()
    schedule.run(lambda: bool(provisional))
    assert time.monotonic() - begun < 10
    # Only where an answer that was asked for too early is still awaited another thread asks.
    assert started in ([], ["zkrollback-health"])


def _thrice(history: History) -> Judgement:
    return PASS if len(history.judged) >= 3 else PENDING


def test_an_answer_that_was_asked_for_before_the_rollouts_settled_neither_counts_nor_is_waited_for(
    hang: Callable[[], object],
) -> None:
    asked: list[int] = []
    hangs = threading.Event()

    def observe() -> object:
        asked.append(len(asked))
        if len(asked) == 1:
            hangs.set()
            hang()
            return "of the bad revision's time"
        return "now"

    health = FakeCheck("health", stage=Stage.OBSERVED_EARLY, observing=observe, judging=_thrice)
    rollout = _rollout("rollout-a", judging=lambda _: PASS if hangs.is_set() else PENDING)
    begun = time.monotonic()
    assert _run(health, rollout)["health"] == PASS
    assert time.monotonic() - begun < 5
    for history in health.histories:
        assert all(sample.value == "now" for sample in history.samples)
        assert history.judged_from is not None
        assert all(sample.at >= history.judged_from for sample in history.judged)
