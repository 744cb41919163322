"""Which names (of a variable, an option, a key) say that their value is a secret."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"(?i)passw|passphrase|(?:^|[_-])pass(?:[_-]|$)|[_-]pwd$|token|secret|credential|webhook|cookie"
    r"|(?:^|[_-])dsn(?:[_-]|$)|(?:api|private|access|signing|encryption)[_-]?key"
)
# ... and those that only say where one is, or of what kind.
_REFERENCE = re.compile(r"(?i)[_-](?:file|path|dir|name|sock|helper|type|enabled|ttl|expiry)$")


def names_a_secret(name: str) -> bool:
    """``DB_PASSWORD`` and ``--client-secret`` do, ``PASSWORD_FILE`` does not."""
    return bool(_SECRET.search(name)) and not _REFERENCE.search(name)
