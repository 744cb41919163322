"""Members as processes of this machine, with a script in the place of pytest."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.fleet.engines import local
from pytest_zkrollback.fleet.engines.interface import MemberJob, Phase
from pytest_zkrollback.fleet.engines.local import LocalEngine


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """``engine(script)``: what a member runs, with its words as arguments."""

    def prepare(script):
        path = tmp_path / "member.py"
        path.write_text(script)
        monkeypatch.setattr(local, "_pytest", lambda here: [sys.executable, str(path)])
        (tmp_path / "folder").mkdir(exist_ok=True)
        return LocalEngine(
            tmp_path / "reports",
            tmp_path / "folder",
            tmp_path,
            SystemClock(),
            {**os.environ, "GITHUB_STEP_SUMMARY": "x"},
        )

    return prepare


def job(member="eu-1", run_id="a0000000", *words, **environ):
    return MemberJob(member, run_id, Phase.RUN, 1, words, environ)


def ended(engine, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not (found := engine.poll(0.2)):
        assert time.monotonic() < deadline
    return found


def test_no_record_is_no_result_and_says_where_the_output_is(engine, tmp_path):
    found = engine("print('ERROR: there is no such checklist item'); raise SystemExit(4)")
    found.start([job()], 1)
    [result] = ended(found)
    assert (result.exit_code, result.run) == (4, None)
    assert "there is no such checklist item" in result.problem
    assert str(tmp_path / "folder" / "a0000000.out") in result.problem


@pytest.mark.parametrize("content", ["", "{", '{"run_id": "a0000000"}'])
def test_a_record_that_cannot_be_read_is_no_result(engine, tmp_path, content):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "20261201T030000Z-eu-1-a0000000.json").write_text(content)
    found = engine("")
    found.start([job()], 1)
    [result] = ended(found)
    assert (result.exit_code, result.run, result.is_unreadable) == (0, None, True)


def test_a_member_that_cannot_be_started_is_a_result(engine, tmp_path):
    found = engine("")
    (tmp_path / "folder" / "a0000000.out").write_text("somebody else's")
    found.start([job()], 1)
    [result] = ended(found)
    assert result.run is None
    assert "it could not be started" in result.problem


def test_what_is_said_last_describes_a_running_member(engine):
    found = engine("import time; print('one'); print('helm is at work', flush=True); time.sleep(60)")
    found.start([job()], 1)
    deadline = time.monotonic() + 20
    while found.describe("eu-1") != "helm is at work":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found.describe("eu-2") == ""
    found._running["eu-1"][1].end()


def test_ctrl_c_is_passed_on_and_reaches_no_helm(engine, tmp_path):
    """The member alone gets it: what it has started has a session of its own."""
    script = (
        "import signal, subprocess, sys, time\n"
        # Whoever started pytest in the background had it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "child = subprocess.Popen(['sleep', '30'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    raise SystemExit(2)\n"
    )
    found = engine(script)
    found.start([job()], 1)
    deadline = time.monotonic() + 20
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    found.interrupt()
    [result] = ended(found)
    assert result.exit_code == 2
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)
    os.kill(pid, signal.SIGKILL)


def test_a_member_outlives_its_fleet_and_is_seen_to_live(engine, tmp_path):
    """The fleet's process is killed; the next one sees that the member still runs, and when it has ended."""
    (tmp_path / "folder").mkdir()
    script = (
        "import os, pathlib, sys\n"
        "from pytest_zkrollback.clients.process import start_job\n"
        "start_job([sys.executable, '-c', 'import time; time.sleep(3)'], env=dict(os.environ),"
        f" output_path=pathlib.Path({str(tmp_path / 'folder' / 'a0000000.out')!r}))\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    found = engine("")
    assert found.wait_for_orphans({"eu-1": "a0000000", "eu-2": "b0000000"}, 0.1) == ["eu-1"]
    assert found.wait_for_orphans({"eu-1": "a0000000"}, 20) == []


def test_members_write_no_summary_of_a_ci_and_get_what_their_job_says(engine, tmp_path):
    found = engine(
        f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(repr((os.environ.get('GITHUB_STEP_SUMMARY'), os.environ['MINE'], os.getcwd())))"
    )
    found.start([job("eu-1", "a0000000", MINE="1")], 1)
    ended(found)
    assert (tmp_path / "seen").read_text() == repr((None, "1", str(tmp_path)))
