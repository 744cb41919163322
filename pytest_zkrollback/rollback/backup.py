"""The release's Secrets, saved before anything is changed: what helm would need to forget nothing.

``helm rollback`` deletes old revisions and leaves records half written (docs/helm-facts.md, 5). With this
file the history can be put back (docs/backup.md). It holds the release's values, so it is its owner's alone
and never in reports/ or in a bundle.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from ..clients.state_dir import write_private
from ..domain.checks import JsonObject
from ..domain.ports import Kube
from ..domain.record import Backup
from ..release.helm_secret import records_in_a_page

KEPT_FILES = 10
_ENCODER = json.JSONEncoder(indent=1)
_SERVERS_OWN = ("resourceVersion", "uid", "creationTimestamp", "managedFields")


def save_backup(
    kube: Kube,
    namespace: str,
    release: str,
    folder: Path,
    now: datetime,
    run_id: str,
    each_bytes: int,
    *,
    cluster: str,
) -> Backup:
    """Save all revisions' Secrets to one file that ``kubectl create -f`` takes; beyond 10 older files go.

    They come in pages, the largest has ``each_bytes``: all at once may be ten megabytes, several times.
    ``cluster`` is its name in the file's name (letters, digits, dashes): of two clusters' releases of one
    name neither takes the other's files away. Raises ClusterError and OSError.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    query = {"labelSelector": f"owner=helm,name={release}", "limit": str(records_in_a_page(each_bytes))}
    written = _WrittenList(secret for page, _ in kube.pages(path, query) for secret in page)
    stem = f"{cluster}.{namespace}.{release}."
    file = write_private(folder / f"{stem}{now:%Y%m%dT%H%M%SZ}.{run_id}.json", written.parts())
    # A release may be called as another one and a dot; a clock may have gone back.
    ours = re.compile(re.escape(stem) + r"[0-9]{8}T[0-9]{6}Z\.[A-Za-z0-9-]+\.json")
    older = sorted(path for path in folder.iterdir() if ours.fullmatch(path.name) and path != file)
    for old in older[: max(0, len(older) - KEPT_FILES + 1)]:
        old.unlink(missing_ok=True)
    return Backup(path=str(file), revisions=written.count, digest=written.digest.hexdigest())


class _WrittenList:
    """A ``List`` of Secrets as JSON, part by part; counted and hashed while it is written."""

    def __init__(self, secrets: Iterable[JsonObject]) -> None:
        self._secrets = secrets
        self.count = 0
        self.digest = hashlib.sha256()

    def parts(self) -> Iterator[str]:
        for text in self._texts():
            self.digest.update(text.encode())
            yield text

    def _texts(self) -> Iterator[str]:
        yield '{"apiVersion": "v1", "kind": "List", "items": ['
        for secret in self._secrets:
            yield ",\n" if self.count else "\n"
            yield from _ENCODER.iterencode(_portable(secret))
            self.count += 1
        yield "\n]}\n"


def _portable(secret: JsonObject) -> JsonObject:
    metadata = {key: value for key, value in secret["metadata"].items() if key not in _SERVERS_OWN}
    return {"apiVersion": "v1", "kind": "Secret", **secret, "metadata": metadata}
