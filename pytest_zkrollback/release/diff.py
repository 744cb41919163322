"""What going from one revision to another changes: objects, images, replicas, values. Pure.

Values of Secrets are never shown, and of the chart's values none that is secret by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..domain.change_summary import Change
from ..domain.checks import JsonObject
from .drift import LiveObject
from .helm_secret import Release
from .manifest import ObjectDiff, ObjectKey, container_images, identity, is_kept, pod_template

_SECRET_NAME = re.compile(r"(?i)passw|token|secret|credential|api_?key|private_?key|webhook|dsn|pwd")
_SHOWN_CHARS = 120
# Deleting one of these takes more away than the object.
_TAKES_ALONG = {
    "CustomResourceDefinition": "and every object of its kind",
    "PersistentVolumeClaim": "and perhaps its data",
    "Namespace": "and everything in it",
}

Objects = Mapping[ObjectKey, JsonObject]


def is_secret_name(text: str) -> bool:
    """Whether something of this name is likely to be secret."""
    return _SECRET_NAME.search(text) is not None


def by_identity(objects: Sequence[JsonObject]) -> dict[ObjectKey, JsonObject]:
    """The objects of a manifest by what makes them these ones."""
    return {identity(item): item for item in objects}


def object_changes(diffs: Sequence[ObjectDiff]) -> tuple[Change, ...]:
    """Every object that differs: how many lines go and come, or whether it is there at all."""
    return tuple(map(_object_change, diffs))


def _object_change(diff: ObjectDiff) -> Change:
    if not (diff.was and diff.is_wanted):
        there, wanted = ("there" if each else "" for each in (diff.was, diff.is_wanted))
        return Change(what=diff.key.label, live=there, target=wanted)
    gone = sum(line.startswith("-") and not line.startswith("---") for line in diff.lines)
    come = sum(line.startswith("+") and not line.startswith("+++") for line in diff.lines)
    return Change(what=diff.key.label, live=_lines(gone), target=_lines(come))


def image_changes(live: Objects, target: Objects) -> tuple[Change, ...]:
    """Every container whose image differs, comes or goes, in objects that both revisions have."""
    found = []
    for key in _ordered(live, target):
        old = container_images(pod_template(live.get(key) or {}) or {})
        new = container_images(pod_template(target.get(key) or {}) or {})
        found += [
            Change(what=f"{key.label} {name}", live=old.get(name, ""), target=new.get(name, ""))
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
    return tuple(found)


def replica_changes(live: Objects, target: Objects) -> tuple[Change, ...]:
    """Every object that both revisions have and that states another number of replicas."""
    found = []
    for key in _ordered(live, target):
        counts = [
            _map(side[key].get("spec")).get("replicas") if key in side else None for side in (live, target)
        ]
        if key in live and key in target and counts[0] != counts[1]:
            old, new = ("not stated" if count is None else str(count) for count in counts)
            found.append(Change(what=key.label, live=old, target=new))
    return tuple(found)


def value_changes(live: JsonObject, target: JsonObject) -> tuple[Change, ...]:
    """Every value given to the chart that differs, by its dotted path."""
    old, new = dict(_leaves(live)), dict(_leaves(target))
    found = []
    for path in sorted({*old, *new}):
        if old.get(path) != new.get(path) or (path in old) != (path in new):
            hidden = is_secret_name(path)
            before, after = (
                ("(hidden)" if hidden else _shown(side[path])) if path in side else "" for side in (old, new)
            )
            found.append(Change(what=path, live=before, target=after))
    return tuple(found)


def deleted_objects(
    live: Objects, target: Objects, cluster: Mapping[ObjectKey, LiveObject]
) -> tuple[str, ...]:
    """What helm will delete: what only the live revision has, and no policy keeps (``cluster``: as it is)."""
    known = {key.without_version for key in target}
    return tuple(
        f"{key.label} ({_TAKES_ALONG[key.kind]})" if key.kind in _TAKES_ALONG else key.label
        for key in _ordered(live, target)
        if key.without_version not in known and not _kept(live[key], cluster.get(key))
    )


def what_stays(
    live: Release, target: Release, old: Objects, new: Objects, cluster: Mapping[ObjectKey, LiveObject]
) -> tuple[str, ...]:
    """What will not move: resources with the policy ``keep``, and CRDs of the chart's ``crds/`` folder."""
    kept = [
        f"{key.label} stays: its policy is 'keep'"
        for key in _ordered(old, new)
        if key not in new and _kept(old[key], cluster.get(key))
    ]
    crds = [
        f"{name} differs, and stays as it is: helm never changes the CRDs of this folder"
        for name in sorted({*live.crds, *target.crds})
        if live.crds.get(name) != target.crds.get(name)
    ]
    return (*kept, *crds)


def pod_references(template: JsonObject) -> Iterator[tuple[str, str]]:
    """(kind, name) of what a pod cannot start without: ConfigMaps, Secrets, a ServiceAccount and claims."""
    spec = _map(template.get("spec"))
    if spec.get("serviceAccountName"):
        yield "ServiceAccount", str(spec["serviceAccountName"])
    for volume in _maps(spec.get("volumes")):
        yield from _volume(volume)
        for source in _maps(_map(volume.get("projected")).get("sources")):
            yield from _volume(source, "name")
    for container in (*_maps(spec.get("initContainers")), *_maps(spec.get("containers"))):
        for source in _maps(container.get("envFrom")):
            yield from _named("ConfigMap", source.get("configMapRef"))
            yield from _named("Secret", source.get("secretRef"))
        for variable in _maps(container.get("env")):
            source = _map(variable.get("valueFrom"))
            yield from _named("ConfigMap", source.get("configMapKeyRef"))
            yield from _named("Secret", source.get("secretKeyRef"))


def _volume(volume: JsonObject, name_key: str = "secretName") -> Iterator[tuple[str, str]]:
    yield from _named("ConfigMap", volume.get("configMap"))
    yield from _named("Secret", volume.get("secret"), name_key)
    yield from _named("PersistentVolumeClaim", volume.get("persistentVolumeClaim"), "claimName")


def _named(kind: str, source: Any, key: str = "name") -> Iterator[tuple[str, str]]:
    if isinstance(source, dict) and source.get(key) and not source.get("optional"):
        yield kind, str(source[key])


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}"


def _map(value: Any) -> JsonObject:
    """The value if it is an object: a manifest may hold anything."""
    return value if isinstance(value, dict) else {}


def _maps(value: Any) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _kept(item: JsonObject, live: LiveObject | None) -> bool:
    """helm reads the policy from the live object."""
    return is_kept(live.item if live is not None and live.item is not None else item)


def _ordered(live: Objects, target: Objects) -> list[ObjectKey]:
    return sorted({*live, *target}, key=lambda key: (key.kind, key.name, key))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}... ({len(text)} characters)"
