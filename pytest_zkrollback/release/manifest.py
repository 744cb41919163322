"""A release's manifest: the objects that helm applied, their images and workloads, and how two differ."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import yaml

from ..domain.checks import JsonObject

WORKLOAD_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
_TEMPLATE_PATHS: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys((*WORKLOAD_KINDS, "ReplicaSet", "ReplicationController", "Job"), ("spec", "template")),
}
# A definition of a megabyte takes seconds without libyaml.
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
SECRET_MEMBERS = ("data", "stringData")


class ObjectKey(NamedTuple):
    """What makes an object this one."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """``apps``; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def without_version(self) -> tuple[str, str, str, str]:
        """What helm knows it by: under another version of its group it is the same object."""
        return (self.group, self.kind, self.namespace, self.name)

    @property
    def label(self) -> str:
        """``Deployment/zkprova-backend``."""
        return f"{self.kind}/{self.name}"


def identity(item: JsonObject) -> ObjectKey:
    """The identity of an object of a manifest (``release/documents.py``)."""
    metadata = item["metadata"]
    # What the API server answers of a cluster-scoped object names no namespace.
    namespace = str(metadata.get("namespace") or "")
    return ObjectKey(item["apiVersion"], item["kind"], namespace, metadata["name"])


def in_namespace(objects: Sequence[JsonObject], namespace: str) -> tuple[JsonObject, ...]:
    """Those that stand in this namespace."""
    return tuple(item for item in objects if identity(item).namespace == namespace)


def is_kept(item: JsonObject) -> bool:
    """Whether helm leaves the object where it is when a revision no longer has it."""
    annotations = item["metadata"].get("annotations") or {}
    return bool(annotations.get("helm.sh/resource-policy") == "keep")


def release_of(item: JsonObject, otherwise: tuple[str, str] = ("", "")) -> tuple[str, str]:
    """(name, namespace) of the Helm release to which a live object says that it belongs.

    What it does not say is that of ``otherwise``. Source: helm's pkg/action/validate.go.
    """
    annotations = item["metadata"].get("annotations") or {}
    found = (annotations.get(f"meta.helm.sh/release-{each}") for each in ("name", "namespace"))
    name, namespace = (str(one) if one else default for one, default in zip(found, otherwise, strict=True))
    return name, namespace


def pod_template(item: JsonObject) -> JsonObject | None:
    """The pod template of a workload, a Job, a CronJob or (itself) a Pod; None for other kinds."""
    path = _TEMPLATE_PATHS.get(str(item.get("kind")))
    if path is None:
        return None
    node: Any = item
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def container_images(template: JsonObject) -> dict[str, str]:
    """Container name -> image of a pod template or a pod, init containers included."""
    spec = template.get("spec") or {}
    found = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return {
        str(one.get("name")): str(one["image"]) for one in found if isinstance(one, dict) and one.get("image")
    }


def manifest_images(objects: Sequence[JsonObject]) -> tuple[str, ...]:
    """The images of all pod templates, sorted, each once."""
    templates = (pod_template(item) for item in objects)
    return tuple(sorted({image for one in templates if one for image in container_images(one).values()}))


def is_workload(item: JsonObject) -> bool:
    """Whether it is a Deployment, StatefulSet or DaemonSet of Kubernetes itself: others use these names."""
    group = str(item.get("apiVersion")).rpartition("/")[0]
    return item.get("kind") in WORKLOAD_KINDS and group in ("apps", "extensions")


def manifest_workloads(objects: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """The Deployments, StatefulSets and DaemonSets."""
    return tuple(item for item in objects if is_workload(item))


class ObjectDiff(NamedTuple):
    """How an object differs between two manifests. ``lines``: of a unified diff, its head included.

    ``was`` and ``is_wanted``: whether the first and the second manifest have it.
    """

    key: ObjectKey
    was: bool
    is_wanted: bool
    lines: tuple[str, ...]


def object_diffs(bad: Sequence[JsonObject], target: Sequence[JsonObject]) -> tuple[ObjectDiff, ...]:
    """Every object that differs, from ``bad`` to ``target``, by kind and name.

    Of a Secret's values only whether they differ is shown.
    """
    before = {identity(item): item for item in bad}
    after = {identity(item): item for item in target}
    return tuple(
        _object_diff(key, before.get(key), after.get(key))
        for key in sorted({*before, *after}, key=lambda one: (one.kind, one.name, one))
        if before.get(key) != after.get(key)  # most of a large manifest does not
    )


def _object_diff(key: ObjectKey, before: JsonObject | None, after: JsonObject | None) -> ObjectDiff:
    old, new = _without_secrets(before, after)
    lines = difflib.unified_diff(
        _dumped(old),
        _dumped(new),
        fromfile=f"{key.label} (live before)" if old else "/dev/null",
        tofile=f"{key.label} (target)" if new else "/dev/null",
        lineterm="",
    )
    return ObjectDiff(key, old is not None, new is not None, tuple(lines))


def render_diffs(diffs: Iterable[ObjectDiff]) -> str:
    """One text; empty if nothing differs."""
    return "\n".join(line for each in diffs for line in each.lines)


def _without_secrets(
    old: JsonObject | None, new: JsonObject | None
) -> tuple[JsonObject | None, JsonObject | None]:
    if "Secret" not in {item["kind"] for item in (old, new) if item}:
        return old, new
    masked: list[JsonObject | None] = []
    for item, other, word in ((old, new, "the value before"), (new, old, "another value")):
        masked.append(item and {**item, **_masked(item, other or {}, word)})
    return masked[0], masked[1]


def _masked(item: JsonObject, other: JsonObject, word: str) -> JsonObject:
    hidden: JsonObject = {}
    for member in SECRET_MEMBERS:
        values, others = item.get(member), other.get(member)
        if isinstance(values, Mapping):
            same = others if isinstance(others, Mapping) else {}
            hidden[member] = {
                key: "(hidden)" if key not in same or same[key] == value else f"(hidden: {word})"
                for key, value in values.items()
            }
        elif values is not None:
            hidden[member] = "(hidden)"
    return hidden


def _dumped(item: JsonObject | None) -> list[str]:
    if item is None:
        return []
    text = yaml.dump(item, Dumper=_DUMPER, sort_keys=True, allow_unicode=True, width=200)
    return str(text).splitlines()


def secret_values(item: JsonObject) -> tuple[str, ...]:
    """The values of a Secret's ``data`` (decoded) and ``stringData``; what is no text is left out."""
    found = [str(value) for value in (item.get("stringData") or {}).values() if value is not None]
    for value in (item.get("data") or {}).values():
        with suppress(ValueError, UnicodeDecodeError):
            found.append(base64.b64decode(str(value), validate=True).decode())
    return tuple(found)
