"""pytest-html's own table on the page of a real run, as a browser shows and prints it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from pytest_zkrollback.plugin.html_report import _ITS_WORDS
from pytest_zkrollback.plugin.session import _WORDS

ROOT = Path(__file__).parents[2]
CONFIGURATION = """\
[environments.staging]
context = "staging"
url = "https://staging.example.com"
workloads = { backend = "deployment/zkprova-zkprova-backend" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of a run that was refused, because no cluster is needed for one."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (folder / "checks").mkdir()
    (folder / "checks" / "test_runbook.py").write_text((ROOT / "checks" / "test_runbook.py").read_text())
    (folder / "zkrollback.toml").write_text(CONFIGURATION)
    argv = [sys.executable, "-m", "pytest", "--env=staging", "--rollback-to=5"]
    done = subprocess.run(
        argv, cwd=folder, env={"KUBECONFIG": "none", "PATH": ""}, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 1
    return folder / "reports"


def words(folder: Path) -> list[str]:
    items = json.loads((folder / "latest.json").read_text())["items"]
    return [item["verdict"] for item in items]


def test_the_filter_knows_each_of_our_words() -> None:
    """By the outcome that pytest itself counts it as."""
    assert {word: counted.capitalize() for word, (counted, *_) in _WORDS.items()} == _ITS_WORDS


def shown(page: Any) -> list[str]:
    """The first column of the rows that are there."""
    return [row.split()[0] for row in page.locator("#results-table tbody tr.collapsible").all_inner_texts()]


def test_the_rows_are_there_in_our_words_and_the_boxes_filter_them(folder: Path, look: Any) -> None:
    page = look.at(folder / "latest.html")
    assert sorted(shown(page)) == sorted(words(folder))
    assert {"FAIL", "UNVERIFIED"} == set(shown(page))
    assert not page.get_by_text("No results found").is_visible()
    page.locator('input[data-test-result="failed"]').click()
    assert page.get_by_text("No results found").is_visible()
    page.locator('input[data-test-result="failed"]').click()
    assert sorted(shown(page)) == sorted(words(folder))
    assert look.complaints == []


@pytest.mark.parametrize("width", [1280, 360])
def test_no_word_is_broken_in_the_columns_beside_the_title(folder: Path, look: Any, width: int) -> None:
    page = look.at(folder / "latest.html", width=width)
    cells = page.locator("#results-table :is(th, td.col-result, td.col-duration):visible")
    lines = cells.evaluate_all(
        "cells => cells.map(cell => { const range = document.createRange(); range.selectNodeContents(cell);"
        " return new Set([...range.getClientRects()].map(each => Math.round(each.bottom / 8))).size })"
    )
    assert len(lines) > len(words(folder))
    assert set(lines) <= {0, 1}
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_rows_are_printed_too(folder: Path, look: Any, tmp_path: Path) -> None:
    page = look.at(folder / "latest.html")
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    text = " ".join(each.extract_text() for each in PdfReader(tmp_path / "page.pdf").pages)
    table = text[text.index("The test session") :]
    for word in set(words(folder)):
        assert table.count(word) >= words(folder).count(word)
