"""The options of the way through GitHub Actions. As light as options.py, which imports it."""

from __future__ import annotations

import re
from typing import Any

import pytest

_WAYS = ("rollback_to", "rollback_recover", "rollback_to_commit", "rollback_redeploy_main")


def refuse_two_ways(option: Any) -> None:
    """Raises pytest.UsageError where GitHub and helm, or two ways through GitHub, are asked for at once."""
    ways = [f"--{dest.replace('_', '-')}" for dest in _WAYS if getattr(option, dest)]
    if len(ways) > 1 and (option.rollback_to_commit or option.rollback_redeploy_main):
        raise pytest.UsageError(f"{' and '.join(ways)} exclude each other; nothing was changed.")
    if option.rollback_no_merge and not option.rollback_to_commit:
        raise pytest.UsageError(
            "--rollback-no-merge goes with --rollback-to-commit=SHA; nothing was changed."
        )


def parse_commit(text: str) -> str:
    """A commit's SHA or its beginning; a branch's name could move under us."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", text, flags=re.ASCII | re.IGNORECASE):
        raise pytest.UsageError(
            f"--rollback-to-commit={text} is no commit: give 7 to 40 hex digits, as in `git log`; "
            "nothing was changed."
        )
    return text.lower()
