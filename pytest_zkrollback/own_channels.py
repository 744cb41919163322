"""What a ``conftest.py`` needs to tell the team its own way: see ``hookspecs.pytest_zkrollback_notify``.

Import it inside the hook: it costs 0.3 s, which the repository's other pytest runs need not pay.
"""

from .domain.errors import NotifyProblem
from .domain.notification import News
from .domain.record import Delivery, Event
from .notify.interface import Channel
from .notify.json_webhook import render_news

__all__ = ["Channel", "Delivery", "Event", "News", "NotifyProblem", "render_news"]
