"""The fleet's record as one HTML page that needs no script, no network and no colour to be read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from ...domain.fleet import FleetRecord
from .. import formatting
from ..file_names import fleet_stem
from ..html import SCRIPT, STYLE, content_policy, template
from . import facts_table, words
from .compare import find_differences
from .fleet_markdown import render_fleet_markdown
from .heat_map import find_heat_map
from .wave_chart import MOST_LANES, render_waves

FLEET_STYLE = STYLE + (Path(__file__).parents[1] / "templates" / "fleet.css").read_text(encoding="utf-8")
"""The style sheet of a run's page, and what a fleet's adds to it."""

# What is not well and is shown whole; the rest stands below it, folded.
_MOST_SHOWN = 12
_MOST_IN_TABLE = 12


def render_fleet_page(record: FleetRecord) -> str:
    """The standalone page, with a policy in its head under which nothing can be loaded."""
    policy = content_policy(styles=(FLEET_STYLE,), scripts=(SCRIPT,))
    body, style, script = (Markup(text) for text in (_body(record), FLEET_STYLE, SCRIPT))  # noqa: S704 - ours
    return template("fleet-page.html.j2").render(
        record=record, words=words, body=body, policy=policy, style=style, script=script
    )


def _body(record: FleetRecord) -> str:
    ordered = words.worst_first(record.members)
    bad = [each for each in ordered if not words.is_well(each) and not words.is_idle(each)]
    with formatting.reader_zone(record.report_timezone):
        return template("fleet.html.j2").render(
            record=record,
            words=words,
            table=facts_table,
            markdown=render_fleet_markdown(record),
            stem=fleet_stem(record),
            rows=facts_table.head_rows(record),
            bad=bad[:_MOST_SHOWN],
            more_bad=bad[_MOST_SHOWN:],
            heat=find_heat_map(record),
            waves=render_waves(record),
            drawn_together=len(record.members) > MOST_LANES,
            differences=find_differences(record),
            members=ordered,
            most_in_table=_MOST_IN_TABLE,
            address=_address,
        )


def _address(file: str) -> str:
    """A file beside the page as an address: it stays one, whatever its name holds; empty: none."""
    parts = file.split("/")
    safe = file and not file.startswith("/") and "\\" not in file and not {"", "."} & set(parts)
    return "./" + "/".join(quote(part, safe="", errors="replace") for part in parts) if safe else ""
