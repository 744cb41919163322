"""Completes the file that pytest-html wrote: our record first, a policy in its head, its own table below.

A page of another shape is not cut up: the report is a page of its own, and pytest-html's is kept beside it.
"""

from __future__ import annotations

import html
import json
import re
from importlib import metadata
from pathlib import Path

from markupsafe import Markup

from ..domain.record import Record
from ..report.files import replace_file
from ..report.html import SCRIPT, STYLE, TABLE_STYLE, content_policy, render_page, render_record, template
from ..report.redaction import Redactor

# What the templates of pytest-html 4.0 to 4.2 write. Their one inline handler is allowed by hash.
_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
_BODY = re.compile(r"<body[^>]*>(.*)</html>", re.DOTALL)  # before 4.2 the data follow </body>
_SCRIPT = re.compile(r"<script>(.*)</script>", re.DOTALL)
_BLOB = re.compile(r'(data-jsonblob=")([^"]*)(")')
_TITLE = re.compile(r'\s*<h1 id="title">.*?</h1>', re.DOTALL)
_MADE = re.compile(r"Report generated on \S+ at \S+ by ")  # local time without a zone
_FILTER = re.compile(r'(<input [^>]*data-test-result="(\w+)")')
_HANDLER = "location.reload()"
# By what pytest-html's filter, sorting and colours go, for each of our words, which stand in the rows.
_ITS_WORDS = {"PASS": "Passed", "FAIL": "Failed", "UNVERIFIED": "Failed", "WAIVED": "Skipped"}
_HEAD = re.compile(r"<head[^>]*>")
_NO_NETWORK = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'\">"
)
_ADDED_STYLES = re.compile(r"/\*{30}\s+\* (?:CUSTOM CSS|ANSI2HTML)")


class UnexpectedPage(ValueError):
    """The file is not what pytest-html 4.0 to 4.2 writes with ``--self-contained-html``."""


def complete_page(path: Path, record: Record, redactor: Redactor | None = None) -> str:
    """Rewrite ``path`` (pytest-html's self-contained file) in one step: record first, then its table.

    ``record`` is redacted; ``redactor`` cleans what pytest-html itself collected. Where the file has another
    shape, ``path`` becomes the record's standalone page, and pytest-html's is kept beside it.
    Returns what to tell the operator; empty where the page was completed. Raises OSError.
    """
    text, redactor = path.read_text(encoding="utf-8"), redactor or Redactor()
    try:
        page, said = completed_page(text, record, redactor), ""
    except UnexpectedPage:
        beside = path.with_name(f"{path.stem}.pytest-html.html")
        note = _keep_beside(beside, text, redactor)
        page, said = render_page(record, note), f"The report is complete. {note}"
    replace_file(path, page.encode("utf-8", errors="replace"))
    return said


def _keep_beside(beside: Path, text: str, redactor: Redactor) -> str:
    """Write pytest-html's own page, redacted, to ``beside``; the sentence says where it is, or why it is not.

    It may load nothing from anywhere: it has strings from outside, and no policy of its own.
    """
    why = f"pytest-html {_pytest_html_version()} writes a page of another shape than the ones known here"
    blob = _BLOB.search(text)
    with_clean_data = text if blob is None else _without_secrets_in_data(text, blob, redactor)
    clean = redactor.text(with_clean_data)
    plain = html.unescape(clean)
    if redactor.text(plain) != plain:
        return f"{why}. It was not kept: a secret in it could not be taken out."
    clean = _HEAD.sub(lambda head: head[0] + _NO_NETWORK, clean, count=1)
    try:
        replace_file(beside, clean.encode("utf-8", errors="replace"))
    except OSError as error:
        return f"{why}. It could not be kept: {error.strerror or type(error).__name__}."
    return f"{why}. It is kept beside the report: {beside.name}."


def _without_secrets_in_data(text: str, blob: re.Match[str], redactor: Redactor) -> str:
    try:
        data = json.loads(html.unescape(blob[2]))
    except ValueError:
        return text
    clean = html.escape(json.dumps(redactor.value(data)))
    return f"{text[: blob.start(2)]}{clean}{text[blob.end(2) :]}"


def _pytest_html_version() -> str:
    try:
        return metadata.version("pytest-html")
    except metadata.PackageNotFoundError:  # vendored
        return "(of an unknown version)"


def completed_page(text: str, record: Record, redactor: Redactor) -> str:
    """pytest-html's page ``text`` as ours; raises UnexpectedPage."""
    styles, body, script = _STYLE.search(text), _BODY.search(text), _SCRIPT.search(text)
    if not (styles and body and script and _BLOB.search(body[1]) and body.start() < script.start()):
        raise UnexpectedPage("no style, body, script or data where pytest-html has them")
    table = body[1].replace(script[0], "").replace("</body>", "", 1)
    if "<script" in table.lower():
        raise UnexpectedPage("a second script")
    blob = _BLOB.search(table)
    if blob is None:
        raise UnexpectedPage("the data lie within the scripts")
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
        for each in (run for runs in data["tests"].values() for run in runs):
            each["result"] = _ITS_WORDS.get(each["result"], each["result"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UnexpectedPage("its data is not what pytest-html writes") from None
    for name, value in environment.items():
        if isinstance(value, dict):  # its script would nest two lists, which no screen reader can read
            environment[name] = ", ".join(f"{key} {each}" for key, each in value.items())
    return blob[1] + html.escape(json.dumps(redactor.value(data))) + blob[3]


def _scoped(style: str) -> tuple[str, str]:
    """pytest-html's own rules for its part of the page only, and what ``--css`` added, which stays global."""
    found = _ADDED_STYLES.search(style)
    own, added = (style, "") if found is None else (style[: found.start()], style[found.start() :])
    return "#pytest-html {\n" + own.replace("h2", "h3") + "\n}", added
