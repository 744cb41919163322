"""The JSON webhook and Teams, over real sockets, and what they refuse."""

import json

import pytest

from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.config.environment import Notify
from pytest_zkrollback.domain.errors import NotifyProblem, UsageProblem
from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import NotificationEvent, Outcome
from pytest_zkrollback.notify.json_webhook import choose_json_webhook
from pytest_zkrollback.notify.teams import choose_teams
from support.example_records import failed, running, verified, waived
from support.hostile import hostile_news
from support.http_server import LoopbackHttpServer, QuietHandler

HOSTILE = 25


class Receiver:
    """Takes what a workflow's webhook takes: up to 28 KB, an Adaptive Card of elements without Markdown."""

    def __init__(self, status=202, cards=True):
        self.received, self.breaches = [], []
        receiver = self

        class Handler(QuietHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(json.loads(data))
                if cards and len(data) > 28 * 1024:
                    receiver.breaches.append(f"{len(data)} bytes")
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = LoopbackHttpServer(Handler)
        self.variables = {"URL": f"{self.server.url}/workflows/secretsecret"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()
        assert self.breaches == []


def teams(receiver):
    return choose_teams("URL", Notify(), receiver.variables, HttpClient())


def webhook(receiver):
    return choose_json_webhook("URL", Notify(), receiver.variables, HttpClient())


def texts(message):
    """Every text of a card; no element that reads Markdown is among them."""
    assert message["type"] == "message"
    [attachment] = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    for action in card["actions"]:
        assert action["type"] == "Action.OpenUrl"
        assert action["url"].startswith(("https://", "http://"))
    found = []
    for element in card["body"]:
        assert element["type"] == "RichTextBlock"
        for run in element["inlines"]:
            assert run["type"] == "TextRun"
            assert run["text"].strip()
            found.append(run["text"])
    return found


def test_teams_gets_a_card_with_what_slack_gets():
    with Receiver() as receiver:
        delivery = teams(receiver).tell(
            Notification(event=NotificationEvent.VERDICT, record=verified(redeploy_risks=("a merge",)))
        )
    assert (delivery.to, delivery.ok, delivery.answer) == ("teams", True, "HTTP 202")
    said = texts(receiver.received[0])
    assert said[0] == "VERIFIED: drill, rollback of zkprova to revision 5"
    assert "Incident: https://tracker.example/INC-4711" in said[2]
    for title, text in (
        ("Reason", "backend crash-loops since 2026.11.5"),
        ("Next steps", "fix POOL_SIZE, then deploy 2026.11.6"),
        ("What could bring it back", "\u2022 a merge"),
    ):
        assert said[said.index(title) + 1] == text
    actions = receiver.received[0]["attachments"][0]["content"]["actions"]
    assert actions == [
        {"type": "Action.OpenUrl", "title": "Incident", "url": "https://tracker.example/INC-4711"}
    ]


def test_fault_47_hostile_and_over_long_cards_are_all_within_the_limits():
    with Receiver() as receiver:
        for seed in range(HOSTILE):
            teams(receiver).tell(hostile_news(seed))
    assert len(receiver.received) == HOSTILE
    for message in receiver.received:
        assert texts(message)


def test_the_webhook_gets_the_news_as_json():
    with Receiver(200, cards=False) as receiver:
        told = webhook(receiver)
        told.tell(Notification(event=NotificationEvent.START, record=running()))
        told.tell(Notification(event=NotificationEvent.CHANGED, record=failed(), before=Outcome.VERIFIED))
        told.tell(Notification(event=NotificationEvent.VERDICT, record=waived(), provisional=True))
    start, changed, waived_one = receiver.received
    assert [each["event"] for each in receiver.received] == ["start", "changed", "verdict"]
    assert (start["schema"], start["outcome"], start["before"]) == ("zkrollback.news/1", "running", None)
    assert (changed["outcome"], changed["before"], changed["helm"]["exit_code"]) == ("failed", "verified", 0)
    assert waived_one["provisional"] is True
    assert waived_one["overrides"] == [
        {"id": "smoke", "kind": "item", "reason": "the staging host is being moved"}
    ]
    assert {item["id"]: item["verdict"] for item in changed["items"]}["rollout-backend"] == "FAIL"
    assert "notify" not in [item["id"] for item in changed["items"]]
    assert changed["decision"]["recommendation"] == "rollback"


@pytest.mark.parametrize(("status", "maybe"), [(400, False), (302, False), (413, False)])
def test_a_refusal_is_said_without_the_address(status, maybe):
    with Receiver(status, cards=False) as receiver:
        for told in (teams(receiver), webhook(receiver)):
            with pytest.raises(NotifyProblem) as raised:
                told.tell(Notification(event=NotificationEvent.VERDICT, record=verified()))
            assert str(raised.value).endswith(f"refused the message: HTTP {status}")
            assert raised.value.maybe_sent is maybe
            assert "secretsecret" not in str(raised.value)
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    ("choose", "off"), [(choose_teams, "teams_env"), (choose_json_webhook, "webhook_env")]
)
def test_a_variable_that_is_not_set_is_named(choose, off):
    with pytest.raises(UsageProblem) as raised:
        choose("MY_URL", Notify(), {}, HttpClient())
    assert "MY_URL is not set" in str(raised.value)
    assert f"leaving {off} out" in str(raised.value)
