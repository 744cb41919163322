"""A folder of members' records: what is in it, which fleet's run it tells of, and that run's files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...domain.errors import UsageProblem
from ...domain.fleet import FLEET_SCHEMA, FleetRecord, Member, MemberReason, MemberState, Wave
from ...domain.record import SCHEMA, Mode, Record
from ...domain.regular_files import may_replace, read_regular
from ..file_names import environment_part, fleet_stem
from ..files import replace_file
from ..record_problem import explain_problem
from ..redaction import Redactor
from ..unfinished import Unfinished, unfinished_markdown, unfinished_page
from .fleet_junit import render_fleet_junit
from .fleet_markdown import render_fleet_markdown
from .fleet_page import render_fleet_page
from .member_run import MemberRun, member_run, run_order
from .merge import merge_offline, plan_of
from .words import fleet_label, headline, title
from .written import render_fleet_json

LATEST = "latest"
LATEST_FLEET = "latest-fleet"
# An artifact of a CI is a folder of its own, which may hold ``reports/``.
_DEEPEST = 3
_LARGEST_BYTES = 64 << 20


@dataclass(frozen=True)
class FoundFiles:
    """What a folder holds. ``unreadable``: file name -> why, of files that look like a record."""

    runs: tuple[MemberRun, ...] = ()
    fleets: tuple[FleetRecord, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What was typed of a merge; empty: as the folder says itself."""

    fleet: str = ""
    fleet_run_id: str = ""
    waves: tuple[tuple[str, ...], ...] = ()
    mode: Mode | None = None


def read_folder(folder: Path) -> FoundFiles:
    """All runs' and fleets' records in ``folder`` and below it. Raises OSError for itself alone."""
    runs: dict[str, MemberRun] = {}
    fleets: list[FleetRecord] = []
    unreadable: dict[str, str] = {}
    # Copies last: they are of a run whose own file was read already.
    paths = sorted(_files(folder), key=lambda path: (path.stem.startswith(LATEST), path))
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            found = _read(path)
        except (OSError, ValueError, RecursionError) as problem:
            if not path.stem.startswith(LATEST):
                unreadable[name] = _explain(name, problem)
            continue
        if isinstance(found, FleetRecord):
            is_copy = path.stem.startswith(LATEST)
            if not is_copy or found.fleet_run_id not in {each.fleet_run_id for each in fleets}:
                fleets.append(found)
        elif found is not None:
            page = path.with_suffix(".html")
            run = member_run(found, name, f"{name[:-5]}.html" if page.is_file() else "")
            known = runs.get(run.run_id)
            if known is None or (not path.stem.startswith(LATEST) and _is_newer(run, known)):
                runs[run.run_id] = run
    return FoundFiles(tuple(runs.values()), tuple(fleets), unreadable)


def merge_folder(found: FoundFiles, asked: Asked) -> FleetRecord:
    """The fleet's record of what was found.

    Raises UsageProblem where there is nothing to merge, or it is of another fleet than the typed one.
    """
    run_id = asked.fleet_run_id or _newest_fleet_run(found, asked.fleet)
    runs = [run for run in found.runs if (run.fleet.fleet_run_id if run.fleet else "") == run_id]
    plans = [each for each in found.fleets if each.fleet_run_id == run_id]
    problems = list(found.unreadable.values())
    if not runs and not plans:
        raise UsageProblem(_nothing(found, asked))
    _require_fleet(asked, run_id, runs, plans)
    if not run_id:
        runs, passed_over = _newest_of_each(runs)
        problems += [*passed_over, _when_they_began(runs)]
    if plans and not asked.waves:
        base = max(plans, key=lambda each: (each.finished_at or each.started_at, render_fleet_json(each)))
    else:
        base = plan_of(runs, asked.fleet, asked.waves) if runs else _replanned(plans[0], asked)
        if plans:
            told = max(plans, key=lambda each: (each.finished_at or each.started_at, render_fleet_json(each)))
            base = base.model_copy(update={"notify": told.notify, "deliveries": told.deliveries})
    base = base.model_copy(
        update={
            "fleet": asked.fleet or base.fleet,
            "mode": asked.mode or base.mode,
            "members": tuple(_with_problem(each, runs, found.unreadable) for each in base.members),
            "problems": tuple(dict.fromkeys((*base.problems, *problems))),
        }
    )
    return merge_offline(base, runs)


def write_journal(folder: Path, record: FleetRecord, redactor: Redactor) -> Path:
    """Replace the fleet's JSON alone and its copy, redacted, and return its path. Raises OSError."""
    clean = redactor.fleet(record)
    path = folder / f"{fleet_stem(clean)}.json"
    content = render_fleet_json(clean).encode("utf-8", errors="replace")
    replace_file(path, content)
    _put_latest(folder, ".json", content)
    return path


def write_unfinished(folder: Path, record: FleetRecord, redactor: Redactor) -> None:
    """Say in ``latest-fleet.*``, but for its JSON, that this run goes on. Raises OSError."""
    clean = redactor.fleet(record)
    what = _unfinished(clean)
    for suffix, text in (
        (".md", unfinished_markdown(what)),
        (".xml", render_fleet_junit(clean)),
        (".html", unfinished_page(what)),
    ):
        _put_latest(folder, suffix, text.encode("utf-8", errors="replace"))


def _put_latest(folder: Path, suffix: str, content: bytes) -> None:
    """Replace the copy, where it is a file."""
    if may_replace(latest := folder / f"{LATEST_FLEET}{suffix}"):
        replace_file(latest, content, durable=False)


def _unfinished(record: FleetRecord) -> Unfinished:
    return Unfinished(
        title=title(record),
        headline=f"{headline(record)}: {fleet_label(record)}",
        facts=(
            ("Members", str(len(record.members))),
            ("Reason", record.reason),
            ("Incident", record.incident),
            ("Operator", record.operator),
            ("Run", record.fleet_run_id),
            ("Started", record.started_at.isoformat(timespec="seconds")),
        ),
        record=f"{LATEST_FLEET}.json",
    )


def write_fleet(folder: Path, record: FleetRecord, redactor: Redactor) -> Path:
    """Write the fleet's JSON, Markdown, JUnit and page, and copies as ``latest-fleet.*``; the page's path.

    Raises OSError.
    """
    clean = redactor.fleet(record)
    for suffix, render in (
        (".json", render_fleet_json),
        (".md", render_fleet_markdown),
        (".xml", render_fleet_junit),
        (".html", render_fleet_page),
    ):
        content = render(clean).encode("utf-8", errors="replace")
        replace_file(folder / f"{fleet_stem(clean)}{suffix}", content)
        _put_latest(folder, suffix, content)
    return folder / f"{fleet_stem(clean)}.html"


def _files(folder: Path, depth: int = 0) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            if depth < _DEEPEST:
                yield from _files(path, depth + 1)
        elif path.suffix == ".json":
            yield path


def _read(path: Path) -> Record | FleetRecord | None:
    """The record in a file; None: it is JSON, and no record of ours.

    Raises OSError, ValueError or, nested too deeply, RecursionError.
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"it is larger than {_LARGEST_BYTES >> 20} MiB")
    data: Any = json.loads(read_regular(path))
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema == SCHEMA:
        return Record.model_validate(data)
    if schema == FLEET_SCHEMA:
        return FleetRecord.model_validate(data)
    if isinstance(schema, str) and schema.startswith("zkrollback."):
        raise ValueError(f"it is of schema {schema[:40]}, which this version does not read")
    return None


def _explain(name: str, problem: Exception) -> str:
    if isinstance(problem, ValidationError):
        return f"{explain_problem(Path(name), problem)}."
    if isinstance(problem, OSError):
        return f"{name} cannot be read: {problem.strerror or problem}."
    if isinstance(problem, RecursionError):
        return f"{name} cannot be read: it is nested too deeply."
    return f"{name} cannot be read: {problem}."


def _is_newer(run: MemberRun, known: MemberRun) -> bool:
    """Of two files of one run: what ended, then what is said last; the same whichever was read first."""

    def key(each: MemberRun) -> tuple[bool, str]:
        return each.finished_at is not None, each.model_dump_json()

    return key(run) > key(known)


def _newest_fleet_run(found: FoundFiles, fleet: str) -> str:
    """The id of the newest run of ``fleet``, or of any where none was typed; empty: there is none."""
    started = [(each.started_at, each.fleet_run_id) for each in found.fleets if fleet in ("", each.fleet)]
    started += [
        (run.started_at, run.fleet.fleet_run_id)
        for run in found.runs
        if run.fleet is not None and fleet in ("", run.fleet.fleet)
    ]
    return max(started, default=(None, ""))[1]


def _require_fleet(
    asked: Asked, run_id: str, runs: Iterable[MemberRun], plans: Iterable[FleetRecord]
) -> None:
    """Raises UsageProblem where the run is another fleet's: its verdict says nothing of the one asked for."""
    names = {each.fleet for each in plans} | {run.fleet.fleet for run in runs if run.fleet is not None}
    if asked.fleet and (others := names - {asked.fleet}):
        raise UsageProblem(
            f"Fleet run {run_id} is of fleet {', '.join(sorted(others))}, and not of {asked.fleet}."
        )


def _newest_of_each(runs: Iterable[MemberRun]) -> tuple[list[MemberRun], list[str]]:
    """Runs that belong to no fleet's run: of each environment the newest, and what was passed over."""
    newest: dict[str, MemberRun] = {}
    older: dict[str, int] = {}
    for run in sorted(runs, key=run_order):
        if run.environment in newest:
            older[run.environment] = older.get(run.environment, 0) + 1
        newest[run.environment] = run
    said = [
        f"Of {name} there are {count + 1} records: the newest counts."
        for name, count in sorted(older.items())
    ]
    return list(newest.values()), said


def _when_they_began(runs: Iterable[MemberRun]) -> str:
    """Nothing but the reader can tell whether records of no fleet's run are of today's rollback."""
    ordered = sorted(runs, key=run_order)
    told = [f"{run.environment}'s at {run.started_at:%Y-%m-%d %H:%M} UTC" for run in ordered]
    between = told[0] if len(told) == 1 else f"the first, {told[0]}, and the last, {told[-1]}"
    return f"These records belong to no fleet's run. They began: {between}."


def _replanned(plan: FleetRecord, asked: Asked) -> FleetRecord:
    """The plan with the waves that were typed."""
    waves = tuple(Wave(number=number, members=names) for number, names in enumerate(asked.waves, 1))
    members = tuple(Member(environment=name, wave=wave.number) for wave in waves for name in wave.members)
    return plan.model_copy(update={"waves": waves, "members": members, "unnamed_members": 0})


def _with_problem(member: Member, runs: Sequence[MemberRun], unreadable: dict[str, str]) -> Member:
    """A member whose record is there and cannot be read says so."""
    if member.reason is MemberReason.UNREADABLE_RECORD:  # of an earlier merge: it may be mended
        member = member.model_copy(update={"state": MemberState.WAITING, "reason": None, "said": ""})
    if any(run.environment == member.environment for run in runs):
        return member
    mine = [why for name, why in unreadable.items() if environment_part(member.environment) in f"-{name}"]
    if not mine:
        return member
    said = {"state": MemberState.WAITING, "reason": MemberReason.UNREADABLE_RECORD, "said": mine[-1]}
    return member.model_copy(update=said)


def _nothing(found: FoundFiles, asked: Asked) -> str:
    known = {each.fleet_run_id for each in found.fleets}
    known |= {run.fleet.fleet_run_id for run in found.runs if run.fleet is not None}
    if asked.fleet_run_id and known:
        return f"There is no record of fleet run {asked.fleet_run_id}. There are {', '.join(sorted(known))}."
    fleets = {each.fleet for each in found.fleets}
    fleets |= {run.fleet.fleet for run in found.runs if run.fleet is not None}
    if asked.fleet and fleets:
        return f"There is no record of fleet {asked.fleet}. There are records of {', '.join(sorted(fleets))}."
    if found.unreadable:
        return f"There is no record that can be read. {' '.join(sorted(found.unreadable.values()))}"
    return "There is no record: give the folder that holds the members' JSON files."
