"""How this helm would apply an object, tried by the API server without doing it (dryRun=All).

Source: helm's pkg/kube/client.go (update) and pkg/action/rollback.go, Helm 3 and 4. Every function returns
the object as it would be, and raises the ClusterError that helm would meet.
"""

from __future__ import annotations

import copy
from typing import Any

from ..domain.checks import JsonObject
from ..domain.errors import BadAnswer
from ..domain.kube_objects import is_native
from ..domain.ports import Kube
from .merge_patch import merge_patch, strategic_patch

MANAGER = "helm"
_DRY = {"dryRun": "All", "fieldManager": MANAGER}
_APPLY = "application/apply-patch+yaml"
_STRATEGIC = "application/strategic-merge-patch+json"
_MERGE = "application/merge-patch+json"
_CONFLICT = 409


def stamped(item: JsonObject, release: str, namespace: str) -> JsonObject:
    """The object with the label and annotations by which helm marks what it applies."""
    marked = copy.deepcopy(item)
    metadata = marked["metadata"]
    labels = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    return {
        **marked,
        "metadata": {
            **metadata,
            "labels": labels,
            "annotations": {**(metadata.get("annotations") or {}), **owner},
        },
    }


def try_apply(kube: Kube, path: str, item: JsonObject, timeout_s: float) -> JsonObject:
    """Server-side apply (Helm 4): creates or changes.

    Fields that an older helm owns by ``update`` are no conflict: helm takes them over first.
    """

    def attempt(force: str) -> JsonObject:
        query = {**_DRY, "force": force, "fieldValidation": "Strict"}
        return kube.send("PATCH", path, item, _APPLY, query, timeout_s)

    try:
        return attempt("false")
    except BadAnswer as error:
        managers = [manager_of(message) for _, message in error.causes]
        if error.status != _CONFLICT or not managers or any(name != MANAGER for name in managers):
            raise
    return attempt("true")


def try_patch(
    kube: Kube, path: str, original: JsonObject, item: JsonObject, live: JsonObject, timeout_s: float
) -> JsonObject:
    """The three-way patch (Helm 3, and releases that are not server-side applied)."""
    if is_custom(item):
        patch: Any = merge_patch(original, item)
        kind = _MERGE
    else:
        patch, kind = strategic_patch(original, item, live), _STRATEGIC
    return kube.send("PATCH", path, patch, kind, _DRY, timeout_s) if patch else live


def try_create(kube: Kube, path: str, item: JsonObject, timeout_s: float) -> JsonObject:
    """Creating without server-side apply; ``path`` is that of the kind."""
    return kube.send("POST", path, item, query=_DRY, timeout_s=timeout_s)


def try_replace(kube: Kube, path: str, item: JsonObject, timeout_s: float) -> JsonObject:
    """Replacing the whole object; it names the version that it replaces."""
    return kube.send("PUT", path, item, query=_DRY, timeout_s=timeout_s)


def try_delete(kube: Kube, path: str, timeout_s: float) -> None:
    """Deleting what only the current revision has."""
    body = {"propagationPolicy": "Background", "dryRun": ["All"]}
    kube.send("DELETE", path, body, timeout_s=timeout_s)


def manager_of(message: str) -> str:
    """The manager in ``conflict with "kubectl" with subresource "scale" using apps/v1``."""
    return message.split('"')[1] if '"' in message else ""


def is_custom(item: JsonObject) -> bool:
    """Whether helm does not know the kind's Go type: custom resources and, by its own word, v1beta1
    definitions of them."""
    definition = item["apiVersion"] == "apiextensions.k8s.io/v1beta1"
    return definition or not is_native(item)
