"""Records that earlier runs left in the report folder, killed runs included."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..domain.record import Record
from ..domain.regular_files import read_regular
from .file_names import environment_part

_MOST = 200


def fetch_earlier(folder: Path, environment: str, word: bytes = b"") -> list[Record]:
    """The newest records of an environment, newest first; what is no record of ours is passed over.

    ``word``: only those whose JSON holds it; the others are not parsed, which takes longer than reading.
    """
    found = []
    for path in sorted(folder.glob(f"*{environment_part(environment)}*.json"), reverse=True)[:_MOST]:
        try:
            content = read_regular(path)
            if word not in content:
                continue
            record = Record.model_validate_json(content)
        except (OSError, ValidationError):
            continue
        if record.environment == environment:
            found.append(record)
    return found
