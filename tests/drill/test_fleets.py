"""Fleets with real member processes and real helm, in namespaces of one control plane."""

import itertools
import json
import signal
import time
from pathlib import Path

import pytest

from support.drill_fleet import ASSESSED, TARGET, DrillFleet
from support.http_server import LoopbackHttpServer, QuietHandler

WAVES = (("canary",), ("eu-1", "eu-2"), ("us-1",))
_numbers = itertools.count(1)


@pytest.fixture
def fleet(cluster, binaries, tmp_path):
    def prepare(*broken, waves=WAVES, **keys):
        prefix = f"fleet{next(_numbers)}"
        return DrillFleet(cluster, tmp_path, binaries["helm"], waves, broken, prefix, **keys)

    return prepare


def slow_helm(fleet):
    """The operator's helm takes 2 s longer to roll back, so that somebody can come between."""
    path = fleet.folder / "slow-helm"
    path.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 2;; esac\nexec {fleet.helm} "$@"\n')
    path.chmod(0o755)
    return path


def wait_for(done, timeout_s=90):
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def helm_pids(fleet, *members):
    """Of the members' runs whose helm was started: its process ids."""
    return [
        each["helm"]["pid"]
        for each in fleet.member_records()
        if each["environment"] in members and each["helm"]["pid"]
    ]


def test_all_are_rolled_back_once_and_typed_again_verified_only(fleet):
    found = fleet()
    mark = found.mark()
    code, output = found.run(TARGET)
    assert code == 0, output
    assert set(found.states().values()) <= {"verified", "verified-with-waivers"}
    assert found.rollbacks(mark) == dict.fromkeys(found.members, 1)
    assert "FLEET VERIFIED" in output
    assert "app version 1.8.0: 4 members" in output

    code, output = found.run(TARGET)
    assert code == 0, output
    assert found.rollbacks(mark) == dict.fromkeys(found.members, 1)
    assert {each["reason"] for each in found.record()["members"]} == {"at-target"}

    code, output = found.run()
    assert code == 0, output
    assert found.record()["mode"] == "verify"
    assert found.rollbacks(mark) == dict.fromkeys(found.members, 1)


def test_one_bad_in_wave_2_and_wave_3_does_not_begin(fleet):
    found = fleet("eu-2")
    mark = found.mark()
    code, output = found.run(TARGET, "--rollback-reason=1.9.0 is bad")
    assert code == 1, output
    assert found.rollbacks(mark) == {"canary": 1, "eu-1": 1, "eu-2": 1}
    assert found.states()["eu-2"] == "failed"
    [last] = [each for each in found.record()["members"] if each["environment"] == "us-1"]
    assert (last["state"], last["said"]) == ("not-started", "not started: wave 2 failed")
    assert "FLEET FAILED" in output
    assert {each["reason"] for each in found.member_records()} == {"1.9.0 is bad"}
    # Nobody's own copies: whose would they be?
    assert not (found.folder / "reports" / "latest.json").exists()
    assert [path.name for path in found.folder.glob("reports/latest*.json")] == ["latest-fleet.json"]


def test_a_refusal_of_one_member_and_nothing_has_run(fleet):
    found = fleet()
    mark = found.mark()
    config = found.folder / "zkrollback.toml"
    config.write_text(config.read_text().replace('"fleet', '"missing-fleet', 1))  # the canary's namespace
    code, output = found.run(TARGET)
    assert code == 1, output
    assert "REFUSED: 1 member of 4; nothing has run." in output
    assert "FLEET REFUSED" in output
    assert found.rollbacks(mark) == {}


def test_a_rehearsal_changes_nothing(fleet):
    found = fleet()
    mark = found.mark()
    code, output = found.run(TARGET, "--rollback-plan")
    assert code == 0, output
    assert found.record()["outcome"] == "planned"
    assert found.rollbacks(mark) == {}
    assert f"pytest --fleet=all '{ASSESSED}' {TARGET}" in output


def test_killed_in_wave_2_and_typed_again_is_one_rollback_each(fleet):
    found = fleet()
    found.configure(helm=slow_helm(found))
    mark = found.mark()
    process = found.start(TARGET)
    wait_for(lambda: helm_pids(found, "eu-1", "eu-2"))
    process.kill()
    process.communicate()
    killed = found.running_record()
    assert killed["finished_at"] is None
    latest = found.folder / "reports" / "latest-fleet"
    assert found.record()["outcome"] == "running"
    assert latest.with_suffix(".md").read_text().startswith("# NOT FINISHED: fleet all, rollback to app")
    assert "<h1>NOT FINISHED: fleet all" in latest.with_suffix(".html").read_text()
    assert 'errors="' in latest.with_suffix(".xml").read_text()

    code, output = found.run(TARGET)
    assert code == 0, output
    assert f"goes on with run {killed['fleet_run_id']}, which was killed" in output
    assert found.record()["fleet_run_id"] == killed["fleet_run_id"]
    assert found.rollbacks(mark) == dict.fromkeys(found.members, 1)
    reasons = {each["environment"]: each["reason"] for each in found.record()["members"]}
    assert reasons["canary"] == "done-before"
    assert reasons["us-1"] is None


def test_ctrl_c_lets_helm_finish_and_says_who_is_where(fleet):
    found = fleet()
    found.configure(helm=slow_helm(found))
    mark = found.mark()
    process = found.start(TARGET)
    wait_for(lambda: helm_pids(found, "eu-1", "eu-2"))
    begun = {each["environment"] for each in found.member_records() if each["helm"]["pid"]}
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert begun <= set(found.rollbacks(mark))
    assert max(found.rollbacks(mark).values()) == 1
    assert "us-1" not in found.rollbacks(mark)
    assert found.record()["outcome"] == "interrupted"
    assert "FLEET INTERRUPTED" in output
    for pid in helm_pids(found, "eu-1", "eu-2"):
        assert not Path(f"/proc/{pid}").exists()


def test_the_team_hears_of_the_fleet_and_not_of_every_member(fleet):
    heard = []

    class Slack(QuietHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    found = fleet(slack=None)
    with LoopbackHttpServer(Slack) as server:
        hook = f"{server.url}/services/T0/B0/tokenofthefleet"
        code, output = found.run(TARGET, "--rollback-reason=1.9.0 is bad", SLACK_WEBHOOK_URL=hook)
    assert code == 0, output
    assert len(heard) == 4  # the start, waves 1 and 2, the end
    assert found.record()["notify"]["verdict"] == "PASS"
    assert found.record()["outcome"] in ("verified", "verified-with-waivers")
    assert all(each["fleet"]["told_by_fleet"] for each in found.member_records())
    assert "tokenofthefleet" not in output + json.dumps(found.record()) + json.dumps(found.member_records())


def test_one_member_alone_is_begun_as_an_engine_begins_it(fleet):
    found = fleet()
    mark = found.mark()
    code, output = found.run(TARGET, "--fleet-member=eu-1")
    assert code == 0, output
    assert found.rollbacks(mark) == {"eu-1": 1}
    [record] = found.member_records()
    assert record["fleet"]["wave"] == 2
    assert record["command_line"] == f"pytest --zkrollback-env=eu-1 '{ASSESSED}' {TARGET}"
