"""Questions with a deadline: answers, errors, and what comes too late."""

import threading
import time
import weakref
from concurrent.futures import wait

import pytest

from pytest_zkrollback.clients import threads
from pytest_zkrollback.clients.threads import fetch_each, one_ahead, start_thread, submit, submit_each
from pytest_zkrollback.domain.errors import ClusterError


@pytest.fixture
def gate():
    """What waits for it is let go when the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_an_answer_and_what_a_question_raised():
    assert submit("asks", lambda: 5).result(timeout=2) == 5
    for raised in (ValueError("no"), SystemExit(3), pytest.fail.Exception("theirs")):

        def ask(raised=raised):
            raise raised

        assert submit("asks", ask).exception(timeout=2) is raised


def test_no_answer_in_time_is_no_error_of_the_question(gate):
    def ask():
        gate.wait(10)
        raise TimeoutError("the question's own")

    late = submit("asks", ask)
    with pytest.raises(TimeoutError):
        late.exception(timeout=0.02)
    gate.set()
    assert str(late.exception(timeout=2)) == "the question's own"


def test_every_thread_is_a_daemon_with_its_name(gate):
    thread = start_thread("goes on", lambda: gate.wait(10))
    submit("asks", lambda: gate.wait(10))
    submit_each("reads", lambda _: gate.wait(10), range(5), 2)
    names = [one.name for one in threading.enumerate() if one.name in ("goes on", "asks", "reads")]
    assert sorted(names) == ["asks", "goes on", "reads", "reads"]
    assert thread.daemon
    assert all(one.daemon for one in threading.enumerate() if one.name in names)


def test_what_is_cancelled_before_its_turn_is_not_fetched(gate):
    fetched = []

    def fetch(key):
        fetched.append(key)
        gate.wait(10)
        return key

    first, second, third = submit_each("reads", fetch, range(3), 1)
    assert second.cancel()
    gate.set()
    assert (first.result(2), third.result(2)) == (0, 2)
    assert fetched == [0, 2]


def test_of_many_those_in_time_are_there_and_the_others_are_not_waited_for(gate):
    futures = submit_each("reads", lambda key: key if key < 2 else gate.wait(10), range(4), 4)
    began_s = time.monotonic()
    in_time = wait(futures, 0.1).done
    assert time.monotonic() - began_s < 2
    assert [future in in_time for future in futures] == [True, True, False, False]
    assert submit_each("reads", str, [], 4) == []


def test_each_is_fetched_in_order_with_our_errors_beside_the_values():
    problem = ClusterError("no")

    def fetch(key):
        if key == 1:
            raise problem
        return key * 10

    assert fetch_each(fetch, range(4), workers=2) == [0, problem, 20, 30]


def test_a_bug_in_a_fetch_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        fetch_each(lambda key: 1 // key, [1, 0])


def test_one_is_fetched_ahead_unless_one_is_large():
    fetched = []

    def values():
        for each in range(5):
            fetched.append(each)
            yield each
        raise ValueError("the last")

    looked = []
    with pytest.raises(ValueError, match="the last"):
        for each in one_ahead(values(), lambda value: value in (2, 3)):
            while each not in (2, 3) and each < 4 and len(fetched) < each + 2:
                time.sleep(0.001)
            looked.append((each, len(fetched)))
    assert looked == [(0, 2), (1, 3), (2, 3), (3, 4), (4, 5)]


def test_who_has_answered_answers_the_next_question_too():
    """Starting a thread waits for the interpreter's lock; and what a question held is let go."""

    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    answering = {submit("first", lambda held=held: (held, threading.current_thread())[1]).result(timeout=2)}
    del held
    for _ in range(50):
        wait_until(lambda: all(one.name == "zkrollback-waiting" for one in answering))
        answering.add(submit("next", threading.current_thread).result(timeout=2))
    assert len(answering) < 10, "one, and those that were left by other tests"
    wait_until(lambda: gone() is None)


def test_many_questions_at_once_from_many_threads_are_each_answered_once():
    answered = []
    futures = submit_each(
        "asks", lambda n: [submit("asked", lambda n=n: answered.append(n)) for _ in range(20)], range(30), 8
    )
    for each in futures:
        wait(each.result(timeout=10), 10)
    assert sorted(answered) == sorted([*range(30)] * 20)


def test_an_idle_thread_ends(monkeypatch):
    monkeypatch.setattr(threads, "_IDLE_S", 0.02)
    thread = submit("once", threading.current_thread).result(timeout=2)
    thread.join(10)
    assert not thread.is_alive()


def wait_until(done):
    until_s = time.monotonic() + 10
    while not done() and time.monotonic() < until_s:
        time.sleep(0.001)
    assert done()
