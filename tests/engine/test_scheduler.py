"""Stages, deadlines and finality; observations that hang, fail or come too early."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.ports import Stage
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from pytest_zkrollback.engine.check_state import KEPT, KEPT_EARLY, KEPT_FIRST, CheckRun
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
    gates_others: bool = False
    rechecked_at_end: bool = False
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


_rollout = partial(FakeCheck, gates_others=True, rechecked_at_end=True)


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
    assert heard.finals[-1] == "health"
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
    assert told == [["rollout-a", "smoke"]]
    assert heard.finals == ["rollout-a", "smoke", "notify"]


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
    assert words == [PASS, PENDING, PASS]
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
    assert heard.finals == ["rollout-a", "smoke", "notify"]


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
    assert heard.finals == ["rollout-a", "logs", "notify", "rollout-a"]


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
    assert _run(rollout, soak_s=SOAK_S, on_soaked=read) == {"rollout-a": FAIL}
    picture["now"] = "as it was"
    assert _run(rollout, on_soaked=read) == {"rollout-a": PASS}, "without a soak nothing is read again"


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
