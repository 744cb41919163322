"""The ids of the checklist's items: pytest's parameters, and the keys of the record.

Imports nothing heavy: the entry point loads it in every pytest run.
"""

from __future__ import annotations

from typing import Final

PREFLIGHT: Final = "preflight"
ROLLBACK: Final = "rollback"
EQUIVALENCE: Final = "release-equivalence"
SMOKE: Final = "smoke"
LOGS: Final = "logs"
HEALTH: Final = "health-database"
EVENTS: Final = "events"
MIGRATION: Final = "migration"
NOTIFY: Final = "notify"

# Each of these is a test function of its own; the other items are parameters of one.
FIRST: Final = (PREFLIGHT, ROLLBACK, EQUIVALENCE)

ROLLOUT_PREFIX: Final = "rollout-"
METRIC_PREFIX: Final = "metric-"


def rollout_id(name: str) -> str:
    """The id of one workload's rollout; ``name`` is its name in the configuration."""
    return f"{ROLLOUT_PREFIX}{name}"


def is_rollout(item_id: str) -> bool:
    """Whether this is the item of one workload's rollout."""
    return item_id.startswith(ROLLOUT_PREFIX)


def metric_id(name: str) -> str:
    """The id of one metric's item; ``name`` is its id in the configuration."""
    return f"{METRIC_PREFIX}{name}"


def is_metric(item_id: str) -> bool:
    """Whether this is the item of one metric: judged beside the soak, after the first verdict."""
    return item_id.startswith(METRIC_PREFIX)


def judges_revision(item_id: str) -> bool:
    """Whether a FAIL of this item speaks against the revision that is live, not of what is beside it."""
    return is_rollout(item_id) or item_id in (EQUIVALENCE, SMOKE, LOGS, HEALTH, EVENTS)
