"""The ids of the checklist's items: pytest's parameters, and the keys of the record.

Imports nothing: the entry point loads it in every pytest run.
"""

from __future__ import annotations

from typing import Final

ROLLOUT_PREFIX: Final = "rollout-"


def is_rollout(item_id: str) -> bool:
    """Whether this is the item of one workload's rollout."""
    return item_id.startswith(ROLLOUT_PREFIX)
