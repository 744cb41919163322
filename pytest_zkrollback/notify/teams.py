"""Microsoft Teams: an Adaptive Card for a workflow's webhook ("When a Teams webhook request is received").

TextBlock and Fact read Markdown, so that a stranger's text could make links; a TextRun does not (Adaptive
Cards 1.4, RichTextBlock), and everything goes into those. A workflow takes 28 KB at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..clients.webhook import Webhook, choose_url
from ..config.environment import Notify
from ..domain.checks import JsonObject
from ..domain.notification import Notification
from ..domain.ports import Http
from ..domain.record import NotificationEvent
from . import text as words
from .webhook_channel import News, WebhookChannel

TEAMS = "teams"
TOTAL_LIMIT_BYTES = 24_000


def render_card(news: Notification) -> JsonObject:
    """The message with its card, at most 24,000 bytes as it is sent."""
    return words.fitted(partial(_render, news), fits_teams, least=0.05)


def fits_teams(message: JsonObject) -> bool:
    """Whether a workflow takes it."""
    return len(json.dumps(message)) <= TOTAL_LIMIT_BYTES


def _render(news: Notification, share: float) -> JsonObject:
    record = news.record

    def part(title: str, text: str, limit: int) -> list[JsonObject]:
        shown = words.shortened(text, max(20, int(limit * share)))
        return [text_block(title, weight="Bolder", spacing="Medium"), text_block(shown)] if text else []

    facts = "\n".join(f"{name}: {words.shortened(value, 300)}" for name, value in words.fields(news))
    body = [
        text_block(words.shortened(words.headline(news), 200), size="Large", weight="Bolder"),
        *part("", words.summary(news), 600),
        text_block(facts),
        *part("Reason", words.reason(record), 1200),
        *part("Decision", words.decision(record), 900),
        *part("Next steps", words.next_steps(record), 1200),
    ]
    if news.event is not NotificationEvent.START:
        body += part(words.redeploy_risks_heading(record), words.redeploy_risks(record), 1200)
        lines = words.item_lines(record, max(40, int(170 * share)), int(3000 * max(share, 0.2)))
        body += part("Checklist", "\n".join(lines), 3000) if lines else []
    body += part("Overridden or skipped", words.set_aside(record, int(200 * share) + 10), 1000)
    body.append(text_block(words.foot(record), isSubtle=True, size="Small"))
    return adaptive_card(words.headline(news), body, words.links(record))


def adaptive_card(headline: str, body: Sequence[JsonObject], links: Sequence[tuple[str, str]]) -> JsonObject:
    """The message with a card of these blocks (empty ones are left out) and these (name, address)."""
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "fallbackText": words.shortened(headline, 200),
                    "body": [element for element in body if element],
                    "actions": [
                        {"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links
                    ],
                },
            }
        ],
    }


def text_block(text: str, *, spacing: str = "Small", **how: object) -> JsonObject:
    """One RichTextBlock; empty for no text."""
    if not text:
        return {}
    run = {"type": "TextRun", "text": text, **how}
    return {"type": "RichTextBlock", "spacing": spacing, "inlines": [run]}


def choose_teams(
    variable: str, notify: Notify, environ: Mapping[str, str], http: Http
) -> WebhookChannel[Notification]:
    """Raises UsageProblem if the variable holds no URL."""
    return teams_webhook(variable, notify, environ, http, render_card)


def teams_webhook(
    variable: str,
    notify: Notify,
    environ: Mapping[str, str],
    http: Http,
    render: Callable[[News], JsonObject],
) -> WebhookChannel[News]:
    """The workflow answers 202 before it shows the card that ``render`` makes.

    Raises UsageProblem if the variable holds no URL.
    """
    url = choose_url(variable, environ, "Teams", "leaving teams_env out")
    return WebhookChannel(TEAMS, Webhook(url, http, notify.timeout_s, who="Teams"), render)
