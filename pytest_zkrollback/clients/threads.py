"""Several reads at once, in daemon threads (an executor's threads would hold the process's exit back)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..domain.errors import ZkRollbackError

Key = TypeVar("Key")
Value = TypeVar("Value")


def fetch_each(
    fetch: Callable[[Key], Value], keys: Sequence[Key], workers: int = 6
) -> list[Value | ZkRollbackError]:
    """``fetch(key)`` of every key, in their order; where it raised one of our errors, the error."""
    results: dict[int, Value | ZkRollbackError] = {}
    waiting: queue.SimpleQueue[tuple[int, Key]] = queue.SimpleQueue()
    for job in enumerate(keys):
        waiting.put(job)

    def work() -> None:
        while True:
            try:
                number, key = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[number] = fetch(key)
            except ZkRollbackError as error:
                results[number] = error

    threads = [
        threading.Thread(target=work, daemon=True, name="fetch") for _ in range(min(workers, len(keys)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(keys))]
