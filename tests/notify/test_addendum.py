"""A note that is added to a record later, and told to the team: over real sockets, as it is typed."""

import json
import shlex

import pytest

from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report.__main__ import main
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.next_commands import next_commands
from support.advice_model import ENV, Model
from support.example_records import verified
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
    last = record.timeline[-1]
    assert (last.source, " added by " in f" {last.event}") == ("operator", True)
    assert "the deploy had no pool" in last.event
    told = record.deliveries[-1]
    assert (told.to, told.event, told.ok, told.answer) == ("slack", "addendum", True, "ok")
    assert capsys.readouterr().err == "slack has it: ok\n"


def test_without_notify_nobody_is_told(folder, slack):
    path = saved(folder)
    assert main(["note", str(path), "a bad pool size"]) == 0
    assert "a bad pool size" in read(path).timeline[-1].event
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
    assert "a bad pool size" in read(path).timeline[-1].event
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
