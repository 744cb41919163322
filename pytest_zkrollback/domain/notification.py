"""What the team is told: one event of a run, with its record as it stood."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from .record import NotificationEvent, Outcome, Record


@dataclass(frozen=True)
class Notification:
    """One event. ``record`` is redacted, and its outcome is the one to tell.

    ``before``: what was told earlier, where the outcome changed; ``provisional``: the watch goes on;
    ``cancelled`` is set once a later event takes this one's place, so that it is not tried again.
    """

    event: NotificationEvent
    record: Record
    before: Outcome | None = None
    provisional: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event, compare=False)
