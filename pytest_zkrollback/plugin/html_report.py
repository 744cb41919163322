"""Completes the file that pytest-html wrote: our record first, a policy in its head, its own table below."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from markupsafe import Markup

from ..domain.record import Record
from ..report.files import replace_file
from ..report.html import SCRIPT, STYLE, TABLE_STYLE, content_policy, render_page, render_record, template
from ..report.redaction import Redactor

# What pytest-html 4.2.0's template writes. Its one inline handler is allowed by hash, any other is not.
_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
_BODY = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*)</script>", re.DOTALL)
_BLOB = re.compile(r'(data-jsonblob=")([^"]*)(")')
_TITLE = re.compile(r'\s*<h1 id="title">.*?</h1>', re.DOTALL)
_MADE = re.compile(r"Report generated on \S+ at \S+ by ")  # local time without a zone
_FILTER = re.compile(r'(<input [^>]*data-test-result="(\w+)")')
_HANDLER = "location.reload()"
_ADDED_STYLES = re.compile(r"/\*{30}\s+\* (?:CUSTOM CSS|ANSI2HTML)")


class UnexpectedPage(ValueError):
    """The file is not what pytest-html 4.2.0 writes with ``--self-contained-html``."""


def complete_page(path: Path, record: Record, redactor: Redactor | None = None) -> None:
    """Rewrite ``path`` (pytest-html's self-contained file) in one step: record first, then its table.

    ``record`` is redacted; ``redactor`` cleans what pytest-html itself collected. A file of an unexpected
    shape is replaced by the record's standalone page. Raises OSError.
    """
    try:
        page = completed_page(path.read_text(encoding="utf-8"), record, redactor or Redactor())
    except UnexpectedPage:
        page = render_page(record)
    replace_file(path, page.encode("utf-8", errors="replace"))


def completed_page(text: str, record: Record, redactor: Redactor) -> str:
    """pytest-html's page ``text`` as ours; raises UnexpectedPage."""
    styles, body, script = _STYLE.search(text), _BODY.search(text), _SCRIPT.search(text)
    if not (styles and body and script and _BLOB.search(body[1]) and body.start() < script.start()):
        raise UnexpectedPage("no style, body, script or data where pytest-html 4.2.0 has them")
    table = body[1].replace(script[0], "")
    if "<script" in table.lower():
        raise UnexpectedPage("a second script")
    blob = _BLOB.search(table)
    assert blob is not None  # noqa: S101 - it was found in the body, and is not in the script
    table = _mended(redactor.text(table[: blob.start()])) + _clean_blob(blob, redactor) + table[blob.end() :]
    pytest_style, added_style = _scoped(styles[1])
    style = f"{STYLE}\n{pytest_style}\n{TABLE_STYLE}\n{added_style}"
    policy = content_policy(styles=(style,), scripts=(script[1], SCRIPT), handlers=(_HANDLER,))
    ours = {
        "record_html": render_record(record),
        "table": table,
        "style": style,
        "table_script": script[1],
        "script": SCRIPT,
    }
    marked = {name: Markup(part) for name, part in ours.items()}  # noqa: S704 - escaped by Jinja2 before
    return template("completed.html.j2").render(record=record, policy=policy, **marked)


def _mended(table: str) -> str:
    """pytest-html's static part with headings below ours, and names for its check boxes."""
    table = (
        _MADE.sub("Made by ", _TITLE.sub("", table, count=1))
        .replace("<h2>", "<h3>")
        .replace("</h2>", "</h3>")
    )
    return _FILTER.sub(r'\1 aria-label="show \2"', table)


def _clean_blob(blob: re.Match[str], redactor: Redactor) -> str:
    try:
        data = json.loads(html.unescape(blob[2]))
        environment = data["environment"]
    except (ValueError, LookupError, TypeError):
        raise UnexpectedPage("its data is not what pytest-html 4.2.0 writes") from None
    for name, value in environment.items():
        if isinstance(value, dict):  # its script would nest two lists, which no screen reader can read
            environment[name] = ", ".join(f"{key} {each}" for key, each in value.items())
    return blob[1] + html.escape(json.dumps(redactor.value(data))) + blob[3]


def _scoped(style: str) -> tuple[str, str]:
    """pytest-html's own rules for its part of the page only, and what ``--css`` added, which stays global."""
    found = _ADDED_STYLES.search(style)
    own, added = (style, "") if found is None else (style[: found.start()], style[found.start() :])
    return "#pytest-html {\n" + own.replace("h2", "h3") + "\n}", added
