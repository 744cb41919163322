from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.clients.clock import SystemClock

SECOND = timedelta(seconds=1)


def header(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def test_now_is_aware_and_utc():
    assert SystemClock().now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("hours", [-1, 1, 24])
def test_skew_is_learned_from_the_servers_date_fault_52(hours):
    clock = SystemClock()
    server = datetime.now(UTC) + timedelta(hours=hours)
    clock.learn(header(server))
    assert abs(clock.now() - server) < 1.1 * SECOND
    assert abs(clock.offset_s - hours * 3600) < 1.1


def test_a_date_that_agrees_changes_nothing():
    clock = SystemClock()
    for _ in range(100):
        clock.learn(header(datetime.now(UTC)))
    assert clock.offset_s == 0


def test_a_slow_answer_does_not_turn_the_clock_back():
    clock = SystemClock()
    clock.learn(header(datetime.now(UTC) - timedelta(seconds=4)), elapsed_s=4.5)
    assert clock.offset_s == 0


def test_many_dates_narrow_it_to_less_than_a_second():
    clock = SystemClock()
    true = timedelta(seconds=100.4)
    for tenth in range(10):
        date = datetime.now(UTC) + true
        # As if the headers had been written at other parts of a second.
        clock.learn(header(date + timedelta(seconds=tenth / 10)) - timedelta(seconds=tenth / 10))
    assert 99.4 <= clock.offset_s <= 100.5


class HandClock(SystemClock):
    """Of a machine whose clock is right until somebody sets it."""

    def __init__(self):
        super().__init__()
        self.passed_s, self.set_by_s = 0.0, 0.0

    def own_now(self):
        return datetime(2026, 11, 23, 2, 30, tzinfo=UTC) + timedelta(seconds=self.passed_s + self.set_by_s)

    def monotonic_s(self):
        return self.passed_s

    def answer(self, ahead_s):
        """From an API server whose clock is that much ahead of the right time."""
        self.passed_s += 1
        self.learn(header(self.own_now() + timedelta(seconds=ahead_s - self.set_by_s)))


@pytest.mark.parametrize("first", [400, 0])
def test_case_p3_b23_one_api_server_of_several_does_not_set_the_clock(first):
    clock = HandClock()
    for ahead_s in (first, 0, 400, 400, 0, 400):
        clock.answer(ahead_s)
        assert ahead_s == first or clock.offset_s < 2
    assert clock.offset_s < 2
    assert 398 < clock.disagreement_s < 402


def test_case_p3_b23_a_date_that_alone_is_heard_for_a_minute_is_believed():
    clock = HandClock()
    clock.answer(0)
    for _ in range(61):
        clock.answer(400)
    assert clock.offset_s > 398


def test_case_p3_b23_when_this_machine_is_set_right_the_servers_clock_stays():
    clock = HandClock()
    clock.answer(0)
    clock.set_by_s = -400
    clock.answer(0)
    assert clock.offset_s > 398
    assert clock.disagreement_s == 0


def test_monotonic_and_sleep():
    clock = SystemClock()
    begun = clock.monotonic_s()
    clock.sleep(0.01)
    clock.sleep(-1)
    assert clock.monotonic_s() - begun >= 0.01
