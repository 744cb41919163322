"""What an answer to a dry run says of the object: the API server's own texts, from its status to the verdict."""

import json
from collections.abc import Mapping

import pytest

from pytest_zkrollback.clients.kube.errors import refusal
from pytest_zkrollback.domain.errors import BadAnswer, ClusterError, Unreachable
from pytest_zkrollback.domain.forecast import ApplyOutcome, ForecastCause
from pytest_zkrollback.preflight.dry_run_answer import judge_answer
from pytest_zkrollback.preflight.forecast import Forecaster
from pytest_zkrollback.preflight.permissions import Granted
from pytest_zkrollback.release.manifest import ObjectKey
from pytest_zkrollback.release.shared_reads import SharedReads

PATH = "/apis/apps/v1/namespaces/shop/deployments/web"
WEBHOOK = 'Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: Post '
DENIED = 'admission webhook "v.example.com" denied the request: '
CONVERSION = "conversion webhook for example.com/v1, Kind=Widget failed: "


def answered(status: int, message: str = "", causes=()) -> ClusterError:
    found = [{"field": field, "message": text} for field, text in causes]
    body = json.dumps({"kind": "Status", "message": message, "details": {"causes": found}}).encode()
    return refusal(status, {}, body, label="test", method="PATCH", path=PATH, query={})


EVIDENCE = [
    (400, 'strict decoding error: unknown field "spec.replica"', ForecastCause.INVALID),
    (400, "", ForecastCause.INVALID),
    (400, f"{DENIED}no", ForecastCause.ADMISSION),
    (
        403,
        'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3',
        ForecastCause.QUOTA,
    ),
    (403, 'pods "a" is forbidden: failed quota: q: must specify limits.cpu', ForecastCause.QUOTA),
    (403, f"{DENIED}only signed images", ForecastCause.ADMISSION),
    (
        403,
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        ForecastCause.ADMISSION,
    ),
    (
        403,
        'deployments.apps "web" is forbidden: User "ann" cannot patch resource "deployments"',
        ForecastCause.FORBIDDEN,
    ),
    (404, "the server could not find the requested resource", ForecastCause.MISSING_KIND),
    (404, 'namespaces "shop" not found', ForecastCause.MISSING_NAMESPACE),
    (409, 'object is being deleted: deployments.apps "web" already exists', ForecastCause.OTHER),
    (409, f"{DENIED}frozen", ForecastCause.ADMISSION),
    (415, "the body of the request was in an unknown format", ForecastCause.OTHER),
    (
        422,
        'Deployment.apps "web" is invalid: spec.selector: Invalid value: {}: field is immutable',
        ForecastCause.IMMUTABLE,
    ),
    (422, 'Service "web" is invalid: spec.ports: Required value', ForecastCause.INVALID),
    (422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", ForecastCause.ADMISSION),
    (
        500,
        f'{CONVERSION}Post "https://c.shop.svc:443/convert?timeout=30s": dial tcp: connection refused',
        ForecastCause.CONVERSION,
    ),
    (500, f"{CONVERSION}the server returned invalid response", ForecastCause.CONVERSION),
    (500, "Internal error occurred: error converting Widget to v2: no such field", ForecastCause.CONVERSION),
    (500, "Internal error occurred: schema validation of the object failed", ForecastCause.INVALID),
    (500, f"Internal error occurred: {DENIED}the scan timed out", ForecastCause.ADMISSION),
]
NO_EVIDENCE = [
    (401, "Unauthorized"),
    (404, 'deployments.apps "web" not found'),
    (404, ""),
    (408, "Timeout: request did not complete within requested timeout"),
    (
        409,
        'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; please apply '
        "your changes to the latest version and try again",
    ),
    (429, "too many requests"),
    (429, f"{DENIED}too many requests"),
    (400, 'admission webhook "v.example.com" does not support dry run'),
    (500, f'{WEBHOOK}"https://v.shop.svc:443/validate?timeout=10s": dial tcp: connection refused'),
    (500, f'{WEBHOOK}"https://v.shop.svc:443/validate?timeout=10s": context deadline exceeded'),
    (403, f'{WEBHOOK}"https://v.shop.svc:443/check": EOF'),
    (500, f'{CONVERSION}Post "https://c.shop.svc:443/convert?timeout=30s": context deadline exceeded'),
    (500, "Internal error occurred: resource quota evaluation timed out"),
    (500, "etcdserver: request timed out"),
    (500, "net/http: TLS handshake timeout while validating"),
    (500, "Internal error occurred: etcdserver: no leader"),
    (500, ""),
    (502, "bad gateway"),
    (503, "apiserver is shutting down; conversion failed"),
    (504, "Timeout: request did not complete within requested timeout - context deadline exceeded"),
    (405, "method not allowed"),
    (410, "gone"),
]


@pytest.mark.parametrize(("status", "message", "cause"), EVIDENCE)
def test_an_answer_about_the_object_is_evidence(status, message, cause):
    assert judge_answer(answered(status, message)) is cause


@pytest.mark.parametrize(("status", "message"), NO_EVIDENCE)
def test_an_answer_that_says_nothing_of_the_object_is_none(status, message):
    assert judge_answer(answered(status, message)) is ForecastCause.UNANSWERED


@pytest.mark.parametrize(
    "error",
    [Unreachable("did not answer within 3 s"), BadAnswer("no JSON"), ClusterError("conversion failed")],
)
def test_no_answer_at_all_is_no_evidence(error):
    assert judge_answer(error) is ForecastCause.UNANSWERED


def test_a_field_conflict_is_told_from_other_conflicts_by_its_causes():
    cause = (".spec.replicas", 'conflict with "kubectl" with subresource "scale" using apps/v1')
    assert judge_answer(answered(409, "Apply failed with 1 conflict", [cause])) is ForecastCause.CONFLICT


class Server:
    """Serves Deployments; every dry run gets the same answer."""

    def __init__(self, error: ClusterError) -> None:
        self.error = error

    def resource_path(self, api_version, kind, namespace, name=""):
        return PATH.rpartition("/")[0]

    def get(self, path, timeout_s=5.0):
        return {"metadata": {"name": "web"}}

    def send(self, *args, **kwargs):
        raise self.error


def forecast(error: ClusterError, namespaces: frozenset[str] = frozenset()):
    before: Mapping = {}
    server, granted = Server(error), Granted()
    one = Forecaster(
        server, "shop", "web", 4, True, 3.0, before, frozenset(), namespaces, SharedReads(server), granted
    )
    key = ObjectKey("apps/v1", "Deployment", "shop", "web")
    return one.apply(key, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})


def test_the_forecast_follows_the_answer():
    """Measured: 500 with a conversion error only warned, and helm failed on exactly that object."""
    broken = forecast(answered(500, f"{CONVERSION}no endpoints available"))
    assert (broken.will, broken.cause) == (ApplyOutcome.FAIL, ForecastCause.CONVERSION)
    unknown = forecast(answered(500, f'{WEBHOOK}"https://v": EOF'))
    assert (unknown.will, unknown.cause) == (ApplyOutcome.UNKNOWN, ForecastCause.UNANSWERED)
    assert "failed calling webhook" in unknown.why


def test_a_namespace_that_the_target_makes_itself_is_not_missing():
    missing = answered(404, 'namespaces "shop" not found')
    assert forecast(missing).will is ApplyOutcome.FAIL
    own = forecast(missing, frozenset({"shop"}))
    assert (own.will, own.why) == (
        ApplyOutcome.UNKNOWN,
        "namespace shop is only there once the target's own has been made",
    )
