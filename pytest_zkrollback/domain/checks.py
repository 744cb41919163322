"""What judges see: a history of samples, taken by the engine, never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from .errors import ZkRollbackError

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class PodDiagnostics:
    """What a pod in trouble says itself: its newest events, oldest first, and the end of its log.

    ``settings_came``: the ConfigMap or Secret that it waits for is there now; the kubelet tries again by
    itself.
    """

    events: tuple[JsonObject, ...] = ()
    log: str = ""
    settings_came: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The namespace's objects at one moment, raw as the API gave them.

    ``objects`` maps the plural resource (``deployments``, ``statefulsets``, ``daemonsets``,
    ``replicasets``, ``pods``) to its items; a resource that could not be read is missing there and
    named in ``errors``. ``notes``: of some pods in trouble, by UID, what was read besides.
    """

    at: datetime
    objects: Mapping[str, tuple[JsonObject, ...]]
    errors: Mapping[str, ZkRollbackError] = field(default_factory=dict)
    notes: Mapping[str, PodDiagnostics] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What a watch brought: an object of that plural resource as it is now, or as it was last."""

    resource: str
    item: JsonObject


@dataclass(frozen=True)
class Sample:
    """One observation of one check: a value, or the reason why there is none. ``at`` is aware, UTC."""

    at: datetime
    value: Any = None
    error: ZkRollbackError | None = None


@dataclass(frozen=True)
class History:
    """All samples of one check so far, oldest first.

    ``since`` is when the rollback began (verify-only: when the head was deployed), by the server's clock.
    ``judged_from`` is when judging began: for items that wait for the rollouts, when those settled.
    ``rollouts_passed`` is None until the rollouts settled, then whether all of them passed.
    ``provisional_at`` is None until every item was green, then when that was: from there on it is the soak.
    """

    samples: tuple[Sample, ...]
    since: datetime
    judged_from: datetime | None = None
    rollouts_passed: bool | None = None
    provisional_at: datetime | None = None

    @property
    def last(self) -> Sample | None:
        """The newest sample, or None."""
        return self.samples[-1] if self.samples else None

    @property
    def judged(self) -> tuple[Sample, ...]:
        """The samples that count: those taken since judging began."""
        start = self.judged_from
        return self.samples if start is None else tuple(s for s in self.samples if s.at >= start)
