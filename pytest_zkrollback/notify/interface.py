"""What a channel to the team has to offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..domain.notification import Notification
    from ..domain.record import Delivery


class Channel(Protocol):
    """One way to tell the team: Slack, a webhook, Teams, a comment on GitHub, or one of somebody's own."""

    @property
    def name(self) -> str:
        """The receiver's kind, as the record names it; never its address."""

    def tell(self, news: Notification) -> Delivery | None:
        """Send it, once, and say what the receiver answered; None: this event is none for this channel.

        Called in a thread of its own, for one event after the other, but START may still be under way when
        the verdict is told. Raises NotifyProblem if the receiver refused it or may have it, and UsageProblem
        if the configuration lacks something.
        """
