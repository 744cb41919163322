"""Work in daemon threads, and questions with a deadline.

Daemon threads, because an executor's would hold the process's exit back. A question is a
:class:`concurrent.futures.Future`. Its ``exception(timeout)`` returns what the question raised, and raises
TimeoutError where no answer came in time. The thread of a late answer goes on, and nobody waits for it.

A thread that has answered waits for the next question: to start one waits for the interpreter's lock, which
takes some milliseconds while others compute.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, Final, TypeVar

from ..domain.errors import ZkRollbackError

Key = TypeVar("Key")
Value = TypeVar("Value")
_END: Any = object()
_WAITING: Final = "zkrollback-waiting"
# So long a thread waits for its next question.
_IDLE_S: Final = 10.0


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """Start ``work`` in a daemon thread; nobody waits for it, and it has to handle its own errors."""
    thread = threading.Thread(target=work, daemon=True, name=name)
    thread.start()
    return thread


def hand_over(name: str, work: Callable[[], object]) -> None:
    """The same in a thread that waits for something to do, or in a new one."""
    try:
        waiting = _idle.pop()
    except IndexError:
        _Answering(name, work)
    else:
        waiting.take(name, work)


def submit(name: str, question: Callable[[], Value]) -> Future[Value]:
    """Ask in a daemon thread; the future has the answer, or whatever the question raised."""
    future: Future[Value] = Future()
    hand_over(name, lambda: _answer(future, question))
    return future


def submit_each(
    name: str, fetch: Callable[[Key], Value], keys: Sequence[Key], workers: int
) -> list[Future[Value]]:
    """``fetch(key)`` of every key, in so many daemon threads at most; a future for each, in their order.

    One that is cancelled before its turn is not fetched.
    """
    futures: list[Future[Value]] = [Future() for _ in keys]
    waiting: queue.SimpleQueue[tuple[Future[Value], Key]] = queue.SimpleQueue()
    for job in zip(futures, keys, strict=True):
        waiting.put(job)

    def work() -> None:
        while True:
            try:
                future, key = waiting.get_nowait()
            except queue.Empty:
                return
            _answer(future, lambda key=key: fetch(key))  # type: ignore[misc]

    for _ in range(min(workers, len(keys))):
        hand_over(name, work)
    return futures


def fetch_each(
    fetch: Callable[[Key], Value], keys: Sequence[Key], workers: int = 6
) -> list[Value | ZkRollbackError]:
    """``fetch(key)`` of every key, in their order; where it raised one of our errors, the error.

    Waits for all of them: each read has a deadline of its own.
    """
    futures = submit_each("fetch", fetch, keys, workers)
    wait(futures)
    return [
        error if isinstance(error := future.exception(), ZkRollbackError) else future.result()
        for future in futures
    ]


def one_ahead(values: Iterator[Value], is_large: Callable[[Value], bool]) -> Iterator[Value]:
    """The same values; the next one is fetched in a thread while one is looked at that is not large.

    Raises what they raise.
    """
    fetch = partial(next, values, _END)
    value = fetch()
    while value is not _END:
        asked = None if is_large(value) else submit("ahead", fetch)
        yield value
        del value  # before the next one is there
        value = fetch() if asked is None else asked.result()


class _Answering:
    """A daemon thread that answers one question after the other, until none comes for a while."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._questions: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._questions.put(work)
        start_thread(name, self._go_on)

    def take(self, name: str, work: Callable[[], object]) -> None:
        self._thread.name = name
        self._questions.put(work)

    def _go_on(self) -> None:
        self._thread = threading.current_thread()
        while True:
            try:
                work = self._questions.get(timeout=_IDLE_S)
            except queue.Empty:
                try:
                    _idle.remove(self)
                except ValueError:
                    continue  # it was chosen just now
                return
            work()
            del work  # and what it holds
            self._thread.name = _WAITING
            _idle.append(self)


_idle: deque[_Answering] = deque()  # each of its methods is atomic
os.register_at_fork(after_in_child=_idle.clear)  # they do not live there


def _answer(future: Future[Value], question: Callable[[], Value]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = question()
    except BaseException as error:  # noqa: BLE001 - also pytest.fail() and sys.exit() of a repository's own code
        future.set_exception(error)
    else:
        future.set_result(answer)
