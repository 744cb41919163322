"""What rolled-away revisions left and helm does not take away: what hooks made, or a policy keeps. Pure.

Most of it harms nobody and is only said. What serves behind the target's Services, or decides who may talk to
the target's pods, is part of what users meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...domain.checks import JsonObject
from ...domain.kube_objects import is_terminating
from ...release.drift import LiveObject
from ...release.manifest import identity, is_workload, pod_template
from ...report.by_hand import resource_name
from .model import PodProblem, Words, label_in
from .service_endpoints import services_that_select
from .templates import Remark


@dataclass(frozen=True)
class LeftBehind:
    """An object, and why helm leaves it: ``left by a hook of revision 3``."""

    item: JsonObject
    why: str


def judge_left_behind(
    target: Sequence[JsonObject],
    left: Sequence[LeftBehind],
    live: Sequence[LiveObject],
    namespace: str = "",
) -> Iterator[PodProblem | Remark]:
    """Every one that is still there; ``live`` are the answers in the order of ``left``.

    ``namespace`` is the release's own.
    """
    for each, answer in zip(left, live, strict=True):
        if answer.item is None or is_terminating(answer.item):
            continue
        label = label_in(namespace, each.item)
        harm = _serves(target, answer.item) or _governs(target, answer.item)
        if harm:
            shows = (Words.about(each.item, "get", resource_name(each.item), "-o", "yaml"),)
            yield PodProblem(f"{label}, {each.why}, {harm}", shows=shows)
        else:
            yield Remark(f"stays where it is: {label} ({each.why})")


def _serves(target: Sequence[JsonObject], live: JsonObject) -> str:
    """Which Service of the target sends requests to pods of this workload; empty: none does."""
    ready = (live.get("status") or {}).get("readyReplicas") or (live.get("status") or {}).get("numberReady")
    if not is_workload(live) or not ready:
        return ""
    near = (item for item in target if identity(item).namespace == identity(live).namespace)
    service = next(services_that_select(near, _labels(live)), None)
    return f"serves behind {identity(service).label}" if service is not None else ""


def _governs(target: Sequence[JsonObject], live: JsonObject) -> str:
    """Which of the target's workloads this network policy is about; empty: it is about none."""
    if live.get("kind") != "NetworkPolicy":
        return ""
    selector = (live.get("spec") or {}).get("podSelector") or {}
    for item in target:
        same = identity(item).namespace == identity(live).namespace
        if is_workload(item) and same and _selects(selector, _labels(item)):
            return f"selects the pods of {identity(item).label}"
    return ""


def _labels(workload: JsonObject) -> Mapping[str, str]:
    return ((pod_template(workload) or {}).get("metadata") or {}).get("labels") or {}


def _selects(selector: JsonObject, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for one in selector.get("matchExpressions") or ():
        value, values = labels.get(one.get("key")), one.get("values") or ()
        held = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not held.get(one.get("operator"), True):
            return False
    return True
