"""The record follows the run: at once where something will be changed, without being waited for later."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report import recorder as module
from pytest_zkrollback.report.recorder import Recorder
from support.example_records import running


class Disk:
    """Takes a record once ``free`` is set."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Semaphore(0)
        self.records: list[Record] = []

    @property
    def taken(self) -> list[str]:
        return [record.summary for record in self.records]

    def write(self, record: Record) -> None:
        self.asked.release()
        assert self.free.wait(5)
        self.records.append(record)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.free.set()


@pytest.fixture
def recorder(disk: Disk) -> Iterator[Recorder]:
    recorder = Recorder(running(), SystemClock(), disk.write)
    yield recorder
    disk.free.set()
    recorder.flush()


def test_every_change_is_on_disk_before_the_next_thing_happens(recorder: Recorder, disk: Disk) -> None:
    recorder.update(summary="a")
    recorder.update(summary="b")
    assert disk.taken == ["a", "b"]


def test_in_a_hurry_nobody_waits_for_a_busy_disk_and_the_newest_is_written(
    recorder: Recorder, disk: Disk
) -> None:
    disk.free.clear()
    recorder.write_async()
    recorder.update(summary="a")
    assert disk.asked.acquire(timeout=5)
    begun = time.monotonic()
    for text in "bcdefg":
        recorder.update(summary=text)
    assert time.monotonic() - begun < 2
    assert recorder.record.summary == "g"
    disk.free.set()
    recorder.flush()
    assert disk.taken == ["a", "g"]


def test_a_change_in_a_hurry_is_written_at_once(recorder: Recorder, disk: Disk) -> None:
    recorder.write_async()
    recorder.write_async()
    for text in "ab":
        recorder.update(summary=text)
        assert disk.asked.acquire(timeout=5)
    recorder.flush()
    assert disk.taken == ["a", "b"]


def test_once_settled_every_change_is_waited_for_again(recorder: Recorder, disk: Disk) -> None:
    recorder.flush()
    recorder.write_async()
    recorder.update(summary="a")
    recorder.flush()
    recorder.update(summary="b")
    assert disk.taken == ["a", "b"]
    assert not [one for one in threading.enumerate() if one.name == "zkrollback-record"]


def test_whatever_several_threads_change_the_newest_is_the_last_on_disk(
    recorder: Recorder, disk: Disk
) -> None:
    recorder.write_async()

    def change() -> None:
        for _ in range(50):
            recorder.event("something", "test")

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    recorder.flush()
    for thread in threads:
        thread.join()
    recorder.flush()
    assert disk.records[-1] is recorder.record
    assert sum(entry.event == "something" for entry in recorder.record.timeline) == 200


def test_who_tells_others_waits_for_the_disk_but_not_for_ever(recorder: Recorder, disk: Disk) -> None:
    recorder.wait_written()
    recorder.write_async()
    disk.free.clear()
    recorder.update(summary="a")
    recorder.update(summary="b")
    begun = time.monotonic()
    recorder.wait_written(0.05)
    assert 0.05 <= time.monotonic() - begun < 2
    assert disk.taken == []
    threading.Timer(0.05, disk.free.set).start()
    recorder.wait_written(5)
    assert disk.taken[-1] == "b"


def test_what_changes_meanwhile_is_not_waited_for() -> None:
    over = threading.Event()

    def write(record: Record) -> None:
        over.wait(0.01)
        if not over.is_set() and threading.current_thread() is not threading.main_thread():
            recorder.event("something", "test")  # so all is never on disk

    recorder = Recorder(running(), SystemClock(), write)
    recorder.write_async()
    recorder.update(summary="a")
    begun = time.monotonic()
    recorder.wait_written(5)
    took = time.monotonic() - begun
    over.set()
    recorder.flush()
    assert took < 4


def test_where_no_thread_is_to_be_had_every_change_is_waited_for(
    recorder: Recorder, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        recorder.write_async()
        recorder.update(summary="a")
        assert disk.taken == ["a"]
        recorder.flush()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("more", [True, False])
def test_a_thread_that_fails_leaves_nothing_unwritten(more: bool) -> None:
    taken: list[str] = []
    failed = threading.Event()

    def write(record: Record) -> None:
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise MemoryError
        taken.append(record.summary)

    recorder = Recorder(running(), SystemClock(), write)
    recorder.write_async()
    [thread] = [one for one in threading.enumerate() if one.name == "zkrollback-record"]
    recorder.update(summary="a")
    assert failed.wait(5)
    thread.join(5)
    if more:
        recorder.update(summary="b")
    recorder.flush()
    assert taken == ["b" if more else "a"]


def test_a_burst_of_changes_is_one_write_by_the_thread_and_who_waits_has_it_at_once() -> None:
    writers: list[str] = []
    recorder = Recorder(
        running(), SystemClock(), lambda record: writers.append(threading.current_thread().name)
    )
    recorder.write_async(gathers=True)
    for number in range(200):
        recorder.update(summary=str(number))
    begun = time.monotonic()
    recorder.wait_written(5)
    assert time.monotonic() - begun < 0.2, "not after the pause"
    assert writers == ["zkrollback-record"]
    recorder.flush()


def test_where_nothing_is_gathered_each_change_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER_S", 60.0)
    written: queue.SimpleQueue[Record] = queue.SimpleQueue()
    recorder = Recorder(running(), SystemClock(), written.put)
    recorder.write_async()
    for number in range(3):  # a run that is killed a moment later has it on disk
        recorder.update(summary=str(number))
        assert written.get(timeout=5).summary == str(number)
    recorder.flush()
