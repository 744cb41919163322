"""What the preflight's questions bring, and the states of a guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from ..domain.errors import ClusterError, ZkRollbackError
from ..domain.record import GuardState
from ..rollback.journal import of_this_install

if TYPE_CHECKING:
    from ..clients.helm import HelmVersion
    from ..domain.change_summary import ChangeSummary
    from ..domain.checks import JsonObject
    from ..domain.decision import SignalReading
    from ..domain.forecast import Forecast
    from ..release.drift import LiveObject
    from ..release.gitops import GitOpsOwner
    from ..release.history import ReleaseHistory
    from ..release.manifest import ObjectKey
    from ..rollback.lock import LockState
    from .node_images import ImagesSeen
    from .release_view import Touched
    from .target import TargetChoice


T = TypeVar("T")
OK, WARNED = GuardState.OK, GuardState.WARNED
REFUSED, OVERRIDDEN = GuardState.REFUSED, GuardState.OVERRIDDEN


@dataclass(frozen=True)
class ProbeResult(Generic[T]):
    """What one preflight question brought: a value, or why it is unknown.

    ``budget_s``: how long it was waited for; None: nothing waited for it.
    """

    value: T | None = None
    error: ZkRollbackError | None = None
    budget_s: float | None = None

    @property
    def problem(self) -> ZkRollbackError | None:
        """Why the value is unknown; None if it is known."""
        return self.error or (None if self.value is not None else ClusterError(self.why))

    @property
    def why(self) -> str:
        """Why the value is unknown, as a sentence."""
        if self.error is not None:
            return str(self.error)
        return (
            f"no answer within {self.budget_s:g} s (preflight_budget_s)"
            if self.budget_s
            else "no answer in time"
        )


_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    """All answers of the preflight.

    ``denied`` lists rights that are missing, e.g. ``create secrets``, ``unreadable`` those without which
    other namespaces than the release's cannot be verified; ``server`` is Kubernetes' version; ``journal``
    holds the entries of earlier runs; ``lock`` is the lock's state if nobody alive holds it, else LockHeld;
    ``live`` are the live objects of the head and the target; ``touched`` those that helm would delete, apply
    or run as hooks, ``contents`` what is in those that hold more than themselves; ``forecast`` what helm
    would meet; ``owners`` the GitOps controllers that manage them; ``scalers`` the namespace's
    HorizontalPodAutoscalers; ``images`` where the target's images are; ``hook_jobs`` the live Jobs of hooks,
    asked for a recovery only; ``elsewhere``: whether ConfigMaps hold a release of this name; ``driver`` is
    the operator's HELM_DRIVER; ``now`` the server's time; ``outside`` the decision's signals by name.
    """

    history: ProbeResult[ReleaseHistory] = ProbeResult()
    choice: ProbeResult[TargetChoice] = ProbeResult()
    journal: ProbeResult[Sequence[JsonObject]] = ProbeResult()
    identity: ProbeResult[str] = ProbeResult()
    server: ProbeResult[str] = ProbeResult()
    helm: ProbeResult[HelmVersion] = ProbeResult()
    denied: ProbeResult[Sequence[str]] = ProbeResult()
    unreadable: ProbeResult[Sequence[str]] = ProbeResult()
    lock: ProbeResult[LockState] = ProbeResult()
    live: ProbeResult[Mapping[ObjectKey, LiveObject]] = ProbeResult()
    touched: ProbeResult[Touched] = ProbeResult()
    contents: ProbeResult[Mapping[ObjectKey, str]] = ProbeResult()
    owners: ProbeResult[Sequence[GitOpsOwner]] = ProbeResult()
    scalers: ProbeResult[Sequence[JsonObject]] = ProbeResult()
    elsewhere: ProbeResult[bool] = ProbeResult()
    change_summary: ProbeResult[ChangeSummary | None] = ProbeResult()
    forecast: ProbeResult[Forecast | None] = ProbeResult()
    images: ProbeResult[ImagesSeen] = ProbeResult()
    hook_jobs: ProbeResult[Sequence[JsonObject]] = ProbeResult()
    driver: str = ""
    now: datetime = _NEVER
    outside: Mapping[str, ProbeResult[SignalReading]] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[JsonObject, ...] | None:
        """The journal's entries about this installation; None: they, or the history, could not be read."""
        if self.journal.value is None or self.history.value is None:
            return None
        return of_this_install(self.journal.value, self.history.value)
