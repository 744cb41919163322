"""What our credentials may do, asked by SelfSubjectAccessReview: it changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..domain.errors import ZkRollbackError
from .threads import fetch_each

if TYPE_CHECKING:
    from ..domain.ports import Kube

_AT_ONCE = 30


class Right(NamedTuple):
    """One verb on one kind of object. ``namespace`` is empty for kinds without one.

    ``resource`` is as in RBAC: the plural, with the subresource (``pods/log``).
    """

    verb: str
    group: str
    resource: str
    namespace: str

    def spoken(self, here: str) -> str:
        """As RBAC says it; the namespace only where it is another than ``here``."""
        elsewhere = f" in namespace {self.namespace}" if self.namespace not in ("", here) else ""
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{elsewhere}"


def fetch_allowed(kube: Kube, asked: Sequence[tuple[Right, str]]) -> list[bool]:
    """Whether each right is granted for the object of that name (empty: for any), all asked at once.

    Raises ClusterError where a review got no answer.
    """
    answers = fetch_each(lambda one: _is_allowed(kube, *one), asked, _AT_ONCE)
    for answer in answers:
        if isinstance(answer, ZkRollbackError):
            raise answer
    return [bool(answer) for answer in answers]


def _is_allowed(kube: Kube, right: Right, name: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {**right._asdict(), "resource": resource}
    attributes |= {key: value for key, value in (("subresource", subresource), ("name", name)) if value}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = kube.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer.get("status", {}).get("allowed", False))
