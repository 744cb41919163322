"""What only events tell: a node is being added, a volume cannot be mounted, a pod cannot be made. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from ...domain.checks import JsonObject, PodDiagnostics
from ...domain.timestamps import parse_time
from ..events.grouping import grouped, last_seen
from .kubectl_status import condition
from .workload import Workload

# A Secret or ConfigMap that a volume needs may come later than its pod. The kubelet tries again after ever
# longer pauses: what it has not found so long after the pod was made is not there.
MOUNT_S: Final = 15.0

_NO_OBJECT = re.compile(r"(secret|configmap) \"[^\"]+\" not found|references non-existent", re.IGNORECASE)
_SCALING = ("TriggeredScaleUp", "Nominated")


def is_scaling_up(note: PodDiagnostics) -> bool:
    """Whether an autoscaler has answered a pod that cannot be scheduled, as the newest word of one.

    Sources: cluster-autoscaler's TriggeredScaleUp and NotTriggerScaleUp, Karpenter's Nominated.
    """
    words = [str(event.get("reason")) for event in note.events]
    said = [word for word in words if word in _SCALING or word == "NotTriggerScaleUp"]
    return bool(said) and said[-1] in _SCALING


def mount_failure(pod: JsonObject, note: PodDiagnostics, since: datetime) -> tuple[str, bool]:
    """What the newest event says of a volume that cannot be mounted, and whether it is certain to stay so.

    What is not there is certain; a disk that is still attached elsewhere comes in the end.
    """
    reasons = ("FailedMount", "FailedAttachVolume")
    failures = [event for event in note.events if event.get("reason") in reasons]
    if not failures:
        return "", False
    message = str(failures[-1].get("message", ""))
    made, seen = parse_time(pod["metadata"].get("creationTimestamp")), last_seen(failures[-1])
    late = made is not None and seen is not None and seen - max(made, since) >= timedelta(seconds=MOUNT_S)
    return message, late and bool(_NO_OBJECT.search(message))


def creation_failure(
    workload: Workload, note: PodDiagnostics, since: datetime
) -> tuple[str, datetime | None] | None:
    """Why pods of the current revision cannot be made (quota, admission), and since when; None: they can.

    A Deployment's ReplicaSet has a condition for it, StatefulSets and DaemonSets have FailedCreate events
    alone. One that is not later than the newest pod was overcome, and one that may be from before the
    rollback speaks of what was rolled back.
    """
    failure = condition(workload.replicaset, "ReplicaFailure") if workload.replicaset else None
    if failure is not None and failure.get("status") == "True":
        return str(failure.get("message", "")), parse_time(failure.get("lastTransitionTime"))
    if not workload.lacks_pods:
        return None
    start = since.replace(microsecond=0)
    made = [parse_time(pod["metadata"].get("creationTimestamp")) for pod in workload.pods]
    newest = max((at for at in made if at is not None), default=None)
    failed = [
        event
        for event in note.events
        if event.get("reason") == "FailedCreate"
        and (at := last_seen(event)) is not None
        and at > start
        and (newest is None or at > newest)
    ]
    if not failed:
        return None
    group = grouped(failed)[-1]
    return group.message, max((at for at in (group.first, newest) if at is not None), default=None)
