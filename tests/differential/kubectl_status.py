"""kubectl's own answers, from its own code (``kubectl_status.go``): ``{message, done, error}`` of an object."""

from __future__ import annotations

from pathlib import Path

from differential import go_program

ask = go_program.ask


def build() -> Path:
    """The program."""
    return go_program.build(Path(__file__).with_suffix(".go"))
