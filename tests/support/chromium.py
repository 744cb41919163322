"""A page in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def dom_of(page: str, folder: Path) -> str:
    """The DOM that a real browser makes of the page, with its console's complaints in ``folder/log``."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sentence = "This test looks at the page in a real browser: install Debian's package 'chromium'."
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    (folder / "page.html").write_text(page, encoding="utf-8")
    argv = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"]
    argv += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    argv += [
        "--enable-logging=stderr",
        "--v=0",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=3000",
    ]
    argv += ["--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    (folder / "log").write_text(done.stderr, encoding="utf-8")
    return done.stdout
