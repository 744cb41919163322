"""A repository as an operator has it: checks/, a conftest with --env, and no cluster anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(pytester, monkeypatch):
    """``pytester`` in a folder with this repository's own checks/ and conftest.py; KUBECONFIG leads nowhere."""
    monkeypatch.setenv("KUBECONFIG", str(pytester.path / "no-kubeconfig"))
    for name in ("SLACK_WEBHOOK_URL", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]\ntestpaths = checks\n")
    pytester.makeconftest((ROOT / "conftest.py").read_text())
    checks = pytester.mkdir("checks")
    (checks / "test_runbook.py").write_text((ROOT / "checks" / "test_runbook.py").read_text())
    return pytester


TESTS = """
import pytest

@pytest.mark.parametrize("name", ["alpha", "<img src=x onerror=document.title='owned'>"])
def test_it(name):
    print("the secret is hunter22secret")
    assert name != "alpha"

def test_out():
    pytest.skip("left out")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest-html writes for a small file of tests."""
    folder = tmp_path_factory.mktemp("pytest_html")
    (folder / "test_small.py").write_text(TESTS, encoding="utf-8")
    (folder / "mine.css").write_text("#results-table { outline: 3px solid teal }", encoding="utf-8")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:zkrollback",
        "-p",
        "no:cacheprovider",
        "--html=r.html",
    ]
    argv += ["--self-contained-html", "--css=mine.css"]
    subprocess.run(argv, cwd=folder, check=False, capture_output=True, timeout=60)
    return (folder / "r.html").read_text(encoding="utf-8")
