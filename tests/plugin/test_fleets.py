"""--fleet on the command line: mistakes end with exit 4 and one sentence, and a test per member reports."""

import json

import pytest

CONFIGURATION = """
[defaults]
workloads = "auto"
kubeconfig = "there-is-none"
[environments.eu-canary]
[environments.eu-1]
[environments.us-1]
[fleets.prod]
waves = [["eu-canary"], ["eu-*"], ["us-1"]]
[fleets.locked]
waves = [["eu-1"]]
protected = true
"""


@pytest.fixture
def fleets(repository):
    (repository.path / "zkrollback.toml").write_text(CONFIGURATION)
    return repository


def errors(result):
    return [
        line.removeprefix("ERROR: ")
        for line in result.errlines + result.outlines
        if line.startswith("ERROR: ")
    ]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--fleet=prd"], "--fleet=prd is not known in zkrollback.toml: known fleets are locked, prod"),
        (["--fleet=prod", "--env=eu-1"],
         "--fleet=prod and --env=eu-1 exclude each other: a fleet names its environments itself"),
        (["--fleet=prod", "--rollback-to=5"],
         "--rollback-to=5 is a revision's number, and every cluster counts its own: for a fleet give app:VERSION, "
         "chart:VERSION, previous or last-verified"),
        (["--fleet=prod", "--rollback-recover"], "--rollback-recover does not go with --fleet"),
        (["--fleet=prod", "--rollback-to-commit=0dd5af3"], "--rollback-to-commit does not go with --fleet"),
        (["--fleet=prod", "--drill-keep"], "--drill-keep does not go with --fleet"),
        (["--fleet=prod", "--rollback-override=pending=x"],
         "--rollback-override goes with a rollback: add --rollback-to=N"),
        (["--fleet=prod", "--rollback-to=previous", "--rollback-override=pendng=x"],
         "--rollback-override=pendng=...: there is no such guard"),
        (["--fleet=locked", "--rollback-to=previous"],
         "--fleet=locked is protected: add --rollback-confirm=locked"),
        (["--fleet=locked", "--rollback-to=previous", "--rollback-confirm=eu-1"],
         "--fleet=locked is protected: add --rollback-confirm=locked, not --rollback-confirm=eu-1"),
        (["--fleet=locked", "--rollback-to=previous", "--fleet-member=eu-1"],
         "--fleet=locked is protected: add --rollback-confirm=locked"),
        (["--fleet=prod", "--fleet-engine=docker"], "--fleet-engine=docker is not known: engines are local"),
        (["--fleet=prod", "--fleet-member=eu-2"],
         "--fleet-member=eu-2 is no member of fleet prod (did you mean 'eu-1'?)"),
        (["--fleet-member=eu-1"], "--fleet-member goes with --fleet alone"),
        (["--fleet=prod", "--zkrollback-check"], "--zkrollback-check goes alone: leave --fleet out"),
        (["--fleet=prod", "-k", "eu-1"],
         "A fleet is judged as a whole, and us-1 is left out (-k, -m, --deselect, --lf or a path)"),
        (["--fleet=prod", "--setup-plan"], "--setup-plan does not go with an environment"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_and_nothing_is_written(fleets, args, sentence):
    if "-k" in args:
        args = ["--fleet=prod", "-k", "not us-1"]
    result = fleets.runpytest_subprocess(*args)
    assert result.ret == 4
    [error] = errors(result)
    assert error.startswith(sentence), error
    assert "helm did not run" in error
    assert not (fleets.path / "reports").exists()


def test_a_test_per_member_wave_by_wave_and_nothing_else(fleets):
    result = fleets.runpytest("--fleet=prod", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        f"checks/test_runbook.py::test_fleet[{name}]" for name in ("eu-canary", "eu-1", "us-1", "notify")
    ]
    assert not (fleets.path / "reports").exists()


def test_members_that_tell_the_team_themselves_leave_no_test_of_a_message(fleets):
    text = (fleets.path / "zkrollback.toml").read_text()
    (fleets.path / "zkrollback.toml").write_text(text.replace("[defaults]", "[defaults]\nslack = false"))
    result = fleets.runpytest("--fleet=prod", "--collect-only", "-q")
    assert "test_fleet[us-1]" in result.stdout.str()
    assert "test_fleet[notify]" not in result.stdout.str()


def test_channels_of_the_repositorys_own_are_said_not_to_be_told(fleets):
    conftest = fleets.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef pytest_zkrollback_notify(environment):\n    return []\n"
    )
    result = fleets.runpytest_subprocess("--fleet=prod", "--rollback-to=app:1.8.0")
    assert "WARNING notify: A fleet does not tell channels of the repository's own." in result.outlines


def test_after_a_refused_rehearsal_no_rollback_is_proposed(fleets):
    result = fleets.runpytest_subprocess("--fleet=prod", "--rollback-to=previous", "--rollback-plan")
    assert result.ret == 1
    commands = [line for line in result.outlines if line.startswith("  pytest ")]
    assert len(commands) == 2
    assert all("--rollback-plan" in line for line in commands)
    assert "--zkrollback-env=eu-canary" in commands[0]


def test_an_ordinary_run_has_no_fleets_test(fleets):
    result = fleets.runpytest("--env=eu-1", "--collect-only", "-q")
    assert "fleet" not in result.stdout.str().partition("zkrollback: ")[2]
    assert "test_preflight" in result.stdout.str()


def test_refusals_of_all_members_are_one_table_and_the_record_says_so(fleets):
    result = fleets.runpytest_subprocess(
        "--fleet=prod", "--rollback-to=app:1.8.0", "--junitxml=mine.xml", "-v"
    )
    assert result.ret == 1
    output = result.stdout.str()
    assert "REFUSED: 3 members of 3; nothing has run." in output
    for name in ("eu-canary", "eu-1", "us-1"):
        assert f"test_fleet[{name}] REFUSED" in output
    record = json.loads((fleets.path / "reports" / "latest-fleet.json").read_text())
    assert record["outcome"] == "refused"
    assert {each["first_failed"]["id"] for each in record["members"]} == {"cluster"}
    assert "test_fleet[notify] NOT STARTED" in output
    suite = (fleets.path / "mine.xml").read_text()
    assert (suite.count("<testcase"), suite.count("<failure"), suite.count("<skipped")) == (4, 3, 1)
    assert output.partition("Next:\n")[2].splitlines()[:2] == [
        "  # rehearses eu-canary alone, and says what goes ahead there:",
        f"  pytest --basetemp={fleets.path}/runpytest-0 --rollback-to=app:1.8.0 --junitxml=mine.xml -v "
        "--rollback-plan --zkrollback-env=eu-canary",
    ]
    assert output.rstrip().splitlines()[-2].startswith("Report: ") or "Report: " in output


def test_a_member_is_an_ordinary_run_of_its_environment(fleets):
    result = fleets.runpytest_subprocess("--fleet=prod", "--fleet-member=eu-1", "--rollback-to=app:1.8.0")
    assert result.ret == 1
    record = json.loads((fleets.path / "reports" / "latest.json").read_text())
    assert record["environment"] == "eu-1"
    command = record["command_line"]  # with pytester's own --basetemp
    assert command.startswith("pytest --zkrollback-env=eu-1 ")
    assert command.endswith(" --rollback-to=app:1.8.0")
    assert "--fleet" not in command
    assert (record["fleet"]["fleet"], record["fleet"]["wave"], record["fleet"]["members"]) == ("prod", 2, 3)
    assert record["fleet"]["told_by_fleet"] is False


def test_a_suite_keeps_its_own_option_fleet_and_the_long_name_serves(fleets):
    conftest = fleets.path / "conftest.py"
    assert "add_env_option" in conftest.read_text()
    conftest.write_text(
        "def pytest_addoption(parser, pluginmanager):\n"
        "    parser.addoption('--fleet', choices=['cars'])\n"
        "    from pytest_zkrollback.plugin.options import add_env_option\n"
        "    add_env_option(parser)\n"
        "def pytest_report_header(config):\n"
        "    return f'mine: {config.option.fleet}'\n"
    )
    result = fleets.runpytest_subprocess("--fleet=cars", "--co", "-q", "-v")
    result.stdout.fnmatch_lines(["*mine: cars"])
    assert "zkrollback: fleet" not in result.stdout.str()
    result = fleets.runpytest_subprocess("--zkrollback-fleet=prod", "--fleet=cars", "--rollback-to=app:1.8.0")
    assert result.ret == 1
    output = result.stdout.str()
    assert "FLEET REFUSED" in output
    assert " --zkrollback-fleet=prod --fleet=cars --rollback-to=app:1.8.0" in output.partition("Next:")[2]
    record = json.loads((fleets.path / "reports" / "latest-fleet.json").read_text())
    assert {each["first_failed"]["id"] for each in record["members"]} == {"cluster"}
    member = ("--zkrollback-fleet-member=eu-1", "--rollback-to=app:1.8.0")
    assert fleets.runpytest_subprocess("--zkrollback-fleet=prod", *member).ret == 1
    record = json.loads((fleets.path / "reports" / "latest.json").read_text())
    assert record["command_line"].startswith("pytest --zkrollback-env=eu-1 ")


def test_nothing_of_fleets_is_imported_by_an_ordinary_run(fleets):
    conftest = fleets.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\nimport sys\ndef pytest_collection_finish():\n"
        + "    print('FLEETS', [name for name in sys.modules if '.fleet' in name and 'zkrollback' in name])\n"
    )
    result = fleets.runpytest_subprocess("--env=eu-1", "--rollback-to=5", "--collect-only", "-s")
    [line] = [line for line in result.outlines if line.startswith("FLEETS")]
    assert line == "FLEETS []"
