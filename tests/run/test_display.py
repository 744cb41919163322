"""What stays on the terminal when the run ends, however it ends."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.record import Guard, Helm, Record
from pytest_zkrollback.run import display as module
from pytest_zkrollback.run.display import Display
from support.example_records import at, items, running, verified


class Nine(SystemClock):
    def now(self) -> datetime:
        return at(9)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(record: Record, error: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    display = Display(lambda: record, Nine(), stream)
    with display:
        display.status("smoke: all checks passed")
        display.__exit__(error, None, None)
    return stream.getvalue().rpartition("\x1b[2K")[2]


def test_the_last_picture_has_the_outcome_that_the_record_does_not_have_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_judged = running().model_copy(update={"items": verified().items})
    assert "verified in 9.0 s; 11 of 11 judged" in shown(all_judged, None, monkeypatch)
    assert "smoke: all checks passed" not in shown(all_judged, None, monkeypatch)


def test_after_an_interruption_nothing_waits_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(running(), KeyboardInterrupt, monkeypatch)
    assert "interrupted in 9.0 s; 5 of 11 judged" in text
    assert "NO VERDICT" in text
    assert "WAITING" not in text


def test_a_refusal_for_want_of_a_cluster_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = tuple(item.model_copy(update={"verdict": None}) for item in items())
    begun = running().model_copy(update={"helm": Helm(), "items": blank})
    assert "refused in 9.0 s" in shown(begun, Unreachable, monkeypatch)


def test_elsewhere_there_are_lines_and_each_is_said_once() -> None:
    stream = io.StringIO()
    display = Display(running, Nine(), stream)
    with display:
        display.changed()
        display.changed()
    assert stream.getvalue().count("PASS release-equivalence") == 1


def test_an_item_that_is_looked_at_anew_says_nobody_elses_verdict_again() -> None:
    records = [running(), running()]
    first, *others = records[1].items
    anew = (first.model_copy(update={"verdict": None}), *others)
    records[1] = records[1].model_copy(update={"items": anew})
    stream = io.StringIO()
    display = Display(lambda: records.pop(0), Nine(), stream)
    with display:
        display.changed()
        display.status("what is new is said before this")
        display.changed()
    assert (records, stream.getvalue().count("PASS release-equivalence")) == ([], 1)


def test_each_verdict_of_a_burst_has_its_line_in_their_order_before_what_is_said_then() -> None:
    judged = verified().model_copy(update={"outcome": "running", "finished_at": None, "provisional_at": None})
    stream = io.StringIO()
    with Display(lambda: judged, Nine(), stream) as display:
        display.changed()
        display.status("watching for 10 s")
    lines = [line.split() for line in stream.getvalue().splitlines() if " judged)" in line]
    ordered = sorted(judged.items, key=lambda item: item.finished_at or at(0))
    assert [line[3].rstrip(":") for line in lines] == [item.id for item in ordered]
    assert [" ".join(line[-4:]) for line in lines] == [f"({n} of 11 judged)" for n in range(1, 12)]
    assert stream.getvalue().endswith("judged)\nwatching for 10 s\n")


def test_who_judges_waits_for_no_picture() -> None:
    fetched: list[str] = []

    def fetch() -> Record:
        fetched.append(threading.current_thread().name)
        return running()

    with Display(fetch, Nine(), io.StringIO()) as display:
        for _ in range(100):
            display.changed()
        assert wait_for(lambda: bool(fetched))
        assert set(fetched) == {"zkrollback-display"}
        assert len(fetched) < 5


def wait_for(done: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 20
    while not done() and time.monotonic() < until_s:
        time.sleep(0.005)
    return done()


def test_on_a_pipe_a_line_says_again_and_again_what_is_waited_for_until_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SAID_EVERY_S", 0.01)
    stream = io.StringIO()
    display = Display(running, Nine(), stream)
    with display:
        assert wait_for(lambda: stream.getvalue().count("       9.0 s  verifying\n") > 1)
        with display.paused():  # the question is the operator's to read
            time.sleep(0.05)
            before = stream.getvalue()
            time.sleep(0.05)
            assert stream.getvalue() == before
    time.sleep(0.05)
    after = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == after


def test_on_a_terminal_nothing_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAID_EVERY_S", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Display(running, Nine(), stream):
        time.sleep(0.05)
    assert "       9.0 s  verifying" not in stream.getvalue()


def test_each_warning_is_a_line_of_its_own_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warned = running().model_copy(update={"guards": (Guard(id="url", state="warned", evidence="no answer"),)})
    monkeypatch.setenv("TERM", "xterm")
    for stream in (io.StringIO(), Terminal()):
        display = Display(lambda: warned, Nine(), stream)
        with display:
            display.changed()
            display.changed()
        assert stream.getvalue().count("WARNING url: no answer") == 1


def test_a_closed_terminal_ends_nothing() -> None:
    stream = io.StringIO()
    display = Display(running, Nine(), stream)
    stream.close()
    display._write("into the void")
