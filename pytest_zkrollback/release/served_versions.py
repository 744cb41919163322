"""Under which version a kind is served: a manifest may name one that a cluster's upgrade took away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..domain.checks import JsonObject
from ..domain.errors import NotFound
from ..domain.ports import Kube
from .manifest import ObjectKey

# Kinds that went to another group. Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
_MOVED = {
    ("extensions", "Ingress"): "networking.k8s.io",
    ("extensions", "NetworkPolicy"): "networking.k8s.io",
    ("extensions", "Deployment"): "apps",
    ("extensions", "DaemonSet"): "apps",
    ("extensions", "ReplicaSet"): "apps",
}


def served_path(kube: Kube, key: ObjectKey) -> str:
    """The path under which the object can be read: by its own version, else by one that its group serves.

    Raises NotFound where none serves the kind, and the ClusterErrors of asking.
    """
    try:
        return kube.resource_path(key.api_version, key.kind, key.namespace, key.name)
    except NotFound:
        for version in _others(kube, key):
            with suppress(NotFound):
                return kube.resource_path(version, key.kind, key.namespace, key.name)
        raise


def served_otherwise(item: JsonObject, live: JsonObject | None) -> str:
    """`` is recorded as policy/v1beta1 and served as policy/v1``; empty where both are the same."""
    served = str((live or {}).get("apiVersion") or item["apiVersion"])
    return (
        "" if served == item["apiVersion"] else f" is recorded as {item['apiVersion']} and served as {served}"
    )


def _others(kube: Kube, key: ObjectKey) -> Iterator[str]:
    """The versions of the kind's group, the preferred one first; then those of the group that it went to."""
    for group in (key.group, _MOVED.get((key.group, key.kind))):
        if not group:
            continue
        try:
            found = kube.get(f"/apis/{group}")
        except NotFound:
            continue
        preferred = (found.get("preferredVersion") or {}).get("groupVersion")
        served = [str(one.get("groupVersion")) for one in found.get("versions") or ()]
        yield from dict.fromkeys([*([str(preferred)] if preferred else []), *served])
