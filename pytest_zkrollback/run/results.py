"""What the steps of a run return, and the verdicts so far: what the run decides by.

The record is output: nothing is read back from it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ..clients.helm import HelmVersion
from ..domain.checks import JsonObject
from ..domain.item_ids import NOTIFY, PREFLIGHT, ROLLBACK, is_rollout
from ..domain.record import GREEN_OUTCOMES, Guard, Outcome, Plan
from ..domain.verdict import Verdict
from ..release.history import ReleaseHistory
from ..release.manifest import ObjectKey
from ..report.outcome import add_up
from ..rollback.lock import LockState


@dataclass(frozen=True)
class Refusal:
    """The run ends before helm: these guards refuse."""

    guards: tuple[Guard, ...]

    @property
    def by_lock(self) -> bool:
        """Whether another run is known to hold the release's lock."""
        return any(guard.id == "lock" and not guard.unknown for guard in self.guards)


@dataclass(frozen=True)
class PreflightResult:
    """What is known where no guard refuses.

    ``history``: None where it could not be read and an operator overrode that. ``target``: the revision that
    was chosen; None: none was asked for. ``no_hooks``: for a stranded release whose hooks failed or hung, and
    would again. ``lock_holder``: the run that was seen holding the lock, else empty. ``overridden``: ids of
    the guards that the operator overrode. ``started_at``: of the preflight, by the API server's clock.
    ``journal``: its entries about this installation, as they were before the run; None: they could not be
    read. ``made_by``: that another run made what was asked for while this one waited; else empty.
    ``injected``: who had filled in the CA bundle of an object. ``lock``: its state, if nobody alive held it.
    """

    history: ReleaseHistory | None
    target: int | None
    plan: Plan
    helm_version: HelmVersion | None
    no_hooks: bool
    lock_holder: str
    overridden: frozenset[str]
    started_at: datetime
    journal: tuple[JsonObject, ...] | None = None
    made_by: str = ""
    injected: Mapping[ObjectKey, str] = field(default_factory=dict)
    lock: LockState | None = None

    @property
    def force_conflicts(self) -> bool:
        """Whether conflicts alone were forecast, and the operator overrode that guard."""
        forecast = self.plan.forecast
        return "forecast" in self.overridden and forecast is not None and forecast.forcible


class HelmOutcomeStatus(Enum):
    """How the rollback step ended."""

    RAN = "helm was started"
    SKIPPED = "the target is live already"
    LOCKED = "somebody else holds the lock"
    REFUSED = "the release changed since the plan"


@dataclass(frozen=True)
class HelmOutcome:
    """What became of the rollback step, and of helm.

    ``head``: Helm's newest revision afterwards; None: it could not be read. ``after``: the history as it was
    read afterwards. ``still_running``: helm had not ended when the operator said twice to stop. ``beside``:
    revisions of another helm beside ours (``rollback.helm_run.JudgedRollback``).
    """

    status: HelmOutcomeStatus
    plan: Plan
    head: int | None = None
    after: ReleaseHistory | None = None
    exit_code: int | None = None
    still_running: bool = False
    beside: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExpectedRelease:
    """What has to be live now, whoever brought it there.

    ``history``: as it was before helm, or after the deploy through GitHub. ``target``: the revision whose
    content has to be live. ``head``: Helm's newest revision as this run left it; None: it could not be read.
    ``last_read``: the newest reading of the history: what has not changed since is not read again.
    ``journal``, ``injected``: as the preflight read them. ``beside``: revisions of another helm beside ours;
    None: this run's helm did not run.
    """

    history: ReleaseHistory
    target: int
    plan: Plan
    head: int | None
    last_read: ReleaseHistory
    journal: tuple[JsonObject, ...] | None = None
    injected: Mapping[ObjectKey, str] = field(default_factory=dict)
    beside: tuple[int, ...] | None = None

    @property
    def compared_with(self) -> int | None:
        """The revision that the target is compared with; None: there is none."""
        return self.plan.compared_with.revision if self.plan.compared_with is not None else None


class RunState:
    """The verdicts so far and the outcome that they add up to. Threads read it while one writes."""

    def __init__(self, item_ids: Iterable[str]) -> None:
        """No item has a verdict yet."""
        self._verdicts: dict[str, Verdict | None] = dict.fromkeys(item_ids)
        # Found out otherwise than by verdicts: refused, interrupted, superseded, planned.
        self.found: Outcome | None = None
        # Since when every item but ``notify`` is green; None: it is not, or nothing was judged.
        self.green_since: datetime | None = None
        self.ended = False
        # Items whose verdict comes after the first one: they are watched in the soak.
        self.judged_later: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def expect(self, item_ids: Iterable[str]) -> None:
        """These items belong to the run, too."""
        for item_id in item_ids:
            self._verdicts.setdefault(item_id, None)

    def note(self, item_id: str, verdict: Verdict | None) -> None:
        """The item's verdict as it stands; None: it is judged again."""
        self._verdicts[item_id] = verdict

    def interrupt(self) -> None:
        """A signal ends the run; nothing that is found out later changes that."""
        with self._lock:
            self.found = Outcome.INTERRUPTED

    def supersede(self) -> bool:
        """Somebody else changed the release; False where the run had ended or was interrupted before."""
        with self._lock:
            if self.ended or self.found is Outcome.INTERRUPTED:
                return False
            self.found = Outcome.SUPERSEDED
            return True

    def end(self) -> Outcome:
        """The run's outcome, from now on."""
        with self._lock:
            self.ended = True
        return self.outcome()

    @property
    def has_judged(self) -> bool:
        """Whether anything was judged after preflight and rollback."""
        found = dict(self._verdicts).items()
        return any(word is not None for key, word in found if key not in (PREFLIGHT, ROLLBACK))

    def verdict(self, item_id: str) -> Verdict | None:
        """The item's verdict as it stands."""
        return self._verdicts.get(item_id)

    @property
    def failed(self) -> tuple[str, ...]:
        """The items whose verdict is FAIL as it stands, in the checklist's order."""
        return tuple(key for key, word in dict(self._verdicts).items() if word is Verdict.FAIL)

    def outcome(self, without: Collection[str] = ()) -> Outcome:
        """What was found out, else what the verdicts add up to, some items left aside."""
        return self.found or self.add_up(without)

    def add_up(self, without: Collection[str] = ()) -> Outcome:
        """What the verdicts add up to, some items left aside."""
        return add_up({key: word for key, word in dict(self._verdicts).items() if key not in without})

    def is_green_so_far(self) -> bool:
        """Whether every item of the first verdict is green: all but ``notify`` and what is judged later."""
        return self.add_up(without=(NOTIFY, *self.judged_later)) in GREEN_OUTCOMES

    def outcome_to_tell(self) -> Outcome:
        """How the run stands, without ``notify``; ``running`` where only what is judged later is open."""
        open_ = [key for key in self.judged_later if self.verdict(key) is None]
        green = open_ and self.found is None and self.add_up(without=(NOTIFY, *open_)) in GREEN_OUTCOMES
        return Outcome.RUNNING if green and not self.ended else self.outcome(without=(NOTIFY,))

    def all_pass(self, without: Collection[str]) -> bool:
        """Whether every item is PASS, some left aside."""
        return all(word is Verdict.PASS for key, word in dict(self._verdicts).items() if key not in without)

    def stands_verified(self) -> bool:
        """Whether the run ended verified; before its end, whether every item but ``notify`` is green."""
        return self.outcome(without=() if self.ended else (NOTIFY,)) in GREEN_OUTCOMES

    def is_rolled_out(self) -> bool:
        """Whether every rollout has passed."""
        words = [word for key, word in dict(self._verdicts).items() if is_rollout(key)]
        return bool(words) and all(word is Verdict.PASS for word in words)
