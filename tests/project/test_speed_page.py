"""docs/how-fast.md has the table that the committed results make."""

import json

from support.scripts import ROOT, load_script


def test_the_page_shows_what_was_measured():
    table = load_script("benchmarks/speed_table.py")
    result = json.loads((ROOT / "benchmarks" / "results" / "verification.json").read_text())
    page = (ROOT / "docs" / "how-fast.md").read_text(encoding="utf-8")
    assert table.in_page(page, table.render_table(result)) == page


def test_the_page_shows_what_the_start_is_made_of():
    table = load_script("benchmarks/speed_table.py")
    result = json.loads((ROOT / "benchmarks" / "results" / "exec_time.json").read_text())
    page = (ROOT / "docs" / "how-fast.md").read_text(encoding="utf-8")
    assert table.in_page(page, table.render_start(result), table.START) == page


def test_page_and_picture_show_how_it_was_measured_to_grow():
    growth = load_script("benchmarks/growth_page.py")
    result = json.loads((ROOT / "benchmarks" / "results" / "growth.json").read_text())
    page = growth.PAGE.read_text(encoding="utf-8")
    assert growth.in_page(page, growth.render_table(result)) == page
    assert growth.render_picture(result) == growth.PICTURE.read_text(encoding="utf-8")


def test_page_and_picture_show_what_fleets_cost():
    scale = load_script("benchmarks/fleet_scale_page.py")
    result = json.loads((ROOT / "benchmarks" / "results" / "fleet_scale.json").read_text())
    page = scale.PAGE.read_text(encoding="utf-8")
    assert scale.in_page(page, scale.render_table(result)) == page
    assert scale.render_picture(result) == scale.PICTURE.read_text(encoding="utf-8")
