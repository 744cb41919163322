"""What our credentials may do, asked by SelfSubjectRulesReview and SelfSubjectAccessReview: they change
nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.errors import BadAnswer, Forbidden, NotFound, ZkRollbackError
from .threads import fetch_each

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube

_AT_ONCE = 30
# So many rights in one namespace are asked for by its rules.
_MANY = 3


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


class AccessReview:
    """What our credentials may do.

    The rules of a namespace are asked for once (SelfSubjectRulesReview): one answer for many rights. They are
    believed where they grant something and the API server calls them complete. Whatever they do not grant is
    asked for by itself.
    """

    def __init__(self, kube: Kube) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._rules: dict[str, tuple[JsonObject, ...]] = {}

    def allowed(self, asked: Sequence[tuple[Right, str]]) -> list[bool]:
        """Whether each right is granted for the object of that name (empty: for any), all asked at once.

        Raises ClusterError where a review got no answer.
        """
        counts = Counter(right.namespace for right, _ in asked)
        places = [
            place for place, count in counts.items() if place and count >= _MANY and place not in self._rules
        ]
        alone = [one for one in asked if not one[0].namespace]
        questions: list[Callable[[], Any]] = [partial(self._fetch_rules, place) for place in places]
        answers = _answers([*questions, *map(self._review, alone)])
        self._rules |= dict(zip(places, answers, strict=False))
        known: dict[tuple[Right, str], bool] = dict(zip(alone, answers[len(places) :], strict=True))
        known |= {one: True for one in asked if self._is_granted(*one)}
        rest = [one for one in dict.fromkeys(asked) if one not in known]
        known |= dict(zip(rest, _answers([self._review(one) for one in rest]), strict=True))
        return [known[one] for one in asked]

    def _is_granted(self, right: Right, name: str) -> bool:
        return any(_grants(rule, right, name) for rule in self._rules.get(right.namespace, ()))

    def _fetch_rules(self, namespace: str) -> tuple[JsonObject, ...]:
        """None are known where the API server does not tell them, or not all."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        try:
            answer = self._kube.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
        except (Forbidden, NotFound, BadAnswer):
            return ()
        status = answer.get("status") or {}
        # An authorizer that cannot name its rules may also be one that denies.
        if status.get("incomplete") is not False or status.get("evaluationError"):
            return ()
        return tuple(status.get("resourceRules") or ())

    def _review(self, one: tuple[Right, str]) -> Callable[[], bool]:
        return partial(_is_allowed, self._kube, *one)


def fetch_allowed(kube: Kube, asked: Sequence[tuple[Right, str]]) -> list[bool]:
    """:meth:`AccessReview.allowed` of one list."""
    return AccessReview(kube).allowed(asked)


def _answers(questions: Sequence[Callable[[], Any]]) -> list[Any]:
    answers = fetch_each(lambda question: question(), questions, _AT_ONCE)
    for answer in answers:
        if isinstance(answer, ZkRollbackError):
            raise answer
    return answers


def _grants(rule: JsonObject, right: Right, name: str) -> bool:
    """As RBAC reads a rule. Source: k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go."""
    _, _, subresource = right.resource.partition("/")
    resources = {"*", right.resource, *([f"*/{subresource}"] if subresource else [])}
    names = rule.get("resourceNames") or ()
    return (
        not {"*", right.verb}.isdisjoint(rule.get("verbs") or ())
        and not {"*", right.group}.isdisjoint(rule.get("apiGroups") or ())
        and not resources.isdisjoint(rule.get("resources") or ())
        and (not names or name in names)
    )


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
