"""Puts the checklist together: every item with the clients and the facts that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ..checklist.custom import CustomItem, ItemContext, OwnCheck
from ..checklist.equivalence.check import EquivalenceCheck, is_kept_on_purpose
from ..checklist.equivalence.model import DeployedInterval
from ..checklist.events.check import EventsCheck
from ..checklist.events.feed import EventLog
from ..checklist.health import HealthCheck
from ..checklist.logs.check import LogsCheck
from ..checklist.migration import MigrationCheck
from ..checklist.notify import PATIENCE_S, NotifyCheck
from ..checklist.rollout.check import RolloutCheck, initial_rollouts
from ..checklist.rollout.pod_logs_and_events import Notes
from ..checklist.rollout.workload import pods_of
from ..checklist.smoke import SmokeCheck
from ..config.environment import Environment
from ..domain.checks import JsonObject
from ..domain.errors import HelmProblem
from ..domain.migration import RevisionContent
from ..domain.ports import Check
from ..domain.record import Item, Outcome
from ..engine.cluster_watch import RESOURCES, ClusterWatch
from ..notify.dispatcher import NOTIFY
from ..preflight.target import failure_of, find_objections
from ..release.history import ReleaseHistory, fetch_history
from ..release.manifest import identity, parse_manifest
from .context import RunContext, target_release
from .migration_sources import migration_sources, revision_content

EQUIVALENCE = EquivalenceCheck.id
_TITLES = {
    "smoke": SmokeCheck.title,
    "logs": LogsCheck.title,
    "health-database": HealthCheck.title,
    "events": EventsCheck.title,
    "migration": MigrationCheck.title,
    NOTIFY: NotifyCheck.title,
}


def initial_checklist(workloads: Mapping[str, str], own: Sequence[CustomItem]) -> tuple[Item, ...]:
    """The runbook's items (as many rollouts as there are workloads), and the own ones before ``notify``."""
    rollouts = initial_rollouts(workloads)
    fixed = [Item(id=key, title=title) for key, title in _TITLES.items()]
    added = [Item(id=item.id, title=item.title) for item in own]
    return (*rollouts, *fixed[:-1], *added, fixed[-1])


def watched(env: Environment, history: ReleaseHistory) -> tuple[str, ...]:
    """The resources to watch: a release without StatefulSets and DaemonSets is judged without theirs."""
    text = " ".join(
        [*env.named_workloads.values(), *(release.manifest for release in history.releases)]
    ).lower()
    return tuple(
        name for name in RESOURCES if name not in ("statefulsets", "daemonsets") or name[:-1] in text
    )


def build_checks(
    context: RunContext, history: ReleaseHistory, watch: ClusterWatch, events: EventLog, since: datetime
) -> list[Check]:
    """The items after preflight and rollback, in the runbook's order.

    ``history`` is as it was at preflight. Raises HelmProblem if the target's manifest cannot be parsed.
    """
    env, kube = context.env, context.kube
    wanted = target_release(context, history)
    target = history.content_of(wanted)
    if target is None:
        raise HelmProblem(
            f"Revision {wanted}, which is meant to be live, is no longer in the "
            f"history of {env.release}: what it holds cannot be compared."
        )
    expected = parse_manifest(target.manifest, env.namespace)
    bad = context.recorder.record.plan.compared_with
    later = [
        content
        for release in history.releases
        if bad is not None and _rolled_away(context, history, release.revision.revision)
        if (content := revision_content(release, env.namespace)) is not None
    ]
    leftovers = find_leftovers(expected, later)
    notes = Notes(kube, env.namespace, context.clock)
    http = context.http()
    item_context = ItemContext(environment=env, kube=kube, http=http, since=since, revision=wanted)
    return [
        EquivalenceCheck(
            env=env,
            kube=kube,
            revision=wanted,
            target=expected,
            leftovers=leftovers,
            rolled_away=tuple(content.objects for content in later),
            eras=choose_eras(
                history,
                RevisionContent(wanted, expected, target.hooks),
                later,
                bad.revision if bad is not None else None,
            ),
            release=release_reader(context, history),
            expected_head=context.recorder.record.revision_after,
            managers=frozenset(release.manager for release in history.releases if release.manager),
            snapshot=watch.snapshot,
            since=since,
        ),
        *(
            RolloutCheck(env=env, item=item, workload=workload, snapshot=watch.snapshot, notes=notes.look)
            for item, workload in env.named_workloads.items()
        ),
        SmokeCheck(env=env, processes=context.processes, on_line=lambda line: _show(context, line)),
        LogsCheck(
            env=env,
            kube=kube,
            since=since,
            workload_pods=lambda: pods_of(watch.snapshot(), env.named_workloads.values()),
        ),
        HealthCheck(env=env, http=http),
        EventsCheck(
            env=env,
            kube=kube,
            log=events,
            since=since,
            owned=frozenset((each.kind, each.name) for each in map(identity, (*expected, *leftovers))),
            snapshot=watch.snapshot,
        ),
        MigrationCheck(
            env=env,
            sources=migration_sources(
                context,
                history,
                RevisionContent(wanted, expected, target.hooks),
                later,
                before_helm=False,
                bad=bad.revision if bad is not None else None,
            ),
            assessed=context.request.migration_assessed,
            bad=bad.revision if bad is not None else None,
        ),
        *(OwnCheck(item, item_context) for item in context.own_items),
        NotifyCheck(deliver=lambda: context.telling.tell(PATIENCE_S), off=context.telling.off),
    ]


def _rolled_away(context: RunContext, history: ReleaseHistory, revision: int) -> bool:
    """Whether this revision lies between the target's content and the bad one.

    Through GitHub the target is a new revision: its content is that of the newest older one that is equal,
    and where there is none, the bad revision alone is known to be rolled away.
    """
    wanted, bad = target_release(context, history), context.recorder.record.plan.compared_with
    if bad is None:
        return False
    if wanted <= bad.revision or not context.request.through_github:
        return wanted < revision <= bad.revision
    target = history.content_of(wanted)
    equal = [
        release.revision.revision
        for release in history.releases
        if target is not None and release.manifest == target.manifest and release.revision.revision < wanted
    ]
    return (
        max((each for each in equal if each < bad.revision), default=bad.revision - 1)
        < revision
        <= bad.revision
    )


def choose_eras(
    history: ReleaseHistory,
    target: RevisionContent,
    later: Sequence[RevisionContent],
    bad: int | None,
) -> tuple[DeployedInterval, ...]:
    """What was live from the target's deploy until the rollback; none unless all of it is known."""
    known = [target.revision, *(content.revision for content in later)]
    last = bad if bad is not None else target.revision
    if history.get(target.revision) is None or known != list(range(target.revision, last + 1)):
        return ()
    eras = []
    for content in (target, *later):
        release = history.get(content.revision)
        assert release is not None  # noqa: S101 - its content was read from there
        # Of two clocks: helm's own may be wrong, and a Secret may have been made anew (a restored backup).
        told = (release.revision.deployed_at, release.created or release.revision.deployed_at)
        eras.append(DeployedInterval(min(told), max(told), content.objects, applied=not failure_of(release)))
    return tuple(eras)


def _show(context: RunContext, line: str) -> None:
    context.display.status(f"smoke: {line}")


def find_leftovers(
    expected: Sequence[JsonObject], later: Sequence[RevisionContent]
) -> tuple[JsonObject, ...]:
    """What only the rolled-away revisions have: helm deletes it, if it may and if no policy keeps it.

    What a policy keeps on purpose (data, say) is left out, unless it runs pods or serves them.
    """
    known = {identity(item) for item in expected}
    found = {identity(item): item for content in later for item in content.objects}
    return tuple(item for key, item in found.items() if key not in known and not is_kept_on_purpose(item))


def release_reader(context: RunContext, known: ReleaseHistory) -> Callable[[], ReleaseHistory]:
    """Reads the history anew; a newest revision that is not ours is in the record before anything is said."""

    known = context.readings[-1] if context.readings else known

    def read() -> ReleaseHistory:
        nonlocal known
        env, record = context.env, context.recorder.record
        known = fetch_history(context.kube, env.namespace, env.release, known=known)
        head = known.head.revision
        if record.revision_after is not None and head.revision != record.revision_after:
            newer = {"history": known.revisions, "objections": find_objections(known)}
            plan = record.plan.model_copy(update=newer)
            context.recorder.update(outcome=Outcome.SUPERSEDED, revision_after=head.revision, plan=plan)
            context.recorder.event(f"revision {head.revision} ({head.description}) appeared", "helm history")
        return known

    return read
