"""A clock on which a pause takes no time and is over at once."""

from __future__ import annotations

from pytest_zkrollback.clients.clock import SystemClock


class SteppingClock(SystemClock):
    """``slept`` lists the pauses; its monotonic time is the real one and these."""

    def __init__(self, slept: list[float] | None = None) -> None:
        super().__init__()
        self.slept = slept if slept is not None else []

    def monotonic_s(self) -> float:
        return super().monotonic_s() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
