"""Trying again what may be tried again: reads, and deliveries that certainly did not arrive.

The one module that knows tenacity. It is never used around helm, around a dispatch, or around a POST that may
have been carried out.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import tenacity

from ..domain.errors import NotifyProblem
from ..domain.ports import Clock
from .clock import SystemClock

T = TypeVar("T")

TOTAL_S = 15.0
_FIRST_PAUSE_S = 0.5
# A try with less time than this is not worth beginning.
_SHORTEST_TRY_S = 1.0
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
# Whatever a header says: not at once, and not for ever.
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 86_400.0


class TryAgain(NotifyProblem):
    """The receiver certainly does not have the message, and may take it later.

    Attributes:
        after_s: seconds that the receiver asked to wait, or None.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        """Keep the receiver's own time."""
        super().__init__(message)
        self.after_s = after_s


def retry(
    attempt: Callable[[], T],
    *,
    on: Callable[[Exception], bool],
    wait_s: Callable[[Exception, int], float],
    clock: Clock,
    end_s: float | None = None,
    attempts: int | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], object] | None = None,
) -> T:
    """Return what ``attempt()`` returns; call it again after each error that ``on`` is true for.

    ``wait_s`` gets the error and the number of tries, and says how long to pause. ``sleep`` pauses where that
    is not the clock's.
    Raises the last error where the pause would reach ``end_s`` (of ``clock.monotonic_s``), after ``attempts``
    tries, and once ``is_cancelled`` says so.
    """

    def may_heal(state: tenacity.RetryCallState) -> bool:
        error = _error_of(state)
        return error is not None and on(error)

    def pause_s(state: tenacity.RetryCallState) -> float:
        error = _error_of(state)
        return wait_s(error, state.attempt_number) if error is not None else 0.0

    def is_over(state: tenacity.RetryCallState) -> bool:
        if attempts is not None and state.attempt_number >= attempts:
            return True
        if end_s is not None and clock.monotonic_s() + state.upcoming_sleep >= end_s:
            return True
        return is_cancelled()

    def pause(seconds: float) -> None:
        (sleep if sleep is not None else clock.sleep)(seconds)

    return tenacity.Retrying(retry=may_heal, wait=pause_s, stop=is_over, sleep=pause, reraise=True)(attempt)


def constant(pause_s: float) -> Callable[[Exception, int], float]:
    """Pauses that are all alike, for :func:`retry`."""
    return lambda _error, _tries: pause_s


def exponential(first_s: float) -> Callable[[Exception, int], float]:
    """Pauses that double, for :func:`retry`."""
    return lambda _error, tries: float(first_s * 2 ** (tries - 1))


def retry_delivery(
    attempt: Callable[[float], T],
    *,
    timeout_s: float,
    cancelled: threading.Event | None = None,
    clock: Clock | None = None,
) -> T:
    """Return what ``attempt(seconds that it may take)`` returns, tried again after each :class:`TryAgain`.

    ``timeout_s`` is for one try; all together take about 15 s at most, and end early once ``cancelled`` is
    set. Raises what ``attempt`` raised last.
    """
    timer = clock if clock is not None else SystemClock()
    begun_s = timer.monotonic_s()

    def once() -> T:
        if cancelled is not None and cancelled.is_set():
            raise NotifyProblem("it was not tried again: a later message took its place")
        return attempt(min(timeout_s, begun_s + TOTAL_S - timer.monotonic_s()))

    return retry(
        once,
        on=lambda error: isinstance(error, TryAgain),
        wait_s=_delivery_pause_s,
        clock=timer,
        end_s=begun_s + TOTAL_S - _SHORTEST_TRY_S,
        sleep=cancelled.wait if cancelled is not None else None,
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds of a ``Retry-After`` header, a day at most; None without one, or where it is a date."""
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    return min(float(given), LONGEST_PAUSE_S) if _SECONDS.fullmatch(given) else None


def _delivery_pause_s(error: Exception, tries: int) -> float:
    if isinstance(error, TryAgain) and error.after_s is not None:
        return max(error.after_s, SHORTEST_PAUSE_S)
    return exponential(_FIRST_PAUSE_S)(error, tries)


def _error_of(state: tenacity.RetryCallState) -> Exception | None:
    """What was raised; None for a result and for what is let through, such as Ctrl-C."""
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, Exception) else None
