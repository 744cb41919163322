"""``latest.md`` and ``latest.html`` while a run goes on: they delay helm, so they are small.

The whole files are written as soon as the outcome is another one. The modules that draw them cost a tenth of
a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    "{record} beside this one."
)


@dataclass(frozen=True)
class Unfinished:
    """What runs. Its strings are redacted, and may be hostile; ``record`` names the file to look into."""

    title: str
    headline: str
    facts: Sequence[tuple[str, str]]
    record: str

    @property
    def lines(self) -> list[str]:
        """The facts that there are, a line each."""
        return [f"{name}: {inert_line(value)}" for name, value in self.facts if value]

    @property
    def note(self) -> str:
        """What becomes of this file."""
        return _NOTE.format(record=self.record)


def unfinished_page(what: Unfinished) -> str:
    """HTML that says what runs."""
    return _PAGE.format(
        title=escape(what.title),
        headline=escape(what.headline),
        note=escape(what.note),
        text=escape("\n".join(what.lines)),
    )


def unfinished_markdown(what: Unfinished) -> str:
    """Markdown that says what runs; what somebody else wrote stands in a block of code."""
    facts = [f"    {line}" for line in what.lines]
    return "\n".join([f"# {inert_line(what.headline)}", "", what.note, "", *facts, ""])


def render_unfinished_page(record: Record) -> str:
    """The page of one run."""
    return unfinished_page(_unfinished(record))


def render_unfinished_markdown(record: Record) -> str:
    """The Markdown of one run."""
    return unfinished_markdown(_unfinished(record))


def _unfinished(record: Record) -> Unfinished:
    return Unfinished(
        title=title(record),
        headline=headline(record),
        facts=(
            ("What", mode_label(record)),
            ("Reason", record.reason),
            ("Incident", record.incident or ""),
            ("Operator", record.operator),
            ("Run", record.run_id),
            ("Started", record.started_at.isoformat(timespec="seconds")),
        ),
        record="latest.json",
    )
