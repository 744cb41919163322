"""Hostile strings in every string of the record, found by walking its model: nothing breaks, nothing acts."""

from __future__ import annotations

import io
import json
import re
import zipfile
from xml.etree import ElementTree as ET

import pytest
from filled_record import filled, paths
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from test_html import HOSTILE, Page

from pytest_zkrollback.domain.model import Mode, Outcome, Record
from pytest_zkrollback.notify.slack import TOTAL_LIMIT, characters, render_slack_message
from pytest_zkrollback.record.bundle import render_bundle
from pytest_zkrollback.record.html import render_page
from pytest_zkrollback.record.junit import render_junit
from pytest_zkrollback.record.markdown import LIMIT, render_markdown
from pytest_zkrollback.record.redaction import Redactor
from pytest_zkrollback.record.schema import record_schema
from pytest_zkrollback.record.store import render_json
from pytest_zkrollback.record.terminal import render_last_lines, render_text

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SCHEMA = Draft202012Validator(record_schema())
# What Markdown of ours is made of; nothing else may come out of a string.
OUR_HTML = re.compile(r"</?(details|summary|br)>|&#8203;|<summary>[^<>]*</summary>")


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
    assert len(suite.findall("testcase")) == len(clean.items) + 1
    markdown = render_markdown(clean)
    assert len(markdown) <= LIMIT
    for token in MarkdownIt("commonmark").parse(markdown):
        for each in (token, *(token.children or ())):
            if each.type in ("html_block", "html_inline"):
                assert OUR_HTML.sub("", each.content).count("<") == 0, each.content
            assert each.type not in ("image", "image_open")
            assert not re.match(r"(?i)\s*(javascript|data|vbscript):", str(each.attrs.get("href", "")))
    for text in (render_text(clean), render_last_lines(clean, "r.html"), markdown, render_page(clean)):
        assert not ACTING.search(text)
    message = render_slack_message(clean)
    assert characters(json.dumps(message, ensure_ascii=False)) <= TOTAL_LIMIT
    assert "<" not in message["text"]  # the one part in which Slack reads commands
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
        "plan.dossier.images.0",
        "deliveries.0.message.value.0",
        "versions.key",
    ):
        assert [path for path in found if path.startswith(expected)], expected


@pytest.mark.parametrize(
    "text", [*HOSTILE, "<!channel> @everything `x` | \\", "x" * 10_000_000], ids=lambda text: ascii(text[:16])
)
def test_faults_46_and_47_one_hostile_string_everywhere(text: str) -> None:
    check_everything(filled(lambda path: text))


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
