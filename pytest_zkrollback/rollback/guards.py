"""The questions before helm: pure judgement on what the preflight found.

A guard refuses on evidence of harm, or when the cluster's identity, the release's pending state or the right
to write is unknown; every other unknown warns and is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from ..domain.errors import ClusterError, LockHeld, ZkRollbackError
from ..domain.record import Guard

if TYPE_CHECKING:
    from ..clients.helm import HelmVersion
    from ..config.environment import Environment
    from ..domain.change_summary import Dossier
    from ..domain.checks import JsonObject
    from ..domain.decision import Seen
    from ..domain.forecast import Forecast
    from ..release.drift import Live
    from ..release.gitops import Owner
    from ..release.history import ReleaseHistory
    from ..release.manifest import Identity
    from .lock import LockState
    from .look import Touched
    from .target import Choice

T = TypeVar("T")

OK, WARNED, REFUSED, OVERRIDDEN = "ok", "warned", "refused", "overridden"

# Every guard, in the order in which it is shown, and what it protects from; docs/guards.md says the same.
GUARDS = {
    "cluster": "an API server that cannot be asked",
    "identity": "a rollback of the right release on the wrong cluster",
    "protected": "a slip of the finger in an environment that users depend on",
    "storage": "two stores of releases: helm would act on one, and everything else here reads the other",
    "release": "acting on a release that is not there, or that cannot be read",
    "pending": "two helms at work on one release, of which chance decides which one lasts",
    "deployed": "a history that does not say what runs",
    "target": "going back to a revision that never worked, or that is not there",
    "migration": "old code on a database that cannot be taken back to it",
    "forecast": "helm applying half of the objects and stopping, with no revision deployed",
    "ownership": "taking another release's objects away, or overwriting them",
    "data-loss": "deleting data, or every object of a kind or in a namespace, with no way back",
    "gitops": "a controller that puts the bad version back within minutes",
    "deploying": "two pairs of hands on the same workloads",
    "hpa": "a rollback that takes replicas away from an autoscaler",
    "helm-version": "no helm, one that is not supported, or one older than the release",
    "permissions": "helm stopping halfway for want of a right, with no revision deployed",
    "notify": "a team that hears nothing, and a second operator who therefore starts as well",
    "stranded": "a recovery of a release that needs none",
    "hook-running": "a migration that is cut off, or run twice",
    "lock": "two operators rolling back at once",
    "head": "undoing something else than what was looked at",
}
GUARD_IDS = tuple(GUARDS)


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
    dossier: Answer[Dossier | None] = Answer()
    forecast: Answer[Forecast | None] = Answer()
    hook_jobs: Answer[Sequence[JsonObject]] = Answer()
    driver: str = ""
    now: datetime = _NEVER
    outside: Mapping[str, Answer[Seen]] = field(default_factory=dict)


def way_past(guard_id: str) -> str:
    """The option by which an operator goes ahead against this guard."""
    return f"--rollback-override={guard_id}=REASON"


def refusals(guards: Sequence[Guard]) -> list[Guard]:
    """Those that stand between the operator and helm."""
    return [guard for guard in guards if guard.state == REFUSED]


def judge_identity(answer: Answer[str], env: Environment) -> Guard:
    """The context points at the cluster that the configuration pins."""
    consequence = "The rollback could hit another cluster than the one that you mean."
    pin = env.identity.kube_system_uid if env.identity else None
    if pin is None:
        if env.protected:
            return Guard(
                id="identity",
                state=REFUSED,
                evidence=f"environment '{env.name}' is protected but its cluster is not pinned"
                + (f"; this cluster is {answer.value}" if answer.value else "")
                + f": add kube_system_uid to [environments.{env.name}.identity]",
                consequence=consequence,
                override=way_past("identity"),
            )
        hint = f'; to pin it: kube_system_uid = "{answer.value}"' if answer.value else ""
        return Guard(id="identity", state=WARNED, evidence=f"the cluster is not pinned{hint}")
    if answer.value is None:
        return Guard(
            id="identity",
            state=REFUSED,
            evidence=f"whether this is the pinned cluster is unknown: {answer.why}",
            consequence=consequence,
            override=way_past("identity"),
        )
    if answer.value != pin:
        return Guard(
            id="identity",
            state=REFUSED,
            evidence=f"context '{env.context}' points at cluster {answer.value}, but {pin} is pinned",
            consequence=consequence,
            override=way_past("identity"),
        )
    return Guard(id="identity", state=OK, evidence=f"the cluster is the pinned one ({pin})")


def judge_protected(env: Environment, confirm: str | None) -> Guard:
    """A protected environment was named a second time."""
    option = f"--rollback-confirm={env.name}"
    if confirm is not None and confirm != env.name:
        return Guard(
            id="protected",
            state=REFUSED,
            evidence=f"--rollback-confirm={confirm} names another environment than --env={env.name}",
            consequence="One of the two is a slip; it decides who is affected.",
            override=option,
        )
    if env.protected and confirm is None:
        return Guard(
            id="protected",
            state=REFUSED,
            evidence=f"environment '{env.name}' is protected",
            consequence="Users of a protected environment are affected at once.",
            override=option,
        )
    said = "confirmed by name" if confirm is not None else "not protected"
    return Guard(id="protected", state=OK, evidence=f"environment '{env.name}' is {said}")


def judge_release(answer: Answer[ReleaseHistory]) -> Guard:
    """The release is there and can be read."""
    if answer.value is None:
        slow = " With --rollback-break-glass=REASON a slow API server is waited for longer."
        return Guard(
            id="release",
            state=REFUSED,
            evidence=answer.why,
            consequence="Without the release's history nobody knows what a rollback would do."
            + (slow if answer.error is None else ""),
        )
    head = answer.value.head.revision
    return Guard(
        id="release",
        state=OK,
        evidence=f"revision {head.revision} is {head.status} ({head.chart}), "
        f"{len(answer.value.revisions)} revisions kept",
    )


def judge_helm(answer: Answer[HelmVersion], history: Answer[ReleaseHistory]) -> Guard:
    """A helm that works and is supported, and not older than the one that wrote the release."""
    if answer.value is None:
        return Guard(
            id="helm-version",
            state=REFUSED,
            evidence=answer.why,
            consequence="Without helm nothing rolls back.",
        )
    head = history.value.head if history.value is not None else None
    if head is not None and head.apply_method == "ssa" and answer.value.major == 3:
        return Guard(
            id="helm-version",
            state=WARNED,
            evidence=f"helm {answer.value.text} on a release that Helm 4 wrote by server-side apply: that "
            "works, and from then on the release is a client-side one",
            consequence="Helm 3 overwrites what others changed by hand without asking, where Helm 4 would "
            "name a conflict.",
        )
    return Guard(id="helm-version", state=OK, evidence=f"helm {answer.value.text}")


def judge_permissions(answer: Answer[Sequence[str]]) -> Guard:
    """Every right that helm will need is there."""
    if answer.value is None:
        return Guard(
            id="permissions",
            state=REFUSED,
            evidence=f"whether you may write is unknown: {answer.why}",
            consequence="helm could stop halfway.",
            override=way_past("permissions"),
        )
    if answer.value:
        return Guard(
            id="permissions",
            state=REFUSED,
            evidence=f"you may not: {', '.join(answer.value)}",
            consequence="helm would stop halfway and leave no revision deployed.",
            override=way_past("permissions"),
        )
    return Guard(id="permissions", state=OK, evidence="every right that helm needs is there")


def judge_notify(unusable: Sequence[str]) -> tuple[Guard, ...]:
    """Channels that cannot work, which stops nothing; there is no guard where all can."""
    return tuple(
        Guard(id="notify", state=WARNED, evidence=why.rstrip("."), consequence="The item notify will be red.")
        for why in unusable
    )


def judge_lock(error: ZkRollbackError | None) -> Guard:
    """The guard behind a lock that is free (None), held, or could not be read or taken."""
    if error is None:
        return Guard(id="lock", state=OK, evidence="nobody else is rolling this release back")
    unknown = "" if isinstance(error, LockHeld) else "whether somebody else is rolling back is unknown: "
    return Guard(
        id="lock",
        state=REFUSED,
        evidence=f"{unknown}{error}",
        consequence="Two rollbacks at once make two revisions, and chance decides which one runs.",
        override=way_past("lock"),
    )
