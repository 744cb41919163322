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
    return _one_of(
        commit for text in (revision.app_version, *revision.images) for commit in named_commits(text)
    )


def named_commits(text: str) -> list[str]:
    """What looks like a commit in a version or in an image's tag; a digest names none."""
    name = text.rpartition("@")[0] or text
    found = _COMMIT.findall(name.rpartition(":")[2] if ":" in name else name)
    return [commit for commit in found if not commit.isdecimal()]


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
    tags = {tag for image in revision.images if (tag := tag_in(image))}
    return tags.pop() if len(tags) == 1 else None


def tag_in(image: str) -> str:
    """The tag of an image's reference; empty: it has none."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _one_of(commits: Iterable[str]) -> str | None:
    found = set(commits)
    longest = max(found, key=len, default=None)
    return longest if longest and all(longest.startswith(one) for one in found) else None
