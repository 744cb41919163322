"""The list+watch: what it holds, what it admits not to know, and how it heals."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

import pytest

from pytest_zkrollback.domain.checks import Snapshot
from pytest_zkrollback.domain.errors import BadAnswer, ClusterError, Forbidden, Unreachable
from pytest_zkrollback.engine.cluster_watch import (
    LONGEST_STALE_S,
    LONGEST_WATCH_S,
    REFUSAL_GRACE_S,
    RESOURCES,
    STALE_S,
    ClusterWatch,
    NamespaceWatches,
    _pause_s,
)

FORBIDDEN = Forbidden("not allowed to list daemonsets", verb="list", resource="daemonsets", namespace="n")


class FakeClock:
    """Stands still but for what a test adds."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def monotonic_s(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the watch does not sleep by the clock")


class FakeKube:
    """Lists what a test put in, and streams what it sends. Everything else fails."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in RESOURCES}
        self.failures: dict[str, Exception] = {}
        self.lists: list[str] = []
        self.watched_s: dict[str, float] = {}
        self.applied = 0
        self.gate = Event()
        self.gate.set()
        self._streams: dict[str, SimpleQueue[Any]] = {name: SimpleQueue() for name in RESOURCES}
        self._lock = Lock()

    def put(self, resource: str, name: str, version: int = 1, **more: Any) -> dict[str, Any]:
        item = {"metadata": {"name": name, "resourceVersion": str(version)}, **more}
        self.items[resource][name] = item
        return item

    def send(self, resource: str, event: Any) -> None:
        """To the open stream; an exception breaks it, None ends it."""
        self._streams[resource].put(event)

    def close(self) -> None:
        self.gate.set()
        for stream in self._streams.values():
            for _ in range(20):
                stream.put(None)

    def list_with_version(
        self, path: str, timeout_s: float, keep: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> tuple[tuple[dict[str, Any], ...], str]:
        resource = self._resource(path)
        self.gate.wait(5)
        with self._lock:
            self.lists.append(resource)
        if resource in self.failures:
            raise self.failures[resource]
        return tuple(map(keep, self.items[resource].values())), "7"

    def watch(self, path: str, resource_version: str, timeout_s: float) -> Iterator[dict[str, Any]]:
        assert resource_version == "7"
        self.watched_s[self._resource(path)] = timeout_s
        stream = self._streams[self._resource(path)]
        while (event := stream.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
            self.applied += 1  # the watch asks for the next one

    def _resource(self, path: str) -> str:
        resource = path.rpartition("/")[2]
        assert path == RESOURCES[resource].format("shop")
        return resource

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"not expected: {name}")


class Bench:
    """A watch on a fake cluster, with a way to wait for what it should come to know."""

    def __init__(self, resources: Collection[str] = tuple(RESOURCES)) -> None:
        self.kube = FakeKube()
        self.clock = FakeClock()
        self.watch = ClusterWatch(self.kube, "shop", self.clock, resources=resources)  # type: ignore[arg-type]

    def start(self) -> None:
        self.watch.start()
        assert self.watch.wait_first(2)

    def names(self, resource: str = "pods") -> list[str]:
        return [item["metadata"]["name"] for item in self.watch.snapshot().objects.get(resource, ())]

    def until(self, met: Callable[[Snapshot], object]) -> Snapshot:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            snapshot = self.watch.snapshot()
            if met(snapshot):
                return snapshot
            time.sleep(0.002)
        raise AssertionError(f"did not come about; last: {self.watch.snapshot()}")


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.watch.stop()
    bench.kube.close()


def _event(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": item}


def test_lists_then_follows(bench: Bench) -> None:
    bench.kube.put("pods", "a")
    bench.start()
    assert bench.names() == ["a"]
    bench.kube.send("pods", _event("ADDED", bench.kube.put("pods", "b")))
    bench.until(lambda _: bench.names() == ["a", "b"])
    bench.kube.send("pods", _event("MODIFIED", bench.kube.put("pods", "b", 2, status={"phase": "Running"})))
    snapshot = bench.until(lambda shot: "status" in shot.objects["pods"][1])
    assert snapshot.objects["pods"][1] == {
        "metadata": {"name": "b", "resourceVersion": "2"},
        "status": {"phase": "Running"},
    }
    bench.kube.send("pods", _event("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
    bench.kube.send("pods", _event("DELETED", bench.kube.items["pods"].pop("a")))
    bench.until(lambda _: bench.names() == ["b"])
    assert bench.kube.lists.count("pods") == 1


def test_whoever_listens_hears_of_every_change_once_it_is_in_the_picture(bench: Bench) -> None:
    heard: list[list[str]] = []
    bench.watch.listen(
        lambda _: heard.append(sorted(bench.watch.snapshot().objects.get("pods", ()) and bench.names()))
    )
    bench.start()
    bench.until(lambda _: len(heard) == len(RESOURCES))
    bench.kube.send("pods", _event("ADDED", bench.kube.put("pods", "a")))
    bench.until(lambda _: len(heard) == len(RESOURCES) + 1)
    assert heard[-1] == ["a"]
    bench.kube.send("pods", _event("DELETED", bench.kube.items["pods"].pop("a")))
    bench.until(lambda _: len(heard) == len(RESOURCES) + 2)
    assert heard[-1] == []
    bench.kube.send("pods", Unreachable("gone"))
    bench.until(lambda _: len(heard) > len(RESOURCES) + 2)


def test_snapshots_are_cheap_and_cannot_be_changed(bench: Bench) -> None:
    bench.kube.put("deployments", "web")
    bench.start()
    first, second = bench.watch.snapshot(), bench.watch.snapshot()
    assert first.objects["deployments"] is second.objects["deployments"]
    assert set(first.objects) == set(RESOURCES)
    assert first.errors == {}
    with pytest.raises(TypeError):
        first.objects["deployments"] = ()  # type: ignore[index]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(_event("ERROR", {"code": 410, "message": "too old"}), id="fault_4_gone"),
        pytest.param(BadAnswer("410", status=410), id="fault_4_gone_by_status"),
        pytest.param(_event("ERROR", {"code": 500, "message": "etcdserver: no leader"}), id="server_error"),
        pytest.param(_event("NEWS", {}), id="unknown_event"),
        pytest.param(_event("ADDED", {"metadata": {}}), id="object_without_name"),
        pytest.param({"type": "ADDED"}, id="event_without_object"),
        pytest.param(Unreachable("connection reset"), id="fault_2_server_restarts"),
        pytest.param(ValueError("a bug in a client"), id="a_bug_does_not_end_the_watch"),
        pytest.param(None, id="fault_3_silent_stream_ends"),
    ],
)
def test_a_broken_stream_is_followed_by_a_list(bench: Bench, broken: Any) -> None:
    bench.start()
    bench.kube.put("pods", "unheard-of")
    bench.kube.send("pods", broken)
    bench.until(lambda _: bench.names() == ["unheard-of"])


def test_fault_7_one_resource_is_forbidden_and_the_others_are_not(bench: Bench) -> None:
    bench.kube.failures["daemonsets"] = FORBIDDEN
    bench.kube.put("pods", "a")
    bench.start()
    snapshot = bench.watch.snapshot()
    assert dict(snapshot.errors) == {"daemonsets": FORBIDDEN}
    assert "daemonsets" not in snapshot.objects
    assert bench.names() == ["a"]


def test_fault_2_a_restarting_servers_refusal_is_not_believed_at_once(bench: Bench) -> None:
    bench.kube.put("daemonsets", "agent")
    bench.start()
    bench.kube.failures["daemonsets"] = FORBIDDEN
    bench.kube.send("daemonsets", None)
    bench.until(lambda _: bench.kube.lists.count("daemonsets") >= 2)
    assert bench.names("daemonsets") == ["agent"]
    bench.clock.passed_s = REFUSAL_GRACE_S
    bench.until(lambda shot: shot.errors == {"daemonsets": FORBIDDEN})
    del bench.kube.failures["daemonsets"]
    bench.until(lambda _: bench.names("daemonsets") == ["agent"])


def test_fault_3_what_is_too_old_is_an_error(bench: Bench) -> None:
    bench.kube.put("pods", "a")
    bench.start()
    bench.clock.passed_s = STALE_S
    assert bench.names() == ["a"]
    bench.clock.passed_s = STALE_S + 1
    snapshot = bench.watch.snapshot()
    assert dict(snapshot.objects) == {}
    assert str(snapshot.errors["pods"]) == (
        "The pods of namespace shop were last read 16 s ago; the API server has not answered since."
    )
    assert isinstance(snapshot.errors["pods"], Unreachable)


@pytest.mark.parametrize(
    ("took_s", "watched_s", "good_s"),
    [(0, 5, STALE_S), (3, 6, STALE_S + 12), (30, LONGEST_WATCH_S, LONGEST_STALE_S)],
)
def test_a_list_that_takes_long_is_good_for_longer_and_watched_longer(
    took_s: float, watched_s: float, good_s: float
) -> None:
    """Of thousands of pods: two lists and the watch between them fit into its time."""
    bench = Bench(resources=("pods",))
    listed = bench.kube.list_with_version

    def list_slowly(path: str, timeout_s: float, keep: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        bench.clock.passed_s += took_s
        return listed(path, timeout_s, keep)

    bench.kube.list_with_version = list_slowly  # type: ignore[method-assign]
    bench.kube.put("pods", "a")
    try:
        bench.start()
        bench.until(lambda _: bench.kube.watched_s)
        assert bench.kube.watched_s == {"pods": watched_s}
        assert bench.watch.list_took_s == took_s
        bench.clock.passed_s = good_s
        assert bench.names() == ["a"]
        bench.clock.passed_s = good_s + 1
        assert "pods" in bench.watch.snapshot().errors
    finally:
        bench.kube.close()
        bench.watch.stop()


def test_a_slow_list_is_good_for_the_usual_time_once_the_next_one_fails(bench: Bench) -> None:
    bench.kube.put("pods", "a")
    bench.start()
    feed = bench.watch._feeds["pods"]
    feed.took_s, feed.error = 8.0, Unreachable("no answer")
    bench.clock.passed_s = STALE_S + 1
    assert bench.watch.snapshot().errors["pods"] is feed.error


def test_a_list_that_nobody_wants_any_more_is_not_read_to_its_end(bench: Bench) -> None:
    for number in range(3):
        bench.kube.put("pods", f"p{number}")
    kept: list[str] = []
    asked_anew: list[str] = []
    listed = bench.kube.list_with_version

    def listing(path: str, timeout_s: float, keep: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        def one(item: dict[str, Any]) -> dict[str, Any]:
            if not asked_anew:
                asked_anew.append(path)
                bench.watch.refresh()  # a newer thread is asked
            found = keep(item)
            kept.append(item["metadata"]["name"])
            return found

        return listed(path, timeout_s, one)

    bench.kube.list_with_version = listing  # type: ignore[method-assign]
    bench.watch.start()
    bench.until(lambda shot: len(shot.objects.get("pods", ())) == 3)
    assert kept == ["p0", "p1", "p2"]


def test_pods_of_one_controller_share_what_is_equal_in_them(bench: Bench) -> None:
    def pod(name: str, version: int = 1) -> dict[str, Any]:
        made = bench.kube.put("pods", name, version, spec={"nodeName": name, "containers": [{"name": "app"}]})
        made["metadata"]["ownerReferences"] = [{"uid": "rs", "controller": True}]
        return made

    pod("a")
    pod("b")
    bench.start()
    bench.kube.send("pods", _event("ADDED", pod("c")))
    found = bench.until(lambda shot: len(shot.objects["pods"]) == 3).objects["pods"]
    assert [one["spec"]["nodeName"] for one in found] == ["a", "b", "c"]
    assert len({id(one["spec"]["containers"]) for one in found}) == 1


def test_a_list_in_which_nothing_changed_shows_the_same_objects(bench: Bench) -> None:
    bench.kube.put("pods", "a", version=1)
    bench.start()
    before = bench.watch.snapshot().objects["pods"]
    bench.kube.put("pods", "a", version=1)  # another object of the same version, as a list brings it
    bench.kube.send("pods", None)
    bench.until(lambda _: bench.kube.lists.count("pods") >= 2)
    bench.kube.put("pods", "a", version=2, status={"phase": "Failed"})
    assert bench.watch.snapshot().objects["pods"] is before
    bench.kube.send("pods", None)
    after = bench.until(lambda shot: shot.objects["pods"] is not before).objects["pods"]
    assert [one["status"] for one in after] == [{"phase": "Failed"}]


def test_an_event_does_not_make_an_old_list_fresh(bench: Bench) -> None:
    bench.start()
    bench.clock.passed_s = STALE_S + 1
    bench.kube.send("pods", _event("ADDED", bench.kube.put("pods", "b")))
    bench.until(lambda _: bench.kube.applied)
    assert "pods" in bench.watch.snapshot().errors


def test_before_the_first_answer_nothing_is_known(bench: Bench) -> None:
    assert not bench.watch.wait_first(0)
    bench.kube.gate.clear()
    bench.watch.start()
    assert not bench.watch.wait_first(0.02)
    snapshot = bench.watch.snapshot()
    assert dict(snapshot.objects) == {}
    assert str(snapshot.errors["pods"]) == (
        "The pods of namespace shop have not been read yet; the API server has not answered."
    )
    bench.kube.gate.set()
    assert bench.watch.wait_first(2)
    assert dict(bench.watch.snapshot().errors) == {}


def test_after_a_refresh_only_what_was_read_since_is_shown(bench: Bench) -> None:
    bench.kube.put("deployments", "web", 1)
    bench.start()
    bench.kube.gate.clear()
    bench.watch.refresh()
    # The old stream may still bring news, but they prove nothing about now.
    bench.kube.send("deployments", _event("MODIFIED", bench.kube.put("deployments", "web", 2)))
    bench.until(lambda _: bench.kube.applied)
    assert "deployments" in bench.watch.snapshot().errors
    bench.kube.put("deployments", "web", 3)
    bench.kube.gate.set()
    snapshot = bench.until(lambda shot: "deployments" in shot.objects)
    assert snapshot.objects["deployments"][0]["metadata"]["resourceVersion"] == "3"


def test_what_did_not_change_is_not_held_twice(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.kube.put("pods", name, 1)
    bench.start()
    a, b = bench.watch.snapshot().objects["pods"]
    bench.kube.put("pods", "a", 1)  # as the server says it again, in a new answer
    bench.kube.put("pods", "b", 2)
    bench.watch.refresh()
    shot = bench.until(lambda shot: not shot.errors)
    same, other = shot.objects["pods"]
    assert same is a
    assert other is not b
    assert other["metadata"]["resourceVersion"] == "2"


def test_the_stream_from_before_a_refresh_no_longer_counts(bench: Bench) -> None:
    bench.kube.put("pods", "a")
    bench.start()
    bench.watch.refresh()
    bench.until(lambda shot: not shot.errors)
    # Two threads read the fake's one queue: whichever takes it, an outdated event must not be applied twice.
    for name in ("b", "c"):
        bench.kube.send("pods", _event("ADDED", bench.kube.put("pods", name)))
    bench.kube.send("pods", None)
    bench.until(lambda _: set(bench.names()) == {"a", "b", "c"})


def test_starting_twice_is_starting_once(bench: Bench) -> None:
    bench.start()
    bench.watch.start()
    assert bench.watch.wait_first(2)
    assert sorted(bench.kube.lists) == sorted(RESOURCES)


@pytest.mark.parametrize(
    ("error", "failures", "pause_s"),
    [
        (None, 1, 0.2),
        (Unreachable("gone"), 2, 0.4),
        (Unreachable("gone"), 3, 0.8),
        (Unreachable("gone"), 4, 1.6),
        (Unreachable("gone"), 5, 2.0),
        (Unreachable("gone"), 500, 2.0),
        (BadAnswer("busy", status=429, retry_after_s=5), 1, 5),
        (BadAnswer("busy", status=503, retry_after_s=0), 1, 0.2),
        (BadAnswer("busy", status=503, retry_after_s=9000), 1, 30),
    ],
)
def test_fault_5_pause(error: ClusterError | None, failures: int, pause_s: float) -> None:
    assert _pause_s(error, failures) == pytest.approx(pause_s)


def test_case_c5_every_namespace_has_a_watch_of_its_own() -> None:
    class Kube(FakeKube):
        def list_with_version(self, path: str, timeout_s: float, keep: Any) -> Any:
            place = path.split("/")[-2]
            if place == "dark":
                raise FORBIDDEN
            return ({"metadata": {"name": f"in-{place}"}},), "7"

        def watch(self, path: str, resource_version: str, timeout_s: float) -> Iterator[dict[str, Any]]:
            time.sleep(0.05)
            yield from ()

    wanted = {"shop": ("pods", "deployments"), "other": ("pods",), "dark": ("pods",)}
    watches = NamespaceWatches(Kube(), wanted, FakeClock())  # type: ignore[arg-type]
    watches.start()
    try:
        assert watches.wait_first(5)
        assert watches.namespaces == ("shop", "other", "dark")
        assert watches.snapshot() == replace(watches.snapshot("shop"), at=watches.snapshot().at)
        for place in ("shop", "other"):
            assert watches.snapshot(place).objects["pods"] == ({"metadata": {"name": f"in-{place}"}},)
        assert set(watches.snapshot("other").objects) == {"pods"}
        assert dict(watches.snapshot("dark").errors) == {"pods": FORBIDDEN}
        watches.refresh()
        assert watches.wait_first(5)
    finally:
        watches.stop()
