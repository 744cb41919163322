"""Changes a record that is on disk, and renders its page and Markdown again. Two at once lose nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from ..domain.notes import AddedNote
from ..domain.record import Delivery, Record
from .bundle import render_bundle
from .file_names import file_stem
from .files import SUFFIXES, render_json, replace_file
from .html import render_again
from .markdown import render_markdown

LATEST = "latest"


def add_to_record(file: Path, notes: Sequence[AddedNote] = (), deliveries: Sequence[Delivery] = ()) -> Record:
    """The record with these added, as it now stands on disk; nothing else of it changes."""

    def add(record: Record) -> Record:
        added = {"notes": (*record.notes, *notes), "deliveries": (*record.deliveries, *deliveries)}
        return record.model_copy(update=added)

    return change_record(file, add)


def change_record(file: Path, change: Callable[[Record], Record]) -> Record:
    """The record as ``change`` makes it of what stands on disk, where it now stands instead.

    ``file`` may be the run's own or ``latest.json``. Where the other one is of the same run it is written,
    too, and so are the pages, Markdown and bundle that lie beside them. Raises OSError, or ValidationError
    where ``file`` is no record.
    """
    with _locked(file.resolve().parent):
        record = change(Record.model_validate_json(file.read_bytes()))
        own, latest = (file.with_name(f"{name}.json") for name in (file_stem(record), LATEST))
        for path in dict.fromkeys((own, file, latest)):  # an interruption leaves none ahead of the run's own
            if path == file or _run_of(path) == record.run_id:
                _write(path, record, is_latest=path == latest)
        return record


def _run_of(path: Path) -> str:
    try:
        return Record.model_validate_json(path.read_bytes()).run_id
    except (OSError, ValidationError):
        return ""


def _write(path: Path, record: Record, *, is_latest: bool) -> None:
    made = {".json": render_json(record)}
    if path.with_suffix(".md").is_file():
        made[".md"] = render_markdown(record)
    if (page := path.with_suffix(".html")).is_file():
        made[".html"] = render_again(page.read_text(encoding="utf-8", errors="replace"), record)
    if is_latest and _run_of(path) != record.run_id:
        return  # a run has begun meanwhile: an older verdict may not stand in its place
    for suffix, text in made.items():
        replace_file(path.with_suffix(suffix), text.encode("utf-8", errors="replace"))
    if (bundle := path.with_suffix(".zip")).is_file():
        named = [path.with_suffix(suffix) for suffix in SUFFIXES]
        files = {each.name: each.read_bytes() for each in named if each.is_file()}
        replace_file(bundle, render_bundle(record, files))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone among those who add to records in ``folder``; a file is replaced, so the folder is what stays."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
