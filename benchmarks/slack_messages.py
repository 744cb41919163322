"""2,000 hostile and over-long messages to a local Slack that keeps Slack's documented limits and escaping.

Each is held against our JSON Schema, the size of the whole, the escaping of every mrkdwn text, and the models
of slack_sdk. Writes benchmarks/results/slack_messages.json; ends with 1 if one was refused.
"""

import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "slack_messages.json"
MESSAGES = 2000
sys.path.insert(0, str(ROOT / "tests"))

from slack_sdk.models.blocks import Block  # noqa: E402

from pytest_zkrollback.clients.http import HttpClient  # noqa: E402
from pytest_zkrollback.clients.webhook import Webhook  # noqa: E402
from pytest_zkrollback.notify.slack_message import render_slack_message  # noqa: E402
from pytest_zkrollback.notify.text import characters  # noqa: E402
from support.fake_slack import TOTAL, FakeSlack  # noqa: E402
from support.hostile import hostile_news  # noqa: E402


def main():
    slack = FakeSlack()
    webhook = Webhook(slack.webhook, HttpClient(), who="Slack", expect="ok")
    begun, taken, longest, most_blocks = time.monotonic(), 0, 0, 0
    for seed in range(MESSAGES):
        message = render_slack_message(hostile_news(seed))
        for block in message["blocks"]:
            Block.parse(block).to_dict()
        taken += webhook.send(message) == "ok"
        longest = max(longest, characters(json.dumps(message, ensure_ascii=False)))
        most_blocks = max(most_blocks, len(message["blocks"]))
    slack.close()
    found = {
        "messages": MESSAGES,
        "taken": taken,
        "refused": slack.breaches[:5],
        "longest_characters": longest,
        "limit_characters": TOTAL,
        "most_blocks": most_blocks,
        "took_s": round(time.monotonic() - begun, 1),
        "cores": os.cpu_count(),
    }
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return 0 if taken == MESSAGES and not slack.breaches else 1


if __name__ == "__main__":
    sys.exit(main())
