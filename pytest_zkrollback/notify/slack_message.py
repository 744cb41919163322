"""The Slack message: Block Kit, within Slack's limits, with nothing in it that a stranger's text can steer.

Everything goes into ``plain_text``, which knows no markup, links or mentions. Only the ``text`` fallback
(notifications, screen readers) and links to the report and the incident are read as mrkdwn by Slack: there
``&``, ``<`` and ``>`` are escaped, after shortening. Limits: Slack's Block Kit reference, and 13,200
characters in all (slackapi/bolt-js#2509).
"""

from __future__ import annotations

import json
from functools import partial

from ..domain.checks import JsonObject
from ..domain.notification import Notification
from ..domain.record import NotificationEvent, Record
from ..report.sanitize import inert_line
from . import text as words
from .text import characters, shortened

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
TOTAL_LIMIT = 12_000


def render_slack_message(news: Notification) -> JsonObject:
    """The message: ``text`` and ``blocks``, at most 12,000 characters as JSON."""
    return words.fitted(partial(_render, news), fits_slack)


def fits_slack(message: JsonObject) -> bool:
    """Whether Slack takes it."""
    return characters(json.dumps(message, ensure_ascii=False)) <= TOTAL_LIMIT


def _render(news: Notification, share: float) -> JsonObject:
    def cut(text: str, limit: int) -> str:
        return shortened(text, max(20, int(limit * share)))

    def section(title: str, text: str, limit: int) -> JsonObject:
        return {
            "type": "section",
            "text": plain_text(f"{title}\n{cut(text, limit)}" if title else cut(text, limit)),
        }

    record, headline = news.record, words.headline(news)
    blocks: list[JsonObject] = [{"type": "header", "text": plain_text(shortened(headline, HEADER_LIMIT))}]
    if said := words.summary(news):
        blocks.append(section("", said, 600))
    fields = [f"{name}\n{cut(value, 300)}" for name, value in words.fields(news)]
    blocks.append({"type": "section", "fields": [plain_text(field) for field in fields]})
    blocks.append(section("Reason", words.reason(record), 1200))
    if said := words.decision(record):
        blocks.append(section("Decision", said, 900))
    blocks.append(section("Next steps", words.next_steps(record), 1200))
    if news.event is not NotificationEvent.START:
        if said := words.redeploy_risks(record):
            blocks.append(section(words.redeploy_risks_heading(record), said, 1200))
        if lines := words.item_lines(record, max(60, int(170 * share)), int(SECTION_LIMIT * max(share, 0.3))):
            blocks.append({"type": "section", "text": plain_text("\n".join(lines))})
    if said := words.set_aside(record, int(200 * share) + 10):
        blocks.append(section("Overridden or skipped", said, 1000))
    if links := _links(record):
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links, "verbatim": True}})
    blocks.append({"type": "context", "elements": [plain_text(cut(words.foot(record), 300))]})
    fallback = (
        f"{headline}. Reason: {inert_line(words.reason(record))}. "
        f"Next steps: {inert_line(words.next_steps(record))}"
    )
    return {
        "text": escaped(cut(fallback, 800)),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """Slack's three control characters, escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _links(record: Record) -> str:
    """What there is to click on: addresses that are nothing else, the report's and the incident's."""
    return "\n".join(f"{name}: <{escaped(url)}>" for name, url in words.links(record))


def plain_text(text: str) -> JsonObject:
    """Text in which nothing is a link, a mention or a mark."""
    return {"type": "plain_text", "text": text, "emoji": False}
