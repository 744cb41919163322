"""The proof that goes with a rollout's verdict: the workload's own numbers, and a table of its pods."""

from __future__ import annotations

from typing import Final

from ..domain.observation import JsonObject
from ..domain.verdict import Evidence, evidence
from .diagnosis import restart_counts
from .rollout_status import rollout_status
from .workload import Workload, images, is_ready, uid

_ROWS: Final = 60


def render_state(workload: Workload) -> Evidence:
    """The workload's own numbers and conditions."""
    item = workload.item
    status = item.get("status") or {}
    lines = [
        rollout_status(workload.kind, item).message,
        f"generation {item['metadata'].get('generation')}, observed {status.get('observedGeneration')}",
    ]
    counts = [
        f"{key} {value}"
        for key, value in sorted(status.items())
        if key != "observedGeneration" and isinstance(value, int)
    ]
    lines.append(", ".join(counts))
    lines += [
        f"{entry.get('type')}={entry.get('status')} {entry.get('reason', '')}"
        f" (updated {entry.get('lastUpdateTime') or entry.get('lastTransitionTime')}):"
        f" {entry.get('message', '')}"
        for entry in status.get("conditions") or ()
    ]
    return evidence(f"State of {workload.title}", "\n".join(lines))


def render_pods(workload: Workload) -> Evidence:
    """A table of the workload's pods, those of the current revision first."""
    current = {uid(pod) for pod in workload.current}
    rows = [("POD", "REVISION", "READY", "RESTARTS", "STATE", "IMAGE")]
    ordered = sorted(
        workload.pods, key=lambda pod: (uid(pod) not in current, is_ready(pod), pod["metadata"].get("name"))
    )
    for pod in ordered[:_ROWS]:
        ending = "deletionTimestamp" in pod["metadata"]
        revision = "ending" if ending else "current" if uid(pod) in current else "other"
        counts = restart_counts([pod])
        rows.append(
            (
                str(pod["metadata"].get("name", "")),
                revision,
                "yes" if is_ready(pod) else "no",
                str(max(counts.values(), default=0)),
                _shown_state(pod),
                images([pod]),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if len(ordered) > _ROWS:
        lines.append(f"... and {len(ordered) - _ROWS} more")
    if not ordered:
        lines = ["(no pod belongs to it)"]
    return evidence(f"Pods of {workload.title}", "\n".join(lines))


def _shown_state(pod: JsonObject) -> str:
    """The state as ``kubectl get pods`` would name it: the first trouble, or the phase."""
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state = entry.get("state") or {}
        for key in ("waiting", "terminated"):
            trouble = state.get(key) or {}
            reason = trouble.get("reason")
            if reason and reason != "Completed":
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")
