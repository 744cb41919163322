"""Killed with SIGKILL at each step, before and after GitHub carried it out, and run again."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.fake_github import TOKEN

PROGRAM = Path(__file__).parents[1] / "support" / "github_operator.py"
WAY = ["POST git/commits", "POST git/refs", "POST pulls", "PUT pulls/merge"]


def start(place, environment):
    asked = {"url": place.fake.url, "token": TOKEN, "environment": environment, "commit": place.good}
    asked["overrides"] = ["verified-before"]
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(place.folder), json.dumps(asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(place, environment="staging"):
    result = place.run(environment, commit=place.good, overrides=("verified-before",))
    return int(result.explained != "success"), result.error


def kill_at(place, moment, pattern, environment):
    """Run until the request that matches, kill there; ``moment``: before GitHub acts, or after."""
    running = start(place, environment)

    def kill(method, path):
        if re.match(pattern, f"{method} {path}"):
            running.send_signal(signal.SIGKILL)
            running.wait()

    setattr(place.fake, moment, kill)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL, said
    setattr(place.fake, moment, lambda method, path: None)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["POST git/commits", "POST git/refs", "POST pulls", r"PUT pulls/\d+/merge"])
def test_one_branch_one_pull_request_one_merge(place, step, moment):
    kill_at(place, moment, step, "staging")
    code, said = run(place)
    assert code == 0, said
    # A commit that nothing refers to may have been made twice; nobody can see it.
    assert [change for change in place.changes if change != WAY[0]] == WAY[1:]
    assert place.repository.branches() == ["feature", f"hotfix/rollback-{place.good[:12]}", "main"]
    assert (len(place.fake.pulls), len(place.fake.runs)) == (1, 1)
    assert place.same_tree("main")
    assert place.repository.git("rev-list", "--count", "--first-parent", f"{place.bad}..main") == "1"


def test_killed_while_the_run_is_watched(place):
    kill_at(place, "after", r"GET actions/runs/\d+$", "staging")
    code, said = run(place)
    assert code == 0, said
    assert place.changes == WAY
    assert len(place.fake.runs) == 1


@pytest.mark.parametrize("named", [True, False], ids=["named-runs", "nameless-runs"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_one_dispatch(place, moment, named):
    assert run(place)[0] == 0
    place.fake.changes.clear()
    place.fake.names_runs = named
    kill_at(place, moment, "POST .*dispatches", "production")
    code, said = run(place, "production")
    assert code == 0, said
    # Before: the request had left, and GitHub carried it out all the same.
    assert place.changes == ["POST actions/workflows/dispatches"]
    assert [each.event for each in place.fake.runs.values()] == ["push", "workflow_dispatch"]
