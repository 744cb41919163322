"""What this command has begun, on disk before it is begun: so a killed command can be typed again.

One line of JSON each, in ``journal.jsonl`` of the fleet run's own folder. Whether helm may run is never read
from it: each member's lock and journal in its cluster say that. It says which runs of members may still be
alive, and under which id the fleet's run goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

FILE = "journal.jsonl"
# A command that was killed longer ago belongs to another incident.
RESUMED_WITHIN = timedelta(hours=24)
# More than any fleet's journal has; what is longer is no journal of ours.
_MOST_BYTES = 8_000_000


@dataclass(frozen=True)
class Wanted:
    """What a command asks for: a command that asks for the same goes on with a killed one.

    ``waves`` are the members. A fleet that was edited meanwhile is another one: who was taken out would have
    no place in its record.
    """

    fleet: str
    mode: str
    target: str
    waves: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Unfinished:
    """A fleet run without an end.

    ``runs``: member -> the ids of its runs, oldest first. ``open``: member -> the one that has no end.
    """

    fleet_run_id: str
    started_at: datetime
    folder: Path
    runs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)


class FleetJournal:
    """Appends to one fleet run's journal, and holds it: one command at a time works on a fleet run."""

    def __init__(self, folder: Path) -> None:
        """Nothing is opened yet."""
        self.folder = folder
        self._file: BinaryIO | None = None
        self.problem = ""

    def open(self) -> bool:
        """Take it; False where another command works on it. What cannot be written is :attr:`problem`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / FILE).open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._file.tell():  # a killed command may have left half a line
                self._file.write(b"\n")
        except BlockingIOError:
            self.close()
            return False
        except OSError as error:
            self.problem = f"{self.folder / FILE} cannot be written ({error.strerror})"
            self.close()
        return True

    def note(self, event: str, **facts: Any) -> None:
        """One more line, on disk when this returns. A disk that does not take it is :attr:`problem`."""
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"event": event, **facts}).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self.problem = f"{self.folder / FILE} cannot be written ({error.strerror})"

    def close(self) -> None:
        """Others may have it."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def find_unfinished(report_dir: Path, wanted: Wanted, now: datetime | None) -> Unfinished | None:
    """The newest fleet run of ``report_dir`` that asked for the same and has no end; None: there is none.

    What was written last too long before ``now`` (None: however long), is no journal of ours or cannot be
    read, is passed over.
    """
    for path in sorted(report_dir.glob(f"*/{FILE}"), reverse=True):
        found = _read(path)
        if found is None or found[0] != wanted:
            continue
        return None if _is_old(path, now) else found[1]
    return None


def _is_old(path: Path, now: datetime | None) -> bool:
    try:
        written_s = path.stat().st_mtime
    except OSError:
        return False
    return now is not None and now.timestamp() - written_s > RESUMED_WITHIN.total_seconds()


def _read(path: Path) -> tuple[Wanted, Unfinished | None] | None:
    """What a journal asked for and, where it has no end, what it has begun. None: it is none."""
    entries = list(_lines(path))
    try:
        first = next(each for each in entries if each.get("event") == "begun")
        waves = tuple(tuple(map(str, wave)) for wave in first["waves"])
        wanted = Wanted(str(first["fleet"]), str(first["mode"]), str(first["target"]), waves)
        started_at, run_id = datetime.fromisoformat(first["started_at"]), str(first["fleet_run_id"])
        if started_at.tzinfo is None:
            return None
        runs: dict[str, tuple[str, ...]] = {}
        alive: dict[str, str] = {}
        for each in entries:
            if each["event"] == "member-begun" and each["phase"] == "run":
                runs[each["member"]] = (*runs.get(each["member"], ()), each["run_id"])
                alive[each["member"]] = each["run_id"]
            elif each["event"] == "member-ended" and alive.get(each["member"]) == each["run_id"]:
                del alive[each["member"]]
    except (StopIteration, KeyError, TypeError, ValueError):
        return None
    if any(each["event"] == "ended" for each in entries):
        return wanted, None
    return wanted, Unfinished(run_id, started_at, path.parent, runs, alive)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line; the last one may be half, where the command was killed."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):  # half a line, or nested too deeply
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
