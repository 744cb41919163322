"""Whether a new revision of the release only goes forward, as the service's commits show it.

A commit that contains the one before it may still take it back: `git revert`, a merge that keeps its own
side, this tool's own way through GitHub. So what it holds is compared with every revision that is kept.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from ..clients.git import FileChange, GitCheckout
from ..config.environment import Environment
from ..config.repository import Git
from ..domain.errors import ProcessProblem
from ..domain.record import Revision
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory
from ..release.manifest import container_images, identity, pod_template
from ..release.source_commit import named_commits, tag_in, tag_of
from .context import RunContext
from .source_commits import commit_name, git_checkout

# What may be a migration, where the configuration does not say where they are.
_MAY_MIGRATE = re.compile(
    r"migrat|alembic|flyway|liquibase|changelog|schema|(^|/)(db|sql)/|\.sql$", re.IGNORECASE
)


@dataclass(frozen=True)
class DeployDirection:
    """``is_forward``: the commits show an ordinary deploy. ``said``: what they show, or why they do not."""

    is_forward: bool
    said: str


class _NotShown(Exception):
    """Why the commits do not show it."""


def find_direction(context: RunContext, history: ReleaseHistory, older: int, newer: int) -> DeployDirection:
    """Whether ``newer`` goes forward from ``older``, the revision before it that differs.

    It does where its commit contains that of every kept revision, its images name that commit and no other,
    and it puts no file back to what it was before one of them. Nor may it remove a file, or change one that
    may be a migration. Where ``paths`` of migrations are configured these are the ones, and others may go.
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
    _require_images_of(mine, history, older, newer, env)
    unread = sorted({*history.unreadable, *history.older})
    if unread:
        raise _NotShown(f"{contains}; which commit revision {unread[-1]} was made of was not read")
    paths = _folders(checkout, mine, env.migrations.paths if env.migrations is not None else ())
    seen = {before: older}
    for number in sorted((one.revision for one in history.revisions if one.revision < newer), reverse=True):
        seen.setdefault(_deployed_commit(context, env.git, checkout, history, number), number)
    for commit, number in seen.items():
        if not checkout.contains(mine, commit):
            raise _NotShown(f"{contains}, and not {commit[:10]} of revision {number}")
        if taken := _taken_back(checkout, commit, mine, paths):
            raise _NotShown(f"{contains}, and {taken} as revision {number} had it")
    return f"{contains} and those of all earlier revisions, and puts no file of theirs back"


def _folders(checkout: GitCheckout, commit: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """The ``paths`` as git writes them; ``.`` is the whole tree."""
    folders = tuple(posixpath.normpath(path.strip("/") or ".") for path in paths)
    for folder, path in zip(folders, paths, strict=True):
        if folder.startswith("..") or not checkout.holds(commit, folder):
            raise _NotShown(f"there is nothing at {path} in commit {commit[:10]}")
    return folders


def _taken_back(checkout: GitCheckout, older: str, newer: str, paths: tuple[str, ...]) -> str:
    """What a commit no longer holds of an earlier one, as a predicate; empty: nothing that would matter."""
    changes = checkout.changes(older, newer)
    for each in changes:
        migrates = _is_below(each, paths) if paths else bool(_MAY_MIGRATE.search(each.path))
        if each.status == "D" and (migrates or not paths):
            return f"no longer holds {each.path}"
        if each.status not in ("A", "D") and migrates:
            return f"does not hold {each.path}"
    again = checkout.had(older, [each for each in changes if each.status != "D"])
    return f"puts {again[0]} back to what it was before, and does not leave it" if again else ""


def _is_below(file: FileChange, folders: tuple[str, ...]) -> bool:
    return any(folder == "." or f"{file.path}/".startswith(f"{folder}/") for folder in folders)


def _deployed_commit(
    context: RunContext, git: Git, checkout: GitCheckout, history: ReleaseHistory, number: int
) -> str:
    """The full SHA. A branch that a ``ref`` names may have moved since the deploy, so that it names none."""
    release = history.content_of(number)
    name = commit_name(git, release, context.env.namespace) if release is not None else None
    if name is None:
        raise _NotShown(f"revision {number} names no commit in image tags, appVersion or annotations")
    try:
        if git.ref is None:
            return checkout.resolve(name)
        return checkout.resolve_ref(f"refs/tags/{name.removeprefix('refs/').removeprefix('tags/')}")
    except ProcessProblem as problem:
        raise _NotShown(
            f"the commit of revision {number} is not known ({str(problem).rstrip('.')})"
        ) from None


def _require_images_of(
    commit: str, history: ReleaseHistory, older: int, newer: int, env: Environment
) -> None:
    """Raises _NotShown where a container's image changed that does not say that it was built from ``commit``,
    where none says so, or where the chart went back.
    """
    first, last = history.content_of(older), history.content_of(newer)
    if first is None or last is None:  # both were read: their commits are known
        return
    if _chart_version(first.revision) > _chart_version(last.revision):
        raise _NotShown(
            f"chart {last.revision.chart} of revision {newer} is older than {first.revision.chart}"
        )
    before, now = _images(first, env.namespace), _images(last, env.namespace)
    named = 0
    for place, image in sorted(now.items()):
        says = _says_commit(env.git, image, commit, last.revision)
        named += says
        if before.get(place) != image and not says:
            raise _NotShown(
                f"image {image} is new in revision {newer}, and does not name commit {commit[:10]} alone"
            )
    if not named:
        raise _NotShown(f"no image of revision {newer} names commit {commit[:10]}")


def _images(release: Release, namespace: str) -> dict[tuple[str, str, str], str]:
    """(kind, name, container) -> image of everything that has a pod template; raises _NotShown."""
    read = release.read(namespace)
    if read.unread:
        raise _NotShown(
            f"what revision {release.revision.revision} holds cannot be read in whole: {read.unread[0]}"
        )
    return {
        (item["kind"], identity(item).name, container): image
        for item in read.objects
        if (template := pod_template(item)) is not None
        for container, image in container_images(template).items()
    }


def _says_commit(git: Git | None, image: str, commit: str, revision: Revision) -> bool:
    """Whether an image's tag is of this commit alone, or is the version that the commit was found by."""
    if git is not None and git.ref is not None:
        version = revision.app_version if "{app_version}" in git.ref else tag_of(revision)
        return bool(version) and tag_in(image).removeprefix("v") == str(version).removeprefix("v")
    named = named_commits(image)
    return bool(named) and all(commit.startswith(each) for each in named)


def _chart_version(revision: Revision) -> tuple[int, ...]:
    """The numbers of the chart's version, for a comparison; a pre-release counts as its release."""
    found = re.search(r"-v?(\d+)\.(\d+)\.(\d+)", revision.chart)
    return tuple(map(int, found.groups())) if found else ()
