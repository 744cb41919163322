"""A release with workloads in other namespaces than its own: judged there, namesakes apart, no gap called well."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_zkrollback.checklist.equivalence.check import EquivalenceCheck
from pytest_zkrollback.checklist.events.check import EventsCheck, EventSource
from pytest_zkrollback.checklist.events.feed import EventFeed
from pytest_zkrollback.checklist.logs.check import LogsCheck
from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, JsonObject, Sample, Snapshot
from pytest_zkrollback.domain.errors import Forbidden, Unreachable
from pytest_zkrollback.domain.verdict import CheckResult, Pending, Verdict
from pytest_zkrollback.release.drift import LiveObject, compare_each
from pytest_zkrollback.release.namespaces import event_namespaces, pod_namespaces
from pytest_zkrollback.run.initial_checklist import initial_rollouts
from support.manifests import parse_manifest

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
START = "2026-11-23T10:00:01Z"
APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: PLACE}
spec:
  replicas: 1
  template: {metadata: {labels: {app: app}}, spec: {containers: [{name: app, image: "app:1", envFrom: [{configMapRef: {name: c}}]}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: PLACE}
data: {k: VALUE}
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: PLACE}
spec: {selector: {app: app}}
"""


def release(own: str = "good", other: str = "good") -> str:
    places = (("own", own), ("other", other))
    return "---\n".join(APP.replace("PLACE", place).replace("VALUE", value) for place, value in places)


TARGET = parse_manifest(release(), "own")
ENV = Environment(
    name="e",
    context="ctx",
    namespace="own",
    release="web",
    workloads={"app": "deployment/app"},
    logs={"selector": "auto"},
)
BOTH = ENV.model_copy(update={"workloads": {"app": "deployment/app", "other-app": "other/deployment/app"}})
MAY_NOT = Forbidden(
    "The credentials of x may not list pods in namespace other. RBAC has to allow it.",
    verb="list",
    resource="pods",
    namespace="other",
)


def live(target: tuple[JsonObject, ...] = TARGET) -> tuple[LiveObject, ...]:
    found = []
    for item in target:
        place = item["metadata"]["namespace"]
        found.append(LiveObject({**item, "metadata": {**item["metadata"], "uid": f"{item['kind']}-{place}"}}))
    return tuple(found)


def replicaset(place: str) -> JsonObject:
    owner = {"kind": "Deployment", "name": "app", "uid": f"Deployment-{place}", "controller": True}
    return {
        "metadata": {"name": "app-1", "namespace": place, "uid": f"rs-{place}", "ownerReferences": [owner]}
    }


def pod(
    place: str, name: str = "app-1-a", image: str = "app:1", began: str = START, **more: Any
) -> JsonObject:
    owner = {"kind": "ReplicaSet", "name": "app-1", "uid": f"rs-{place}", "controller": True}
    status = {"name": "app", "state": {"running": {"startedAt": began}}, "ready": True, "restartCount": 0}
    metadata = {"name": name, "namespace": place, "uid": f"{place}-{name}", "labels": {"app": "app"}}
    return {
        "metadata": {**metadata, "ownerReferences": [owner], "creationTimestamp": began, **more},
        "spec": {
            "containers": [{"name": "app", "image": image, "envFrom": [{"configMapRef": {"name": "c"}}]}]
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status],
        },
    }


def equivalence(
    own: tuple[JsonObject, ...],
    other: tuple[JsonObject, ...] | Forbidden,
    target: tuple[JsonObject, ...] = TARGET,
    **more: Any,
) -> CheckResult:
    def shown(place: str, pods: Any) -> Snapshot:
        if isinstance(pods, Forbidden):
            return Snapshot(NOW, {"replicasets": ()}, {"pods": pods})
        return Snapshot(NOW, {"replicasets": (replicaset(place),), "pods": pods})

    there = {(each.item["kind"], each.item["metadata"]["namespace"]): each.item for each in live(target)}

    def get(path: str, timeout_s: float = 5.0) -> JsonObject:
        *_, place, kind, _ = path.split("/")
        return there[kind, place]

    def refuse(*_: Any, **__: Any) -> JsonObject:
        raise MAY_NOT

    kube = SimpleNamespace(
        resource_path=lambda api_version, kind, place, name="": f"/x/namespaces/{place}/{kind}/{name}",
        get=get,
        send=refuse,
        list=refuse,
        list_metadata=refuse,
    )
    check = EquivalenceCheck(
        env=BOTH,
        kube=kube,
        revision=1,
        target=target,
        since=NOW,
        snapshot=lambda: shown("own", own),
        elsewhere={"other": lambda: shown("other", other)},
        **more,
    )
    sample = Sample(NOW, check.observe())
    return check.judge(History((sample,), NOW, judged_from=NOW, rollouts_passed=False), NOW)


def sentence(found: CheckResult | Pending) -> str:
    return found.observed.partition("; read-only")[0]


def test_case_c5_pods_of_namesakes_are_held_against_their_own_template() -> None:
    target = tuple(
        item
        if item["kind"] != "Deployment" or item["metadata"]["namespace"] == "own"
        else of_image(item, "app:2")
        for item in TARGET
    )
    assert equivalence((pod("own"),), (pod("other", image="app:2"),), target).word is Verdict.PASS
    red = equivalence((pod("own"),), (pod("other"),), target)
    assert (red.word, sentence(red)) == (
        Verdict.FAIL,
        "Pod app-1-a of Deployment/app in namespace other runs app:1 as app, not app:2",
    )
    assert red.by_hand.startswith("kubectl get pod app-1-a -o 'custom-columns=")
    assert red.by_hand.endswith(" -n other --context ctx")


def of_image(item: JsonObject, image: str) -> JsonObject:
    template = item["spec"]["template"]
    (container,) = template["spec"]["containers"]
    spec = {**template["spec"], "containers": [{**container, "image": image}]}
    return {**item, "spec": {**item["spec"], "template": {**template, "spec": spec}}}


def test_case_c5_settings_of_a_namesake_in_another_namespace_concern_nobody_here() -> None:
    early = "2026-11-23T09:00:00Z"
    pods = (pod("own", began=early),), (pod("other", began=early),)
    away = {"rolled_away": (parse_manifest(release(other="bad"), "own"),)}
    red = equivalence(*pods, **away)
    assert (red.word, sentence(red)) == (
        Verdict.FAIL,
        "Pod app-1-a of Deployment/app in namespace other was not restarted: its container app read ConfigMap/c at "
        "its start, before the rollback changed it back (kubectl rollout restart deployment/app -n other)",
    )
    assert red.cures == ("kubectl rollout restart deployment/app -n other --context ctx",)
    fresh = equivalence((pod("own", began=early),), (pod("other"),), **away)
    assert fresh.word is Verdict.PASS, fresh.observed


def test_case_c5_a_service_selects_pods_of_its_own_namespace_only() -> None:
    naked = {
        **pod("other", "naked"),
        "metadata": {**pod("other", "naked")["metadata"], "ownerReferences": []},
    }
    red = equivalence((pod("own"),), (pod("other"), naked))
    assert sentence(red) == "Pod naked belongs to no workload and serves Service/app in namespace other"
    third = {**naked, "metadata": {**naked["metadata"], "namespace": "third"}}
    assert equivalence((pod("own"), third), (pod("other"),)).word is Verdict.PASS


def test_case_c5_pods_that_may_not_be_read_are_unverified_with_the_right_and_hide_no_other() -> None:
    dark = equivalence((pod("own"),), MAY_NOT)
    assert dark.word is Verdict.UNVERIFIED
    assert dark.observed.startswith(f"1 of these reads failed: {MAY_NOT} (")


def test_case_c5_an_autoscaler_takes_over_the_replicas_of_its_own_namespace_only() -> None:
    scaler = parse_manifest(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h, namespace: other}\n"
        "spec: {scaleTargetRef: {kind: Deployment, name: app}}",
        "own",
    )
    target = (*(item for item in TARGET if item["kind"] == "Deployment"), *scaler)
    scaled = [
        LiveObject({**each.item, "spec": {**each.item["spec"], "replicas": 3}})
        if each.item["kind"] == "Deployment"
        else each
        for each in live(target)
    ]
    assert [[one.path for one in each] for each in compare_each(target, scaled)] == [
        ["spec.replicas"],
        [],
        [],
    ]


# -- rollouts --


def deployment(**more: Any) -> JsonObject:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    metadata = {"name": "app", "namespace": "other", "uid": "Deployment-other", "generation": 1}
    return {"metadata": metadata, "spec": {"replicas": 1, "template": {}, **more}, "status": status}


def rolled_out(*objects: JsonObject, pods: tuple[JsonObject, ...] = ()) -> tuple[RolloutCheck, Any]:
    owned = {**replicaset("other"), "spec": {"template": {}}}
    shot = Snapshot(NOW, {"deployments": objects, "replicasets": (owned,), "pods": pods})
    check = RolloutCheck(env=BOTH, item="other-app", workload="other/deployment/app", snapshot=lambda: shot)
    sample = Sample(NOW, check.observe())
    return check, check.judge(History((sample,), NOW, judged_from=NOW), NOW)


def test_case_c5_a_rollout_in_another_namespace_is_judged_and_named_there() -> None:
    check, green = rolled_out(deployment(), pods=(pod("other"),))
    assert (green.word, green.observed) == (Verdict.PASS, "1 of 1 pods ready, running app:1")
    assert check.id == "rollout-other-app"
    assert check.title == "kubectl rollout status deployment/app -n other --timeout=120s"
    assert check.command == "kubectl rollout status deployment/app --timeout=120s -n other --context ctx"
    assert check.expected.startswith(
        "in namespace other, every replica of deployment/app's current revision is "
    )
    [item, named] = initial_rollouts(BOTH.named_workloads)
    assert (item.title, named.title) == (
        "kubectl rollout status deployment/app",
        "kubectl rollout status deployment/app -n other",
    )


def test_case_c5_what_is_missing_or_paused_there_is_said_with_the_namespace() -> None:
    _, missing = rolled_out()
    assert (missing.word, missing.observed) == (
        Verdict.FAIL,
        "deployment/app does not exist (namespace other)",
    )
    _, paused = rolled_out(deployment(paused=True))
    assert (paused.word, paused.observed, paused.cures) == (
        Verdict.UNVERIFIED,
        "deployment/app in namespace other: is paused, so nothing rolls out; go on with: kubectl rollout resume "
        "deployment/app -n other",
        ("kubectl rollout resume deployment/app -n other --context ctx",),
    )


# -- logs --


def read_logs(found: Any, env: Environment = BOTH, **logs: str) -> tuple[LogsCheck, CheckResult, list[str]]:
    asked: list[str] = []

    def text(path: str, query: Any, timeout_s: float, limit_bytes: int) -> str:
        asked.append(path)
        place = path.split("/")[4]
        return f"2026-11-23T10:00:02Z {logs.get(place, 'ready')}\n"

    def there() -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    def listed(path: str, query: Any, timeout_s: float) -> Any:
        asked.append(path)
        return (pod("own"),) if "/own/" in path else there()

    kube = SimpleNamespace(text=text, list=listed)
    check = LogsCheck(
        env=env, kube=kube, since=NOW, workload_pods=lambda: (pod("own"),), elsewhere={"other": there}
    )
    judged = check.judge(History((Sample(NOW, check.observe()),), NOW), NOW)
    assert isinstance(judged, CheckResult)
    return check, judged, asked


def test_case_c5_logs_are_read_where_the_pods_are() -> None:
    check, green, asked = read_logs((pod("other"),))
    assert (green.word, green.observed) == (
        Verdict.PASS,
        "2 containers of 2 pods: no bad one among 2 lines since 2026-11-23 10:00:00 UTC.",
    )
    assert sorted(asked) == [f"/api/v1/namespaces/{each}/pods/app-1-a/log" for each in ("other", "own")]
    assert [each.title for each in green.evidence] == [
        "Last lines of app-1-a/app",
        "Last lines of other/app-1-a/app",
    ]
    more = "--all-pods --tail=50 --all-containers --prefix"
    assert check.command == (
        f"kubectl logs deployment/app {more} -n own --context ctx; "
        f"kubectl logs deployment/app {more} -n other --context ctx"
    )


def test_case_c5_a_fatal_line_in_another_namespace_is_red_with_the_command_that_shows_it() -> None:
    _, red, _ = read_logs((pod("other"),), other="FATAL: no pool")
    assert (red.word, red.observed) == (
        Verdict.FAIL,
        "1 bad line since 2026-11-23 10:00:00 UTC. other/app-1-a/app: FATAL: no pool",
    )
    assert red.by_hand == (
        "kubectl logs app-1-a -c app --since-time=2026-11-23T10:00:00Z -n other --context ctx"
    )


def test_case_c5_pods_that_cannot_be_listed_leave_the_logs_unverified_and_hide_no_bad_line() -> None:
    _, dark, _ = read_logs(MAY_NOT)
    assert (dark.word, dark.observed) == (
        Verdict.UNVERIFIED,
        f"The pods in namespace other, whose logs count, could not be listed: {MAY_NOT}",
    )
    _, red, _ = read_logs(MAY_NOT, own="panic: x")
    assert red.word is Verdict.FAIL


def test_case_c5_a_selector_is_asked_for_in_every_namespace_of_the_release() -> None:
    named = BOTH.model_copy(update={"logs": BOTH.logs.model_copy(update={"selector": "app=app"})})
    check, red, _ = read_logs((pod("other"),), named, other="FATAL: no pool")
    assert red.word is Verdict.FAIL
    assert check.command == (
        "kubectl logs -l app=app --tail=50 --all-containers --prefix -n own --context ctx; "
        "kubectl logs -l app=app --tail=50 --all-containers --prefix -n other --context ctx"
    )


# -- events --


def warning(place: str, kind: str = "Pod", name: str = "app-1-a", reason: str = "BackOff") -> JsonObject:
    return {
        "metadata": {"name": f"{name}.1", "namespace": place, "uid": f"{place}-{kind}-{name}"},
        "involvedObject": {"kind": kind, "name": name, "namespace": place},
        "type": "Warning",
        "reason": reason,
        "message": "it is down",
        "lastTimestamp": START,
    }


class Kube:
    """Answers the lists of events; ``refused`` is what the other namespace says."""

    def __init__(self, own: Any = (), other: Any = ()) -> None:
        self.events = {"own": own, "other": other}

    def pages(self, path: str, query: Any = None, timeout_s: float = 5.0, *, without_managed_fields: bool):
        found = self.events[path.split("/")[4]]
        if isinstance(found, Exception):
            raise found
        yield found, "7"


def judge_events(kube: Kube, down: tuple[str, ...] = (), owned: Any = ("own", "other")) -> Any:
    def shot(place: str) -> Snapshot:
        found = pod(place)
        if place in down:
            found["status"]["conditions"] = []
        return Snapshot(NOW, {"pods": (found,), "replicasets": (replicaset(place),), "deployments": ()})

    mine = frozenset({("Deployment", "app")})
    feeds = {place: EventFeed(kube, place, SystemClock()) for place in ("own", "other")}  # type: ignore[arg-type]
    check = EventsCheck(
        env=BOTH,
        kube=kube,  # type: ignore[arg-type]
        log=feeds["own"],
        since=NOW,
        owned=mine if "own" in owned else frozenset(),
        snapshot=lambda: shot("own"),
        elsewhere=(
            EventSource(
                "other", feeds["other"], mine if "other" in owned else frozenset(), lambda: shot("other")
            ),
        ),
        settle_s=0,
    )
    return check, check.judge(History((Sample(NOW, check.observe()),), NOW), NOW)


def test_case_c5_events_of_another_namespace_are_counted_and_judged() -> None:
    check, green = judge_events(Kube((warning("own"),), (warning("other"),)))
    assert (green.word, green.observed) == (
        Verdict.PASS,
        "Every object that had a warning is well again or gone; warnings since 2026-11-23 10:00:00 UTC: 2.",
    )
    _, quiet = judge_events(Kube())
    assert quiet.observed == (
        "No warning about the release since 2026-11-23 10:00:00 UTC (0 events in 2 namespaces)."
    )
    assert check.command == (
        "kubectl get events --sort-by=.lastTimestamp -n own --context ctx | tail -20; "
        "kubectl get events --sort-by=.lastTimestamp -n other --context ctx | tail -20"
    )
    _, red = judge_events(Kube((), (warning("other"),)), down=("other",))
    assert (red.word, red.observed) == (
        Verdict.FAIL,
        "Pod app-1-a in namespace other is in trouble: BackOff, 1 times, last 10:00:01 UTC: it is down",
    )
    assert red.by_hand == (
        "kubectl get events --field-selector involvedObject.kind=Pod,involvedObject.name=app-1-a -n other "
        "--context ctx"
    )
    assert [each.title for each in red.evidence][1:] == [
        "The last 0 of 0 events (UTC)",
        "The last 1 of 1 events in namespace other (UTC)",
    ]


def test_case_c5_a_namesake_of_somebody_else_is_not_the_releases() -> None:
    _, green = judge_events(Kube((warning("own"),)), down=("own",), owned=("other",))
    assert green.word is Verdict.PASS


@pytest.mark.parametrize(
    ("error", "kind"), [(MAY_NOT, CheckResult), (Unreachable("no answer"), Pending)], ids=["right", "network"]
)
def test_case_c5_events_that_cannot_be_read_are_never_no_warning(error: Exception, kind: type) -> None:
    _, dark = judge_events(Kube((), error))
    assert isinstance(dark, kind)
    assert dark.observed == f"The events in namespace other could not be judged: {error}"
    _, red = judge_events(Kube((warning("own"),), error), down=("own",))
    assert red.word is Verdict.FAIL


# -- where to look --


def test_case_c5_only_namespaces_with_pods_are_watched_and_only_objects_with_a_state_have_events() -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "leases"},
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "jobs"},
        "spec": {"template": {"spec": {}}},
    }
    objects = (*TARGET, role, job)
    assert pod_namespaces(objects) == {
        "own": ("deployments", "pods", "replicasets"),
        "other": ("deployments", "pods", "replicasets"),
        "jobs": ("pods", "replicasets"),
    }
    assert event_namespaces(objects) == ("own", "other", "jobs")


def test_case_c5_every_printed_command_is_one_that_kubectl_takes() -> None:
    """One -n for each kubectl, no kind/name with a third part."""
    early = "2026-11-23T09:00:00Z"
    away = {"rolled_away": (parse_manifest(release(other="bad"), "own"),)}
    check, _ = rolled_out(deployment(), pods=(pod("other"),))
    logs, red_logs, _ = read_logs((pod("other"),), other="FATAL: x")
    events, red_events = judge_events(Kube((), (warning("other"),)), down=("other",))
    red = equivalence((pod("own", began=early),), (pod("other", began=early),), **away)
    printed = [
        check.command,
        logs.command,
        red_logs.by_hand,
        events.command,
        red_events.by_hand,
        red.by_hand,
        *red.cures,
        *rolled_out(deployment(paused=True))[1].cures,
    ]
    for line in (one for each in printed for one in each.split("; ")):
        words = shlex.split(line.partition(" | ")[0])
        assert words[0] == "kubectl"
        assert words.count("-n") == 1, line
        plain = [word for word in words if "/" in word and "=" not in word]
        assert all(word.count("/") == 1 for word in plain), line
