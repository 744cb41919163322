"""docs/how-fast.md has the table that the committed results make."""

import json

from support.scripts import ROOT, load_script


def test_the_page_shows_what_was_measured():
    table = load_script("benchmarks/speed_table.py")
    result = json.loads((ROOT / "benchmarks" / "results" / "verification.json").read_text())
    page = (ROOT / "docs" / "how-fast.md").read_text(encoding="utf-8")
    assert table.in_page(page, table.render_table(result)) == page
