"""The documentation's site: it is made without a warning, asks nobody for anything, and can be read on a phone."""

import ast
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from pytest_zkrollback import api
from support.scripts import ROOT, load_script

# What a page loads by itself, and from which attribute.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
RELATIONS = {"canonical", "author", "search", "index", "genindex", "next", "prev"}  # these load nothing


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site as ``make docs`` makes it: strict, so a warning fails here."""
    folder = tmp_path_factory.mktemp("site") / "site"
    argv = [sys.executable, str(ROOT / "tools" / "docs_site.py"), str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, cwd=folder.parent)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder


class Reader(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self):
        super().__init__()
        self.loads, self.links, self.ids = [], [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in LOADED and given.get(LOADED[tag]) and given.get("rel") not in RELATIONS:
            self.loads.append(given[LOADED[tag]])


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def is_outside(address):
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def test_nothing_is_loaded_from_outside(site):
    pages = [path for path in site.rglob("*.html") if path.parent.name != "gallery" or path.stem == "index"]
    loads = [(path.name, each) for path in pages for each in read(path).loads]
    assert len(pages) > 30
    assert len(loads) > 100
    assert [each for each in loads if is_outside(each[1]) and not each[1].startswith("data:")] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", styles) == []


def test_every_page_and_every_link_is_there(site):
    names = {path.stem for path in (ROOT / "docs").glob("*.md") if path.stem != "README"}
    assert {path.stem for path in site.glob("*.html")} >= {*names, "index", "drill", "deploy", "changelog"}
    read_pages = {path: read(path) for path in site.rglob("*.html")}
    wrong = []
    for path, page in read_pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = read_pages.get(target)
            if not target.is_file() or (
                known and parts.fragment and unquote(parts.fragment) not in known.ids
            ):
                wrong.append((path.name, link))
    assert wrong == []


def test_the_api_page_describes_all_that_may_be_imported(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    assert [name for name in api.__all__ if f'id="pytest_zkrollback.api.{name}"' not in page] == []
    tree = ast.parse((ROOT / "pytest_zkrollback" / "plugin" / "hookspecs.py").read_text(encoding="utf-8"))
    hooks = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(hooks) == 3
    assert [
        hook.name for hook in hooks if f'id="pytest_zkrollback.plugin.hookspecs.{hook.name}"' not in page
    ] == []
    said = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "What this is, in a few words" in said, "a field's description"
    assert "judged once the rollouts settled" in said, "an attribute's comment"
    assert re.findall(r"~|&lt;function|<function", said) == []


@pytest.mark.parametrize("width", [1280, 360])
def test_no_page_is_wider_than_the_screen(look, site, width):
    for name in (
        "index",
        "options",
        "configuration",
        "guards",
        "record",
        "api",
        "troubleshooting",
        "security",
        "architecture",
    ):
        page = look.at(site / f"{name}.html", width=width)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, name
        cut = "all => all.filter(each => each.scrollWidth > each.clientWidth + 1).length"
        assert page.locator(".table-wrapper").evaluate_all(cut) == 0, f"{name}: a table is cut"
        menu, text = page.locator(".sidebar-drawer").bounding_box(), page.locator("article").bounding_box()
        assert menu["x"] + menu["width"] <= text["x"], f"{name}: the contents lie over the text"
    assert look.complaints == []
    assert [each for each in look.requests if not each.startswith("file://")] == []


def test_on_a_phone_a_row_is_a_card_and_its_cells_have_their_columns_names(look, site):
    for width, shown in ((1280, "deleting data for good"), (360, "protects from: deleting data for good")):
        page = look.at(site / "guards.html", width=width)
        cell = page.locator("tr", has=page.locator('a[href="#data-loss"]')).locator("td").nth(1)
        label, after = cell.locator(".column"), "each => getComputedStyle(each, '::after').content"
        said = label.inner_text() + label.evaluate(after).strip('"') if label.is_visible() else ""
        rest = cell.inner_text().removeprefix("protects from").strip()
        assert said + rest == shown
        assert page.locator("thead").first.is_visible() is (width == 1280)


def test_the_contents_lead_to_every_part(look, site):
    page = look.at(site / "index.html")
    assert page.locator(".sidebar-tree .caption-text").all_text_contents() == [
        "Learn",
        "Do",
        "Look up",
        "Understand",
    ]
    page.locator(".sidebar-tree a", has_text="Troubleshooting").click()
    assert page.locator("article h1").inner_text().startswith("Troubleshooting")


@pytest.mark.filterwarnings("ignore")  # what the tools say of each other: here they run beside us
def test_a_warning_makes_no_site(tmp_path, capfd):
    tool = load_script("tools/docs_site.py")
    page = tmp_path / "page.md"
    page.write_text("---\norphan: true\n---\n# A page\n\n[nowhere](#no-such-heading)\n", encoding="utf-8")
    tool.PLACES[page] = "page.md"
    with pytest.raises(tool.SphinxError):
        tool.build(tmp_path / "site")
    said = capfd.readouterr().err
    assert (said.count("WARNING"), "no-such-heading" in said) == (1, True), said
    assert not (tmp_path / "site").exists()


def test_links_lead_to_the_site_or_to_the_repository():
    tool = load_script("tools/docs_site.py")
    text = (
        "[a](run.md#x) [b](../deploy/README.md) [c](../action.yml) [d](../benchmarks) [e](record.schema.json)\n"
        "```toml\nkey = [x](run.md)\n```\n"
    )
    assert tool.rewrite_links(text, ROOT / "docs" / "setup.md", tool.pages()) == (
        f"[a](run.md#x) [b](deploy.md) [c]({tool.SOURCE}/blob/main/action.yml) "
        f"[d]({tool.SOURCE}/tree/main/benchmarks) [e](site:record.schema.json)\n"
        "```toml\nkey = [x](run.md)\n```\n"
    )
