"""An image made without docker: Debian's packages unpacked, Python packages put beside, one layer."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pytest_zkrollback.drill.images import MANIFEST_TYPE, Image, Layer, digest_of, write_archive

# Python and what its modules load; not: apt, dpkg, a shell.
PACKAGES = (
    *("base-files", "libc6", "libgcc-s1", "libstdc++6", "tzdata", "media-types", "readline-common"),
    *(
        "python3.11-minimal",
        "python3.11",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libexpat1",
        "zlib1g",
    ),
    *(
        "libssl3",
        "libbz2-1.0",
        "liblzma5",
        "libffi8",
        "libuuid1",
        "libsqlite3-0",
        "libncursesw6",
        "libtinfo6",
    ),
    *("libreadline8", "libcrypt1", "libdb5.3", "libnsl2", "libtirpc3", "libgssapi-krb5-2", "libkrb5-3"),
    *("libk5crypto3", "libcom-err2", "libkrb5support0", "libkeyutils1"),
)
PYTHON = "3.11"  # Debian 12's
SITE = "opt/site"


def make_root(folder: Path, package: Path, helm: Path) -> Path:
    """A root file system with Python, ``package`` with what it needs, and helm."""
    debs, root = folder / "debs", folder / "root"
    debs.mkdir(parents=True)
    root.mkdir()
    _run(["apt-get", "download", "-q", *PACKAGES], debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg", "-x", str(deb), str(root)], folder)
    uv = Path(sys.executable).with_name("uv")
    where = ["--python-version", PYTHON, "--target", str(root / SITE)]
    _run([str(uv), "pip", "install", "--quiet", "--python", sys.executable, *where, str(package)], folder)
    shutil.copy(helm, root / "usr/bin/helm")
    (root / "usr/bin/python3").symlink_to(f"python{PYTHON}")
    (root / "work").mkdir()
    return root


def write_image(root: Path, name: str, tag: str, target: Path) -> Path:
    """The archive with that one image."""
    raw = target.with_suffix(".layer")
    with tarfile.open(raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(root.iterdir()):
            archive.add(path, arcname=path.name, filter=_of_root)
    data = raw.read_bytes()
    raw.unlink()
    layer = Layer(gzip.compress(data, compresslevel=1, mtime=0), digest_of(data))
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/bin:/bin", f"PYTHONPATH=/{SITE}", "PYTHONDONTWRITEBYTECODE=1"],
                "WorkingDir": "/work",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer.blob)],
    }
    return write_archive([Image(name, tag, _json(manifest), config, (layer,))], target)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _descriptor(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _run(argv: Sequence[str], folder: Path) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: {done.stderr[-800:]}")
