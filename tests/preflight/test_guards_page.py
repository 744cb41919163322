"""docs/guards.md says of every guard what the code says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pytest_zkrollback.github.guards import GUARDS as THROUGH_GITHUB
from pytest_zkrollback.preflight.guards import GUARDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guards.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "pytest_zkrollback").rglob("*.py"))]
CASE = re.compile(r"\[([\w.-]+/[\w.-]+)#(\d+)\]\(https://github\.com/\1/(?:issues|pull)/\2\)")
NOT_NEEDED = "none needed. It only warns."


def rows():
    """Guard -> what it protects from, what it can do, and whether it can be overridden."""
    return {
        name: tuple(cells.split(" | "))
        for name, cells in re.findall(r"^\| \[`([\w-]+)`\]\(#\1\) \| (.+) \|$", PAGE, re.MULTILINE)
    }


def sections():
    """Guard -> the text below its heading."""
    parts = re.split(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    heads = re.findall(r"^(#+) ", PAGE, flags=re.MULTILINE)
    return {
        name: text
        for level, name, text in zip(heads, parts[1::2], parts[2::2], strict=True)
        if level == "###"
    }


def part(name, title):
    """What stands after ``**title`` up to the next part, on one line."""
    found = re.search(rf"^\*\*{title}:?\*\*(.*?)(?=^\*\*|\Z)", sections()[name], re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


@cache
def answers():
    """Guard -> the states in which the code makes it; with ``unknown`` where it refuses for want of an answer."""
    found = {}
    for node in (each for source in SOURCES for each in ast.walk(ast.parse(source))):
        if not isinstance(node, ast.Call):
            continue
        given = {each.arg: each.value for each in node.keywords}
        made = ast.unparse(node.func)
        if made == "Guard" and isinstance(given.get("id"), ast.Constant):
            states = {
                word for word in re.findall(r"OK|WARNED|REFUSED", ast.unparse(given["state"])) if word != "OK"
            }
            if "REFUSED" in states and ast.unparse(given.get("unknown", ast.Constant(False))) != "False":
                states.add("unknown")
            found.setdefault(given["id"].value, set()).update(states)
        elif made == "Guard.not_known":
            found.setdefault(node.args[0].value, set()).add("WARNED")
    # `lock`: it refuses, unless helm need not run (run/preflight_step._unless_live).
    found["lock"].add("WARNED")
    return found


def is_overridable(name):
    return any(f'override_option("{name}")' in source for source in SOURCES)


def test_every_guard_has_its_row_and_its_section_in_the_codes_order_and_words():
    """A new guard: a line in GUARDS and, at the same place, a row and a section with a real case."""
    assert {name: row[0] for name, row in rows().items()} == {**GUARDS, **THROUGH_GITHUB}
    assert list(rows()) == [*GUARDS, *THROUGH_GITHUB]
    assert list(sections()) == list(rows())


@pytest.mark.parametrize("name", [*GUARDS, *THROUGH_GITHUB])
def test_it_stops_or_warns_as_the_code_does(name):
    said = {("REFUSED",): "stop", ("WARNED",): "warn", ("REFUSED", "WARNED"): "stop, warn"}
    can = rows()[name][1]
    assert can == said[tuple(sorted(answers()[name] - {"unknown"}))]
    assert bool(part(name, "Stops when")) is ("stop" in can)
    assert bool(part(name, "Warns when")) is ("warn" in can)


def test_it_names_the_guards_that_stop_where_something_cannot_be_found_out():
    sentence = re.search(r"What cannot be found out stops the rollback in these guards: ([^.]+)\.", PAGE)
    unknown = {name for name, states in answers().items() if "unknown" in states}
    assert set(re.findall(r"`([\w-]+)`", sentence[1])) == unknown


@pytest.mark.parametrize("name", [*GUARDS, *THROUGH_GITHUB])
def test_every_section_has_a_real_case_and_the_override_that_the_code_gives(name):
    case, override = part(name, "Real cases?"), part(name, "Override")
    _, can, way = rows()[name]
    assert CASE.search(case), f"no link to an issue that is written as it is numbered: {case}"
    if can == "warn":
        assert (way, override) == ("not needed", NOT_NEEDED)
    elif name == "protected":
        assert (way, override) == ("`--rollback-confirm`", "`--rollback-confirm=NAME`")
    elif is_overridable(name):
        assert (way, override.startswith(f"`--rollback-override={name}=REASON`")) == ("yes", True)
    else:
        assert (way, override.startswith("none. ")) == ("no", True)
