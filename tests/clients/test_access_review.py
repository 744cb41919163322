"""What our credentials may do: the rules of a namespace in one answer, and the API server's word for the rest."""

import itertools

import pytest

from pytest_zkrollback.clients.access_review import AccessReview, Right
from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, Unreachable

GROUP = "/apis/authorization.k8s.io/v1/"
LIST_PODS, GET_LOGS = Right("list", "", "pods", "n"), Right("get", "", "pods/log", "n")
PATCH_WEB = Right("patch", "apps", "deployments", "n")
ASKED = [(LIST_PODS, ""), (GET_LOGS, ""), (PATCH_WEB, "web"), (Right("list", "", "nodes", ""), "")]


def rule(verbs, groups, resources, names=()):
    return {
        "verbs": verbs,
        "apiGroups": groups,
        "resources": resources,
        **({"resourceNames": names} if names else {}),
    }


class Api:
    """Answers the rules that it was given, and grants each right in ``allowed`` for itself."""

    def __init__(self, *rules, allowed=(), **status):
        self.status = {"resourceRules": list(rules), "incomplete": False, **status}
        self.allowed = set(allowed)
        self.asked = []

    def send(self, method, path, body):
        assert (method, path) in (
            ("POST", f"{GROUP}{kind}") for kind in ("selfsubjectrulesreviews", "selfsubjectaccessreviews")
        )
        if path.endswith("rulesreviews"):
            self.asked.append(body["spec"]["namespace"])
            if isinstance(self.status.get("raises"), Exception):
                raise self.status["raises"]
            return {"status": self.status}
        spec = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (spec["resource"], spec.get("subresource"))))
        right = Right(spec["verb"], spec["group"], resource, spec["namespace"])
        self.asked.append((right, spec.get("name", "")))
        return {"status": {"allowed": (right, spec.get("name", "")) in self.allowed}}


def test_what_the_rules_grant_is_asked_for_once():
    api = Api(rule(["*"], ["*"], ["*"]), allowed=[ASKED[3]])
    assert AccessReview(api).allowed(ASKED) == [True, True, True, True]
    assert sorted(api.asked, key=str) == sorted(["n", ASKED[3]], key=str)


def test_what_they_do_not_grant_is_asked_for_by_itself():
    api = Api(rule(["list"], [""], ["pods"]), allowed=[ASKED[2]])
    assert AccessReview(api).allowed(ASKED) == [True, False, True, False]
    assert sorted(api.asked, key=str) == sorted(["n", ASKED[1], ASKED[2], ASKED[3]], key=str)


def test_a_namespaces_rules_are_asked_for_once_whatever_is_asked_later():
    api = Api(rule(["*"], ["*"], ["*"]))
    review = AccessReview(api)
    review.allowed(ASKED[:3])
    assert review.allowed([(Right("get", "", "secrets", "n"), "s")]) == [True]
    assert api.asked == ["n"]


def test_few_rights_need_no_rules():
    api = Api(rule(["*"], ["*"], ["*"]))
    assert AccessReview(api).allowed(ASKED[:2]) == [False, False]
    assert api.asked == ASKED[:2]


@pytest.mark.parametrize(
    "status",
    [
        {"incomplete": True},
        {"incomplete": None},
        {"evaluationError": "webhook authorizer does not support user rule resolution"},
        {"raises": Forbidden("no", verb="create", resource="selfsubjectrulesreviews")},
        {"raises": BadAnswer("no such review", status=404)},
    ],
    ids=["incomplete", "not said", "with an error", "forbidden", "not there"],
)
def test_rules_that_are_not_all_grant_nothing(status):
    api = Api(rule(["*"], ["*"], ["*"]), allowed=ASKED[:1], **status)
    assert AccessReview(api).allowed(ASKED[:3]) == [True, False, False]
    assert api.asked == ["n", *ASKED[:3]]


def test_no_answer_is_no_right():
    api = Api(raises=Unreachable("gone"))
    with pytest.raises(Unreachable):
        AccessReview(api).allowed(ASKED[:3])


GRANTS = [
    # rule, right, name, granted
    (rule(["get"], [""], ["pods"]), Right("get", "", "pods", "n"), "", True),
    (rule(["get"], [""], ["pods"]), Right("list", "", "pods", "n"), "", False),
    (rule(["get"], ["apps"], ["pods"]), Right("get", "", "pods", "n"), "", False),
    (rule(["*"], ["*"], ["pods"]), Right("get", "", "pods/log", "n"), "", False),
    (rule(["*"], ["*"], ["pods/log"]), Right("get", "", "pods/log", "n"), "", True),
    (rule(["*"], ["*"], ["*/log"]), Right("get", "", "pods/log", "n"), "", True),
    (rule(["*"], ["*"], ["*/log"]), Right("get", "", "pods", "n"), "", False),
    (rule(["*"], ["*"], ["*"]), Right("get", "", "pods/log", "n"), "", True),
    (rule(["*"], ["*"], ["pods"], ["web"]), Right("get", "", "pods", "n"), "web", True),
    (rule(["*"], ["*"], ["pods"], ["web"]), Right("get", "", "pods", "n"), "api", False),
    (rule(["*"], ["*"], ["pods"], ["web"]), Right("get", "", "pods", "n"), "", False),
    (rule(["*"], [], ["pods"]), Right("get", "", "pods", "n"), "", False),
]


@pytest.mark.parametrize(("given", "right", "name", "granted"), GRANTS, ids=map(str, itertools.count()))
def test_a_rule_is_read_as_the_api_server_reads_it(given, right, name, granted):
    api = Api(given)
    others = [(Right("delete", "x", "y", "n"), str(number)) for number in range(2)]
    assert AccessReview(api).allowed([(right, name), *others])[0] is granted
