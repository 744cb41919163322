"""What a record says, worked out once. Pure.

Page, Markdown, terminal, messages and the JSON's ``facts`` read this, so that none contradicts another. The
sentences are made in ``summary.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final

from pydantic import Field

from ..domain.decision import Answer, Signal, SignalName
from ..domain.frozen import Frozen, Time
from ..domain.item_ids import EQUIVALENCE, HEALTH, PREFLIGHT, ROLLBACK, SMOKE, is_metric
from ..domain.links import COMMIT, Link, filled
from ..domain.record import (
    GREEN_OUTCOMES,
    GuardState,
    Mode,
    NotificationEvent,
    Outcome,
    Plan,
    Record,
    Revision,
)
from ..domain.verdict import Verdict
from .failures import refused, word_of
from .metric_facts import MetricFacts, Stretch, find_metrics

DEPLOYED: Final = "deployed"
PENDING: Final = "pending-"
_USUAL = re.compile(r"(Install|Upgrade|Rollback) complete|Rollback to \d+|Preparing \w+")
_HEALTH_SERIES = "health"
_BELONGS = timedelta(hours=1)
_WORKLOAD_KINDS = ("deployment", "statefulset", "daemonset")


class Source(StrEnum):
    """Who says when something was."""

    OPERATOR = "operator"
    HISTORY = "helm history"
    HELM = "this run's helm"
    HEALTH = "/health"
    PODS = "pods"
    CHECKLIST = "checklist"
    WITHOUT_METRICS = "checklist without metrics"
    METRICS = "metrics"


class SourcedTime(Frozen):
    """A time, and who says so."""

    at: Time = Field(description="when")
    source: Source = Field(
        description="operator, helm history, this run's helm, /health, pods, checklist, checklist without "
        "metrics, or metrics"
    )


class ReadyPods(Frozen):
    """How many pods of one workload were ready when this run last saw them."""

    workload: str = Field(description="the workload's name")
    ready: int = Field(description="ready pods, of all its revisions")
    wanted: int | None = Field(default=None, description="how many it asks for; null: not known")


class LiveState(StrEnum):
    """How well it is known what is live."""

    KNOWN = "known"
    IN_BETWEEN = "in-between"
    HELM_RUNNING = "helm-running"
    NOT_READ_AGAIN = "not-read-again"
    NOT_REACHED = "not-reached"
    NOT_READ = "not-read"


class LiveNow(Frozen):
    """What is live: by Helm's history, and by the pods."""

    state: LiveState = Field(
        description="known; in-between: an operation is pending; helm-running: helm's end was not seen; "
        "not-read-again: helm ran or GitHub deployed, and the release was not read since; not-reached; "
        "not-read"
    )
    revision: int | None = Field(default=None, description="Helm's newest revision; null: not known")
    status: str = Field(default="", description="its status in Helm's history; empty: not known")
    chart: str = Field(default="", description="chart name and version of its content")
    rollback_of: int | None = Field(default=None, description="the revision that it rolled back to")
    since: SourcedTime | None = Field(default=None, description="since when it is Helm's newest")
    finished: int | None = Field(
        default=None, description="in-between: the newest revision that Helm calls deployed"
    )
    finished_chart: str = Field(default="", description="its chart")
    changed: bool = Field(default=False, description="this run made that revision")
    equal: Verdict | None = Field(
        default=None, description="verdict on whether the live objects equal it; null: not compared"
    )
    pods: tuple[ReadyPods, ...] = Field(default=(), description="by the pods, when this run last saw them")
    health: bool | None = Field(
        default=None, description="whether the health path passed when it was last asked; null: not asked"
    )


class Affected(Frozen):
    """Whether users were affected, from when to when, how badly and by what."""

    before: bool | None = Field(
        default=None, description="whether something was not well before helm ran; null: not known"
    )
    before_seen: str = Field(default="", description="what was seen then")
    now: bool | None = Field(
        default=None, description="whether they were when this run last looked; null: not known"
    )
    since: SourcedTime | None = Field(default=None, description="since when; null: nobody said, nobody saw")
    until: SourcedTime | None = Field(default=None, description="until when; null: not seen")
    by_this_rollback: bool = Field(
        default=False, description="all was well before helm ran, and something broke after it"
    )
    left: int | None = Field(
        default=None,
        description="the revision that was gone back from, if users met it after the target; where users are "
        "affected by what was only verified, that one",
    )
    left_chart: str = Field(default="", description="its chart")
    left_since: Time | None = Field(default=None, description="since when it was live, by Helm's history")
    left_until: Time | None = Field(
        default=None, description="until when, by Helm's history; null: until this run"
    )
    probes: int = Field(default=0, description="how often the health path was asked since helm began")
    probes_failed: int = Field(default=0, description="how often it did not pass")


class Warned(Frozen):
    """What warned before the change, and was passed."""

    id: str = Field(description="the guard")
    evidence: str = Field(description="what was seen")
    consequence: str = Field(description="what could happen")
    overridden: bool = Field(description="it refused, and the operator overrode it")
    reason: str = Field(default="", description="the operator's words")


class Told(Frozen):
    """One message, and whether it arrived."""

    to: str = Field(description="the receiver's kind")
    event: NotificationEvent = Field(description="start, verdict, changed or addendum")
    at: Time | None = Field(default=None, description="when it was answered")
    received: bool | None = Field(description="null: nobody knows")


class NotCheckedKind(StrEnum):
    """Why something is not known."""

    WAIVED = "waived"
    UNVERIFIED = "unverified"
    NO_VERDICT = "no-verdict"
    WAITING = "waiting"
    GUARD = "guard"
    LIMIT = "limit"


class NotChecked(Frozen):
    """Something about which this run does not know, or not all."""

    id: str = Field(description="the item or guard")
    kind: NotCheckedKind = Field(
        description="waived, unverified, no-verdict or waiting: the item; guard: a guard without an answer; "
        "limit: what an item that passed did not look into"
    )
    text: str = Field(default="", description="a sentence; empty: the item itself")


class HistoryRole(StrEnum):
    """What a revision was in this run."""

    LIVE = "live"
    NEWEST = "newest"
    TARGET = "target"
    WENT_BACK_TO = "went-back-to"
    ROLLED_BACK_FROM = "rolled-back-from"
    NONE = ""


class HistoryRow(Frozen):
    """One line of the release's history as it stood when this run ended."""

    revision: int = Field(description="its number")
    status: str = Field(description="Helm's word; empty: not read")
    chart: str = Field(default="", description="chart name and version")
    app_version: str = Field(default="", description="the chart's appVersion")
    deployed_at: Time | None = Field(default=None, description="when Helm deployed it")
    description: str = Field(default="", description="Helm's own sentence")
    role: HistoryRole = Field(
        default=HistoryRole.NONE,
        description="live: Helm's newest, deployed; newest: Helm's newest, in another state; target: to go "
        "back to; went-back-to; rolled-back-from; empty: none of them",
    )


class Window(Frozen):
    """The time that a dashboard or a log search has to show."""

    since: Time = Field(description="the bad deploy, or since when users were affected; else the run's start")
    until: Time = Field(description="the run's end, or its newest news while it goes on")


class Facts(Frozen):
    """What a record says, worked out from it."""

    live: LiveNow = Field(description="what is live")
    affected: Affected = Field(description="whether users were affected, since when, until when, by what")
    warned: tuple[Warned, ...] = Field(default=(), description="what warned and was passed")
    told: tuple[Told, ...] = Field(default=(), description="who was told what, oldest first")
    not_checked: tuple[NotChecked, ...] = Field(default=(), description="what this run does not know")
    history: tuple[HistoryRow, ...] = Field(
        default=(), description="the release's history when this run ended, newest first"
    )
    window: Window = Field(description="from the incident's beginning to the run's end")
    links: tuple[Link, ...] = Field(
        default=(), description="the configuration's links, but `commit`, with their fields filled in"
    )
    metrics: tuple[MetricFacts, ...] = Field(
        default=(), description="each metric check over the incident: when it was out of bounds, how badly"
    )


def find_facts(record: Record) -> Facts:
    """All facts of a record."""
    return Facts(
        live=find_live(record),
        affected=find_affected(record),
        warned=tuple(_warned(record)),
        told=tuple(_told(record)),
        not_checked=find_not_checked(record),
        history=find_history(record),
        window=find_window(record),
        links=find_links(record),
        metrics=find_metrics(record),
    )


def is_usual_description(text: str) -> bool:
    """Whether a revision's description is what helm writes by itself where all went well."""
    return _USUAL.fullmatch(text) is not None


def head(record: Record) -> int | None:
    """The current revision, as it was last read."""
    return record.revision_before if record.revision_after is None else record.revision_after


def revision_of(record: Record, number: int | None) -> Revision | None:
    """The revision with this number, as far as the plan knows it."""
    return _revision_in(record.plan, number)


def _revision_in(plan: Plan, number: int | None) -> Revision | None:
    known = (*plan.history, plan.target, plan.compared_with)
    return next((each for each in known if each is not None and each.revision == number), None)


def incident_began(plan: Plan, impact_since: datetime | None) -> datetime | None:
    """From when on a picture has to show it: since users were affected, as was said, or since the bad deploy.

    A deploy of the hour before what was said belongs to it. None: neither is known.
    """
    left = _left_revision(plan)
    deployed = left.deployed_at if left is not None else None
    if impact_since is None or deployed is None:
        return impact_since or deployed
    return deployed if deployed < impact_since <= deployed + _BELONGS else impact_since


def has_metrics(record: Record) -> bool:
    """Whether metrics are judged, whose verdicts come after the first one."""
    return any(is_metric(item.id) and item.verdict is not Verdict.WAIVED for item in record.items)


def changed(record: Record) -> bool:
    """Whether this run made the current revision."""
    number = head(record)
    acted = record.helm.ran or record.mode is Mode.GITHUB
    return acted and number is not None and number != record.revision_before


def find_live(record: Record) -> LiveNow:
    """What is live, by Helm and by the pods."""
    helm, number = record.helm, head(record)
    if helm.running:
        return LiveNow(state=LiveState.HELM_RUNNING)
    deployed_by_github = record.github is not None and record.github.deploys
    if record.revision_after is None and (helm.ran or deployed_by_github):
        return LiveNow(state=LiveState.NOT_READ_AGAIN)
    if number is None:
        nothing = record.outcome is Outcome.INTERRUPTED and not record.guards
        return LiveNow(state=LiveState.NOT_REACHED if nothing else LiveState.NOT_READ)
    known, made = revision_of(record, number), changed(record)
    rolled_to = known.rollback_of if known else None
    since = SourcedTime(at=known.deployed_at, source=Source.HISTORY) if known else None
    status = known.status if known else ""
    if made and not known:
        rolled_to = record.target_revision
        if helm.finished_at is not None:
            since = SourcedTime(at=helm.finished_at, source=Source.HELM)
        status = _status_of_ours(record)
    content = revision_of(record, rolled_to) or known
    finished = _finished(record) if status.startswith(PENDING) else None
    equal = record.find_item(EQUIVALENCE)
    return LiveNow(
        state=LiveState.IN_BETWEEN if finished is not None else LiveState.KNOWN,
        revision=number,
        status=status,
        chart=content.chart if content else "",
        rollback_of=rolled_to,
        since=since,
        finished=finished.revision if finished else None,
        finished_chart=finished.chart if finished else "",
        changed=made,
        equal=None if equal is None or refused(record) else equal.verdict,
        pods=_ready_pods(record),
        health=_last_health(record),
    )


def _status_of_ours(record: Record) -> str:
    """Of the revision that this run made: what the item said that read the history again."""
    rolled = record.find_item(ROLLBACK)
    return DEPLOYED if rolled is not None and rolled.verdict is Verdict.PASS else ""


def _finished(record: Record) -> Revision | None:
    deployed = (each for each in record.plan.history if each.status == DEPLOYED)
    return max(deployed, key=lambda each: each.revision, default=None)


def find_window(record: Record) -> Window:
    """What a dashboard has to show: the incident's beginning to the run's end."""
    news = record.finished_at or max((each.at for each in record.timeline), default=record.started_at)
    until = max(news, record.started_at)
    affected, current = find_affected(record), revision_of(record, record.revision_before)
    since = incident_began(record.plan, record.impact_since) or (current.deployed_at if current else None)
    if affected.by_this_rollback and affected.since is not None:
        since = affected.since.at
    return Window(since=min(since or record.started_at, record.started_at), until=until)


def find_links(record: Record) -> tuple[Link, ...]:
    """The configuration's links with their fields filled in; one whose value is not known is left out."""
    if not record.links:
        return ()
    window = find_window(record)
    left = record.plan.rolled_back_from or record.plan.compared_with
    revision = left.revision if left is not None else record.revision_before
    values = {
        "from_ms": str(round(window.since.timestamp() * 1000)),
        "to_ms": str(round(window.until.timestamp() * 1000)),
        "namespace": record.namespace,
        "release": record.release,
        "revision": "" if revision is None else str(revision),
    }
    found = {name: filled(text, values) for name, text in record.links.items() if name != COMMIT}
    return tuple(Link(name=name, url=url) for name, url in found.items() if url)


def commit_url(record: Record, sha: str) -> str:
    """Where a commit can be read; empty where no link `commit` is configured."""
    return filled(record.links.get(COMMIT, ""), {COMMIT: sha})


def split_series(series: str) -> tuple[str, str, str]:
    """``replicas/web/1.9.0`` as its kind, workload and version; an image may hold slashes itself."""
    kind, _, rest = series.partition("/")
    parts = rest.split("/")
    named = 2 if parts[0] in _WORKLOAD_KINDS else 1
    return kind, "/".join(parts[:named]), "/".join(parts[named:])


def _ready_pods(record: Record) -> tuple[ReadyPods, ...]:
    last: dict[str, dict[str, float]] = {}
    wanted: dict[str, float] = {}
    for point in sorted(record.samples, key=lambda each: each.at):
        kind, workload, version = split_series(point.series)
        if kind == "replicas":
            last.setdefault(workload, {})[version] = point.value
        elif kind == "wanted":
            wanted[workload] = point.value
    return tuple(
        ReadyPods(
            workload=workload,
            ready=round(sum(versions.values())),
            wanted=round(wanted[workload]) if workload in wanted else None,
        )
        for workload, versions in last.items()
    )


def health_answers(record: Record) -> list[tuple[datetime, bool]]:
    """Each answer of the health path, oldest first: when, and whether it passed."""
    points = (each for each in record.samples if each.series == _HEALTH_SERIES)
    return sorted((each.at, each.value >= 1) for each in points)


def _last_health(record: Record) -> bool | None:
    asked = health_answers(record)
    return asked[-1][1] if asked else None


def find_affected(record: Record) -> Affected:
    """Whether users were affected, since when, until when, how badly and by what."""
    before, seen = _before(record)
    now = _now(record)
    broke = _broke(record) if before is False and record.helm.ran else None
    said = record.impact_since
    by_this = broke is not None and (said is None or said >= (record.helm.started_at or said))
    since = SourcedTime(at=said, source=Source.OPERATOR) if said is not None else None
    if by_this:
        since = broke
    left, left_until = _left(record)
    if left is None and now and record.mode is Mode.VERIFY:
        left = revision_of(record, record.revision_before)
    since_helm = [ok for at, ok in health_answers(record) if at >= (record.helm.started_at or at)]
    return Affected(
        before=before,
        before_seen=seen,
        now=now,
        since=since,
        until=_until(record, before=before, now=now, broke=broke),
        by_this_rollback=by_this,
        left=left.revision if left else None,
        left_chart=left.chart if left else "",
        left_since=left.deployed_at if left else None,
        left_until=left_until,
        probes=len(since_helm),
        probes_failed=since_helm.count(False),
    )


def users_signal(record: Record) -> Signal | None:
    """The decision's signal on users; None where nothing was decided."""
    signals = record.decision.signals if record.decision is not None else ()
    return next((each for each in signals if each.name is SignalName.USERS_IMPACTED), None)


def _before(record: Record) -> tuple[bool | None, str]:
    """Whether something was not well before helm ran, and what was seen."""
    signal, helm_at = users_signal(record), record.helm.started_at
    early = [ok for at, ok in health_answers(record) if helm_at is not None and at < helm_at]
    if signal is not None and signal.answer is Answer.YES:
        return True, signal.evidence
    if False in early:
        return True, f"/health failed {early.count(False)} of {len(early)} times"
    if signal is not None and signal.answer is Answer.NO:
        return False, signal.evidence
    return (False, f"/health passed {len(early)} of {len(early)} times") if early else (None, "")


def _now(record: Record) -> bool | None:
    """Whether users were affected when this run last looked.

    From what was seen, also where an item is waived: an outcome is no evidence about users.
    """
    health, pods = _last_health(record), _ready_pods(record)
    if health is False or any(each.ready == 0 and each.wanted for each in pods):
        return True
    telling = [HEALTH, *(each.id for each in record.metrics if each.users_impacted)]
    items = [record.find_item(each) for each in telling]
    if any(each is not None and each.verdict is Verdict.FAIL for each in items) and not refused(record):
        return True
    if record.outcome in GREEN_OUTCOMES:
        return False if health or _faced_users(record) else None
    if health is None and not pods and not record.helm.ran:
        return _before(record)[0]
    return None


def _faced_users(record: Record) -> bool:
    """Whether something that users meet was checked, and passed."""
    items = (record.find_item(each) for each in (SMOKE, HEALTH))
    return any(item is not None and item.verdict is Verdict.PASS for item in items)


def _broke(record: Record) -> SourcedTime | None:
    """When something broke after helm began: a probe that failed, or a workload without a ready pod."""
    helm_at = record.helm.started_at
    if helm_at is None:
        return None
    seen = [(at, Source.HEALTH) for at, ok in health_answers(record) if at >= helm_at and not ok]
    seen += [(at, Source.PODS) for at in _without_pods(record) if at >= helm_at]
    return min((SourcedTime(at=at, source=source) for at, source in seen), key=_at, default=None)


def _at(time: SourcedTime) -> datetime:
    return time.at


def _without_pods(record: Record) -> Iterator[datetime]:
    """When a workload that had a ready pod had none."""
    last: dict[str, int] = {}
    for at, workload, ready in ready_counts(record):
        if last.get(workload) and not ready:
            yield at
        last[workload] = ready


def ready_counts(record: Record) -> Iterator[tuple[datetime, str, int]]:
    """(when, workload, ready pods of all its revisions) at each look that saw a change."""
    ready: dict[str, dict[str, float]] = {}
    points = [
        (point.at, *split_series(point.series)[1:], point.value)
        for point in record.samples
        if point.series.startswith("replicas/")
    ]
    for (at, workload), same_look in groupby(
        sorted(points, key=lambda each: each[:2]), key=lambda each: each[:2]
    ):
        ready.setdefault(workload, {}).update({version: value for _, _, version, value in same_look})
        yield at, workload, round(sum(ready[workload].values()))


def _until(
    record: Record, *, before: bool | None, now: bool | None, broke: SourcedTime | None
) -> SourcedTime | None:
    if now or (now is None and record.outcome in GREEN_OUTCOMES):
        return None
    if record.served_again_at is not None:
        return SourcedTime(at=record.served_again_at, source=Source.HEALTH)
    # Of a message during the soak; while metrics are watched it has no outcome yet.
    soaks = record.outcome in GREEN_OUTCOMES or (record.outcome is Outcome.RUNNING and has_metrics(record))
    passed_at = record.recovered_at or (record.provisional_at if soaks else None)
    if passed_at is None or (before is False and broke is None and record.impact_since is None):
        return None
    if record.mode is Mode.VERIFY or not record.helm.ran:
        return None  # it was found well, which says nothing of when it became so
    if not has_metrics(record):
        return SourcedTime(at=passed_at, source=Source.CHECKLIST)
    # A rate's query looks back: it may say so a little longer than users met it, never shorter.
    last = max((each.end for each in _users_out(record)), default=passed_at)
    if last > passed_at:
        return SourcedTime(at=last, source=Source.METRICS)
    return SourcedTime(at=passed_at, source=Source.WITHOUT_METRICS)


def _users_out(record: Record) -> Iterator[Stretch]:
    """When the metric that stands for users was out of bounds."""
    for series, found in zip(record.metrics, find_metrics(record), strict=True):
        if series.users_impacted and not found.still_out:
            yield from found.out


def _left(record: Record) -> tuple[Revision | None, datetime | None]:
    """The revision that was gone back from, if users met it after the target's deploy; until when."""
    left = _left_revision(record.plan)
    if left is None:
        return None, None
    current = revision_of(record, record.revision_before)
    return left, current.deployed_at if current is not None and current.revision > left.revision else None


def _left_revision(plan: Plan) -> Revision | None:
    left, target = plan.rolled_back_from or plan.compared_with, plan.target
    origin = target and (_revision_in(plan, target.rollback_of) or target)
    return None if left is None or (origin is not None and origin.deployed_at > left.deployed_at) else left


def _warned(record: Record) -> Iterator[Warned]:
    reasons = {each.id: each.reason for each in record.overrides if each.kind == "guard"}
    for guard in record.guards:
        overridden = guard.state is GuardState.OVERRIDDEN
        if overridden or (guard.state is GuardState.WARNED and guard.consequence):
            yield Warned(
                id=guard.id,
                evidence=guard.evidence,
                consequence=guard.consequence,
                overridden=overridden,
                reason=reasons.get(guard.id, ""),
            )


def _told(record: Record) -> Iterator[Told]:
    for each in record.deliveries:
        received = True if each.ok else False if each.refused or each.unsent else None
        yield Told(to=each.to, event=each.event, at=each.at, received=received)


_KINDS = {
    "WAIVED": NotCheckedKind.WAIVED,
    "UNVERIFIED": NotCheckedKind.UNVERIFIED,
    "NO VERDICT": NotCheckedKind.NO_VERDICT,
    "WAITING": NotCheckedKind.WAITING,
}


def find_not_checked(record: Record) -> tuple[NotChecked, ...]:
    """Items without a verdict on the service, guards without an answer, and the limits of what passed.

    Empty after a refusal, where nothing was run.
    """
    if refused(record):
        return ()
    items = [
        NotChecked(id=item.id, kind=kind)
        for word, kind in _KINDS.items()
        for item in record.items
        if item.verdict not in (Verdict.PASS, Verdict.FAIL) and word_of(item, record) == word
    ]
    guards = [
        NotChecked(id=guard.id, kind=NotCheckedKind.GUARD, text=guard.evidence)
        for guard in record.guards
        if guard.state is GuardState.WARNED and not guard.consequence
    ]
    limits = [
        NotChecked(id=item.id, kind=NotCheckedKind.LIMIT, text=limit)
        for item in record.items
        if item.verdict is Verdict.PASS
        for limit in item.limits
    ]
    return (*items, *guards, *limits)


def find_history(record: Record) -> tuple[HistoryRow, ...]:
    """The release's history when the run ended, newest first: with the revision that this run made."""
    live = find_live(record)
    made = live.changed and live.status == DEPLOYED
    rows = [_row(record, each, live, made=made) for each in record.plan.history]
    if live.revision is not None and all(row.revision != live.revision for row in rows) and rows:
        content = revision_of(record, live.rollback_of)
        rows.append(
            HistoryRow(
                revision=live.revision,
                status=live.status,
                chart=live.chart,
                app_version=content.app_version if content else "",
                deployed_at=live.since.at if live.since else None,
                description=f"Rollback to {live.rollback_of}, by this run" if live.rollback_of else "",
                role=HistoryRole.LIVE if live.status == DEPLOYED else HistoryRole.NEWEST,
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.revision))


def _row(record: Record, each: Revision, live: LiveNow, *, made: bool) -> HistoryRow:
    replaced = made and each.status == DEPLOYED and each.revision != live.revision
    return HistoryRow(
        revision=each.revision,
        status="superseded" if replaced else each.status,
        chart=each.chart,
        app_version=each.app_version,
        deployed_at=each.deployed_at,
        description=each.description,
        role=_role(record, each, live),
    )


def _role(record: Record, each: Revision, live: LiveNow) -> HistoryRole:
    left = record.plan.rolled_back_from
    if each.revision == (live.finished or live.revision) and not record.helm.running:
        return HistoryRole.LIVE if each.status == DEPLOYED else HistoryRole.NEWEST
    if left is not None and each.revision == left.revision:
        return HistoryRole.ROLLED_BACK_FROM
    if each.revision == record.target_revision:
        return HistoryRole.WENT_BACK_TO if _went_back(record) else HistoryRole.TARGET
    return HistoryRole.NONE


def _went_back(record: Record) -> bool:
    rolled = record.find_item(ROLLBACK)
    here = revision_of(record, head(record))
    return (rolled is not None and rolled.verdict is Verdict.PASS and changed(record)) or (
        here is not None and here.rollback_of == record.target_revision
    )


def looked_at(record: Record) -> datetime:
    """When the preflight had looked: what a refusal or a rehearsal knows of users is from then."""
    preflight = record.find_item(PREFLIGHT)
    found = preflight.finished_at if preflight is not None else None
    return found or record.finished_at or record.started_at
