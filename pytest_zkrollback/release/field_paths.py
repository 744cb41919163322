"""Paths into an object as a person reads them: ``spec.template.spec.containers[app].image``. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

from ..domain.checks import JsonObject

Path: TypeAlias = tuple[str, ...]

# The elements of these lists are known by this key and not by their place. (`ports` has two keys.)
_LIST_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "ports": "",
}
# The same, but only where they are no part of anything: lists of a ServiceAccount or a webhook configuration.
_TOP_LIST_KEYS = {"secrets": "name", "webhooks": "name"}


def by_merge_key(name: str, elements: list[Any], *, top: bool = False) -> dict[str, Any] | None:
    """The elements of list ``name`` by their key; None if it has none, or not everywhere, or not uniquely.

    ``top``: the list is a member of the object itself.
    """
    known = name in _LIST_KEYS or (top and name in _TOP_LIST_KEYS)
    if not known or not all(isinstance(element, dict) for element in elements):
        return None
    found = {}
    for element in elements:
        key = element_key(name, element)
        if key is None or key in found:
            return None
        found[key] = element
    return found


def element_key(name: str, element: JsonObject) -> str | None:
    """By what an element of list ``name`` is known; None: by nothing."""
    if name == "ports":
        port = element.get("containerPort", element.get("port"))
        return None if port is None else f"{port}/{element.get('protocol') or 'TCP'}"
    key = element.get(_LIST_KEYS.get(name) or _TOP_LIST_KEYS.get(name, ""))
    return None if key is None else str(key)


def shown_path(path: Path) -> str:
    """The path in one word."""
    return ".".join(path).replace(".[", "[")


def find_stated(item: Any, path: Path) -> tuple[Path, Any]:
    """How far ``path`` leads into ``item``: the longest part of it that is stated, and the value there."""
    for depth, part in enumerate(path):
        inner: Any = None
        if isinstance(item, dict):
            inner = item.get(part)
        elif isinstance(item, list):
            inner = (
                (by_merge_key(path[depth - 1], item, top=depth == 1) or {}).get(part[1:-1]) if depth else None
            )
        if inner is None:
            return path[:depth], item
        item = inner
    return path, item
