"""Fault 47 in a real browser: markup in every string of the record, and none of it acts."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from filled_record import filled
from test_page import dom_of, written  # noqa: F401 - a fixture

from test_html import Page

from pytest_zkrollback.page import completed_page
from pytest_zkrollback.record.html import render_page
from pytest_zkrollback.record.redaction import Redactor

OWNED = "document.documentElement.dataset.owned=1"
HOSTILE = (
    f"</title></style></textarea></pre></svg><script>{OWNED}</script>"
    f'"\'><img src=x onerror="{OWNED}"><svg onload="{OWNED}"><a href="javascript:{OWNED}">x</a>'
    "<style>body{display:none}</style><meta http-equiv=refresh content=0;url=about:blank>{{7*7}}]]>\x1b[2J\u202e\0"
)


@pytest.mark.parametrize("completed", [False, True], ids=["standalone", "with pytest-html's table"])
def test_fault_47_in_a_browser_no_string_of_the_record_acts(completed, written, tmp_path):  # noqa: F811
    record = Redactor().record(filled(lambda path: f"{path} {HOSTILE}"))
    page = completed_page(written, record, Redactor()) if completed else render_page(record)
    dom = dom_of(page, tmp_path)
    assert "data-owned" not in re.search(r"<html[^>]*>", dom)[0]
    shown = Page(dom.partition("<body")[2].partition('id="pytest-html"')[0])
    assert {tag for tag, _ in shown.tags} <= OURS
    assert not [name for _, attrs in shown.tags for name in attrs if name.startswith("on") or name == "src"]
    assert dom.count('<meta http-equiv="refresh"') == 0
    assert ">Copy</button>" in dom  # our own script does run
    for path in ("reason", "items.0.observed", "helm.stderr_tail", "github.files.0"):
        assert f"{path} &lt;/title&gt;" in dom
    log = (tmp_path / "log").read_text(encoding="utf-8")
    refused = [line for line in log.splitlines() if "Security Policy" in line]
    assert len(refused) == (2 if completed else 0), refused  # pytest-html's own hostile id: test_page.py
