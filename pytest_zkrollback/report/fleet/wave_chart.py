"""The picture of the waves over time: a lane per member, labelled where it is not well. Inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from markupsafe import Markup

from ...domain.fleet import FleetRecord, Member, Wave, WaveState
from ..formatting import elapsed
from ..sanitize import inert_line
from ..summary import plural
from ..svg import Axis, cut_label, in_both_widths, render_picture
from .words import WAVE_STATES, is_well, member_word, shape, wave_line

# More members than this are drawn as one bar per wave, but for those that are not well.
MOST_LANES = 120
_MOST_LABELLED = 12
_LANE, _GAP, _BAR = 5, 2, 12


def render_waves(record: FleetRecord) -> Markup:
    """A picture for a wide page and one for a phone; empty Markup where no member has begun."""
    began = [each.started_at for each in record.members if each.started_at]
    if not began:
        return Markup("")
    ends = [each.finished_at or record.finished_at for each in record.members if each.started_at]
    start = min(began)
    end = max([each for each in ends if each], default=start)
    axis = Axis(start, max(end, start + timedelta(seconds=1)) + (end - start) * 0.02)
    return in_both_widths(_picture(record, each) for each in (axis, axis.for_phone()))


def _picture(record: FleetRecord, axis: Axis) -> Markup:
    parts: list[Markup] = []
    y = 4
    few = len(record.members) <= MOST_LANES
    for wave in record.waves:
        members = record.members_of(wave.number)
        y = _heading(parts, wave, members, y)
        bad = [each for each in members if each.started_at and not is_well(each)]
        good = [each for each in members if each.started_at and is_well(each)]
        for member in bad[:_MOST_LABELLED]:
            y = _labelled(parts, axis, member, y)
        y = _lanes(parts, axis, bad[_MOST_LABELLED:], y)
        y = _lanes(parts, axis, good, y) if few else _together(parts, axis, good, y)
        y += 8
    words = " ".join(f"{wave_line(each, record.members_of(each.number))}." for each in record.waves)
    return render_picture("waves", "The waves over time", words, axis, parts, y)


def _heading(parts: list[Markup], wave: Wave, members: Sequence[Member], y: int) -> int:
    state = "" if wave.state is WaveState.DONE else f", {WAVE_STATES[wave.state].lower()}"
    text = f"Wave {wave.number}: {plural(len(members), 'member')}{state}"
    parts.append(Markup('<text class="lbl wave" x="0" y="{}">{}</text>').format(y + 13, text))
    return y + 20


def _labelled(parts: list[Markup], axis: Axis, member: Member, y: int) -> int:
    """A row with the member's name, its bar and its word's shape."""
    word = shape(member_word(member))
    left, right = _ends(axis, member)
    bar = y + 16 if axis.is_narrow else y
    parts.append(
        Markup(
            '<text class="lbl" x="{x}" y="{text}">{name}</text>'
            '<rect class="bar v-{word}" x="{left}" y="{bar}" width="{width}" height="{high}" rx="2"/>{helm}'
            '<use href="#zkr-{word}" class="v-{word}" x="{mark}" y="{top}" width="14" height="14"/>'
        ).format(
            x=12,
            text=y + 11,
            name=cut_label(f"{member.environment} {member_word(member).lower()}", 27),
            word=word,
            left=left,
            bar=bar,
            width=max(1.5, round(right - left, 1)),
            high=_BAR,
            helm=_helm(axis, member, bar, _BAR),
            mark=round(min(right - 1, axis.width - 15), 1),
            top=bar - 1,
        )
    )
    return bar + _BAR + 6


def _lanes(parts: list[Markup], axis: Axis, members: Iterable[Member], y: int) -> int:
    for member in sorted(members, key=lambda each: (each.started_at or axis.start, each.environment)):
        left, right = _ends(axis, member)
        parts.append(
            Markup(
                '<rect class="bar v-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>{}'
            ).format(
                shape(member_word(member)),
                left,
                y,
                max(1.5, round(right - left, 1)),
                _LANE,
                f"{inert_line(member.environment, 60)}: {member_word(member).lower()}, "
                f"{elapsed(member.started_at, member.finished_at) or 'not ended'}",
                _helm(axis, member, y, _LANE),
            )
        )
        y += _LANE + _GAP
    return y


def _together(parts: list[Markup], axis: Axis, members: Sequence[Member], y: int) -> int:
    """One bar for all of a wave's members that are well."""
    if not members:
        return y
    ends = [_ends(axis, each) for each in members]
    left, right = min(each[0] for each in ends), max(each[1] for each in ends)
    bar = y + 16 if axis.is_narrow else y
    parts.append(
        Markup(
            '<text class="num" x="12" y="{}">{}</text>'
            '<rect class="bar v-pass" x="{}" y="{}" width="{}" height="{}" rx="2"/>'
        ).format(y + 11, f"{len(members)} verified", left, bar, max(1.5, round(right - left, 1)), _BAR)
    )
    return bar + _BAR + 6


def _ends(axis: Axis, member: Member) -> tuple[float, float]:
    return axis.x(member.started_at or axis.start), axis.x(member.finished_at or axis.end)


def _helm(axis: Axis, member: Member, y: int, high: int) -> Markup:
    if member.helm_started_at is None:
        return Markup("")
    left = axis.x(member.helm_started_at)
    right = axis.x(member.helm_finished_at or member.finished_at or axis.end)
    return Markup('<rect class="helm" x="{}" y="{}" width="{}" height="{}"/>').format(
        left, y, max(1.5, round(right - left, 1)), high
    )
