"""What each item of the checklist is called: known before anything is judged, and before helm runs."""

from __future__ import annotations

from typing import Final

from ..domain.item_ids import EQUIVALENCE, EVENTS, HEALTH, LOGS, MIGRATION, NOTIFY, SMOKE
from ..domain.kube_objects import WorkloadName

# In the runbook's order; the items of rollouts, metrics and a repository come between them.
TITLES: Final = {
    EQUIVALENCE: "Live objects equal the target revision",
    SMOKE: "Run smoke tests",
    LOGS: "Check application logs",
    HEALTH: 'Verify database connectivity: hit /health and confirm "database": "ok"',
    EVENTS: "Check for failed Kubernetes events",
    MIGRATION: "If a migration was part of the bad deploy, assess whether a reverse migration is needed",
    NOTIFY: "Notify the team in Slack with: environment, rolled-back revision, reason, and next steps",
}


def rollout_title(workload: str) -> str:
    """A rollout's, as it is typed: ``kubectl rollout status deployment/web -n other``.

    ``workload`` is ``kind/name`` or, in another namespace, ``namespace/kind/name``.
    """
    at = WorkloadName.parse(workload, "")
    return f"kubectl rollout status {at.label}{f' -n {at.namespace}' if at.namespace else ''}"
