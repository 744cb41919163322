"""``latest.md`` and ``latest.html`` while a run goes on: they delay helm, so they are small.

The whole files are written as soon as the outcome is another one. The modules that draw them cost a tenth of
a second.
"""

from __future__ import annotations

from html import escape

from ..domain.record import Record
from .sanitize import inert_line
from .summary import headline, mode_label, title

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 1rem }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere }}</style>
</head>
<body>
<main>
<h1>{headline}</h1>
<p>{note}</p>
<pre>{text}</pre>
</main>
</body>
</html>
"""


_NOTE = (
    "This file is written again when the run ends. If the run was killed, its record as it stood is the file "
    "latest.json beside this one."
)


def render_unfinished_page(record: Record) -> str:
    """HTML that says what runs; ``record`` is redacted, and its strings may be hostile."""
    return _PAGE.format(
        title=escape(title(record)),
        headline=escape(headline(record)),
        note=_NOTE,
        text=escape("\n".join(_facts(record))),
    )


def render_unfinished_markdown(record: Record) -> str:
    """Markdown that says what runs; what somebody else wrote stands in a block of code."""
    return "\n".join(
        [f"# {headline(record)}", "", _NOTE, "", *(f"    {line}" for line in _facts(record)), ""]
    )


def _facts(record: Record) -> list[str]:
    facts = (
        ("What", mode_label(record)),
        ("Reason", record.reason),
        ("Incident", record.incident or ""),
        ("Operator", record.operator),
        ("Run", record.run_id),
        ("Started", record.started_at.isoformat(timespec="seconds")),
    )
    return [f"{name}: {inert_line(value)}" for name, value in facts if value]
