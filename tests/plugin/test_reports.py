"""What a run leaves behind, seen on a refused one (no cluster is needed): files, copies, the last lines."""

import json
import os
import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_zkrollback.plugin.streams import fit_header

REFUSED = [
    "Next:",
    "  # set KUBECONFIG, or kubeconfig in the environment's table, then:",
    "  pytest --basetemp=TEMP --env=staging --rollback-to=5",
    "  # or look at it by hand:",
    "  helm history zkprova -n default --kube-context staging",
    "",
    "REFUSED: rollback of zkprova to revision 5 in staging",
    "Not rolled back: there is no kubeconfig: KUBECONFIG does not exist. Nothing was changed.",
    "HELM DID NOT RUN: refused (cluster).",
    "Live now: Not known: the release's history was not read.",
    "Checked: 0 of 10 checklist items checked",
    "Report: FOLDER/reports/STEM.html",
]


def run(repository, *args):
    return repository.runpytest_subprocess("--env=staging", "--rollback-to=5", *args)


def record(repository, name="latest.json"):
    return json.loads((repository.path / "reports" / name).read_text())


def test_the_last_lines_of_a_refusal(repository):
    result = run(repository)
    assert result.ret == 1
    text = result.stdout.str().replace(str(repository.path / "no-kubeconfig"), "KUBECONFIG")
    text = text.replace(f"Report: {repository.path}", "Report: FOLDER")
    text = re.sub(r"--basetemp=\S+", "--basetemp=TEMP", text)
    text = re.sub(r"\d{8}T\d{6}Z-staging-[0-9a-f]{8}", "STEM", text)
    lines = text.rstrip().splitlines()
    assert lines[-len(REFUSED) :] == REFUSED


def test_the_header_says_what_this_is_about_and_the_reports_path_is_said_once(repository):
    result = run(repository)
    kubeconfig = (
        "zkrollback: environment staging, context staging (its server is not known), release zkprova in namespace "
        "default, roll back to 5"
    )
    assert kubeconfig in result.outlines
    assert result.outlines.index(kubeconfig) < result.outlines.index("collected 11 items")
    assert not [line for line in result.outlines if line.startswith("plugins: ")]
    assert result.stdout.str().count("/reports/") == 1
    (repository.path / "no-kubeconfig").write_text(
        "apiVersion: v1\nkind: Config\ncontexts:\n- {name: staging, context: {cluster: c, user: u}}\n"
        "clusters:\n- {name: c, cluster: {server: 'http://127.0.0.1:1'}}\nusers:\n- {name: u, user: {}}\n"
    )
    result = repository.runpytest_subprocess("--env=staging")
    assert (
        "zkrollback: environment staging, http://127.0.0.1:1, release zkprova in namespace default, verify only"
        in result.outlines
    )


def test_on_a_terminal_the_header_goes_on_in_a_second_line(monkeypatch):
    plugins = SimpleNamespace(get_plugin=lambda _: SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("COLUMNS", "80")
    said = (
        "zkrollback: environment staging, context staging (its server is not known), release zkprova in namespace "
        "default, roll back to 5"
    )
    assert fit_header(said, SimpleNamespace(pluginmanager=plugins)) == [
        "zkrollback: environment staging, context staging (its server is not known),",
        "release zkprova in namespace default, roll back to 5",
    ]


def test_a_rehearsal_alone_is_one_of_previous(repository):
    result = repository.runpytest_subprocess("--env=staging", "--rollback-plan")
    assert result.ret == 1
    [said] = [line for line in result.outlines if line.startswith("zkrollback: environment staging")]
    assert said.endswith(", rehearse a rollback to previous: nothing is changed")
    found = record(repository)
    assert (found["mode"], found["outcome"], found["helm"]["ran"]) == ("plan", "refused", False)
    [again] = [line for line in found["next_commands"] if line.startswith("pytest ")]
    assert again.endswith(" --env=staging --rollback-plan")


def test_the_header_and_the_record_say_how_a_time_was_understood(repository, monkeypatch):
    monkeypatch.setenv("TZ", "CET-1")
    result = run(repository, "--rollback-impact-since=00:00")
    [said] = [line for line in result.outlines if "users are affected since" in line]
    found = record(repository)
    since = datetime.fromisoformat(found["impact_since"])
    assert (since.hour, since.minute) == (23, 0)
    day = (since + timedelta(hours=1)).strftime("%Y-%m-%d")
    understood = (
        f"users are affected since {day} 00:00:00 CET ({since:%Y-%m-%d} 23:00:00 UTC): "
        "--rollback-impact-since=00:00 is understood so"
    )
    assert said == f"zkrollback: {understood}"
    assert understood in [entry["event"] for entry in found["timeline"]]
    [again] = [line for line in found["next_commands"] if line.startswith("pytest ")]
    assert f"--rollback-impact-since={since:%Y-%m-%dT%H:%M:%SZ}" in again

    result = run(repository, "--rollback-impact-since=2026-11-23T02:11:00Z")
    assert "users are affected since" not in result.stdout.str()


def test_every_rendering_is_there_and_parses(repository):
    run(repository)
    names = sorted(path.name for path in (repository.path / "reports").iterdir())
    [stem] = {name.rpartition(".")[0] for name in names if not name.startswith("latest")}
    assert re.fullmatch(r"\d{8}T\d{6}Z-staging-[0-9a-f]{8}", stem)
    assert names == sorted(
        f"{each}.{kind}" for each in (stem, "latest") for kind in ("html", "json", "md", "xml")
    )
    found = record(repository)
    assert (found["schema"], found["outcome"], found["helm"]["ran"]) == (
        "zkrollback.record/1",
        "refused",
        False,
    )
    assert [item["verdict"] for item in found["items"]] == ["FAIL"] + ["UNVERIFIED"] * 10
    assert found["next_commands"][-1] == "helm history zkprova -n default --kube-context staging"
    cases = ET.parse(repository.path / "reports" / "latest.xml").getroot().iter("testcase")
    assert len(list(cases)) == 12  # the run itself, and its items
    assert "REFUSED" in (repository.path / "reports" / "latest.md").read_text()


def test_an_older_green_is_not_left_as_latest(repository):
    reports = repository.mkdir("reports")
    for kind in ("html", "json", "md", "xml"):
        (reports / f"latest.{kind}").write_text("VERIFIED, yesterday")
    run(repository)
    for kind in ("html", "json", "md", "xml"):
        assert "yesterday" not in (reports / f"latest.{kind}").read_text()


def test_the_users_own_html_css_and_junit_are_honoured_beside_ours(repository):
    (repository.path / "mine.css").write_text(".users-own-rule { color: teal }")
    run(
        repository,
        "--html=out/mine.html",
        "--self-contained-html",
        "--css=mine.css",
        "--junitxml=out/junit.xml",
    )
    mine = (repository.path / "out" / "mine.html").read_text()
    assert mine == (repository.path / "reports" / "latest.html").read_text()
    assert "REFUSED" in mine
    assert ".users-own-rule" in mine
    suite = ET.parse(repository.path / "out" / "junit.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("11", "11")


def test_the_pages_table_has_our_titles_words_and_order(repository):
    run(repository)
    page = (repository.path / "reports" / "latest.html").read_text()
    table = page[page.index("data-jsonblob") :]
    words = [
        table.index(f"({name})") for name in ("test_preflight", "test_rollback", "test_checklist[smoke]")
    ]
    assert words == sorted(words)
    assert "UNVERIFIED" in table
    assert "Run smoke tests (test_checklist[smoke])" in table


def test_a_pytest_html_whose_page_has_another_shape_costs_nothing_and_is_kept(repository, monkeypatch):
    monkeypatch.setenv("DEPLOY_API_TOKEN", "hunter22secret")
    (repository.path / "checks" / "conftest.py").write_text(
        "import pytest\n"
        "from pytest_html import basereport\n"
        "old = basereport.BaseReport._write_report\n"
        "def changed(self, text):\n"
        "    old(self, text.replace('<style', '<link rel=x><STYLE') + 'hunter22secret')\n"
        "basereport.BaseReport._write_report = changed\n"
    )
    result = run(repository, "--html=out/mine.html")
    assert result.ret == 1
    reports = repository.path / "reports"
    [beside] = reports.glob("*.pytest-html.html")
    page = (reports / "latest.html").read_text()
    assert "REFUSED" in page
    assert beside.name in page
    assert (repository.path / "out" / "mine.html").read_text() == page
    text = beside.read_text()
    assert text.endswith("[redacted DEPLOY_API_TOKEN]")
    assert "test_checklist[smoke]" in text
    [said] = [line for line in result.stdout.lines if "another shape" in line]
    assert said.startswith("The report is complete. pytest-html ")
    assert said.endswith(f"It is kept beside the report: {beside.name}.")
    assert json.loads((reports / "latest.json").read_text())["outcome"] == "refused"


@pytest.mark.parametrize("plugin", ["html", "terminal", "logging", "xdist", "rerunfailures", "cacheprovider"])
def test_it_works_without_a_plugin(repository, plugin):
    result = run(repository, "-p", f"no:{plugin}")
    assert result.ret == 1
    assert record(repository)["outcome"] == "refused"
    assert "REFUSED" in (repository.path / "reports" / "latest.html").read_text()
    assert "HELM DID NOT RUN" in result.stdout.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_fault_64_a_report_folder_that_cannot_be_written(repository, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(repository.mkdir("elsewhere")))
    (repository.path / "reports").write_text("a file is in the way")
    result = run(repository)
    assert result.ret == 1
    [folder] = [path for path in Path(os.environ["TMPDIR"]).iterdir() if path.name.startswith("zkrollback-")]
    assert json.loads((folder / "latest.json").read_text())["outcome"] == "refused"
    assert f"this run's files are in {folder}" in result.stdout.str()
    assert str(folder) in result.stdout.str().rstrip().splitlines()[-1]


def test_a_hostile_reason_breaks_nothing(repository):
    reason = "<script>alert(1)</script> \x1b[31m ]]> {{7*7}} <!channel> \u202e"
    result = run(repository, f"--rollback-reason={reason}")
    assert result.ret == 1
    page = (repository.path / "reports" / "latest.html").read_text()
    assert "<script>alert(1)" not in page
    assert "\x1b" not in page + result.stdout.str()
    ET.parse(repository.path / "reports" / "latest.xml")
    assert record(repository)["outcome"] == "refused"


def test_a_conftest_cannot_turn_the_run_green(repository):
    conftest = repository.path / "checks" / "conftest.py"
    conftest.write_text(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n"
        "        item.add_marker(pytest.mark.xfail(strict=False))\n"
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_makereport(item, call):\n"
        "    report = yield\n"
        "    report.outcome = 'passed'\n"
        "    return report\n"
    )
    result = run(repository)
    assert result.ret == 1
    assert record(repository)["outcome"] == "refused"
