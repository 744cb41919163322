"""Changes a record that is on disk, and renders its page and Markdown again. Two at once lose nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ..domain.errors import UsageProblem
from ..domain.notes import AddedNote
from ..domain.record import Delivery, Outcome, Record
from .bundle import render_bundle
from .file_locks import alone_in, is_held
from .file_names import file_stem
from .files import SUFFIXES, render_json, replace_file
from .html import render_again
from .markdown import render_markdown

LATEST = "latest"
_MOST_TRIES = 20


def add_to_record(file: Path, notes: Sequence[AddedNote] = (), deliveries: Sequence[Delivery] = ()) -> Record:
    """The record with these added, as it now stands on disk; nothing else of it changes.

    Raises what :func:`change_record` raises.
    """

    def add(record: Record) -> Record:
        new = (each for each in notes if each not in record.notes)
        told = (each for each in deliveries if each not in record.deliveries)
        added = {"notes": (*record.notes, *new), "deliveries": (*record.deliveries, *told)}
        return record.model_copy(update=added)

    return change_record(file, add)


def change_record(file: Path, change: Callable[[Record], Record]) -> Record:
    """The record as ``change`` makes it of what stands on disk, where it now stands instead.

    ``file`` may be the run's own or ``latest.json``. Where the other one is of the same run it is written,
    too, and so are the pages, Markdown and bundle that lie beside them. ``change`` is asked again where the
    run itself wrote meanwhile, perhaps of a record that it has changed already. Raises OSError,
    ValidationError where ``file`` is no record, or UsageProblem where its run still goes on.
    """
    with alone_in(file.resolve().parent):
        for _ in range(_MOST_TRIES):
            with suppress(_Overtaken):
                return _change(file, change)
    raise OSError(errno.EBUSY, "its run writes it again and again", str(file))


class _Overtaken(Exception):
    """The run wrote what was about to be replaced."""


def _change(file: Path, change: Callable[[Record], Record]) -> Record:
    named = Record.model_validate_json(file.read_bytes())
    own, latest = (file.with_name(f"{name}.json") for name in (file_stem(named), LATEST))
    found = {}
    for path in dict.fromkeys((own, file, latest)):  # an interruption leaves none ahead of the run's own
        if path == file or _run_of(path) == named.run_id:
            found[path] = path.read_bytes()
    before = Record.model_validate_json(next(iter(found.values())))
    if before.outcome is Outcome.RUNNING and any(map(is_held, found)):
        raise UsageProblem(
            "This run still goes on, and writes its record itself: try again when it has ended."
        )
    record = change(before)
    for path, content in found.items():
        _write(path, record, content, is_latest=path == latest)
    first = next(iter(found))
    if first.read_bytes() != _encoded(render_json(record)):
        raise _Overtaken
    return record


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


def _run_of(path: Path) -> str:
    try:
        return Record.model_validate_json(path.read_bytes()).run_id
    except (OSError, ValidationError):
        return ""


def _write(path: Path, record: Record, before: bytes, *, is_latest: bool) -> None:
    """Raises _Overtaken where ``before`` is no longer what stands at ``path``."""
    made = {".json": render_json(record)}
    if path.with_suffix(".md").is_file():
        made[".md"] = render_markdown(record)
    if (page := path.with_suffix(".html")).is_file():
        made[".html"] = render_again(page.read_text(encoding="utf-8", errors="replace"), record)
    if is_latest and _run_of(path) != record.run_id:
        return  # a run has begun meanwhile: an older verdict may not stand in its place
    if path.read_bytes() != before:
        raise _Overtaken
    for suffix, text in made.items():
        replace_file(path.with_suffix(suffix), _encoded(text))
    if (bundle := path.with_suffix(".zip")).is_file():
        named = [path.with_suffix(suffix) for suffix in SUFFIXES]
        files = {each.name: each.read_bytes() for each in named if each.is_file()}
        replace_file(bundle, render_bundle(record, files))
