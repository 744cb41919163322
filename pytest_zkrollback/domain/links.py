"""Addresses that an environment wants in its reports: templates whose ``{fields}`` are filled in later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from pydantic import Field

from .frozen import Frozen
from .secret_words import SECRET_PARAMETER

# The link that each commit between the bad and the good revision gets; the others stand once.
COMMIT = "commit"
FIELDS = ("from_ms", "to_ms", "namespace", "release", "revision")

_FIELD = re.compile(r"\{([^{}]*)\}")
# RFC 3986 without brackets, which end a link in Markdown.
_OTHER = re.compile(r"[^A-Za-z0-9._~:/?#@!$&'()*+,;=%-]")


class Link(Frozen):
    """An address to click on."""

    name: str = Field(description="what it leads to, in the configuration's word")
    url: str = Field(description="the address, with its fields filled in")


def is_address(text: str) -> bool:
    """Whether ``text`` is a web address and nothing else, so that it may be made one to click on."""
    return text.startswith(("https://", "http://")) and not _OTHER.search(text) and _host(text) != ""


def template_problem(name: str, template: str) -> str:
    """Why this is no template of a link, in a sentence without its end; empty: it is one."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]{0,29}", name):
        return f"{name!r} is no name for a link: a letter first, then letters, digits, spaces and dashes"
    if not template.startswith(("https://", "http://")):
        return f"{name}: the address has to begin with https:// or http://"
    known = (COMMIT,) if name == COMMIT else FIELDS
    for field in _FIELD.findall(template):
        if field not in known:
            listed = ", ".join(f"{{{each}}}" for each in known)
            return (
                f"{name}: {{{field}}} is no field of this link: {listed} can be filled in, and a brace of "
                "the address itself is written %7B or %7D"
            )
    if name == COMMIT and f"{{{COMMIT}}}" not in template:
        return f"{name}: it needs {{commit}}, where the commit's SHA belongs"
    bare = _FIELD.sub("0", template)
    if other := _OTHER.search(bare):
        written = quote(other[0], safe="")
        return f"{name}: an address cannot hold {other[0]!r}: it is written {written}"
    if not _host(bare):
        return f"{name}: the address names no host"
    if "@" in urlsplit(bare).netloc:
        return f"{name}: the address may hold no user and no password: it stands in every report"
    if secret := SECRET_PARAMETER.search(template):
        return f"{name}: the address may hold no {secret[1] or secret[2]}: it stands in every report"
    if _FIELD.search(re.split(r"[/?#]", template.split("://", 1)[1])[0]):
        return f"{name}: the host may hold no field"
    return ""


def filled(template: str, values: Mapping[str, str]) -> str:
    """The address with its fields escaped and filled in; empty where one is not known, or it is none then."""
    if any(not values.get(field) for field in _FIELD.findall(template)):
        return ""
    url = _FIELD.sub(lambda field: quote(values[field[1]], safe=""), template)
    return url if is_address(url) else ""


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
