"""README's table is the one that the committed results make."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_readme_shows_what_was_measured():
    spec = importlib.util.spec_from_file_location("readme_table", ROOT / "benchmarks" / "readme_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    result = json.loads((ROOT / "benchmarks" / "results" / "verification.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert table.in_readme(readme, table.render_table(result)) == readme
