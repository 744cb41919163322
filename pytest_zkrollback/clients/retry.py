"""Telling somebody: what may be tried again without telling it twice, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from ..domain.errors import NotifyProblem

if TYPE_CHECKING:
    from ..domain.ports import HttpAnswer

T = TypeVar("T")

TOTAL_S = 15.0
_FIRST_PAUSE_S = 0.5


class TryAgain(NotifyProblem):
    """The receiver certainly does not have the message, and may take it later.

    Attributes:
        after_s: seconds that the receiver asked to wait, or None.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        """Keep the receiver's own time."""
        super().__init__(message)
        self.after_s = after_s


def retry_delivery(
    attempt: Callable[[float], T],
    *,
    timeout_s: float,
    cancelled: threading.Event | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> T:
    """What ``attempt(seconds that it may take)`` returns, tried again after each :class:`TryAgain`.

    ``timeout_s`` is for one try; all together take about 15 s at most, and end early once ``cancelled`` is
    set.
    ``sleep`` is for tests. Raises what ``attempt`` raised last.
    """
    over = cancelled or threading.Event()
    spent_s = 0.0

    def note(state: tenacity.RetryCallState) -> None:
        nonlocal spent_s
        spent_s = (state.seconds_since_start or 0.0) + state.upcoming_sleep

    def once() -> T:
        if over.is_set():
            raise NotifyProblem("it was not tried again: a later message took its place")
        return attempt(min(timeout_s, TOTAL_S - spent_s))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgain),
        wait=_pause_s,
        stop=tenacity.stop_before_delay(TOTAL_S - 1),
        sleep=sleep or tenacity.sleep_using_event(over),
        before_sleep=note,
        reraise=True,
    )(once)


def retry_after_s(answer: HttpAnswer) -> float | None:
    """The seconds of a ``Retry-After`` header, or None."""
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return None


def _pause_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, TryAgain) and error.after_s is not None:
        return error.after_s
    return float(_FIRST_PAUSE_S * 2 ** (state.attempt_number - 1))
