"""Slack, by an incoming webhook or by a bot's token."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from ..clients.slack_bot import SlackBot, choose_bot_token
from ..clients.threads import submit
from ..clients.webhook import Webhook, choose_url, says_ok
from ..config.environment import Slack
from ..domain.checks import JsonObject
from ..domain.notification import Notification
from ..domain.ports import Http
from ..domain.record import Delivery, NotificationEvent
from ..report.files import render_page
from .interface import Channel
from .webhook_channel import News, WebhookChannel

SLACK = "slack"
OFF = "slack = false"
# The message is delivered by then; the file must not make it look as if it was not.
UPLOAD_S = 10.0


def choose_slack(slack: Slack, environ: Mapping[str, str], http: Http) -> Channel:
    """The channel that the configuration asks for. Raises UsageProblem if it cannot work."""
    if slack.token_env is not None:
        return BotChannel(SlackBot(slack, choose_bot_token(slack, environ)))
    return slack_webhook(slack, environ, http, _message)


def slack_webhook(
    slack: Slack, environ: Mapping[str, str], http: Http, render: Callable[[News], JsonObject]
) -> WebhookChannel[News]:
    """The incoming webhook. Raises UsageProblem if its variable holds no URL."""
    url = choose_url(slack.webhook_env, environ, "Slack", OFF)
    webhook = Webhook(url, http, slack.timeout_s, who="Slack", confirms=says_ok)
    return WebhookChannel(SLACK, webhook, render)


def upload_page(bot: SlackBot, render: Callable[[], str], stem: str, thread: str) -> str:
    """What became of the page as a file in the thread: the message stands, whatever it is."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{stem}.html")
    upload = submit("slack-upload", lambda: bot.upload(render(), name, thread))
    try:
        error = upload.exception(timeout=UPLOAD_S)
    except TimeoutError:
        return f"whether the report is uploaded is not known: no answer within {UPLOAD_S:g} s"
    return "the report is uploaded" if error is None else f"the report was not uploaded: {error}"


def _message(news: Notification) -> JsonObject:
    from .slack_message import render_slack_message  # in the channel's own thread, beside helm

    return render_slack_message(news)


class BotChannel:
    """A thread: the start opens it, the verdicts answer in it and are shown in the channel too.

    The report goes into the thread as a file. Where it cannot, the message stands and the answer says why.
    """

    name = SLACK

    def __init__(self, bot: SlackBot) -> None:
        """Nothing is contacted yet."""
        self._bot = bot
        self._thread = ""

    def tell(self, news: Notification) -> Delivery:
        """See :class:`~..domain.ports.Channel`."""
        message = _message(news)
        posted = self._bot.post(message, self._thread, news.cancelled)
        self._thread = self._thread or posted
        answer = "ok"
        if news.event is not NotificationEvent.START:
            record = news.record
            stem = f"{record.environment}-{record.run_id}"
            answer += f"; {upload_page(self._bot, partial(render_page, record), stem, self._thread)}"
        return Delivery(to=SLACK, ok=True, answer=answer, message=message)
