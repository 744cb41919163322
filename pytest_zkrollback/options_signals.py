"""The operator's word on the decision's signals. Loaded in every pytest run, like options.py."""

from __future__ import annotations

import pytest

# As in domain/decision.py, which is not imported in every pytest run.
SIGNALS = ("users-impacted", "root-cause-unclear", "fix-obvious", "migration-irreversible", "many-commits")


def parse_signals(pairs: list[str]) -> dict[str, str]:
    """``NAME=yes`` or ``NAME=no``; the last word on a signal stands."""
    signals: dict[str, str] = {}
    for pair in pairs:
        name, _, word = (part.strip() for part in pair.partition("="))
        if name not in SIGNALS or word not in ("yes", "no"):
            raise pytest.UsageError(
                f"--rollback-signal={pair} is no signal: give NAME=yes or NAME=no, where NAME is one of "
                f"{', '.join(SIGNALS)}; helm did not run."
            )
        signals[name] = word
    return signals
