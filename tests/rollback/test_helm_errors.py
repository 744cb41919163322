"""helm's own words, as measured with both majors (docs/helm-facts.md, 1 to 4, 6): each cause, and no guess."""

import pytest

from pytest_zkrollback.rollback.helm_errors import explain_failure

CASES = {
    "credentials": [
        "Error: Kubernetes cluster unreachable: the server has asked for the client to provide credentials",
    ],
    "did not reach": [
        'Error: kubernetes cluster unreachable: Get "https://127.0.0.1:36999/version": dial tcp 127.0.0.1:36999: '
        "connect: connection refused",
        'Error: Kubernetes cluster unreachable: Get "https://x/version": net/http: TLS handshake timeout',
        "Error: Kubernetes cluster unreachable: invalid configuration: context was not found for specified "
        "context: other",
        "Error: kubernetes cluster unreachable: lookup nohost.invalid on 127.0.0.1:53: no such host",
    ],
    "admission webhook did not answer": [
        'Error: Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: Post '
        '"https://v.shop.svc:443/check?timeout=10s": dial tcp 10.96.0.7:443: connect: connection refused',
    ],
    "cannot convert": [
        "Error: server-side apply failed for object shop/web example.com/v1, Kind=Widget: conversion webhook for "
        'example.com/v1, Kind=Widget failed: Post "https://c.shop.svc:443/convert?timeout=30s": dial tcp '
        "10.96.0.9:443: connect: connection refused",
    ],
    "cannot be changed": [
        'Error: cannot patch "r-zkprova-backend" with kind Deployment: Deployment.apps "r" is invalid: '
        "spec.selector: Invalid value: {...}: field is immutable",
        "Error: server-side apply failed for object im4/r-zkprova-backend apps/v1, Kind=Deployment: ... field is "
        "immutable",
    ],
    "owns a field": [
        "Error: conflict occurred while applying object own4/r-extra /v1, Kind=ConfigMap: Apply failed with 1 "
        'conflict: conflict with "kubectl-create" using v1: .data.k',
        'Error: Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: '
        ".spec.replicas",
    ],
    "right is missing": [
        'Error: query: failed to query with labels: secrets is forbidden: User "narrow" cannot list resource '
        '"secrets" in API group "" in the namespace "rb3"',
    ],
    "is gone": ["Error: release has no 99 version"],
    "at the same moment": [
        "Error: release: already exists",
        'Error: secrets "sh.helm.release.v1.r.v4" not found',
    ],
    "no such release": ["Error: release: not found"],
    "too long": ["Error: description must be 256 characters or less, got 300"],
    "Job failed": [
        "Error: 1 error occurred:\n\t* job r-pre failed: BackoffLimitExceeded",
        "Error: resource Job/hk4pre/r-pre not ready. status: Failed, message: Job Failed. failed: 1/1",
    ],
    "did not end": [
        "Error: 1 error occurred:\n\t* timed out waiting for the condition",
        "Error: resource Job/hk/r-pre not ready. status: InProgress, message: Job in progress\n"
        "context deadline exceeded",
    ],
    "quota": ['Error: configmaps "a" is forbidden: exceeded quota: q, requested: count/configmaps=1'],
}


@pytest.mark.parametrize(
    ("words", "text"), [(words, text) for words, texts in CASES.items() for text in texts]
)
def test_each_measured_text_has_its_cause_and_a_next_step(words, text):
    cause = explain_failure(text)
    assert cause is not None
    assert words in cause.why
    assert cause.next_step


@pytest.mark.parametrize("text", ["", "Error: something new", "level=WARN msg=deprecated", "\x00\xff"])
def test_what_is_not_known_is_not_guessed(text):
    assert explain_failure(text) is None
