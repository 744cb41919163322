"""What is tried again, how long is paused, and what ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from urllib3 import HTTPHeaderDict

from pytest_zkrollback.clients.retry import (
    TryAgain,
    constant,
    exponential,
    retry,
    retry_after_s,
    retry_delivery,
)
from pytest_zkrollback.domain.errors import NotifyProblem
from support.stepping_clock import SteppingClock


class Flaky:
    """Raises ``errors`` in order, then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, *_: float) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


def ask(attempt: Callable[[], int], clock: SteppingClock, **more: object) -> int:
    return retry(attempt, on=is_os_error, clock=clock, **{"wait_s": constant(0.5), **more})


def test_what_on_names_is_tried_again_by_the_clocks_sleep_and_nothing_else_is() -> None:
    clock, attempt = SteppingClock(), Flaky(OSError("1"), OSError("2"))
    assert ask(attempt, clock) == 3
    assert clock.slept == [0.5, 0.5]
    other = Flaky(ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        ask(other, clock)
    assert (other.calls, len(clock.slept)) == (1, 2)


def test_the_last_error_is_raised_after_so_many_attempts() -> None:
    clock, attempt = SteppingClock(), Flaky(OSError("1"), OSError("2"), OSError("3"), OSError("4"))
    with pytest.raises(OSError, match="3"):
        ask(attempt, clock, attempts=3, wait_s=exponential(0.5))
    assert clock.slept == [0.5, 1.0]


def test_a_pause_that_would_reach_the_end_is_not_begun() -> None:
    clock, attempt = SteppingClock(), Flaky(*[OSError()] * 99)
    with pytest.raises(OSError):
        ask(attempt, clock, end_s=clock.monotonic_s() + 1.9, wait_s=constant(0.5))
    assert clock.slept == [0.5] * 3


def test_it_ends_once_it_is_cancelled_and_the_error_says_why_it_was_needed() -> None:
    clock, attempt = SteppingClock(), Flaky(*[OSError("down")] * 99)
    with pytest.raises(OSError, match="down"):
        ask(attempt, clock, is_cancelled=lambda: len(clock.slept) == 2)
    assert attempt.calls == 3


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_is_let_through_at_once(kind: type[BaseException]) -> None:
    attempt = Flaky(kind())
    with pytest.raises(kind):
        retry(attempt, on=lambda _: True, wait_s=constant(0), clock=SteppingClock())
    assert attempt.calls == 1


def test_a_delivery_gets_the_time_that_is_left_and_obeys_the_receiver() -> None:
    clock, left = SteppingClock(), []

    def attempt(left_s: float) -> str:
        left.append(round(left_s))
        if len(left) < 3:
            raise TryAgain("busy", after_s=4.0 if len(left) == 1 else None)
        return "ok"

    assert retry_delivery(attempt, timeout_s=10, clock=clock) == "ok"
    assert clock.slept == [4.0, 1.0]
    assert left == [10, 10, 10]
    left.clear()
    clock.slept.clear()
    assert retry_delivery(attempt, timeout_s=15, clock=clock) == "ok"
    assert left == [15, 11, 10]


def test_a_delivery_is_not_begun_again_where_the_receiver_asks_for_more_than_is_left() -> None:
    clock, attempt = SteppingClock(), Flaky(TryAgain("busy", after_s=14.0))
    with pytest.raises(TryAgain, match="busy"):
        retry_delivery(attempt, timeout_s=10, clock=clock)
    assert clock.slept == []


def test_a_later_message_ends_the_pause_of_a_delivery() -> None:
    cancelled, attempt = threading.Event(), Flaky(TryAgain("busy", after_s=10.0))
    timer = threading.Timer(0.05, cancelled.set)
    timer.start()
    with pytest.raises(NotifyProblem, match="a later message took its place"):
        retry_delivery(attempt, timeout_s=10, cancelled=cancelled)
    assert attempt.calls == 1
    timer.join()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0", 0.0), ("0.35", 0.35), (" 7 ", 7.0), ("9" * 400, 86_400.0)]
    + [(value, None) for value in ("", "-1", "soon", "inf", "nan", "1e3", "Wed, 21 Oct 2026 07:28:00 GMT")],
)
def test_retry_after_is_seconds_in_a_header_of_any_case(value: str, seconds: float | None) -> None:
    assert retry_after_s({"Retry-After": value}) == seconds
    assert retry_after_s({"x": "1", "retry-after": value}) == seconds
    assert retry_after_s(HTTPHeaderDict({"RETRY-AFTER": value})) == seconds
    assert retry_after_s({}) is None


def test_case_b13_a_receiver_that_says_at_once_is_asked_once_a_second() -> None:
    clock = SteppingClock()
    attempt = Flaky(*[TryAgain("busy", after_s=0.0)] * 100)
    with pytest.raises(TryAgain):
        retry_delivery(attempt, timeout_s=10, clock=clock)
    assert attempt.calls <= 15
    assert set(clock.slept) == {1.0}
