"""The question at the terminal: only an answer that begins with the word yes goes ahead. Asked on a real pty."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

import pytest

from pytest_zkrollback.run.prompt import Reply, ask, parse_consent

ASKS = """
import json, sys, time
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.run.prompt import ask
time.sleep(float(sys.argv[2]))
clock = SystemClock()
reply = ask(sys.argv[4], clock, clock.monotonic_s() + float(sys.argv[3]))
with open(sys.argv[1], "w") as file:
    json.dump([reply.text, reply.silence], file)
"""


QUESTION = "REFUSED target: it failed\n\x1b[2JGo ahead?"


def rows(shown):
    """What stands on the screen in the end: a row that was written again shows what it was written last."""
    screen = []
    for line in shown.replace("\r\n", "\n").split("\n"):
        row = ""
        for part in line.split("\r"):
            row = part + row[len(part) :]
        screen.append(row.rstrip())
    return screen


def asked(tmp_path, typed=b"", *, before=b"", limit_s=20.0, question=QUESTION, columns=0):
    """What came of the question, and all that was written to the terminal."""
    answer = tmp_path / "answer.json"
    wait_s = 1.0 if before else 0.0
    pid, terminal = pty.fork()
    if pid == 0:
        if columns:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        argv = [sys.executable, "-c", ASKS, str(answer), str(wait_s), str(limit_s), question]
        os.execv(sys.executable, argv)
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
        if not done and b"s to answer:" in shown:
            done = True
            os.write(terminal, typed)
    os.waitpid(pid, 0)
    os.close(terminal)
    return Reply(*json.loads(answer.read_text())), shown.decode()


def test_a_line_is_an_answer_and_question_and_answer_stay_on_the_screen(tmp_path):
    reply, shown = asked(tmp_path, b"yes the limit is wrong\n", limit_s=1000.5)
    assert reply == Reply("yes the limit is wrong")
    first, second, answered, end = rows(shown)
    assert (first, second) == ("REFUSED target: it failed", "\N{SYMBOL FOR ESCAPE}[2JGo ahead?")
    assert re.fullmatch(r"(100\d|9\d\d) s to answer: yes the limit is wrong", answered)
    assert end == ""


def test_the_seconds_left_count_down_beside_what_is_typed(tmp_path):
    """Issue 16, 1: the question said 60 s until the end."""
    reply, shown = asked(tmp_path, b"ye", limit_s=2.5)
    assert reply == Reply(silence="no answer in time")
    assert re.findall(r"(\d) s to answer: ?y?e?", shown)[:1] == ["3"]
    assert [row for row in ("2 s to answer: ye", "1 s to answer: ye") if row not in shown] == []
    assert rows(shown)[-3:] == ["0 s to answer: ye", "(no answer in time)", ""]


def test_evidence_is_broken_between_words_alone(tmp_path):
    """Issue 16, 1: words were cut where the terminal ends."""
    question = (
        "REFUSED pending: revision 12 is pending-upgrade, and a process holds it\n"
        "    It may still be at work.\nGo ahead?"
    )
    _, shown = asked(tmp_path, b"no\n", question=question, columns=30)
    assert rows(shown)[:-2] == [
        "REFUSED pending: revision 12",
        "    is pending-upgrade, and a",
        "    process holds it",
        "    It may still be at work.",
        "Go ahead?",
    ]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        pytest.param(b"nyes\x7f\x7f\x7f\x7fyes\n", "yes", id="Backspace"),
        pytest.param(b"no such\x15yes\n", "yes", id="Ctrl-U"),
        pytest.param(b"yes because\x17why\n", "yes why", id="Ctrl-W"),
        pytest.param(b"yes\x1b[D\x1b[3~\x1bOA so\n", "yes so", id="arrows are left out"),
        pytest.param(
            "yes f\u00fcr alle\r".encode(), "yes f\u00fcr alle", id="beyond ASCII, and a carriage return"
        ),
        pytest.param(b"ye\x04s\n", "yes", id="Ctrl-D within the line"),
        pytest.param(b"yes " + b"x" * 300 + b"\n", "yes " + "x" * 300, id="longer than the terminal"),
        pytest.param(b"yes one\nls -la\n", "yes one", id="a second line is nobody's"),
    ],
)
def test_the_line_is_edited_as_in_any_terminal(tmp_path, typed, text):
    reply, shown = asked(tmp_path, typed, columns=60)
    assert reply == Reply(text)
    assert max(len(row) for row in rows(shown)) < 60


def test_what_was_typed_before_the_question_is_thrown_away(tmp_path):
    """Case B2: a line that waited in the terminal overrode every guard."""
    reply, _ = asked(tmp_path, b"no\n", before=b"yes I pasted too much\nyes\nye")
    assert reply == Reply("no")
    silent, shown = asked(tmp_path, before=b"yes I pasted too much\n", limit_s=1.0)
    assert silent == Reply(silence="no answer in time")
    assert rows(shown)[-4:] == [
        "\N{SYMBOL FOR ESCAPE}[2JGo ahead?",
        "0 s to answer:",
        "(no answer in time)",
        "",
    ]


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
        os.execv(sys.executable, [sys.executable, "-c", code, answer, "0", "20", "Go ahead?"])
    os.tcsetpgrp(terminal, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-c", code, answer, "0", "20", "Go ahead?"])
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
