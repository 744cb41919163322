"""Events that are read beforehand and followed: what read() says, and what it asks the API server for."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_zkrollback.checklist.events import feed
from pytest_zkrollback.checklist.events.feed import EventFeed, EventsRead
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, Unreachable

PATH = "/api/v1/namespaces/ns/events"
SINCE = datetime(2026, 11, 23, 10, 0, 0, 400000, tzinfo=UTC)


def event(number: int, kind: str = "Warning", after_s: float = 5, version: int = 0) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"e{number}",
            "uid": f"u{number}",
            "resourceVersion": str(version or 100 + number),
        },
        "type": kind,
        "reason": "Failed",
        "lastTimestamp": (SINCE + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class FakeKube:
    """Lists ``events`` (an exception: raises it) at version 7; streams what a test sends."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events: Any = list(events)
        self.lists = 0
        self.watched: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self._sent: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def pages(
        self, path: str, timeout_s: float, *, without_managed_fields: bool
    ) -> Iterator[tuple[tuple[Any, ...], str]]:
        assert (path, without_managed_fields) == (PATH, True)
        self.lists += 1
        assert self.gate.wait(5)
        if isinstance(self.events, Exception):
            raise self.events
        for start in range(0, max(1, len(self.events)), 250):
            yield tuple(self.events[start : start + 250]), "7"

    def send(self, *news: Any) -> None:
        """(type, event) to the open stream; an exception breaks it, None ends it."""
        for one in news:
            self._sent.put(one)

    def watch(self, path: str, version: str, timeout_s: float) -> Iterator[dict[str, Any]]:
        assert path == PATH
        self.watched.append(version)
        while (news := self._sent.get()) is not None:
            if isinstance(news, Exception):
                raise news
            yield {"type": news[0], "object": news[1]}


class Clock(SystemClock):
    moved_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.moved_s


class Bench:
    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.clock = Clock()
        self.log = EventFeed(kube, "ns", self.clock)  # type: ignore[arg-type]

    def begin(self) -> None:
        self.log.begin(SINCE)
        self.read()

    def read(self) -> EventsRead:
        return self.log.read(SINCE)

    def until(self, met: Callable[[EventsRead], bool]) -> EventsRead:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if met(found := self.read()):
                return found
            time.sleep(0.002)
        raise AssertionError(f"did not come about: {found}")

    def watched(self, times: int) -> None:
        end = time.monotonic() + 5
        while len(self.kube.watched) < times:
            assert time.monotonic() < end
            time.sleep(0.002)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(feed, "_PAUSE_S", 0.01)
    before = set(threading.enumerate())
    bench = Bench(FakeKube(*(event(number, "Normal", after_s=-100) for number in range(600)), event(600)))
    yield bench
    bench.log.stop()
    bench.kube.send(*[None] * 9)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def names(found: EventsRead) -> list[str]:
    return [one["metadata"]["name"] for one in found.warnings]


def test_fault_51_many_events_are_read_once_beforehand_and_followed_from_there(bench: Bench) -> None:
    bench.begin()
    assert (names(bench.read()), bench.read().total, len(bench.read().last)) == (["e600"], 601, 20)
    bench.kube.send(("ADDED", event(601, after_s=6)), ("ADDED", event(602, "Normal", after_s=7)))
    found = bench.until(lambda found: found.total == 603)
    assert (names(found), [one["metadata"]["name"] for one in found.last][-2:]) == (
        ["e600", "e601"],
        ["e601", "e602"],
    )
    # Once more, later: it is counted once. Then it expires.
    bench.kube.send(("MODIFIED", event(600, after_s=9, version=900)))
    found = bench.until(lambda found: names(found) == ["e601", "e600"])
    assert found.total == 603
    bench.kube.send(("DELETED", event(600)))
    assert bench.until(lambda found: found.total == 602).last[-1]["metadata"]["name"] == "e602"
    assert names(bench.read()) == ["e601"]
    assert (bench.kube.lists, bench.kube.watched) == (1, ["7"])


def test_what_a_stream_did_not_bring_the_next_list_does(bench: Bench) -> None:
    bench.begin()
    bench.kube.events.append(event(601))
    assert bench.read().total == 601
    bench.kube.send(None)
    assert bench.until(lambda found: found.total == 602)
    assert (bench.kube.lists, bench.kube.watched) == (2, ["7", "7"])


@pytest.mark.parametrize(
    "error", [Unreachable("cut"), BadAnswer("busy", status=503), BadAnswer("too old", status=410)]
)
def test_faults_2_and_4_while_a_stream_is_broken_every_reading_asks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(feed, "_PAUSE_S", 0.5)
    bench.begin()
    bench.kube.send(error)
    bench.until(lambda _: bench.kube.lists == 2)
    bench.kube.events.append(event(601))
    assert (bench.read().total, bench.kube.lists) == (602, 3)
    # The next list is followed again, and then there is nothing to ask any more.
    bench.watched(2)
    lists = bench.kube.lists
    bench.kube.send(("ADDED", event(602)))
    assert bench.until(lambda found: found.total == 603)
    assert bench.kube.lists == lists


def test_fault_3_a_list_is_believed_for_15_s_whatever_the_streams_say(bench: Bench) -> None:
    bench.begin()
    bench.kube.events.append(event(601))
    bench.clock.moved_s = 14.9
    assert (bench.read().total, bench.kube.lists) == (601, 1)
    bench.clock.moved_s = 15.1
    assert (bench.read().total, bench.kube.lists) == (602, 2)


def test_a_server_that_ends_every_stream_at_once_is_not_asked_in_a_tight_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_PAUSE_S", 30)
    bench.kube.send(*[None] * 99)
    bench.log.begin(SINCE)
    bench.watched(1)
    time.sleep(0.1)
    assert (bench.kube.lists, bench.kube.watched) == (1, ["7"])


def test_a_reading_does_not_wait_for_a_list_that_hangs_once_it_is_over(bench: Bench) -> None:
    bench.kube.gate.clear()
    bench.log.begin(SINCE)
    stopped = threading.Timer(0.05, lambda: (bench.log.stop(), bench.kube.gate.set()))
    stopped.start()
    assert bench.read().total == 601


def test_where_no_thread_is_to_be_had_every_reading_asks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(threading.Thread, "start", refuse)
        bench.log.begin(SINCE)
    assert (bench.read().total, bench.kube.lists) == (601, 1)


def test_what_could_not_be_read_beforehand_is_read_in_its_time(bench: Bench) -> None:
    events, bench.kube.events = bench.kube.events, Unreachable("away")
    bench.log.begin(SINCE)
    with pytest.raises(Unreachable):
        bench.read()
    bench.kube.events = events
    assert bench.read().total == 601


def test_fault_7_who_may_list_but_not_watch_lists(bench: Bench) -> None:
    refused = Forbidden("May not watch.", verb="watch", resource="events", namespace="ns")
    bench.begin()
    bench.kube.send(refused)
    bench.kube.events.append(event(601))
    assert bench.until(lambda found: found.total == 602)
    assert bench.kube.watched == ["7"]


def test_the_last_look_asks_the_server(bench: Bench) -> None:
    bench.begin()
    bench.log.stop()
    bench.kube.events.append(event(601))
    assert (bench.read().total, bench.kube.lists) == (602, 2)


def test_from_an_earlier_moment_on_there_is_more_than_was_kept(bench: Bench) -> None:
    bench.kube.events = [event(1, after_s=-50), event(2)]
    bench.begin()
    assert names(bench.read()) == ["e2"]
    assert names(bench.log.read(SINCE + timedelta(minutes=1))) == []
    assert bench.kube.lists == 1
    assert names(bench.log.read(SINCE - timedelta(minutes=1))) == ["e1", "e2"]
    assert bench.kube.lists == 2
