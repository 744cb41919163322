"""Our schema of a Slack message and slack_sdk's own models agree, and every message keeps to both."""

import pytest
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.clients.webhook import Webhook, says_ok
from pytest_zkrollback.notify.slack_message import render_slack_message
from support.fake_slack import breach
from support.hostile import hostile_news

# Of the 2,000 that `make campaign` sends (benchmarks/slack_messages.py).
HERE = 60


def plain(text):
    return {"type": "plain_text", "text": text, "emoji": False}


def message(*blocks, text="x"):
    return {"text": text, "blocks": list(blocks)}


def sdk_takes(block):
    """Whether slack_sdk finds nothing wrong with a block."""
    try:
        Block.parse(block).to_dict()
    except SlackObjectFormationError:
        return False
    return True


SECTION = {"type": "section", "text": plain("x")}
# block, whether Slack takes it
BLOCKS = [
    pytest.param({"type": "header", "text": plain("x" * 150)}, True, id="header"),
    pytest.param({"type": "header", "text": plain("x" * 151)}, False, id="header-too-long"),
    pytest.param({"type": "section", "text": plain("x" * 3000)}, True, id="section"),
    pytest.param({"type": "section", "text": plain("x" * 3001)}, False, id="section-too-long"),
    pytest.param({"type": "section"}, False, id="section-of-nothing"),
    pytest.param({"type": "section", "fields": [plain("x")] * 10}, True, id="fields"),
    pytest.param({"type": "section", "fields": [plain("x")] * 11}, False, id="too-many-fields"),
    pytest.param({"type": "context", "elements": [plain("x")] * 10}, True, id="context"),
    pytest.param({"type": "context", "elements": [plain("x")] * 11}, False, id="too-many-elements"),
    pytest.param({"type": "divider"}, True, id="divider"),
]


@pytest.mark.parametrize(("block", "takes"), BLOCKS)
def test_our_schema_and_slack_sdk_say_the_same_of_a_block(block, takes):
    assert (breach(message(block)) is None) is takes
    assert sdk_takes(block) is takes


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (message(*[SECTION] * 51), "invalid_blocks"),
        (message(), "invalid_blocks"),
        (message(SECTION, text=""), "no_text"),
        ({"blocks": [SECTION]}, "no_text"),
        (message({"type": "section", "fields": [plain("x" * 2001)]}), "invalid_blocks"),
        (message({"type": "marquee"}), "invalid_blocks"),
        (message({**SECTION, "text": {"type": "html", "text": "x"}}), "invalid_blocks"),
        (message(*[{"type": "section", "text": plain("x" * 2900)}] * 5), "msg_blocks_too_long"),
        (message(SECTION, text="<!channel>"), "invalid_blocks"),
        (message(SECTION, text="a & b"), "invalid_blocks"),
        (message({**SECTION, "text": {"type": "mrkdwn", "text": "<https://a|b>"}}), "invalid_blocks"),
        (message({**SECTION, "text": {"type": "mrkdwn", "text": "<@U1>"}}), "invalid_blocks"),
        (message({**SECTION, "text": plain("\x1b[31m")}), "invalid_blocks"),
        (message({**SECTION, "text": plain("  ")}), "invalid_blocks"),
    ],
)
def test_the_local_slack_refuses_what_slack_refuses(slack, bad, word):
    webhook = Webhook(slack.webhook, HttpClient(), who="Slack", confirms=says_ok)
    with pytest.raises(Exception, match=f"Slack refused the message: HTTP 400 {word}"):
        webhook.send(bad)
    slack.breaches.clear()


def test_fault_47_hostile_and_over_long_messages_are_all_taken(slack):
    webhook = Webhook(slack.webhook, HttpClient(), who="Slack", confirms=says_ok)
    for seed in range(HERE):
        sent = render_slack_message(hostile_news(seed))
        assert webhook.send(sent) == "ok", seed
        assert all(map(sdk_takes, sent["blocks"])), seed
    assert len(slack.messages()) == HERE
