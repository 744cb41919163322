"""Work in daemon threads, and questions with a deadline.

Daemon threads, because an executor's would hold the process's exit back. A question is a
:class:`concurrent.futures.Future`. Its ``exception(timeout)`` returns what the question raised, and raises
TimeoutError where no answer came in time. The thread of a late answer goes on, and nobody waits for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

from ..domain.errors import ZkRollbackError

Key = TypeVar("Key")
Value = TypeVar("Value")
_END: Any = object()


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """Start ``work`` in a daemon thread; nobody waits for it, and it has to handle its own errors."""
    thread = threading.Thread(target=work, daemon=True, name=name)
    thread.start()
    return thread


def submit(name: str, question: Callable[[], Value]) -> Future[Value]:
    """Ask in a daemon thread; the future has the answer, or whatever the question raised."""
    future: Future[Value] = Future()
    start_thread(name, lambda: _answer(future, question))
    return future


def submit_each(
    name: str, fetch: Callable[[Key], Value], keys: Sequence[Key], workers: int
) -> list[Future[Value]]:
    """``fetch(key)`` of every key, in so many daemon threads at most; a future for each, in their order."""
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
        start_thread(name, work)
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


def _answer(future: Future[Value], question: Callable[[], Value]) -> None:
    try:
        answer = question()
    except BaseException as error:  # noqa: BLE001 - also pytest.fail() and sys.exit() of a repository's own code
        future.set_exception(error)
    else:
        future.set_result(answer)
