"""Files of ours that outlive a run and are their owner's alone: journals, backups, a kept drill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Our folder ``name`` in ``$XDG_STATE_HOME`` (``~/.local/state``), made if missing. Raises OSError."""
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    folder = base / "pytest-zkrollback" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_private(path: Path, text: str) -> Path:
    """Write a file that only its owner can read, whole or not at all. Raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    return path
