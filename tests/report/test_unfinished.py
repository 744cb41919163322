"""What stands in latest.html and latest.md while a run goes on."""

import html
import json
import re

from pytest_zkrollback.report.fleet.folder import write_journal, write_unfinished
from pytest_zkrollback.report.fleet.merge import sum_up
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.unfinished import render_unfinished_markdown, render_unfinished_page
from support.example_fleets import GALLERY_FLEETS
from support.example_records import running

RUNS = """\
# NOT FINISHED

This file is written again when the run ends. If the run was killed, its record as it stood is the file \
latest.json beside this one.

    What: zkprova rolled back from 6 to 5 in drill
    Reason: backend crash-loops since 2026.11.5
    Incident: https://tracker.example/INC-4711
    Operator: ada@workstation
    Run: 1a2b3c4d
    Started: 2026-11-23T11:50:39+00:00
"""


def test_the_markdown_says_what_runs_and_that_it_is_not_finished():
    assert render_unfinished_markdown(running()) == RUNS


def test_the_page_says_the_same():
    page = render_unfinished_page(running())
    assert "<h1>NOT FINISHED</h1>" in page
    [shown] = re.findall("<pre>(.*)</pre>", page, re.DOTALL)
    facts = RUNS.partition("beside this one.\n\n")[2]
    assert html.unescape(shown).splitlines() == [line.strip() for line in facts.splitlines()]
    assert re.findall(r"<script|\ssrc=|\shref=|\son\w+=", page) == []


def test_what_comes_from_outside_is_text_in_both():
    hostile = running().model_copy(update={"release": "</pre><script>alert(1)</script>{release}\n# GREEN"})
    page = render_unfinished_page(hostile)
    assert "<script" not in page
    assert page.count("</pre>") == 1
    assert "alert(1)" in page
    assert "\n# GREEN" not in render_unfinished_markdown(hostile)


def test_of_a_fleet_too_beside_its_record_and_its_cases(tmp_path):
    _, make = next(iter(GALLERY_FLEETS.items()))
    record = sum_up(make().model_copy(update={"finished_at": None, "fleet": "shop\n# GREEN"}))
    write_journal(tmp_path, record, Redactor())
    write_unfinished(tmp_path, record, Redactor())
    assert sorted(path.suffix for path in tmp_path.glob("latest-fleet.*")) == [
        ".html",
        ".json",
        ".md",
        ".xml",
    ]
    text = (tmp_path / "latest-fleet.md").read_text()
    assert text.startswith("# NOT FINISHED: fleet shop")
    assert "\n# GREEN" not in text
    assert "latest-fleet.json beside this one" in text
    assert "<h1>NOT FINISHED: fleet shop" in (tmp_path / "latest-fleet.html").read_text()
    assert json.loads((tmp_path / "latest-fleet.json").read_text())["outcome"] == "running"
    assert "<error" in (tmp_path / "latest-fleet.xml").read_text()
