"""Files of ours that outlive a run and are their owner's alone: journals, backups, a kept drill."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path


def state_folder(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Our folder ``name`` in ``$XDG_STATE_HOME`` (``~/.local/state``), made if missing. Raises OSError."""
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    folder = base / "pytest-zkrollback" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_private(path: Path, text: str | Iterable[str]) -> Path:
    """Write a file that only its owner can read, whole or not at all; a long ``text`` may come in parts.

    Raises OSError, and what making a part raises.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.touch(mode=0o600)
    try:
        with new.open("w", encoding="utf-8") as file:
            file.writelines([text] if isinstance(text, str) else text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return path
