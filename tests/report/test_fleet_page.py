"""A fleet's page, Markdown and JUnit: what a reader finds in them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_zkrollback.domain.fleet import FleetNotify, FleetRecord
from pytest_zkrollback.domain.record import Delivery, Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.fleet.facts_table import head_rows
from pytest_zkrollback.report.fleet.fleet_junit import render_fleet_junit
from pytest_zkrollback.report.fleet.fleet_markdown import render_fleet_markdown
from pytest_zkrollback.report.fleet.fleet_page import render_fleet_page
from pytest_zkrollback.report.fleet.words import failed_line, is_well, member_word, wave_line
from pytest_zkrollback.report.fleet.written import render_fleet_json
from pytest_zkrollback.report.markdown import LIMIT
from pytest_zkrollback.report.redaction import Redactor
from support.example_fleets import plan, regions, rolled_back
from support.filled_record import filled_fleet
from support.html_page import HOSTILE, Page

WAVES = [["eu-canary"], ["eu-1", "eu-2"], ["us-1", "us-2", "us-3"]]
FLEETS = {
    "verified": lambda: rolled_back(WAVES),
    "failed": lambda: rolled_back(WAVES, {"eu-2": "failed"}, until_wave=2),
    "forty": lambda: rolled_back(regions(40), {"eu-03": "failed"}, until_wave=2),
    "mixed": lambda: rolled_back(
        WAVES, {"eu-1": "interrupted", "eu-2": "unverified", "us-1": "refused", "us-2": "running"}
    ),
    "begun": lambda: plan(WAVES),
    "thousand": lambda: rolled_back(regions(1000), {"us-77": "failed", "us-78": "unverified"}, at_once=50),
}


@pytest.mark.parametrize("name", FLEETS)
def test_every_fact_is_in_the_page(name):
    record = FLEETS[name]()
    page = Page(render_fleet_page(record))
    assert page.headings[0] == (1, page.headings[0][1])
    for member in record.members:
        assert member.environment in page.text
        if not is_well(member):
            assert " ".join(failed_line(member).split()) in page.text
    for wave in record.waves:
        assert wave_line(wave, record.members_of(wave.number)) in page.text
    for row in head_rows(record):
        assert row.text.rstrip(".") in page.text
    assert record.summary in page.text


def heat(page):
    """Member -> its row of the heat map, as its letters."""
    begin, end = page.begins["zkr-heat"], page.begins["zkr-waves"]
    return " ".join(" ".join(page.texts[begin:end]).split())


def test_the_map_has_a_row_per_member_and_a_letter_per_check():
    record = FLEETS["forty"]()
    seen = heat(Page(render_fleet_page(record)))
    assert "P PASS F FAIL U UNVERIFIED T the fleet tells the team" in seen
    assert "eu-03 P P F F P U P F P P T" in seen
    for name in ("eu-canary", *(f"eu-{n:02}" for n in (1, 2, 4, 5, 6, 7, 8))):
        assert f"{name} P P P P P P P P P P T" in seen
    assert seen.index("eu-03 P") < seen.index("eu-01 P")  # the worst first
    assert seen.count("NOT STARTED us-01, us-02") == 1
    assert "us-31 (not started: wave 2 failed)" in seen


def test_of_a_thousand_members_those_that_are_well_share_a_row():
    html = render_fleet_page(FLEETS["thousand"]())
    seen = heat(Page(html))
    assert "797 members P P P P P P P P P P T" in seen
    assert "us-77 P P F F P U P F P P T" in seen
    assert len(html) < 1_500_000


@pytest.mark.parametrize("name", FLEETS)
def test_headings_are_in_order_ids_unique_and_links_lead_somewhere(name):
    page = Page(render_fleet_page(FLEETS[name]()))
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert all(following - level <= 1 for level, following in itertools.pairwise(levels))
    ids = Counter(attrs["id"] for _, attrs in page.tags if "id" in attrs)
    assert max(ids.values()) == 1
    links = [attrs["href"] for tag, attrs in page.tags if tag in ("a", "use")]
    assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []


def test_each_member_links_to_its_own_report_beside_it():
    record = FLEETS["failed"]()
    page = Page(render_fleet_page(record))
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    for member in record.members:
        assert (f"./{member.page}" in links) is bool(member.page)


@pytest.mark.parametrize(
    ("file", "link"),
    [
        ("a b/c#d?e.html", "./a%20b/c%23d%3Fe.html"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//evil.example/x.html", ""),
        ("/etc/passwd", ""),
        ("a\\b.html", ""),
    ],
)
def test_a_file_name_is_an_address_of_a_file_beside_the_page(file, link):
    record = FLEETS["failed"]()
    members = tuple(each.model_copy(update={"page": file}) for each in record.members)
    page = Page(render_fleet_page(record.model_copy(update={"members": members})))
    found = {attrs["href"] for tag, attrs in page.tags if tag == "a" and not attrs["href"].startswith("#")}
    mine = {each for each in found if not each.startswith(("https://tickets", "2026"))}
    assert mine == ({link} if link else set())


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.sampled_from(HOSTILE) | st.text(max_size=60))
def test_hostile_strings_do_nothing_in_any_rendering(text):
    record = Redactor().fleet(filled_fleet(lambda path: text))
    page = Page(render_fleet_page(record))
    assert {tag for tag, _ in page.tags} & {"img", "iframe", "object", "form"} == set()
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    for tag, attrs in page.tags:
        if tag == "a":
            assert re.match(r"(#|\./|https?://|[\w.-]+\.(md|json)$)", attrs["href"]), attrs["href"]
    assert "\u202e" not in render_fleet_page(record)
    ET.fromstring(render_fleet_junit(record))
    render_fleet_markdown(record).encode()
    assert FleetRecord.model_validate_json(render_fleet_json(record)) == record


@pytest.mark.parametrize("name", FLEETS)
def test_markdown_has_the_verdict_the_worst_and_the_map_within_what_a_comment_takes(name):
    record = FLEETS[name]()
    text = render_fleet_markdown(record)
    assert len(text) <= LIMIT
    assert text[:3] in {"# ✅", "# ❌", "# ⏳"}
    bare = text.replace("\\", "").replace("&#8203;", "")
    assert record.summary in bare
    for member in record.members:
        if not is_well(member) and member.run_id:
            assert f"**{member_word(member)}** `{member.environment}`" in text
    if name == "forty":
        assert "| `eu-03` | 2 | P | P | **F** | **F** | P | U | P | **F** | P | P | T |" in text
    if name == "thousand":
        assert "and 785 more | 3 | P | P |" in text


@pytest.mark.parametrize("name", FLEETS)
def test_junit_has_a_case_per_member_and_fails_where_the_fleet_is_not_green(name):
    record = FLEETS[name]()
    suite = ET.fromstring(render_fleet_junit(record)).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [*(each.environment for each in record.members), "outcome"]
    for kind in ("failure", "error", "skipped"):
        counted = suite.get({"failure": "failures", "error": "errors"}.get(kind, kind))
        assert counted == str(sum(1 for case in cases if case.find(kind) is not None))
    bad = {
        case.get("name")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    assert ("outcome" in bad) is (record.outcome is not Outcome.VERIFIED)
    for member, case in zip(record.members, cases, strict=False):
        assert (
            case.find("failure") is None and case.find("error") is None and case.find("skipped") is None
        ) is (is_well(member))


def test_the_page_shows_what_was_sent_and_answered():
    told = Delivery(
        to="slack",
        ok=True,
        answer="ok",
        message={
            "text": "x",
            "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "STARTED: shop"}}],
        },
    )
    record = FLEETS["failed"]().model_copy(
        update={
            "deliveries": (told,),
            "notify": FleetNotify(verdict=Verdict.FAIL, observed="The team was not told by teams: HTTP 500."),
        }
    )
    text = Page(render_fleet_page(record)).text
    assert "STARTED: shop" in text
    assert "THE TEAM WAS NOT TOLD: The team was not told by teams: HTTP 500." in text
