"""docs/troubleshooting.md: what it says that one sees is what the code says, and what it names exists."""

import ast
import re

import pytest

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.preflight.guards import GUARDS
from support.scripts import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| you see", "| item"))
]
# pytest's own words, and what a controller or a cluster puts into a sentence of ours.
NOT_OURS = ("unrecognized arguments: --env=", "(set by Reloader)")
SEEN = sorted(
    {seen for row in ROWS for seen in re.findall(r'"([^"]{12,})"', "|".join(row[:2]))} - {*NOT_OURS}
)


def spoken():
    """Every text of the package but docstrings; what is filled in stands as a NUL."""
    found = set()
    for path in (ROOT / "pytest_zkrollback").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found.add(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = (each.value if isinstance(each, ast.Constant) else "\0" for each in node.values)
                found.add("".join(parts))
    return "\n".join(" ".join(text.split()) for text in found)


SPOKEN = spoken()


@pytest.mark.parametrize("seen", SEEN)
def test_what_one_sees_is_a_sentence_of_ours(seen):
    pattern = r"[^\n]*?".join(re.escape(part.strip()) for part in seen.split("...") if part.strip())
    assert re.search(pattern, SPOKEN)


def test_the_page_quotes_many():
    assert len(SEEN) > 40


def test_it_names_guards_that_are_there():
    part = PAGE.split("## A guard refuses")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z-]+)`:", part, re.MULTILINE))
    assert named
    assert named <= set(GUARDS)


def test_it_names_keys_that_are_there():
    schema = Environment.model_json_schema()
    keys = set(schema["properties"])
    for table in schema["$defs"].values():
        keys |= set(table.get("properties", {}))
    named = set(re.findall(r"`(?:[a-z]+\.)?([a-z_]+) = ", PAGE))
    named |= set(re.findall(r"`(?:smoke|health|logs|events)\.([a-z_]+)`", PAGE))
    assert len(named) > 8
    assert named <= keys
