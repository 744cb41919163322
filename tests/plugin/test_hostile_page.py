"""Fault 47 in a real browser: markup in every string of the record, and none of it acts."""

import re

import pytest

from pytest_zkrollback.plugin.html_report import completed_page
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.redaction import Redactor
from support.chromium import dom_of
from support.filled_record import filled
from support.html_page import Page

OWNED = "document.documentElement.dataset.owned=1"
HOSTILE = (
    f"</title></style></textarea></pre></svg><script>{OWNED}</script>"
    f'"\'><img src=x onerror="{OWNED}"><svg onload="{OWNED}"><a href="javascript:{OWNED}">x</a>'
    "<style>body{display:none}</style><meta http-equiv=refresh content=0;url=about:blank>{{7*7}}]]>\x1b[2J\u202e\0"
)


@pytest.mark.parametrize("completed", [False, True], ids=["standalone", "with pytest-html's table"])
def test_fault_47_in_a_browser_no_string_of_the_record_acts(completed, written, tmp_path):
    record = Redactor().record(filled(lambda path: f"{path} {HOSTILE}"))
    page = completed_page(written, record, Redactor()) if completed else render_page(record)
    dom = dom_of(page, tmp_path)
    assert "data-owned" not in re.search(r"<html[^>]*>", dom)[0]
    if not completed:  # pytest-html's own rows hold a hostile id, of which test_page.py takes care
        tags = Page(dom).tags
        assert not {"img", "iframe", "object", "embed", "form", "textarea"} & {tag for tag, _ in tags}
        assert not [name for _, attrs in tags for name in attrs if name.startswith("on") or name == "src"]
        assert not [attrs for _, attrs in tags if "javascript:" in (attrs.get("href") or "")]
    assert dom.count('<meta http-equiv="refresh"') == 0
    assert ">Copy</button>" in dom  # our own script does run
    for path in ("reason", "items.0.observed", "helm.stderr_tail", "github.files.0"):
        assert f"{path} &lt;/title&gt;" in dom
    log = (tmp_path / "log").read_text(encoding="utf-8")
    said = [line.partition("CONSOLE")[2].partition('"')[2] for line in log.splitlines()]
    refused = {text[:24] for text in said if "Security Policy" in text}
    assert refused == ({"Executing inline event h", "Loading the image 'file:"} if completed else set())
