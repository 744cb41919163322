"""``--rollback-soak SECONDS``: how long what is green is watched on."""

from __future__ import annotations

import re

import pytest

_LONGEST_SOAK_S = 3600


def parse_soak(text: str) -> float:
    """Seconds of the soak, 0 to 3600."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text, flags=re.ASCII) or float(text) > _LONGEST_SOAK_S:
        raise pytest.UsageError(
            f"--rollback-soak={text} is no number of seconds from 0 (off) to {_LONGEST_SOAK_S}; "
            "helm did not run."
        )
    return float(text)
