"""The recovery picture's points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.checks import Snapshot
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.kube_objects import owned_by
from pytest_zkrollback.engine import recovery_series
from pytest_zkrollback.engine.recovery_series import Samples, image_tag
from support.workload_objects import at, container, pod, replicaset, running, snapshot


def _points(samples: Samples) -> list[tuple[str, float]]:
    return [(point.series, point.value) for point in samples.points()]


def _pod(name: str, tag: str, *, ready: bool = True, **changes: Any) -> dict[str, Any]:
    owned_by = "rs-6" if tag == "6" else "rs-5"
    state = container(running(), ready=ready)
    return pod(name, state, image=f"registry:5000/zk/app:{tag}", owned_by=owned_by, **changes)


def test_ready_pods_by_image_on_change_only() -> None:
    samples = Samples(["deployment/web"])
    replicasets = [replicaset(), replicaset("rs-6")]

    def see(seconds: float, *pods: dict[str, Any]) -> None:
        samples.add_snapshot(snapshot(*pods, replicasets=replicasets, at_s=seconds))

    see(1, _pod("a", "6"), _pod("b", "6", ready=False))
    see(2, _pod("a", "6"), _pod("b", "6", ready=False))
    see(3, _pod("a", "6", deleted=True), _pod("c", "5"), pod("stranger", owned_by="rs-x"))
    see(4, _pod("c", "5"), _pod("d", "5"))
    assert [(point.at, point.series, point.value) for point in samples.points()] == [
        (at(1), "replicas/web/6", 1),
        (at(1), "wanted/web", 2),
        (at(3), "replicas/web/6", 0),
        (at(3), "replicas/web/5", 1),
        (at(4), "replicas/web/5", 2),
    ]


def test_statefulsets_and_daemonsets_own_their_pods() -> None:
    samples = Samples(["statefulset/db", "daemonset/agent"])
    samples.add_snapshot(
        snapshot(
            pod("db-0", owned_by="s-1", image="db:1"),
            pod("agent-a", owned_by="ds-1", image="agent:2"),
            statefulsets=[{"metadata": {"name": "db", "uid": "s-1"}}],
            daemonsets=[{"metadata": {"name": "agent", "uid": "ds-1"}}],
        )
    )
    assert _points(samples) == [("replicas/db/1", 1), ("replicas/agent/2", 1)]


@pytest.mark.parametrize("lacking", ["deployments", "replicasets", "pods"])
def test_what_could_not_be_read_is_not_drawn_as_nothing(lacking: str) -> None:
    samples = Samples(["deployment/web"])
    whole = snapshot(_pod("a", "5"))
    samples.add_snapshot(whole)
    kept = {key: items for key, items in whole.objects.items() if key != lacking}
    samples.add_snapshot(replace(whole, objects=kept, errors={lacking: Unreachable("gone")}))
    assert _points(samples) == [("replicas/web/5", 1), ("wanted/web", 2)]


def test_health_is_one_or_nothing() -> None:
    samples = Samples([])
    samples.add_health(at(1), ok=False)
    samples.add_health(at(2), ok=True)
    assert _points(samples) == [("health", 0), ("health", 1)]


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("app:1.5.0", "1.5.0"),
        ("registry:5000/zk/app:1.5.0", "1.5.0"),
        ("registry:5000/zk/app:1.5.0@sha256:0123456789abcdef", "1.5.0"),
        ("registry:5000/zk/app@sha256:0123456789abcdef", "0123456789ab"),
        ("registry:5000/zk/app", "latest"),
        ("app", "latest"),
        ("", "latest"),
    ],
)
def test_image_tag(image: str, tag: str) -> None:
    assert image_tag(image) == tag


def test_unchanging_stretches_are_thinned_first() -> None:
    samples = Samples([], limit=100)
    for second in range(1000):
        samples.add_health(at(second), ok=not 400 <= second < 410)
    points = samples.points()
    assert len(points) <= 100
    assert (points[0].at, points[-1].at) == (at(0), at(999))
    shape = [
        point.value
        for before, point in zip((None, *points), points, strict=False)
        if before is None or before.value != point.value
    ]
    assert shape == [1, 0, 1]
    assert {at(399), at(400), at(409), at(410)} <= {point.at for point in points}


@given(values=st.lists(st.booleans(), min_size=1, max_size=400))
def test_bounded_whatever_comes(values: list[bool]) -> None:
    samples = Samples([], limit=20)
    for second, ok in enumerate(values):
        samples.add_health(at(second), ok=ok)
    points = samples.points()
    assert len(points) <= 20
    assert (points[0].at, points[-1].at) == (at(0), at(len(values) - 1))
    assert points[-1].value == (1 if values[-1] else 0)


def test_case_c5_namesakes_in_two_namespaces_are_two_series() -> None:
    samples = Samples(["deployment/web", "other/deployment/web"])
    here = {"deployments": ({"metadata": {"name": "web", "uid": "w"}, "spec": {"replicas": 2}},)}
    there = {"deployments": ({"metadata": {"name": "web", "uid": "v"}, "spec": {"replicas": 3}},)}
    for objects, namespace in ((here, ""), (there, "other")):
        samples.add_snapshot(Snapshot(at(1), {**objects, "pods": (), "replicasets": ()}), namespace)
    assert _points(samples) == [("wanted/web", 2), ("wanted/web in other", 3)]


def test_restarts_count_from_what_was_first_seen() -> None:
    samples = Samples(["deployment/web"])

    def see(seconds: float, **restarts: int) -> None:
        pods = []
        for name, count in restarts.items():
            made = _pod(name, "6")
            for each in made["status"]["containerStatuses"]:
                each["restartCount"] = count
            pods.append(made)
        samples.add_snapshot(snapshot(*pods, replicasets=[replicaset("rs-6")], at_s=seconds))

    see(1, a=4, b=0)
    see(2, a=4, b=1)
    see(3, a=6, b=1)
    see(4, c=0)
    assert [each for each in _points(samples) if each[0].startswith("restarts/")] == [
        ("restarts/web/6", 1),
        ("restarts/web/6", 3),
    ]


def test_a_state_that_was_noted_already_is_not_gone_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rollouts bring the same picture again and again."""
    asked: list[object] = []

    def ask(items: Any, uids: Any) -> Any:
        asked.append(uids)
        return owned_by(items, uids)

    monkeypatch.setattr(recovery_series, "owned_by", ask)
    samples, one = Samples(["deployment/web"]), snapshot(_pod("a", "6"), replicasets=[replicaset("rs-6")])
    for seconds in range(20):
        samples.add_snapshot(replace(one, at=at(seconds)))
    once = len(asked)
    assert once == 2  # its ReplicaSets, and their pods
    samples.add_snapshot(snapshot(_pod("a", "6", ready=False), replicasets=[replicaset("rs-6")], at_s=30))
    assert len(asked) == 2 * once
