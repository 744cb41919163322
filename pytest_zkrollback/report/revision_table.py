"""The table of a release's revisions: for `--rollback-list`, a target that is refused, and a rehearsal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..domain.record import GREEN_OUTCOMES, GuardState, Mode, ObjectionKind, Record
from ..domain.revision_list import RevisionList, RevisionRow, plan_rows
from .failures import listed
from .formatting import duration, moment
from .incident_facts import head, is_usual_description, looked_at
from .sanitize import inert_line
from .styled_lines import Line, Span, fit
from .way_back import failed_on

# Of a run that says more than this; --rollback-list shows all of them.
_SHOWN_OF_A_RUN = 10
_HEADS = ("REV", "STATUS", "AGE", "DEPLOYED FOR", "CHART")
_GAP = "  "


def render_revision_list(found: RevisionList, width: int = 0) -> list[Line]:
    """All that was found. ``width``: columns to fit into; 0: a fact is one line, however long."""
    title = f"{found.release} in namespace {found.namespace}, {found.cluster}"
    return [
        *fit(title, width, "bold"),
        (),
        *render_rows(found.revisions, width),
        (),
        *(line for text in _said_below(found) for line in fit(text, width)),
        *fit(found.proposal, width, "bold"),
        *([(Span("Next:"),)] if found.next_commands else []),
        *((Span(f"  {inert_line(command)}"),) for command in found.next_commands),
    ]


def render_rows_of_run(record: Record, width: int = 0) -> list[Line]:
    """The newest revisions, and the target, where a run was refused for its target or only rehearses."""
    refused = any(guard.id == "target" and guard.state is GuardState.REFUSED for guard in record.guards)
    if not record.plan.history or not (refused or record.mode is Mode.PLAN):
        return []
    rows = plan_rows(record.plan, looked_at(record))
    target = [row for row in rows[_SHOWN_OF_A_RUN:] if row.revision == record.target_revision]
    shown = [*rows[:_SHOWN_OF_A_RUN], *target]
    lines = render_rows(shown, width)
    if len(shown) < len(rows):
        rest = f"{len(rows) - len(shown)} older ones are left out: --rollback-list shows all."
        lines += fit(rest, width, "dim")
    return lines


def render_rows(rows: Sequence[RevisionRow], width: int = 0) -> list[Line]:
    """The table, newest first. What does not fit into a line goes on in the next: nothing is cut."""
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEADS, *cells, strict=True)]
    indent = widths[0] + len(_GAP)
    lines = [_row_line(_HEADS, widths, "bold")]
    for row, texts in zip(rows, cells, strict=True):
        *first, chart = texts
        line = _row_line(texts, widths, _row_style(row))
        if width and len(line[0].text) > width:
            lines.append(_row_line((*first, ""), widths, _row_style(row)))
            lines += fit(chart, width, _row_style(row), indent=indent)
        else:
            lines.append(line)
        for note in _notes(row):
            lines += fit(note.text, width, note.style, indent=indent)
    return lines


def _row_line(texts: Sequence[str], widths: Sequence[int], style: str) -> Line:
    number, *rest = texts
    cells = [
        number.rjust(widths[0]),
        *(text.ljust(size) for text, size in zip(rest, widths[1:], strict=True)),
    ]
    return (Span(_GAP.join(cells).rstrip(), style),)


def _cells(row: RevisionRow) -> tuple[str, ...]:
    chart = row.chart + (f" (app {row.app_version})" if row.app_version else "")
    return (
        str(row.revision),
        inert_line(row.status) or "not read",
        duration(row.age_s),
        duration(row.deployed_for_s) or "-",
        inert_line(chart),
    )


def _row_style(row: RevisionRow) -> str:
    return "bold" if row.is_current else ""


def _notes(row: RevisionRow) -> Iterator[Span]:
    said = ["the current revision"] if row.is_current else []
    said += [f"what {listed(row.taken_by)} would take"] if row.taken_by else []
    said += [f"rollback to {row.rollback_of}"] if row.rollback_of is not None else []
    said += [f"deployed by {row.deployed_by}"] if row.deployed_by else []
    if said:
        yield Span("; ".join(said))
    told = any(inert_line(row.description) in inert_line(each.text) for each in row.objections)
    if row.description and not is_usual_description(row.description) and not told:
        yield Span(f"description: {row.description}")
    yield from _images(row)
    yield from _verdicts(row)


def _images(row: RevisionRow) -> Iterator[Span]:
    """What changed of an image is said once, where only its tag or digest did; of several that changed alike,
    too."""
    old, new = _by_repository(row.removed_images), _by_repository(row.new_images)
    changed = [name for name in new if len(new[name]) == len(old.get(name, ())) == 1]
    alike: dict[str, list[str]] = {}
    for name in changed:
        change = f"{_version(name, old[name][0])} -> {_version(name, new[name][0])}"
        alike.setdefault(change, []).append(name)
    if changed:
        yield Span(f"images: {'; '.join(f'{listed(names)} {change}' for change, names in alike.items())}")
    for what, images in (("new images", new), ("no longer", old)):
        rest = [image for name, found in images.items() if name not in changed for image in found]
        if rest:
            yield Span(f"{what}: {', '.join(rest)}")


def _by_repository(images: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image in images:
        place, slash, name = image.partition("@")[0].rpartition("/")
        found.setdefault(f"{place}{slash}{name.partition(':')[0]}", []).append(image)
    return found


def _version(repository: str, image: str) -> str:
    return image.removeprefix(repository).removeprefix(":") or "(no tag)"


def _verdicts(row: RevisionRow) -> Iterator[Span]:
    if row.verified is not None:
        when = f" at {moment(row.verified.at)}" if row.verified.at is not None else ""
        yield Span(f"verified by this tool{when} (run {row.verified.run_id})", "green")
    for each in row.objections:
        if each.kind is ObjectionKind.SAME_AS_CURRENT:
            yield Span(each.text)
        else:
            yield Span(f"against it: {each.text.removeprefix('is ')}", "red")


def notes_of_run(record: Record) -> dict[int, tuple[str, ...]]:
    """For the report's history: what was known of each revision before, and what this run found itself."""
    found = {
        row.revision: [
            *(note.text for note in _images(row)),
            *(note.text for note in _verdicts(_without_current(row))),
        ]
        for row in plan_rows(record.plan, looked_at(record))
    }
    judged, failed = head(record), [item.id for item in failed_on(record)]
    if judged is not None and record.outcome in GREEN_OUTCOMES:
        found.setdefault(judged, []).append("verified by this run")
    elif judged is not None and failed:
        found.setdefault(judged, []).append(f"failed {listed(failed)} in this run")
    return {number: tuple(notes) for number, notes in found.items()}


def verdicts_of_run(record: Record) -> dict[int, str]:
    """``VERIFIED`` or ``FAILED`` of each revision that was judged; this run has the last word."""
    failed = (ObjectionKind.FAILED, ObjectionKind.JUDGED_FAILED)
    found = dict.fromkeys(record.plan.verified_revisions, "VERIFIED")
    found |= {each.revision: "FAILED" for each in record.plan.objections if each.kind in failed}
    judged = head(record)
    if judged is not None and record.outcome in GREEN_OUTCOMES and record.mode is not Mode.PLAN:
        found[judged] = "VERIFIED"
    elif judged is not None and failed_on(record):
        found[judged] = "FAILED"
    return found


def _without_current(row: RevisionRow) -> RevisionRow:
    """Which revision is the current one may have changed since."""
    kept = tuple(each for each in row.objections if each.kind is not ObjectionKind.SAME_AS_CURRENT)
    return row.model_copy(update={"objections": kept})


def _said_below(found: RevisionList) -> Iterator[str]:
    for target in found.targets:
        taken = f"revision {target.revision}" if target.revision is not None else "none"
        yield f"--rollback-to={target.name} would take {taken}: {target.because}."
    yield from found.unknown
