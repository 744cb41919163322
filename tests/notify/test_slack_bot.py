"""Slack by a bot's token: a thread, a file, and what each of Slack's answers leads to. Over real sockets."""

import pytest

from pytest_zkrollback.clients.slack_bot import SlackBot, choose_bot_token
from pytest_zkrollback.config.environment import Slack
from pytest_zkrollback.domain.errors import NotifyProblem, UsageProblem
from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import NotificationEvent, Outcome
from pytest_zkrollback.notify.slack_channels import BotChannel
from support.example_records import failed, running, verified
from support.fake_slack import CHANNEL, TOKEN
from support.stepping_clock import SteppingClock

POST = "/api/chat.postMessage"
MESSAGE = {"text": "hello", "blocks": [{"type": "divider"}]}


def table(slack, **more):
    return Slack(token_env="ZK_BOT", channel=CHANNEL, api_url=slack.api_url, **more)


def bot(slack, token=TOKEN, pauses=None, **more):
    return SlackBot(table(slack, **more), token, clock=SteppingClock(pauses))


def error(word, status=200, **headers):
    return status, f'{{"ok": false, "error": "{word}"}}', {"Content-Type": "application/json", **headers}


def test_start_verdict_and_change_are_one_thread_and_the_report_is_in_it(slack):
    channel = BotChannel(bot(slack))
    start = channel.tell(Notification(event=NotificationEvent.START, record=running()))
    verdict = channel.tell(Notification(event=NotificationEvent.VERDICT, record=verified()))
    changed = channel.tell(
        Notification(event=NotificationEvent.CHANGED, record=failed(), before=Outcome.VERIFIED)
    )
    assert [each.answer for each in (start, verdict, changed)] == ["ok", *["ok; the report is uploaded"] * 2]
    first, second, third = slack.messages()
    assert "thread_ts" not in first
    assert second["thread_ts"] == third["thread_ts"] == f"{1764100001}.000100"
    assert second["reply_broadcast"] is True
    assert slack.paths() == [
        POST,
        *[POST, "/api/files.getUploadURLExternal", "/upload/v1/F001", "/api/files.completeUploadExternal"],
        *[POST, "/api/files.getUploadURLExternal", "/upload/v1/F002", "/api/files.completeUploadExternal"],
    ]
    assert [file["filename"] for file in slack.files.values()] == ["drill-1a2b3c4d.html"] * 2
    assert all(file["thread_ts"] == second["thread_ts"] for file in slack.files.values())
    assert all(file["channel"] == CHANNEL for file in slack.files.values())
    page = slack.files["F002"]["content"].decode()
    assert "FAILED" in page and "</html>" in page
    assert TOKEN not in page


def test_fault_62_a_name_with_shell_and_path_in_it_is_text_and_a_harmless_file_name(slack):
    name = "../a;$(touch pwned)&`b`"
    record = verified(environment=name, incident=name)
    BotChannel(bot(slack)).tell(Notification(event=NotificationEvent.VERDICT, record=record))
    assert slack.files["F001"]["filename"] == ".._a_touch_pwned_b_-1a2b3c4d.html"
    fields = [field["text"] for block in slack.messages()[0]["blocks"] for field in block.get("fields", ())]
    assert f"Incident\n{name}" in fields


def test_without_a_start_the_verdict_opens_the_thread(slack):
    BotChannel(bot(slack)).tell(Notification(event=NotificationEvent.VERDICT, record=verified()))
    assert "thread_ts" not in slack.messages()[0]
    assert slack.files["F001"]["thread_ts"] == "1764100001.000100"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            [(), error("missing_scope")],
            "Slack refused it: missing_scope (the token in ZK_BOT needs the scope",
        ),
        ([(), (), (403, "no", {})], "Slack refused the file: HTTP 403"),
        ([(), (), (), error("file_not_found")], "Slack refused it: file_not_found"),
        ([(), (503, "", {})], "Slack failed: "),
    ],
)
def test_a_file_that_slack_will_not_have_leaves_the_message_delivered(slack, answers, said):
    slack.answers = answers
    delivery = BotChannel(bot(slack)).tell(Notification(event=NotificationEvent.VERDICT, record=verified()))
    assert delivery.ok
    assert delivery.answer.startswith(f"ok; the report was not uploaded: {said}")
    assert len(slack.messages()) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            error("channel_not_found"),
            "channel_not_found (check `channel` in the configuration; in a private one",
        ),
        (error("not_in_channel"), "not_in_channel (invite the bot into the channel)"),
        (
            error("is_archived"),
            "is_archived (the channel is archived: name another one in the configuration)",
        ),
        (error("invalid_auth"), "invalid_auth (Slack does not know the token in ZK_BOT)"),
        (error("not_authed"), "not_authed (the token in ZK_BOT is none)"),
        (error("token_revoked"), "token_revoked (the token in ZK_BOT was revoked: set a new one)"),
        (error("token_expired"), "token_expired (the token in ZK_BOT has expired: set a new one)"),
        (error("account_inactive"), "account_inactive (the token in ZK_BOT belongs to nobody any more)"),
        (
            error("missing_scope"),
            "missing_scope (the token in ZK_BOT needs the scope chat:write, files:write)",
        ),
        (error("msg_blocks_too_long"), "msg_blocks_too_long"),
        (error("restricted_action"), "restricted_action"),
        ((404, "", {}), "Received a response in a non-JSON format: "),
    ],
)
def test_a_refusal_is_said_with_what_to_do_and_not_repeated(slack, answer, said):
    slack.answers = [answer]
    with pytest.raises(NotifyProblem) as raised:
        bot(slack).post(MESSAGE)
    assert str(raised.value).startswith(f"Slack refused it: {said}")
    assert raised.value.maybe_sent is False
    assert slack.paths() == [POST]


@pytest.mark.parametrize("word", ["fatal_error", "internal_error", "request_timeout"])
def test_an_error_after_which_it_may_be_there_is_not_repeated(slack, word):
    slack.answers = [error(word)]
    with pytest.raises(NotifyProblem) as raised:
        bot(slack).post(MESSAGE)
    assert raised.value.maybe_sent is True
    assert slack.paths() == [POST]


def test_fault_63_429_waits_as_long_as_slack_says_and_5xx_is_tried_again(slack):
    pauses = []
    slack.answers = [
        error("ratelimited", 429, **{"Retry-After": "3"}),
        error("service_unavailable"),
        (500, "", {}),
    ]
    assert bot(slack, pauses=pauses).post(MESSAGE)
    assert pauses == [3.0, 1.0, 2.0]
    assert slack.paths() == [POST] * 4


def test_fault_63_no_answer_may_have_posted_and_is_not_repeated(slack):
    slack.answers = [None]
    with pytest.raises(NotifyProblem) as raised:
        bot(slack, timeout_s=1).post(MESSAGE)
    assert raised.value.maybe_sent is True
    assert str(raised.value).startswith("Slack did not answer, so the message may have been posted, or not: ")
    assert slack.paths() == [POST]


def test_a_refused_connection_is_tried_again_and_posted_nothing(slack):
    slack.close()
    pauses = []
    with pytest.raises(NotifyProblem) as raised:
        bot(slack, pauses=pauses).post(MESSAGE)
    assert raised.value.maybe_sent is False
    assert str(raised.value).startswith("Slack could not be reached: ")
    assert len(pauses) >= 3


def test_the_token_stands_in_no_message_and_slack_sdk_says_nothing(slack, capfd):
    slack.answers = [error("invalid_auth"), None]
    for _ in range(2):
        with pytest.raises(NotifyProblem) as raised:
            bot(slack, timeout_s=1).post(MESSAGE)
        assert TOKEN not in str(raised.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("environ", [{}, {"ZK_BOT": ""}, {"ZK_BOT": "xoxb-\x00"}, {"ZK_BOT": "xoxb-ü"}])
def test_a_variable_without_a_token_is_named(slack, environ):
    with pytest.raises(UsageProblem) as raised:
        choose_bot_token(table(slack), environ)
    assert str(raised.value) == (
        "the environment variable ZK_BOT holds no token, so Slack is not told; set it to the bot's token "
        "(xoxb-...), or use webhook_env in the configuration."
    )


def test_without_the_extra_it_is_said_what_to_install(slack, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "slack_sdk", None)
    with pytest.raises(UsageProblem) as raised:
        choose_bot_token(table(slack), {"ZK_BOT": TOKEN})
    assert "pip install 'pytest-zkrollback[slack]'" in str(raised.value)


@pytest.mark.parametrize(
    "body", ["[]", '"ok"', "5", "null", "", "<html>", "[" * 50_000, '{"ok": "yes"}', '{"ok": false, "error": {"a": [1]}}'],
    ids=lambda body: body[:10] or "empty",
)  # fmt: skip
def test_case_p29_slacks_answer_of_any_shape_is_a_sentence(slack, body):
    slack.answers.append((200, body, {"Content-Type": "application/json"}))
    try:
        bot(slack).post(MESSAGE)
    except NotifyProblem as problem:
        assert str(problem).startswith("Slack")
        assert len(str(problem)) < 500
    assert slack.paths() == [POST]


@pytest.mark.parametrize("ts", ["5", '{"a": 1}', "null"])
def test_case_p29_a_message_without_a_name_is_posted_and_opens_no_thread(slack, ts):
    slack.answers.append((200, f'{{"ok": true, "ts": {ts}}}', {"Content-Type": "application/json"}))
    assert bot(slack).post(MESSAGE) == ""
