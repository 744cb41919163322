"""``latest.html`` while a run goes on: it stands between the operator and helm, so it is made of little.

The whole page takes a tenth of a second, most of it to compile its templates. It is written as soon as the
outcome is another one.
"""

from __future__ import annotations

from html import escape

from ..domain.record import Record
from .markdown import render_markdown
from .summary import headline, title

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
<p>This page is written again when the run ends. If the run was killed, its record as it stood is the file
latest.json beside this one.</p>
<pre>{text}</pre>
</main>
</body>
</html>
"""


def render_unfinished_page(record: Record) -> str:
    """HTML with the record as Markdown in it; ``record`` is redacted, and its strings may be hostile."""
    return _PAGE.format(
        title=escape(title(record)), headline=escape(headline(record)), text=escape(render_markdown(record))
    )
