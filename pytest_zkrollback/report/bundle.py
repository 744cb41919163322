"""The ticket bundle: one zip with the page, the record, its evidence as files, and digests of all of it."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from ..domain.record import Item, Record
from ..domain.verdict import Evidence
from .failures import failed_items
from .formatting import moment
from .sanitize import escape_control_characters, inert_line
from .summary import headline, mode_label

# Jira refuses attachments above 10 MB by default.
LIMIT_BYTES = 9_500_000
DIGESTS = "SHA256SUMS"
README = "README.txt"
_RESERVED_BYTES = 200_000  # for the two files above and the zip's own directory
_ENTRY_BYTES = 300
_ENDINGS = {"json": "json", "diff": "diff", "log": "log", "text": "txt"}


def render_bundle(record: Record, files: Mapping[str, bytes], limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The zip's bytes, at most ``limit_bytes``. ``record`` and ``files`` (by name) are redacted.

    What has no room is left out, evidence of what is green first, and README.txt says so.
    """
    entries = {**_by_importance(files), **dict(_evidence_files(record))}
    room = limit_bytes - _RESERVED_BYTES
    kept: dict[str, bytes] = {}
    left_out: list[str] = []
    for name, content in entries.items():
        size = len(zlib.compress(content)) + _ENTRY_BYTES
        if size <= room:
            kept[name] = content
            room -= size
        else:
            left_out.append(f"{name} ({len(content)} bytes)")
    kept[README] = _readme(record, tuple(kept), left_out).encode()
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in kept.items())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {README: kept.pop(README), **kept, DIGESTS: sums.encode()}.items():
            entry = zipfile.ZipInfo(name, record.started_at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


def _by_importance(files: Mapping[str, bytes]) -> dict[str, bytes]:
    order = (".html", ".md", ".json", ".xml")
    return {
        name: files[name]
        for name in sorted(files, key=lambda name: [name.endswith(ending) for ending in order], reverse=True)
    }


def _evidence_files(record: Record) -> Iterator[tuple[str, bytes]]:
    """Every text that proves something, as a file of its own; what failed comes first."""
    if record.plan.diff:
        yield "evidence/manifest.diff", _bytes(record.plan.diff)
    for name, text in (("stdout", record.helm.stdout_tail), ("stderr", record.helm.stderr_tail)):
        if text:
            yield f"evidence/helm-{name}.txt", _bytes(text)
    first = failed_items(record)
    places = {id(item): number for number, item in enumerate(record.items, start=1)}
    for item in (*first, *(item for item in record.items if item not in first)):
        for number, piece in enumerate(item.evidence, start=1):
            yield _evidence_name(places[id(item)], item, number, piece), _bytes(_described(item, piece))


def _evidence_name(place: int, item: Item, number: int, piece: Evidence) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{item.id[:40]}-{number}-{piece.title[:60]}").strip("-").lower()
    return f"evidence/{place:02d}-{words}.{_ENDINGS[piece.kind]}"


def _described(item: Item, piece: Evidence) -> str:
    if piece.kind in ("json", "diff"):
        return piece.text
    lines = (
        f"# {inert_line(piece.title)}",
        f"# {item.verdict or 'no verdict'}: {inert_line(item.observed, 300)}",
        f"# whole: {piece.size_bytes} bytes, sha256 {piece.sha256} (before it was cut and redacted)",
    )
    return "\n".join(lines) + f"\n\n{piece.text}"


def _bytes(text: str) -> bytes:
    return (escape_control_characters(text).rstrip("\n") + "\n").encode("utf-8", errors="replace")


def _readme(record: Record, names: tuple[str, ...], left_out: list[str]) -> str:
    page = next((name for name in names if name.endswith(".html")), "")
    lines = [
        f"{headline(record)}: {inert_line(mode_label(record), 200)}",
        f"Run {inert_line(record.run_id, 40)} of pytest-zkrollback, begun at {moment(record.started_at)}",
        "",
        f"Open {page} first: it needs no network and no script." if page else "The page has no room here.",
        "The .json file is the record itself, the .md file is for a comment, the .xml file is JUnit.",
        "evidence/ has each piece of proof as a file; secrets were taken out of all of them.",
        f"To see that nothing was changed since: sha256sum -c {DIGESTS}",
    ]
    if left_out:
        lines += [
            "",
            "Left out, for want of room in one attachment:",
            *(f"- {each}" for each in left_out[:500]),
        ]
        lines += [f"- and {len(left_out) - 500} more"] if len(left_out) > 500 else []
    return "\n".join(lines) + "\n"
