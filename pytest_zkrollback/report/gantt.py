"""The picture of the items: a bar from the beginning of judging to the verdict. Inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ..domain.record import Item, Record
from .failures import word_of
from .formatting import lasting
from .svg import ROW, Axis, css_class, cut_label, in_both_widths, render_svg, time_axis


def render_gantt(record: Record) -> Markup:
    """A bar per item from the beginning of judging to its verdict; empty Markup if none has begun."""
    shown = [item for item in record.items if item.started_at]
    if not shown:
        return Markup("")
    axis = time_axis(record)
    return in_both_widths(_picture(record, shown, each) for each in (axis, axis.for_phone()))


def _picture(record: Record, shown: Sequence[Item], axis: Axis) -> Markup:
    parts: list[Markup] = []
    said = []
    y = 6
    for item in shown:
        start = item.started_at or record.started_at
        end = item.finished_at or axis.end
        word = word_of(item, record)
        left, right = axis.x(start), axis.x(end)
        took = lasting(start, end) if item.finished_at else "not ended"
        said.append(f"{item.id}: {', '.join(filter(None, (word, took)))}.")
        room = right + 16 < axis.width - 70
        bar = y + 18 if axis.is_narrow else y
        parts.append(
            Markup(
                '<text class="lbl" x="{}" y="{}">{}</text>'
                '<rect class="bar v-{}" x="{}" y="{}" width="{}" height="12" rx="2"/>'
                '<use href="#zkr-{}" class="v-{}" x="{}" y="{}" width="14" height="14"/>'
                '<text class="num" x="{}" y="{}"{}>{}</text>'
            ).format(
                0,
                y + 15,
                cut_label(item.id, 27),
                css_class(word),
                left,
                bar + 5,
                max(1.5, round(right - left, 1)),
                css_class(word),
                css_class(word),
                round(min(right - 1, axis.width - 15), 1),
                bar + 4,
                right + 18 if room else left - 6,
                bar + 15,
                "" if room else Markup(' text-anchor="end"'),
                took,
            )
        )
        y += ROW + (16 if axis.is_narrow else 0)
    return render_svg("gantt", "When each item was judged", " ".join(said), axis, record, parts, y)
