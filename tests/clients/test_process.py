"""Local programs, for real: output in bounds, deadlines, children that stay, what cannot start."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_zkrollback.clients import process
from pytest_zkrollback.clients.process import LocalProcesses, start_daemon, start_server
from pytest_zkrollback.domain.errors import ProcessProblem

SH = "/bin/sh"


def run(script: str, **given):
    return LocalProcesses(**given.pop("init", {})).run([SH, "-c", script], **{"timeout_s": 10, **given})


def is_running(pid: int) -> bool:
    """Not counting a zombie, which nobody in a container may ever reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_streams_are_kept_apart_and_together() -> None:
    done = run("echo out; sleep 0.02; echo err >&2; sleep 0.02; echo out2; exit 3")
    assert (done.stdout, done.stderr) == ("out\nout2\n", "err\n")
    assert done.output == "out\nerr\nout2\n"
    assert (done.exit_code, done.timed_out, done.leftover_child) == (3, False, False)
    assert done.argv[0] == SH
    assert 0 < done.duration_s < 5


def test_lines_of_both_streams_are_handed_on_as_they_come() -> None:
    lines: list[str] = []
    run(
        r"printf 'a\r\nb'; sleep 0.02; printf c; printf 'x\n' >&2; printf '\n'; printf last",
        on_line=lines.append,
    )
    assert sorted(lines) == ["a", "bc", "last", "x"]
    assert lines[-1] == "last"


def test_a_line_without_end_comes_in_pieces() -> None:
    lines: list[str] = []
    run("head -c 200000 /dev/zero | tr '\\0' x", on_line=lines.append)
    assert "".join(lines) == "x" * 200_000
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("script", "most_lines"),
    [("yes", 2_400), ("yes | tr -d '\\n'", 10), ("yes $(seq 20000) | tr '\\n' x", 10)],
)
def test_case_p3_a16_what_an_endless_program_prints_is_relayed_in_bounds(script, most_lines) -> None:
    lines: list[str] = []
    began = time.thread_time()
    done = run(script, on_line=lines.append, timeout_s=2)
    assert time.thread_time() - began < 1.5, "one processor was busy with nothing"
    assert done.timed_out
    assert 1 < len(lines) <= most_lines
    assert sum(map(len, lines)) < 500_000
    said = [re.fullmatch(r"\[\.\.\. \d+ lines \((\d+) bytes\) not shown \.\.\.\]", line) for line in lines]
    assert sum(int(found[1]) for found in said if found) > 100_000
    assert said[-1], "what was left out last is said"
    assert len(done.output) < 300_000
    assert re.search(r"\n\[\.\.\. \d{5,} bytes left out \.\.\.\]\n", done.output)


def test_case_p3_a16_after_a_flood_lines_are_handed_on_again() -> None:
    lines: list[str] = []
    run("seq 1 5000; sleep 0.5; echo later; echo last", on_line=lines.append)
    assert lines[:2000] == [str(number) for number in range(1, 2001)]
    assert lines[-2:] == ["later", "last"]
    said = [line for line in lines if "not shown" in line]
    shown = len(lines) - len(said) - 2
    assert sum(int(line.split()[1]) for line in said) == 5000 - shown


def test_on_start_gets_the_process_id_while_it_runs() -> None:
    seen: list[tuple[int, bool]] = []
    done = run("echo $$; sleep 0.05", on_start=lambda pid: seen.append((pid, is_running(pid))))
    assert seen == [(int(done.stdout), True)]


def test_standard_input_is_closed() -> None:
    assert run("cat; echo end").stdout == "end\n"


def test_it_runs_in_a_session_of_its_own() -> None:
    done = LocalProcesses().run(
        [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"], timeout_s=10
    )
    assert done.stdout == "True\n"


def test_environment_and_folder_are_as_given(tmp_path: Path) -> None:
    done = run('echo "$ONLY:$HOME"; pwd', env={"ONLY": "this"}, cwd=tmp_path)
    assert done.stdout == f"this:\n{tmp_path}\n"


def test_fault_62_arguments_are_never_a_shell_line() -> None:
    evil = ";$(touch /tmp/never) `id` && *"
    assert LocalProcesses().run(["/bin/echo", evil], timeout_s=10).stdout == evil + "\n"


@pytest.mark.parametrize("argv", ["echo hello", [], ()])
def test_what_is_no_list_of_arguments_is_refused(argv) -> None:
    with pytest.raises(ProcessProblem, match="a program is a list of arguments"):
        LocalProcesses().run(argv, timeout_s=1)


def test_fault_33_fifty_megabytes_on_stderr_stay_bounded() -> None:
    script = "echo begin >&2; head -c 50000000 /dev/urandom >&2; echo end >&2; echo fine"
    done = run(script, limit_bytes=10_000)
    assert done.stdout == "fine\n"
    for text in (done.stderr, done.output):
        assert text.startswith("begin\n")
        assert "bytes left out ...]" in text
        assert len(text) < 10_100
    assert done.stderr.endswith("end\n")
    left_out = 6 + 50_000_000 + 4 - 10_000
    assert f"\n[... {left_out} bytes left out ...]\n" in done.stderr


@pytest.mark.parametrize(("size", "whole"), [(99, True), (100, True), (101, False)])
def test_only_what_is_above_the_limit_is_cut(size: int, whole: bool) -> None:
    text = run(f"head -c {size} /dev/zero | tr '\\0' x", limit_bytes=100).stdout
    assert (text == "x" * size) is whole
    assert text.count("x") == min(size, 100)


def test_fault_46_bytes_that_are_no_text_are_replaced() -> None:
    assert run(r"printf 'a\377b'").stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_fault_59_a_deadline_ends_the_whole_group_and_keeps_the_output() -> None:
    begun = time.monotonic()
    done = run("sleep 60 & echo $!; echo $$; wait", timeout_s=0.15)
    assert time.monotonic() - begun < 2
    assert (done.exit_code, done.timed_out, done.leftover_child) == (None, True, False)
    child, leader = (int(pid) for pid in done.stdout.split())
    assert wait_until_gone(child)
    assert wait_until_gone(leader)


def test_fault_59_who_ignores_term_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERM_GRACE_S", 0.1)
    done = run("trap '' TERM; echo $$; while :; do sleep 0.05; done", timeout_s=0.15)
    assert done.timed_out
    assert wait_until_gone(int(done.stdout))


def test_who_ends_in_good_order_on_term_can_still_say_so() -> None:
    done = run("trap 'echo tidied; exit 0' TERM; while :; do sleep 0.02; done", timeout_s=0.15)
    assert done.stdout == "tidied\n"
    assert done.exit_code is None


def test_fault_60_a_child_that_holds_stdout_open_does_not_hang_us() -> None:
    begun = time.monotonic()
    done = run("sleep 60 & echo $!", timeout_s=30)
    assert time.monotonic() - begun < 2
    assert (done.exit_code, done.leftover_child, done.timed_out) == (0, True, False)
    child = int(done.stdout)
    assert is_running(child)
    os.kill(child, signal.SIGKILL)


def test_a_program_that_closes_its_output_is_waited_for() -> None:
    done = run("exec >&- 2>&-; sleep 0.15; exit 4")
    assert done.exit_code == 4
    assert done.duration_s >= 0.15


def test_a_deadline_holds_for_a_program_that_closed_its_output() -> None:
    assert run("exec >&- 2>&-; sleep 60", timeout_s=0.1).timed_out


def test_a_deadline_holds_for_a_program_that_never_stops_writing() -> None:
    assert run("while :; do echo y; done", timeout_s=0.15, limit_bytes=100).timed_out


def test_a_signal_is_a_negative_exit_code() -> None:
    assert run("kill -9 $$").exit_code == -9


# Fault 61: what cannot be started is said in a sentence.


def refused(argv, **given) -> str:
    with pytest.raises(ProcessProblem) as caught:
        LocalProcesses().run(argv, timeout_s=1, **given)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_fault_61_no_such_program_on_path() -> None:
    assert refused(["no-such-program-zk"]) == (
        "no-such-program-zk was not started: no program of this name is on PATH."
    )


def test_fault_61_no_such_file(tmp_path: Path) -> None:
    path = str(tmp_path / "smoke.sh")
    assert refused([path]) == f"{path} was not started: there is no such file."


def test_fault_61_not_executable(tmp_path: Path) -> None:
    script = tmp_path / "smoke.sh"
    script.write_text("#!/bin/sh\n")
    assert refused([str(script)]) == (
        f"{script} was not started: it is not executable (or a folder on its way is not readable)."
    )


def test_fault_61_no_first_line(tmp_path: Path) -> None:
    script = tmp_path / "smoke.sh"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    assert refused([str(script)]) == (
        f"{script} was not started: it is no program for this machine (a script without its #! line?)."
    )


def test_fault_61_interpreter_missing(tmp_path: Path) -> None:
    script = tmp_path / "smoke.sh"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    assert refused([str(script)]) == (
        f"{script} was not started: the interpreter named in its first line does not exist."
    )


def test_fault_61_working_folder_missing(tmp_path: Path) -> None:
    assert refused([SH, "-c", ":"], cwd=tmp_path / "gone") == (
        f"{SH} was not started: its working folder {tmp_path}/gone does not exist or is no folder."
    )


def test_an_argument_that_cannot_be_one_is_said() -> None:
    assert refused([SH, "a\0b"]) == f"{SH} was not started: embedded null byte."


# Interrupts.


def interrupt(_: str) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_leaves_the_program_alone_unless_asked_otherwise(tmp_path: Path) -> None:
    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run(f"echo x; sleep 0.1; echo done > {tmp_path}/done", on_line=interrupt, on_start=pids.append)
    assert wait_until_gone(pids[0])
    assert (tmp_path / "done").read_text() == "done\n"


def test_an_interrupt_ends_the_group_where_that_was_asked_for() -> None:
    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run("echo x; sleep 60", on_line=interrupt, on_start=pids.append, init={"end_on_error": True})
    assert not is_running(pids[0])


# Servers and the daemon.


def test_a_server_writes_to_its_log_and_ends_when_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = start_server([SH, "-c", "echo out; echo err >&2; exec sleep 60"], log_path=log)
    assert server.exit_code() is None
    deadline = time.monotonic() + 5
    while log.read_text().count("\n") < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert log.read_text() == "out\nerr\n"
    server.end()
    assert server.exit_code() == -9
    assert not is_running(server.pid)


def test_a_server_that_cannot_start_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProcessProblem, match="no such file"):
        start_server([str(tmp_path / "nothing")], log_path=tmp_path / "log")


DAEMON = """
import sys
import threading
from pytest_zkrollback.clients.process import detach
detach()
for line in sys.stdin:
    print(line.strip().upper(), flush=True)
"""


def test_each_thread_that_asks_a_daemon_gets_its_own_answer(tmp_path: Path) -> None:
    daemon = start_daemon([sys.executable, "-c", DAEMON], log_path=tmp_path / "log")
    with ThreadPoolExecutor(8) as pool:
        asked = [str(number) for number in range(40)]
        assert list(pool.map(lambda text: daemon.ask(text, 10), asked)) == asked
    assert daemon.close(10)


def test_a_daemon_answers_and_ends_with_its_input(tmp_path: Path) -> None:
    daemon = start_daemon([sys.executable, "-c", DAEMON], log_path=tmp_path / "log")
    assert daemon.ask("hello", 5) == "HELLO"
    assert daemon.ask("again", 5) == "AGAIN"
    assert daemon.close(timeout_s=5)
    assert daemon.close(timeout_s=5)  # twice is no harm


def test_a_daemon_that_is_gone_is_said(tmp_path: Path) -> None:
    daemon = start_daemon(
        [sys.executable, "-c", DAEMON.replace(".upper()", "[99]")], log_path=tmp_path / "log"
    )
    with pytest.raises(ProcessProblem, match="is gone: it closed its output"):
        daemon.ask("fail", 5)
    with pytest.raises(ProcessProblem, match="is gone"):
        daemon.ask("still there?", 5)
    assert daemon.close()


def test_a_daemon_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    daemon = start_daemon([sys.executable, "-c", DAEMON], log_path=tmp_path / "log")
    with pytest.raises(ProcessProblem, match=r"did not answer within 0\.05 s"):
        daemon.answer(0.05)
    assert daemon.close(timeout_s=5)


def test_a_daemon_that_fails_before_it_detaches_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProcessProblem) as caught:
        start_daemon([SH, "-c", "echo no >&2; exit 3"], log_path=tmp_path / "log")
    assert str(caught.value) == (
        f"/bin/sh -c echo no >&2; exit 3 ended with exit code 3; its log is {tmp_path}/log."
    )
    assert (tmp_path / "log").read_text() == "no\n"


def test_fault_25_what_survives_us_is_not_killed_by_its_next_word(tmp_path: Path) -> None:
    """The starter is killed while its program still has to write, as helm does in mid-rollback."""
    starter = (
        "import sys; from pytest_zkrollback.clients.process import LocalProcesses;"
        "LocalProcesses().run(['sh', '-c', 'sleep 0.5; echo late; echo late >&2; touch done'],"
        " timeout_s=30, on_start=lambda pid: print(pid, flush=True), detached=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", starter], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert int(process.stdout.readline()) > 0
    process.kill()
    process.communicate(timeout=10)
    deadline = time.monotonic() + 10
    while not (tmp_path / "done").exists():
        assert time.monotonic() < deadline, "it died with its starter"
        time.sleep(0.02)


def test_what_survives_us_is_read_after_its_end_and_stays_bounded() -> None:
    script = "import sys; print('o' * 3_000_000); print('e', file=sys.stderr); sys.exit(3)"
    done = LocalProcesses().run([sys.executable, "-c", script], timeout_s=30, limit_bytes=1000, detached=True)
    assert (done.exit_code, done.stderr) == (3, "e\n")
    assert "bytes left out" in done.stdout
    assert len(done.output) < 2000


def test_everything_else_can_be_ended_at_once() -> None:
    processes = LocalProcesses()
    finished: list[object] = []
    started = threading.Event()

    def run() -> None:
        script = ["sh", "-c", "sleep 60 & sleep 60"]
        finished.append(processes.run(script, timeout_s=90, on_start=lambda pid: started.set()))

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(5)
    processes.end_all()
    thread.join(5)
    assert len(finished) == 1
