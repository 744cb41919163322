"""A channel that POSTs one message per event to a webhook: Slack's, Teams' or anybody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Generic, Protocol, TypeVar

from ..clients.webhook import Webhook
from ..domain.checks import JsonObject
from ..domain.record import Delivery


class _News(Protocol):
    @property
    def cancelled(self) -> Event:
        """Set: no longer worth sending."""


News = TypeVar("News", bound=_News)


@dataclass(frozen=True)
class WebhookChannel(Generic[News]):
    """``render`` makes the message; nothing is contacted before :meth:`tell`."""

    name: str
    webhook: Webhook
    render: Callable[[News], JsonObject]

    def tell(self, news: News) -> Delivery:
        """See :class:`~.interface.Channel`."""
        message = self.render(news)
        answer = self.webhook.send(message, news.cancelled)
        return Delivery(to=self.name, ok=True, answer=answer, message=message)
