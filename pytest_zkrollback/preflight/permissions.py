"""Rights that helm needs and that are missing, asked by SelfSubjectAccessReview."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..clients.threads import fetch_each
from ..domain.errors import NotFound, ZkRollbackError

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube


# What helm does to its own records while it rolls back with --history-max 0 (docs/helm-facts.md, 9).
_STORE_VERBS = ("list", "get", "create", "update")
_AT_ONCE = 30


# Verbs that no Role can allow by name; nor can it name helm's own Secrets, whose numbers go on.
_UNNAMED = ("create", "list", "watch")


class Right(NamedTuple):
    """One verb on one kind of object. ``namespace`` is empty for kinds without one."""

    verb: str
    group: str
    resource: str
    namespace: str

    def spoken(self, here: str) -> str:
        """As RBAC says it; the namespace only where it is another than ``here``."""
        elsewhere = f" in namespace {self.namespace}" if self.namespace not in ("", here) else ""
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{elsewhere}"


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

    def denied(asked: tuple[Right, str]) -> bool:
        return not _is_allowed(kube, *asked)

    kinds = sorted(wanted)
    answers = _each(denied, [(right, "") for right in kinds])
    missing = [right for right, no in zip(kinds, answers, strict=True) if no]
    by_kind = {right for right in missing if right.verb in _UNNAMED or right.resource == "secrets"}
    named = [(right, name) for right in missing if right not in by_kind for name in sorted(wanted[right])]
    refused = {pair[0] for pair, no in zip(named, _each(denied, named), strict=True) if no}
    by_name = {right for right, _ in named} - refused
    return tuple(sorted(right.spoken(namespace) for right in missing if right not in by_name))


def _is_allowed(kube: Kube, right: Right, name: str) -> bool:
    attributes = {**right._asdict(), **({"name": name} if name else {})}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = kube.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer.get("status", {}).get("allowed", False))


def _each(ask: Callable[[tuple[Right, str]], bool], asked: Sequence[tuple[Right, str]]) -> list[bool]:
    """All at the same time; raises the first ZkRollbackError."""
    answers = fetch_each(ask, asked, _AT_ONCE)
    for answer in answers:
        if isinstance(answer, ZkRollbackError):
            raise answer
    return [bool(answer) for answer in answers]
