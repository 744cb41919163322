"""All guards of a run, in the order of :data:`GUARDS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...domain.checks import JsonObject
from ...domain.errors import ClusterError
from ...domain.record import Guard, GuardReason
from ...release.helm_secret import UNINSTALLING
from ..probe import OK, REFUSED, WARNED, Facts
from .cluster import judge_helm, judge_identity, judge_lock, judge_permissions, judge_protected, judge_release
from .forecast import judge_forecast
from .objects import judge_data_loss, judge_images, judge_ownership
from .release import (
    judge_deployed,
    judge_deploying,
    judge_gitops,
    judge_hook_jobs,
    judge_hpa,
    judge_pending,
    judge_storage,
    judge_stranded,
    judge_target,
)

if TYPE_CHECKING:
    from ...config.environment import Environment


# Every guard, in the order in which it is shown, and what it protects from; docs/guards.md says the same.
GUARDS = {
    "cluster": "acting on a cluster that does not answer",
    "clock": "judging logs, events or the lock by a wrong time",
    "identity": "rolling back on the wrong cluster",
    "protected": "a slip of the finger in an environment that users depend on",
    "storage": "helm acting on one store of releases while this tool reads another",
    "release": "acting on a release that is not there or cannot be read",
    "pending": "two helms at work on one release at once",
    "deployed": "a history that does not say what runs",
    "target": "going back to a revision that is bad or not there",
    "migration": "old code on a database that cannot be taken back to it",
    "forecast": "helm stopping halfway, with no revision deployed",
    "images": "pods that cannot start because an image is gone",
    "ownership": "taking objects away from another release, or overwriting them",
    "data-loss": "deleting data for good",
    "gitops": "a controller that undoes the rollback within minutes",
    "deploying": "somebody else changing the same workloads now",
    "hpa": "taking replicas away from an autoscaler",
    "helm-version": "a helm that is missing, not supported or older than the release",
    "permissions": "helm stopping halfway because a right is missing",
    "notify": "a team that hears nothing",
    "stranded": "recovering a release that needs no recovery",
    "hook-running": "cutting a migration off, or running it twice",
    "lock": "two operators rolling back at once",
    "head": "undoing something else than what was looked at",
}
GUARD_IDS = tuple(GUARDS)


def judge_guards(
    facts: Facts,
    env: Environment,
    confirm: str | None,
    target: Sequence[JsonObject] = (),
    *,
    recovers: bool = False,
) -> tuple[Guard, ...]:
    """Every guard of a rollback that is asked before the lock is taken. ``target``: the target's objects."""
    recovery = (judge_stranded(facts.history), judge_hook_jobs(facts.hook_jobs)) if recovers else ()
    # Where nothing is to be recovered, that there is no target is no second reason.
    pointless = any(guard.reason is GuardReason.NOT_STRANDED for guard in recovery)
    return (
        judge_identity(facts.identity, env),
        judge_protected(env, confirm),
        judge_storage(facts.driver, facts.elsewhere, facts.history),
        judge_release(facts.history),
        judge_pending(facts.history, facts.now),
        judge_deployed(facts.history),
        *(() if pointless else (judge_target(facts.history, facts.choice, facts.entries, facts.forecast),)),
        judge_forecast(facts.forecast, facts.helm, facts.denied),
        judge_images(facts.images),
        judge_ownership(facts),
        judge_data_loss(facts, env, target),
        judge_gitops(facts),
        judge_deploying(facts),
        judge_hpa(facts, target),
        judge_helm(facts.helm, facts.history),
        judge_permissions(facts.denied, facts.unreadable),
        *recovery,
        judge_lock(facts.lock.problem),
    )


def in_order(found: Sequence[Guard]) -> tuple[Guard, ...]:
    """The guards as they are shown."""
    return tuple(sorted(found, key=lambda guard: GUARD_IDS.index(guard.id)))


def judge_without_contact(env: Environment, confirm: str | None) -> tuple[Guard, ...]:
    """The guards that need no cluster, so that a refusal for want of one names them too."""
    return (judge_protected(env, confirm),)


def judge_verify_guards(facts: Facts, env: Environment) -> tuple[Guard, ...]:
    """Verify-only changes nothing, but it has to be the right cluster and a known release."""
    found = judge_identity(facts.identity, env)
    if env.identity is None:
        found = found.model_copy(update={"state": WARNED})
    return (found, judge_release(facts.history))


def judge_pipeline_guards(facts: Facts, env: Environment, confirm: str | None) -> tuple[Guard, ...]:
    """Where somebody else's pipeline deploys: a release that is pending may well be its own doing.

    One that is being uninstalled is not.
    """
    pending = judge_pending(facts.history, facts.now)
    history = facts.history.value
    if pending.state == REFUSED and not (history and history.head.revision.status == UNINSTALLING):
        pending = pending.model_copy(update={"state": WARNED})
    lock = judge_lock(facts.lock.problem)
    if lock.state == OK and facts.denied.value:
        lock = judge_lock(ClusterError(f"you may not: {', '.join(facts.denied.value)}"))
    return (
        judge_identity(facts.identity, env),
        judge_protected(env, confirm),
        judge_release(facts.history),
        pending,
        lock,
    )
