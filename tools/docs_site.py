"""Makes the site of docs/ in dist/site, offline and strict: ``python tools/docs_site.py [FOLDER]``.

The pages are read as they stand in the repository, where GitHub shows them, too. docs/README.md is the site's
first page, and its lists are the site's contents. A link to a file that is no page leads to the repository.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

from pytest_zkrollback import __version__, api

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
OUT = ROOT / "dist" / "site"
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
INDEX = DOCS / "README.md"
# Pages that lie elsewhere, or have another name in the site.
PLACES = {
    INDEX: "index.md",
    DOCS / "gallery" / "README.md": "gallery/index.md",
    ROOT / "pytest_zkrollback" / "drill" / "README.md": "drill.md",
    ROOT / "deploy" / "README.md": "deploy.md",
    ROOT / "CHANGELOG.md": "changelog.md",
}
# What the site has as it is.
FILES = [*(DOCS / "gallery").glob("[!R]*.*"), *DOCS.glob("*.schema.json")]
LINK = re.compile(r"(?<!\\)\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]+)?\)")
STYLE = """/* Wide enough for tables with sentences; the rest is furo's. */
.content { width: 58em; }
.sidebar-brand-text { font-size: 1.2rem; }
.table-wrapper table { min-width: 36rem; width: 100%; }
.table-wrapper table td, .table-wrapper table th { vertical-align: top; }
.table-wrapper table th { text-align: left; }
article h3 { margin-top: 1.8rem; }
dl.py dt.sig { overflow-wrap: anywhere; }
/* An option is not broken at its dashes: not where there is room, and never in a table's first column. */
article code.literal { overflow-wrap: break-word; }
@media (min-width: 63em) {
  .sidebar-drawer { width: 17em; }
  article p code.literal, article li code.literal { white-space: nowrap; }
}
.table-wrapper td:first-child code.literal { white-space: nowrap; }
.table-wrapper td:not(:first-child) code.literal { white-space: normal; }
.table-wrapper .column { display: none; }
/* On a narrow screen a row is a card: one cell below the other, named by its column where that is needed. */
@media (max-width: 46em) {
  .table-wrapper table { min-width: 0; box-shadow: none; }
  .table-wrapper thead { display: none; }
  .table-wrapper table, .table-wrapper tbody, .table-wrapper tr, .table-wrapper td { display: block; }
  .table-wrapper tr { padding: 0.4rem 0.6rem; border: 1px solid var(--color-table-border); }
  .table-wrapper tr + tr { margin-top: 0.5rem; }
  .table-wrapper table td { border: 0; padding: 0.1rem 0; overflow-wrap: anywhere; }
  .table-wrapper table td:first-child { font-weight: 600; }
  .table-wrapper table td > p { margin: 0; }
  .table-wrapper td:nth-child(n) code.literal { white-space: normal; overflow-wrap: anywhere; }
  .table-wrapper .column { display: inline; color: var(--color-foreground-muted); }
  .table-wrapper .column::after { content: ": "; }
}
@media (max-width: 30em) { article h1 { font-size: 1.8rem; } article h2 { font-size: 1.5rem; } }
"""
SETTINGS: dict[str, Any] = {
    "project": "pytest-zkrollback",
    "author": "The pytest-zkrollback maintainers",
    "version": __version__,
    "release": __version__,
    "extensions": ["myst_parser", "sphinx.ext.autodoc"],
    "html_theme": "furo",
    "html_title": f"pytest-zkrollback {__version__}",
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_copy_source": False,
    "add_module_names": False,
    # `--env` is no dash, and quotation marks are typed as they stand.
    "smartquotes": False,
    "html_show_copyright": False,
    "highlight_language": "none",
    "pygments_style": "default",
    "myst_heading_anchors": 3,
    # A file beside the pages, whose address stays as it is written.
    "myst_url_schemes": {"http": None, "https": None, "site": "{{path}}"},
    "autodoc_member_order": "bysource",
    "autodoc_typehints_format": "short",
    "python_use_unqualified_type_names": True,
    "python_maximum_signature_line_length": 72,
    "nitpicky": True,
}


def pages() -> dict[Path, str]:
    """Each page's file and its name in the site."""
    return {path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.glob("*.md"))} | PLACES


def write_sources(folder: Path) -> None:
    """The pages as Sphinx reads them, with the links of the site."""
    known = pages()
    for path, name in known.items():
        text = path.read_text(encoding="utf-8")
        if path == INDEX:
            text = with_contents(text)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(rewrite_links(text, path, known), encoding="utf-8")
    shutil.copytree(DOCS / "pictures", folder / "pictures")
    (folder / "_static").mkdir()
    (folder / "_static" / "site.css").write_text(STYLE, encoding="utf-8")


def rewrite_links(text: str, path: Path, known: dict[Path, str]) -> str:
    """The text of the page at ``path`` with links as the site needs them; code blocks stay as they are."""
    here = Path(known[path]).parent

    def replace(match: re.Match[str]) -> str:
        target = (path.parent / match[1]).resolve()
        if target in known or target.is_relative_to(DOCS / "pictures"):
            place = known.get(target) or target.relative_to(DOCS).as_posix()
            return f"]({Path(os.path.relpath(place, here)).as_posix()}{match[2] or ''})"
        if target in FILES:
            place = target.relative_to(DOCS).as_posix()
            return f"](site:{Path(os.path.relpath(place, here)).as_posix()})"
        kind = "tree" if target.is_dir() else "blob"
        return f"]({SOURCE}/{kind}/main/{target.relative_to(ROOT).as_posix()}{match[2] or ''})"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(replace, part) for part in parts)


def with_contents(text: str) -> str:
    """The first page, and after each of its lists the same as a part of the site's contents."""
    parts = re.split(r"^(## .+)$", text, flags=re.MULTILINE)
    found = [parts[0]]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        links = re.findall(r"^- \[([^]]+)\]\(([^)]+)\)", body, flags=re.MULTILINE)
        known = pages()
        entries = (f"{name} <{known[(DOCS / page).resolve()].removesuffix('.md')}>" for name, page in links)
        found += [title, body.rstrip(), "\n\n```{toctree}\n:hidden:\n:caption: ", title[3:], "\n\n"]
        found += ["\n".join(entries), "\n```\n\n"]
    return "".join(found)


def _name_defaults(*event: Any) -> tuple[str, str | None] | None:
    """A default that is no Python as it is shown: a function's address, a factory."""
    *_, arguments, returned = event
    if not arguments:
        return None
    return re.sub(r"<function (\w+)[^>]*>", r"\1", arguments).replace("<factory>", "..."), returned


def _document_fields(*event: Any) -> None:
    """A pydantic model says what a field means in its description (autodoc-process-docstring)."""
    _, _, _, documented, _, lines = event
    if isinstance(documented, type) and issubclass(documented, BaseModel):
        lines += [
            f":param {field}: {info.description}"
            for field, info in documented.model_fields.items()
            if info.description
        ]


def _resolve(
    app: Sphinx, env: Any, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """A type of the public API is described under the name by which a repository imports it.

    Other types of a signature stay words. What a docstring refers to by a role has to be there.
    """
    if node.get("refdomain") != "py":
        return None
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if name not in api.__all__:
        return None if "refexplicit" in node else content
    target = f"{api.__name__}.{name}"
    found: nodes.Element | None = env.domains["py"].resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, node, content
    )
    return found


def _name_cells(_app: Sphinx, doctree: nodes.document, _page: str) -> None:
    """Each cell but a row's first begins with its column's name, which only a narrow screen shows.

    Two columns need none: the first is the row's name, and the other says what it is.
    """
    for group in doctree.findall(nodes.tgroup):
        names = [entry.astext() for head in group.findall(nodes.thead) for entry in head.findall(nodes.entry)]
        rows = [row for body in group.findall(nodes.tbody) for row in body.findall(nodes.row)]
        for row in rows if len(names) > 2 else ():
            for name, entry in list(zip(names, row.findall(nodes.entry), strict=True))[1:]:
                text = next(entry.findall(nodes.paragraph), None)
                if text is not None and name:
                    text.insert(0, nodes.inline("", name, classes=["column"]))


def build(out: Path) -> None:
    """The whole site; raises SphinxError where anything is wrong, a warning included."""
    with tempfile.TemporaryDirectory(prefix="zkrollback-site-") as scratch:
        source = Path(scratch, "source")
        source.mkdir()
        write_sources(source)
        made = Path(scratch, "site")
        app = Sphinx(
            source,
            None,
            made,
            Path(scratch, "doctrees"),
            "html",
            confoverrides=SETTINGS,
            status=None,
            warning=sys.stderr,
            warningiserror=True,
            freshenv=True,
        )
        app.connect("autodoc-process-signature", _name_defaults)
        app.connect("autodoc-process-docstring", _document_fields)
        app.connect("missing-reference", _resolve)
        app.connect("doctree-resolved", _name_cells)
        app.build(force_all=True)
        if app.statuscode:
            raise SphinxError("it has warnings.")
        for path in FILES:
            shutil.copy(path, made / path.relative_to(DOCS))
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)


def main() -> int:
    """0 if the site is there."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    try:
        build(out)
    except SphinxError as error:
        print(f"The site was not made: {error}", file=sys.stderr)
        return 1
    print(f"Open {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
