"""What `--rollback-to` takes beside a revision's number: ``previous``, ``app:1.8.0`` and the like.

Loaded in every pytest run of the installation, so it imports nothing but the standard library.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PREVIOUS = "previous"
LAST_VERIFIED = "last-verified"
NAMES = (PREVIOUS, LAST_VERIFIED)
# What a version may be of, by the word before the colon.
VERSIONS_OF = {"app": "app version", "chart": "chart version"}
_LONGEST_VERSION = 128
# ``app=1.8.0``, ``app1.8.0``, ``appVersion: 1.8.0``
_JOINED = rf"({'|'.join(VERSIONS_OF)})(?:[_ -]?version)?[\s:=@/_-]*(v?[0-9]\S*)"


class TargetVersion(NamedTuple):
    """A version that a revision is asked for by: ``of`` is ``app`` or ``chart``."""

    of: str
    version: str

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.of}:{self.version}"

    @property
    def described(self) -> str:
        """As it is said: ``app version 1.8.0``."""
        return f"{VERSIONS_OF[self.of]} {self.version}"


def parse_target_version(text: str) -> TargetVersion | None:
    """``app:1.8.0`` or ``chart:1.8.0``; None: it is neither."""
    of, colon, version = text.partition(":")
    fits = version == version.strip() and version.isprintable() and 0 < len(version) <= _LONGEST_VERSION
    return TargetVersion(of, version) if colon and of in VERSIONS_OF and fits else None


def suggest_targets(text: str) -> tuple[str, ...]:
    """What was probably meant by a text that is no target; empty: nothing comes to mind."""
    text = text.strip()
    joined = re.fullmatch(_JOINED, text, flags=re.ASCII | re.IGNORECASE)
    if joined:
        return (f"{joined[1].lower()}:{joined[2]}",)
    if re.fullmatch(r"[vV]?[0-9]+\.[0-9]\S*", text, flags=re.ASCII):
        return tuple(f"{of}:{text}" for of in VERSIONS_OF)
    return _near_names(text.lower().replace("_", "-"))


def _near_names(word: str) -> tuple[str, ...]:
    from difflib import get_close_matches

    begun = [name for name in NAMES if len(word) > 1 and name.startswith(word)]
    ended = [name for name in NAMES if len(word) > 1 and name.endswith(word)]
    return tuple((begun or ended or get_close_matches(word, NAMES, n=1, cutoff=0.6))[:1])
