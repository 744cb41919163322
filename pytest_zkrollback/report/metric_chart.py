"""A metric's picture as inline SVG: curve, limit, and marks for the bad deploy, helm and the verdict.

It is narrow enough to be read whole on a phone. All that it shows is also said in words
(``metric_words.py``), and its numbers stand in its ``data-`` attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor

from markupsafe import Markup

from ..domain.metric import MetricPoint, MetricSeries, limits, shown
from ..domain.record import Record
from .failures import word_of
from .incident_facts import find_affected
from .metric_facts import MetricFacts, find_metrics, is_assumed, is_infinite, points_of
from .metric_words import at_time, metric_words
from .sanitize import inert_line
from .svg import STEPS_S, short_span

_WIDTH, _LEFT, _RIGHT = 640, 58, 34
_PLOT, _FOOT, _ROW = 150, 30, 20
_MOST_TICKS = 8
_APART = 26  # two numbers on the axis, on a phone too
_MOST_ROWS = 12
# The difference of two of them, and a margin, is a finite number still.
_HIGHEST = 1e307


@dataclass(frozen=True)
class Mark:
    """Something that happened, where it stands in the picture. ``inside``: the picture shows that time."""

    number: int
    name: str
    at: datetime
    until: datetime | None
    inside: bool
    when: str


@dataclass(frozen=True)
class MetricFigure:
    """One metric of the page: its picture (empty without a value), its words, and some of its numbers."""

    id: str
    title: str
    picture: Markup
    words: tuple[str, ...]
    marks: tuple[Mark, ...]
    legend: str
    rows: tuple[tuple[datetime, str, str, str], ...]
    total: int


def metric_figures(record: Record) -> tuple[MetricFigure, ...]:
    """All metrics of a record, in the checklist's order."""
    return tuple(
        _figure(series, found, record)
        for series, found in zip(record.metrics, find_metrics(record), strict=True)
    )


def _figure(series: MetricSeries, found: MetricFacts, record: Record) -> MetricFigure:
    points = points_of(series) if found.origin is not None else ()
    words = metric_words(found, series, record)
    plot = _Plot.of(series, points) if len(points) > 1 else None
    marks = tuple(_marks(series, record, points)) if plot is not None else ()
    return MetricFigure(
        id=series.id,
        title=inert_line(series.title),
        picture=_render(plot, series, points, marks, words, record) if plot is not None else Markup(""),
        words=words,
        marks=marks,
        legend=_legend(points, record),
        rows=tuple(
            (each.at, at_time(each.at, record), _value(series, each), _word(each))
            for each in _evenly(points, _MOST_ROWS, found.worst_at)
        ),
        total=len(points),
    )


def _legend(points: Sequence[MetricPoint], record: Record) -> str:
    helm_at = record.helm.started_at
    zero = "when helm began" if helm_at else "when this run began"
    said = [f"0 is {zero}, {at_time(helm_at or record.started_at, record)}", "Dashed red line: the limit"]
    if any(each.within is False for each in points):
        said.append("Red curve: out of bounds")
    if any(each.within is None for each in points):
        said.append("Grey: no value")
    if any(map(is_assumed, points)):
        said.append("Dashed grey line: when_empty stands in for a value")
    return ". ".join(said) + "."


def _value(series: MetricSeries, point: MetricPoint) -> str:
    if is_infinite(point):
        return "infinite"
    if point.value is None:
        return f"none ({point.kind})" if point.kind is not None else "none"
    return shown(series, point.value) + (" (when_empty)" if is_assumed(point) else "")


def _word(point: MetricPoint) -> str:
    return {True: "in order", False: "out of bounds", None: "not known"}[point.within]


def _evenly(points: Sequence[MetricPoint], most: int, worst_at: datetime | None) -> Iterator[MetricPoint]:
    """Evenly chosen, first and last and the worst among them."""
    every = max(1, ceil((len(points) - 1) / (most - 1)))
    for index, point in enumerate(points):
        if index % every == 0 or index == len(points) - 1 or point.at == worst_at:
            yield point


def _marks(series: MetricSeries, record: Record, points: Sequence[MetricPoint]) -> Iterator[Mark]:
    affected, helm, item = find_affected(record), record.helm, record.find_item(series.id)
    found: list[tuple[str, datetime | None, datetime | None]] = []
    if affected.left is not None:
        found.append((f"revision {affected.left} deployed", affected.left_since, None))
    found.append(("helm", helm.started_at, helm.finished_at))
    if item is not None:
        found.append((f"verdict: {word_of(item, record)}", item.finished_at, None))
    number = 0
    for name, at, until in found:
        if at is None:
            continue
        number += 1
        inside = points[0].at <= at
        when = at_time(at, record)
        yield Mark(number, name, at, until, inside, when if inside else f"{when}, before the picture begins")


@dataclass(frozen=True)
class _Plot:
    """Time over the width, values over the height."""

    start: datetime
    end: datetime
    low: float
    high: float

    @classmethod
    def of(cls, series: MetricSeries, points: Sequence[MetricPoint]) -> _Plot:
        values = [each.value for each in points if each.value is not None]
        values += [each for each in (series.max, series.min) if each is not None]
        low, high = max(-_HIGHEST, min(0.0, *values)), min(_HIGHEST, max(*values, -_HIGHEST))
        room = (high - low) * 0.06 or 1.0
        start = points[0].at
        end = max(points[-1].at, start + timedelta(seconds=1))
        return cls(start, end, low - room if low < 0 else low, high + room)

    def x(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(_LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        """From the plot's upper edge down."""
        share = (self.high - value) / (self.high - self.low)
        return round(min(1.0, max(0.0, share)) * _PLOT, 1)

    def ticks(self, zero: datetime) -> Iterator[tuple[float, str, bool]]:
        """Place, label, and whether a phone has room for it."""
        span_s = (self.end - self.start).total_seconds()
        step_s = next((each for each in STEPS_S if span_s / each <= _MOST_TICKS), STEPS_S[-1])
        first = ceil((self.start - zero).total_seconds() / step_s)
        last = floor((self.end - zero).total_seconds() / step_s)
        for index in range(first, last + 1)[: 2 * _MOST_TICKS]:
            at = zero + timedelta(seconds=index * step_s)
            sign = "" if not index else "-" if index < 0 else "+"
            label = "0" if not index else f"{sign}{short_span(abs(index) * step_s)}"
            yield self.x(at), label, index % 2 == 0


def _render(
    plot: _Plot,
    series: MetricSeries,
    points: Sequence[MetricPoint],
    marks: Sequence[Mark],
    words: Sequence[str],
    record: Record,
) -> Markup:
    shown_marks = [each for each in marks if each.inside]
    top = _ROW * len(shown_marks) + 6
    bottom = top + _PLOT
    zero = record.helm.started_at or record.started_at
    parts = [
        *_grid(plot, zero, top, bottom),
        *_limits(plot, series, top),
        *_gaps(plot, points, top),
        *_helm(plot, record, top),
        *_curve(plot, points, top),
        *(_mark(plot, each, row, bottom) for row, each in enumerate(shown_marks)),
    ]
    name = inert_line(f"zkr-{series.id}-chart").replace(" ", "-")
    return Markup(
        '<svg class="chart metric" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d" '
        'data-metric="{id}" data-start="{start}" data-seconds="{seconds}" data-values="{values}">'
        '<title id="{n}-t">{title}</title><desc id="{n}-d">{words}</desc>{body}</svg>'
    ).format(
        w=_WIDTH,
        h=bottom + _FOOT,
        n=name,
        id=inert_line(series.id),
        start=points[0].at.isoformat(timespec="milliseconds"),
        seconds=",".join(
            f"{(each.at - points[0].at).total_seconds():.3f}".rstrip("0").rstrip(".") for each in points
        ),
        values=",".join("" if each.value is None else f"{each.value:.6g}" for each in points),
        title=inert_line(series.title),
        words=" ".join(words),
        body=Markup("").join(parts),
    )


def _grid(plot: _Plot, zero: datetime, top: int, bottom: int) -> Iterator[Markup]:
    for x, label, often in plot.ticks(zero):
        yield Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, top, bottom)
        yield Markup('<text class="num{}" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            "" if often else " wide", x, bottom + 22, label
        )
    yield Markup('<line class="base" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
        _LEFT, _WIDTH - _RIGHT, y=bottom
    )


def _limits(plot: _Plot, series: MetricSeries, top: int) -> Iterator[Markup]:
    """The limits as lines, what lies beyond them, and the numbers on the axis."""
    taken = []
    for limit, beyond in ((series.max, "above"), (series.min, "below")):
        if limit is None:
            continue
        y = top + plot.y(limit)
        taken.append(y)
        edge = top if beyond == "above" else y
        height = round(y - top if beyond == "above" else top + _PLOT - y, 1)
        yield Markup('<rect class="beyond" x="{}" y="{}" width="{}" height="{}"/>').format(
            _LEFT, edge, _WIDTH - _LEFT - _RIGHT, height
        )
        yield Markup(
            '<line class="limit" x1="{}" x2="{}" y1="{y}" y2="{y}"><title>{t}</title></line>'
        ).format(_LEFT, _WIDTH - _RIGHT, y=y, t=inert_line(f"limit: {limits(series)}"))
        yield _number(limit, y, "lim")
    for value in (plot.high - (plot.high - plot.low) * 0.057, min(0.0, plot.low)):
        y = top + plot.y(value)
        if all(abs(y - other) >= _APART for other in taken):
            taken.append(y)
            yield _number(value, y, "num")


def _number(value: float, y: float, style: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="end">{}</text>').format(
        style, _LEFT - 6, round(y + 4, 1), f"{value:.3g}"
    )


def _gaps(plot: _Plot, points: Sequence[MetricPoint], top: int) -> Iterator[Markup]:
    """Times without a value, each as one band."""
    start = None
    for point in [*points, None]:
        gap = point is not None and point.within is None
        if gap and start is None:
            start = point
        elif not gap and start is not None:
            left, right = plot.x(start.at), plot.x(point.at if point is not None else plot.end)
            yield Markup(
                '<rect class="gap" x="{}" y="{}" width="{}" height="{}"><title>no value</title></rect>'
            ).format(left, top, max(1.0, round(right - left, 1)), _PLOT)
            start = None


def _helm(plot: _Plot, record: Record, top: int) -> Iterator[Markup]:
    helm = record.helm
    if helm.started_at is None or not plot.start <= helm.started_at <= plot.end:
        return
    left, right = plot.x(helm.started_at), plot.x(helm.finished_at or plot.end)
    yield Markup('<rect class="helm" x="{}" y="{}" width="{}" height="{}"/>').format(
        left, top, max(2.0, round(right - left, 1)), _PLOT
    )


def _curve(plot: _Plot, points: Sequence[MetricPoint], top: int) -> Iterator[Markup]:
    """One path for each kind of line; a point without neighbours is a dot."""
    paths: dict[str, list[str]] = {"curve": [], "curve assumed": [], "curve out": []}
    last: dict[str, MetricPoint] = {}
    alone = set(points) - {each for pair in pairwise(points) if _joined(*pair) for each in pair}
    for point, after in pairwise(points):
        if not _joined(point, after):
            continue
        style = _style(point, after)
        begin = "" if last.get(style) is point else f"M{_place(plot, point, top)}"
        paths[style].append(f"{begin}L{_place(plot, after, top)}")
        last[style] = after
    for point in alone:
        if _is_drawn(point):
            paths[_style(point, point)].append(f"M{_place(plot, point, top)}h0")
    for style, path in paths.items():
        if path:
            yield Markup('<path class="{}" d="{}"/>').format(style, "".join(path))


def _is_drawn(point: MetricPoint) -> bool:
    return point.value is not None or is_infinite(point)


def _joined(point: MetricPoint, after: MetricPoint) -> bool:
    return _is_drawn(point) and _is_drawn(after)


def _style(point: MetricPoint, after: MetricPoint) -> str:
    if is_assumed(point) or is_assumed(after):
        return "curve assumed"
    return "curve out" if point.within is False else "curve"


def _place(plot: _Plot, point: MetricPoint, top: int) -> str:
    """An infinite value stands at the upper edge."""
    y = top if point.value is None else top + plot.y(point.value)
    return f"{plot.x(point.at):g} {y:g}"


def _mark(plot: _Plot, mark: Mark, row: int, bottom: int) -> Markup:
    x, y = plot.x(mark.at), _ROW * row
    ends = x > _WIDTH * 0.6
    return Markup(
        '<line class="mark" x1="{x}" x2="{x}" y1="{y}" y2="{b}"/>'
        '<text class="tag" x="{t}" y="{l}"{e}>{n}<tspan class="wide"> {name}</tspan></text>'
    ).format(
        x=x,
        y=y + 4,
        b=bottom,
        t=round(x - 4 if ends else x + 4, 1),
        l=y + 16,
        e=Markup(' text-anchor="end"') if ends else "",
        n=mark.number,
        name=inert_line(mark.name),
    )
