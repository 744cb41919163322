"""The picture's colours say what was seen, whatever was planned; a phone has a picture of its own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_zkrollback.domain.record import Outcome, Plan, Record, SamplePoint
from pytest_zkrollback.report.recovery_chart import render_recovery
from support.example_records import HISTORY, verified
from support.seen_samples import points, well_before

PLAN = Plan(target=HISTORY[2], compared_with=HISTORY[3], history=HISTORY)
LEFT, GONE_TO = HISTORY[3].app_version, HISTORY[2].app_version


def styles(record: Record) -> dict[str, str]:
    """Version -> class of its line, by its label."""
    html = str(render_recovery(record))
    wide = html[: html.index('<svg class="chart narrow"')]
    return {
        text.partition(" ")[0]: style
        for style, text in re.findall(r'class="sub ([a-z ]+)" x[^>]*>([^<]+)<', wide)
    }


def samples(left: tuple[float, ...], gone_to: tuple[float, ...], *health: float) -> tuple[SamplePoint, ...]:
    times = (0.5, 2.0, 3.0)
    return (
        *points("wanted/web", (0.5, 3)),
        *points(f"replicas/web/{LEFT}", *zip(times, left, strict=False)),
        *points(f"replicas/web/{GONE_TO}", *zip(times, gone_to, strict=False)),
        *points("health", *zip(times, health, strict=False)),
    )


@pytest.mark.parametrize(
    ("record", "left", "gone_to"),
    [
        # The healthy one was left, and what was gone to crashes.
        (well_before(samples=samples((3, 1, 0), (0, 3, 0), 1, 1, 0), outcome=Outcome.FAILED), "good", "bad"),
        (verified(samples=samples((0, 0, 0), (0, 2, 3), 0, 0, 1)), "bad", "good"),
        # All pods are ready, and /health says that it does not work: neither is seen to be well.
        (verified(samples=samples((3, 1, 0), (0, 2, 3), 0, 0, 0), outcome=Outcome.FAILED), "other", "other"),
    ],
)
def test_the_colour_is_what_was_seen(record: Record, left: str, gone_to: str) -> None:
    record = record.model_copy(update={"plan": PLAN})
    assert styles(record) == {LEFT: f"{left} left", GONE_TO: gone_to}


def test_without_what_is_wanted_nothing_is_judged() -> None:
    record = verified(plan=PLAN, samples=samples((3, 1, 0), (0, 2, 3), 0, 0, 1)[1:])
    assert styles(record) == {LEFT: "other left", GONE_TO: "other"}


def numbers(html: str, size: str) -> list[Any]:
    svg = html[html.index(f'<svg class="chart {size}"') :]
    svg = svg[: svg.index("</svg>")]
    width = float(re.search(r'viewBox="0 0 (\d+) ', svg)[1])  # type: ignore[index]
    ends = [
        float(x)
        for path in re.findall(r'class="step [a-z ]+" d="([^"]+)"', svg)
        for x in re.findall(r"H([\d.]+)", path)
    ]
    return [width, max(ends) <= width, min(ends) >= 0, len(re.findall('class="step', svg))]


def test_a_phone_has_the_whole_course_on_its_own_width() -> None:
    html = str(render_recovery(verified(plan=PLAN, samples=samples((0, 0, 0), (0, 2, 3), 0, 0, 1))))
    assert numbers(html, "wide") == [960, True, True, 2]
    assert numbers(html, "narrow") == [340, True, True, 2]
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) == 4
