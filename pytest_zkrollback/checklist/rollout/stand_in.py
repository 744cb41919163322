"""A workload at zero in whose place another one serves. Pure.

Flagger keeps a chart's Deployment at zero and serves from ``NAME-primary``, which it makes of the same
template once that is promoted. Source: https://docs.flagger.app/usage/how-it-works
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...domain.checks import JsonObject, Snapshot
from ...domain.kube_objects import controller_uid, is_alive, is_ready, namespace_of, uid
from ...release.drift import LiveObject, compare
from ...release.manifest import container_images, pod_template

_SUFFIX = "-primary"  # Flagger copies ConfigMaps and Secrets under this name as well
_NAMES = ("name", "secretName")


@dataclass(frozen=True)
class StandIn:
    """Who serves: a sentence, and whether that is all the target's."""

    text: str
    is_target: bool


def find_stand_in(target: JsonObject, services: Sequence[JsonObject], snapshot: Snapshot) -> StandIn | None:
    """What serves behind the release's Services with the containers of this workload; None: nothing does.

    ``target`` is the workload as the manifest states it, and stands at zero.
    """
    wanted = set(container_images(pod_template(target) or {}))
    makers = {uid(each): each for each in snapshot.objects.get("replicasets", ())}
    found = []
    for pod in snapshot.objects.get("pods", ()):
        maker = makers.get(controller_uid(pod))
        serves = is_alive(pod) and is_ready(pod) and any(_selects(each, pod) for each in services)
        if serves and maker is not None and wanted and wanted <= set(container_images(pod)):
            found.append((pod, maker))
    if not found:
        return None
    others = [pod for pod, maker in found if not _is_of_target(target, maker)]
    shown = others or [pod for pod, _ in found]
    names = ", ".join(sorted(str(pod["metadata"].get("name")) for pod in shown))
    images = ", ".join(sorted({image for pod in shown for image in container_images(pod).values()}))
    what = "not of its template" if others else "of its template"
    return StandIn(f"{names} ({images}), {what}, serves in its place", not others)


def _selects(service: JsonObject, pod: JsonObject) -> bool:
    selector = (service.get("spec") or {}).get("selector")
    labels = pod["metadata"].get("labels") or {}
    near = namespace_of(service) == namespace_of(pod)
    return near and isinstance(selector, dict) and bool(selector) and selector.items() <= labels.items()


def _is_of_target(target: JsonObject, maker: JsonObject) -> bool:
    """Whether the ReplicaSet's template states what the target's does, its copied settings aside."""
    stated = {"spec": (pod_template(target) or {}).get("spec") or {}}
    there = {"spec": _renamed((pod_template(maker | {"kind": "ReplicaSet"}) or {}).get("spec") or {}, stated)}
    spec = target.get("spec") or {}
    expected = {**target, "spec": {**spec, "template": stated}}
    live = {**target, "spec": {**spec, "template": there}}
    return not compare([expected], [LiveObject(live)])


def _renamed(node: Any, stated: JsonObject) -> Any:
    """With the names of settings as the target has them."""
    known = set(_names(stated))

    def copy(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: copy(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [copy(each) for each in value]
        own = isinstance(value, str) and key in _NAMES and value not in known
        return value.removesuffix(_SUFFIX) if own and value.removesuffix(_SUFFIX) in known else value

    return copy(node)


def _names(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key in _NAMES and isinstance(value, str)]
        return own + [name for value in node.values() for name in _names(value)]
    return [name for value in node for name in _names(value)] if isinstance(node, list) else []
