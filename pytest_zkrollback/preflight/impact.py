"""Are users impacted, and by how many commits? What can be seen of both within the preflight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ..clients.prometheus import PrometheusClient, fill_in
from ..clients.threads import submit
from ..domain.decision import SignalReading
from ..domain.errors import HttpProblem, HttpProblemKind, ZkRollbackError
from ..domain.health_answer import BODY_LIMIT_BYTES, parse_health
from ..domain.item_ids import metric_id
from ..domain.metric import limits, shown
from ..engine.metric_sample import read_sample
from ..release.shared_reads import SharedReads
from ..release.source_commit import commit_of
from .decision import NO, UNKNOWN, YES

if TYPE_CHECKING:
    from ..config.environment import Environment, Metric
    from ..domain.checks import JsonObject
    from ..domain.metric import NoValueKind
    from ..domain.ports import Http, HttpAnswer, Kube
    from ..release.helm_secret import Release
    from ..release.history import ReleaseHistory

# One request to a broken service must not eat the preflight's budget.
HEALTH_S = 2.0
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


def fetch_users_impacted(
    env: Environment,
    kube: Kube,
    http: Http,
    prometheus: PrometheusClient | None = None,
    reads: SharedReads | None = None,
) -> SignalReading:
    """Unavailable replicas of the environment's workloads, ``/health`` once, and the metric that is named.

    ``prometheus``: of the environment's table; None: it has none. ``reads``: what others read of ``kube``.

    Raises no ClusterError or HttpProblem: what could not be asked is unknown.
    """
    named = env.metrics.users_impacted if env.metrics else None
    metric = next((each for each in env.metric_checks if each.id == named), None)
    answer = None
    if metric is not None and prometheus is not None:  # beside the others: the budget is short
        answer = submit("users-impacted", partial(_fetch_metric, env, metric, prometheus))
    reads = reads or SharedReads(kube)
    asked = [_fetch_replicas(env, kube, reads, workload) for workload in env.named_workloads.values()]
    if not asked:
        asked.append((None, "replicas: not known, the configuration names no workload"))
    asked.append(_fetch_health(env, http))
    if answer is None:
        return judge_users_impacted(asked)
    return judge_users_impacted([*asked, answer.result()], source="cluster, /health and metrics")


def judge_users_impacted(
    asked: Sequence[tuple[bool | None, str]], source: str = "cluster and /health"
) -> SignalReading:
    """``asked``: well (None: not known) and what was seen. Yes if one is not well, no if all are well."""
    said = "; ".join(text for _, text in asked)
    if any(well is False for well, _ in asked):
        bad = "; ".join(text for well, text in asked if well is False)
        return SignalReading(YES, source, bad)
    answer = NO if asked and all(well for well, _ in asked) else UNKNOWN
    return SignalReading(answer, source, said)


@dataclass(frozen=True)
class MetricLook:
    """One look at a metric. ``within``: whether it is within its limits; None: not known, see ``kind``."""

    within: bool | None
    kind: NoValueKind | None
    text: str


def ask_metric(env: Environment, metric: Metric, prometheus: PrometheusClient) -> MetricLook:
    """Ask once, for at most two seconds."""
    reading = prometheus.query(fill_in(metric.query, env.namespace, env.release), timeout_s=HEALTH_S)
    sample = read_sample(metric, datetime.min, reading)
    if sample.value is None:
        return MetricLook(None, sample.reading.kind, sample.reading.text)
    text = f"{shown(metric, sample.value)} (limit: {limits(metric)})"
    return MetricLook(sample.within, None, f"{text}, by when_empty" if sample.assumed else text)


def _fetch_metric(env: Environment, metric: Metric, prometheus: PrometheusClient) -> tuple[bool | None, str]:
    look, name = ask_metric(env, metric, prometheus), metric_id(metric.id)
    return look.within, f"{name}: {look.text}" if look.kind is None else f"{name}: not known ({look.text})"


def _fetch_replicas(
    env: Environment, kube: Kube, reads: SharedReads, workload: str
) -> tuple[bool | None, str]:
    kind, _, name = workload.partition("/")
    try:
        found = reads.get(kube.resource_path("apps/v1", _KINDS[kind], env.namespace, name), HEALTH_S)
    except ZkRollbackError as error:
        return None, f"replicas of {name}: not known ({error})"
    return judge_replicas(name, found)


def judge_replicas(name: str, found: JsonObject) -> tuple[bool | None, str]:
    """Whether a workload has all the available replicas that it wants."""
    spec, status = found.get("spec") or {}, found.get("status") or {}
    wanted = status.get("desiredNumberScheduled", spec.get("replicas", 1))
    available = status.get("numberAvailable", status.get("availableReplicas", 0))
    return available >= wanted, f"{available} of {wanted} replicas of {name} available"


def _fetch_health(env: Environment, http: Http) -> tuple[bool | None, str]:
    if env.health_off:
        return None, "/health was not asked: it is left out by configuration"
    if not env.health or not env.url:
        return None, "/health was not asked: no url is configured"
    path = env.health.path
    try:
        answer = http.get(env.url.rstrip("/") + path, timeout_s=HEALTH_S, limit_bytes=BODY_LIMIT_BYTES)
    except HttpProblem as problem:
        # A name that does not resolve from here says nothing of users; refused or late says that they wait.
        return None if problem.kind is HttpProblemKind.UNRESOLVED else False, f"{path}: {problem}"
    return judge_health_once(path, answer, env.health.expect)


def judge_health_once(
    path: str, answer: HttpAnswer, expect: dict[str, str | bool | int]
) -> tuple[bool | None, str]:
    """Whether one answer of ``/health`` is the expected one."""
    if answer.status != 200:
        return False, f"{path} answers HTTP {answer.status}"
    read = parse_health(answer, expect)
    return read.ok, f"{path} answers as it should" if read.ok else f"{path}: {read.trouble}"


def judge_many_commits(
    history: ReleaseHistory,
    target: int,
    bad: int,
    counters: Mapping[str, Callable[[str, str], int]],
    name: Callable[[Release], str | None] = lambda release: commit_of(release.revision),
) -> SignalReading:
    """Whether several commits lie between the target and the bad revision.

    ``counters`` count commits from good to bad, by who counts (each raises ZkRollbackError); the first one
    that knows both has the word. ``name`` says what a revision was made of. Where nobody knows, the revisions
    between are counted: one revision may hold many commits. A rollback holds none, nor what was there before.
    """
    good_one, bad_one = history.content_of(target), history.get(bad)
    good_commit = name(good_one) if good_one else None
    bad_commit = name(bad_one) if bad_one else None
    if not counters:
        why = ["no git checkout is configured"]
    elif not (good_commit and bad_commit):
        why = ["the revisions' tags and versions name no commit"]
    else:
        why = []
        for source, count in counters.items():
            try:
                number = count(good_commit, bad_commit)
            except ZkRollbackError as error:
                why.append(str(error))
                continue
            said = f"{number} commit{'' if number == 1 else 's'} from {good_commit} to {bad_commit}"
            return SignalReading(YES if number > 1 else NO, source, said)
    new, same = _new_since(history, target, bad)
    said = f"new since the target: revision{'s' if len(new) > 1 else ''} {', '.join(new)}" if new else ""
    said = said or "no revision since the target brought anything new"
    if same:
        said += f"; rollbacks, or the same again: {', '.join(same)}"
    whole = all(number in {one.revision for one in history.revisions} for number in range(target, bad + 1))
    answer = YES if len(new) > 1 else UNKNOWN if new or not whole else NO
    return SignalReading(answer, "helm history", f"{said} ({' '.join(why)})")


def _new_since(history: ReleaseHistory, target: int, bad: int) -> tuple[list[str], list[str]]:
    """The numbers of the revisions that brought something new, and of the other ones."""
    good = history.content_of(target)
    known = {good.manifest} if good is not None else set()
    new: list[str] = []
    same: list[str] = []
    for release in history.releases:
        revision = release.revision
        if not target < revision.revision <= bad:
            continue
        again = revision.rollback_of is not None or release.manifest in known
        (same if again else new).append(str(revision.revision))
        known.add(release.manifest)
    return new, same
