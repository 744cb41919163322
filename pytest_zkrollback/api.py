"""What a repository's ``conftest.py`` imports for its own items, channels and migration sources.

Each name is loaded when it is first asked for: importing this module loads no pydantic and no httpx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checklist.custom import CustomItem, ItemContext
    from .domain.checks import History, Sample
    from .domain.errors import NotifyProblem
    from .domain.migration import MigrationFinding, RevisionContent, Span
    from .domain.notification import Notification
    from .domain.record import Delivery, NotificationEvent
    from .domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence
    from .notify.interface import Channel
    from .notify.json_webhook import render_news

__all__ = [
    "Channel",
    "CheckResult",
    "CustomItem",
    "Delivery",
    "Evidence",
    "History",
    "ItemContext",
    "Judgement",
    "MigrationFinding",
    "Notification",
    "NotificationEvent",
    "NotifyProblem",
    "Pending",
    "RevisionContent",
    "Sample",
    "Span",
    "Verdict",
    "evidence",
    "render_news",
]

_HOMES = {
    "Channel": "notify.interface",
    "Delivery": "domain.record",
    "NotificationEvent": "domain.record",
    "Evidence": "domain.verdict",
    "History": "domain.checks",
    "ItemContext": "checklist.custom",
    "Judgement": "domain.verdict",
    "MigrationFinding": "domain.migration",
    "Notification": "domain.notification",
    "NotifyProblem": "domain.errors",
    "CustomItem": "checklist.custom",
    "Pending": "domain.verdict",
    "RevisionContent": "domain.migration",
    "Sample": "domain.checks",
    "Span": "domain.migration",
    "CheckResult": "domain.verdict",
    "Verdict": "domain.verdict",
    "evidence": "domain.verdict",
    "render_news": "notify.json_webhook",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The name from the module that defines it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__package__}.{_HOMES[name]}"), name)
