"""The proof that goes with a rollout's verdict: the workload's own numbers, and a table of its pods."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ...domain.checks import JsonObject, PodDiagnostics
from ...domain.kube_objects import is_ready, is_terminating, uid
from ...domain.verdict import Evidence, evidence
from ..events.grouping import is_warning, render_event
from .diagnosis import restart_counts
from .kubectl_status import rollout_status
from .workload import Workload, images, worst_container

_ROWS: Final = 60
_WORDS: Final = 160


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
        ending = is_terminating(pod)
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


def render_notes(workload: Workload, notes: Mapping[str, PodDiagnostics]) -> tuple[Evidence, ...]:
    """What its pods in trouble say: the end of a log, and events; and what it says itself."""
    found = []
    own = [(workload.item, notes[uid(workload.item)])] if uid(workload.item) in notes else []
    for pod, note in (*own, *_noted(workload, notes)):
        name = str(pod["metadata"].get("name", ""))
        if note.log:
            found.append(
                evidence(f"Last lines of {name}/{worst_container(pod).container}", note.log, kind="log")
            )
        if note.events:
            found.append(evidence(f"Events of {name} (UTC)", "\n".join(map(render_event, note.events))))
    return tuple(found)


def telling_log_line(
    workload: Workload, notes: Mapping[str, PodDiagnostics], patterns: Sequence[str]
) -> tuple[str, ...]:
    """What the worst pod's log says and its newest warning, to stand in a sentence.

    ``patterns``: the regular expressions that make a log line bad.
    """
    for pod, note in _noted(workload, notes):
        warnings = [event for event in note.events if is_warning(event)]
        is_bad, line = _telling_line(note.log, patterns)
        words = [f"its log {'says' if is_bad else 'ends'}: {line}"] if line else []
        if warnings:
            said = f"{warnings[-1].get('reason')}: {warnings[-1].get('message', '')}"
            words.append(f"event of {pod['metadata'].get('name', '')}: {_cut(said)}")
        if words:
            return tuple(words)
    return ()


def worst_log_line(workload: Workload, notes: Mapping[str, PodDiagnostics], patterns: Sequence[str]) -> str:
    """What the worst pod's log says; empty: it says nothing, or was not read."""
    found = (_telling_line(note.log, patterns)[1] for _, note in _noted(workload, notes))
    return next(filter(None, found), "")


def _telling_line(log: str, patterns: Sequence[str]) -> tuple[bool, str]:
    """The last line that is bad, for what follows it is its stack; else the last one. And which it is.

    A Python traceback has it the other way round: its last line says what was wrong.
    """
    lines = [line for line in log.splitlines() if line.strip()]
    bad = [line for line in lines if any(re.search(pattern, line) for pattern in patterns)]
    if bad and bad[-1] != lines[-1] and "Traceback (most recent call last)" not in bad[-1]:
        return True, _cut(bad[-1])
    return False, _cut(lines[-1]) if lines else ""


def _noted(
    workload: Workload, notes: Mapping[str, PodDiagnostics]
) -> list[tuple[JsonObject, PodDiagnostics]]:
    """The worst first: those that are not ready, then those that restarted most."""
    pods = [pod for pod in workload.current if uid(pod) in notes]
    pods.sort(key=lambda pod: (is_ready(pod), -worst_container(pod).restarts))
    return [(pod, notes[uid(pod)]) for pod in pods]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS else f"{line[: _WORDS - 1]}\N{HORIZONTAL ELLIPSIS}"


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
