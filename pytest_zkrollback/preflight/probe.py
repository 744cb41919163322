"""What the preflight's questions bring, and the states of a guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from ..domain.errors import ClusterError, ZkRollbackError

if TYPE_CHECKING:
    from ..clients.helm import HelmVersion
    from ..domain.change_summary import ChangeSummary
    from ..domain.checks import JsonObject
    from ..domain.decision import Seen
    from ..domain.forecast import Forecast
    from ..release.drift import Live
    from ..release.gitops import Owner
    from ..release.history import ReleaseHistory
    from ..release.manifest import Identity
    from ..rollback.lock import LockState
    from .release_view import Touched
    from .target import Choice


T = TypeVar("T")
OK, WARNED, REFUSED, OVERRIDDEN = "ok", "warned", "refused", "overridden"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What one preflight question brought: a value, or why it is unknown."""

    value: T | None = None
    error: ZkRollbackError | None = None

    @property
    def problem(self) -> ZkRollbackError | None:
        """Why the value is unknown; None if it is known."""
        return self.error or (None if self.value is not None else ClusterError(self.why))

    @property
    def why(self) -> str:
        """Why the value is unknown, as a sentence."""
        return str(self.error) if self.error is not None else "no answer within the preflight's budget"


_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    """All answers of the preflight.

    ``denied`` lists rights that are missing, e.g. ``create secrets``; ``server`` is Kubernetes' version;
    ``lock`` is the lock's state if nobody alive holds it, else LockHeld; ``live`` are the live objects of
    the head and the target; ``touched`` those that helm would delete, apply or run as hooks,
    ``contents`` what is in those that hold more than themselves; ``forecast`` what helm would meet;
    ``owners`` the GitOps controllers that manage them; ``scalers`` the namespace's
    HorizontalPodAutoscalers; ``hook_jobs`` the live Jobs of hooks, asked
    for a recovery only; ``elsewhere``: whether ConfigMaps hold a release of this name; ``driver`` is
    the operator's HELM_DRIVER; ``now`` the server's time; ``outside`` the decision's signals by name.
    """

    history: Answer[ReleaseHistory] = Answer()
    choice: Answer[Choice] = Answer()
    identity: Answer[str] = Answer()
    server: Answer[str] = Answer()
    helm: Answer[HelmVersion] = Answer()
    denied: Answer[Sequence[str]] = Answer()
    lock: Answer[LockState] = Answer()
    live: Answer[Mapping[Identity, Live]] = Answer()
    touched: Answer[Touched] = Answer()
    contents: Answer[Mapping[Identity, str]] = Answer()
    owners: Answer[Sequence[Owner]] = Answer()
    scalers: Answer[Sequence[JsonObject]] = Answer()
    elsewhere: Answer[bool] = Answer()
    dossier: Answer[ChangeSummary | None] = Answer()
    forecast: Answer[Forecast | None] = Answer()
    hook_jobs: Answer[Sequence[JsonObject]] = Answer()
    driver: str = ""
    now: datetime = _NEVER
    outside: Mapping[str, Answer[Seen]] = field(default_factory=dict)
