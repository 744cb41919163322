"""Every relative link of the pages leads to a file that exists, and every #part of it to a heading there."""

import re
import unicodedata

import pytest
from markdown_it import MarkdownIt

from support.scripts import ROOT

PAGES = sorted(
    path
    for path in (
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "docs" / "gallery" / "README.md",
        ROOT / "deploy" / "README.md",
        ROOT / "pytest_zkrollback" / "drill" / "README.md",
    )
)


def links(text):
    """Targets of links and pictures, as a Markdown parser reads them (so none of a code block)."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    found = [child for token in tokens for child in token.children or ()]
    return [
        str(child.attrs[name]) for child in found for name in ("href", "src") if name in (child.attrs or {})
    ]


def anchors(text):
    """The headings' names, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {
        "".join(
            "-" if each == " " else each
            for each in heading.lower()
            if each in " -_" or unicodedata.category(each)[0] in "LN"
        )
        for heading in plain
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in links(text):
        if link.startswith(("https://", "http://")):
            continue
        path, _, part = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not part or part in anchors(target.read_text(encoding="utf-8")), link


def test_the_readme_is_short():
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("\n") <= 150


def test_a_link_to_no_heading_is_seen():
    assert anchors("# The short `--env`\n## 1. Install\n") == {"the-short---env", "1-install"}
    assert links("[a](b.md#c) `[x](y.md)`\n\n```\n[no](where.md)\n```\n") == ["b.md#c"]
