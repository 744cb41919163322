"""What secrets look like when nobody named them: common tokens, and settings that hold secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..domain.secret_words import SECRET, SIGNATURE

MARK = re.compile(r"\[redacted(?: [^\[\]\n]{1,60})?\]")
SECRET_KEY = re.compile(rf"(?i)[\w.-]{{0,40}}{SECRET}")

# (name, words of which one must occur, pattern). The group "secret" is taken out, or else the whole match.
SHAPES = tuple(
    (name, tuple(words.split()), re.compile(pattern))
    for name, words, pattern in (
        (
            "private key",
            "private",
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        ),
        ("Slack webhook", "hooks.slack", r"https?://hooks\.slack(?:-gov)?\.com/[^\s\"'<>\\]+"),
        ("Slack token", "xox xapp- xwfp-", r"\b(?:xox[a-z]|xapp|xwfp)-[A-Za-z0-9-]{10,}"),
        (
            "GitHub token",
            "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
            r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
        ),
        ("GitLab token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{16,}"),
        ("AWS key", "akia asia", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        # A line of a key whose first line was cut off.
        (
            "key material",
            "0 1 2 3 4 5 6 7 8 9",
            r"(?<![A-Za-z0-9+/=_.-])(?=[A-Za-z0-9+/]{64}(?![A-Za-z0-9+/=_.-]))"
            r"(?=[a-z0-9+/]*[A-Z])(?=[A-Z0-9+/]*[a-z])(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/]{64}",
        ),
        ("JWT", "eyj", r"\beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        (
            "authorization",
            "authorization",
            r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?"
            r"(?P<secret>(?:basic|bearer|token|digest|apikey)\s+(?!\[redacted)[^\s\"',]+)",
        ),
        ("bearer token", "bearer", r"(?i)\bbearer\s+(?P<secret>(?=\S*[0-9])[A-Za-z0-9._~+/=-]{8,})"),
        (
            "password in URL",
            "://",
            r"\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s/:@\"']{0,256}:(?P<secret>[^\s/@\"']{1,512})@",
        ),
        (
            "assigned secret",
            "=",
            rf"(?i)\b[\w-]{{0,40}}{SECRET}=(?P<secret>\"[^\"\n]+\"|'[^'\n]+'|[^\s&;,\"'\\]+)",
        ),
        (
            "signed URL",
            "sig= signature= key= code=",
            rf"(?i)[?&]{SIGNATURE}=(?P<secret>[^\s&\"'#<>]{{8,}})",
        ),
        (
            "secret member",
            ":",
            rf"(?i)[\"'][\w.-]{{0,40}}{SECRET}\\?[\"']\s*:\s*\\?[\"'](?P<secret>[^\"'\\\n]+)",
        ),
        (
            "secret setting",
            "pass key: key_ token:",
            r"(?im)^[ \t+-]*[\w.-]{0,40}"
            r"(?:password|passwd|passphrase|api[_-]?key|secret[_-]?key|access[_-]?token)"
            r":[ \t]+(?P<secret>(?![{\[&*|>])\S[^\n]*)$",
        ),
        (
            "secret variable",
            "value",
            rf"(?i)\bname\\?[\"']?\s*:\s*\\?[\"']?[\w.-]{{0,60}}{SECRET}[\w.-]{{0,20}}\\?[\"']?,?[\s+-]*"
            r"\\?[\"']?value\\?[\"']?\s*:\s*\\?[\"']?(?P<secret>(?!\[redacted)[^\s\"'\\][^\"'\\\n]*)",
        ),
    )
)


def secrets_inside(text: str) -> Iterator[str]:
    """What looks like a secret within ``text``: the password of an address, a token in a file of settings."""
    lower = text.lower()
    for _, words, pattern in SHAPES:
        if any(word in lower for word in words):
            for found in pattern.finditer(text):
                yield found["secret" if "secret" in pattern.groupindex else 0].strip("\"'")
