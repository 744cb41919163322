"""Records that earlier runs left in the report folder, killed runs included."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..domain.record import Record
from ..domain.regular_files import read_regular

_MOST = 200


def fetch_earlier(folder: Path, environment: str) -> list[Record]:
    """The newest records of an environment, newest first; what is no record of ours is passed over."""
    found = []
    for path in sorted(folder.glob(f"*-{environment}-*.json"), reverse=True)[:_MOST]:
        try:
            record = Record.model_validate_json(read_regular(path))
        except (OSError, ValidationError):
            continue
        if record.environment == environment:
            found.append(record)
    return found
