"""The patch with which helm changes an object without server-side apply, from three versions of it. Pure.

Source: helm's pkg/kube/client.go (createPatch) and apimachinery's strategicpatch: what the target states is
sent, what the current revision's manifest stated and the target does not is deleted, the rest of the live
object stays. Custom resources get a JSON merge patch from manifest to manifest, whatever is live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.checks import JsonObject

# Lists that the API server merges, by the key that tells their elements apart; all others are replaced whole.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "secrets": "name",
    "webhooks": "name",
    "ownerReferences": "uid",
}
# Of these, what the target does not state is cleared (patchStrategy retainKeys).
_RETAIN = ("strategy", "volumes")


def merge_patch(original: Any, target: Any) -> Any:
    """RFC 7396, from one manifest to the other: for custom resources. Empty: nothing is sent."""
    patch: dict[str, Any] = {}
    for key in {*original, *target}:
        old, new = original.get(key), target.get(key)
        if key not in target:
            patch[key] = None
        elif key not in original:
            patch[key] = new
        elif isinstance(old, dict) and isinstance(new, dict):
            inner = merge_patch(old, new)
            if inner:
                patch[key] = inner
        elif old != new:
            patch[key] = new
    return patch


def strategic_patch(original: JsonObject, target: JsonObject, live: JsonObject) -> JsonObject:
    """What helm sends for kinds that the API server knows. Empty: nothing is sent."""
    patch = _merged(original, target)
    return {} if _holds(patch, live) else patch


def _merged(original: Mapping[str, Any], target: Mapping[str, Any], name: str = "") -> JsonObject:
    patch: JsonObject = {key: None for key in original if key not in target}
    for key, new in target.items():
        old = original.get(key)
        if isinstance(new, dict):
            patch[key] = _merged(old if isinstance(old, dict) else {}, new, key)
        elif isinstance(new, list):
            patch[key] = _list(key, old if isinstance(old, list) else [], new, name)
        else:
            patch[key] = new
    if name == "strategy":
        patch["$retainKeys"] = sorted(target)
    return patch


def _list(key: str, old: list[Any], new: list[Any], parent: str) -> list[Any]:
    merge_key = _merge_key(key, parent, [*old, *new])
    if merge_key is None:
        return new
    before = {element[merge_key]: element for element in old}
    patch = [_merged(before.get(element[merge_key], {}), element) for element in new]
    if key in _RETAIN:
        patch = [{**each, "$retainKeys": sorted(element)} for each, element in zip(patch, new, strict=True)]
    kept = {element[merge_key] for element in new}
    return [*patch, *({"$patch": "delete", merge_key: gone} for gone in before if gone not in kept)]


def _merge_key(key: str, parent: str, elements: list[Any]) -> str | None:
    """The key of a list that is merged; ports are told apart by another one in a Service."""
    name = _MERGE_KEYS.get(key)
    if key == "ports":
        name = "port" if parent == "spec" else "containerPort"
    if name is None or not all(isinstance(element, dict) and name in element for element in elements):
        return None
    return name


def _holds(patch: Mapping[str, Any], live: Any, name: str = "") -> bool:
    """Whether the patch only says what is live: then helm sends nothing. Deletions are always sent."""
    if not isinstance(live, dict):
        return False
    return all(
        key in live and _equal(key, value, live[key], name)
        for key, value in patch.items()
        if key != "$retainKeys"
    )


def _equal(key: str, value: Any, live: Any, parent: str) -> bool:
    if isinstance(value, dict):
        return _holds(value, live, key)
    if not isinstance(value, list):
        return type(value) is type(live) and bool(value == live)
    merge_key = _merge_key(key, parent, value)
    if merge_key is None or not isinstance(live, list):
        return bool(value == live)
    there = {each.get(merge_key): each for each in live if isinstance(each, dict)}
    return all("$patch" not in each and _holds(each, there.get(each[merge_key])) for each in value)
