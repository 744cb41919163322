"""docs/options.md, README's table and --help name the same options: those of the command line's one table."""

import re

from pytest_zkrollback.domain.command_line import BY_NAME, OPTIONS
from support.scripts import ROOT, load_script

PAGE = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_both_pages_are_what_the_table_says():
    tool = load_script("tools/options_page.py")
    assert tool.render_page() == PAGE, "run: python tools/options_page.py"
    assert tool.in_readme(README) == README, "run: python tools/options_page.py"


def test_every_option_has_one_row_and_one_place_in_the_readme():
    rows = re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(BY_NAME)
    table = README.split("<!-- tools/options_page.py -->")[1].split("<!-- end -->")[0]
    assert sorted(re.findall(r"`(--[a-z-]+)`", table)) == sorted(BY_NAME)


def test_no_page_names_an_option_that_is_not_there():
    ours = re.compile(r"(?<![\w-])--(?:rollback|zkrollback|drill)-[a-z-]*[a-z]")
    known = {option.name for option in OPTIONS}
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "README.md"]
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in pages
        for name in ours.findall(path.read_text("utf-8"))
    }
    assert len(named) > 100
    assert [each for each in sorted(named) if each[1] not in known] == []
