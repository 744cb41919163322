"""A fleet's page as it is seen: no scripts, a phone, dark, printed, and by who cannot see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from pypdf import PdfReader

from pytest_zkrollback.domain.fleet import FleetRecord
from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.report.fleet.fleet_page import render_fleet_page
from pytest_zkrollback.report.fleet.words import failed_line, is_idle, is_well
from support.example_fleets import GALLERY_FLEETS, plan, regions, rolled_back

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FLEETS = {
    **GALLERY_FLEETS,
    "begun": lambda: plan(regions(6)),
    "thousand": lambda: rolled_back(regions(1000), {"us-77": "failed"}, at_once=50),
}


@pytest.fixture(params=FLEETS)
def fleet(request: pytest.FixtureRequest) -> FleetRecord:
    return FLEETS[request.param]()


@pytest.fixture
def path(fleet: FleetRecord, tmp_path: Path) -> Path:
    path = tmp_path / "fleet.html"
    path.write_text(render_fleet_page(fleet), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 360])
def test_without_scripts_everybody_who_is_not_well_is_seen_and_nothing_is_asked_for(
    fleet: FleetRecord, path: Path, width: int, look: Any
) -> None:
    page = look.at(path, width=width, java_script_enabled=False)
    seen = " ".join(page.locator("main").inner_text().split())
    assert fleet.summary in seen
    for member in fleet.members:
        if not is_well(member) and not is_idle(member):
            assert " ".join(failed_line(member).split()) in seen
    if len(fleet.members) <= 100:
        for member in fleet.members:
            assert member.environment in seen
    assert look.requests == [path.as_uri()]


def test_the_answer_is_on_the_first_screen_and_nothing_is_too_wide(path: Path, look: Any) -> None:
    page = look.at(path)
    for selector in ("h1", ".over", ".lead", ".answers > div:first-child"):
        edge = page.locator(f".top {selector}").bounding_box()
        assert edge["y"] + edge["height"] <= 800, selector
    for width in (320, 360, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 360])
def test_the_names_of_the_checks_stay_in_sight_and_stand_above_their_letters(
    width: int, tmp_path: Path, look: Any
) -> None:
    path = tmp_path / "fleet.html"
    path.write_text(render_fleet_page(FLEETS["fleet-of-100"]()), encoding="utf-8")
    page = look.at(path, width=width)
    row = page.locator(".heat tbody tr:has(td.h)").nth(60)
    row.scroll_into_view_if_needed()
    heads = page.locator(".heat th.item").all()
    cells = row.locator("td.h").all()
    assert len(heads) == len(cells) == 11
    for head, cell in zip(heads, cells, strict=True):
        above, below = head.bounding_box(), cell.bounding_box()
        assert above["y"] >= 0 and above["y"] + above["height"] <= 800
        middle = below["x"] + below["width"] / 2
        assert above["x"] <= middle <= above["x"] + above["width"]


def test_wcag_2_2_aa_without_violations(path: Path, look: Any) -> None:
    page = look.at(path)
    for change in (
        lambda: None,
        lambda: page.emulate_media(color_scheme="dark"),
        lambda: page.set_viewport_size({"width": 360, "height": 740}),
    ):
        change()
        found = Axe().run(page, options={"runOnly": STANDARDS, "resultTypes": ["violations"]}).response
        assert len(found["passes"]) > 15  # it did look
        wrong = [(each["id"], node["target"]) for each in found["violations"] for node in each["nodes"]]
        assert wrong[:10] == []


def test_all_members_are_printed_without_scripts(tmp_path: Path, look: Any) -> None:
    record = FLEETS["fleet-of-40"]()
    path = tmp_path / "fleet.html"
    path.write_text(render_fleet_page(record), encoding="utf-8")
    page = look.at(path, java_script_enabled=False)
    page.pdf(path=path.with_suffix(".pdf"), format="A4")
    printed = "".join(
        "".join(each.extract_text().split()) for each in PdfReader(path.with_suffix(".pdf")).pages
    )
    for member in record.members:
        assert printed.count(member.environment) >= 2  # in the map, and in the table of all
    assert "FAILED" in printed


@pytest.mark.parametrize("name", GALLERY_FLEETS)
def test_the_gallery_has_them(name: str) -> None:
    found = FleetRecord.model_validate_json((GALLERY / f"{name}.json").read_bytes())
    assert found.outcome is Outcome.FAILED
    assert found.summary in (GALLERY / f"{name}.html").read_text(encoding="utf-8")
