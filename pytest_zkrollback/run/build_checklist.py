"""Puts the checklist together: every item with the clients and the facts that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, partial

from ..checklist.custom import ItemContext, OwnCheck
from ..checklist.equivalence.check import EquivalenceCheck, is_kept_on_purpose
from ..checklist.equivalence.left_behind import LeftBehind
from ..checklist.equivalence.model import DeployedInterval
from ..checklist.events.check import EventsCheck, EventSource
from ..checklist.events.feed import EventFeeds
from ..checklist.health import HealthCheck
from ..checklist.logs.check import LogsCheck
from ..checklist.metrics import MetricCheck
from ..checklist.migration import MigrationCheck
from ..checklist.notify import PATIENCE_S, NotifyCheck
from ..checklist.rollout.check import RolloutCheck
from ..checklist.rollout.pod_logs_and_events import PodDiagnosticsReader
from ..checklist.rollout.workload import pods_of
from ..checklist.smoke import SmokeCheck
from ..config.environment import Environment
from ..domain.checks import JsonObject
from ..domain.errors import HelmProblem
from ..domain.kube_objects import WorkloadName
from ..domain.migration import MigrationFinding, RevisionContent
from ..domain.ports import Check, Kube
from ..domain.record import Outcome
from ..engine.cluster_watch import NamespaceWatches
from ..engine.metric_feed import MetricFeeds
from ..preflight.target import describe_history, failure_of
from ..release.drift import fetch_live
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory, fetch_history
from ..release.hook_objects import hook_objects, left_by_hooks
from ..release.manifest import ObjectKey, identity, in_namespace, manifest_workloads
from ..report.failures import listed
from ..rollback.journal import THROUGH_GITHUB, find_migration_word
from .context import RunContext
from .find_workloads import workload_name
from .migration_sources import deploy_source, gate_word, migration_sources, revision_content
from .results import ExpectedRelease, RunState


def build_checks(
    context: RunContext,
    release: ExpectedRelease,
    reader: ReleaseReader,
    state: RunState,
    watch: NamespaceWatches,
    events: EventFeeds,
    since: datetime,
    metrics: MetricFeeds,
) -> list[Check]:
    """The items after preflight and rollback, in the runbook's order.

    ``metrics``: what knows since when their samples settle.
    Raises HelmProblem if the target is no longer in the history.
    """
    env, kube = context.env, context.kube
    history, wanted, left = release.history, release.target, release.compared_with
    target = history.content_of(wanted)
    if target is None:
        raise HelmProblem(
            f"Revision {wanted}, which is meant to be live, is no longer in the "
            f"history of {env.release}: what it holds cannot be compared."
        )
    content_of_target = revision_content(target, env.namespace, wanted)
    expected = content_of_target.objects
    later = [
        revision_content(each, env.namespace)
        for each in history.releases
        if _is_rolled_away(release, each.revision.revision, through_github=context.request.through_github)
    ]
    reached = [content for content in later if not _never_applied(history, content.revision)]
    if content_of_target.unread:
        reached = []  # what only they seem to have may stand in what was not read
    leftovers = find_leftovers(expected, reached)
    away = [content.revision for content in later]
    at_zero = {
        workload_name(identity(item), env.namespace)
        for item in manifest_workloads(expected)
        if (item.get("spec") or {}).get("replicas") == 0
    }
    elsewhere = {each: partial(watch.snapshot, each) for each in watch.namespaces if each != env.namespace}
    workloads = _by_namespace(env)
    services = tuple(item for item in expected if item["kind"] == "Service")
    named = {
        f"{item['kind'].lower()}/{identity(item).name}": item
        for item in manifest_workloads(expected)
        if identity(item).namespace == env.namespace
    }
    diagnostics = PodDiagnosticsReader(kube, env.namespace, context.clock)
    http = context.http()
    item_context = ItemContext(environment=env, kube=kube, http=http, since=since, revision=wanted)
    return [
        EquivalenceCheck(
            env=env,
            kube=kube,
            revision=wanted,
            target=expected,
            home=target.namespace,
            unread=(
                *(
                    f"{document} of revision {content.revision}"
                    for content in (content_of_target, *reached)
                    for document in content.unread
                ),
                *_namesakes(kube, env.namespace, target.namespace, expected),
            ),
            leftovers=leftovers,
            rolled_away=tuple(content.objects for content in reached),
            intervals=deployed_intervals(history, content_of_target, later, left),
            earlier=cache(partial(earlier_intervals, history, wanted, env.namespace)),
            hooks_made=hook_objects(history.releases, wanted, away, env.namespace),
            left_behind=find_left_behind(
                expected, reached, left_by_hooks(history.releases, away, env.namespace)
            ),
            release=reader.read,
            expected_head=release.head,
            managers=frozenset(each.manager for each in history.releases if each.manager),
            injected=release.injected,
            snapshot=watch.snapshot,
            elsewhere=elsewhere,
            since=since,
            rolled_back=context.request.changes,
        ),
        *(
            RolloutCheck(
                env=env,
                item=item,
                workload=workload,
                snapshot=partial(watch.snapshot, WorkloadName.parse(workload, env.namespace).namespace),
                stated_zero=workload in at_zero,
                notes=diagnostics.fetch,
                target=named.get(workload),
                services=services,
            )
            for item, workload in env.named_workloads.items()
        ),
        SmokeCheck(env=env, processes=context.processes, on_line=lambda line: _show(context, line)),
        LogsCheck(
            env=env,
            kube=kube,
            since=since,
            workload_pods=lambda: pods_of(watch.snapshot(), workloads.get(env.namespace, ())),
            elsewhere={
                each: partial(_pods_in, watch, each, names)
                for each, names in workloads.items()
                if each != env.namespace
            },
            ahead_s=lambda: context.clock.offset_s if release.beside is not None else 0.0,
        ),
        HealthCheck(env=env, http=http),
        EventsCheck(
            env=env,
            kube=kube,
            log=events.of(env.namespace),
            since=since,
            owned=_owned_in(env.namespace, (*expected, *leftovers)),
            snapshot=watch.snapshot,
            elsewhere=tuple(
                EventSource(
                    each, events.of(each), _owned_in(each, (*expected, *leftovers)), elsewhere.get(each)
                )
                for each in events.namespaces
                if each != env.namespace
            ),
        ),
        MigrationCheck(
            env=env,
            sources=migration_sources(
                context,
                history,
                content_of_target,
                later,
                rolled_out=state.is_rolled_out,
                compared_with=left,
                deploy=_deploy(context, release),
            ),
            assessed=context.request.migration_assessed,
            recorded=find_migration_word(release.journal or (), release.head),
            compared_with=left,
            gate_not_counted=_gate_not_counted(context, release),
        ),
        *(OwnCheck(item, item_context) for item in context.own_items),
        *_metric_checks(env, metrics),
        NotifyCheck(
            deliver=lambda: context.notifier.notify_verdict(state.outcome_to_tell, PATIENCE_S),
            off=context.notifier.off,
            missing=context.request.missing,
        ),
    ]


def _metric_checks(env: Environment, feeds: MetricFeeds) -> Iterator[MetricCheck]:
    if not env.metrics:
        return
    for metric in env.metric_checks:
        feed = feeds[metric.id]
        yield MetricCheck(
            metric=metric,
            table=env.metrics,
            query=feed.query,
            samples=feed.samples,
            settle_from=feeds.settles_from,
            settles_after=feeds.settles_after,
        )


def _deploy(context: RunContext, release: ExpectedRelease) -> Callable[[], MigrationFinding] | None:
    """What says whether the current revision is an ordinary deploy; None where it is known not to be one."""
    if context.request.changes or _known_rollback(release):
        return None
    head = release.history.head.revision.revision
    return deploy_source(context, release.history, head, release.compared_with)


def _gate_not_counted(context: RunContext, release: ExpectedRelease) -> str:
    """Why the operator's word that this is no rollback did not count; empty: it did, or there was none."""
    word, known = gate_word(context), _known_rollback(release)
    if not word or not known or context.request.changes:
        return ""
    text = f"{word} did not count: {known}."
    context.recorder.event(text, "zkrollback")
    return text


def _known_rollback(release: ExpectedRelease) -> str:
    """Why the current revision is known to take another one back; empty: it is not."""
    head = release.history.head.revision
    if head.rollback_of is not None:
        return f"by Helm's history revision {head.revision} is a rollback to {head.rollback_of}"
    if any(
        each.get(THROUGH_GITHUB) and each.get("head_after") == head.revision for each in release.journal or ()
    ):
        return f"by the journal this tool deployed revision {head.revision} to take another one back"
    return ""


def _namesakes(kube: Kube, kept: str, home: str, expected: Sequence[JsonObject]) -> Iterator[str]:
    """That the namespace in which the record is kept may have objects of the same names.

    A namespace that was copied brings records that name the one it was copied from.
    """
    if home in ("", kept):
        return
    there = [
        {**item, "metadata": {**item["metadata"], "namespace": kept}}
        for item in manifest_workloads(expected)
        if identity(item).namespace == home
    ]
    for item, answer in zip(there, fetch_live(kube, there), strict=True):
        if answer.item is not None or answer.error is not None:
            yield (
                f"the release's record says that its objects stand in namespace {home}, and {kept}, where it "
                f"is kept, may have its own {identity(item).label}: which of them are meant is not known"
            )
            return


def _by_namespace(env: Environment) -> dict[str, list[str]]:
    """The checklist's workloads, as ``kind/name``, by the namespace that they stand in."""
    found: dict[str, list[str]] = {}
    for each in env.named_workloads.values():
        workload = WorkloadName.parse(each, env.namespace)
        found.setdefault(workload.namespace, []).append(workload.label)
    return found


def _pods_in(watch: NamespaceWatches, namespace: str, workloads: Sequence[str]) -> Sequence[JsonObject]:
    return pods_of(watch.snapshot(namespace), workloads)


def _owned_in(namespace: str, objects: Sequence[JsonObject]) -> frozenset[tuple[str, str]]:
    return frozenset((item["kind"], identity(item).name) for item in in_namespace(objects, namespace))


def _is_rolled_away(release: ExpectedRelease, revision: int, *, through_github: bool) -> bool:
    """Whether this revision lies between the target's content and the one that was left.

    Through GitHub the target is a new revision: its content is that of the newest older one that is equal,
    and where there is none, the one that was left alone is known to be rolled away.
    """
    history, wanted, left = release.history, release.target, release.compared_with
    if left is None:
        return False
    if wanted <= left or not through_github:
        return wanted < revision <= left
    target = history.content_of(wanted)
    equal = [
        each.revision.revision
        for each in history.releases
        if target is not None and each.manifest == target.manifest and each.revision.revision < wanted
    ]
    return max((each for each in equal if each < left), default=left - 1) < revision <= left


def deployed_intervals(
    history: ReleaseHistory,
    target: RevisionContent,
    later: Sequence[RevisionContent],
    left: int | None,
) -> tuple[DeployedInterval, ...]:
    """What was live from the target's deploy until the rollback; none unless all of it is known.

    What never reached the cluster was not live.
    """
    known = [target.revision, *(content.revision for content in later)]
    last = left if left is not None else target.revision
    whole = not any(content.unread for content in (target, *later))
    if not whole or history.get(target.revision) is None or known != list(range(target.revision, last + 1)):
        return ()
    return tuple(
        _interval(release, content.objects)
        for content in (target, *later)
        if (release := history.get(content.revision)) is not None and not release.never_applied
    )


def earlier_intervals(history: ReleaseHistory, target: int, namespace: str) -> tuple[DeployedInterval, ...]:
    """What was live before the target's deploy, oldest first, as far back as all of it is known.

    Pods that a revision did not change run on, with the settings that it did not change either.
    """
    found: list[DeployedInterval] = []
    number = target - 1
    while (release := history.get(number)) is not None:
        if not release.never_applied:
            content = revision_content(release, namespace)
            if content.unread:
                break
            found.insert(0, _interval(release, content.objects))
        number -= 1
    return tuple(found)


def _interval(release: Release, objects: tuple[JsonObject, ...]) -> DeployedInterval:
    """Of two clocks: helm's own may be wrong, and a Secret may have been made anew (a restored backup)."""
    told = (release.began, release.revision.deployed_at, release.created or release.began)
    earliest = release.began if release.began == release.created else min(told)
    return DeployedInterval(earliest, max(told), objects, applied=not failure_of(release))


def _never_applied(history: ReleaseHistory, revision: int) -> bool:
    release = history.get(revision)
    return release is not None and release.never_applied


def _show(context: RunContext, line: str) -> None:
    context.display.status(f"smoke: {line}")


def find_leftovers(
    expected: Sequence[JsonObject], later: Sequence[RevisionContent]
) -> tuple[JsonObject, ...]:
    """What only the rolled-away revisions have: helm deletes it, if it may and if no policy keeps it.

    What a policy keeps on purpose (data, say) is left out, unless it runs pods or serves them.
    """
    known = {identity(item).without_version for item in expected}
    found = {identity(item).without_version: item for content in later for item in content.objects}
    return tuple(item for key, item in found.items() if key not in known and not is_kept_on_purpose(item))


def find_left_behind(
    expected: Sequence[JsonObject],
    later: Sequence[RevisionContent],
    hooks: Mapping[ObjectKey, tuple[int, JsonObject]],
) -> tuple[LeftBehind, ...]:
    """What only rolled-away revisions have and helm leaves: network policies that are kept, and ``hooks``."""
    known = {identity(item) for item in expected}
    found = {
        identity(item): LeftBehind(item, "kept by its policy")
        for content in later
        for item in content.objects
        if item["kind"] == "NetworkPolicy" and is_kept_on_purpose(item)
    }
    found |= {
        key: LeftBehind(item, f"left by a hook of revision {number}") for key, (number, item) in hooks.items()
    }
    return tuple(each for key, each in found.items() if key not in known)


class ReleaseReader:
    """Reads the release's history anew, and finds out that somebody else changed the release meanwhile."""

    def __init__(self, context: RunContext, release: ExpectedRelease, state: RunState) -> None:
        """Nothing is read yet."""
        self._context = context
        self._state = state
        self._plan = release.plan
        self._journal = release.journal
        self._known = release.last_read
        self._head = release.head
        self._beside = release.beside

    def read(self) -> ReleaseHistory:
        """The history now; a newest revision that is not ours is in the record before anything is said.

        Not after the run's end, nor after an interruption: an answer may come late. Raises ClusterError or
        HelmProblem.
        """
        env, recorder = self._context.env, self._context.recorder
        known = fetch_history(self._context.kube, env.namespace, env.release, known=self._known)
        self._known = known
        head = known.head.revision
        if self._head is not None and head.revision != self._head and self._state.supersede():
            self._head = head.revision
            plan = self._plan.model_copy(update=describe_history(known, self._journal))
            recorder.update(outcome=Outcome.SUPERSEDED, revision_after=head.revision, plan=plan)
            recorder.event(f"revision {head.revision} ({head.description}) appeared", "helm history")
        self._note_beside(known)
        return known

    def _note_beside(self, known: ReleaseHistory) -> None:
        """Another helm ended after ours: what it left is none of the revisions to go back to."""
        head = known.head.revision
        if self._beside is None or head.revision != self._head or head.status != "deployed":
            return
        others = {*known.deployed_numbers} - {head.revision, *self._beside}
        if not others or self._state.ended:
            return
        self._beside = tuple(sorted({*self._beside, *others}))
        recorder = self._context.recorder
        recorder.update(plan=self._plan.model_copy(update=describe_history(known, self._journal)))
        recorder.update_helm(beside=self._beside)
        text = f"another helm ended: revision {listed(map(str, sorted(others)))} is deployed, too"
        recorder.event(text, "helm history")
