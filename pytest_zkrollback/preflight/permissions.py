"""Rights that are missing, for helm or to look afterwards, asked by SelfSubjectAccessReview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..clients.access_review import Right, fetch_allowed
from ..domain.errors import NotFound
from ..release.namespaces import event_namespaces, pod_namespaces

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube


# What helm does to its own records while it rolls back with --history-max 0 (docs/helm-facts.md, 9).
_STORE_VERBS = ("list", "get", "create", "update")
# Verbs that no Role can allow by name; nor can it name helm's own Secrets, whose numbers go on.
_UNNAMED = ("create", "list", "watch")


def fetch_denied(
    kube: Kube, namespace: str, writes: Mapping[tuple[str, ...], Sequence[JsonObject]]
) -> tuple[str, ...]:
    """The rights that helm needs and that the API server says are missing, by SelfSubjectAccessReview.

    ``writes`` maps verbs to the objects that helm will need them for. A right that is missing for the kind is
    asked for again object by object: a Role may name them. Raises ClusterError where a review got no answer.
    """
    wanted: dict[Right, set[str]] = {Right(verb, "", "secrets", namespace): set() for verb in _STORE_VERBS}
    for verbs, entries in writes.items():
        for entry in entries:
            api_version, metadata = str(entry.get("apiVersion", "")), entry.get("metadata") or {}
            place = str(metadata.get("namespace") or namespace)
            try:
                path = kube.resource_path(api_version, str(entry.get("kind", "")), place).rstrip("/")
            except NotFound:
                continue  # a kind that is not served: the forecast says so
            if "/namespaces/" not in path:
                place = ""
            for verb in verbs:
                right = Right(verb, api_version.rpartition("/")[0], path.rsplit("/", 1)[-1], place)
                wanted.setdefault(right, set()).add(str(metadata.get("name", "")))

    kinds = sorted(wanted)
    answers = fetch_allowed(kube, [(right, "") for right in kinds])
    missing = [right for right, granted in zip(kinds, answers, strict=True) if not granted]
    by_kind = {right for right in missing if right.verb in _UNNAMED or right.resource == "secrets"}
    named = [(right, name) for right in missing if right not in by_kind for name in sorted(wanted[right])]
    answers = fetch_allowed(kube, named)
    refused = {pair[0] for pair, granted in zip(named, answers, strict=True) if not granted}
    by_name = {right for right, _ in named} - refused
    return tuple(sorted(right.spoken(namespace) for right in missing if right not in by_name))


def fetch_unreadable(kube: Kube, namespace: str, target: Sequence[JsonObject]) -> tuple[str, ...]:
    """The rights to look that are missing where the target has objects outside of ``namespace``.

    Without them helm rolls back all the same, and what is there cannot be verified. Nothing is asked where
    all of the target is in one namespace. Raises ClusterError where a review got no answer.
    """
    wanted = []
    for place, resources in pod_namespaces(target).items():
        for resource in resources if place != namespace else ():
            group = "" if resource == "pods" else "apps"
            wanted += [Right(verb, group, resource, place) for verb in ("list", "watch")]
        wanted += [Right("get", "", "pods/log", place)] if place != namespace else []
    wanted += [Right("list", "", "events", each) for each in event_namespaces(target) if each != namespace]
    answers = fetch_allowed(kube, [(right, "") for right in wanted])
    missing = (right for right, granted in zip(wanted, answers, strict=True) if not granted)
    return tuple(sorted(right.spoken(namespace) for right in missing))
