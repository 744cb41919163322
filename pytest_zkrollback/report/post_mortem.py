"""The fields of a post-mortem that only people can fill in, and what they did. Nothing is escaped yet."""

from __future__ import annotations

from typing import NamedTuple

from ..domain.notes import AddedNote, NoteKind
from ..domain.record import Mode, Outcome, Record
from .file_names import file_stem
from .formatting import moment

NONE_YET = "none given yet"
_COMMAND = "python -m pytest_zkrollback.report note"


class Field(NamedTuple):
    """One field: its name, and what was filled in, oldest first; the newest alone where only one can hold."""

    name: str
    kind: NoteKind
    notes: tuple[AddedNote, ...]


# Name, whether a later one replaces an earlier one, and how it is typed.
_FIELDS = {
    NoteKind.SEVERITY: ("Severity", True, '--severity "..."'),
    NoteKind.DETECTED: ("Detected", True, '--detected "..." --detected-at 02:11'),
    NoteKind.ROOT_CAUSE: ("Root cause", True, '--root-cause "..."'),
    NoteKind.LESSON: ("Lessons", False, '--lesson "..."'),
    NoteKind.ACTION: ("Action items", False, '--action "OWNER: ..." --due 2026-12-15'),
}


def is_wanted(record: Record) -> bool:
    """Whether there was an incident to write about: a rehearsal is none, nor is an ordinary deploy."""
    if record.notes:
        return True
    if record.outcome is Outcome.RUNNING or record.mode is Mode.PLAN:
        return False
    return record.mode is not Mode.VERIFY or record.plan.rolled_back_from is not None


def fields(record: Record) -> tuple[Field, ...]:
    """Every field, filled in or not, in the order of a post-mortem; notes of another kind come last."""
    found = []
    for kind, (name, replaces, _) in _FIELDS.items():
        notes = _of_kind(record, kind)
        found.append(Field(name, kind, notes[-1:] if replaces else notes))
    if notes := _of_kind(record, NoteKind.NOTE):
        found.append(Field("Notes", NoteKind.NOTE, notes))
    return tuple(found)


def command(record: Record) -> str:
    """The shell line that fills in what is missing; where nothing is, one that adds to it."""
    missing = [how for kind, (_, _, how) in _FIELDS.items() if not _of_kind(record, kind)]
    return " ".join([_COMMAND, f"{file_stem(record)}.json", *(missing or ['"..."'])])


def is_complete(record: Record) -> bool:
    """Whether every field is filled in."""
    return all(_of_kind(record, kind) for kind in _FIELDS)


def words(note: AddedNote) -> str:
    """What it says, without its field's name: ``ada: add a readiness gate (due 2026-12-15)``."""
    match note.kind:
        case NoteKind.ACTION:
            return f"{note.owner}: {note.text}{f' (due {note.due})' if note.due else ''}"
        case NoteKind.DETECTED:
            by = f"by {note.text}" if note.text else ""
            at = f"at {moment(note.detected_at)}" if note.detected_at is not None else ""
            return ", ".join(filter(None, (by, at)))
    return note.text


def added_by(note: AddedNote) -> str:
    """``ada@laptop, 2026-11-24 08:00:00 UTC``."""
    return f"{note.author}, {moment(note.at)}"


def spoken(note: AddedNote) -> str:
    """The same with its field's name, for a message: ``root cause: the pool size was 0``."""
    names = {
        NoteKind.SEVERITY: "severity",
        NoteKind.DETECTED: "detected",
        NoteKind.ROOT_CAUSE: "root cause",
        NoteKind.LESSON: "lesson",
        NoteKind.ACTION: "action item for",
    }
    said, name = words(note), names.get(note.kind, "")
    if note.kind in (NoteKind.ACTION, NoteKind.DETECTED):
        return f"{name} {said}"
    return f"{name}: {said}" if name else said


def _of_kind(record: Record, kind: NoteKind) -> tuple[AddedNote, ...]:
    return tuple(each for each in record.notes if each.kind is kind)
