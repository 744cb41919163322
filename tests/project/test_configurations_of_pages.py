"""Each piece of configuration that a page shows is valid."""

import re
import tomllib

import pytest

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.config.fleet import FleetTable
from support.scripts import ROOT

PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))


def blocks():
    """(page, its tables) of every TOML block."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        # Within a list a block is indented.
        for block in re.findall(r"^ *```toml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            yield page, tomllib.loads(block)


def environments():
    """(page, name, table) of every environment in a TOML block."""
    for page, tables in blocks():
        assert tables.keys() & {"environments", "fleets"}, page
        for name, table in tables.get("environments", {}).items():
            yield pytest.param(page, name, table, id=f"{page}-{name}-{'-'.join(table)[:40]}")


FOUND = list(environments())


def test_fleets_are_valid():
    fleets = [table for _, tables in blocks() for table in tables.get("fleets", {}).values()]
    assert any("kubernetes" in table for table in fleets) and any("stop" in table for table in fleets)
    for table in fleets:
        FleetTable(**{"waves": [["eu-1"]], **table})


@pytest.mark.parametrize(("page", "name", "table"), FOUND)
def test_it_is_valid(page, name, table):
    # A page about one table leaves the rest out.
    whole = {"workloads": "auto", **table}
    assert Environment(name=name, **{"context": name, **whole}).name == name


def test_the_pages_show_many():
    assert len(FOUND) > 10


def test_the_readmes_three_lines_are_enough():
    [table] = [each.values[2] for each in FOUND if each.values[0] == "README.md"]
    assert len(table) == 3
    assert Environment(name="staging", context="staging", **table).workloads == "auto"
