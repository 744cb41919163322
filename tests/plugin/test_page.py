"""The file that pytest-html wrote, completed: record first, policy in the head, its table still usable."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_zkrollback.domain.notes import AddedNote, NoteKind
from pytest_zkrollback.plugin.html_report import UnexpectedPage, complete_page, completed_page
from pytest_zkrollback.report.html import render_again, render_page
from pytest_zkrollback.report.redaction import Redactor
from support.chromium import dom_of
from support.example_records import at, failed, verified


@pytest.fixture(scope="module")
def completed(written: str) -> str:
    return completed_page(written, failed(), Redactor({"A": "hunter22secret"}))


def test_the_record_comes_first_and_the_title_is_the_verdict(completed: str) -> None:
    assert completed.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>FAILED: zkprova rolled back from 6 to 5 in drill</title>" in completed
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in completed
    record, table = completed.index("<h1>FAILED</h1>"), completed.index('<section id="pytest-html">')
    assert record < completed.index(">Checks</h2>") < table < completed.index('id="results-table"')
    assert completed.count("<h1") == 1
    assert "Report generated on" not in completed


def test_the_policy_allows_exactly_what_is_there(completed: str) -> None:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', completed)
    assert found is not None
    policy = html.unescape(found[1])
    scripts = re.findall(r"<script>(.*?)</script>", completed, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", completed, re.DOTALL)
    assert (len(scripts), len(styles)) == (2, 1)
    for text in (*scripts, *styles, "location.reload()"):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "'unsafe-inline'" not in policy
    assert policy.count("sha256-") == 4


def test_what_pytest_html_collected_is_kept_and_redacted(completed: str) -> None:
    blob = re.search(r'data-jsonblob="([^"]*)"', completed)
    assert blob is not None
    data = json.loads(html.unescape(blob[1]))
    assert [len(data["tests"]), data["environment"]["Packages"][:7]] == [3, "pytest "]
    assert "hunter22secret" not in completed
    assert "the secret is [redacted A]" in json.dumps(data)


def test_css_of_the_user_is_honoured_and_pytest_htmls_own_stays_in_its_part(completed: str) -> None:
    style = completed[completed.index("<style>") : completed.index("</style>")]
    assert style.index("#pytest-html {\nbody {") < style.index("#results-table { outline: 3px solid teal }")
    assert "CUSTOM CSS" in style[style.rindex("\n}") :]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>something else</body></html>",
        "<style>x</style><body><div data-jsonblob='{}'></div><script>1</script></body>",
        '<style>x</style><body><div data-jsonblob="{"></div><script>1</script></body>',
        '<style>x</style><body><div data-jsonblob="[]"></div><script>1</script></body>',
        '<style>x</style><body><script src="x"></script><div data-jsonblob="{}"></div><script>1</script></body>',
    ],
)
def test_where_the_shape_is_another_one_the_report_is_whole_and_pytest_htmls_page_is_beside_it(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(UnexpectedPage):
        completed_page(text, verified(), Redactor())
    path = tmp_path / "r.html"
    path.write_text(text, encoding="utf-8")
    said = complete_page(path, verified())
    note = f"pytest-html {version('pytest-html')} writes a page of another shape than the ones known here. "
    note += "It is kept beside the report: r.pytest-html.html."
    assert said == f"The report is complete. {note}"
    page = path.read_text(encoding="utf-8")
    assert "<h1>VERIFIED</h1>" in page
    assert f"<p>{note}</p>" in page
    assert page.replace(f"<p>{note}</p>", "").partition('<section id="pytest-html"')[0] in render_page(
        verified()
    )
    assert (tmp_path / "r.pytest-html.html").read_text(encoding="utf-8") == text
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r.html", "r.pytest-html.html"]


def other_shape(written: str) -> str:
    """What a pytest-html with another template would write: its script comes first."""
    return written.replace("<body>", "<body><script>0</script>", 1).replace("<style", "<style media=all", 1)


def test_pytest_htmls_page_beside_ours_holds_no_secret_and_loads_nothing(
    written: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.html"
    path.write_text(other_shape(written), encoding="utf-8")
    assert "hunter22secret" in written
    complete_page(path, failed(), Redactor({"A": "hunter22secret"}))
    beside = (tmp_path / "r.pytest-html.html").read_text(encoding="utf-8")
    assert "hunter22secret" not in beside + path.read_text(encoding="utf-8")
    assert "the secret is [redacted A]" in html.unescape(beside)
    assert '<head><meta http-equiv="Content-Security-Policy" content="default-src \'none\';' in beside
    blob = re.search(r'data-jsonblob="([^"]*)"', beside)
    assert blob is not None
    assert len(json.loads(html.unescape(blob[1]))["tests"]) == 3


def test_a_page_from_which_a_secret_cannot_be_taken_out_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("<html><body>h&#117;nter22secret</body></html>", encoding="utf-8")
    said = complete_page(path, verified(), Redactor({"A": "hunter22secret"}))
    assert said.endswith("It was not kept: a secret in it could not be taken out.")
    assert "<h1>VERIFIED</h1>" in path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]


def test_a_page_that_cannot_be_kept_costs_the_report_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("<html></html>", encoding="utf-8")
    (tmp_path / "r.pytest-html.html").mkdir()
    assert complete_page(path, verified()).endswith("It could not be kept: Is a directory.")
    assert "<h1>VERIFIED</h1>" in path.read_text(encoding="utf-8")


def test_in_a_browser_the_table_works_under_the_policy_and_markup_from_outside_does_not(
    completed: str, tmp_path: Path
) -> None:
    probe = (
        "document.getElementById('show_all_details').click();"
        "document.querySelector('[data-test-result=skipped]').click();"
        "document.querySelector('th[data-column-type=duration]').click();"
    )
    # The probe needs a hash of its own; nothing else of the page changes.
    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    page = completed.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ", 1)
    page = page.replace("</body>", f"<script>{probe}</script></body>")
    dom = dom_of(page, tmp_path)
    rows = re.findall(r'<tbody class="results-table-row (\w+)"', dom)
    assert sorted(rows) == ["failed", "passed"]  # skipped was filtered out by the click
    assert re.search(r'<th class="sortable (asc|desc)" data-column-type="duration"', dom)
    assert "<title>FAILED: zkprova rolled back from 6 to 5 in drill</title>" in dom  # not "owned"
    assert dom.count(">Copy</button>") > 10
    log = (tmp_path / "log").read_text(encoding="utf-8")
    blocked = {
        line.partition("CONSOLE")[2].partition('"')[2][:24]
        for line in log.splitlines()
        if "Security Policy" in line
    }
    assert blocked == {
        "Executing inline event h",
        "Loading the image 'file:",
    }  # the hostile ones, none of ours


def test_in_a_browser_without_scripts_the_record_is_whole(completed: str, tmp_path: Path) -> None:
    dom = dom_of(re.sub("script-src [^;]*;", "script-src &#39;none&#39;;", completed, count=1), tmp_path)
    assert ">Copy</button>" not in dom
    assert '<tbody class="results-table-row failed"' not in dom  # pytest-html's part is empty, as it says
    for item in failed().items:
        assert f'<code class="id">{item.id}</code>' in dom
        assert html.escape(item.observed, quote=False) in dom


def test_what_is_added_later_leaves_pytest_htmls_table_as_it_was(written: str) -> None:
    page = completed_page(written, failed(), Redactor())
    cause = AddedNote(at=at(9), author="ada", kind=NoteKind.ROOT_CAUSE, text="POOL_SIZE was 0")
    noted = failed().model_copy(update={"notes": (cause,)})
    again = render_again(page, noted)
    assert again == completed_page(written, noted, Redactor())
    assert "POOL_SIZE was 0" in again
    older = page.replace(".zkr h2", ".zkr h9")
    assert render_again(older, noted) == render_page(
        noted,
        "It was left out when something was added to this record: another version of this tool had made the "
        "page.",
    )
