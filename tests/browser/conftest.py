"""A real Chromium for the tests of the page, and pages as an operator gets them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

SMALL = """
import pytest

def test_green():
    pass

def test_red():
    print("what it said")
    assert 1 == 2

def test_out():
    pytest.skip("left out")
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        sentence = "These tests look at the page in a real browser: install Debian's package 'chromium'."
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Look:
    """Opens files in the browser; what the page asks for or complains about is kept."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def at(self, path: Path, width: int = 1280, height: int = 800, **context: Any) -> Page:
        made = self._browser.new_context(viewport={"width": width, "height": height}, **context)
        self._contexts.append(made)
        page = made.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    def close(self) -> None:
        for made in self._contexts:
            made.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    look = Look(browser)
    yield look
    look.close()


@pytest.fixture(scope="session")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest-html writes for a small file of tests: a green one, a red one, one left out."""
    folder = tmp_path_factory.mktemp("pytest_html")
    (folder / "test_small.py").write_text(SMALL, encoding="utf-8")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:zkrollback", "-p", "no:cacheprovider"]
    argv += ["--html=r.html", "--self-contained-html"]
    subprocess.run(argv, cwd=folder, check=False, capture_output=True, timeout=60)
    return (folder / "r.html").read_text(encoding="utf-8")
