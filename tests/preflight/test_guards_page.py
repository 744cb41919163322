"""docs/guards.md says of every guard what the code says."""

import re
from pathlib import Path

import pytest

from pytest_zkrollback.github.guards import GUARDS as THROUGH_GITHUB
from pytest_zkrollback.preflight.guards import GUARDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guards.md").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pytest_zkrollback").rglob("*.py"))
CASE = re.compile(r"\[([\w.-]+/[\w.-]+)#(\d+)\]\(https://github\.com/\1/(?:issues|pull)/\2\)")


def rows():
    found = {}
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            name, protects, refuses, case, override = (cell.strip() for cell in line.strip("| ").split(" | "))
            found[name.strip("`")] = (protects, refuses, case, override)
    return found


def test_every_guard_has_its_row_in_the_codes_order_and_words():
    """A new guard: a line in GUARDS and, at the same place, a row in docs/guards.md with a real case."""
    assert {name: row[0] for name, row in rows().items()} == {**GUARDS, **THROUGH_GITHUB}
    assert list(rows()) == [*GUARDS, *THROUGH_GITHUB]


@pytest.mark.parametrize("name", [*GUARDS, *THROUGH_GITHUB])
def test_every_row_has_a_real_case_and_the_override_that_the_code_gives(name):
    _, refuses, case, override = rows()[name]
    assert refuses
    assert CASE.search(case), f"no link to an issue that is written as it is numbered: {case}"
    passable = f'override_option("{name}")' in SOURCE
    assert (
        override.startswith("none: ")
        or override == "none needed (only warns)"
        or f"`--rollback-override={name}=REASON`" in override
        or name == "protected"
    )
    assert passable is not override.startswith("none: ") or "only warns" in override or name == "protected"
