"""Anybody's webhook: the news as JSON, for what a company has built itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..clients.webhook import Webhook, choose_url
from ..config.environment import Notify
from ..domain.checks import JsonObject
from ..domain.item_ids import NOTIFY
from ..domain.notification import Notification
from ..domain.ports import Http
from ..report.incident_facts import find_facts
from . import text
from .webhook_channel import News, WebhookChannel

WEBHOOK = "webhook"
SCHEMA = "zkrollback.news/1"
_OBSERVED_LIMIT = 500

# Of the record; the rest is in its file, which `report` leads to.
_MEMBERS = (
    *("run_id", "mode", "outcome", "summary", "environment", "protected", "cluster", "namespace", "release"),
    *("revision_before", "target_revision", "revision_after", "reason", "next_steps", "redeploy_risks"),
    *("incident", "operator", "started_at", "finished_at", "report", "overrides"),
)


def render_news(news: Notification) -> JsonObject:
    """The news as one JSON object; ``docs/notify.md`` shows it."""
    found: dict[str, Any] = news.record.model_dump(mode="json", by_alias=True, include=set(_MEMBERS))
    decision, helm = news.record.decision, news.record.helm
    return {
        "schema": SCHEMA,
        "event": str(news.event),
        "headline": text.headline(news),
        "provisional": news.provisional,
        "before": str(news.before) if news.before is not None else None,
        **{key: found[key] for key in _MEMBERS},
        "facts": find_facts(news.record).model_dump(mode="json", exclude={"history"}),
        "helm": {"ran": helm.ran, "running": helm.running, "exit_code": helm.exit_code},
        "decision": {"recommendation": str(decision.recommendation), "choice": decision.choice}
        if decision is not None
        else None,
        "items": [
            {
                "id": item.id,
                "verdict": str(item.verdict) if item.verdict is not None else None,
                "observed": text.shortened(item.observed, _OBSERVED_LIMIT),
            }
            for item in news.record.items_without(NOTIFY)
        ],
    }


def choose_json_webhook(
    variable: str, notify: Notify, environ: Mapping[str, str], http: Http
) -> WebhookChannel[Notification]:
    """Raises UsageProblem if the variable holds no URL."""
    return json_webhook(variable, notify, environ, http, render_news)


def json_webhook(
    variable: str,
    notify: Notify,
    environ: Mapping[str, str],
    http: Http,
    render: Callable[[News], JsonObject],
) -> WebhookChannel[News]:
    """``render`` makes the object. Raises UsageProblem if the variable holds no URL."""
    url = choose_url(variable, environ, "the webhook", "leaving webhook_env out")
    return WebhookChannel(WEBHOOK, Webhook(url, http, notify.timeout_s, who="the webhook"), render)
