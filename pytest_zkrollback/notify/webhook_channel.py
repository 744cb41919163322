"""A channel that POSTs one message per event to a webhook: Slack's, Teams' or anybody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..clients.webhook import Webhook
from ..domain.checks import JsonObject
from ..domain.notification import Notification
from ..domain.record import Delivery


@dataclass(frozen=True)
class WebhookChannel:
    """``render`` makes the message; nothing is contacted before :meth:`tell`."""

    name: str
    webhook: Webhook
    render: Callable[[Notification], JsonObject]

    def tell(self, news: Notification) -> Delivery:
        """See :class:`~.interface.Channel`."""
        message = self.render(news)
        answer = self.webhook.send(message, news.cancelled)
        return Delivery(to=self.name, ok=True, answer=answer, message=message)
