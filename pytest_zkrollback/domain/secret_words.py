"""What a setting or a parameter that holds a secret is called."""

from __future__ import annotations

import re

SECRET = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key)"  # noqa: S105 - a pattern
SIGNATURE = r"(?:sig|signature|x-amz-signature|key|code)"
# Of an address; one of the two groups is the name.
SECRET_PARAMETER = re.compile(rf"(?i)([\w-]{{0,40}}{SECRET})=[^\s&;,]|[?&]({SIGNATURE})=[^\s&#]{{8}}")
