"""The demo application's images, made without docker: an archive that every runtime's tools import.

The archive is an OCI image layout with docker's ``manifest.json`` beside it. containerd reads the layout, and
with it ``ctr images import``, ``kind load image-archive``, ``k3d image import`` and minikube's containerd;
``docker load`` reads ``manifest.json``, and with it minikube's docker. Same input, same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..domain.errors import DrillProblem

REPOSITORY: Final = "zkprova"
COMMANDS: Final = {"backend": ("backend",), "frontend": ("frontend",), "migrate": ("migrate", "up")}
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PROGRAM: Final = "bin/zkprova"


@dataclass(frozen=True)
class Release:
    """One version of the demo application: the tag of its images, and the migrations that they bring.

    ``migrations``: file name, such as ``0008_orders.up.sql`` -> SQL.
    """

    tag: str
    migrations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A layer, compressed, and the digest of what it was before that."""

    blob: bytes
    diff_id: str


@dataclass(frozen=True)
class Image:
    """One image: ``name`` is its repository; blobs are bytes, the digest of ``manifest`` is the image's."""

    name: str
    tag: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def reference(self) -> str:
        """As a person and a chart write it."""
        return f"{self.name}:{self.tag}"

    @property
    def digest(self) -> str:
        """``sha256:...``, by which a registry knows it."""
        return digest_of(self.manifest)


def digest_of(blob: bytes) -> str:
    """``sha256:...``."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def make_images(
    binary: Path,
    releases: Sequence[Release],
    *,
    repository: str = REPOSITORY,
    pause: str | None = None,
    machine: str | None = None,
) -> list[Image]:
    """An image for every component of every release, named ``REPOSITORY/COMPONENT:TAG``.

    ``binary`` is zkprova for Linux on ``machine`` (None: this one's). ``pause`` is the name, with tag, of one
    more image, for a pod's sandbox. Raises DrillProblem.
    """
    machine = machine or platform.machine().lower()
    architecture = _ARCHITECTURES.get(machine, machine)
    try:
        program = binary.read_bytes()
    except OSError as error:
        raise DrillProblem(f"The drill's images cannot be made of {binary}: {error.strerror}.") from None
    base = _layer({_PROGRAM: program, "etc/passwd": b"root:x:0:0:root:/:/bin/zkprova\n"})
    made = []
    for release in releases:
        for component, command in COMMANDS.items():
            layers = [base]
            if component == "migrate" and release.migrations:
                files = {f"migrations/{name}": text.encode() for name, text in release.migrations.items()}
                layers.append(_layer(files))
            name = f"{repository}/{component}"
            made.append(_image(name, release.tag, command, layers, architecture))
    if pause is not None:
        name, _, tag = pause.rpartition(":")
        made.append(_image(name, tag, ("pause",), [base], architecture))
    return made


def write_archive(images: Sequence[Image], target: Path) -> Path:
    """Write them into one tar file, each blob once; returns ``target``. Raises DrillProblem."""
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                **_descriptor(MANIFEST_TYPE, image.manifest),
                "annotations": {
                    "io.containerd.image.name": normalize(image.reference),
                    "org.opencontainers.image.ref.name": image.tag,
                },
            }
            for image in images
        ],
    }
    docker = [
        {
            "Config": _path(image.config),
            "RepoTags": [image.reference],
            "Layers": [_path(layer.blob) for layer in image.layers],
        }
        for image in images
    ]
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        **{_path(blob): blob for image in images for blob in blobs_of(image)},
        "index.json": _json(index),
        "manifest.json": _json(docker),
    }
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_bytes(_tar(files))
        part.replace(target)
    except OSError as error:
        raise DrillProblem(
            f"The archive of the drill's images cannot be written to {target}: {error.strerror}."
        ) from None
    return target


def blobs_of(image: Image) -> Iterator[bytes]:
    """Layers, configuration, manifest: what a later one names comes before it."""
    yield from (*(layer.blob for layer in image.layers), image.config, image.manifest)


def normalize(reference: str) -> str:
    """The full name, as containerd keeps it: without a registry's host it is Docker Hub's."""
    host, slash, _ = reference.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def _image(name: str, tag: str, command: Sequence[str], layers: Sequence[Layer], architecture: str) -> Image:
    # Entrypoint and command are apart, so that a pod's `args` give the program another role.
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": [f"/{_PROGRAM}"],
                "Cmd": list(command),
                "Env": ["PATH=/bin", f"ZKPROVA_VERSION={tag}"],
                "WorkingDir": "/",
                "Labels": {"org.opencontainers.image.version": tag},
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [_descriptor(_LAYER_TYPE, layer.blob) for layer in layers],
        }
    )
    return Image(name, tag, manifest, config, tuple(layers))


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}


def _path(blob: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _layer(files: Mapping[str, bytes]) -> Layer:
    raw = _tar(files)
    return Layer(gzip.compress(raw, compresslevel=1, mtime=0), digest_of(raw))


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Files with the folders above them; all belong to root and are of 1970."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folders = {parent for name in files for parent in Path(name).parents if parent.name}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder.as_posix())
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name == _PROGRAM else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
