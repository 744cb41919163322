"""Whatever is asked for wrongly ends with exit 4 and one clear sentence; helm does not run, nothing is written."""

import pytest


@pytest.fixture
def run(repository, capfd):
    """Runs pytest in this process (quicker by a second each); returns exit code and everything printed."""

    def run_pytest(*args):
        result = repository.runpytest(*args)
        return result.ret, "\n".join(capfd.readouterr())

    return run_pytest


def errors(output):
    return [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]


def left_files(repository):
    return sorted(str(path.relative_to(repository.path)) for path in (repository.path / "reports").rglob("*"))


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            [],
            "No environment was given: add --env=NAME, where NAME is one of drill, production, staging "
            "(--zkrollback-env=NAME where another plugin owns --env); nothing was contacted and helm did not run.",
        ),
        (
            ["--env=nope"],
            "--env=nope is not known in the shipped configuration (there is no zkrollback.toml here): known "
            "environments are drill, production, staging; helm did not run.",
        ),
        (
            ["--rollback-to=5"],
            "--rollback-to needs an environment: add --env=NAME (or --zkrollback-env=NAME where --env belongs to "
            "another plugin); helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=abc"],
            "--rollback-to=abc is no Helm revision: give a whole number from 1, as in `helm history RELEASE`, "
            "or previous, last-verified, app:VERSION or chart:VERSION; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=0"],
            "--rollback-to=0 is no Helm revision: give a whole number from 1, as in `helm history RELEASE`, "
            "or previous, last-verified, app:VERSION or chart:VERSION; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=-3"],
            "--rollback-to=-3 is no Helm revision: give a whole number from 1, as in `helm history RELEASE`, "
            "or previous, last-verified, app:VERSION or chart:VERSION; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=prev"],
            "--rollback-to=prev is no target (did you mean previous?); helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=app:"],
            "--rollback-to=app: names no app version: write it like app:1.8.0; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-impact-since=yesterday"],
            "--rollback-impact-since=yesterday is no time: write it like 20m or 1h30m (so long ago), 02:11 (local "
            "time) or 2026-11-23T02:11:00Z (with its zone); helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-gate", "--rollback-plan"],
            "--zkrollback-gate says that this is no rollback, and --rollback-plan asks for one: leave one of them "
            "out; helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-gate", "--rollback-to=5", "--rollback-plan"],
            "--zkrollback-gate says that this is no rollback, and --rollback-to asks for one: leave one of them "
            "out; helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-gate", "--rollback-redeploy-main"],
            "--zkrollback-gate says that this is no rollback, and --rollback-redeploy-main asks for one: leave one "
            "of them out; helm did not run.",
        ),
        (
            ["--zkrollback-gate"],
            "--zkrollback-gate needs an environment: add --env=NAME (or --zkrollback-env=NAME where --env belongs "
            "to another plugin); helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-override=pending=it was cancelled"],
            "--rollback-override goes with a rollback: add --rollback-to=N; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-break-glass=all is down"],
            "--rollback-break-glass goes with a rollback: add --rollback-to=N; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=5", "--rollback-break-glass= "],
            "--rollback-break-glass needs a reason, which is recorded, as in "
            "--rollback-break-glass='staging is down, INC-42'; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to=5", "--rollback-override=pending"],
            "--rollback-override=pending needs a guard and a reason, as in "
            "--rollback-override=pending='that pipeline was cancelled'; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to-commit=3f9c2e1", "--rollback-to=5"],
            "--rollback-to and --rollback-to-commit exclude each other; nothing was changed.",
        ),
        (
            ["--env=staging", "--rollback-no-merge"],
            "--rollback-no-merge goes with --rollback-to-commit=SHA; nothing was changed.",
        ),
        (
            ["--env=staging", "--rollback-to-commit=3f9c2e1"],
            '--rollback-to-commit needs a table [environments.staging.github] with repository = "owner/name" '
            "(docs/github.md); helm did not run.",
        ),
        (
            ["--env=drill", "--rollback-redeploy-main"],
            "--rollback-redeploy-main does not go with --env=drill: the drill has no GitHub; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-to-commit=abc"],
            "--rollback-to-commit=abc is no commit: give 7 to 40 hex digits, as in `git log`; "
            "nothing was changed.",
        ),
        (
            ["--env=staging", "--rollback-soak=-1"],
            "--rollback-soak=-1 is no number of seconds from 0 (off) to 3600; helm did not run.",
        ),
        (
            ["--env=staging", "--drill-keep"],
            "--drill-keep goes with --env=drill, not with --env=staging.",
        ),
        (
            ["--env=drill", "--drill-context=kind-kind", "--rollback-confirm=kind-kin"],
            "--rollback-confirm=kind-kin names another context than --drill-context=kind-kind: one of the two is "
            "a slip; helm did not run.",
        ),
        (
            ["--env=staging", "--drill-context=kind-kind"],
            "--drill-context goes with --env=drill, not with --env=staging.",
        ),
        (
            ["--env=drill", "--drill-load=kind load {archive}"],
            "--drill-load goes with --drill-context=NAME: the drill's own cluster has its images; helm did not run.",
        ),
        (
            ["--env=staging", "--drill-kubelet"],
            "--drill-kubelet goes with --env=drill, not with --env=staging.",
        ),
        (
            ["--env=drill", "--drill-kubelet", "--drill-context=kind-test"],
            "--drill-kubelet and --drill-context name two places for one drill: a node of our own, and the "
            "cluster of context kind-test. Leave one of them away; helm did not run.",
        ),
        (
            ["--env=drill", "--drill-scenario=flood"],
            "There is no drill scenario 'flood'. Known scenarios: crash-loop, bad-image, failing-readiness, "
            "error-rate, reversible-migration, irreversible-migration.",
        ),
        (
            ["--env=staging", "--rollback-waive=smokes=x"],
            "--rollback-waive=smokes=...: there is no such checklist item; known are rollout-backend, "
            "rollout-frontend, smoke, logs, health-database, events, migration, notify; helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-config=absent.toml"],
            "--zkrollback-config=absent.toml: there is no such file; helm did not run.",
        ),
        (
            ["--env=staging", "--setup-only"],
            "--setup-only does not go with an environment; helm did not run.",
        ),
        (
            ["--env=staging", "--setup-plan"],
            "--setup-plan does not go with an environment; helm did not run.",
        ),
        (
            ["--env=staging", "--setup-show"],
            "--setup-show does not go with an environment; helm did not run.",
        ),
        (["--env=staging", "-f"], "-f (--looponfail) does not go with an environment; helm did not run."),
        (
            ["--env=staging", "--rollback-to=5", "-k", "smoke"],
            "A rollback needs the complete checklist, and preflight, rollback, release-equivalence, "
            "rollout-backend, rollout-frontend, logs, health-database, events, migration, notify are left out "
            "(-k, -m, --deselect, --lf or a path); helm did not run.",
        ),
        (
            [
                "--env=staging",
                "--rollback-to=5",
                "--deselect",
                "checks/test_runbook.py::test_checklist[notify]",
            ],
            "A rollback needs the complete checklist, and notify is left out "
            "(-k, -m, --deselect, --lf or a path); helm did not run.",
        ),
        (
            ["--env=test", "--rollback-to=5", "--rollback-reason=--"],
            "--rollback-reason=-- has no value: -- ends the options; helm did not run.",
        ),
        (
            ["--drill-stop", "--env=drill"],
            "--drill-stop ends the kept drill and does nothing else: give it alone.",
        ),
        (
            ["--drill-stop", "--rollback-to=5"],
            "--drill-stop goes alone: leave --rollback-to out; helm did not run.",
        ),
        *(
            (
                ["--env=staging", "--zkrollback-check", beside],
                f"--zkrollback-check goes alone: leave {beside.partition('=')[0]} out; helm did not run.",
            )
            for beside in (
                "--rollback-to=5",
                "--rollback-recover",
                "--rollback-to-commit=0dd5af3",
                "--drill-stop",
            )
        ),
        (
            ["--env=staging", "--zkrollback-check=rbac", "--rollback-to=5", "--rollback-reason=why"],
            "--zkrollback-check goes alone: leave --rollback-to and --rollback-reason out; helm did not run.",
        ),
        *(
            (
                ["--zkrollback-init", beside],
                f"--zkrollback-init goes alone: leave {beside.partition('=')[0]} out; helm did not run.",
            )
            for beside in (
                "--rollback-to=5",
                "--rollback-recover",
                "--rollback-to-commit=0dd5af3",
                "--drill-stop",
            )
        ),
        (
            ["--env=staging", "--zkrollback-check", "--zkrollback-init"],
            "--zkrollback-check goes alone: leave --zkrollback-init out; helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-context=staging"],
            "--zkrollback-context goes with --zkrollback-init alone; helm did not run.",
        ),
        (
            ["--zkrollback-release=shop"],
            "--zkrollback-release goes with --zkrollback-init alone; helm did not run.",
        ),
        (
            ["--zkrollback-init", "--zkrollback-config=mine.toml"],
            "--zkrollback-init writes zkrollback.toml here: leave --zkrollback-config out.",
        ),
        (
            ["--zkrollback-init", "--env=drill"],
            "--env=drill cannot be the name of a new environment: give letters, digits, dashes and underscores, and "
            "not drill, which is built in; nothing was written.",
        ),
        (
            ["--zkrollback-init"],
            "checks/test_runbook.py is there already, and --zkrollback-init overwrites nothing: move away what you "
            "do not need; nothing was written.",
        ),
        (
            ["--zkrollback-check"],
            "--zkrollback-check needs an environment: add --env=NAME (or --zkrollback-env=NAME where --env belongs "
            "to another plugin); helm did not run.",
        ),
        *(
            (
                ["--env=staging", "--rollback-list", beside],
                f"--rollback-list goes alone: leave {beside.partition('=')[0]} out; helm did not run.",
            )
            for beside in (
                "--rollback-to=5",
                "--rollback-recover",
                "--rollback-to-commit=0dd5af3",
                "--rollback-plan",
                "--drill-stop",
            )
        ),
        (
            ["--env=staging", "--rollback-list", "--zkrollback-check"],
            "--rollback-list goes alone: leave --zkrollback-check out; helm did not run.",
        ),
        (
            ["--env=staging", "--rollback-list=yaml"],
            "--rollback-list=yaml is not known: give --rollback-list, or --rollback-list=json; helm did not run.",
        ),
        (
            ["--rollback-list"],
            "--rollback-list needs an environment: add --env=NAME (or --zkrollback-env=NAME where --env belongs "
            "to another plugin); helm did not run.",
        ),
        (
            ["--env=drill", "--rollback-list"],
            "No drill is kept here: there is nothing to list. Start one with `pytest --env=drill --drill-keep`; "
            "helm did not run.",
        ),
        # A pipeline's variable that is not set is no reason to roll back.
        (
            ["--env=staging", "--zkrollback-check=", "--rollback-to=5"],
            "--zkrollback-check goes alone: leave --rollback-to out; helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-check="],
            "--zkrollback-check= is not known: give --zkrollback-check, or --zkrollback-check=rbac; helm did not run.",
        ),
        (
            ["--env=staging", "--zkrollback-check=roles"],
            "--zkrollback-check=roles is not known: give --zkrollback-check, or --zkrollback-check=rbac; helm did "
            "not run.",
        ),
        (
            ["--env=staging", "--zkrollback-check", "checks"],
            "--zkrollback-check=checks is not known: give --zkrollback-check, or --zkrollback-check=rbac; helm did "
            "not run.",
        ),
        (
            ["--env=drill", "--zkrollback-check"],
            "--env=drill makes its own cluster and configuration: there is nothing to check.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_exit_4_and_one_sentence(repository, run, args, sentence):
    code, output = run(*args)
    assert (code, errors(output)) == (4, [sentence])
    assert "Traceback" not in output
    assert [name for name in left_files(repository) if not name.endswith(".tmp")] == []


def test_the_check_says_a_line_for_each_thing_collects_nothing_and_leaves_no_file(repository, run):
    code, output = run("--env=staging", "--zkrollback-check", "-n", "2")
    lines = output.strip().splitlines()
    assert code == 1
    assert lines[0] == (
        "ok         configuration        environment staging of the shipped configuration (there is no "
        "zkrollback.toml here) is valid."
    )
    assert lines[1].startswith("missing    kubeconfig           There is no kubeconfig: ")
    assert lines[-1].endswith("Nothing was changed, and nobody was told.")
    assert "test session starts" not in output
    assert left_files(repository) == []


def test_the_list_of_a_cluster_that_cannot_be_asked_is_one_sentence_and_leaves_no_file(repository, capfd):
    result = repository.runpytest("--env=staging", "--rollback-list=json")
    out, err = capfd.readouterr()
    assert (result.ret, out) == (1, "")
    assert err.startswith("There is no kubeconfig: ")
    assert len(err.splitlines()) == 1
    assert left_files(repository) == []


def test_where_the_cluster_cannot_be_asked_init_says_so_and_writes_nothing(repository, capfd):
    (repository.path / "checks" / "test_runbook.py").unlink()
    before = sorted(repository.path.rglob("*.toml"))
    result = repository.runpytest("--zkrollback-init")
    out, err = capfd.readouterr()
    assert (result.ret, out) == (1, "")
    assert err.startswith("There is no kubeconfig: ")
    assert (sorted(repository.path.rglob("*.toml")), list((repository.path / "checks").glob("*.py"))) == (
        before,
        [],
    )


def test_the_roles_alone_are_on_standard_output(repository, capfd):
    result = repository.runpytest("--env=staging", "--zkrollback-check=rbac")
    out, err = capfd.readouterr()
    assert (result.ret, out) == (1, "")
    assert err.startswith("There is no kubeconfig: ")


def test_fault_67_another_path_is_exit_4_and_its_tests_do_not_run(repository, run):
    other = repository.mkdir("other")
    (other / "test_other.py").write_text("def test_other():\n    raise SystemExit('was run')\n")
    code, output = run("other", "--env=staging", "--rollback-to=5")
    assert (code, errors(output)) == (
        4,
        [
            "The checklist was not collected; helm did not run. Run pytest on checks/, or on a file with "
            "`from pytest_zkrollback.items import *`; without such a file: pytest --pyargs pytest_zkrollback.items"
        ],
    )
    assert "was run" not in output


def test_fault_67_last_failed_is_an_incomplete_checklist(repository, run):
    assert run("--env=staging", "--rollback-to=5")[0] == 1
    code, output = run("--env=staging", "--rollback-to=5", "--deselect", "checks", "--lf")
    assert code == 4
    assert "helm did not run" in errors(output)[0]


def test_an_error_while_collecting_is_exit_4(repository, run):
    (repository.path / "checks" / "test_broken.py").write_text("import no_such_module\n")
    code, output = run("--env=staging", "--rollback-to=5", "--continue-on-collection-errors")
    assert (code, errors(output)[-1]) == (
        4,
        "Collecting failed in 1 place(s): the checklist may be incomplete; helm did not run.",
    )


def test_collect_only_lists_the_items_and_contacts_nothing(repository, run):
    code, output = run("--env=staging", "--rollback-to=5", "--collect-only", "-q")
    assert code == 0
    listed = [line.rpartition("::")[2] for line in output.splitlines() if "::" in line]
    assert listed == [
        "test_preflight",
        "test_rollback",
        "test_release_equivalence",
        "test_checklist[rollout-backend]",
        "test_checklist[rollout-frontend]",
        "test_checklist[smoke]",
        "test_checklist[logs]",
        "test_checklist[health-database]",
        "test_checklist[events]",
        "test_checklist[migration]",
        "test_checklist[notify]",
    ]
    assert left_files(repository) == []


def test_fault_66_without_autoload_it_says_so(repository, run, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for args in (["--env=drill"], ["--env=drill", "--rollback-to=5"], ["--zkrollback-env=drill"]):
        code, output = run(*args)
        assert code == 4
        assert errors(output) == [
            "pytest-zkrollback is installed but its plugin is not loaded (PYTEST_DISABLE_PLUGIN_AUTOLOAD or "
            "-p no:zkrollback): add -p pytest_zkrollback.plugin; nothing was contacted and helm did not run."
        ]


def test_fault_66_loaded_by_name_it_works(repository, run, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    code, output = run("-p", "pytest_zkrollback.plugin", "--env=nope")
    assert code == 4
    assert "environments are drill, production, staging" in errors(output)[0]


def test_fault_66_where_another_plugin_owns_env_the_long_name_serves(repository, run):
    repository.makepyfile(
        other_plugin="def pytest_addoption(parser):\n    parser.addoption('--env', default='theirs')\n"
    )
    repository.syspathinsert()
    code, output = run("-p", "other_plugin", "--env=drill", "--rollback-to=5")
    assert code == 4
    assert errors(output) == [
        "--rollback-to needs an environment: add --env=NAME (or --zkrollback-env=NAME where --env belongs to "
        "another plugin); helm did not run."
    ]
    code, output = run("-p", "other_plugin", "--zkrollback-env=nope")
    assert code == 4
    assert "--env=nope is not known" in errors(output)[0]
