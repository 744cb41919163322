"""Whether the target's images are on a node still: no registry is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..domain.checks import JsonObject
from ..domain.errors import HelmProblem
from ..release.manifest import manifest_images
from ..release.namespaces import pod_namespaces

if TYPE_CHECKING:
    from ..domain.ports import Kube
    from .release_view import ReleaseView

# A kubelet names its 50 largest images (nodeStatusMaxImages): a longer list may have been cut.
MOST_LISTED = 50
_PAGE = "100"
_HUB = "docker.io"


@dataclass(frozen=True)
class ImagesSeen:
    """Where the images of revision ``revision`` are not.

    ``missing``: on no node that says which it has, and in no pod that runs. ``nodes`` of them said so,
    ``cut`` of these perhaps not all.
    """

    revision: int
    missing: tuple[str, ...] = ()
    nodes: int = 0
    cut: int = 0


def fetch_images(kube: Kube, namespace: str, view: ReleaseView) -> ImagesSeen:
    """Look for the target's images in the running pods of its namespaces, then on every node.

    Raises ZkRollbackErrors.
    """
    target = view.target
    if target is None:
        raise HelmProblem("there is no target")
    if view.has_unread(target):
        raise HelmProblem(f"a document of revision {target.revision.revision} cannot be read")
    objects = view.objects_of(target)
    wanted = {full_name(image): image for image in manifest_images(objects)}
    for place in sorted({namespace, *pod_namespaces(objects)}) if wanted else ():
        for pod in _each(kube, f"/api/v1/namespaces/{quote(place, safe='')}/pods"):
            _take(wanted, _running(pod))
    nodes = cut = 0
    for node in _each(kube, "/api/v1/nodes") if wanted else ():
        images = (node.get("status") or {}).get("images") or ()
        nodes += bool(images)
        cut += len(images) >= MOST_LISTED
        _take(wanted, (name for image in images for name in image.get("names") or ()))
        if not wanted:
            break
    return ImagesSeen(target.revision.revision, tuple(wanted.values()), nodes, cut)


def _each(kube: Kube, path: str) -> Iterator[JsonObject]:
    for page, _ in kube.pages(path, {"limit": _PAGE}, without_managed_fields=True):
        yield from page


def _take(wanted: dict[str, str], names: Iterable[str]) -> None:
    for name in names:
        wanted.pop(full_name(str(name)), None)


def _running(pod: JsonObject) -> Iterator[str]:
    """The images of a pod's containers that run: as its spec names them."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    running: Mapping[str, JsonObject] = {
        str(one.get("name")): one
        for key in ("initContainerStatuses", "containerStatuses")
        for one in status.get(key) or ()
        if one.get("imageID")
    }
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            if container.get("name") in running:
                yield str(container.get("image"))


def full_name(image: str) -> str:
    """As a node names it: ``docker.io/library/nginx:latest`` of ``nginx``; by its digest where it has one.

    Source: github.com/distribution/reference, ParseNormalizedNamed and TagNameOnly.
    """
    name, _, digest = image.partition("@")
    path, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    name = f"{path}/{last}" if path else last
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"{_HUB}/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"{_HUB}/{name}"
    return f"{name}@{digest}" if digest else f"{name}:{tag or 'latest'}"
