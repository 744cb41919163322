"""The pictures: what recovered when, and what was judged when. Inline SVG, drawn from the record alone.

Everything that a picture shows is also said in words (:func:`recovery_words`, the checklist's times).
Colours come from the page's style sheet by class; shapes and dashes carry the same difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from ..domain.model import Record, Revision, SamplePoint
from .inert import inert_line
from .red import (
    word_of,
)
from .times import clock_time, duration

WIDTH = 960
_LEFT = 190
_RIGHT = 14
_LANE = 64
_ROW = 24
_AXIS = 26
_KINDS = ("deployment", "statefulset", "daemonset")
_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True)
class _Axis:
    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(_LEFT + min(1.0, max(0.0, share)) * (WIDTH - _LEFT - _RIGHT), 1)

    def ticks(self) -> list[tuple[float, str]]:
        span = (self.end - self.start).total_seconds()
        step = next((each for each in _STEPS_S if span / each <= 9), _STEPS_S[-1])
        count = min(12, int(span / step))
        return [
            (self.x(self.start + timedelta(seconds=index * step)), "0" if not index else _short(index * step))
            for index in range(count + 1)
        ]


def _short(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def _axis(record: Record) -> _Axis:
    """From the first look on: what comes before (a drill's start) would only squeeze it."""
    times = [each.at for each in record.samples]
    times += [each for item in record.items for each in (item.started_at, item.finished_at) if each]
    times += [each for each in (record.helm.started_at, record.helm.finished_at, record.recovered_at) if each]
    start, end = min(times, default=record.started_at), max(times, default=record.started_at)
    return _Axis(start, max(end, start + timedelta(seconds=1)) + (end - start) * 0.02)


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
            parts = name.removeprefix("replicas/").split("/")
            named = 2 if parts[0] in _KINDS else 1  # an image may hold slashes itself
            lanes["/".join(parts[:named])]["/".join(parts[named:])] = _runs(points, _seen_until(record))
    return lanes


def charts_begin(record: Record) -> datetime:
    """The moment that both pictures call 0."""
    return _axis(record).start


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
    return tuple(said)


def render_recovery(record: Record) -> Markup:
    """The recovery picture; empty Markup without samples."""
    lanes = _replicas(record)
    health = [point for point in record.samples if point.series == "health"]
    if not lanes and not health:
        return Markup("")
    axis = _axis(record)
    parts: list[Markup] = []
    y = 6
    for workload, versions in lanes.items():
        parts.append(_lane(axis, y, workload, versions, record))
        y += _LANE + 20
    if health:
        parts.append(_health(axis, y, _runs(health, health[-1].at)))
        y += _ROW + 8
    return _svg("recovery", "Recovery", " ".join(recovery_words(record)), axis, record, parts, y)


def render_gantt(record: Record) -> Markup:
    """A bar per item from the beginning of judging to its verdict; empty Markup if none has begun."""
    shown = [item for item in record.items if item.started_at]
    if not shown:
        return Markup("")
    axis = _axis(record)
    parts: list[Markup] = []
    said = []
    y = 6
    for item in shown:
        start = item.started_at or record.started_at
        end = item.finished_at or axis.end
        word = word_of(item, record)
        left, right = axis.x(start), axis.x(end)
        took = duration(end - start) if item.finished_at else "not ended"
        said.append(f"{item.id}: {word}, {took}.")
        room = right + 16 < WIDTH - 70
        parts.append(
            Markup(
                '<text class="lbl" x="{}" y="{}">{}</text>'
                '<rect class="bar v-{}" x="{}" y="{}" width="{}" height="12" rx="2"/>'
                '<use href="#zkr-{}" class="v-{}" x="{}" y="{}" width="14" height="14"/>'
                '<text class="num" x="{}" y="{}"{}>{}</text>'
            ).format(
                0,
                y + 15,
                _cut(item.id, 27),
                _class(word),
                left,
                y + 5,
                max(1.5, round(right - left, 1)),
                _class(word),
                _class(word),
                round(min(right - 1, WIDTH - 15), 1),
                y + 4,
                right + 18 if room else left - 6,
                y + 15,
                "" if room else Markup(' text-anchor="end"'),
                took,
            )
        )
        y += _ROW
    return _svg("gantt", "When each item was judged", " ".join(said), axis, record, parts, y)


def _class(word: str) -> str:
    return word.lower().replace(" ", "-")


def _svg(
    name: str, title: str, words: str, axis: _Axis, record: Record, parts: Sequence[Markup], height: int
) -> Markup:
    helm = record.helm
    under, over = [], []
    for x, label in axis.ticks():
        under.append(Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(x, height))
        over.append(
            Markup('<text class="num" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x, height + 18, label
            )
        )
    if helm.started_at:
        left, right = axis.x(helm.started_at), axis.x(helm.finished_at or axis.end)
        under.append(
            Markup('<rect class="helm" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>').format(
                left, max(2, round(right - left, 1)), height, "helm's run"
            )
        )
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="zkr-{n}-t zkr-{n}-d">'
        '<title id="zkr-{n}-t">{title}</title><desc id="zkr-{n}-d">{words}</desc>{body}</svg>'
    ).format(
        w=WIDTH,
        h=height + _AXIS,
        n=name,
        title=title,
        words=inert_line(words),
        body=Markup("").join([*under, *parts, *over]),
    )


def _lane(axis: _Axis, top: int, workload: str, versions: dict[str, list[_Run]], record: Record) -> Markup:
    ready = max((run.value for runs in versions.values() for run in runs), default=0)
    most = max(ready, _wanted(record, workload)) or 1
    kind, _, name = workload.partition("/")
    parts = [
        Markup('<text class="lbl" x="0" y="{}">{}</text><text class="sub" x="0" y="{}">{}</text>').format(
            top + 16,
            _cut(name or kind, 27),
            top + 32,
            "ready replicas" if not name else f"{kind}, ready replicas",
        ),
        Markup('<text class="num" x="{}" y="{}" text-anchor="end">{:g}</text>').format(
            _LEFT - 6, top + 10, most
        ),
        Markup('<text class="num" x="{}" y="{}" text-anchor="end">0</text>').format(
            _LEFT - 6, top + _LANE + 3
        ),
        Markup('<line class="base" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
            _LEFT, WIDTH - _RIGHT, y=top + _LANE
        ),
    ]
    for version, runs in versions.items():
        style = _side(version, record)
        path, labelled = _steps(axis, top, runs, most)
        parts.append(Markup('<path class="step {}" d="{}"/>').format(style, path))
        x, y = labelled
        anchor = Markup(' text-anchor="end"') if x > WIDTH - 160 else ""
        parts.append(
            Markup('<text class="sub {}" x="{}" y="{}"{}>{}</text>').format(
                style,
                min(x + 5, WIDTH - _RIGHT),
                y + (12 if y < top + 20 else -5),
                anchor,
                _cut(_version_name(version, style, record), 34),
            )
        )
    return Markup("").join(parts)


def _side(version: str, record: Record) -> str:
    """``old`` for the bad revision's images, ``new`` for the target's, ``other`` where that is not known."""
    if _has(record.plan.target, version):
        return "new"
    return "old" if _has(record.plan.bad, version) else "other"


def _has(revision: Revision | None, version: str) -> bool:
    """True if ``version`` (a tag, an image, or ``revision N``) is one of the revision's."""
    if revision is None:
        return False
    return version == f"revision {revision.revision}" or any(
        image == version or image.endswith(f":{version}") for image in revision.images
    )


def _version_name(version: str, side: str, record: Record) -> str:
    revision = {"old": record.plan.bad, "new": record.plan.target}.get(side)
    if revision is None or version.startswith("revision "):
        return version
    return f"{version} (revision {revision.revision})"


def _steps(axis: _Axis, top: int, runs: Sequence[_Run], most: float) -> tuple[str, tuple[float, float]]:
    def y(value: float) -> float:
        return round(top + _LANE - value / most * (_LANE - 6), 1)

    path = [f"M{axis.x(runs[0].start)} {y(runs[0].value)}"]
    path += [f"V{y(run.value)}H{axis.x(run.end)}" for run in runs]
    longest = max((run for run in runs if run.value), key=lambda run: run.end - run.start, default=runs[0])
    return "".join(path), (axis.x(longest.start), y(longest.value))


def _health(axis: _Axis, top: int, runs: Sequence[_Run]) -> Markup:
    parts = [Markup('<text class="lbl" x="0" y="{}">health</text>').format(top + 15)]
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


def _cut(text: str, limit: int) -> Markup:
    line = inert_line(text)
    if len(line) > limit:
        return Markup("<title>{}</title>{}...{}").format(
            line, line[: limit // 2 - 1], line[-(limit // 2 - 2) :]
        )
    return escape(line)
