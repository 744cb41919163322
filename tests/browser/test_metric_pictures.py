"""The metrics of a page as a real Chromium shows them: read from the DOM, on a phone, dark and printed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from pytest_zkrollback.report.html import render_page
from support.example_records import with_metrics

STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PICTURES = "svg[data-metric]"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.html"
    path.write_text(render_page(with_metrics()), encoding="utf-8")
    return path


def test_the_dom_holds_the_curve_of_the_record(path: Path, look: Any) -> None:
    page = look.at(path, java_script_enabled=False)
    (series, *_) = with_metrics().metrics
    data = page.locator(PICTURES).first
    start = datetime.fromisoformat(data.get_attribute("data-start"))
    seconds = data.get_attribute("data-seconds").split(",")
    values = data.get_attribute("data-values").split(",")
    for index in (0, 40, 90, 160, 194):
        point = series.curve.points[index]
        assert (point.at - start).total_seconds() == pytest.approx(float(seconds[index]))
        assert point.value == pytest.approx(float(values[index]), rel=1e-5)
    assert look.complaints == []


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (320, "dark")]
)
def test_it_can_be_read_on_each_screen(path: Path, look: Any, width: int, scheme: str) -> None:
    page = look.at(path, width=width, color_scheme=scheme)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    for picture in page.locator(PICTURES).all():
        box = picture.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert_readable(picture, box)
    assert violations(page) == []


def assert_readable(picture: Any, box: dict[str, float]) -> None:
    """The labels are large enough, inside the picture, and none covers another."""
    boxes = []
    for label in picture.locator("text").all():
        if not label.is_visible():
            continue
        found = label.bounding_box()
        assert found["height"] >= 11, label.text_content()
        assert found["x"] >= box["x"] - 1 and found["x"] + found["width"] <= box["x"] + box["width"] + 1
        boxes.append((label.text_content(), found))
    assert len(boxes) >= 6
    for index, (text, one) in enumerate(boxes):
        for other_text, other in boxes[index + 1 :]:
            apart = (
                one["x"] + one["width"] <= other["x"]
                or other["x"] + other["width"] <= one["x"]
                or one["y"] + one["height"] <= other["y"] + 4
                or other["y"] + other["height"] <= one["y"] + 4
            )
            assert apart, (text, other_text)


def test_print_has_the_picture_and_its_words(path: Path, look: Any) -> None:
    page = look.at(path, width=720)
    page.emulate_media(media="print")
    for picture in page.locator(PICTURES).all():
        assert picture.bounding_box()["width"] > 400
    assert page.locator("#zkr-metrics table").first.is_visible()


def test_who_sees_no_picture_hears_the_same(path: Path, look: Any) -> None:
    page = look.at(path)
    figure = page.locator("#zkr-metrics figure").first
    described = figure.locator("svg desc").text_content()
    for line in figure.locator("li").all_inner_texts():
        assert line in described
    role, name = "img", "Error rate below 1 %"
    assert page.get_by_role(role, name=name).count() == 1


def violations(page: Page) -> list[tuple[str, Any]]:
    found = Axe().run(page, options={"runOnly": STANDARDS, "resultTypes": ["violations"]}).response
    assert len(found["passes"]) > 15
    return [(each["id"], node["target"]) for each in found["violations"] for node in each["nodes"]]
