"""The workflow for fleets: its waves, and its steps run by bash as a runner does, with real records as artifacts."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_zkrollback.domain.record import Mode, Outcome
from support.example_fleets import FLEET_RUN, member_record, write_members
from support.workflow_lint import actionlint, zizmor

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = [FOLDER / "fleet.yml", FOLDER / "fleet-wave.yml"]
FLEET, WAVE = (yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"] for path in FILES)
CONFIG = """
[defaults]
workloads = "auto"
url = false
slack = false
[environments.eu-canary]
[environments.eu-1]
[environments.us-1]
[environments.us-2]
[fleets.shop]
waves = [["eu-canary"], ["eu-1"], ["us-*"]]
at_once = 7
"""


def test_zizmor_finds_nothing():
    done = zizmor(FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("go") is None, reason="actionlint is run by go, which is not installed")
def test_actionlint_finds_nothing():
    done = actionlint(FILES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_and_rights_are_named_one_by_one():
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    used = re.findall(r"uses: (\S+)", text)
    assert len(used) == 10
    for action in used:
        local = action == "./.github/workflows/fleet-wave.yml"
        assert local or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), action
    assert text.count("permissions: {}") == 2 and "write" not in re.findall(r"(?m)^ +\w+: (\w+)$", text)


def step(job, name):
    [found] = [each for each in job["steps"] if each.get("name") == name]
    return found["run"]


class Runner:
    """A folder as a job finds it; ``python`` of its virtual environment is this one."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "zkrollback.toml").write_text(CONFIG)
        bin_ = folder / "temp" / "zkrollback" / "bin"
        bin_.mkdir(parents=True)
        launcher = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
        (bin_ / "python").write_text(launcher)
        (bin_ / "pytest").write_text(
            '#!/bin/sh\nprintf "%s\\n" "$@" > argv\necho "$ZKROLLBACK_FLEET_RUN_ID" > id\n'
        )
        for path in bin_.iterdir():
            path.chmod(0o755)
        self.output, self.summary = folder / "output", folder / "summary"

    def run(self, script, **env):
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_RUN_ID": "18446744073",
            **env,
        }
        argv = ["bash", "-e", "-c", script]  # a runner's default
        return subprocess.run(
            argv, cwd=self.folder, env=given, capture_output=True, text=True, timeout=60, check=False
        )

    def outputs(self):
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def members_of(job, plan):
    """What a job's matrix is made of, its expression evaluated."""
    expression = re.fullmatch(
        r"\$\{\{ toJSON\(fromJSON\(needs\.waves\.outputs\.plan\)\.(\w+)(?:\[(\d)\])?\) \}\}",
        job["with"]["members"],
    )
    found = plan[expression[1]]
    return found if expression[2] is None else found[int(expression[2])]


def test_each_wave_has_its_own_members_and_needs_the_one_before(runner):
    done = runner.run(step(FLEET["waves"], "Plan"), FLEET="shop")
    assert done.returncode == 0, done.stderr
    plan = json.loads(runner.outputs()["plan"])
    assert plan["at_once"] == 7
    waves = [["eu-canary"], ["eu-1"], ["us-1", "us-2"]]
    assert [members_of(FLEET[f"wave-{number}"], plan) for number in (1, 2, 3)] == waves
    assert members_of(FLEET["preflight"], plan) == ["eu-canary", "eu-1", "us-1", "us-2"]
    assert FLEET["preflight"]["with"]["what"] == "rehearse"
    assert FLEET["wave-1"]["needs"] == ["waves", "preflight"]
    for number in (2, 3):
        job, before = FLEET[f"wave-{number}"], f"wave-{number - 1}"
        assert job["needs"] == ["waves", before] and f"needs.{before}.result == 'success'" in job["if"]
        assert "always()" not in job["if"]
    assert set(FLEET["report"]["needs"]) == set(FLEET) - {"report"} and "always()" in FLEET["report"]["if"]


def test_members_of_a_wave_do_not_cut_each_other_off():
    strategy = WAVE["member"]["strategy"]
    assert strategy["fail-fast"] is False
    assert strategy["matrix"] == {"member": "${{ fromJSON(inputs.members) }}"}
    for name in FILES:
        assert "cancel-in-progress: true" not in name.read_text()


def test_the_fleet_runs_id_is_one_that_a_record_takes_and_stays_when_jobs_run_again(runner):
    ids = []
    for _ in range(2):
        assert runner.run(step(FLEET["waves"], "Plan"), FLEET="shop").returncode == 0
        ids.append(runner.outputs()["fleet-run"])
    assert ids[0] == ids[1] and re.fullmatch(r"[0-9a-f]{8}", ids[0])


def test_a_fleet_with_more_waves_than_jobs_is_refused(runner):
    config = runner.folder / "zkrollback.toml"
    config.write_text(CONFIG.replace('["us-*"]', '["us-1"], ["us-2"]'))
    done = runner.run(step(FLEET["waves"], "Plan"), FLEET="shop")
    assert done.returncode != 0
    assert "Fleet shop has 4 waves, and only 3 can be run here; helm did not run." in done.stderr
    assert not runner.output.exists()


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("verify", []),
        ("rehearse", ["--rollback-to=app:1.8.0", "--rollback-plan"]),
        ("roll-back", ["--rollback-to=app:1.8.0", "--rollback-confirm=shop"]),
    ],
)
def test_a_members_command(runner, what, arguments):
    given = {"FLEET": "shop", "MEMBER": "eu-1", "WHAT": what, "TO": "app:1.8.0", "REASON": ""}
    done = runner.run(step(WAVE["member"], "Member"), **given, ZKROLLBACK_FLEET_RUN_ID="0a1b2c3d")
    assert done.returncode == 0, done.stderr
    argv = (runner.folder / "argv").read_text().splitlines()
    assert argv[3:] == ["--zkrollback-fleet=shop", "--zkrollback-fleet-member=eu-1", *arguments]
    assert (runner.folder / "id").read_text().strip() == "0a1b2c3d"


def test_what_is_typed_in_the_form_is_never_code(runner):
    nasty = "x; $(touch made) `touch made`"
    given = {"FLEET": nasty, "MEMBER": nasty, "WHAT": "roll-back", "TO": nasty, "REASON": nasty}
    assert runner.run(step(WAVE["member"], "Member"), **given).returncode == 0
    argv = (runner.folder / "argv").read_text().splitlines()
    assert argv[-1] == f"--rollback-reason={nasty}"
    assert not (runner.folder / "made").exists()
    given["WHAT"] = nasty
    assert runner.run(step(WAVE["member"], "Member"), **given).returncode == 2
    assert not (runner.folder / "made").exists()


def plan_of(runner):
    runner.run(step(FLEET["waves"], "Plan"), FLEET="shop")
    return runner.outputs()["plan"]


def merge(runner, kinds, what="roll-back", preflights=()):
    """The report's step with those members' records as downloaded artifacts."""
    folder = runner.folder / "fleet-reports"
    folder.mkdir()
    waves = {"eu-canary": 1, "eu-1": 2, "us-1": 3, "us-2": 3}
    records = [
        member_record(name, kind, waves[name], members=4, told_by_fleet=False) for name, kind in kinds.items()
    ]
    rehearsed = [
        member_record(
            name, "verified", waves[name], members=4, told_by_fleet=False, run_id=f"0000000{number}"
        )
        for number, name in enumerate(preflights)
    ]
    planned = {"mode": Mode.PLAN, "outcome": Outcome.PLANNED, "items": ()}
    write_members(folder, [*records, *(each.model_copy(update=planned) for each in rehearsed)])
    given = {"FLEET": "shop", "FLEET_RUN": FLEET_RUN, "WHAT": what, "PLAN": plan_of(runner)}
    done = runner.run(step(FLEET["report"], "Merge"), **given)
    return done, json.loads((folder / "latest-fleet.json").read_text())


def test_all_verified_is_green(runner):
    done, record = merge(runner, dict.fromkeys(("eu-canary", "eu-1", "us-1", "us-2"), "verified"))
    assert (done.returncode, record["outcome"]) == (0, "verified"), done.stderr
    assert "us-2" in runner.summary.read_text()


def test_a_failed_member_and_a_wave_that_did_not_run_are_on_the_page_and_the_job_fails(runner):
    done, record = merge(runner, {"eu-canary": "verified", "eu-1": "failed"})
    assert (done.returncode, record["outcome"]) == (1, "failed"), done.stderr
    states = {each["environment"]: each["outcome"] or each["state"] for each in record["members"]}
    assert states["eu-canary"] == "verified" and states["eu-1"] == "failed"
    assert {states["us-1"], states["us-2"]}.isdisjoint({"verified", "verified-with-waivers"})
    assert [wave["members"] for wave in record["waves"]] == [["eu-canary"], ["eu-1"], ["us-1", "us-2"]]
    assert "eu-1" in runner.summary.read_text()


def test_a_member_whose_record_is_missing_is_never_green(runner):
    done, record = merge(runner, {"eu-canary": "verified", "eu-1": "verified", "us-1": "verified"})
    assert done.returncode == 1 and record["outcome"] != "verified", done.stderr


@pytest.mark.parametrize(
    ("what", "code", "outcome"), [("roll-back", 1, "unverified"), ("rehearse", 0, "planned")]
)
def test_preflights_whose_waves_never_ran_are_a_success_of_a_rehearsal_alone(runner, what, code, outcome):
    done, record = merge(runner, {}, what, preflights=("eu-canary", "eu-1", "us-1", "us-2"))
    assert (done.returncode, record["outcome"]) == (code, outcome), done.stderr


def test_no_record_at_all_fails_too(runner):
    given = {"FLEET": "shop", "FLEET_RUN": FLEET_RUN, "WHAT": "roll-back", "PLAN": plan_of(runner)}
    done = runner.run(step(FLEET["report"], "Merge"), **given)
    assert done.returncode not in (0, 127)
