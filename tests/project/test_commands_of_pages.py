"""Each command line of the README and the pages is one: pytest takes its options, make has its target."""

import re
from pathlib import Path

import pytest

from pytest_zkrollback.plugin.options import choose_alone, parse_request
from support.commands import blocks_of, words_of

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "deploy/README.md",
    "pytest_zkrollback/drill/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# Programs that pages may name, besides the two that are looked into.
OTHERS = {
    ".",
    "alembic",
    "cd",
    "export",
    "flux",
    "git",
    "helm",
    "kind",
    "kubectl",
    "pip",
    "python",
    "sha256sum",
}
# What stands for a value in a page.
FILLED_IN = {"NAME": "drill", "RELEASE": "web", "N": "5", "TIME": "2026-11-23T02:11:00Z", "SHA": "3f9c2e1"}


def commands():
    """(page, simple command's words) of every command line, of what is generated only the shell's."""
    for page in PAGES:
        if page == "docs/advice.md":  # its own test holds it: tests/report/test_advice.py
            continue
        for block in blocks_of((ROOT / page).read_text(encoding="utf-8")):
            for line in block:
                for words in words_of(line):
                    yield page, words


COMMANDS = sorted({(page, tuple(words)) for page, words in commands()})
PYTEST = [each for each in COMMANDS if each[1][0] == "pytest"]


def test_each_is_a_program_that_pages_may_name():
    named = {(page, words[0]) for page, words in COMMANDS}
    assert {each for each in named if each[1] not in {*OTHERS, "make", "pytest"}} == set()


def test_make_has_each_target():
    wanted = {word for _, words in COMMANDS if words[0] == "make" for word in words[1:]}
    assert {"drill", "test"} <= wanted <= TARGETS


def test_the_readme_has_the_commands_of_a_first_day():
    mine = {" ".join(words) for page, words in PYTEST if page == "README.md"}
    assert {
        "pytest --zkrollback-init",
        "pytest --zkrollback-env=staging --zkrollback-check",
        "pytest --env=staging --rollback-to=5",
        "pytest --env=staging",
    } <= mine


@pytest.fixture
def parse(pytester):
    pytester.makeconftest((ROOT / "conftest.py").read_text(encoding="utf-8"))
    (pytester.path / "checks").mkdir()

    def run(words):
        known = [re.sub(r"(?<==)[A-Z]+$", lambda each: FILLED_IN[each[0]], word) for word in words[1:]]
        return pytester.parseconfig(*known).option

    return run


@pytest.mark.parametrize(("page", "words"), PYTEST, ids=[" ".join(words)[:60] for _, words in PYTEST])
def test_pytest_takes_it(parse, page, words):
    option = parse(words)
    alone = choose_alone(option)
    if alone is None:
        request = parse_request(option)
        asks = any("--rollback-to=" in word or word == "--rollback-plan" for word in words)
        assert (request.target is None) is not asks
        assert request.plan is ("--rollback-plan" in words)
