"""A note that is added to a record later, and told to the team: over real sockets, as it is typed."""

import json
import shlex
import subprocess
import sys

import pytest

from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report.__main__ import main
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store, render_json
from pytest_zkrollback.report.next_commands import next_commands
from support.advice_model import ENV, Model
from support.example_records import failed, running, verified
from support.fake_slack import SECRET

CONFIG = """
[environments.shop]
context = "shop"
namespace = "shop"
release = "web"
workloads = { web = "deployment/web" }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, slack):
    (tmp_path / "zkrollback.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
    return tmp_path


def saved(folder, **changes):
    path = folder / "record.json"
    path.write_text(
        render_json(verified(environment="shop", reason="not given", **changes)), encoding="utf-8"
    )
    return path


def read(path):
    return Record.model_validate_json(path.read_bytes())


def test_the_note_is_in_the_record_and_the_team_is_told(folder, slack, capsys):
    path = saved(folder)
    note = f"the deploy had no pool, see {slack.webhook}"
    assert main(["note", str(path), note, "--notify"]) == 0
    record = read(path)
    [message] = slack.messages()
    shown = json.dumps(message)
    assert "ADDENDUM to VERIFIED" in shown
    assert "the deploy had no pool, see" in shown
    assert "adds to" in shown
    assert "not given" not in shown
    assert SECRET not in shown + path.read_text()
    (added,) = record.notes
    assert (added.kind, "@" in added.author) == ("note", True)
    assert added.text.startswith("the deploy had no pool, see ")
    told = record.deliveries[-1]
    assert (told.to, told.event, told.ok, told.answer) == ("slack", "addendum", True, "ok")
    assert capsys.readouterr().err == "slack has it: ok\n"


def test_without_notify_nobody_is_told(folder, slack):
    path = saved(folder)
    assert main(["note", str(path), "a bad pool size"]) == 0
    assert [each.text for each in read(path).notes] == ["a bad pool size"]
    assert slack.messages() == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, "no_service", {}), "slack does not have it: "),
        ((403, "invalid_token", {}), "slack does not have it: "),
    ],
)
def test_who_refuses_is_named_and_the_note_stands(folder, slack, capsys, answer, said):
    slack.answers.append(answer)
    path = saved(folder)
    assert main(["note", str(path), "a bad pool size", "--notify"]) == 1
    assert capsys.readouterr().err.startswith(said)
    assert [each.text for each in read(path).notes] == ["a bad pool size"]
    assert read(path).deliveries[-1].ok is False


def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(folder, slack, capsys):
    path = saved(folder)
    before = path.read_bytes()
    for words, said in (
        ([str(path), "...", "--notify"], "'...' says nothing: write the note in your own words."),
        ([str(folder / "none.json"), "x"], f"{folder / 'none.json'}: No such file or directory"),
        ([str(path), "x", "--notify", "--zkrollback-config=z.toml"], "--zkrollback-config=z.toml: "),
    ):
        assert main(["note", *words]) == 2
        assert capsys.readouterr().err.startswith(said)
    path.write_text(render_json(verified()), encoding="utf-8")
    assert main(["note", str(path), "x", "--notify"]) == 2
    assert capsys.readouterr().err == "The drill's Slack is gone with the drill: nobody can be told.\n"
    path.write_bytes(before)
    (folder / "zkrollback.toml").write_text(CONFIG + "slack = false\n")
    assert main(["note", str(path), "x", "--notify"]) == 2
    assert (
        capsys.readouterr().err == "No channel is configured for [environments.shop]: nobody can be told.\n"
    )
    assert (path.read_bytes(), slack.messages()) == (before, [])


def test_the_fields_of_a_post_mortem_are_typed_kept_and_told(folder, slack, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "correct-horse-battery")
    path = saved(folder)
    typed = ["--severity", "SEV2", "--detected", "an alert", "--detected-at", "20m"]
    typed += ["--root-cause", "the password correct-horse-battery had expired", "--lesson", "watch it"]
    typed += ["--action", "grace: rotate it", "--action", " team db :alert on it", "--due", "2026-12-15"]
    assert main(["note", str(path), *typed, "--notify"]) == 0
    notes = {each.kind: each for each in read(path).notes}
    assert [each.kind for each in read(path).notes] == [
        *("severity", "detected", "root-cause", "lesson", "action", "action")
    ]
    detected = notes["detected"]
    assert 1195 < (detected.at - detected.detected_at).total_seconds() < 1205
    actions = [(each.owner, each.text, each.due) for each in read(path).notes if each.kind == "action"]
    assert actions == [("grace", "rotate it", "2026-12-15"), ("team db", "alert on it", "2026-12-15")]
    assert "correct-horse-battery" not in path.read_text()
    [message] = slack.messages()
    shown = json.dumps(message)
    assert "correct-horse-battery" not in shown
    assert "severity: SEV2; detected by an alert, at " in shown
    assert "action item for grace: rotate it (due 2026-12-15)" in shown
    assert read(path).reason == "not given"


def test_nothing_but_what_was_added_changes(folder):
    path = saved(folder)
    before = read(path)
    assert main(["note", str(path), "--root-cause", "a bad pool size"]) == 0
    assert read(path).model_copy(update={"notes": ()}) == before


def test_a_secret_that_the_configuration_names_is_taken_out_wherever_it_is_typed(folder, monkeypatch):
    monkeypatch.setenv("HOOK_OF_THE_SHOP", "https://hooks.example/zzz-hidden-path")
    (folder / "zkrollback.toml").write_text(CONFIG + 'slack.webhook_env = "HOOK_OF_THE_SHOP"\n')
    (folder / "reports").mkdir()
    path = saved(folder / "reports")
    monkeypatch.chdir(folder / "reports")
    assert main(["note", str(path), "see https://hooks.example/zzz-hidden-path"]) == 0
    assert "zzz-hidden-path" not in path.read_text()


def test_a_run_that_was_killed_may_go_on_elsewhere(folder, capsys):
    path = saved(folder, outcome="running")
    assert main(["note", str(path), "a bad pool size"]) == 0
    assert capsys.readouterr().err == (
        "WARNING: this run's record has no end: it was killed, or it goes on on another machine.\n"
    )


@pytest.mark.parametrize("name", ["own", "latest"])
def test_a_run_that_goes_on_is_left_alone(folder, capsys, name):
    record = running()
    store = Store(folder, file_stem(record))
    store.write(record)
    path = store.json_path if name == "own" else folder / "latest.json"
    before = path.read_bytes()
    assert main(["note", str(path), "a bad pool size"]) == 2
    assert capsys.readouterr().err == (
        "This run still goes on, and writes its record itself: try again when it has ended.\n"
    )
    assert path.read_bytes() == before
    store.finish(failed())
    assert main(["note", str(path), "a bad pool size"]) == 0


def test_a_run_that_was_killed_holds_its_record_no_longer(folder, capsys):
    script = """
import os, sys
from pathlib import Path
from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report.files import Store
record = Record.model_validate_json(sys.stdin.read())
Store(Path(sys.argv[1]), "killed").write(record)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", script, str(folder)]
    subprocess.run(command, input=render_json(running()), text=True, timeout=60, check=False)
    assert main(["note", str(folder / "killed.json"), "a bad pool size"]) == 0
    assert [each.text for each in read(folder / "killed.json").notes] == ["a bad pool size"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "Nothing was said: give a note in your own words, or an option such as --root-cause."),
        (["--root-cause", "..."], "'...' says nothing: write the note in your own words."),
        (
            ["--action", "fix it"],
            "--action='fix it' names no owner: write it as \"OWNER: what is to be done\".",
        ),
        (
            ["--action", ": fix it"],
            "--action=': fix it' names no owner: write it as \"OWNER: what is to be done\".",
        ),
        (["x", "--due", "2026-12-15"], "--due goes with --action: it says until when that is to be done."),
        (["--action", "a: b", "--due", "soon"], "--due=soon is no date: write it as 2026-12-15."),
        (
            ["--detected-at", "noon"],
            "--detected-at=noon is no time: write 20m (ago), 02:11 (here) or 2026-11-23T02:11:00Z.",
        ),
        (["--detected-at", "2126-11-23T02:11:00Z"], "--detected-at=2126-11-23T02:11:00Z has not come yet."),
        (["x" * 4001], "A note of 4001 characters is too long: 4000 are taken. Link to the rest."),
    ],
)
def test_what_is_typed_wrongly_is_a_sentence_and_changes_nothing(folder, capsys, typed, said):
    path = saved(folder)
    before = path.read_bytes()
    assert main(["note", str(path), *typed]) == 2
    assert capsys.readouterr().err == said + "\n"
    assert path.read_bytes() == before


def bad():
    model = Model(good=frozenset("ab")).upgrade("a").upgrade("b")
    return model.upgrade("x")


def asks(typed, *, model=None, file="reports/r.json", **changes):
    record = (model or bad()).run(typed).model_copy(update=changes)
    return next_commands(record, ENV, file)[-2:]


def test_the_last_lines_ask_for_what_was_not_given(folder):
    config = "--zkrollback-config=ops/z.toml"
    command = f'python -m pytest_zkrollback.report note reports/r.json "..." --notify {config}'
    lines = asks(f"pytest --env=shop {config} --rollback-to=2")
    assert lines == (
        "# the team was not told the reason and the next steps; with your words instead of the dots:",
        command,
    )
    assert shlex.split(command)[5] == "..."
    said = asks("pytest --env=shop --rollback-to=2", next_steps="deploy 1.4")
    assert said[0] == "# the team was not told the reason; with your words instead of the dots:"


@pytest.mark.parametrize(
    ("typed", "changes"),
    [
        ("pytest --env=shop --rollback-to=2", {"reason": "pool", "next_steps": "deploy 1.4"}),
        ("pytest --env=shop --rollback-to=2", {"drill": "ended"}),
        ("pytest --env=shop --rollback-to=2", {"file": ""}),
        ("pytest --env=shop", {}),
        ("pytest --env=shop --rollback-to=2 --rollback-plan", {}),
        ("pytest --env=shop --rollback-to=2 --rollback-waive=notify=later", {}),
    ],
)
def test_they_ask_nobody_else(typed, changes):
    assert not any("report note" in line for line in asks(typed, **changes))
