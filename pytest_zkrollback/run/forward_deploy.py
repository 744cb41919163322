"""Whether a new revision of the release only goes forward, as the service's commits show it.

A commit that contains the one before it may still take it back: `git revert`, a merge that keeps its own
side, this tool's own way through GitHub. So what it holds is compared with every revision that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clients.git import FileChange, GitCheckout
from ..config.repository import Git
from ..domain.errors import ProcessProblem
from ..domain.record import Revision
from ..release.history import ReleaseHistory
from ..release.source_commit import named_commits, tag_in, tag_of
from .context import RunContext
from .source_commits import commit_name, git_checkout


@dataclass(frozen=True)
class DeployDirection:
    """``is_forward``: the commits show an ordinary deploy. ``said``: what they show, or why they do not."""

    is_forward: bool
    said: str


class _NotShown(Exception):
    """Why the commits do not show it."""


def find_direction(context: RunContext, history: ReleaseHistory, older: int, newer: int) -> DeployDirection:
    """Whether ``newer`` goes forward from ``older``, the revision before it that differs.

    It does where its commit contains that of every kept revision, every changed image names it, and it puts
    no file back to what it was before one of them. Nor may it remove a file, or change one of those in the
    ``paths`` of migrations; where there are ``paths``, other files may go.
    """
    try:
        return DeployDirection(True, _shown(context, history, older, newer))
    except (_NotShown, ProcessProblem) as why:
        return DeployDirection(False, str(why).rstrip("."))


def _shown(context: RunContext, history: ReleaseHistory, older: int, newer: int) -> str:
    """What shows that it goes forward. Raises _NotShown, ProcessProblem."""
    env, checkout = context.env, git_checkout(context)
    if env.git is None or checkout is None:
        raise _NotShown(f"no [environments.{env.name}.git] checkout is configured")
    before, mine = (_deployed_commit(context, env.git, checkout, history, each) for each in (older, newer))
    told = f"commit {mine[:10]} of revision {newer}"
    if mine == before:
        raise _NotShown(f"{told} is that of revision {older}, too")
    if checkout.is_shallow:
        raise _NotShown(
            "the git checkout is shallow, so it does not show what was before: git fetch --unshallow"
        )
    if not checkout.contains(mine, before):
        raise _NotShown(f"{told} does not contain {before[:10]} of revision {older}")
    contains = f"{told} contains {before[:10]} of revision {older}"
    _require_images_of(mine, history, older, newer, env.git)
    unread = sorted({*history.unreadable, *history.older})
    if unread:
        raise _NotShown(f"{contains}; which commit revision {unread[-1]} was made of was not read")
    paths = env.migrations.paths if env.migrations is not None else ()
    seen = {before: older}
    for number in sorted((one.revision for one in history.revisions if one.revision < newer), reverse=True):
        seen.setdefault(_deployed_commit(context, env.git, checkout, history, number), number)
    for commit, number in seen.items():
        if not checkout.contains(mine, commit):
            raise _NotShown(f"{contains}, and not {commit[:10]} of revision {number}")
        if taken := _taken_back(checkout, commit, mine, paths):
            raise _NotShown(f"{contains}, and {taken} as revision {number} had it")
    return f"{contains} and those of all earlier revisions, and takes nothing of them back"


def _taken_back(checkout: GitCheckout, older: str, newer: str, paths: tuple[str, ...]) -> str:
    """What a commit no longer holds of an earlier one, as a predicate; empty: nothing that would matter."""
    changes = checkout.changes(older, newer)
    for each in changes:
        if each.status == "A" or (paths and not _is_below(each, paths)):
            continue
        if each.status == "D":
            return f"no longer holds {each.path}"
        if paths:
            return f"does not hold {each.path}"
    again = checkout.had(older, [each for each in changes if each.status != "D"])
    return f"puts {again[0]} back to what it was before, and does not leave it" if again else ""


def _is_below(file: FileChange, paths: tuple[str, ...]) -> bool:
    folders = [path.strip("/") for path in paths]
    return any(folder in ("", ".") or f"{file.path}/".startswith(f"{folder}/") for folder in folders)


def _deployed_commit(
    context: RunContext, git: Git, checkout: GitCheckout, history: ReleaseHistory, number: int
) -> str:
    """The full SHA. A branch that a ``ref`` names may have moved since the deploy, so that it names none."""
    release = history.content_of(number)
    name = commit_name(git, release, context.env.namespace) if release is not None else None
    if name is None:
        raise _NotShown(f"revision {number} names no commit in image tags, appVersion or annotations")
    try:
        return checkout.resolve_ref(f"refs/tags/{name}") if git.ref is not None else checkout.resolve(name)
    except ProcessProblem as problem:
        raise _NotShown(
            f"the commit of revision {number} is not known ({str(problem).rstrip('.')})"
        ) from None


def _require_images_of(commit: str, history: ReleaseHistory, older: int, newer: int, git: Git) -> None:
    """Raises _NotShown where an image changed that does not say that it was built from ``commit``."""
    revisions = [
        each.revision for each in (history.content_of(older), history.get(newer)) if each is not None
    ]
    first, last = revisions[0], revisions[-1]
    for image in sorted(set(last.images) - set(first.images)):
        by_name = git.ref is not None and _has_version(git, image, last)
        if not by_name and not any(commit.startswith(one) for one in named_commits(image)):
            raise _NotShown(
                f"image {image} is new in revision {newer}, and does not name commit {commit[:10]}"
            )


def _has_version(git: Git, image: str, revision: Revision) -> bool:
    """Whether its tag is the version that the revision's commit was found by."""
    version = revision.app_version if "{app_version}" in str(git.ref) else tag_of(revision)
    return bool(version) and tag_in(image).removeprefix("v") == str(version).removeprefix("v")
