"""Writes docs/advice.md: what is proposed to be typed in each situation, from the code that prints it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "advice.md"
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.report.terminal import render_last_lines  # noqa: E402
from support.situations import SITUATIONS, Situation  # noqa: E402

HEAD = """# Situations and advice

What the last lines propose to type, situation by situation. The rules:

- A proposed command is safe, or it is not proposed. None leaves what serves, and none is refused by the
  guard `target`.
- Where nothing is known to be wrong no rollback is offered. Users are known to be affected where a workload
  has too few replicas, where `/health` does not answer as it should, or where you say so
  (`--rollback-signal=users-impacted=yes`).
- After a failure the newest revision with nothing against it is offered, those that this tool verified first.
  Going back to what a rollback left is offered where that rollback failed.
- Where what was seen names its own cure, the cure comes first.
- A refusal on evidence of harm is named with the option that goes ahead; that command is yours to type.

Everywhere: release `web` in environment `shop`. Unless it says otherwise revision 3 is bad, revision 2 is the
target and was verified by this tool, and revision 1 is older. This page is made by `tools/advice_page.py`.
`tests/report/test_advice.py` holds it to the code, and `tests/report/test_advice_is_safe.py` tries what is
proposed on random histories.
"""


def printed(situation: Situation) -> str:
    """The block that the terminal prints."""
    blocks = render_last_lines(situation.record(), "").split("\n\n")
    return next((block for block in blocks if block.startswith("Next")), "(nothing)")


def render_page() -> str:
    """The whole page."""
    lines, part = [HEAD], ""
    for name, situation in SITUATIONS.items():
        if situation.part != part:
            part = situation.part
            lines.append(f"## {part}\n")
        lines.append(f"`{name}`: {situation.said}\n\n```text\n{printed(situation)}\n```\n")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
