"""How a fleet's messages look in each channel, and the channels that its members' configuration asks for.

One message is sent where forty members share a channel. Comments on GitHub and channels of somebody's own are
made of a single run's record: they are not told of a fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from ..clients.http import HttpClient
from ..clients.slack_bot import SlackBot, choose_bot_token
from ..config.environment import Environment, Slack
from ..domain.checks import JsonObject
from ..domain.ports import Clock
from ..domain.record import Delivery, NotificationEvent
from ..report.fleet.written import find_fleet_facts
from .channels import usable
from .fleet_text import FleetNews, bad_lines, fields, foot, headline, links, summary
from .json_webhook import WEBHOOK, json_webhook
from .slack_channels import SLACK, slack_webhook, upload_page
from .slack_message import HEADER_LIMIT, SECTION_LIMIT, escaped, fits_slack, plain_text
from .teams import TEAMS, adaptive_card, fits_teams, teams_webhook, text_block
from .text import fitted, shortened

SCHEMA = "zkrollback.fleet-news/1"
# Of the record; the rest is in its file, which `report` leads to.
_MEMBERS = (
    *("fleet", "fleet_run_id", "mode", "target", "outcome", "summary", "protected", "reason", "next_steps"),
    *("incident", "operator", "started_at", "finished_at", "report", "waves"),
)


class FleetChannel(Protocol):
    """One way to tell the team of a fleet."""

    @property
    def name(self) -> str:
        """The receiver's kind, as the record names it; never its address."""

    def tell(self, news: FleetNews) -> Delivery:
        """Send it, once; one event after the other. Raises NotifyProblem or UsageProblem."""


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
        answer = "ok"
        if news.event is NotificationEvent.VERDICT:
            stem = f"fleet-{news.record.fleet}-{news.record.fleet_run_id}"
            answer += f"; {upload_page(self._bot, partial(self._page, news), stem, self._thread)}"
        return Delivery(to=SLACK, ok=True, answer=answer, message=message)


def render_fleet_slack(news: FleetNews) -> JsonObject:
    """The message: ``text`` and ``blocks``, at most 12,000 characters as JSON."""
    return fitted(partial(_slack, news), fits_slack)


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
    return fitted(partial(_card, news), fits_teams)


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
    wanted: dict[tuple[str, str], Callable[[], FleetChannel]] = {}
    for env in environments:
        slack, notify = env.slack, env.notify
        if slack is not False:
            wanted[SLACK, slack.model_dump_json()] = partial(_choose_slack, slack, environ, clock, page)
        if notify.webhook_env is not None:
            http = HttpClient(proxy=notify.webhook_proxy, clock=clock)
            wanted[WEBHOOK, notify.webhook_env] = partial(
                json_webhook, notify.webhook_env, notify, environ, http, render_fleet_news
            )
        if notify.teams_env is not None:
            http = HttpClient(proxy=notify.teams_proxy, clock=clock)
            wanted[TEAMS, notify.teams_env] = partial(
                teams_webhook, notify.teams_env, notify, environ, http, render_fleet_card
            )
    return tuple(usable(name, choose) for (name, _), choose in wanted.items())


def _choose_slack(
    slack: Slack, environ: Mapping[str, str], clock: Clock, page: Callable[[FleetNews], str]
) -> FleetChannel:
    if slack.token_env is not None:
        return FleetBot(SlackBot(slack, choose_bot_token(slack, environ)), page)
    http = HttpClient(proxy=slack.proxy, clock=clock)
    return slack_webhook(slack, environ, http, render_fleet_slack)
