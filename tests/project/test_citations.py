"""What the code cites is in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "pytest_zkrollback").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
PAGE = re.compile(r"(?<![\w/.-])(?:docs/)?[a-z][a-z-]+\.md\b")
SECTIONS = set(re.findall(r"^## (\d+) ", (ROOT / "docs" / "helm-facts.md").read_text("utf-8"), re.MULTILINE))


def cited(pattern):
    """(file, what was cited) in comments and docstrings of the package and the tests."""
    found = {
        (str(path.relative_to(ROOT)), each)
        for path in SOURCES
        for each in re.findall(pattern, path.read_text("utf-8"))
        if path != Path(__file__)
    }
    assert found, pattern
    return sorted(found)


@pytest.mark.parametrize(
    ("file", "numbers"), cited(r"helm-facts\.md, (?:sections\s+)?(\d+(?:(?:, | to | and )\d+)*)")
)
def test_the_cited_section_of_the_helm_facts_exists(file, numbers):
    assert set(re.findall(r"\d+", numbers)) <= SECTIONS


@pytest.mark.parametrize(("file", "page"), [each for each in cited(PAGE) if each[1].startswith("docs/")])
def test_the_cited_page_exists(file, page):
    assert (ROOT / page).is_file()
