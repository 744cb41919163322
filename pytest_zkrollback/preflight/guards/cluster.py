"""The questions before helm: pure judgement on what the preflight found.

A guard refuses on evidence of harm, or when the cluster's identity, the release's pending state or the right
to write is unknown; every other unknown warns and is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from ...domain.errors import LockHeld, NoNamespace, NoRelease, ZkRollbackError
from ...domain.record import Guard, GuardReason
from ..overrides import override_option
from ..probe import OK, REFUSED, WARNED, ProbeResult

if TYPE_CHECKING:
    from ...clients.helm import HelmVersion
    from ...config.environment import Environment
    from ...release.history import ReleaseHistory

T = TypeVar("T")

# Between API servers, and between them and this machine.
_CLOCKS_DIFFER_S = 10.0
_CLOCK_IS_OFF_S = 60.0


def refusals(guards: Sequence[Guard]) -> list[Guard]:
    """Those that stand between the operator and helm."""
    return [guard for guard in guards if guard.state == REFUSED]


def judge_identity(answer: ProbeResult[str], env: Environment) -> Guard:
    """The context points at the cluster that the configuration pins."""
    consequence = "The rollback could hit another cluster than the one that you mean."
    pin = env.identity.kube_system_uid if env.identity else None
    if pin is None:
        if env.protected:
            return Guard(
                id="identity",
                state=REFUSED,
                reason=GuardReason.NOT_PINNED,
                evidence=f"environment '{env.name}' is protected but its cluster is not pinned"
                + (f"; this cluster is {answer.value}" if answer.value else "")
                + f": add kube_system_uid to [environments.{env.name}.identity]",
                consequence=consequence,
                override=override_option("identity"),
            )
        hint = f'; to pin it: kube_system_uid = "{answer.value}"' if answer.value else ""
        return Guard(
            id="identity",
            state=WARNED,
            reason=GuardReason.NOT_PINNED,
            evidence=f"the cluster is not pinned{hint}",
        )
    if answer.value is None:
        return Guard(
            id="identity",
            state=REFUSED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence=f"whether this is the pinned cluster is unknown: {answer.why}",
            consequence=consequence,
            override=override_option("identity"),
        )
    if answer.value != pin:
        return Guard(
            id="identity",
            state=REFUSED,
            reason=GuardReason.OTHER_CLUSTER,
            evidence=f"context '{env.context}' points at cluster {answer.value}, but {pin} is pinned",
            consequence=consequence,
            override=override_option("identity"),
        )
    return Guard(id="identity", state=OK, evidence=f"the cluster is the pinned one ({pin})")


def judge_protected(env: Environment, confirm: str | None) -> Guard:
    """A protected environment was named a second time."""
    option = f"--rollback-confirm={env.name}"
    if confirm is not None and confirm != env.name:
        return Guard(
            id="protected",
            state=REFUSED,
            reason=GuardReason.OTHER_ENVIRONMENT,
            evidence=f"--rollback-confirm={confirm} names another environment than --env={env.name}",
            consequence="One of the two is a slip; it decides who is affected.",
            override=option,
        )
    if env.protected and confirm is None:
        return Guard(
            id="protected",
            state=REFUSED,
            reason=GuardReason.NOT_CONFIRMED,
            evidence=f"environment '{env.name}' is protected",
            consequence="Users of a protected environment are affected at once.",
            override=option,
        )
    said = "confirmed by name" if confirm is not None else "not protected"
    return Guard(id="protected", state=OK, evidence=f"environment '{env.name}' is {said}")


_SLOW = (
    " What is slow is waited for longer with a larger preflight_budget_s, or with "
    "--rollback-break-glass=REASON."
)


def judge_release(answer: ProbeResult[ReleaseHistory]) -> Guard:
    """The release is there and can be read."""
    if answer.value is None:
        reason = _why_unread(answer.error)
        return Guard(
            id="release",
            state=REFUSED,
            reason=reason,
            unknown=reason is GuardReason.NO_ANSWER,
            evidence=answer.why,
            consequence="Without the release's history nobody knows what a rollback would do."
            + (_SLOW if answer.error is None else ""),
        )
    head = answer.value.head.revision
    count = len(answer.value.revisions)
    said = f"revision {head.revision} is {head.status} ({head.chart}), {count} revisions kept"
    if answer.value.copies:
        return Guard(
            id="release",
            state=WARNED,
            reason=GuardReason.COPIED_RECORD,
            evidence="; ".join([*answer.value.copies, said]),
            consequence="helm finds the newest and the deployed revisions by labels, and reads a revision by "
            "the Secret's name. Take the labels off the copy, or delete it.",
        )
    return Guard(id="release", state=OK, evidence=said)


def _why_unread(error: ZkRollbackError | None) -> GuardReason:
    if isinstance(error, NoNamespace):
        return GuardReason.NO_NAMESPACE
    return GuardReason.NO_RELEASE if isinstance(error, NoRelease) else GuardReason.NO_ANSWER


def judge_helm(answer: ProbeResult[HelmVersion], history: ProbeResult[ReleaseHistory]) -> Guard:
    """A helm that works and is supported, and not older than the one that wrote the release."""
    if answer.value is None:
        return Guard(
            id="helm-version",
            state=REFUSED,
            reason=GuardReason.NO_HELM,
            evidence=answer.why,
            consequence="Without helm nothing rolls back.",
        )
    head = history.value.head if history.value is not None else None
    if head is not None and head.apply_method == "ssa" and answer.value.major == 3:
        return Guard(
            id="helm-version",
            state=WARNED,
            reason=GuardReason.OLDER_HELM,
            evidence=f"helm {answer.value.text} on a release that Helm 4 wrote by server-side apply: that "
            "works, and from then on the release is a client-side one",
            consequence="Helm 3 overwrites what others changed by hand without asking, where Helm 4 would "
            "name a conflict.",
        )
    return Guard(id="helm-version", state=OK, evidence=f"helm {answer.value.text}")


def judge_permissions(denied: ProbeResult[Sequence[str]], unreadable: ProbeResult[Sequence[str]]) -> Guard:
    """Every right that helm needs is there; those to look at what it did (``unreadable``) stop nothing."""
    if denied.value is None:
        return Guard(
            id="permissions",
            state=REFUSED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence=f"no right is known to be missing, and whether helm has all is unknown: {denied.why}",
            consequence="If one is missing, helm stops halfway." + (_SLOW if denied.error is None else ""),
            override=override_option("permissions"),
        )
    if denied.value:
        return Guard(
            id="permissions",
            state=REFUSED,
            reason=GuardReason.MISSING_RIGHT,
            evidence=f"you may not: {', '.join(denied.value)}",
            consequence="helm would stop halfway and leave no revision deployed.",
            override=override_option("permissions"),
        )
    if unreadable.value:
        return Guard(
            id="permissions",
            state=WARNED,
            reason=GuardReason.MISSING_RIGHT,
            evidence=f"helm has every right that it needs; you may not: {', '.join(unreadable.value)}",
            consequence="What is there will not be verified.",
        )
    return Guard(id="permissions", state=OK, evidence="every right that helm needs is there")


def judge_notify(unusable: Sequence[str]) -> tuple[Guard, ...]:
    """Channels that cannot work, which stops nothing; there is no guard where all can."""
    return tuple(
        Guard(
            id="notify",
            state=WARNED,
            reason=GuardReason.CHANNEL_UNUSABLE,
            evidence=why.rstrip("."),
            consequence="The item notify will fail.",
        )
        for why in unusable
    )


def judge_clock(offset_s: float, disagreement_s: float) -> tuple[Guard, ...]:
    """Clocks that are far from each other, which stops nothing; there is no guard where they agree.

    ``offset_s``: by how much the API server's is ahead of this machine's; ``disagreement_s``: by how much the
    answers of one API server's address differ.
    """
    if disagreement_s >= _CLOCKS_DIFFER_S:
        evidence = (
            f"the API servers behind one address have times {disagreement_s:.0f} s apart; the one nearer to "
            "this machine's counts"
        )
    elif abs(offset_s) >= _CLOCK_IS_OFF_S:
        which = "behind" if offset_s > 0 else "ahead of"
        evidence = (
            f"this machine's clock is {abs(offset_s):.0f} s {which} the API server's, which counts: "
            "one of them is wrong"
        )
    else:
        return ()
    return (
        Guard(
            id="clock",
            state=WARNED,
            reason=GuardReason.CLOCKS_DIFFER,
            evidence=evidence,
            consequence="Which log lines and events are older than the rollback may be told wrongly.",
        ),
    )


def judge_lock(error: ZkRollbackError | None) -> Guard:
    """The guard behind a lock that is free (None), held, or could not be read or taken."""
    if error is None:
        return Guard(id="lock", state=OK, evidence="nobody else is rolling this release back")
    held = isinstance(error, LockHeld)
    said = f"{error}" if held else f"whether somebody else is rolling back is unknown: {error}"
    return Guard(
        id="lock",
        state=REFUSED,
        reason=GuardReason.LOCK_HELD if held else GuardReason.NO_ANSWER,
        unknown=not held,
        evidence=said,
        consequence="Two rollbacks at once make two revisions, and chance decides which one runs.",
        override=override_option("lock"),
    )
