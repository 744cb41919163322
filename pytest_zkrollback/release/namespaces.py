"""Where the objects of a manifest stand: in which namespaces there are pods and events to look at. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..domain.checks import JsonObject
from ..domain.kube_objects import STATELESS_KINDS, plural_of
from .manifest import identity, is_workload, pod_template


def pod_namespaces(objects: Iterable[JsonObject]) -> dict[str, tuple[str, ...]]:
    """The namespaces that objects with pods stand in, with what has to be watched there.

    ReplicaSets always: a pod that belongs to none serves without an owner.
    """
    found: dict[str, set[str]] = {}
    for item in objects:
        if pod_template(item) is not None:
            kinds = found.setdefault(identity(item).namespace, {"pods", "replicasets"})
            kinds |= {plural_of(item["kind"])} if is_workload(item) else set()
    return {namespace: tuple(sorted(kinds)) for namespace, kinds in found.items()}


def event_namespaces(objects: Iterable[JsonObject]) -> tuple[str, ...]:
    """The namespaces of objects that can be in trouble: what has no state is not asked about."""
    return tuple(
        dict.fromkeys(identity(item).namespace for item in objects if item["kind"] not in STATELESS_KINDS)
    )
