"""Hostile strings in every string of the record, found by walking its model: nothing breaks, nothing acts."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import Mode, NotificationEvent, Outcome, OwnTestOutcome, Record
from pytest_zkrollback.notify.github_comment import LIMIT as COMMENT_LIMIT
from pytest_zkrollback.notify.github_comment import render_comment
from pytest_zkrollback.notify.json_webhook import render_news
from pytest_zkrollback.notify.slack_message import TOTAL_LIMIT, render_slack_message
from pytest_zkrollback.notify.teams import TOTAL_LIMIT_BYTES, render_card
from pytest_zkrollback.notify.text import characters
from pytest_zkrollback.report.bundle import render_bundle
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.github_actions import (
    SUMMARY_LIMIT_BYTES,
    render_annotations,
    render_job_summary,
)
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.junit import render_junit
from pytest_zkrollback.report.markdown import LIMIT, render_markdown
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.schema import record_schema
from pytest_zkrollback.report.terminal import render_last_lines, render_text
from support.filled_record import filled, paths
from support.html_page import HOSTILE, Page

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SCHEMA = Draft202012Validator(record_schema())
# What Markdown of ours is made of; nothing else may come out of a string.
OUR_HTML = re.compile(r"</?(details|summary|br)>|&#8203;|<summary>[^<>]*</summary>")


def check_markdown(markdown: str) -> None:
    assert not ACTING.search(markdown)
    for token in MarkdownIt("commonmark").parse(markdown):
        for each in (token, *(token.children or ())):
            if each.type in ("html_block", "html_inline"):
                assert OUR_HTML.sub("", each.content).count("<") == 0, each.content
            assert each.type not in ("image", "image_open")
            assert not re.match(r"(?i)\s*(javascript|data|vbscript):", str(each.attrs.get("href", "")))


def check_everything(record: Record) -> None:
    clean = Redactor().record(record)
    read = json.loads(render_json(clean).encode())
    SCHEMA.validate(read)
    assert Record.model_validate(read) == clean
    page = Page(render_page(clean).encode().decode())
    scripts = [
        tag for tag, _ in page.tags if tag in ("script", "iframe", "img", "object", "embed", "form", "base")
    ]
    assert scripts == ["script"]
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "srcdoc")]
        assert not re.match(r"(?i)\s*(javascript|data|vbscript):", attrs.get("href") or "")
    suite = ET.fromstring(render_junit(clean).encode()).find("testsuite")
    assert suite is not None
    assert len(suite.findall("testcase")) == len(clean.items) + len(clean.own_tests) + 1
    news = Notification(event=NotificationEvent.VERDICT, record=clean)
    for markdown, limit in (
        (render_markdown(clean), LIMIT),
        (render_comment(news), COMMENT_LIMIT),
        (render_job_summary(clean), SUMMARY_LIMIT_BYTES),
    ):
        assert len(markdown) <= limit
        check_markdown(markdown)
    for text in (render_text(clean), render_last_lines(clean, "r.html"), render_page(clean)):
        assert not ACTING.search(text)
    for line in render_annotations(clean):
        assert re.match(r"::(error|warning|notice|debug)[ :]", line)
        assert not ACTING.search(line)
        assert "\n" not in line
    message = render_slack_message(news)
    assert characters(json.dumps(message, ensure_ascii=False)) <= TOTAL_LIMIT
    assert "<" not in message["text"]  # the one part in which Slack reads commands
    assert len(json.dumps(render_card(news)).encode()) <= TOTAL_LIMIT_BYTES
    assert json.loads(json.dumps(render_news(news)).encode())
    with zipfile.ZipFile(
        io.BytesIO(render_bundle(clean, {"r.json": render_json(clean).encode()}))
    ) as archive:
        assert archive.testzip() is None
        assert all(re.fullmatch(r"(evidence/)?[A-Za-z0-9.-]+", name) for name in archive.namelist())


def test_the_walk_finds_every_string() -> None:
    found = paths()
    assert len(found) > 150
    for expected in (
        "reason",
        "items.0.evidence.0.text",
        "plan.change_summary.images.0",
        "deliveries.0.message.value.0",
        "versions.key",
    ):
        assert [path for path in found if path.startswith(expected)], expected


@pytest.mark.parametrize(
    "text", [*HOSTILE, "<!channel> @everything `x` | \\", "x" * 10_000_000], ids=lambda text: ascii(text[:16])
)
def test_faults_46_and_47_one_hostile_string_everywhere(text: str) -> None:
    check_everything(filled(lambda path: text))


@pytest.mark.parametrize("outcome", OwnTestOutcome)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:16]))
def test_own_tests_say_a_hostile_string_wherever_they_are_said(text: str, outcome: OwnTestOutcome) -> None:
    record = filled(lambda path: text, Outcome.VERIFIED)
    tests = tuple(test.model_copy(update={"outcome": outcome}) for test in record.own_tests)
    check_everything(record.model_copy(update={"own_tests": tests}))


def test_fault_49_a_secret_in_every_string_is_in_no_rendering() -> None:
    secret = 'p"l&a<n>ted/S3cr3t+value'
    raw = secret.encode()
    forms = (secret, base64.b64encode(raw).decode(), quote(secret, safe=""), json.dumps(secret)[1:-1])
    clean = Redactor({"PLANTED": secret}).record(filled(lambda path: f"{path} {forms[len(path) % 4]}."))
    news = Notification(event=NotificationEvent.VERDICT, record=clean)
    page = render_page(clean)
    texts = {
        "json": render_json(clean),
        "page": page,
        "page read": Page(page).text,
        "markdown": render_markdown(clean, 1_000_000),
        "junit": render_junit(clean),
        "text": render_text(clean),
        "slack": json.dumps(render_slack_message(news)),
        "teams": json.dumps(render_card(news)),
        "webhook": json.dumps(render_news(news)),
        "comment": render_comment(news),
        "summary": render_job_summary(clean),
        "annotations": "\n".join(render_annotations(clean)),
    }
    with zipfile.ZipFile(io.BytesIO(render_bundle(clean, {}))) as archive:
        texts |= {name: archive.read(name).decode() for name in archive.namelist()}
    assert [
        name for name, text in texts.items() if any(form in text or "S3cr3t" in text for form in forms)
    ] == []
    assert clean.redactions == len(paths())


PIECES = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=20))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(PIECES, max_size=3).map("".join), min_size=7, max_size=7),
    st.sampled_from(Outcome),
    st.sampled_from(Mode),
)
def test_fault_47_any_strings_everywhere(texts: list[str], outcome: Outcome, mode: Mode) -> None:
    def text(path: str) -> str:
        return texts[sum(map(ord, path)) % len(texts)]

    check_everything(filled(text, outcome, mode))
