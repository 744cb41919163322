"""docs/advice.md says for every situation what the terminal prints, and every refusal is among them."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from pytest_zkrollback.github.guards import GUARDS as THROUGH_GITHUB
from pytest_zkrollback.preflight.guards import GUARDS
from support.situations import SITUATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "advice.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^`([\w-]+)`: .*\n\n```text\n([\s\S]*?)\n```$", PAGE, re.MULTILINE))


def load_tool():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("advice_page", ROOT / "tools" / "advice_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says() -> None:
    """Not so, and meant? Run tools/advice_page.py, and read what changed."""
    assert load_tool().render_page() == PAGE


def test_every_situation_is_a_row_and_every_row_a_situation() -> None:
    assert list(ROWS) == list(SITUATIONS)


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_line_of_a_row_is_a_remark_or_can_be_typed(name: str) -> None:
    head, *lines = ROWS[name].splitlines()
    assert head.startswith("Next:")
    for line in lines:
        if not line.startswith("  # "):
            words = shlex.split(line)
            assert words[0] in ("pytest", "helm", "kubectl", "curl")
            assert not any(mark in word for word in words for mark in ("REASON", "TEXT", "...", "<"))
            # fault 1: where this tool can read nothing at all, the operator's own number is left to helm
            assert words[:2] != ["helm", "rollback"] or name in ("refused-cluster", "refused-release-unread")


def test_every_guard_that_refuses_is_among_them() -> None:
    """It only warns: docs/guards.md says so of it."""
    guards = (ROOT / "docs" / "guards.md").read_text(encoding="utf-8")
    warn = set(re.findall(r"^\| \[`([\w-]+)`\]\([^|]*\|[^|]*\| warn \| not needed \|$", guards, re.MULTILINE))
    rows = {
        guard for guard in (*GUARDS, *THROUGH_GITHUB) for name in ROWS if name.startswith(f"refused-{guard}")
    }
    assert rows == {*GUARDS, *THROUGH_GITHUB} - warn


@pytest.mark.parametrize("name", [name for name in SITUATIONS if name.endswith("-healthy")])
def test_where_nothing_is_known_to_be_wrong_no_rollback_is_offered(name: str) -> None:
    typed = [line for line in ROWS[name].splitlines() if not line.startswith("  # ")]
    assert not any("--rollback-to" in line or "--rollback-recover" in line for line in typed)
