"""The recovery picture: ready replicas by revision, health, verdicts and helm's run, as inline SVG.

Everything that it shows is also said in words (:func:`recovery_words`). Colours come from the page's style
sheet by class; dashes and shapes carry the same difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from ..domain.record import Record, Revision, SamplePoint
from .failures import word_of
from .formatting import clock_time
from .incident_facts import find_affected, find_live, split_series
from .sanitize import inert_line
from .svg import ROW, Axis, css_class, cut_label, in_both_widths, render_svg, time_axis

_LETTER = 6.4  # a label's widest usual one
_LINE = 13
_LANE = 64


@dataclass(frozen=True)
class _Run:
    """A stretch of time in which a series kept one value."""

    start: datetime
    end: datetime
    value: float


def _runs(points: Iterable[SamplePoint], until: datetime) -> list[_Run]:
    """Stretches of one value each; the last one lasts ``until`` the watch ended."""
    ordered = sorted(points, key=lambda point: point.at)
    runs: list[_Run] = []
    for point in ordered:
        if runs and runs[-1].value == point.value:
            runs[-1] = _Run(runs[-1].start, point.at, point.value)
        else:
            if runs:
                runs[-1] = _Run(runs[-1].start, point.at, runs[-1].value)
            runs.append(_Run(point.at, point.at, point.value))
    if runs:
        runs[-1] = _Run(runs[-1].start, max(until, runs[-1].end), runs[-1].value)
    return runs


def _seen_until(record: Record) -> datetime:
    return max((point.at for point in record.samples), default=record.started_at)


def _replicas(record: Record) -> dict[str, dict[str, list[_Run]]]:
    """Workload -> revision or image -> runs."""
    series: dict[str, list[SamplePoint]] = defaultdict(list)
    for point in record.samples:
        series[point.series].append(point)
    lanes: dict[str, dict[str, list[_Run]]] = defaultdict(dict)
    for name, points in series.items():
        if name.startswith("replicas/"):
            _, workload, version = split_series(name)
            lanes[workload][version] = _runs(points, _seen_until(record))
    return lanes


def _wanted(record: Record, workload: str) -> float:
    """How many replicas were wanted at most; 0 where that was not noted."""
    return max((point.value for point in record.samples if point.series == f"wanted/{workload}"), default=0)


def recovery_words(record: Record) -> tuple[str, ...]:
    """The recovery picture in sentences, one per lane; empty without samples."""
    said = []
    for workload, versions in _replicas(record).items():
        for version, runs in versions.items():
            course = [f"{run.value:g} from {clock_time(run.start)}" for run in runs[:6]]
            more = f" and {len(runs) - 6} more changes" if len(runs) > 6 else ""
            name = _version_name(version, _side(version, record), record)
            wanted = _wanted(record, workload)
            of = f" ({wanted:g} wanted)" if wanted else ""
            said.append(inert_line(f"{workload}, {name}: ready replicas{of} {', '.join(course)}{more}."))
    health = [point for point in record.samples if point.series == "health"]
    if health:
        good = [point.at for point in health if point.value >= 1]
        runs = _runs(health, health[-1].at)
        if not good:
            said.append(f"Health: none of {len(health)} probes was ok.")
        else:
            last = (
                f"ok from {clock_time(runs[-1].start)} to the end"
                if runs[-1].value >= 1
                else "not ok at the end"
            )
            said.append(f"Health: {len(good)} of {len(health)} probes ok, {last}.")
    judged = sorted(item.finished_at for item in record.items if item.finished_at)
    if said and judged:
        said.append(
            f"Verdicts: {len(judged)} of {len(record.items)}, "
            f"from {clock_time(judged[0])} to {clock_time(judged[-1])}."
        )
    return tuple(said)


def render_recovery(record: Record) -> Markup:
    """The recovery picture; empty Markup without samples."""
    lanes = _replicas(record)
    health = [point for point in record.samples if point.series == "health"]
    if len({point.at for point in record.samples}) < 2:  # one look is no course
        return Markup("")
    axis = time_axis(record)
    return in_both_widths(_picture(record, lanes, health, each) for each in (axis, axis.for_phone()))


def _picture(
    record: Record, lanes: dict[str, dict[str, list[_Run]]], health: list[SamplePoint], axis: Axis
) -> Markup:
    parts: list[Markup] = []
    y = 6
    for workload, versions in lanes.items():
        parts.append(_lane(axis, y, workload, versions, record))
        y += _LANE + (38 if axis.is_narrow else 20)
    if health:
        parts.append(_health(axis, y, _runs(health, health[-1].at)))
        y += ROW + (24 if axis.is_narrow else 8)
    verdicts, height = _verdicts(axis, y, record)
    return render_svg(
        "recovery", "Recovery", " ".join(recovery_words(record)), axis, record, [*parts, verdicts], y + height
    )


def _verdicts(axis: Axis, top: int, record: Record) -> tuple[Markup, int]:
    """Each item's verdict as its shape at its moment, and the height that they take."""
    judged = sorted(
        ((item.finished_at, item) for item in record.items if item.finished_at), key=lambda each: each[0]
    )
    parts, taken = [], [0.0]  # right edge of what stands in each row
    for at, item in judged:
        left = round(min(axis.x(at), axis.right) - 7, 1)
        row = next((row for row, right in enumerate(taken) if right <= left), len(taken))
        taken[row : row + 1] = [left + 15]
        word = css_class(word_of(item, record))
        parts.append(
            Markup(
                "<g><title>{}: {}, {}</title>"
                '<use href="#zkr-{}" class="v-{}" x="{}" y="{}" width="14" height="14"/></g>'
            ).format(
                inert_line(item.id),
                word_of(item, record),
                clock_time(at),
                word,
                word,
                left,
                top + 4 + 16 * row + (18 if axis.is_narrow else 0),
            )
        )
    if not parts:
        return Markup(""), 0
    label = Markup('<text class="lbl" x="0" y="{}">verdicts</text>').format(
        top + (12 if axis.is_narrow else 16)
    )
    return Markup("").join([label, *parts]), 16 * len(taken) + (28 if axis.is_narrow else 10)


def _lane(axis: Axis, top: int, workload: str, versions: dict[str, list[_Run]], record: Record) -> Markup:
    ready = max((run.value for runs in versions.values() for run in runs), default=0)
    most = max(ready, _wanted(record, workload)) or 1
    kind, _, name = workload.partition("/")
    heading = "ready replicas" if not name else f"{kind}, ready replicas"
    top += 18 if axis.is_narrow else 0
    parts = [
        _lane_name(axis, top, name or kind, heading),
        Markup('<text class="num" x="{}" y="{}" text-anchor="end">{:g}</text>').format(
            axis.left - 4, top + 10, most
        ),
        Markup('<text class="num" x="{}" y="{}" text-anchor="end">0</text>').format(
            axis.left - 4, top + _LANE + 3
        ),
        Markup('<line class="base" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
            axis.left, axis.right, y=top + _LANE
        ),
    ]
    taken: list[tuple[float, float, float]] = []
    for version, runs in versions.items():
        side = _side(version, record)
        style = _style(record, workload, version, runs)
        path, (x, y) = _steps(axis, top, runs, most)
        parts.append(Markup('<path class="step {}" d="{}"/>').format(style, path))
        text = cut_label(_version_name(version, side, record), 34)
        ends = x > axis.right - 146
        at = min(x + 5, axis.right)
        parts.append(
            Markup('<text class="sub {}" x="{}" y="{}"{}>{}</text>').format(
                style,
                at,
                _free_y(taken, at - ends * len(text) * _LETTER, len(text), y + (12 if y < top + 20 else -5)),
                Markup(' text-anchor="end"') if ends else "",
                text,
            )
        )
    return Markup("").join(parts)


def _lane_name(axis: Axis, top: int, name: str, heading: str) -> Markup:
    if axis.is_narrow:
        return Markup('<text class="lbl" x="0" y="{}">{} <tspan class="sub">{}</tspan></text>').format(
            top - 5, cut_label(name, 27), heading
        )
    return Markup('<text class="lbl" x="0" y="{}">{}</text><text class="sub" x="0" y="{}">{}</text>').format(
        top + 16, cut_label(name, 27), top + 32, heading
    )


def _style(record: Record, workload: str, version: str, runs: Sequence[_Run]) -> str:
    """``good`` or ``bad`` by what was seen, else ``other``; ``left`` where this run went away from it.

    What was left is judged by how it stood at the first look, what was gone to by the last one.
    """
    side, wanted = _side(version, record), _wanted(record, workload)
    users = find_affected(record)
    left = " left" if side == "old" else ""
    ready = (runs[0] if side == "old" else runs[-1]).value
    if side == "other" or not wanted:
        return f"other{left}"
    if ready < wanted:
        return f"bad{left}"
    well = users.before is False if side == "old" else find_live(record).health is not False
    alone = side == "old" and _has_no_health(record)
    return f"{'good' if well or alone else 'other'}{left}"


def _has_no_health(record: Record) -> bool:
    return all(point.series != "health" for point in record.samples)


def _free_y(taken: list[tuple[float, float, float]], x: float, letters: int, y: float) -> float:
    """Where a label of so many letters at ``x`` covers none before it: at ``y`` or below."""
    end = x + letters * _LETTER
    while any(begins < end and x < ends and abs(other - y) < _LINE for begins, ends, other in taken):
        y += _LINE
    taken.append((x, end, y))
    return round(y, 1)


def _side(version: str, record: Record) -> str:
    """``new`` for the images of the revision gone to, ``old`` for those left, else ``other``."""
    if _has(record.plan.target, version):
        return "new"
    return "old" if _has(record.plan.compared_with, version) else "other"


def _has(revision: Revision | None, version: str) -> bool:
    """True if ``version`` (a tag, an image, or ``revision N``) is one of the revision's."""
    if revision is None:
        return False
    return version == f"revision {revision.revision}" or any(
        image == version or image.endswith(f":{version}") for image in revision.images
    )


def _version_name(version: str, side: str, record: Record) -> str:
    revision = {"old": record.plan.compared_with, "new": record.plan.target}.get(side)
    if revision is None or version.startswith("revision "):
        return version
    return f"{version} (revision {revision.revision})"


def _steps(axis: Axis, top: int, runs: Sequence[_Run], most: float) -> tuple[str, tuple[float, float]]:
    def y(value: float) -> float:
        return round(top + _LANE - value / most * (_LANE - 6), 1)

    path = [f"M{axis.x(runs[0].start)} {y(runs[0].value)}"]
    path += [f"V{y(run.value)}H{axis.x(run.end)}" for run in runs]
    longest = max((run for run in runs if run.value), key=lambda run: run.end - run.start, default=runs[0])
    return "".join(path), (axis.x(longest.start), y(longest.value))


def _health(axis: Axis, top: int, runs: Sequence[_Run]) -> Markup:
    parts = [
        Markup('<text class="lbl" x="0" y="{}">health</text>').format(top + (10 if axis.is_narrow else 15))
    ]
    top += 14 if axis.is_narrow else 0
    for run in runs:
        good = run.value >= 1
        left, right = axis.x(run.start), axis.x(run.end)
        width = max(2.0, round(right - left, 1))
        parts.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>').format(
                "ok" if good else "nok", left, top + 4 if good else top + 9, width, 14 if good else 4
            )
        )
        if width > 60:
            parts.append(
                Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
                    "on" if good else "sub",
                    left + 6,
                    top + 15 if good else top + 5,
                    "ok" if good else "not ok",
                )
            )
    return Markup("").join(parts)
