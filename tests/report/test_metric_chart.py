"""The picture of a metric, read back from the page's tags."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise

import pytest

from pytest_zkrollback.domain.metric import MetricCurve, MetricPoint, MetricSeries, NoValueKind
from pytest_zkrollback.domain.record import Helm, Record
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.metric_chart import metric_figures
from support.example_records import ALL, at, verified, with_metrics
from support.html_page import HOSTILE, Page


def pictures(record: Record) -> list[dict[str, str | None]]:
    found = Page(render_page(record)).tags
    return [attrs for tag, attrs in found if tag == "svg" and "data-metric" in attrs]


def read_back(attrs: dict[str, str | None]) -> list[tuple[datetime, float | None]]:
    start = datetime.fromisoformat(attrs["data-start"] or "").timestamp()
    seconds = [float(each) for each in (attrs["data-seconds"] or "").split(",")]
    values = [float(each) if each else None for each in (attrs["data-values"] or "").split(",")]
    return [
        (datetime.fromtimestamp(start + second, tz=at(0).tzinfo), value)
        for second, value in zip(seconds, values, strict=True)
    ]


def series_of(*points: MetricPoint, **more: object) -> MetricSeries:
    fields = {"id": "metric-e", "title": "Errors", "query": "x", "max": 1, "points": points, **more}
    return MetricSeries.model_validate(fields)


def drawn(*points: MetricPoint, record: Record | None = None, **more: object) -> str:
    record = (record or verified()).model_copy(update={"metrics": (series_of(*points, **more),)})
    (figure,) = metric_figures(record)
    return str(figure.picture)


def test_the_curve_stands_in_the_page_as_it_stands_in_the_record() -> None:
    record = with_metrics()
    found = pictures(record)
    assert [each["data-metric"] for each in found] == ["metric-error-rate", "metric-latency"]
    for series, attrs in zip(record.metrics, found, strict=False):
        assert series.curve is not None
        back = read_back(attrs)
        assert len(back) == len(series.curve.points)
        for index in (0, 50, 100, 150, -1):
            moment, value = back[index]
            point = series.curve.points[index]
            assert moment == point.at
            assert value == (None if point.value is None else pytest.approx(point.value, rel=1e-5))


def path(svg: str, style: str) -> str:
    found = re.search(f'<path class="{style}" d="([^"]*)"', svg)
    return found[1] if found else ""


def test_a_gap_breaks_the_line_and_a_lonely_value_is_a_dot() -> None:
    values = [0.5, 0.5, None, 0.5, None, 0.5, 0.5]
    points = [
        MetricPoint(at=at(10 * index), value=value, within=None if value is None else True)
        for index, value in enumerate(values)
    ]
    svg = drawn(*points)
    line = path(svg, "curve")
    assert line.count("M") == 3 and line.count("h0") == 1 and line.count("L") == 2
    assert svg.count('class="gap"') == 2


def test_what_is_out_of_bounds_is_another_line_and_infinite_stands_at_the_edge() -> None:
    infinite = MetricPoint(at=at(20), within=False, kind=NoValueKind.INFINITE)
    points = [
        MetricPoint(at=at(0), value=0.5, within=True),
        MetricPoint(at=at(10), value=3, within=False),
        infinite,
        MetricPoint(at=at(30), value=0.5, within=True),
    ]
    svg = drawn(*points)
    assert path(svg, "curve").count("L") == 1
    assert path(svg, "curve out").count("L") == 2
    ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path(svg, "curve out"))]
    assert min(ys) == ys[1]


def test_when_empty_is_dashed() -> None:
    assumed = MetricPoint(at=at(0), value=0, within=True, kind=NoValueKind.EMPTY)
    svg = drawn(assumed, assumed.model_copy(update={"at": at(10)}))
    assert path(svg, "curve assumed") and not path(svg, "curve")


def marks(record: Record) -> list[str]:
    return [f"{each.number} {each.name}, {each.when}" for each in metric_figures(record)[0].marks]


def test_the_bad_deploy_helm_and_the_verdict_are_marked_and_named() -> None:
    record = with_metrics()
    svg = str(metric_figures(record)[0].picture)
    said = re.findall(r'<text class="tag"[^>]*>(.*?)</text>', svg)
    assert [re.sub("<[^>]+>", "", each) for each in said] == [
        "1 revision 6 deployed",
        "2 helm",
        "3 verdict: PASS",
    ]
    assert marks(record) == [
        "1 revision 6 deployed, 11:37:59 UTC",
        "2 helm, 11:50:40 UTC",
        "3 verdict: PASS, 11:55:17 UTC",
    ]
    xs = [float(each) for each in re.findall(r'<line class="mark" x1="([\d.]+)"', svg)]
    assert xs == sorted(xs) and len(xs) == 3
    assert 'class="helm"' in svg


def test_what_was_before_the_picture_is_only_said() -> None:
    record = with_metrics()
    late = [each for each in record.metrics[0].points if each.at > at(100)]
    one = record.model_copy(
        update={"metrics": (record.metrics[0].model_copy(update={"curve": None, "points": tuple(late)}),)}
    )
    assert marks(one)[0] == "1 revision 6 deployed, 11:37:59 UTC, before the picture begins"
    assert str(metric_figures(one)[0].picture).count('class="tag"') == 1


def test_zero_is_helm_or_the_runs_beginning() -> None:
    record = with_metrics()
    assert metric_figures(record)[0].legend.startswith("0 is when helm began, 11:50:40 UTC.")
    looked = record.model_copy(update={"helm": Helm()})
    assert metric_figures(looked)[0].legend.startswith("0 is when this run began, 11:50:39 UTC.")
    assert [each.split(", ")[0] for each in marks(looked)] == ["1 revision 6 deployed", "2 verdict: PASS"]


def test_all_lies_within_the_picture() -> None:
    for scale in (1e-9, 1.0, 1e12, -1e12):
        points = [MetricPoint(at=at(each), value=scale * each, within=True) for each in range(1, 200)]
        svg = drawn(*points, min=scale, max=None)
        width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
        places = re.findall(r"[ML]([\d.e-]+) ([\d.e-]+)", path(svg, "curve"))
        assert len(places) == 199
        assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in places)
        assert all(float(one[0]) <= float(other[0]) for one, other in pairwise(places))


def test_the_numbers_are_a_table_of_few_rows_with_the_worst() -> None:
    figure = metric_figures(with_metrics())[0]
    assert len(figure.rows) <= 14 and figure.total == 195
    assert figure.rows[0][1:] == ("11:22:59 UTC", "0.2 %", "in order")
    assert ("40 %", "out of bounds") in [each[2:] for each in figure.rows]
    assert [each[2:] for each in metric_figures(with_metrics())[1].rows if each[3] == "not known"] == [
        ("none (no-series)", "not known")
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_one_look_is_no_picture(count: int) -> None:
    points = [MetricPoint(at=at(0), value=3, within=False)] * count
    assert drawn(*points) == ""


def test_nobody_can_put_anything_into_the_picture() -> None:
    for text in HOSTILE:
        curve = MetricCurve(start=at(0), end=at(9), step_s=1, asked_at=at(9), problem=text)
        points = (MetricPoint(at=at(0), value=1, within=True), MetricPoint(at=at(5), value=2, within=False))
        series = series_of(*points, title=text, unit=text, curve=curve)
        page = Page(render_page(verified(metrics=(series,))))
        assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
        assert [tag for tag, _ in page.tags].count("script") == 1


def test_twenty_metrics_keep_the_page_small() -> None:
    record = with_metrics()
    many = tuple(
        record.metrics[number % 2].model_copy(update={"id": f"metric-{number}"}) for number in range(20)
    )
    size = len(render_page(record.model_copy(update={"metrics": many})).encode())
    assert size < 300_000
    assert len(render_page(ALL["metrics"]()).encode()) - len(render_page(ALL["verified"]()).encode()) < 40_000


def test_the_largest_numbers_have_their_place(monkeypatch):
    record = with_metrics()
    points = tuple(
        MetricPoint(at=at(second), value=value, within=False)
        for second, value in enumerate((1.7e308, -1.7e308, 0.0))
    )
    series = record.metrics[0].model_copy(update={"points": points, "curve": None})
    picture = metric_figures(record.model_copy(update={"metrics": (series,)}))[0].picture
    assert "nan" not in picture and "inf" not in picture
