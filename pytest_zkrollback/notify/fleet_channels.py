"""How a fleet's messages look in each channel, and the channels that its members' configuration asks for.

One message is sent where forty members share a channel. Comments on GitHub and channels of somebody's own are
made of a single run's record: they are not told of a fleet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..clients.http import HttpClient
from ..clients.slack_bot import SlackBot, choose_bot_token
from ..clients.threads import submit
from ..clients.webhook import Webhook, choose_url, says_ok
from ..config.environment import Environment, Notify, Slack
from ..domain.checks import JsonObject
from ..domain.errors import UsageProblem, ZkRollbackError
from ..domain.ports import Clock
from ..domain.record import Delivery, NotificationEvent
from ..report.fleet.written import find_fleet_facts
from .fleet_text import FleetNews, bad_lines, fields, foot, headline, links, summary
from .json_webhook import WEBHOOK
from .slack_channels import OFF, SLACK, UPLOAD_S
from .slack_message import HEADER_LIMIT, SECTION_LIMIT, TOTAL_LIMIT, escaped, plain_text
from .teams import TEAMS, TOTAL_LIMIT_BYTES, adaptive_card, text_block
from .text import characters, shortened

SCHEMA = "zkrollback.fleet-news/1"
# Of the record; the rest is in its file, which `report` leads to.
_MEMBERS = (
    *("fleet", "fleet_run_id", "mode", "target", "outcome", "summary", "protected", "reason", "next_steps"),
    *("incident", "operator", "started_at", "finished_at", "report", "waves"),
)
_NEVER_SENT = (NotificationEvent.START, NotificationEvent.WAVE)  # with a file


class FleetChannel(Protocol):
    """One way to tell the team of a fleet."""

    @property
    def name(self) -> str:
        """The receiver's kind, as the record names it; never its address."""

    def tell(self, news: FleetNews) -> Delivery:
        """Send it, once; one event after the other. Raises NotifyProblem or UsageProblem."""


@dataclass(frozen=True)
class UnusableFleetChannel:
    """A channel that cannot work, and why."""

    name: str
    problem: ZkRollbackError

    def tell(self, _news: FleetNews) -> Delivery:
        """Raises the problem."""
        raise self.problem


@dataclass(frozen=True)
class FleetWebhook:
    """POSTs one message per event: without threads they follow one another."""

    name: str
    webhook: Webhook
    render: Callable[[FleetNews], JsonObject]

    def tell(self, news: FleetNews) -> Delivery:
        """See :class:`FleetChannel`."""
        message = self.render(news)
        answer = self.webhook.send(message, news.cancelled)
        return Delivery(to=self.name, ok=True, answer=answer, message=message)


class FleetBot:
    """A thread: the start opens it; what is not well, and the end, are shown in the channel, too."""

    name = SLACK

    def __init__(self, bot: SlackBot, page: Callable[[FleetNews], str]) -> None:
        """Nothing is contacted yet. ``page`` renders what is uploaded at the end."""
        self._bot = bot
        self._page = page
        self._thread = ""

    def tell(self, news: FleetNews) -> Delivery:
        """See :class:`FleetChannel`."""
        message = render_fleet_slack(news)
        loud = news.event is NotificationEvent.VERDICT or bool(bad_lines(news, 20, SECTION_LIMIT))
        posted = self._bot.post(message, self._thread, news.cancelled, in_channel=loud)
        self._thread = self._thread or posted
        answer = "ok" if news.event in _NEVER_SENT else f"ok; {self._uploaded(news)}"
        return Delivery(to=SLACK, ok=True, answer=answer, message=message)

    def _uploaded(self, news: FleetNews) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"fleet-{news.record.fleet}-{news.record.fleet_run_id}.html")
        upload = submit("slack-upload", lambda: self._bot.upload(self._page(news), name, self._thread))
        try:
            error = upload.exception(timeout=UPLOAD_S)
        except TimeoutError:
            return f"whether the report is uploaded is not known: no answer within {UPLOAD_S:g} s"
        return "the report is uploaded" if error is None else f"the report was not uploaded: {error}"


def render_fleet_slack(news: FleetNews) -> JsonObject:
    """The message: ``text`` and ``blocks``, at most 12,000 characters as JSON."""
    message = _slack(news, 1.0)
    for share in (0.6, 0.35, 0.2, 0.1):
        if characters(json.dumps(message, ensure_ascii=False)) <= TOTAL_LIMIT:
            break
        message = _slack(news, share)
    return message


def _slack(news: FleetNews, share: float) -> JsonObject:
    def section(title: str, text: str, limit: int) -> JsonObject:
        cut = shortened(text, max(20, int(limit * share)))
        return {"type": "section", "text": plain_text(f"{title}\n{cut}" if title else cut)}

    record = news.record
    blocks: list[JsonObject] = [
        {"type": "header", "text": plain_text(shortened(headline(news), HEADER_LIMIT))},
        section("", summary(news), 900),
        {
            "type": "section",
            "fields": [plain_text(f"{name}\n{shortened(value, 300)}") for name, value in fields(news)],
        },
    ]
    if lines := bad_lines(news, max(60, int(200 * share)), int(SECTION_LIMIT * max(share, 0.3))):
        blocks.append({"type": "section", "text": plain_text("\n".join(lines))})
    if news.event is not NotificationEvent.WAVE:
        blocks.append(section("Reason", record.reason.strip() or "not given", 1200))
        blocks.append(section("Next steps", record.next_steps.strip() or "none given", 1200))
    if found := links(record):
        said = "\n".join(f"{name}: <{escaped(url)}>" for name, url in found)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": said, "verbatim": True}})
    blocks.append({"type": "context", "elements": [plain_text(shortened(foot(record), 300))]})
    fallback = f"{headline(news)}. {summary(news)}"
    return {
        "text": escaped(shortened(fallback, 800)),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def render_fleet_news(news: FleetNews) -> JsonObject:
    """The news as one JSON object, ``zkrollback.fleet-news/1``; of members those that are not well."""
    found: dict[str, Any] = news.record.model_dump(mode="json", include=set(_MEMBERS))
    facts = find_fleet_facts(news.record).model_dump(mode="json", include={"counts"})
    return {
        "schema": SCHEMA,
        "event": str(news.event),
        "headline": headline(news),
        "wave": news.wave or None,
        **{key: found[key] for key in _MEMBERS},
        "facts": facts,
        "not_verified": bad_lines(news, 300, SECTION_LIMIT),
    }


def render_fleet_card(news: FleetNews) -> JsonObject:
    """The Teams message with its card, at most 24,000 bytes as it is sent."""
    message = _card(news, 1.0)
    for share in (0.6, 0.35, 0.2, 0.1):
        if len(json.dumps(message)) <= TOTAL_LIMIT_BYTES:
            break
        message = _card(news, share)
    return message


def _card(news: FleetNews, share: float) -> JsonObject:
    record = news.record

    def part(title: str, text: str, limit: int) -> list[JsonObject]:
        cut = shortened(text, max(20, int(limit * share)))
        return [text_block(title, weight="Bolder", spacing="Medium"), text_block(cut)] if text else []

    body = [
        text_block(shortened(headline(news), 200), size="Large", weight="Bolder"),
        *part("", summary(news), 900),
        text_block("\n".join(f"{name}: {shortened(value, 300)}" for name, value in fields(news))),
        *part("Not verified", "\n".join(bad_lines(news, int(200 * share) + 20, SECTION_LIMIT)), 3000),
    ]
    if news.event is not NotificationEvent.WAVE:
        body += part("Reason", record.reason.strip() or "not given", 1200)
        body += part("Next steps", record.next_steps.strip() or "none given", 1200)
    body.append(text_block(foot(record), isSubtle=True, size="Small"))
    return adaptive_card(headline(news), body, links(record))


def choose_fleet_channels(
    environments: Sequence[Environment],
    environ: Mapping[str, str],
    clock: Clock,
    page: Callable[[FleetNews], str],
) -> tuple[FleetChannel, ...]:
    """Every channel that a member's tables ask for, each once; nothing is contacted."""
    wanted: dict[object, Callable[[], FleetChannel]] = {}
    for env in environments:
        slack, notify = env.slack, env.notify
        if slack is not False:
            wanted[(SLACK, slack.model_dump_json())] = _slack_of(slack, environ, clock, page)
        if notify.webhook_env is not None:
            wanted[(WEBHOOK, notify.webhook_env)] = _webhook_of(notify.webhook_env, notify, environ, clock)
        if notify.teams_env is not None:
            wanted[(TEAMS, notify.teams_env)] = _teams_of(notify.teams_env, notify, environ, clock)
    return tuple(choose() for choose in wanted.values())


def _slack_of(
    slack: Slack, environ: Mapping[str, str], clock: Clock, page: Callable[[FleetNews], str]
) -> Callable[[], FleetChannel]:
    def choose() -> FleetChannel:
        try:
            if slack.token_env is not None:
                return FleetBot(SlackBot(slack, choose_bot_token(slack, environ)), page)
            url = choose_url(slack.webhook_env, environ, "Slack", OFF)
        except UsageProblem as problem:
            return UnusableFleetChannel(SLACK, problem)
        http = HttpClient(proxy=slack.proxy, clock=clock)
        webhook = Webhook(url, http, slack.timeout_s, who="Slack", confirms=says_ok)
        return FleetWebhook(SLACK, webhook, render_fleet_slack)

    return choose


def _webhook_of(
    variable: str, notify: Notify, environ: Mapping[str, str], clock: Clock
) -> Callable[[], FleetChannel]:
    def choose() -> FleetChannel:
        try:
            url = choose_url(variable, environ, "the webhook", "leaving webhook_env out")
        except UsageProblem as problem:
            return UnusableFleetChannel(WEBHOOK, problem)
        http = HttpClient(proxy=notify.webhook_proxy, clock=clock)
        webhook = Webhook(url, http, notify.timeout_s, who="the webhook")
        return FleetWebhook(WEBHOOK, webhook, render_fleet_news)

    return choose


def _teams_of(
    variable: str, notify: Notify, environ: Mapping[str, str], clock: Clock
) -> Callable[[], FleetChannel]:
    def choose() -> FleetChannel:
        try:
            url = choose_url(variable, environ, "Teams", "leaving teams_env out")
        except UsageProblem as problem:
            return UnusableFleetChannel(TEAMS, problem)
        http = HttpClient(proxy=notify.teams_proxy, clock=clock)
        return FleetWebhook(TEAMS, Webhook(url, http, notify.timeout_s, who="Teams"), render_fleet_card)

    return choose
