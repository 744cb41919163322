"""Each record of the gallery as trackers, printers and phones show it, read from the DOM of a real Chromium."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Frame, Page
from pypdf import PdfReader

from pytest_zkrollback.domain.record import Outcome, Record
from pytest_zkrollback.plugin.html_report import completed_page
from pytest_zkrollback.report import course, failures, formatting, summary
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.service_line import service_line

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
OUTCOMES = {
    "verified": Outcome.VERIFIED,
    "waived": Outcome.VERIFIED_WITH_WAIVERS,
    "failed": Outcome.FAILED,
    "unverified": Outcome.UNVERIFIED,
    "refused": Outcome.REFUSED,
    "interrupted": Outcome.INTERRUPTED,
    "plan": Outcome.PLANNED,
}
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Texts of the elements that match, as they are in the DOM or as they are seen (closed details are not).
ALL_TEXTS = "(nodes, seen) => nodes.map(n => [n.id, seen ? n.innerText : n.textContent])"


def record(name: str) -> Record:
    return Record.model_validate_json((GALLERY / f"{name}.json").read_bytes())


@pytest.fixture(params=OUTCOMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(name: str, small_report: str, tmp_path: Path) -> Path:
    """The page as a run leaves it, from the gallery's record and today's templates."""
    path = tmp_path / f"{name}.html"
    path.write_text(completed_page(small_report, record(name), Redactor()), encoding="utf-8")
    return path


def squeezed(text: str) -> str:
    return " ".join(text.split())


def bare(text: str) -> str:
    """Without spaces (a PDF has none at a line's end) and ligatures."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def texts(frame: Page | Frame, selector: str, *, seen: bool = False) -> dict[str, str]:
    return dict(frame.eval_on_selector_all(selector, ALL_TEXTS, seen))


def assert_all_facts(frame: Page | Frame, found: Record) -> None:
    """Every item, verdict and time; the answers of the first screen; guards and timeline."""
    seen = squeezed(frame.locator("main").inner_text())
    there = squeezed(frame.locator("main").text_content() or "")  # what is folded, too
    items = texts(frame, '[id^="zkr-item-"]:not([id$="-evidence"])')
    rows = squeezed(" ".join(texts(frame, ".checklist", seen=True).values()))
    for item in found.items:
        text = squeezed(items[f"zkr-item-{item.id}"])
        for fact in (item.title, item.id, item.expected, item.command):
            assert squeezed(fact) in text
        word = failures.word_of(item, found)
        folded = next(group for group in failures.collapse_skipped(found) if item in group)
        if len(folded) == 1:
            assert text.startswith(word)
            assert squeezed(item.observed) in (text if word == "PASS" else rows)
            assert formatting.clock_time(item.finished_at) in text
        else:
            assert f"{word} {len(folded)} items" in rows.replace("▸", "").replace("▶", "")
            assert squeezed(item.observed) in rows
    for said in (
        summary.headline(found),
        summary.live_now(found),
        summary.users_affected(found),
        summary.not_checked(found),
        summary.helm_line(found),
        found.environment,
        found.reason,
        found.operator,
        *(row.text for row in summary.rows(found)),
    ):
        assert squeezed(said) in seen
    for guard in found.guards:
        assert squeezed(guard.evidence) in (there if guard.state == "ok" else seen)
    for entry in course.find_course(found):
        assert squeezed(entry.event) in seen
        assert course.near(found, entry.at) in seen
    for one in found.decision.signals if found.decision else ():
        assert squeezed(one.question) in seen


def test_the_gallery_has_a_record_of_each_kind(name: str) -> None:
    assert record(name).outcome is OUTCOMES[name]
    for kind in ("json", "html", "md"):
        assert 1000 < (GALLERY / f"{name}.{kind}").stat().st_size < 300_000


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_all_facts_are_there(name: str, path: Path, scripts: bool, look: Any) -> None:
    page = look.at(path, java_script_enabled=scripts)
    assert_all_facts(page, record(name))
    assert look.requests == [path.as_uri()]
    assert (page.locator("#results-table tbody tr.collapsible").count() > 0) == scripts


def test_all_facts_are_there_in_a_trackers_sandbox(name: str, path: Path, look: Any, tmp_path: Path) -> None:
    outside = tmp_path / "tracker.html"
    outside.write_text(f'<iframe sandbox src="{path.name}" width=900 height=600></iframe>', encoding="utf-8")
    page = look.at(outside)
    assert_all_facts(page.frames[1], record(name))
    assert look.requests == [outside.as_uri(), path.as_uri()]


def test_all_facts_and_all_evidence_are_printed_without_scripts(name: str, path: Path, look: Any) -> None:
    page = look.at(path, java_script_enabled=False)
    pdf = path.with_suffix(".pdf")
    page.pdf(path=pdf, format="A4")
    printed = bare("".join(each.extract_text() for each in PdfReader(pdf).pages))
    found = record(name)
    assert bare(summary.headline(found) + service_line(found) + summary.lead(found)) in printed
    for item in found.items:
        for fact in (item.title, item.observed, item.expected, item.command):
            assert bare(fact) in printed
        for piece in item.evidence:
            assert bare(piece.title) in printed
            assert bare(piece.text) in printed
    for entry in course.find_course(found):
        assert bare(entry.event) in printed


def test_the_first_screen_has_the_answers_and_nothing_is_too_wide(name: str, path: Path, look: Any) -> None:
    """Did it work, what is live, since when, what was not checked, what next; from 320 px to wide."""
    page = look.at(path)
    for selector in ("h1", ".over", ".lead", ".next-head", ".next > .cmdrow", ".answers > div:first-child"):
        for box in page.locator(f".top {selector}").all():
            edge = box.bounding_box()
            assert edge["y"] + edge["height"] <= 800, (selector, box.inner_text())
    page.set_viewport_size({"width": 360, "height": 740})
    for selector in ("h1", ".over", ".lead"):
        edge = page.locator(f".top {selector}").bounding_box()
        assert edge["y"] + edge["height"] <= 740, selector
    for width in (320, 360, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_wcag_2_2_aa_without_violations(name: str, path: Path, look: Any) -> None:
    page = look.at(path)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert violations(page) == []


def violations(page: Page) -> list[tuple[str, Any, str]]:
    """axe-core's rule, element and reason of each."""
    found = Axe().run(page, options={"runOnly": STANDARDS, "resultTypes": ["violations"]}).response
    assert found["testEngine"]["name"] == "axe-core"
    assert len(found["passes"]) > 15  # it did look
    return [
        (each["id"], node["target"], node["failureSummary"])
        for each in found["violations"]
        for node in each["nodes"]
    ]
