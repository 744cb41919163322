"""``python -m pytest_zkrollback.report merge DIR``: members' records as one."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...domain.errors import UsageProblem
from ...domain.fleet import FleetRecord
from ...domain.record import Mode
from ..redaction import Redactor
from ..summary import GREEN
from .folder import Asked, merge_folder, read_folder, write_fleet
from .words import count_line, headline

NOT_GREEN, NOTHING_MERGED = 1, 2


def merge_records(
    folder: Path,
    *,
    fleet: str,
    fleet_run_id: str,
    waves: Sequence[str],
    mode: Mode | None,
    output: Path | None,
) -> int:
    """The exit code: 0 green, 1 not green, 2 nothing was merged. Says on stderr what could not be read.

    ``mode``: what the members were to do; a rehearsal is green only where nothing else was asked for.

    Nothing has to be known of the members' secrets: their own runs have taken them out.
    """
    try:
        asked = Asked(fleet=fleet, fleet_run_id=fleet_run_id, waves=parse_waves(waves), mode=mode)
        record = merge_folder(read_folder(folder), asked)
        versions = {"pytest-zkrollback": __version__, "Python": platform.python_version()}
        record = record.model_copy(update={"versions": record.versions or versions})
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            record = _seen_from(output, folder, record)
        page = write_fleet(output or folder, record, Redactor())
    except (UsageProblem, OSError) as problem:
        text = f"{problem.filename}: {problem.strerror}" if isinstance(problem, OSError) else str(problem)
        sys.stderr.write(f"{text}\n")
        return NOTHING_MERGED
    for each in record.problems:
        sys.stderr.write(f"{each}\n")
    sys.stdout.write(f"{headline(record)}: {count_line(record)}.\n{record.summary}\n{page}\n")
    return 0 if record.outcome in GREEN else NOT_GREEN


def _seen_from(output: Path, folder: Path, record: FleetRecord) -> FleetRecord:
    """``record`` with its members' files, which it names from ``folder``, named from ``output``."""

    def moved(file: str) -> str:
        return Path(os.path.relpath(folder / file, output)).as_posix() if file else ""

    members = tuple(
        each.model_copy(update={"record": moved(each.record), "page": moved(each.page)})
        for each in record.members
    )
    return record.model_copy(update={"members": members})


def parse_waves(typed: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """``["eu-canary", "eu-1,eu-2"]`` as waves. Raises UsageProblem where a name is missing or named twice."""
    waves = tuple(tuple(name.strip() for name in wave.split(",")) for wave in typed)
    names = Counter(name for wave in waves for name in wave)
    if names[""]:
        raise UsageProblem("--wave names environments with commas between them, e.g. --wave=eu-1,eu-2.")
    if twice := [name for name, count in names.items() if count > 1]:
        raise UsageProblem(f"--wave names {', '.join(twice)} twice: each member is in one wave.")
    return waves
