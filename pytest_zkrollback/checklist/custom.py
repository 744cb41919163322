"""Items that the repository adds by its hook, under the same rules as ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from ..clients.threads import submit
from ..config.environment import Environment
from ..domain.checks import History
from ..domain.errors import ItemProblem, UsageProblem, ZkRollbackError
from ..domain.item_ids import FIRST, METRIC_PREFIX, ROLLOUT_PREFIX, is_metric, is_rollout
from ..domain.ports import Http, Kube, Stage
from ..domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


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

    def api_client(self) -> ApiClient:
        """Kubernetes' own client for the same API server, with its typed models; the first one takes 0.5 s.

        It only reads. A call without ``_request_timeout`` (seconds) ends after 5 s.
        """
        return self.kube.api_client()


def judge_newest(history: History, now: datetime) -> Judgement:  # noqa: ARG001 - a judge's signature
    """The newest observation decides, where ``observe`` gives a CheckResult or a Pending itself."""
    newest = history.judged[-1] if history.judged else None
    if newest is None:
        return Pending(observed="not looked at yet", seen=False)
    if newest.error is not None:
        return Pending(observed=str(newest.error), seen=False)
    judgement: Judgement = newest.value
    return judgement


@dataclass(frozen=True)
class CustomItem:
    """One item. Durations are seconds.

    ``observe(context)`` does the IO, in a thread of its own; what it raises counts as not seen, and it is
    tried again until the deadline. Either it returns a CheckResult or a Pending itself, or ``judge(history,
    now)``, which is pure, makes one of all that it returned so far (``history.judged``). A Pending becomes
    final at the deadline: FAIL if the thing was seen and is not in order, UNVERIFIED if it was not seen.
    WAIVED is the operator's word alone.
    """

    id: str  #: lower-case letters, digits and dashes; unique
    title: str
    expected: str
    observe: Callable[[ItemContext], object]
    judge: Callable[[History, datetime], Judgement] = judge_newest
    command: str = ""  #: what repeats it by hand
    deadline_s: float = 30
    interval_s: float = 1
    after_rollouts: bool = True  #: judged once the rollouts settled, as smoke, logs and health are
    recheck_on_failure: bool = False  #: its PASS is looked at once more where another item failed


HOOK: Final = "pytest_zkrollback_items"
_LONGEST_S: Final = 3600.0
_JUDGE_S: Final = 1.0


def parse_own_items(answers: Iterable[object], taken: Collection[str]) -> tuple[CustomItem, ...]:
    """The hook's answers as items, in order. ``taken``: the ids of the built-in items.

    Raises UsageProblem with what is wrong, where, and what would be right.
    """
    found: list[CustomItem] = []
    for answer in answers:
        if answer is None:
            continue
        if not isinstance(answer, (list, tuple)):
            raise UsageProblem(_sentence(f"gave {_shown(answer)}", "return a list of CustomItem"))
        for item in answer:
            if not isinstance(item, CustomItem):
                raise UsageProblem(
                    _sentence(f"gave a list with {_shown(item)} in it", "return a list of CustomItem")
                )
            _refuse_nonsense(item, {*taken, *FIRST, *(other.id for other in found)})
            found.append(item)
    return tuple(found)


def _refuse_nonsense(item: CustomItem, taken: Collection[str]) -> None:
    where = f"gave the item {_shown(item.id)}"
    if not isinstance(item.id, str) or not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", item.id):
        raise UsageProblem(
            _sentence(where, "an id has up to 63 lower-case letters a to z, digits and dashes inside")
        )
    if item.id in taken:
        raise UsageProblem(_sentence(where, f"this id is taken; taken are {', '.join(sorted(taken))}"))
    if is_rollout(item.id):
        raise UsageProblem(_sentence(where, f"ids that begin with {ROLLOUT_PREFIX} are for rollouts"))
    if is_metric(item.id):
        raise UsageProblem(_sentence(where, f"ids that begin with {METRIC_PREFIX} are for metrics"))
    for name in ("title", "expected", "command"):
        text = getattr(item, name)
        if not isinstance(text, str) or (not text.strip() and name != "command"):
            raise UsageProblem(_sentence(f"{where} with {name}={_shown(text)}", "it has to be a text"))
    for name in ("observe", "judge"):
        if not callable(getattr(item, name)):
            raise UsageProblem(
                _sentence(f"{where} with {name}={_shown(getattr(item, name))}", "it has to be a function")
            )
    if not isinstance(item.recheck_on_failure, bool):
        given = _shown(item.recheck_on_failure)
        raise UsageProblem(
            _sentence(f"{where} with recheck_on_failure={given}", "it has to be True or False")
        )
    for name in ("deadline_s", "interval_s"):
        seconds = getattr(item, name)
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not number or not 0 < seconds <= _LONGEST_S:
            raise UsageProblem(
                _sentence(
                    f"{where} with {name}={_shown(seconds)}",
                    f"it has to be seconds above 0 and up to {_LONGEST_S:g}",
                )
            )


def _sentence(what: str, right: str) -> str:
    return f"{HOOK} {what}: {right}; helm did not run."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(frozen=True)
class OwnCheck:
    """An own item as the engine runs it: whatever the repository's code does costs this item alone."""

    item: CustomItem
    context: ItemContext
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    failure_ends_waiting: bool = field(default=False, init=False)
    waiting_may_end: bool = field(default=False, init=False)

    @property
    def id(self) -> str:
        """The item's own."""
        return self.item.id

    @property
    def title(self) -> str:
        """The item's own."""
        return self.item.title

    @property
    def expected(self) -> str:
        """The item's own."""
        return self.item.expected

    @property
    def command(self) -> str:
        """The item's own; may be empty."""
        return self.item.command

    @property
    def stage(self) -> Stage:
        """After the rollouts unless the item says otherwise."""
        return Stage.AFTER_ROLLOUTS if self.item.after_rollouts else Stage.IMMEDIATE

    @property
    def deadline_s(self) -> float:
        """The item's own."""
        return self.item.deadline_s

    @property
    def interval_s(self) -> float:
        """The item's own."""
        return self.item.interval_s

    @property
    def rechecked_on_failure(self) -> bool:
        """The item's own."""
        return self.item.recheck_on_failure

    @property
    def soak_interval_s(self) -> float:
        """The same."""
        return self.interval_s

    def observe(self) -> object:
        """What the item's ``observe`` returns; raises ItemProblem for what that raises: it is tried again."""
        try:
            return self.item.observe(self.context)
        except ZkRollbackError:
            raise
        except BaseException as error:  # noqa: BLE001 - pytest.fail() and sys.exit() must not end the thread
            raise ItemProblem(f"its observe raised {type(error).__name__}: {error}") from None

    def judge(self, history: History, now: datetime) -> Judgement:
        """The item's judgement; no answer, WAIVED, or an exception is UNVERIFIED and says so."""
        # The other items are judged in the same thread: one that hangs must not hold them up.
        answer = submit(f"zkrollback-judge-{self.id}", partial(self.item.judge, history, now))
        try:
            error = answer.exception(timeout=_JUDGE_S)
        except TimeoutError:
            return _unverified(f"its judge gave no answer within {_JUDGE_S:g} s; it may do no IO")
        if error is not None:
            return _unverified(f"its judge raised {type(error).__name__}: {error}")
        judgement = answer.result()
        if isinstance(judgement, Pending):
            return Pending(observed=judgement.observed, seen=judgement.seen, evidence=_bounded(judgement))
        if not isinstance(judgement, CheckResult):
            return _unverified(
                f"it was judged {_shown(judgement)}, which is no verdict: give a CheckResult or a Pending"
            )
        if judgement.word is Verdict.WAIVED:
            return _unverified("it was judged WAIVED, and that is the operator's word: --rollback-waive")
        return CheckResult(
            word=judgement.word,
            observed=judgement.observed,
            evidence=_bounded(judgement),
            limits=judgement.limits,
        )


def _unverified(text: str) -> CheckResult:
    return CheckResult(word=Verdict.UNVERIFIED, observed=text)


def _bounded(judgement: Judgement) -> tuple[Evidence, ...]:
    return tuple(evidence(each.title, each.text, each.kind) for each in judgement.evidence)
