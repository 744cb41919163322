"""What containers read when they start, and what changed of it between two revisions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from ...domain.checks import JsonObject
from ...release.manifest import SECRET_MEMBERS, identity

Source = tuple[str, str]  # kind and name of a ConfigMap or Secret


def read_at_start(template: JsonObject) -> dict[str, set[Source]]:
    """Container -> what its environment and its subPath mounts come from: it never sees them change.

    Of every kind: what an init container made of them is what the others found.
    """
    spec = template.get("spec") or {}
    volumes = {str(each.get("name")): set(_volume(each)) for each in spec.get("volumes") or ()}
    found: dict[str, set[Source]] = {}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        sources = found.setdefault(str(container.get("name")), set())
        for each in container.get("envFrom") or ():
            sources.update(_named(each, "configMapRef", "secretRef"))
        for each in container.get("env") or ():
            sources.update(_named(each.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef"))
        for mount in container.get("volumeMounts") or ():
            if mount.get("subPath") or mount.get("subPathExpr"):
                sources |= volumes.get(str(mount.get("name")), set())
    return found


def read_as_files(template: JsonObject) -> dict[str, set[Source]]:
    """Container -> what is mounted as a folder: it sees them change, if it looks. What it also reads at its
    start is left out. Sidecars and init containers, too: what one of these copied, the others still have."""
    spec = template.get("spec") or {}
    volumes = {str(each.get("name")): set(_volume(each)) for each in spec.get("volumes") or ()}
    at_start = read_at_start(template)
    return {
        name: {
            source
            for mount in container.get("volumeMounts") or ()
            for source in volumes.get(str(mount.get("name")), ())
        }
        - at_start.get(name, set())
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        if (name := str(container.get("name")))
    }


def settings_changed(before: Sequence[JsonObject], target: Sequence[JsonObject]) -> set[Source]:
    """The ConfigMaps and Secrets whose content differs, comes or goes."""
    sides = [
        {
            (item["kind"], identity(item).name): [item.get(key) for key in (*SECRET_MEMBERS, "binaryData")]
            for item in objects
            if item["kind"] in ("ConfigMap", "Secret")
        }
        for objects in (before, target)
    ]
    return {key for key in {*sides[0], *sides[1]} if sides[0].get(key) != sides[1].get(key)}


def only_removes(steps: Sequence[Sequence[JsonObject]], source: Source) -> bool:
    """Whether a step from one revision's objects to the next one's only takes keys out of this object."""
    held = [
        next((_values(item) for item in objects if (item["kind"], identity(item).name) == source), None)
        for objects in steps
    ]
    return any(
        before is not None
        and after is not None
        and len(after) < len(before)
        and all(key in before and before[key] == value for key, value in after.items())
        for before, after in pairwise(held)
    )


def _values(item: JsonObject) -> dict[tuple[str, str], Any]:
    return {
        (member, str(key)): value
        for member in (*SECRET_MEMBERS, "binaryData")
        for key, value in (item.get(member) or {}).items()
    }


def _named(holder: JsonObject, config_key: str, secret_key: str) -> Iterator[Source]:
    for kind, key in (("ConfigMap", config_key), ("Secret", secret_key)):
        name = (holder.get(key) or {}).get("name")
        if name:
            yield kind, str(name)


def _volume(volume: JsonObject) -> Iterator[Source]:
    yield from _named(volume, "configMap", "")
    secret = (volume.get("secret") or {}).get("secretName")
    if secret:
        yield "Secret", str(secret)
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _named(source, "configMap", "secret")
