"""The question at the terminal: only an answer that begins with the word yes goes ahead. Asked on a real pty."""

import json
import os
import pty
import select
import sys
import time

import pytest

from pytest_zkrollback.run.prompt import Reply, ask, parse_consent

ASKS = """
import json, sys, time
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.run.prompt import ask
time.sleep(float(sys.argv[2]))
clock = SystemClock()
reply = ask("REFUSED target: it failed\\n\x1b[2JGo ahead?", clock, clock.monotonic_s() + float(sys.argv[3]))
with open(sys.argv[1], "w") as file:
    json.dump([reply.text, reply.silence], file)
"""


def asked(tmp_path, typed=b"", *, before=b"", limit_s=20.0):
    """What came of the question, and what stands on the screen."""
    answer = tmp_path / "answer.json"
    wait_s = 1.0 if before else 0.0
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", ASKS, str(answer), str(wait_s), str(limit_s)])
    if before:
        os.write(terminal, before)
    shown, done = b"", False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
        if not done and b"Go ahead?" in shown:
            done = True
            os.write(terminal, typed)
    os.waitpid(pid, 0)
    os.close(terminal)
    return Reply(*json.loads(answer.read_text())), shown.decode()


def test_a_line_is_an_answer_and_question_and_answer_stay_on_the_screen(tmp_path):
    reply, shown = asked(tmp_path, b"yes the limit is wrong\n")
    assert reply == Reply("yes the limit is wrong")
    assert (
        shown == "REFUSED target: it failed\r\n\N{SYMBOL FOR ESCAPE}[2JGo ahead? yes the limit is wrong\r\n"
    )


def test_what_was_typed_before_the_question_is_thrown_away(tmp_path):
    """Case B2: a line that waited in the terminal overrode every guard."""
    reply, _ = asked(tmp_path, b"no\n", before=b"yes I pasted too much\nyes\nye")
    assert reply == Reply("no")
    silent, shown = asked(tmp_path, before=b"yes I pasted too much\n", limit_s=1.0)
    assert silent == Reply(silence="no answer in time")
    assert shown.endswith("Go ahead? \r\n(no answer in time)\r\n")


@pytest.mark.parametrize(
    ("typed", "limit_s", "silence"),
    [
        pytest.param(b"\x04", 20.0, "the input ended", id="end of input"),
        pytest.param(b"", 0.5, "no answer in time", id="silence"),
        pytest.param(b"yes but no Enter", 0.5, "no answer in time", id="no end of the line"),
        pytest.param(b"", 0.0, "no answer in time", id="no time left"),
    ],
)
def test_no_answer_is_none(tmp_path, typed, limit_s, silence):
    reply, shown = asked(tmp_path, typed, limit_s=limit_s)
    assert reply == Reply(silence=silence)
    assert shown.endswith(f"\r\n({silence})\r\n")


BACKGROUND = """
import os, signal, sys, time
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
terminal = os.open("/dev/tty", os.O_RDWR)
code, answer = sys.argv[1:]
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    if "later" not in answer:
        time.sleep(0.5)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execv(sys.executable, [sys.executable, "-c", code, answer, "0", "20"])
    os.tcsetpgrp(terminal, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-c", code, answer, "0", "20"])
time.sleep(2.5)
os.tcsetpgrp(terminal, os.getpgrp())  # as a shell does after Ctrl-Z and bg
os.write(terminal, b"SHELL HERE")
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    done, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
    if done:
        print("STOPPED" if os.WIFSTOPPED(status) else "ENDED", flush=True)
        if os.WIFSTOPPED(status):
            os.kill(child, signal.SIGKILL)
        break
    time.sleep(0.05)
"""


@pytest.mark.parametrize("when", ["from the beginning", "later, while it is asked"])
def test_a_job_in_the_background_is_not_stopped_and_gets_no_answer(tmp_path, when):
    """It would stand there for ever: no time limit runs in a stopped process."""
    answer = tmp_path / f"answer-{when.partition(',')[0].replace(' ', '-')}.json"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", BACKGROUND, ASKS, str(answer)])
    shown, typed = b"", False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
        if not typed and b"SHELL HERE" in shown:
            typed = True
            os.write(terminal, b"yes that was for the shell\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    assert b"ENDED" in shown, shown
    assert Reply(*json.loads(answer.read_text())) == Reply(
        silence="this run is in the background of its terminal"
    )


def test_without_a_terminal_there_is_no_answer(monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.run.prompt._TTY", "/nowhere")
    assert ask("Go ahead?", None, 0) == Reply(silence="there is no terminal to ask on")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yes", ""),
        ("  YES  ", ""),
        ("Yes.", ""),
        ("yes the limit is wrong", "the limit is wrong"),
        ("yes, the limit is wrong", "the limit is wrong"),
        ("yes: no", "no"),
        ("yes - INC-42", "INC-42"),
        *(
            (text, None)
            for text in ("", " ", "no", "n", "q", "y", "ye", "ok", "sure", "no yes", "yesterday", "yes?")
        ),
        *(
            (text, None)
            for text in ("because the limit is wrong", "'yes'", "yes-man", "yesno", "5", "\N{CHECK MARK}")
        ),
    ],
)
def test_only_the_word_yes_at_the_beginning_goes_ahead(text, reason):
    assert parse_consent(text) == reason
