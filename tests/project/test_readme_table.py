"""README's table is the one that the committed results make."""

import json

from support.scripts import ROOT, load_script


def test_readme_shows_what_was_measured():
    table = load_script("benchmarks/readme_table.py")
    result = json.loads((ROOT / "benchmarks" / "results" / "verification.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert table.in_readme(readme, table.render_table(result)) == readme
