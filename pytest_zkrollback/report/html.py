"""The record as one HTML page that needs no script, no network and no colour to be read."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ..domain.links import is_address
from ..domain.record import Record
from . import (
    change_section,
    commits_section,
    course,
    earlier_runs,
    failures,
    formatting,
    github_section,
    incident_facts,
    post_mortem,
    revision_table,
    summary,
    todo,
)
from .file_names import file_stem
from .gantt import render_gantt
from .markdown import render_markdown
from .metric_chart import metric_figures
from .recovery_chart import recovery_words, render_recovery
from .sanitize import escape_control_characters
from .service_line import service_line

_TEMPLATES = Path(__file__).parent / "templates"

STYLE = (_TEMPLATES / "record.css").read_text(encoding="utf-8")
"""The style sheet of the record; every rule stands under ``.zkr`` or ``body.zkr-page``."""

TABLE_STYLE = (_TEMPLATES / "table.css").read_text(encoding="utf-8")
"""Makes pytest-html's part of a completed page readable: contrast, dark, narrow, print."""

SCRIPT = (_TEMPLATES / "record.js").read_text(encoding="utf-8")
"""Adds copy buttons, also for the report as Markdown; the page is complete without it."""

# The page stays below 2 MB whatever the evidence: what is over the budget keeps this much head and tail.
_EVIDENCE_BUDGET = 1_000_000
_EVIDENCE_OVER_BUDGET = 600
_DIFF_LIMIT = 100_000
_CHANGED_LIMIT = 40_000


def render_page(record: Record, session_note: str = "") -> str:
    """The standalone page: the record, with a policy in its head under which nothing can be loaded.

    ``session_note`` says, below it, where pytest-html's own page is.
    """
    policy = content_policy(styles=(STYLE,), scripts=(SCRIPT,))
    body, style, script = (Markup(text) for text in (render_record(record), STYLE, SCRIPT))  # noqa: S704 - ours
    return template("page.html.j2").render(
        record=record, body=body, policy=policy, style=style, script=script, session_note=session_note
    )


# What stands around the record in both kinds of page.
_BEFORE, _AFTER, _END = "<main>\n", '<section id="pytest-html"', "</main>"
_OTHER_VERSION = (
    "It was left out when something was added to this record: another version of this tool had made the page."
)


def render_again(page: str, record: Record) -> str:
    """An earlier ``page`` of this record as it is now, with pytest-html's table where it had one.

    A page of another version has other styles: the record's standalone page takes its place.
    """
    begin = page.find(_BEFORE)
    end = max(page.rfind(_AFTER), page.rfind(_END) if _AFTER not in page else -1)
    if not (0 <= begin < end) or f"<script>{SCRIPT}</script>" not in page or STYLE not in page:
        return render_page(record, _OTHER_VERSION if _AFTER in page else "")
    begin += len(_BEFORE)
    return f"{page[:begin]}{render_record(record)}\n{page[end:]}"


def render_record(record: Record) -> str:
    """The record as a fragment ``<div class="zkr">``, to be put inside ``<main>``; needs :data:`STYLE`."""
    diff, labels = change_section.split_diff(record.plan.diff)
    with formatting.reader_zone(record.report_timezone):
        return template("record.html.j2").render(
            record=record,
            markdown=render_markdown(record),
            stem=file_stem(record),
            recovery=render_recovery(record),
            recovery_words=recovery_words(record),
            gantt=render_gantt(record),
            metrics=metric_figures(record),
            timeline=course.find_course(record),
            known_of=revision_table.notes_of_run(record),
            judged=revision_table.verdicts_of_run(record),
            changed_lines=list(change_section.changed_lines(_cut(record.plan.diff, _CHANGED_LIMIT))),
            shown=dict(_shown_evidence(record)),
            diff=list(_diff_lines(_cut(diff, _DIFF_LIMIT))),
            label_diff=list(_diff_lines(_cut(labels, _DIFF_LIMIT))),
        )


def content_policy(styles: tuple[str, ...], scripts: tuple[str, ...], handlers: tuple[str, ...] = ()) -> str:
    """A Content-Security-Policy that allows exactly these inline styles, scripts and event handlers."""
    script_src = [_hash(script) for script in (*scripts, *handlers)]
    if handlers:
        script_src.insert(0, "'unsafe-hashes'")
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {' '.join(map(_hash, styles))}",
            f"script-src {' '.join(script_src)}",
            "img-src data:",
            "media-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown_evidence(record: Record) -> Iterator[tuple[int, str]]:
    """``id`` of each evidence -> the text that the page shows."""
    left = _EVIDENCE_BUDGET
    for item in record.items:
        for piece in item.evidence:
            size = len(Markup.escape(piece.text).encode("utf-8", errors="replace"))
            text = piece.text if size <= left else _cut(piece.text, _EVIDENCE_OVER_BUDGET)
            left -= min(size, left)
            yield id(piece), text


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = f"[... {len(text) - 2 * half} characters left out here; they are in the JSON file ...]"
    return f"{text[:half]}\n{left_out}\n{text[-half:]}"


def _diff_lines(diff: str) -> Iterator[tuple[str, str]]:
    """Class and text of each stretch of alike lines in a unified diff."""
    for mark, lines in groupby(diff.splitlines(), key=_diff_mark):
        yield mark, "\n".join(lines)


def _diff_mark(line: str) -> str:
    if line.startswith(("+++ ", "--- ")):
        return "hunk"
    return {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "same")


def _message_lines(message: dict[str, Any]) -> list[tuple[str, str]]:
    """A Slack message as (kind, text) lines: kind is ``head``, ``text``, ``field``, ``small`` or ``rule``."""
    lines: list[tuple[str, str]] = []
    blocks = message.get("blocks")
    for block in blocks if isinstance(blocks, list) else []:
        if not isinstance(block, dict):
            continue
        kind = {"header": "head", "context": "small", "divider": "rule"}.get(str(block.get("type")), "text")
        if kind == "rule":
            lines.append(("rule", ""))
        parts = [(kind, part) for part in (block.get("text"), *_listed(block.get("elements")))]
        parts += [("field", part) for part in _listed(block.get("fields"))]
        lines += [(name, text) for name, part in parts if (text := _message_text(part))]
    said = message.get("text") or message.get("body")  # of Slack; of a comment on GitHub
    if not lines and said:
        lines.append(("text", _message_text(said)))
    return lines or [("text", json.dumps(message, indent=2, default=str))]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _message_text(part: object) -> str:
    text = part.get("text", "") if isinstance(part, dict) else part
    if not isinstance(text, str):
        return ""
    if isinstance(part, dict) and part.get("type") == "mrkdwn":
        text = re.sub(r"(?<!\w)[*_]([^*_\n]+)[*_](?!\w)", r"\1", text)
        text = re.sub(r"<(https?://[^<>|\s]+)>", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _inert(value: Any) -> Any:
    """Applied to everything that a template puts out: no string from outside reorders or hides anything."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return escape_control_characters(value)
    return value


# Words of outcomes, verdicts and guards -> the shape (and colour class) that stands beside them.
_SHAPES = {
    "verified": "pass",
    "verified-with-waivers": "waived",
    "ok": "pass",
    "failed": "fail",
    "running": "waiting",
    "overridden": "warned",
}


def _css_class(word: str) -> str:
    name = re.sub(r"[^a-z]+", "-", word.lower())
    return _SHAPES.get(name, name)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def _anchor(text: str) -> str:
    return f"zkr-item-{_slug(text)}"


def _size(count: int) -> str:
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.1f} KiB"


def _argv(argv: tuple[str, ...]) -> str:
    return " ".join(word if re.fullmatch(r"[\w@%+=:,./-]+", word) else _quoted(word) for word in argv)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _contents(sections: str) -> list[tuple[str, Markup]]:
    """Id and heading of each section of the page, in its order."""
    found = re.findall(r'<section id="([\w-]+)"[^>]*>\s*<h2>(.*?)</h2>', sections)
    return [(name, Markup(heading)) for name, heading in found]  # noqa: S704 - escaped where it was put out


@cache
def template(name: str) -> Template:
    """One of our templates; all that it puts out is escaped and made inert."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": _anchor,
        "argv": _argv,
        "contents": _contents,
        "css_class": _css_class,
        "message_lines": _message_lines,
        "size": _size,
        "slug": _slug,
    }
    environment.tests |= {"link": is_address}
    environment.globals |= {
        "summary": summary,
        "facts": incident_facts,
        "failures": failures,
        "change_section": change_section,
        "commits_section": commits_section,
        "course": course,
        "earlier_runs": earlier_runs,
        "github_section": github_section,
        "formatting": formatting,
        "service_line": service_line,
        "todo": todo,
        "post_mortem": post_mortem,
        "evidence_id": id,
    }
    return environment.get_template(name)
