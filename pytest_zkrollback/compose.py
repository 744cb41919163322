"""Puts the checklist together: every item with the clients and the facts that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .checklist.equivalence import EquivalenceCheck
from .checklist.events import EventsCheck
from .checklist.health import HealthCheck
from .checklist.logs import LogsCheck
from .checklist.migration import MigrationCheck
from .checklist.notify import NotifyCheck
from .checklist.rollout import RolloutCheck
from .checklist.smoke import SmokeCheck
from .clients.http import HttpClient
from .clients.slack import SlackWebhook, choose_webhook
from .domain.environment import Slack
from .domain.errors import HelmProblem, UsageProblem
from .domain.model import Delivery, Item
from .domain.ports import Check
from .engine.watch import ClusterWatch
from .migrations.hooks import RevisionContent, judge_hooks
from .notify.slack import deliver_to_slack
from .record.outcome import choose_outcome
from .release.history import Release, ReleaseHistory
from .release.manifest import identity, parse_manifest
from .scene import Scene, target_release

NOTIFY = "notify"
_TITLES = {
    "smoke": SmokeCheck.title,
    "logs": LogsCheck.title,
    "health-database": HealthCheck.title,
    "events": EventsCheck.title,
    "migration": MigrationCheck.title,
    NOTIFY: NotifyCheck.title,
}


def blank_checklist(workloads: Mapping[str, str]) -> tuple[Item, ...]:
    """The runbook's eight items (or as many as there are workloads) before anything is known of them."""
    rollouts = [
        Item(id=f"rollout-{name}", title=f"kubectl rollout status {workload}")
        for name, workload in workloads.items()
    ]
    return (*rollouts, *(Item(id=key, title=title) for key, title in _TITLES.items()))


def build_checks(scene: Scene, history: ReleaseHistory, watch: ClusterWatch, since: datetime) -> list[Check]:
    """The items after preflight and rollback, in the runbook's order.

    ``history`` is as it was at preflight. Raises HelmProblem if the target's manifest cannot be parsed.
    """
    env, kube = scene.env, scene.kube
    wanted = target_release(scene, history)
    target = history.content_of(wanted)
    if target is None:
        raise HelmProblem(
            f"Revision {wanted}, which is meant to be live, is no longer in the "
            f"history of {env.release}: what it holds cannot be compared."
        )
    expected = parse_manifest(target.manifest, env.namespace)
    bad = scene.scribe.record.plan.bad
    later = [
        _content(release, env.namespace)
        for release in history.releases
        if bad is not None and wanted < release.revision.revision <= bad.revision
    ]
    return [
        EquivalenceCheck(env=env, kube=kube, revision=wanted, target=expected),
        *(
            RolloutCheck(env=env, item=item, workload=workload, snapshot=watch.snapshot)
            for item, workload in env.workloads.items()
        ),
        SmokeCheck(env=env, processes=scene.processes, on_line=lambda line: _show(scene, line)),
        LogsCheck(env=env, kube=kube, since=since),
        HealthCheck(env=env, http=HttpClient(ca_file=env.ca_file, proxy=env.proxy, clock=scene.clock)),
        EventsCheck(
            env=env,
            kube=kube,
            since=since,
            owned=frozenset((found.kind, found.name) for found in map(identity, expected)),
            snapshot=watch.snapshot,
        ),
        MigrationCheck(
            env=env,
            sources=(lambda: judge_hooks(_content(target, env.namespace), later),),
            assessed=scene.request.migration_assessed,
            bad=bad.revision if bad is not None else None,
        ),
        NotifyCheck(env=env, deliver=lambda: _deliver(scene)),
    ]


def _show(scene: Scene, line: str) -> None:
    scene.display.status(f"smoke: {scene.redactor.text(line)}")


def _content(release: Release, namespace: str) -> RevisionContent:
    return RevisionContent(
        revision=release.revision.revision,
        objects=parse_manifest(release.manifest, namespace),
        hooks=release.hooks,
    )


def _deliver(scene: Scene) -> Delivery:
    """Tell Slack once, from the redacted record. In the drill the record keeps what was received.

    Raises UsageProblem if the webhook's variable is not set, NotifyProblem if Slack has it not, or perhaps.
    """
    env = scene.env
    if not isinstance(env.slack, Slack):
        raise UsageProblem("Slack is switched off in the configuration.")
    webhook = SlackWebhook(
        choose_webhook(env.slack, scene.variables), HttpClient(clock=scene.clock), env.slack.timeout_s
    )
    record = scene.redactor.record(scene.scribe.record)
    items = tuple(item for item in record.items if item.id != NOTIFY)
    record = record.model_copy(
        update={"items": items, "outcome": choose_outcome(items), "finished_at": scene.clock.now()}
    )
    delivery = deliver_to_slack(record, webhook.send, protected=env.protected)
    scene.scribe.update(deliveries=(delivery,))
    return delivery
