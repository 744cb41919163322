"""A checklist item of the repository's own, as its hook gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .environment import Environment
from .observation import History
from .ports import Http, Kube
from .verdict import Judgement, Pending


@dataclass(frozen=True)
class ItemContext:
    """What an own item's ``observe`` may look with; everything is read-only by intent.

    ``http`` has the environment's CA file and proxy. ``since`` is when the rollback began (verify-only:
    when the head was deployed), by the server's clock. ``revision`` is the one that has to be live.
    """

    environment: Environment
    kube: Kube
    http: Http
    since: datetime
    revision: int


def judge_newest(history: History, now: datetime) -> Judgement:  # noqa: ARG001 - a judge's signature
    """The newest observation decides, where ``observe`` gives a Verdict or a Pending itself."""
    newest = history.judged[-1] if history.judged else None
    if newest is None:
        return Pending(observed="not looked at yet", seen=False)
    if newest.error is not None:
        return Pending(observed=str(newest.error), seen=False)
    judgement: Judgement = newest.value
    return judgement


@dataclass(frozen=True)
class OwnItem:
    """One item. Durations are seconds.

    ``observe(context)`` does the IO, in a thread of its own; what it raises counts as not seen, and it is
    tried again until the deadline. Either it returns a Verdict or a Pending itself, or ``judge(history,
    now)``, which is pure, makes one of all that it returned so far (``history.judged``). A Pending becomes
    final at the deadline: FAIL if the thing was seen and is not in order, UNVERIFIED if it was not seen.
    WAIVED is the operator's word alone.
    """

    id: str  # lower-case letters, digits and dashes; unique
    title: str
    expected: str
    observe: Callable[[ItemContext], object]
    judge: Callable[[History, datetime], Judgement] = judge_newest
    command: str = ""  # what repeats it by hand
    deadline_s: float = 30
    interval_s: float = 1
    after_rollouts: bool = True  # judged once the rollouts settled, as smoke, logs and health are
