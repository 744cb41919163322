"""Which commit of the service a revision was made of, as far as the release says it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..domain.checks import JsonObject
from ..domain.record import Revision
from .manifest import pod_template

_COMMIT = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])")


_SHA = re.compile(r"[0-9a-f]{7,40}")


def is_sha(name: str | None) -> bool:
    """Whether the name is a commit's, in full or cut short, and no tag's or branch's."""
    return name is not None and _SHA.fullmatch(name) is not None


def commit_of(revision: Revision) -> str | None:
    """The commit that a revision's appVersion or image tags name; None if they name none, or several."""
    texts = [revision.app_version, *(image.rpartition("@")[0] or image for image in revision.images)]
    return _one_of(
        commit
        for text in texts
        for commit in _COMMIT.findall(text.rpartition(":")[2] if ":" in text else text)
        if not commit.isdecimal()
    )


def annotated_commit(objects: Iterable[JsonObject], key: str) -> str | None:
    """The commit that annotations or labels of the manifest name; None if they name none, or several."""
    found = set()
    for item in objects:
        for holder in (item, pod_template(item) or {}):
            metadata = holder.get("metadata") or {}
            for words in (metadata.get("annotations"), metadata.get("labels")):
                if isinstance(words, dict) and key in words:
                    found.add(str(words[key]).lower())
    return _one_of(found)


def tag_of(revision: Revision) -> str | None:
    """The tag that all tagged images of a revision have; None if there is none, or several."""
    names = [image.partition("@")[0].rpartition("/")[2].partition(":")[2] for image in revision.images]
    tags = {name for name in names if name}
    return tags.pop() if len(tags) == 1 else None


def _one_of(commits: Iterable[str]) -> str | None:
    found = set(commits)
    longest = max(found, key=len, default=None)
    return longest if longest and all(longest.startswith(one) for one in found) else None
