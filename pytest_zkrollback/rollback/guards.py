"""The questions before helm: pure judgement on what the preflight found.

A guard refuses on evidence of harm, or when the cluster's identity, the release's pending state or the right
to write is unknown; every other unknown warns and is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from ..domain.errors import ClusterError, LockHeld, ZkRollbackError
from ..domain.model import Guard

if TYPE_CHECKING:
    from ..clients.helm import HelmVersion
    from ..domain.environment import Environment
    from ..release.history import ReleaseHistory
    from .lock import LockState

T = TypeVar("T")

# Every guard, in the order in which it is shown; those after the first line are asked under the lock.
GUARD_IDS = (
    *("cluster", "identity", "protected", "release", "pending", "target", "helm-version", "permissions"),
    *("lock", "head"),
)

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


@dataclass(frozen=True)
class Facts:
    """All answers of the preflight.

    ``denied`` lists rights that are missing, e.g. ``create secrets``; ``server`` is Kubernetes' version;
    ``lock`` is the lock's state if nobody alive holds it, else LockHeld.
    """

    history: Answer[ReleaseHistory]
    identity: Answer[str]
    server: Answer[str]
    helm: Answer[HelmVersion]
    denied: Answer[Sequence[str]]
    lock: Answer[LockState]


def judge_guards(facts: Facts, env: Environment, target: int, confirm: str | None) -> tuple[Guard, ...]:
    """Every guard of a rollback, in the order in which they are shown."""
    return (
        _identity(facts.identity, env),
        _protected(env, confirm),
        _release(facts.history),
        _pending(facts.history),
        _target(facts.history, target),
        _helm(facts.helm),
        _permissions(facts.denied),
        judge_lock(facts.lock.problem),
    )


def judge_without_contact(env: Environment, confirm: str | None) -> tuple[Guard, ...]:
    """The guards that need no cluster, so that a refusal for want of one names them too."""
    return (_protected(env, confirm),)


def judge_verify_guards(facts: Facts, env: Environment) -> tuple[Guard, ...]:
    """Verify-only changes nothing, but it has to be the right cluster and a known release."""
    identity = _identity(facts.identity, env)
    if env.identity is None:
        identity = identity.model_copy(update={"state": WARNED})
    return (identity, _release(facts.history))


def way_past(guard_id: str) -> str:
    """The option by which an operator goes ahead against this guard."""
    return f"--rollback-override={guard_id}=REASON"


def refusals(guards: Sequence[Guard]) -> list[Guard]:
    """Those that stand between the operator and helm."""
    return [guard for guard in guards if guard.state == REFUSED]


def _identity(answer: Answer[str], env: Environment) -> Guard:
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


def _protected(env: Environment, confirm: str | None) -> Guard:
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


def _release(answer: Answer[ReleaseHistory]) -> Guard:
    if answer.value is None:
        return Guard(
            id="release",
            state=REFUSED,
            evidence=answer.why,
            consequence="Without the release's history nobody knows what a rollback would do.",
        )
    head = answer.value.head.revision
    return Guard(
        id="release",
        state=OK,
        evidence=f"revision {head.revision} is {head.status} ({head.chart}), "
        f"{len(answer.value.revisions)} revisions kept",
    )


def _pending(answer: Answer[ReleaseHistory]) -> Guard:
    if answer.value is None:
        return Guard(id="pending", state=REFUSED, evidence="whether another operation runs is unknown")
    head = answer.value.head.revision
    if head.status.startswith("pending"):
        return Guard(
            id="pending",
            state=REFUSED,
            evidence=f"revision {head.revision} is {head.status} "
            f"since {head.deployed_at:%Y-%m-%d %H:%M:%S} UTC",
            consequence="Somebody's helm may still be at work: both could end as `deployed`, "
            "and which one runs would be chance.",
            override=way_past("pending"),
        )
    return Guard(id="pending", state=OK, evidence=f"no operation is under way (head is {head.status})")


def _target(answer: Answer[ReleaseHistory], target: int) -> Guard:
    if answer.value is None:
        return Guard(id="target", state=REFUSED, evidence="which revisions exist is unknown")
    found = answer.value.get(target)
    if found is None:
        exist = _ranges([revision.revision for revision in answer.value.revisions])
        return Guard(
            id="target",
            state=REFUSED,
            evidence=f"revision {target} does not exist; there are {exist}",
            consequence="helm cannot roll back to what it does not have.",
        )
    revision = found.revision
    if revision.status in ("deployed", "superseded"):
        return Guard(
            id="target",
            state=OK,
            evidence=f"revision {target} is {revision.status}: {revision.chart}, "
            f"{', '.join(revision.images) or 'no images'}",
        )
    return Guard(
        id="target",
        state=REFUSED,
        evidence=f"revision {target} is {revision.status}: {revision.description}",
        consequence="helm would roll back to it all the same and report success.",
        override=way_past("target"),
    )


def _helm(answer: Answer[HelmVersion]) -> Guard:
    if answer.value is None:
        return Guard(
            id="helm-version",
            state=REFUSED,
            evidence=answer.why,
            consequence="Without helm nothing rolls back.",
        )
    return Guard(id="helm-version", state=OK, evidence=f"helm {answer.value.text}")


def _permissions(answer: Answer[Sequence[str]]) -> Guard:
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


def _ranges(numbers: Sequence[int]) -> str:
    """``[1, 2, 3, 5]`` -> ``1 to 3, 5``; sorted and without doubles as histories are."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(f"{group[0]} to {group[-1]}" if len(group) > 1 else f"{group[0]}" for group in groups)
