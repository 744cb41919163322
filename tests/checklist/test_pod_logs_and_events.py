"""What pods in trouble say: when it is read, and what becomes of it in the verdict."""

from __future__ import annotations

import time
from threading import Event
from typing import Any

import pytest

from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.checklist.rollout.pod_logs_and_events import WAIT_S, PodDiagnosticsReader
from pytest_zkrollback.checklist.rollout.workload import WorkloadReading, read_workload
from pytest_zkrollback.domain.checks import History, PodDiagnostics, Sample, Snapshot
from pytest_zkrollback.domain.errors import Forbidden, NotFound
from pytest_zkrollback.domain.verdict import Judgement, Pending
from support.workload_objects import (
    at,
    container,
    ended,
    environment,
    pod,
    running,
    snapshot,
    stamp,
    unschedulable,
    waiting,
)

LOOPING = container(waiting("CrashLoopBackOff"), restarts=2, last=ended(3, "Error", 4, 5))


class FakeClock:
    def now(self) -> Any:
        return at(20)

    def monotonic_s(self) -> float:
        return time.monotonic()


class FakeKube:
    """Answers events and logs as told; anything else fails."""

    def __init__(self, events: list[dict[str, Any]] | None = None, log: str | Exception = "") -> None:
        self.events, self.log = events or [], log
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.gate = Event()
        self.gate.set()

    def list(self, path: str, query: dict[str, str], timeout_s: float) -> tuple[dict[str, Any], ...]:
        assert path == "/api/v1/namespaces/shop/events"
        self.asked.append((path, query))
        self.gate.wait(5)
        return tuple(self.events)

    def text(self, path: str, query: dict[str, str], timeout_s: float, limit_bytes: int) -> str:
        self.asked.append((path, query))
        if isinstance(self.log, Exception):
            raise self.log
        return self.log


def event(reason: str, message: str, second: float = 10, kind: str = "Warning") -> dict[str, Any]:
    at_time = {"lastTimestamp": stamp(second)}
    return {"metadata": {}, "type": kind, "reason": reason, "message": message, **at_time}


def _look(
    kube: FakeKube, *pods: dict[str, Any], notes: PodDiagnosticsReader | None = None
) -> dict[str, PodDiagnostics]:
    shot = snapshot(*pods)
    [item] = shot.objects["deployments"]
    return (notes or PodDiagnosticsReader(kube, "shop", FakeClock())).fetch(
        read_workload(shot, "deployment", item)
    )  # type: ignore[arg-type]


def _judge(shot: Snapshot, now_s: float = 30) -> Judgement:
    sample = Sample(at=at(now_s), value=shot)
    check = RolloutCheck(env=environment(), item="web", workload="deployment/web", snapshot=lambda: shot)
    return check.judge(History(samples=(sample,), since=at(0), judged_from=at(3)), at(now_s))


def _noted(*pods: dict[str, Any], **notes: PodDiagnostics) -> Snapshot:
    shot = snapshot(*pods)
    return Snapshot(
        at=shot.at, objects=shot.objects, notes={f"uid-web-{name}": note for name, note in notes.items()}
    )


def test_a_workload_is_read_again_where_an_object_of_it_changed() -> None:
    reading, shot = WorkloadReading(), snapshot(pod("web-a"))
    [item] = shot.objects["deployments"]
    found = reading.read(shot, "deployment", item)
    again = Snapshot(at=at(9), objects=dict(shot.objects))
    assert reading.read(again, "deployment", item) is found
    for resource, changed in (
        ("pods", (pod("web-a", LOOPING),)),
        ("replicasets", ()),
    ):
        newer = Snapshot(at=at(9), objects={**shot.objects, resource: changed})
        assert reading.read(newer, "deployment", item) == read_workload(newer, "deployment", item)
        assert reading.read(newer, "deployment", item) != found
    scaled = {**item, "spec": {**item["spec"], "replicas": 7}}
    assert reading.read(shot, "deployment", scaled).item is scaled


def test_a_crash_is_read_before_its_restart_and_once() -> None:
    kube = FakeKube([event("BackOff", "restarting")], "panic: no pool\n")
    notes = PodDiagnosticsReader(kube, "shop", FakeClock())  # type: ignore[arg-type]
    found = _look(kube, pod("web-a", LOOPING), notes=notes)
    assert found == {
        "uid-web-a": PodDiagnostics(events=(event("BackOff", "restarting"),), log="panic: no pool\n")
    }
    _look(kube, pod("web-a", LOOPING), notes=notes)
    assert kube.asked == [
        ("/api/v1/namespaces/shop/events", {"fieldSelector": "involvedObject.uid=uid-web-a"}),
        (
            "/api/v1/namespaces/shop/pods/web-a/log",
            {"container": "app", "tailLines": "100", "previous": "true"},
        ),
    ]


def test_a_restart_while_we_watch_is_asked_about_although_the_pod_is_ready_again() -> None:
    kube = FakeKube(log="panic\n")
    notes = PodDiagnosticsReader(kube, "shop", FakeClock())  # type: ignore[arg-type]
    before = container(restarts=5, ready=True, last=ended())
    assert _look(kube, pod("web-a", before), notes=notes) == {}
    after = container(restarts=6, ready=True, last=ended())
    assert _look(kube, pod("web-a", after), notes=notes)["uid-web-a"].log == "panic\n"


@pytest.mark.parametrize(
    "well",
    [
        pytest.param(pod("web-a"), id="ready"),
        pytest.param(pod("web-a", container(waiting("ContainerCreating")), created_s=19), id="just_made"),
        pytest.param(pod("web-a", LOOPING, owned_by="rs-6"), id="of_another_revision"),
    ],
)
def test_nothing_is_asked_of_pods_that_are_well_or_just_made(well: dict[str, Any]) -> None:
    kube = FakeKube()
    assert _look(kube, well) == {}
    assert kube.asked == []


def test_while_all_is_well_nothing_is_looked_through_again_and_trouble_is_seen_at_once() -> None:
    class Looked(dict[str, Any]):
        """A pod whose status is looked at so many times."""

        times = 0

        def get(self, key: str, default: Any = None) -> Any:
            self.times += key == "status"
            return super().get(key, default)

    kube = FakeKube([event("BackOff", "restarting")], "panic: no pool\n")
    notes = PodDiagnosticsReader(kube, "shop", FakeClock())  # type: ignore[arg-type]
    well = Looked(pod("web-a"))
    shot = snapshot(well)
    [item] = shot.objects["deployments"]
    workload = read_workload(shot, "deployment", item)
    notes.fetch(workload)
    looked = well.times
    notes.fetch(workload)
    assert (well.times, kube.asked) == (looked, [])
    assert _look(kube, pod("web-a", LOOPING), notes=notes)["uid-web-a"].log == "panic: no pool\n"


def test_a_pod_that_is_not_ready_is_looked_at_again_as_time_passes() -> None:
    class Later(FakeClock):
        second = 20.0

        def now(self) -> Any:
            return at(self.second)

    kube, clock = FakeKube([event("FailedMount", "no such Secret")]), Later()
    notes = PodDiagnosticsReader(kube, "shop", clock)  # type: ignore[arg-type]
    shot = snapshot(pod("web-a", container(waiting("ContainerCreating")), created_s=19))
    [item] = shot.objects["deployments"]
    workload = read_workload(shot, "deployment", item)
    assert notes.fetch(workload) == {}
    clock.second = 30
    deadline = time.monotonic() + 5
    while not (found := notes.fetch(workload)):
        assert time.monotonic() < deadline
    assert found["uid-web-a"].events == (event("FailedMount", "no such Secret"),)


@pytest.mark.parametrize(("replicas", "asked"), [(2, True), (1, False)])
def test_a_controller_that_lacks_pods_is_asked_itself(replicas: int, asked: bool) -> None:
    status = {"observedGeneration": 1, "updateRevision": "r"}
    metadata = {"name": "web", "uid": "s-1", "generation": 1}
    item = {"metadata": metadata, "spec": {"replicas": replicas}, "status": status}
    web_0 = pod("web-0", owned_by="s-1", labels={"controller-revision-hash": "r"})
    kube = FakeKube([event("FailedCreate", "exceeded quota")])
    notes = PodDiagnosticsReader(kube, "shop", FakeClock())  # type: ignore[arg-type]
    workload = read_workload(snapshot(web_0, statefulsets=[item]), "statefulset", item)
    notes.fetch(workload)
    deadline = time.monotonic() + 5
    while asked and not (found := notes.fetch(workload)):
        assert time.monotonic() < deadline
    if asked:
        assert found == {"s-1": PodDiagnostics(events=(event("FailedCreate", "exceeded quota"),))}
        assert [query["fieldSelector"] for _, query in kube.asked] == ["involvedObject.uid=s-1"]
    else:
        assert kube.asked == []


def test_a_container_that_never_ran_has_no_log_to_ask_for() -> None:
    kube = FakeKube([event("Failed", "no such image")])
    _look(kube, pod("web-a", container(waiting("ErrImagePull", "not found"))))
    assert [path for path, _ in kube.asked] == ["/api/v1/namespaces/shop/events"]


def test_of_many_pods_a_few_are_asked_and_the_worst_first() -> None:
    pods = [pod(f"web-{n}", container(waiting("CrashLoopBackOff"), restarts=n)) for n in range(10)]
    assert set(_look(FakeKube(), *pods)) == {"uid-web-7", "uid-web-8", "uid-web-9"}


def test_a_slow_answer_holds_the_judge_up_no_longer_than_that() -> None:
    kube = FakeKube()
    kube.gate.clear()
    begun = time.monotonic()
    assert _look(kube, pod("web-a", LOOPING)) == {}
    assert time.monotonic() - begun < WAIT_S + 0.5
    kube.gate.set()


def test_a_log_that_may_not_be_read_costs_nothing_else() -> None:
    kube = FakeKube(
        [event("BackOff", "x")], Forbidden("no", verb="get", resource="pods/log", namespace="shop")
    )
    assert _look(kube, pod("web-a", LOOPING))["uid-web-a"].log == ""


def test_red_names_container_why_last_line_and_event() -> None:
    note = PodDiagnostics(
        events=(event("BackOff", "Back-off restarting failed container"),), log="starting\npanic: no pool\n\n"
    )
    verdict = _judge(_noted(pod("web-a", LOOPING), pod("web-b"), a=note))
    assert verdict.observed == (
        "container app of 1 of 2 pods crash-loops: exit code 3, 2 restarts; its log ends: panic: no pool; "
        "event of web-a: BackOff: Back-off restarting failed container"
    )
    titles = [each.title for each in verdict.evidence]
    assert titles[2:] == ["Last lines of web-a/app", "Events of web-a (UTC)"]
    assert "panic: no pool" in verdict.evidence[2].text


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("up\npanic: no pool\n\ngoroutine 1 [running]:\nmain.go:38 +0x2a5", "its log says: panic: no pool"),
        ("up\nFATAL: no pool", "its log ends: FATAL: no pool"),
        ("Traceback (most recent call last):\n  File x\nValueError: 7", "its log ends: ValueError: 7"),
        ("up\nlast", "its log ends: last"),
    ],
    ids=["go", "one line", "python", "nothing bad"],
)
def test_case_k9_the_line_that_is_bad_is_shown_and_not_the_end_of_its_stack(log: str, said: str) -> None:
    verdict = _judge(_noted(pod("web-a", LOOPING), pod("web-b"), a=PodDiagnostics(log=log)))
    assert verdict.observed == f"container app of 1 of 2 pods crash-loops: exit code 3, 2 restarts; {said}"


@pytest.mark.parametrize(
    ("reasons", "red"),
    [
        ([], True),
        (["FailedScheduling"], True),
        (["FailedScheduling", "TriggeredScaleUp"], False),
        (["Nominated"], False),
        (["TriggeredScaleUp", "NotTriggerScaleUp"], True),
        (["NotTriggerScaleUp", "TriggeredScaleUp", "FailedScheduling"], False),
    ],
)
def test_fault_39_a_scale_up_under_way_is_waited_for(reasons: list[str], red: bool) -> None:
    stuck = pod("web-a", container(waiting("")), ready=False, phase="Pending", conditions=[unschedulable(1)])
    stuck["status"]["containerStatuses"] = []
    note = PodDiagnostics(events=tuple(event(reason, "x", kind="Normal") for reason in reasons))
    judgement = _judge(_noted(stuck, pod("web-b"), a=note))
    assert isinstance(judgement, Pending) is not red
    assert ("waits for a node that is being added" in judgement.observed) is not red


@pytest.mark.parametrize(
    ("message", "seen_s", "red"),
    [
        ('MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found', 30, True),
        ('MountVolume.SetUp failed for volume "conf" : configmap "web" not found', 30, True),
        ('MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found', 15, False),
        ("MountVolume.SetUp failed: failed to sync secret cache: timed out", 30, False),
        ("Multi-Attach error for volume: already used by pod(s) web-old", 30, False),
    ],
)
def test_a_volume_whose_secret_is_missing_is_red_and_a_late_disk_is_waited_for(
    message: str, seen_s: float, red: bool
) -> None:
    creating = pod("web-a", container(waiting("ContainerCreating")), created_s=1)
    note = PodDiagnostics(events=(event("FailedMount", message, seen_s),))
    judgement = _judge(_noted(creating, pod("web-b"), a=note), 40)
    assert isinstance(judgement, Pending) is not red
    assert "container app of 1 of 2 pods cannot mount its volumes: " in judgement.observed
    assert message in judgement.observed


def test_probes_that_never_pass_are_waited_for_and_the_event_says_why() -> None:
    note = PodDiagnostics(
        events=(event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),)
    )
    slow = pod("web-a", container(running(2), ready=False))
    judgement = _judge(_noted(slow, pod("web-b"), a=note), 100)
    assert isinstance(judgement, Pending)
    assert "container app of 1 of 2 pods runs but is not ready" in judgement.observed
    assert "statuscode: 503" in judgement.evidence[-1].text


@pytest.mark.parametrize(
    ("message", "there", "asked", "came"),
    [
        ('configmap "late" not found', ("configmaps/late",), ["configmaps/late"], True),
        ('secret "late" not found', (), ["secrets/late"], False),
        ("couldn't find key A in ConfigMap shop/late", ("configmaps/late",), [], False),
    ],
    ids=["it came", "not yet", "something else is wrong"],
)
def test_case_k4_whether_what_a_container_waits_for_has_come(
    message: str, there: tuple[str, ...], asked: list[str], came: bool
) -> None:
    kube, paths = FakeKube(), []

    def get(path: str, timeout_s: float) -> dict[str, Any]:
        paths.append(path.removeprefix("/api/v1/namespaces/shop/"))
        if paths[-1] not in there:
            raise NotFound(f"{path} does not exist")
        return {}

    kube.get = get
    down = pod("web-a", container(waiting("CreateContainerConfigError", message)))
    reader = PodDiagnosticsReader(kube, "shop", FakeClock())
    workload = read_workload(snapshot(down), "deployment", snapshot(down).objects["deployments"][0])
    found = reader.fetch(workload)
    assert (paths, found["uid-web-a"].settings_came) == (asked, came)
