"""docs/configuration.md is what the model says, and the model says something about every key."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def load_tool():
    spec = importlib.util.spec_from_file_location(
        "configuration_page", ROOT / "tools" / "configuration_page.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_in_step():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == load_tool().render_page()


def test_every_key_is_described():
    rows = [line for line in load_tool().render_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 35
    assert [row for row in rows if row.rstrip().endswith("|  |")] == []
