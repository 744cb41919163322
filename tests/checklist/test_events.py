from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.checklist.events.check import (
    FAILURES,
    EventsCheck,
    EventsSeen,
    events_seen,
    find_first_warning,
    judge_events,
)
from pytest_zkrollback.checklist.events.feed import EventFeed
from pytest_zkrollback.checklist.events.grouping import by_time, grouped, last_seen
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment, Events
from pytest_zkrollback.domain.checks import History, JsonObject, Sample, Snapshot
from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, NotFound
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict

ALL = "/api/v1/namespaces/ns/events"
RECORDINGS = Path(__file__).parents[1] / "support" / "recordings" / "events"
OWNED = frozenset({("Deployment", "web"), ("Service", "web")})
SINCE = datetime(2026, 11, 23, 10, 0, 0, 400000, tzinfo=UTC)
ENV = Environment(name="staging", context="ctx", namespace="ns", workloads={"web": "deployment/web"})

# Moment of each recording -> the verdict on the revision that is live then.
RECORDED = {
    "crashloop-exit3--0-before": Verdict.PASS,
    "crashloop-exit3--1-Error": Verdict.FAIL,
    "crashloop-exit3--2-CrashLoopBackOff": Verdict.FAIL,
    "crashloop-exit3--3-restarts2": Verdict.FAIL,
    "crashloop-exit3--8-after-upgrade": Verdict.FAIL,
    "crashloop-exit3--9-after-rollback": Verdict.PASS,
    "createcontainerconfigerror--0-before": Verdict.PASS,
    "createcontainerconfigerror--1-CreateContainerConfigError": Verdict.FAIL,
    "createcontainerconfigerror--8-after-upgrade": Verdict.FAIL,
    "createcontainerconfigerror--9-after-rollback": Verdict.PASS,
    "errimagepull-notfound--0-before": Verdict.PASS,
    "errimagepull-notfound--1-ErrImagePull": Verdict.FAIL,
    "errimagepull-notfound--2-ImagePullBackOff": Verdict.FAIL,
    "errimagepull-notfound--8-after-upgrade": Verdict.FAIL,
    "errimagepull-notfound--9-after-rollback": Verdict.PASS,
    "failedmount-secret--0-before": Verdict.PASS,
    "failedmount-secret--1-NotReady10": Verdict.FAIL,
    "failedmount-secret--8-after-upgrade": Verdict.FAIL,
    "failedmount-secret--9-after-rollback": Verdict.PASS,
    "oomkilled--0-before": Verdict.PASS,
    "oomkilled--1-OOMKilled": Verdict.FAIL,
    "oomkilled--2-CrashLoopBackOff": Verdict.FAIL,
    "oomkilled--8-after-upgrade": Verdict.FAIL,
    "oomkilled--9-after-rollback": Verdict.PASS,
    # A healthy start: its first readiness probe failed, then the pod became ready.
    "readiness-503--0-before": Verdict.PASS,
    "readiness-503--1-NotReady10": Verdict.FAIL,
    "readiness-503--8-after-upgrade": Verdict.FAIL,
    "readiness-503--9-after-rollback": Verdict.PASS,
    "rollout-ok--0-before": Verdict.PASS,
    "rollout-ok--1-Ready": Verdict.PASS,
    "rollout-ok--8-after-upgrade": Verdict.PASS,
    "rollout-ok--9-after-rollback": Verdict.PASS,
    "unschedulable--0-before": Verdict.PASS,
    "unschedulable--1-Unschedulable": Verdict.FAIL,
    "unschedulable--8-after-upgrade": Verdict.FAIL,
    "unschedulable--9-after-rollback": Verdict.PASS,
}


class FakeKube:
    """Answers lists of events and single objects; fails on any other call."""

    def __init__(self, events: object = (), page: int = 500, **objects: object) -> None:
        self.events, self.page, self.objects = events, page, objects
        self.asked: list[str] = []

    def pages(self, path, query=None, timeout_s=5.0, *, without_managed_fields=False):
        assert (path, query, without_managed_fields) == (ALL, None, True)
        self.asked.append(path)
        answer = self.events
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        for start in range(0, max(len(answer), 1), self.page):
            yield tuple(answer[start : start + self.page]), "7"

    def get(self, path, query=None, timeout_s=5.0):
        self.asked.append(path)
        answer = self.objects[path.rpartition("/")[2].replace("-", "_")]
        if isinstance(answer, Exception):
            raise answer
        return answer


WELL = Snapshot(SINCE, {"pods": (), "replicasets": (), "deployments": ()})


def check(kube: FakeKube, **more: Any) -> EventsCheck:
    usual = {"env": ENV, "since": SINCE, "owned": OWNED, "snapshot": lambda: WELL}
    return EventsCheck(kube=kube, log=EventFeed(kube, "ns", SystemClock()), **{**usual, **more})  # type: ignore[arg-type]


def parse_events(events: list[JsonObject], objects: object, since: datetime) -> EventsSeen:
    """As a check reads them from an API server that holds these."""
    read = EventFeed(FakeKube(events=tuple(events)), "ns", SystemClock()).read(since)  # type: ignore[arg-type]
    return events_seen(read, objects, since)  # type: ignore[arg-type]


def recorded(name: str) -> tuple[EventsSeen, JsonObject]:
    data = json.loads((RECORDINGS / f"{name}.json").read_text())
    return parse_events(by_time(data["events"]), data["objects"], datetime.fromisoformat(data["since"])), data


def test_every_recording_has_an_expected_verdict() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.json")} == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_real_events_get_the_expected_verdict(name: str) -> None:
    seen, _ = recorded(name)
    assert judge_events(seen, OWNED).word is RECORDED[name]


@pytest.mark.parametrize("name", [name for name in RECORDED if name.endswith("9-after-rollback")])
def test_the_bad_revisions_events_do_not_redden_once_its_pods_are_gone(name: str) -> None:
    _, data = recorded(name)
    # From the install on: every warning of the bad revision is looked at.
    seen = parse_events(by_time(data["events"]), data["objects"], datetime(2026, 11, 23, tzinfo=UTC))
    assert judge_events(seen, OWNED).word is Verdict.PASS


def test_the_sentence_and_the_table_name_what_is_wrong() -> None:
    seen, _ = recorded("crashloop-exit3--2-CrashLoopBackOff")
    verdict = judge_events(seen, OWNED)
    assert verdict.observed.startswith(
        "Pod web-fb8cd47d8-h9p9m is in trouble: BackOff, 2 times, last 00:43:28 UTC: "
        "Back-off restarting failed container web in pod web-fb8cd47d8-h9p9m_crashloop-exit3("
    )
    table, last = verdict.evidence
    assert table.title == "Warnings about the release since 2026-11-23 00:43:24 UTC"
    assert [line.split()[:5] for line in table.text.splitlines()] == [
        ["now", "type", "reason", "object", "count"],
        ["OPEN", "Warning", "Unhealthy", "pod/web-fb8cd47d8-h9p9m", "2"],
        ["OPEN", "Warning", "BackOff", "pod/web-fb8cd47d8-h9p9m", "2"],
    ]
    assert last.title == "The last 14 of 14 events (UTC)"


def event(  # one event about a pod unless told otherwise
    reason: str = "BackOff",
    name: str = "web-7849bc568d-wk76f",
    *,
    kind: str = "Pod",
    after_s: float = 10,
    type_: str = "Warning",
    uid: str | None = None,
    message: str = "because",
) -> JsonObject:
    at = (SINCE + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"kind": kind, "name": name} | ({"uid": uid} if uid else {})
    return {
        "type": type_,
        "reason": reason,
        "message": message,
        "involvedObject": about,
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "metadata": {"creationTimestamp": at},
    }


def pod(
    name: str = "web-7849bc568d-wk76f",
    *,
    ready: bool = False,
    owner: str = "web-7849bc568d",
    uid: str = "u1",
    phase: str = "Running",
    going: bool = False,
) -> JsonObject:
    meta: JsonObject = {
        "name": name,
        "uid": uid,
        "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "controller": True}],
    }
    if going:
        meta["deletionTimestamp"] = "2026-11-23T10:00:05Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": meta, "spec": {}, "status": {"phase": phase, "conditions": conditions}}


def replicaset(name: str = "web-7849bc568d", *, wanted: int = 1, ready: int = 1) -> JsonObject:
    return {
        "metadata": {
            "name": name,
            "generation": 1,
            "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True}],
        },
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, "readyReplicas": ready},
    }


def deployment(*, ready: int, updated: int) -> JsonObject:
    return {
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated},
    }


def seen(
    *events: JsonObject,
    pods: tuple[JsonObject, ...] = (),
    replicasets: tuple[JsonObject, ...] = (replicaset(),),
    deployments: tuple[JsonObject, ...] = (),
) -> EventsSeen:
    objects = {"pods": pods, "replicasets": replicasets, "deployments": deployments}
    return parse_events(by_time(events), objects, SINCE)


TABLE = {
    "nothing at all": (seen(), Verdict.PASS),
    "a pod that is there and not ready": (seen(event(), pods=(pod(),)), Verdict.FAIL),
    "a pod that became ready": (seen(event(), pods=(pod(ready=True),)), Verdict.PASS),
    "a pod that is going": (seen(event(), pods=(pod(going=True),)), Verdict.PASS),
    "a pod that is gone": (seen(event()), Verdict.PASS),
    "a pod of that name, but another one": (seen(event(uid="u0"), pods=(pod(uid="u1"),)), Verdict.PASS),
    "an evicted pod that was replaced": (seen(event("Evicted"), pods=(pod(phase="Failed"),)), Verdict.PASS),
    "an evicted pod that was not": (
        seen(event("Evicted"), pods=(pod(phase="Failed"),), replicasets=(replicaset(ready=0),)),
        Verdict.FAIL,
    ),
    "a completed pod": (seen(event(), pods=(pod(phase="Succeeded"),)), Verdict.PASS),
    "before the rollback": (seen(event(after_s=-2), pods=(pod(),)), Verdict.PASS),
    "in the second in which it began": (seen(event(after_s=-0.4), pods=(pod(),)), Verdict.FAIL),
    "Normal BackOff of an image pull": (seen(event(type_="Normal"), pods=(pod(),)), Verdict.FAIL),
    "another Normal event": (seen(event("Pulling", type_="Normal"), pods=(pod(),)), Verdict.PASS),
    "an unknown reason": (seen(event("Martian"), pods=(pod(),)), Verdict.UNVERIFIED),
    "an unknown reason on a pod that is well": (
        seen(event("Martian"), pods=(pod(ready=True),)),
        Verdict.PASS,
    ),
    "an unknown and a known one": (seen(event("Martian"), event(after_s=2), pods=(pod(),)), Verdict.FAIL),
    "a stranger's pod": (seen(event(name="db-0"), pods=(pod("db-0", owner="db"),)), Verdict.PASS),
    "a stranger with our prefix": (
        seen(event(name="web-admin-7849bc568d-wk76f"), pods=(pod("web-admin-7849bc568d-wk76f", owner="x"),)),
        Verdict.PASS,
    ),
    "quota": (
        seen(event("FailedCreate", "web-7849bc568d", kind="ReplicaSet"), replicasets=(replicaset(ready=0),)),
        Verdict.FAIL,
    ),
    "quota, of a ReplicaSet that was scaled down": (
        seen(
            event("FailedCreate", "web-7849bc568d", kind="ReplicaSet"),
            replicasets=(replicaset(wanted=0, ready=0),),
        ),
        Verdict.PASS,
    ),
    "a Deployment whose old pods are ready, the new ones not": (
        seen(
            event("ReplicaSetCreateError", "web", kind="Deployment"),
            deployments=(deployment(ready=2, updated=0),),
        ),
        Verdict.FAIL,
    ),
    "a Deployment that is well": (
        seen(
            event("ReplicaSetCreateError", "web", kind="Deployment"),
            deployments=(deployment(ready=2, updated=2),),
        ),
        Verdict.PASS,
    ),
    "a kind whose state is not read": (seen(event("Weird", "web", kind="Service")), Verdict.UNVERIFIED),
    "a lost race to write": (
        seen(
            event(
                "FailedToUpdateEndpoint",
                "web",
                kind="Service",
                message="Operation cannot be fulfilled: the object has been modified",
            )
        ),
        Verdict.PASS,
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_by_reason_and_by_what_became_of_the_object(case: str) -> None:
    given_, expected = TABLE[case]
    assert judge_events(given_, OWNED).word is expected


def test_the_first_warning_is_the_earliest_about_the_release_in_any_namespace() -> None:
    seen, objects = recorded("crashloop-exit3--2-CrashLoopBackOff")
    assert objects
    here = replace(seen, owned=OWNED)
    first = find_first_warning(here)
    assert first is not None
    times = [group.first for group in grouped(here.warnings) if group.first is not None]
    assert first.first == min(times)
    assert find_first_warning(replace(here, owned=frozenset())) is None
    assert find_first_warning(replace(here, warnings=(), elsewhere=(here,))) == first


def test_pods_that_are_gone_are_found_by_their_name() -> None:
    verdict = judge_events(seen(event(name="web-fb8cd47d8-h9p9m")), OWNED)
    assert verdict.observed == (
        "Every object that had a warning is well again or gone; warnings since 2026-11-23 10:00:00 UTC: 1."
    )
    assert "gone  Warning  BackOff  pod/web-fb8cd47d8-h9p9m" in verdict.evidence[0].text


def test_fault_50_null_times_and_series_are_ordered() -> None:
    def made(name: str, **times: object) -> JsonObject:
        return {"metadata": {"name": name, "creationTimestamp": "2026-11-23T10:00:01Z"}, **times}

    nulls = {"lastTimestamp": None, "eventTime": None, "series": None}
    events = [
        made(
            "series",
            **nulls
            | {
                "eventTime": "2026-11-23T10:00:00.1Z",
                "series": {"lastObservedTime": "2026-11-23T10:00:09.5Z"},
            },
        ),
        made("last", **nulls | {"lastTimestamp": "2026-11-23T10:00:07Z"}),
        made("eventtime", **nulls | {"eventTime": "2026-11-23T10:00:05.123456Z"}),
        made("created", **nulls),
        {"metadata": {"name": "none"}},
    ]
    assert [e["metadata"]["name"] for e in by_time(events)] == [
        "none",
        "created",
        "eventtime",
        "last",
        "series",
    ]


def test_an_event_without_any_time_counts() -> None:
    timeless = event() | {"lastTimestamp": None, "metadata": {}}
    assert judge_events(seen(timeless, pods=(pod(),)), OWNED).word is Verdict.FAIL


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sorted(FAILURES), "Martian"]),
            st.sampled_from(["web-7849bc568d-wk76f", "web-7849bc568d-zzzzz", "db-0"]),
            st.integers(-100, 100),
            st.sampled_from(["Warning", "Normal"]),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_never_green_while_a_pod_of_ours_is_in_trouble(
    made: list[tuple[str, str, int, str]], ready: bool
) -> None:
    given_ = seen(
        *(event(reason, name, after_s=at, type_=type_) for reason, name, at, type_ in made),
        pods=(pod(ready=ready), pod("db-0", owner="db")),
    )
    ours = [
        reason
        for reason, name, at, type_ in made
        if name == "web-7849bc568d-wk76f" and at >= 0 and (type_ == "Warning" or reason == "BackOff")
    ]
    expected = Verdict.PASS
    if ours and not ready:
        expected = Verdict.FAIL if set(ours) & FAILURES else Verdict.UNVERIFIED
    assert judge_events(given_, OWNED).word is expected


def judged(one: EventsCheck, *samples: Sample) -> CheckResult | Pending:
    return one.judge(History(samples=samples, since=SINCE, judged_from=SINCE), SINCE)


def test_reads_events_once_where_all_is_well() -> None:
    kube = FakeKube()
    one = check(kube)
    verdict = judged(one, Sample(SINCE, one.observe()))
    assert verdict == CheckResult(
        word=Verdict.PASS,
        observed="No warning about the release since 2026-11-23 10:00:00 UTC (0 events in the namespace).",
        evidence=verdict.evidence,
    )
    assert kube.asked == [ALL]


def _look(after_s: float, *, ready: bool, reason: str = "BackOff") -> Sample:
    objects = {"pods": (pod(ready=ready),), "replicasets": (replicaset(),)}
    return Sample(SINCE + timedelta(seconds=after_s), parse_events([event(reason)], objects, SINCE))


@pytest.mark.parametrize(
    ("looks", "now_s", "expected"),
    [
        ([_look(1, ready=False)], 1.1, Pending),
        ([_look(1, ready=False), _look(1.5, ready=True)], 1.6, Verdict.PASS),
        ([_look(1, ready=False), _look(3.9, ready=False)], 3.9, Pending),
        ([_look(1, ready=False), _look(3.9, ready=False)], 4.0, Verdict.FAIL),
        # Well in between: it has its time again.
        ([_look(1, ready=False), _look(3, ready=True), _look(4, ready=False)], 4.1, Pending),
        ([_look(1, ready=False, reason="Odd")], 1.1, Pending),
        ([_look(1, ready=False, reason="Odd")], 4.0, Verdict.UNVERIFIED),
    ],
)
def test_what_is_in_trouble_has_three_seconds_to_get_well(looks, now_s, expected) -> None:
    found = check(FakeKube()).judge(
        History(tuple(looks), since=SINCE, judged_from=SINCE), SINCE + timedelta(seconds=now_s)
    )
    if expected is Pending:
        assert isinstance(found, Pending)
        assert found.observed.startswith("Pod web-7849bc568d-wk76f is")
        assert found.seen is ("in trouble" in found.observed), "an unknown reason is no failure later either"
    else:
        assert isinstance(found, CheckResult)
        assert found.word is expected


def test_one_look_reads_the_events_once() -> None:
    kube = FakeKube(events=(event(), event("Pulled", type_="Normal")))
    seen_ = check(kube).observe()
    assert (len(seen_.last), seen_.total) == (2, 2)
    assert kube.asked == [ALL]


def test_an_objects_state_comes_from_the_shared_snapshot() -> None:
    snapshot = Snapshot(at=SINCE, objects={"pods": (pod(),), "replicasets": (replicaset(),)})
    kube = FakeKube(events=(event(),))
    one = check(kube, snapshot=lambda: snapshot, settle_s=0)
    assert judged(one, Sample(SINCE, one.observe())).word is Verdict.FAIL
    assert kube.asked == [ALL]


def test_fault_51_ten_thousand_events_are_read_page_by_page_and_few_are_kept() -> None:
    old = [event(after_s=-100, name=f"old-{number}") for number in range(4_000)]
    normal = [event("Pulled", name=f"n-{number}", type_="Normal") for number in range(5_990)]
    image = event(type_="Normal", message="Back-off pulling image", after_s=7)
    new = [event("Unhealthy", after_s=number) for number in range(9)]
    every = [*normal, *old, image, *new]
    for number, each in enumerate(every):
        each["metadata"] |= {"uid": f"u{number}", "name": f"e{number}"}
    kube = FakeKube(events=every)
    kube.events = tuple(every)
    one = check(kube, settle_s=0, snapshot=lambda: Snapshot(SINCE, {"pods": (pod(),)}))
    seen_ = one.observe()
    assert (seen_.total, len(seen_.warnings), len(seen_.last)) == (10_000, 10, 20)
    verdict = judged(one, Sample(SINCE, seen_))
    assert verdict.word is Verdict.FAIL
    assert [line.split()[1:5] for line in verdict.evidence[0].text.splitlines()[1:]] == [
        ["Normal", "BackOff", "pod/web-7849bc568d-wk76f", "1"],
        ["Warning", "Unhealthy", "pod/web-7849bc568d-wk76f", "9"],
    ]


def test_a_continue_token_that_expires_begins_the_list_again_once() -> None:
    gone = BadAnswer("Too old.", status=410)
    one = check(FakeKube(events=[gone, (event(),)]), settle_s=0)
    assert one.observe().total == 1
    with pytest.raises(BadAnswer):
        check(FakeKube(events=[gone, gone, (event(),)])).observe()


def test_fault_7_forbidden_is_unverified() -> None:
    refused = Forbidden("May not list events in ns.", verb="list", resource="events", namespace="ns")
    one = check(FakeKube(events=refused))
    with pytest.raises(Forbidden):
        one.observe()
    assert judged(one, Sample(SINCE, error=refused)) == CheckResult(
        word=Verdict.UNVERIFIED, observed="The events could not be judged: May not list events in ns."
    )


def test_unreadable_pods_are_unverified_and_unreadable_others_leave_the_event_open() -> None:
    refused = Forbidden("no", verb="list", resource="x")
    with pytest.raises(Forbidden):
        check(FakeKube(), snapshot=lambda: Snapshot(SINCE, {}, {"pods": refused})).observe()
    deployment_event = event("ReplicaSetCreateError", "web", kind="Deployment")
    snapshot = Snapshot(SINCE, {"pods": ()}, {"deployments": refused})
    one = check(FakeKube(events=(deployment_event,)), snapshot=lambda: snapshot, settle_s=0)
    assert judged(one, Sample(SINCE, one.observe())).word is Verdict.FAIL


def conditions(**types: str) -> JsonObject:
    found = [{"type": key, "status": value} for key, value in types.items()]
    return {"metadata": {}, "status": {"conditions": found}}


@pytest.mark.parametrize(
    ("kind", "name", "reason", "live", "expected"),
    [
        ("Job", "migrate", "BackoffLimitExceeded", conditions(Complete="True"), Verdict.PASS),
        ("Job", "migrate", "BackoffLimitExceeded", conditions(Failed="True"), Verdict.FAIL),
        ("Job", "migrate", "BackoffLimitExceeded", NotFound("none"), Verdict.PASS),
        (
            "Job",
            "migrate",
            "BackoffLimitExceeded",
            Forbidden("no", verb="get", resource="jobs"),
            Verdict.FAIL,
        ),
        (
            "HorizontalPodAutoscaler",
            "web",
            "FailedGetResourceMetric",
            conditions(AbleToScale="True", ScalingActive="True"),
            Verdict.PASS,
        ),
        (
            "HorizontalPodAutoscaler",
            "web",
            "FailedGetResourceMetric",
            conditions(AbleToScale="True", ScalingActive="False"),
            Verdict.UNVERIFIED,
        ),
        (
            "PersistentVolumeClaim",
            "data-db-0",
            "ProvisioningFailed",
            {"metadata": {}, "status": {"phase": "Bound"}},
            Verdict.PASS,
        ),
        (
            "PersistentVolumeClaim",
            "data-db-0",
            "ProvisioningFailed",
            {"metadata": {}, "status": {"phase": "Pending"}},
            Verdict.FAIL,
        ),
        (
            "PodDisruptionBudget",
            "web",
            "CalculateExpectedPodCountFailed",
            {"metadata": {}, "status": {"currentHealthy": 2, "desiredHealthy": 1}},
            Verdict.PASS,
        ),
    ],
)
def test_kinds_that_are_not_watched_are_read_one_by_one(kind, name, reason, live, expected) -> None:
    owned = frozenset(
        {("Job", "migrate"), ("HorizontalPodAutoscaler", "web"), ("PodDisruptionBudget", "web")}
    )
    owned |= {("StatefulSet", "db")}
    kube = FakeKube(events=(event(reason, name, kind=kind),), **{name.replace("-", "_"): live})
    one = check(kube, owned=owned, settle_s=0)
    late = SINCE + timedelta(seconds=35)  # an autoscaler's patience is the longest
    assert one.judge(History((Sample(SINCE, one.observe()),), since=SINCE), late).word is expected
    assert len(kube.asked) == 2


@pytest.mark.parametrize(
    ("policy", "reason", "expected"),
    [
        (Events(harmless=("Martian",)), "Martian", Verdict.PASS),
        (Events(harmless=("BackOff",)), "BackOff", Verdict.PASS),
        (Events(harmful=("Martian",)), "Martian", Verdict.FAIL),
        (Events(harmful=("Other",)), "Martian", Verdict.UNVERIFIED),
    ],
)
def test_the_configuration_extends_the_list_of_reasons(policy, reason, expected) -> None:
    verdict = judge_events(seen(event(reason), pods=(pod(),)), OWNED, policy)
    assert verdict.word is expected
    if expected is Verdict.PASS:
        assert verdict.evidence[0].text.splitlines()[1].startswith("harmless  Warning")
    if expected is Verdict.UNVERIFIED:
        assert verdict.observed.endswith('if you know it: events.harmless (or events.harmful) = ["Martian"]')


@pytest.mark.parametrize(
    ("word", "expected"),
    [("harmless", Verdict.PASS), ("harmful", Verdict.FAIL)],
)
def test_a_reason_can_be_named_for_one_object_alone(word, expected) -> None:
    policy = Events(**{word: ("Martian on Deployment/web",)})
    about_it = event("Martian", "web", kind="Deployment")
    bad = (deployment(ready=1, updated=2),)
    assert judge_events(seen(about_it, deployments=bad), OWNED, policy).word is expected
    other = Events(**{word: ("Martian on Deployment/other",)})
    verdict = judge_events(seen(about_it, deployments=bad), OWNED, other)
    assert verdict.word is Verdict.UNVERIFIED
    assert verdict.observed.endswith('= ["Martian on Deployment/web"]')


LIVENESS = "Liveness probe failed: HTTP probe failed with statuscode: 500"


def probed(count: int = 1, *, kind: str = LIVENESS, started_s: float = -100) -> EventsSeen:
    """A Ready pod whose probe (every 10 s, 3 failures, 1 s) failed ``count`` times, last at 10 s."""
    failed = event("Unhealthy", message=kind) | {"count": count}
    failed["involvedObject"]["fieldPath"] = "spec.containers{app}"
    one = pod(ready=True)
    one["spec"] = {"containers": [{"name": "app", "livenessProbe": {"periodSeconds": 10}}]}
    began = (SINCE + timedelta(seconds=started_s)).isoformat()
    one["status"]["containerStatuses"] = [{"name": "app", "state": {"running": {"startedAt": began}}}]
    return seen(failed, pods=(one,))


def after(look: EventsSeen, *seconds: float) -> Judgement:
    """The judgement after these looks, the last of them now."""
    one = check(FakeKube())
    samples = tuple(Sample(SINCE + timedelta(seconds=each), look) for each in seconds)
    return one.judge(History(samples, since=SINCE, judged_from=SINCE), samples[-1].at)


def test_case_k1_a_liveness_probe_that_fails_again_and_again_is_red_though_its_pod_is_ready() -> None:
    red = after(probed(2), 11, 15)
    assert red.word is Verdict.FAIL
    assert "Unhealthy, 2 times" in red.observed
    # The kubelet has killed it at 30 s: the new run has not yet lived as long.
    assert after(probed(3, started_s=31), 35, 39).word is Verdict.FAIL
    assert after(probed(3, started_s=31), 70).word is Verdict.PASS


def test_case_k1_one_failure_of_a_liveness_probe_is_waited_on_until_the_next_can_have_come() -> None:
    for looks in ((11,), (11, 15, 22)):
        waiting = after(probed(), *looks)
        assert isinstance(waiting, Pending) and not waiting.seen
        assert waiting.watch_until is not None  # the soak and the deadline wait as long
    assert after(probed(), 11, 23.5).word is Verdict.PASS


@pytest.mark.parametrize("kind", ["Readiness", "Startup"])
def test_case_k1_other_probes_are_settled_by_ready(kind) -> None:
    assert after(probed(2, kind=f"{kind} probe failed: x"), 11, 15).word is Verdict.PASS


def test_case_p16_a_pod_of_a_job_that_completed_with_another_one_is_settled() -> None:
    failed = pod("web-x2x4z", phase="Failed")
    failed["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "web", "controller": True}]
    owned = frozenset({("Job", "web")})
    found: dict[Verdict, JsonObject] = {
        Verdict.PASS: {"metadata": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
        Verdict.FAIL: {"metadata": {}, "status": {"conditions": []}},
    }
    for word, job in found.items():
        kube = FakeKube(events=(event("FailedMount", "web-x2x4z"),), web=job)
        objects = {"pods": (failed,), "replicasets": (), "deployments": ()}
        one = check(kube, owned=owned, snapshot=lambda objects=objects: Snapshot(SINCE, objects), settle_s=0)
        looked = Sample(SINCE + timedelta(seconds=20), one.observe())
        assert one.judge(History((looked,), since=SINCE, judged_from=SINCE), looked.at).word is word


def test_case_p17_an_autoscalers_first_metrics_may_take_two_of_its_looks() -> None:
    scaler = {"metadata": {}, "status": {"conditions": []}}
    hpa = event("FailedGetResourceMetric", "web", kind="HorizontalPodAutoscaler")
    kube = FakeKube(events=(hpa,), web=scaler)
    one = check(kube, owned=frozenset({("HorizontalPodAutoscaler", "web")}))
    look = one.observe()
    assert isinstance(after_looks(one, look, 11, 40), Pending)
    assert after_looks(one, look, 11, 47).word is Verdict.UNVERIFIED
    assert one.deadline_s > 35


def after_looks(one: EventsCheck, look: EventsSeen, *seconds: float) -> Judgement:
    samples = tuple(Sample(SINCE + timedelta(seconds=each), look) for each in seconds)
    return one.judge(History(samples, since=SINCE, judged_from=SINCE), samples[-1].at)


def test_case_p18_a_warning_about_a_configmap_is_evidence() -> None:
    found = judge_events(
        seen(event("PolicyViolation", "c", kind="ConfigMap")), frozenset({("ConfigMap", "c")})
    )
    assert found.word is Verdict.PASS
    assert found.evidence[0].text.splitlines()[1].startswith("has no state  Warning")


def test_a_job_that_somebody_made_of_a_cron_job_by_hand_is_no_trouble_of_it() -> None:
    """Found by the mutation campaign: `kubectl create job --from` was UNVERIFIED for ever."""
    cron = frozenset({("CronJob", "tidy")})
    assert judge_events(seen(event("UnexpectedJob", "tidy", kind="CronJob")), cron).word is Verdict.PASS
    assert (
        judge_events(seen(event("FailedNeedsStart", "tidy", kind="CronJob")), cron).word is Verdict.UNVERIFIED
    )


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([{"conditions": {"ready": True}}], Verdict.PASS),
        ([{"conditions": {"ready": False}}], Verdict.UNVERIFIED),
        ([], Verdict.UNVERIFIED),
        (Forbidden("no", verb="list", resource="endpointslices"), Verdict.UNVERIFIED),
    ],
)
def test_case_p18_a_service_is_settled_by_its_ready_endpoints(endpoints, expected) -> None:
    kube = FakeKube(events=(event("FailedToUpdateEndpointSlices", "web", kind="Service"),))

    def slices(path, query, timeout_s):
        assert path == "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices"
        assert query == {"labelSelector": "kubernetes.io/service-name=web"}
        if isinstance(endpoints, Exception):
            raise endpoints
        return ({"endpoints": endpoints},)

    kube.list = slices
    one = check(kube, settle_s=0)
    assert after_looks(one, one.observe(), 20).word is expected


@pytest.mark.parametrize(("ready", "expected"), [("True", Verdict.PASS), ("False", Verdict.UNVERIFIED)])
def test_case_p18_a_custom_resource_is_settled_by_its_own_condition(ready, expected) -> None:
    about = event("Slow", "web", kind="Certificate")
    about["involvedObject"]["apiVersion"] = "cert-manager.io/v1"
    resource = {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}
    kube = FakeKube(events=(about,), web=resource)
    kube.resource_path = lambda api_version, kind, namespace, name: f"/apis/{api_version}/{kind}/{name}"
    one = check(kube, owned=frozenset({("Certificate", "web")}), settle_s=0)
    assert after_looks(one, one.observe(), 20).word is expected


def test_the_page_lists_every_reason_that_is_known() -> None:
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    rows = re.findall(r"^\| (`.*`) \|", page, re.MULTILINE)
    assert sorted(" ".join(rows).replace("`", "").replace(",", "").split()) == sorted(FAILURES)


def test_events_before_the_grace_do_not_count() -> None:
    env = ENV.model_copy(update={"events": Events(grace_s=30)})
    snapshot = Snapshot(SINCE, {"pods": (pod(),), "replicasets": (replicaset(),)})
    one = check(FakeKube(events=(event(after_s=10),)), env=env, snapshot=lambda: snapshot, settle_s=0)
    assert judged(one, Sample(SINCE, one.observe())).word is Verdict.PASS


def test_pending_before_the_first_reading_and_the_command() -> None:
    one = check(FakeKube())
    assert judged(one) == Pending(observed="The events are being read", seen=False)
    assert one.command == ("kubectl get events --sort-by=.lastTimestamp -n ns --context ctx | tail -20")


def test_last_seen_without_times_is_unknown() -> None:
    assert last_seen({"metadata": {}}) is None
