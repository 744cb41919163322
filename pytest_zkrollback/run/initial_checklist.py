"""The checklist's items before anything is known: as what pytest collects, and as the record begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..checklist.custom import CustomItem
from ..checklist.titles import TITLES, rollout_title
from ..config.environment import Metric
from ..domain.item_ids import EVENTS, HEALTH, LOGS, MIGRATION, NOTIFY, SMOKE, metric_id, rollout_id
from ..domain.record import Item

# Every release has these, after its rollouts; metrics and a repository's own items come before the last one.
_FIXED = (SMOKE, LOGS, HEALTH, EVENTS, MIGRATION, NOTIFY)


def initial_rollouts(workloads: Mapping[str, str]) -> tuple[Item, ...]:
    """The rollouts' items; ``workloads`` maps item names to ``kind/name`` or, in another namespace,
    ``namespace/kind/name``."""
    return tuple(
        Item(id=rollout_id(name), title=rollout_title(workload)) for name, workload in workloads.items()
    )


def initial_checklist(
    workloads: Mapping[str, str], own: Sequence[CustomItem], metrics: Sequence[Metric] = ()
) -> tuple[Item, ...]:
    """The runbook's items (as many rollouts as there are workloads); before ``notify`` the added ones."""
    fixed = [Item(id=each, title=TITLES[each]) for each in _FIXED]
    added = [Item(id=item.id, title=item.title) for item in own]
    added += [Item(id=metric_id(metric.id), title=metric.title) for metric in metrics]
    return (*initial_rollouts(workloads), *fixed[:-1], *added, fixed[-1])
