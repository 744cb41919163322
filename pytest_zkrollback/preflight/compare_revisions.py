"""Gathers the change summary of a target, read-only; what it could not learn it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from ..domain.change_summary import ChangeSummary, TargetHook
from ..domain.checks import JsonObject
from ..domain.errors import ZkRollbackError
from ..domain.kube_objects import PLURALS
from ..domain.ports import Kube
from ..release.diff import (
    by_identity,
    deleted_objects,
    image_changes,
    object_changes,
    pod_references,
    replica_changes,
    value_changes,
    what_stays,
)
from ..release.drift import LiveObject, compare
from ..release.helm_secret import Release, rollback_hooks
from ..release.history import ReleaseHistory
from ..release.manifest import ObjectKey, pod_template
from .target import deployed_spans

if TYPE_CHECKING:
    from .release_view import ReleaseView

T = TypeVar("T")

# Of each list; what is beyond is counted.
_MOST = 60


def gather_change_summary(kube: Kube, namespace: str, view: ReleaseView) -> ChangeSummary | None:
    """The change summary; None where there is no target to tell of. Raises the history's ZkRollbackErrors."""
    history, choice, target = view.history(), view.choice(), view.target
    if target is None:
        return None
    head = history.head
    old, new = by_identity(view.objects_of(head)), by_identity(view.objects_of(target))
    unknown: list[str] = []
    for release, objects in ((head, old), (target, new)):
        if not objects:
            unknown.append(f"the manifest of revision {release.revision.revision} holds nothing to compare")
    unknown += map(str, view.unread())
    try:
        live: Mapping[ObjectKey, LiveObject] = view.live()
    except ZkRollbackError as error:
        live = {}
        unknown.append(f"the live objects: {error}")

    def few(name: str, found: Sequence[T]) -> tuple[T, ...]:
        if len(found) > _MOST:
            unknown.append(f"{len(found) - _MOST} more {name} are not listed")
        return tuple(found[:_MOST])

    drift = compare(tuple(old.values()), [live[key] for key in old]) if old and live else ()
    # What looks deleted may be in what was not read of the target.
    deleted = deleted_objects(old, new, live) if not view.has_unread(target) else []
    missing = _missing(kube, namespace, new, old, unknown)
    return ChangeSummary(
        asked=str(view.asked),
        chosen_because=choice.because,
        chain=chain_of(history, target.revision.revision),
        deployed_for_s=deployed_spans(history).get(target.revision.revision),
        skipped=choice.skipped,
        objects=few("objects that change", object_changes(view.diffs(head, target))),
        images=few("images", image_changes(old, new)),
        replicas=few("replica counts", replica_changes(old, new)),
        values=few("values", value_changes(head.values, target.values)),
        drift=few("differences", [str(one) for one in drift]),
        deleted=few("deletions", deleted),
        not_rolled_back=few("things that stay", what_stays(head, target, old, new, live)),
        missing=few("missing objects", missing),
        hooks=few("hooks", _hooks(target)),
        unknown=tuple(unknown),
    )


def chain_of(history: ReleaseHistory, number: int) -> tuple[int, ...]:
    """``number``, what it rolled back to, and so on down to the origin of its content."""
    chain = [number]
    while (found := history.get(chain[-1])) is not None:
        earlier = found.revision.rollback_of
        if earlier is None or earlier >= chain[-1]:
            break
        chain.append(earlier)
    return tuple(chain)


def _hooks(target: Release) -> list[TargetHook]:
    return [
        TargetHook(
            name=f"{hook.get('kind') or '?'}/{hook.get('name') or '?'}",
            events=tuple(
                str(event) for event in hook.get("events") or () if event in ("pre-rollback", "post-rollback")
            ),
            revision=target.revision.revision,
        )
        for hook in rollback_hooks(target)
    ]


def _missing(
    kube: Kube,
    namespace: str,
    target: Mapping[ObjectKey, JsonObject],
    head: Mapping[ObjectKey, JsonObject],
    unknown: list[str],
) -> list[str]:
    """What the target's pods refer to that neither its manifest brings nor the namespace has."""
    brought = {(key.kind, key.name) for key in target}
    leaves = {(key.kind, key.name) for key in head} - brought
    wanted: dict[tuple[str, str], str] = {}
    for key, item in target.items():
        for reference in _references(item):
            if reference not in brought and reference != ("ServiceAccount", "default"):
                wanted.setdefault(reference, key.label)
    there: dict[str, set[str]] = {}
    for kind in sorted({kind for kind, _ in wanted}):
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/{PLURALS[kind]}"
        try:
            there[kind] = {str(item["metadata"]["name"]) for item in kube.list_metadata(path)}
        except ZkRollbackError as error:
            unknown.append(f"whether every {kind} that the target's pods need is there: {error}")
    found = []
    for (kind, name), user in wanted.items():
        if kind in there and name not in there[kind]:
            found.append(f"{kind}/{name}, which {user} refers to, does not exist")
        elif (kind, name) in leaves:
            found.append(f"{kind}/{name}, which {user} refers to, is deleted by this rollback")
    return found


def _references(item: JsonObject) -> Iterator[tuple[str, str]]:
    template = pod_template(item)
    if template is not None:
        yield from pod_references(template)
