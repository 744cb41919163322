"""A repository as an operator has it: checks/, a conftest with --env, and no cluster anywhere."""

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
