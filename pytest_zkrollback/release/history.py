"""A release's history, read straight from Helm's release Secrets (storage driver ``secret``, Helm 3 and 4).

Source: helm's pkg/storage/driver/secrets.go and util.go: Secrets of type ``helm.sh/release.v1`` with the
labels owner, name, status and version; ``data.release`` is base64 of base64 of gzipped JSON.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import re
import zlib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ..domain.errors import BadAnswer, ClusterError, Forbidden, HelmProblem, NotFound, ZkRollbackError
from ..domain.model import Revision
from ..domain.observation import JsonObject
from ..domain.ports import Kube
from .manifest import manifest_images, parse_manifest
from .parallel import fetch_each

NEWEST = 30
# A record may have a megabyte, and some ten on its way to a manifest.
_AT_ONCE = 4
# Of records in one answer; the API server packs them to about half.
_PAGE_BYTES = 1_000_000
_UNPACKED_LIMIT_BYTES = 64 << 20
_GZIP = zlib.MAX_WBITS | 16
_GZIP_MAGIC = b"\x1f\x8b\x08"
_HELMS_LABELS = ("owner", "name", "version", "status", "createdAt", "modifiedAt")
_ROLLBACK_TEXT = re.compile(r"Rollback to ([0-9]+)")


@dataclass(frozen=True)
class Release:
    """One revision with what it would bring back.

    ``manifest`` is the rendered YAML without hooks; ``hooks`` as helm stores them (name, kind, events,
    manifest ...); ``values`` the user's (they may hold secrets); ``apply_method`` is ``ssa`` or ``csa``.
    ``labels`` are those that were given to helm; ``manager`` is what wrote the Secret; ``crds`` the files of
    the chart's ``crds/`` folder with a digest of each; ``stored`` is the Secret's resourceVersion;
    ``installed`` when the release was first deployed, as helm wrote it: the same in all revisions of one
    installation, and another after uninstall and install.
    """

    revision: Revision
    manifest: str = field(repr=False)
    hooks: tuple[JsonObject, ...] = field(default=(), repr=False)
    values: JsonObject = field(default_factory=dict, repr=False)
    apply_method: str = "csa"
    labels: dict[str, str] = field(default_factory=dict)
    manager: str = ""
    crds: dict[str, str] = field(default_factory=dict)
    stored: str = ""
    installed: str = ""


@dataclass(frozen=True)
class ReleaseHistory:
    """The newest revisions, oldest first. ``unreadable``: revision -> why it could not be decoded.

    ``older`` are the numbers of those that exist beyond the newest 30 and were not read.
    """

    namespace: str
    name: str
    releases: tuple[Release, ...]
    unreadable: dict[int, str] = field(default_factory=dict)
    older: tuple[int, ...] = ()

    @property
    def head(self) -> Release:
        """The newest revision, whatever its status."""
        return self.releases[-1]

    @property
    def deployed(self) -> Release | None:
        """The newest revision that helm calls deployed, or None (there may be two: see helm-measured)."""
        return next((one for one in reversed(self.releases) if one.revision.status == "deployed"), None)

    @property
    def deployed_numbers(self) -> tuple[int, ...]:
        """All revisions that helm calls deployed: one, or none or two after something went wrong."""
        return tuple(one.revision for one in self.revisions if one.status == "deployed")

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """All revisions that were read, oldest first."""
        return tuple(one.revision for one in self.releases)

    def get(self, revision: int) -> Release | None:
        """That revision, or None if it does not exist (never made, pruned) or could not be read."""
        return next((one for one in self.releases if one.revision.revision == revision), None)

    def content_of(self, revision: int) -> Release | None:
        """That revision or, where it was pruned, the newest one that rolled back to it (same content)."""
        alike = (one for one in reversed(self.releases) if self.origin(one.revision.revision) == revision)
        return self.get(revision) or next(alike, None)

    def origin(self, revision: int) -> int:
        """The revision whose content this one has: "Rollback to N" followed to its beginning.

        It may be a number that was pruned meanwhile; a revision that is no rollback is its own origin.
        """
        while (found := self.get(revision)) is not None:
            earlier = found.revision.rollback_of
            if earlier is None or earlier >= revision:
                break
            revision = earlier
        return revision

    def bad_before(self, revision: int) -> Release | None:
        """What ``revision`` replaced: the last one before it with another manifest; None if there is none."""
        new = self.get(revision)
        older = (one for one in reversed(self.releases) if one.revision.revision < revision)
        return next((one for one in older if new is not None and one.manifest != new.manifest), None)


def fetch_history(
    kube: Kube,
    namespace: str,
    release: str,
    also: Collection[int] = (),
    timeout_s: float = 5.0,
    known: ReleaseHistory | None = None,
    *,
    together: bool = False,
) -> ReleaseHistory:
    """The newest 30 revisions of ``release``, and those of ``also`` whatever their age.

    What is in ``known`` and was not written since is not fetched again: one request where nothing changed.
    ``together``: in pages instead of one by one, which is fewer requests, but a search of the namespace more.
    Raises NotFound if the namespace does not exist, HelmProblem if the release does not (near names are
    listed) or if its head cannot be decoded, and the ClusterErrors of what could not be read.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    found = kube.list_metadata(path, {"labelSelector": f"owner=helm,name={release}"}, timeout_s)
    names = {number: item for item in found if (number := _number(item)) is not None}
    if not names:
        raise _missing(kube, path, namespace, release, timeout_s)
    numbers = sorted(names)
    wanted = [number for number in numbers if number in numbers[-NEWEST:] or number in also]

    def get(number: int) -> JsonObject:
        name = quote(names[number]["metadata"]["name"], safe="")
        return kube.get(f"{path}/{name}", timeout_s=timeout_s)

    def fetch(number: int) -> Release:
        before = known.get(number) if known is not None else None
        if before is not None and before.stored and before.stored == _stored(names[number]):
            return before
        found = paged.get(number)
        if isinstance(found, HelmProblem):
            raise found
        return found or _release(get(number), namespace)

    paged: dict[int, Release | HelmProblem] = {}
    if together and known is None:
        with suppress(NotFound, BadAnswer):  # what a page does not bring is read by its name
            newest = get(numbers[-1])
            paged[numbers[-1]] = _decoded(newest, namespace)
            paged |= _in_pages(kube, namespace, release, wanted[:-1], _size(newest), timeout_s)

    releases: list[Release] = []
    unreadable: dict[int, str] = {}
    for number, result in zip(wanted, fetch_each(fetch, wanted, _AT_ONCE), strict=True):
        if isinstance(result, Release):
            releases.append(result)
        elif isinstance(result, HelmProblem):
            unreadable[number] = str(result)
        elif not isinstance(result, NotFound):  # that one was pruned while we read
            raise result
    if not releases or numbers[-1] in unreadable:
        why = unreadable.get(numbers[-1], "its Secrets vanished while they were read.")
        raise HelmProblem(f"The head of release {release} in namespace {namespace} cannot be read: {why}")
    believed = tuple(_believed(each, releases) for each in releases)
    return ReleaseHistory(
        namespace, release, believed, unreadable, tuple(one for one in numbers if one not in wanted)
    )


def _in_pages(
    kube: Kube, namespace: str, release: str, numbers: Collection[int], size_bytes: int, timeout_s: float
) -> dict[int, Release | HelmProblem]:
    """Those revisions, as many in an answer as fit where all are about as large as ``size_bytes``."""
    if not numbers:
        return {}
    among = ",".join(map(str, numbers))
    query = {
        "labelSelector": f"owner=helm,name={release},version in ({among})",
        "limit": str(max(1, _PAGE_BYTES // size_bytes)),
    }
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    return {
        number: _decoded(secret, namespace)
        for page in kube.pages(path, query, timeout_s)
        for secret in page
        if (number := _number(secret)) is not None
    }


def rollback_hooks(release: Release) -> tuple[JsonObject, ...]:
    """The hooks that helm runs when it goes back to ``release``, as it stores them."""
    events = {"pre-rollback", "post-rollback"}
    return tuple(hook for hook in release.hooks if events.intersection(hook.get("events") or ()))


def decode_release(secret: JsonObject) -> JsonObject:
    """Helm's own JSON (name, info, chart, config, manifest, hooks, version ...) out of a release Secret.

    Raises HelmProblem if it is something else.
    """
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        if packed.startswith(_GZIP_MAGIC):
            unpacker = zlib.decompressobj(_GZIP)
            packed = unpacker.decompress(packed, _UNPACKED_LIMIT_BYTES)
            if not unpacker.eof:
                raise ValueError
        content = json.loads(packed)
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("info"), dict):
        name = (secret.get("metadata") or {}).get("name")
        raise HelmProblem(f"The Secret {name} holds no release that can be decoded.")
    return content


def _decoded(secret: JsonObject, namespace: str) -> Release | HelmProblem:
    try:
        return _release(secret, namespace)
    except HelmProblem as problem:
        return problem


def _release(secret: JsonObject, namespace: str) -> Release:
    content = decode_release(secret)
    info: JsonObject = content["info"]
    metadata = (content.get("chart") or {}).get("metadata") or {}
    description = str(info.get("description") or "")
    manifest = str(content.get("manifest") or "")
    rolled = _ROLLBACK_TEXT.fullmatch(description)
    rollback_of = info.get("rollback_revision") or (int(rolled[1]) if rolled else None)
    deployed_at = _time(info.get("last_deployed")) or _time(secret["metadata"].get("creationTimestamp"))
    number = _number(secret)
    if number is None or deployed_at is None:
        raise HelmProblem(
            f"The Secret {secret['metadata'].get('name')} does not say which revision, or when."
        )
    return Release(
        Revision(
            revision=number,
            status=str(info.get("status") or "unknown"),
            chart=f"{metadata.get('name', '?')}-{metadata.get('version', '?')}",
            app_version=str(metadata.get("appVersion") or ""),
            deployed_at=deployed_at,
            description=description,
            rollback_of=rollback_of,
            images=_images(manifest, namespace),
        ),
        manifest=manifest,
        hooks=tuple(content.get("hooks") or ()),
        values=content.get("config") or {},
        apply_method=str(content.get("apply_method") or "csa"),
        labels={
            str(key): str(value)
            for key, value in (secret["metadata"].get("labels") or {}).items()
            if key not in _HELMS_LABELS
        },
        manager=next(
            (str(each.get("manager") or "") for each in secret["metadata"].get("managedFields") or ()), ""
        ),
        crds=_crds(content.get("chart") or {}),
        stored=_stored(secret),
        installed=str(info.get("first_deployed") or ""),
    )


def _believed(release: Release, others: Collection[Release]) -> Release:
    """Without "Rollback to N" where somebody only wrote that: `helm upgrade` has --description too."""
    back = release.revision.rollback_of
    if back is None or not _ROLLBACK_TEXT.fullmatch(release.revision.description):
        return release
    origin = next((one for one in others if one.revision.revision == back), None)
    if origin is None or origin.manifest == release.manifest:
        return release
    return replace(release, revision=release.revision.model_copy(update={"rollback_of": None}))


def _crds(chart: JsonObject) -> dict[str, str]:
    """What ``helm install`` once created from ``crds/`` and no upgrade or rollback ever touches."""
    files = [each for each in chart.get("files") or () if isinstance(each, dict)]
    return {
        str(each.get("name")): hashlib.sha256(str(each.get("data")).encode()).hexdigest()
        for each in files
        if str(each.get("name")).startswith("crds/")
        and str(each.get("name")).endswith((".yaml", ".yml", ".json"))
    }


def _images(manifest: str, namespace: str) -> tuple[str, ...]:
    # Most of a large manifest is CRDs and ConfigMaps: only documents that can hold an image are parsed.
    documents = [one for one in re.split(r"^---", manifest, flags=re.MULTILINE) if "image" in one]
    try:
        return manifest_images(parse_manifest("\n---".join(["", *documents]), namespace))
    except HelmProblem:
        return ()  # said where the manifest itself is needed


def _missing(kube: Kube, path: str, namespace: str, release: str, timeout_s: float) -> ZkRollbackError:
    try:
        kube.get(f"/api/v1/namespaces/{quote(namespace, safe='')}", timeout_s=timeout_s)
    except NotFound:
        return NotFound(
            f"There is no namespace {namespace} in this cluster. Check `namespace` and `context` of the "
            "environment."
        )
    except Forbidden:
        pass  # no proof of absence
    except ClusterError as error:
        return error
    others = kube.list_metadata(path, {"labelSelector": "owner=helm"}, timeout_s)
    names = sorted({str((item["metadata"].get("labels") or {}).get("name")) for item in others})
    near = difflib.get_close_matches(release, names, n=5, cutoff=0.4) or names[:5]
    listed = f"releases there: {', '.join(near)}" if near else "there is no release at all"
    return HelmProblem(
        f"There is no release {release} in namespace {namespace}; {listed}. Only releases that helm stores "
        "in Secrets (its default) are seen."
    )


def _size(secret: JsonObject) -> int:
    """About the bytes of its JSON."""
    return 2_000 + len(str((secret.get("data") or {}).get("release")))


def _stored(item: JsonObject) -> str:
    return str(item["metadata"].get("resourceVersion") or "")


def _number(item: JsonObject) -> int | None:
    label = (item["metadata"].get("labels") or {}).get("version")
    return int(label) if isinstance(label, str) and label.isascii() and label.isdigit() else None


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None
