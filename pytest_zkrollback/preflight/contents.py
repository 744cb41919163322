"""What would be lost with an object that holds more than itself: a claim, a kind, a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..clients.threads import fetch_each
from ..domain.errors import ZkRollbackError
from ..domain.kube_objects import owners

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube
    from ..release.drift import LiveObject
    from ..release.manifest import ObjectKey


def fetch_contents(kube: Kube, deleted: Mapping[ObjectKey, LiveObject]) -> dict[ObjectKey, str]:
    """What is in each, in words; nothing of those that hold only themselves or cannot be looked into."""
    wanted = [
        (key, found.item) for key, found in deleted.items() if found.item is not None and key.kind in _LOOKS
    ]

    def look(asked: tuple[ObjectKey, JsonObject]) -> str:
        key, item = asked
        return _LOOKS[key.kind](kube, item)

    answers = fetch_each(look, wanted)
    return {
        key: answer
        for (key, _), answer in zip(wanted, answers, strict=True)
        if isinstance(answer, str) and answer
    }


def _claim(kube: Kube, item: JsonObject) -> str:
    """Source: core/v1 PersistentVolumeClaim and PersistentVolume."""
    status, volume = item.get("status") or {}, str((item.get("spec") or {}).get("volumeName") or "")
    size = (status.get("capacity") or {}).get("storage")
    made = f"made {item['metadata'].get('creationTimestamp')}"
    if not volume:
        return f"{made}, {status.get('phase') or 'phase not known'}, bound to no volume so far"
    said = ", ".join(filter(None, (size, made, f"on volume {volume}")))
    try:
        policy = kube.get(f"/api/v1/persistentvolumes/{quote(volume, safe='')}")["spec"].get(
            "persistentVolumeReclaimPolicy"
        )
    except ZkRollbackError:
        return said
    if policy == "Retain":
        return f"{said}, whose policy Retain leaves the data there, and nothing refers to it any more"
    return f"{said}, whose policy {policy} deletes the data with it"


def _kind(kube: Kube, item: JsonObject) -> str:
    """Source: apiextensions/v1 CustomResourceDefinition."""
    spec = item.get("spec") or {}
    served = [each["name"] for each in spec.get("versions") or () if each.get("served")]
    if not served:
        return "no version of it is served"
    count = _count(kube, f"/apis/{spec['group']}/{served[0]}/{spec['names']['plural']}")
    return f"with {count} of its kind in all namespaces" if count else "no object of its kind exists"


def _namespace(kube: Kube, item: JsonObject) -> str:
    path = f"/api/v1/namespaces/{quote(str(item['metadata']['name']), safe='')}"
    pods, claims = _count(kube, f"{path}/pods"), _count(kube, f"{path}/persistentvolumeclaims")
    secrets = kube.list_metadata(f"{path}/secrets", {"labelSelector": "owner=helm"})
    releases = sorted({str((each["metadata"].get("labels") or {}).get("name")) for each in secrets})
    said = [f"{pods} pods", f"{claims} PersistentVolumeClaims"]
    said += [f"releases {', '.join(releases)}"] if releases else []
    return f"with {', '.join(said)} in it"


def _claims(kube: Kube, item: JsonObject) -> str:
    """The claims that go with a StatefulSet: whose owner it is, whatever its policy says by now."""
    metadata = item["metadata"]
    path = f"/api/v1/namespaces/{quote(str(metadata['namespace']), safe='')}/persistentvolumeclaims"
    return ", ".join(
        sorted(
            str(claim["metadata"]["name"])
            for claim in kube.list_metadata(path)
            if any(owner.get("uid") == metadata.get("uid") for owner in owners(claim))
        )
    )


def _count(kube: Kube, path: str) -> int:
    """How many there are, in one short answer (``remainingItemCount``)."""
    page = kube.get(path, {"limit": "1"})
    return len(page.get("items") or ()) + int((page.get("metadata") or {}).get("remainingItemCount") or 0)


_LOOKS = {
    "PersistentVolumeClaim": _claim,
    "CustomResourceDefinition": _kind,
    "Namespace": _namespace,
    "StatefulSet": _claims,
}
