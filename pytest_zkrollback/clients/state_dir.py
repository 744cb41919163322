"""Files of ours that outlive a run and are their owner's alone: journals, backups, a kept drill."""

from __future__ import annotations

import errno
import getpass
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Raises OSError where there is none: a user without a name, and no ``HOME``."""
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise OSError(errno.ENOENT, "this user has no home folder, and HOME is not set") from None


def user_name() -> str:
    """Who runs this; ``unknown`` for a number without a name, as pods in a CI have."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def state_folder(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Our folder ``name`` in ``$XDG_STATE_HOME`` (``~/.local/state``), made if missing, its owner's alone.

    Raises OSError.
    """
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = home_folder(environ) / ".local" / "state"
    folder = base / "pytest-zkrollback" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:  # it was there before
        folder.chmod(0o700)
    return folder


def server_digest(server: str) -> str:
    """What an API server's address is called in the names of our files: 12 letters and digits."""
    return hashlib.sha256(server.encode()).hexdigest()[:12]


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
