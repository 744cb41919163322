"""The rights that a release's verification and rollback need, whichever of its revisions is the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..preflight.permissions import (
    Need,
    fetch_grant_needs,
    merged,
    preflight_needs,
    rollback_needs,
    verify_needs,
)
from ..release.helm_secret import deploy_hooks, rollback_hooks
from ..release.manifest import is_kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config.environment import Environment
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube
    from ..release.helm_secret import Release
    from ..release.history import ReleaseHistory


@dataclass(frozen=True)
class ReleaseRights:
    """``verify``: what verifying alone needs. ``rollback``: what a rollback needs besides.

    ``unread``: what cannot be read of the revisions, and may need more. ``revisions``: those that were read.
    """

    verify: tuple[Need, ...]
    rollback: tuple[Need, ...]
    unread: tuple[str, ...]
    revisions: tuple[int, ...]


def fetch_release_rights(kube: Kube, env: Environment, history: ReleaseHistory) -> ReleaseRights:
    """What is needed for any of the kept revisions: a rollback may go to each of them.

    The API server is asked which kinds it knows, and for roles that the chart binds. Raises ClusterError.
    """
    namespace, releases = env.namespace, history.releases
    revisions = [release.read(namespace).objects for release in releases]
    hooks = [_of_hooks(release, deploy_hooks(release), namespace) for release in releases]
    again = [_of_hooks(release, rollback_hooks(release), namespace) for release in releases]
    objects, made, run = (_each_once(found) for found in (revisions, hooks, again))
    verify = verify_needs(kube, namespace, (*objects, *made), pinned=env.identity is not None)
    applied = ("get", "patch", "create")
    writes = {
        (*applied, "delete"): [item for item in objects if not is_kept(item)],
        applied: [item for item in objects if is_kept(item)],
        ("get", "list", "watch", "create", "delete"): run,
    }
    needed = merged(
        [
            *rollback_needs(kube, namespace, writes),
            *preflight_needs(namespace, objects),
        ]
    )
    known = {need.right: need for need in verify}
    besides = [need for need in needed if not _covers(known.get(need.right), need)]
    unread = [
        f"{document.name} of revision {release.revision.revision}"
        for release in releases
        for document in release.read(namespace).unread
    ]
    unread += [
        f"hook {hook.get('kind') or '?'}/{hook.get('name') or '?'} of revision {release.revision.revision}"
        for release in releases
        for hook in rollback_hooks(release)
        if release.read_hook(hook, namespace).unread
    ]
    return ReleaseRights(
        verify=verify,
        rollback=(*besides, *fetch_grant_needs(kube, revisions)),
        unread=(*unread, *(f"revision {number}" for number in history.unreadable)),
        revisions=tuple(release.revision.revision for release in releases),
    )


def _covers(known: Need | None, need: Need) -> bool:
    """Whether who has the ``known`` right has all that the ``need`` is about."""
    if known is None or (known.helpful and not need.helpful):
        return False
    return not known.names or (bool(need.names) and need.names <= known.names)


def _of_hooks(release: Release, hooks: Iterable[JsonObject], namespace: str) -> tuple[JsonObject, ...]:
    return tuple(item for hook in hooks for item in release.read_hook(hook, namespace).objects)


def _each_once(found: Iterable[Iterable[JsonObject]]) -> list[JsonObject]:
    """Every object, also as different revisions state it: they may refer to different others."""
    return list({id(item): item for items in found for item in items}.values())
