"""The frame that both pictures share: one time axis, helm's run as a band, titles and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil, floor

from markupsafe import Markup, escape

from ..domain.record import Record
from .course import counted_from
from .sanitize import inert_line

WIDTH = 960
LEFT = 190
RIGHT = 14
NARROW_WIDTH = 340
NARROW_LEFT = 16
ROW = 24
_FOOT = 26
STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True)
class Axis:
    """The stretch of time that a picture shows, laid over its width."""

    start: datetime
    end: datetime
    zero: datetime | None = None  # what the marks are counted from; None: the start
    width: int = WIDTH
    left: int = LEFT

    @property
    def right(self) -> int:
        """Where it ends, in the picture's units."""
        return self.width - RIGHT

    @property
    def is_narrow(self) -> bool:
        """Whether it is for a phone, where labels stand above what they name."""
        return self.width < WIDTH

    def for_phone(self) -> Axis:
        """The same stretch of time on a phone's width."""
        return replace(self, width=NARROW_WIDTH, left=NARROW_LEFT)

    def x(self, at: datetime) -> float:
        """Where a moment stands, in the picture's units; what lies outside stands at the edge."""
        share = (at - self.start) / (self.end - self.start)
        return round(self.left + min(1.0, max(0.0, share)) * (self.right - self.left), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Place and label of each mark on the axis."""
        span = (self.end - self.start).total_seconds()
        step = next((each for each in STEPS_S if span / each <= (4 if self.is_narrow else 9)), STEPS_S[-1])
        zero = self.zero or self.start
        first = ceil((self.start - zero).total_seconds() / step)
        last = floor((self.end - zero).total_seconds() / step)
        return [
            (self.x(zero + timedelta(seconds=index * step)), "0" if not index else short_span(index * step))
            for index in range(first, min(last, first + 12) + 1)
        ]


def short_span(seconds: float) -> str:
    """``30 s``, ``5 min``, ``-2 h``: a mark of an axis."""
    if abs(seconds) < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if abs(seconds) < 3600 else f"{seconds / 3600:g} h"


def time_axis(record: Record) -> Axis:
    """From the first look on: what comes before (a drill's start) would only squeeze it."""
    times = [each.at for each in record.samples]
    times += [each for item in record.items for each in (item.started_at, item.finished_at) if each]
    times += [each for each in (record.helm.started_at, record.helm.finished_at, record.recovered_at) if each]
    start, end = min(times, default=record.started_at), max(times, default=record.started_at)
    until = max(end, start + timedelta(seconds=1)) + (end - start) * 0.02
    return Axis(start, until, counted_from(record)[0])


def render_svg(
    name: str, title: str, words: str, axis: Axis, record: Record, parts: Sequence[Markup], height: int
) -> Markup:
    """One picture: ``parts`` over the grid and helm's band, with ``words`` as its description."""
    helm, band = record.helm, []
    if helm.started_at:
        left, right = axis.x(helm.started_at), axis.x(helm.finished_at or axis.end)
        band.append(
            Markup('<rect class="helm" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>').format(
                left, max(2, round(right - left, 1)), height, "helm's run"
            )
        )
    return render_picture(name, title, words, axis, [*band, *parts], height)


def render_picture(
    name: str, title: str, words: str, axis: Axis, parts: Sequence[Markup], height: int
) -> Markup:
    """The same without helm's band."""
    under, over = [], []
    for x, label in axis.ticks():
        under.append(Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(x, height))
        over.append(
            Markup('<text class="num" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x, height + 18, label
            )
        )
    return Markup(
        '<svg class="chart {size}" viewBox="0 0 {w} {h}" role="img" aria-labelledby="zkr-{n}-t zkr-{n}-d">'
        '<title id="zkr-{n}-t">{title}</title><desc id="zkr-{n}-d">{words}</desc>{body}</svg>'
    ).format(
        size="narrow" if axis.is_narrow else "wide",
        w=axis.width,
        h=height + _FOOT,
        n=f"{name}-narrow" if axis.is_narrow else name,
        title=title,
        words=inert_line(words),
        body=Markup("").join([*under, *parts, *over]),
    )


def in_both_widths(pictures: Iterable[Markup]) -> Markup:
    """The same picture for a wide page and for a phone; the style sheet shows one of them."""
    return Markup('<div class="pictures">{}</div>').format(Markup("").join(pictures))


def cut_label(text: str, limit: int) -> Markup:
    """``text`` on one line, its middle left out where it is longer than ``limit``; whole in a title."""
    line = inert_line(text)
    if len(line) > limit:
        return Markup("<title>{}</title>{}...{}").format(
            line, line[: limit // 2 - 1], line[-(limit // 2 - 2) :]
        )
    return escape(line)


def css_class(word: str) -> str:
    """``NO VERDICT`` as ``no-verdict``: the name of a verdict's shape and colour."""
    return word.lower().replace(" ", "-")
