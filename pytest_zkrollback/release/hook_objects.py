"""What install and upgrade hooks made and left there: helm rollback does not run them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..domain.checks import JsonObject
from .drift import LiveObject, compare
from .helm_secret import Release
from .manifest import ObjectKey, identity


@dataclass(frozen=True)
class HookObject:
    """An object as a hook made it: in the newest revision up to the target, and in later ones.

    ``made`` is (revision, object), ``later`` the same of every rolled-away revision whose hook ran.
    """

    made: tuple[int, JsonObject]
    later: tuple[tuple[int, JsonObject], ...] = ()

    def is_as_made(self, live: LiveObject) -> bool:
        """Whether it is as the target's pods expect it."""
        return not compare([self.made[1]], [live])

    def left_by(self, live: LiveObject) -> int | None:
        """The rolled-away revision whose hook left it as it is now; None: none did."""
        numbers = (number for number, item in reversed(self.later) if not compare([item], [live]))
        return next(numbers, None)


def hook_objects(
    releases: Iterable[Release], target: int, away: Iterable[int], namespace: str
) -> dict[ObjectKey, HookObject]:
    """What the hooks of the revisions up to ``target`` made, with what those of ``away`` made of it.

    Only hooks count that ran, as the release's record says, and only what they left: helm deletes the others.
    """
    gone = frozenset(away)
    made: dict[ObjectKey, tuple[int, JsonObject]] = {}
    later: dict[ObjectKey, list[tuple[int, JsonObject]]] = {}
    for number, item in _made_by_hooks(releases, namespace):
        if number <= target:
            made[identity(item)] = (number, item)
        elif number in gone:
            later.setdefault(identity(item), []).append((number, item))
    return {key: HookObject(one, tuple(later.get(key, ()))) for key, one in made.items()}


def left_by_hooks(
    releases: Iterable[Release], away: Iterable[int], namespace: str
) -> dict[ObjectKey, tuple[int, JsonObject]]:
    """What only hooks of the revisions ``away`` made so and left: (revision, object), the newest of each.

    What an older hook made alike is the target's, too. Jobs and pods are left out: they ran, and what they
    did is the migration's business.
    """
    gone = frozenset(away)
    found: dict[ObjectKey, tuple[int, JsonObject]] = {}
    stays: dict[ObjectKey, JsonObject] = {}
    for number, item in _made_by_hooks(releases, namespace):
        key = identity(item)
        if number not in gone:
            stays[key] = item
        if number not in gone or stays.get(key) == item:
            found.pop(key, None)
        elif item["kind"] not in ("Job", "Pod"):
            found[key] = (number, item)
    return found


def _made_by_hooks(releases: Iterable[Release], namespace: str) -> Iterator[tuple[int, JsonObject]]:
    """(revision, object) of every hook that ran and was not deleted again, oldest revision first.

    A rollback takes over the hooks of its target with the word that they ran: they did not run again.
    """
    counted: set[tuple[str, str, str]] = set()
    for release in sorted(releases, key=lambda each: each.revision.revision):
        for hook in release.hooks:
            policies, last_run = hook.get("delete_policies") or (), hook.get("last_run") or {}
            if last_run.get("phase") != "Succeeded" or "hook-succeeded" in policies:
                continue
            began = str(last_run.get("started_at") or "")
            run = (str(hook.get("kind")), str(hook.get("name")), began)
            if began and run in counted:
                continue
            counted.add(run)
            for item in release.read_hook(hook, namespace).objects:
                yield release.revision.revision, item
