"""One revision as helm stores it in a Secret (storage driver ``secret``, Helm 3 and 4).

Source: helm's pkg/storage/driver/secrets.go and util.go: Secrets of type ``helm.sh/release.v1`` with the
labels owner, name, status and version; ``data.release`` is base64 of base64 of gzipped JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..domain.checks import JsonObject
from ..domain.errors import HelmProblem
from ..domain.record import Revision
from ..domain.timestamps import parse_time
from .documents import Manifest, document_texts, read_documents, read_manifest, read_once
from .manifest import manifest_images

# A Secret holds 1 MiB packed, and charts pack to a tenth. What unpacks to more is read nowhere.
_UNPACKED_LIMIT_BYTES = 16 << 20
# For the images' names, which all revisions are asked for, no more YAML than this is parsed.
_IMAGES_LIMIT_CHARACTERS = 1 << 20
PAGE_BYTES = 1_000_000
_PIECE_BYTES = 1 << 18
_GZIP = zlib.MAX_WBITS | 16
_GZIP_MAGIC = b"\x1f\x8b\x08"
_HELMS_LABELS = ("owner", "name", "version", "status", "createdAt", "modifiedAt")
UNINSTALLING = "uninstalling"
# A pipeline's `helm upgrade --wait` hangs for helm's default of 5 minutes, and rarely for 10.
FRESH = timedelta(minutes=10)
# helm's own words (pkg/action); a failed revision keeps them when it is relabelled `superseded` later.
_FAILED = re.compile(r'(Release|Upgrade|Rollback) "[^"]*" failed: ', re.DOTALL)
_WENT = ("deployed", "superseded")
# Between two clocks that both are right, and what lies between helm's own time and its Secret.
_NEAR = timedelta(minutes=1)
_RECORD_NAME = "sh.helm.release.v1.{}.v{}"
_DEFINITION = "CustomResourceDefinition"
_CRD = re.compile(rf"^kind:\s*[\"']?{_DEFINITION}\b", re.MULTILINE)
# Lines in which the revisions of a chart differ, and which say nothing of a document's kind or shape: an
# image, labels and annotations of a domain (version, checksum). Only what is text without doubt.
# Each begins with the end of the line before: a pattern that begins with a letter is found much faster.
_IMAGE_LINE = re.compile(
    r"""(\n[ ]*+(?:-[ ]++)?image:[ ]++)(["']?)([A-Za-z][\w.-]*[/:][\w./:@-]*\w)\2[ ]*$""", re.MULTILINE
)
_TEXT = r"""(?:"[\w.+-]+"|'[\w.+-]+'|[A-Za-z]\w*[-.][\w.-]*|(?=\w*[a-df])[0-9a-f]{64})"""
_LABEL_LINE = re.compile(rf"(\n[ ]*+[\w.-]++/[\w.-]++:[ ]++){_TEXT}[ ]*$", re.MULTILINE)
_MASK = "zkrollback-masked-"
_MASKED = re.compile(_MASK + "([0-9]+)")
# Also in a List, and in braces.
_SECRET = re.compile(r"""kind["']?[ ]*:\s*["']?Secret\b""")
ROLLBACK_TEXT = re.compile(r"Rollback to ([0-9]+)")


@dataclass(frozen=True)
class Release:
    """One revision with what it would bring back.

    ``manifest`` is the rendered YAML without hooks; ``hooks`` as helm stores them (name, kind, events,
    manifest ...); ``values`` the user's (they may hold secrets); ``apply_method`` is ``ssa`` or ``csa``.
    ``labels`` are those that were given to helm; ``manager`` is what wrote the Secret; ``crds`` the files of
    the chart's ``crds/`` folder with a digest of each; ``stored`` is the Secret's resourceVersion;
    ``installed`` when the release was first deployed, as helm wrote it: the same in all revisions of one
    installation, and another after uninstall and install. ``deleted_at`` is when a `helm uninstall` began;
    ``created`` is when the Secret was made, by the API
    server's clock: helm makes it before it changes anything; ``size_bytes`` is about its size as JSON;
    ``secret`` is the Secret's name, ``uid`` its uid; ``namespace`` the one that the record names: its objects
    stand there. Flux may keep the record in another one (``storageNamespace``). Empty: it names none.
    ``chart_version``: without the chart's name, which ``revision.chart`` begins with.
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
    deleted_at: datetime | None = None
    created: datetime | None = None
    size_bytes: int = 0
    secret: str = ""
    uid: str = ""
    namespace: str = ""
    chart_version: str = ""

    def read(self, namespace: str) -> Manifest:
        """Its manifest; ``namespace`` is where its objects stand if the record does not say it."""
        return read_manifest(self.manifest, self.namespace or namespace)

    def read_hook(self, hook: JsonObject, namespace: str) -> Manifest:
        """The same of one of its hooks."""
        return read_manifest(str(hook.get("manifest") or ""), self.namespace or namespace)

    @property
    def began(self) -> datetime:
        """When helm began to deploy it: by the API server's clock, unless the Secret was made anew since (a
        restored backup), or helm's machine has another time."""
        said = self.revision.deployed_at
        near = self.created is not None and abs(self.created - said) <= _NEAR
        return self.created if near and self.created is not None else said

    @property
    def never_applied(self) -> bool:
        """Whether it is known that nothing but hooks of it ever reached the cluster: helm ends an install, an
        upgrade or a rollback whose hook fails before it applies anything (pkg/action).

        The hooks of a rollback are those of its target with what became of them there, until they run again.
        """
        failed = [
            set(hook.get("events") or ())
            for hook in self.hooks
            if (hook.get("last_run") or {}).get("phase") == "Failed"
        ]
        if self.revision.rollback_of is not None:
            under_way = self.revision.status.startswith(("pending", "failed"))
            return under_way and {"pre-rollback"} in failed
        before, after = {"pre-install", "pre-upgrade"}, {"post-install", "post-upgrade"}
        return any(events & before and not events & after for events in failed)

    def holds_the_same(self, other: Release) -> bool:
        """Whether both state the same objects and the same hooks."""
        return self.manifest == other.manifest and _hook_texts(self) == _hook_texts(other)

    def states_the_same(self, other: Release) -> bool:
        """Whether both state the same objects, hooks aside."""
        return self.manifest == other.manifest

    def other_than(self, earlier: Release) -> str:
        """Why this is another one than the revision of the same number that was read before; empty: the same.

        Numbers begin anew when a release was uninstalled; a Secret of helm's own is written again, and never
        made again.
        """
        if self.installed != earlier.installed:
            return f"the release was first deployed at {self.installed or 'an unknown time'}"
        if self.uid != earlier.uid:
            return "its Secret was made anew"
        return "" if self.holds_the_same(earlier) else "it holds other objects"

    @property
    def under_way_since(self) -> datetime | None:
        """Since when an operation works on it or died on it (``pending-*``, ``uninstalling``); else None."""
        if self.revision.status == UNINSTALLING:
            return self.deleted_at or self.revision.deployed_at
        return self.revision.deployed_at if self.revision.status.startswith("pending") else None

    def may_be_at_work(self, now: datetime) -> bool:
        """Whether the helm of that operation may still live."""
        return is_fresh(self.under_way_since, now)


def is_fresh(under_way_since: datetime | None, now: datetime) -> bool:
    """Whether the helm of an operation that began then may still live; None: there is none."""
    return under_way_since is not None and now - under_way_since < FRESH


@dataclass(frozen=True)
class Outline:
    """One revision without what it would bring back: of hundreds of them each has some hundred bytes.

    ``content`` is a digest of its objects and hooks, ``objects`` one of its objects alone; the rest is as in
    :class:`Release`.
    """

    revision: Revision
    chart_version: str
    content: str
    objects: str
    installed: str = ""
    under_way_since: datetime | None = None

    @classmethod
    def of(cls, release: Release) -> Outline:
        """The outline of a revision that was read."""
        objects = _digest(release.manifest).hex()
        hooks = json.dumps(_hook_texts(release))
        content = _digest(f"{objects}{hooks}").hex()
        return cls(
            release.revision,
            release.chart_version,
            content,
            objects,
            release.installed,
            release.under_way_since,
        )

    def holds_the_same(self, other: Outline) -> bool:
        """Whether both state the same objects and the same hooks."""
        return self.content == other.content

    def states_the_same(self, other: Outline) -> bool:
        """Whether both state the same objects, hooks aside."""
        return self.objects == other.objects


def failure_in(revision: Revision) -> bool:
    """Whether helm did not bring it to its end."""
    return revision.status not in _WENT or bool(_FAILED.match(revision.description))


def _hook_texts(release: Release) -> list[tuple[str, str]]:
    return sorted((str(hook.get("events")), str(hook.get("manifest"))) for hook in release.hooks)


def rollback_hooks(release: Release) -> tuple[JsonObject, ...]:
    """The hooks that helm runs when it goes back to ``release``, as it stores them."""
    events = {"pre-rollback", "post-rollback"}
    return tuple(hook for hook in release.hooks if events.intersection(hook.get("events") or ()))


def deploy_hooks(release: Release) -> tuple[JsonObject, ...]:
    """Those of its hooks that more than `helm test` runs, as helm stores them."""
    tests = {"test", "test-success", "test-failure"}
    return tuple(hook for hook in release.hooks if not tests.issuperset(hook.get("events") or ()))


def decode_release(secret: JsonObject) -> JsonObject:
    """Helm's own JSON (name, info, chart, config, manifest, hooks, version ...) out of a release Secret.

    It is taken out: a megabyte need not be there in four forms at once. Raises HelmProblem if it is something
    else.
    """
    name = (secret.get("metadata") or {}).get("name")
    try:
        content = json.loads(_unpacked(secret))
    except _TooLargeError:
        raise HelmProblem(
            f"The Secret {name} was not read: it unpacks to more than {_UNPACKED_LIMIT_BYTES >> 20} MB."
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error, zlib.error, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("info"), dict):
        raise HelmProblem(f"The Secret {name} holds no release that can be decoded.")
    return content


class _TooLargeError(Exception):
    """It unpacks to more than the limit."""


def _unpacked(secret: JsonObject) -> str:
    """The JSON, taken out of the Secret. Raises KeyError, TypeError, ValueError, zlib.error and
    _TooLargeError."""
    packed = base64.b64decode(base64.b64decode(secret["data"].pop("release")))
    if not packed.startswith(_GZIP_MAGIC):
        return packed.decode()
    # Piece by piece: in one go it would be there twice, in blocks and joined.
    unpacker, unpacked = zlib.decompressobj(_GZIP), bytearray()
    while packed:
        unpacked += unpacker.decompress(packed, _PIECE_BYTES)
        packed = unpacker.unconsumed_tail
        if len(unpacked) > _UNPACKED_LIMIT_BYTES:
            raise _TooLargeError
    if not unpacker.eof:
        raise ValueError
    return unpacked.decode()


def parse_release(
    secret: JsonObject,
    namespace: str,
    number: int | None = None,
    once: ReadOnce | None = None,
) -> Release:
    """The revision in a release Secret, which is taken out of it; raises HelmProblem.

    ``number``: as which helm reads it; None: that of its labels. ``once``: reads the images, and
    keeps no document.
    """
    size_bytes = record_bytes(secret)
    content = decode_release(secret)
    info: JsonObject = content["info"]
    metadata = (content.get("chart") or {}).get("metadata") or {}
    description = str(info.get("description") or "")
    manifest = str(content.get("manifest") or "")
    rolled = ROLLBACK_TEXT.fullmatch(description)
    rollback_of = info.get("rollback_revision") or (int(rolled[1]) if rolled else None)
    deployed_at = parse_time(info.get("last_deployed")) or parse_time(
        secret["metadata"].get("creationTimestamp")
    )
    number = number or revision_number(secret)
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
            images=_images(manifest, namespace) if once is None else once.images(manifest, namespace),
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
        stored=stored_version(secret),
        installed=str(info.get("first_deployed") or ""),
        deleted_at=parse_time(info.get("deleted")),
        created=parse_time(secret["metadata"].get("creationTimestamp")),
        size_bytes=size_bytes,
        secret=str(secret["metadata"].get("name") or ""),
        uid=str(secret["metadata"].get("uid") or ""),
        namespace=str(content.get("namespace") or ""),
        chart_version=str(metadata.get("version") or ""),
    )


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
    texts = [text for text in document_texts(manifest) if _can_hold_images(text)]
    return manifest_images(read_documents(_few(texts), namespace))


def _can_hold_images(text: str) -> bool:
    """Most of a large manifest is CRDs and ConfigMaps: only documents that can hold an image are parsed."""
    return "image" in text and not (_DEFINITION in text and _CRD.search(text))


def _few(texts: list[str]) -> list[str]:
    return texts if sum(map(len, texts)) <= _IMAGES_LIMIT_CHARACTERS else []


class ReadOnce:
    """Reads what an outline needs of manifests: each text once, however many revisions hold it.

    Texts that differ in their images and versions alone are one text here: of hundreds of revisions few are
    parsed. ``look`` is called with the objects of each Secret and of each document with images.
    """

    def __init__(self, look: Callable[[Sequence[JsonObject]], object]) -> None:
        """Nothing is read yet."""
        self._look = look
        self._found: dict[bytes, tuple[str, ...]] = {}
        self._like: dict[bytes, tuple[str, ...] | None] = {}

    def images(self, manifest: str, namespace: str) -> tuple[str, ...]:
        """The images of all pod templates, sorted, each once."""
        texts = [text for text in document_texts(manifest) if self._is_wanted(text, namespace)]
        return tuple(sorted({image for text in _few(texts) for image in self._of(text, namespace)}))

    def _is_wanted(self, text: str, namespace: str) -> bool:
        """Whether it can hold an image; a Secret is looked at meanwhile."""
        if "Secret" in text and _SECRET.search(text):
            self._read(text, namespace)
        return _can_hold_images(text)

    def _of(self, text: str, namespace: str) -> tuple[str, ...]:
        """The images of one document."""
        key = _digest(text)
        found = self._found.get(key)
        if found is None:
            alike = self._alike(text, namespace)
            found = self._found[key] = self._read(text, namespace) if alike is None else alike
        return found

    def _alike(self, text: str, namespace: str) -> tuple[str, ...] | None:
        """By a document like it; None: it has to be read itself."""
        if _MASK in text:
            return None
        masked, images = _mask(text)
        key = _digest(masked)
        if key not in self._like:
            self._like[key] = self._read_masked(masked, namespace)
        found: list[str] = []
        for each in self._like[key] or ():
            image = _unmasked(each, images)
            if image is None:
                return None
            found.append(image)
        return None if self._like[key] is None else tuple(found)

    def _read_masked(self, text: str, namespace: str) -> tuple[str, ...] | None:
        """None: a Secret is in it, perhaps in a List, and its values have to be looked at as they are."""
        objects = read_once(text, namespace)
        if any(item.get("kind") == "Secret" for item in objects):
            return None
        self._look(objects)
        return manifest_images(objects)

    def _read(self, text: str, namespace: str) -> tuple[str, ...]:
        key = _digest(text)
        found = self._found.get(key)
        if found is None:
            objects = read_once(text, namespace)
            self._look(objects)
            found = self._found[key] = manifest_images(objects)
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _mask(text: str) -> tuple[str, list[str]]:
    """The text with a word in the place of each image and of each version, and these images.

    A line in a block of text is taken for one, too: its word is then nowhere among the images.
    """
    images: list[str] = []

    def put(found: re.Match[str]) -> str:
        images.append(found[3])
        return f"{found[1]}{found[2]}{_MASK}{len(images) - 1}{found[2]}"

    return _LABEL_LINE.sub(r"\1zkrollback-version", _IMAGE_LINE.sub(put, text)), images


def _unmasked(image: str, images: Sequence[str]) -> str | None:
    """None: more than the word stands there, as where a scalar goes on in the next line."""
    masked = _MASKED.fullmatch(image)
    if masked is not None:
        return images[int(masked[1])]
    return None if _MASK in image else image


def record_bytes(secret: JsonObject) -> int:
    """About the size of a release Secret's JSON."""
    return 2_000 + len(str((secret.get("data") or {}).get("release")))


def records_in_a_page(each_bytes: int) -> int:
    """How many of them to ask for at once: a megabyte, which may be several on its way."""
    return max(1, PAGE_BYTES // max(1, each_bytes))


def stored_version(item: JsonObject) -> str:
    """Its resourceVersion; another one: it was written since."""
    return str(item["metadata"].get("resourceVersion") or "")


def record_name(release: str, number: int) -> str:
    """The name of the Secret in which helm keeps a revision."""
    return _RECORD_NAME.format(release, number)


def named_revision(item: JsonObject, release: str) -> int | None:
    """By its name, as helm reads it; None: it has no such name."""
    name, first = str(item["metadata"].get("name") or ""), record_name(release, 0)[:-1]
    number = name.removeprefix(first)
    return int(number) if name != number and number.isascii() and number.isdigit() else None


def revision_number(item: JsonObject) -> int | None:
    """By its label; None: it is none of helm's."""
    label = (item["metadata"].get("labels") or {}).get("version")
    return int(label) if isinstance(label, str) and label.isascii() and label.isdigit() else None
