"""What a ``conftest.py`` needs to add checklist items: see ``hookspecs.pytest_zkrollback_items``.

Import it inside the hook: it costs 0.3 s, which the repository's other pytest runs need not pay.
"""

from .checklist.custom import ItemContext, OwnItem
from .domain.checks import History, Sample
from .domain.verdict import Evidence, Judgement, Pending, Verdict, Word, evidence

__all__ = [
    "Evidence",
    "History",
    "ItemContext",
    "Judgement",
    "OwnItem",
    "Pending",
    "Sample",
    "Verdict",
    "Word",
    "evidence",
]
