"""What an object says of itself, also where it says nothing, or null."""

import pytest

from pytest_zkrollback.domain import kube_objects as ko


@pytest.mark.parametrize("item", [{}, {"metadata": None, "status": None}, {"metadata": {}, "status": {}}])
def test_an_object_that_says_nothing(item):
    assert ko.uid(item) == ko.controller_uid(item) == ""
    assert ko.owners(item) == ()
    assert ko.controller(item) is None
    assert not ko.is_ready(item)
    assert not ko.is_terminating(item)
    assert ko.is_alive(item)


def test_the_controller_is_the_owner_that_manages():
    owners = [{"uid": "a", "kind": "Job"}, {"uid": "b", "kind": "ReplicaSet", "controller": True}]
    pod = {"metadata": {"ownerReferences": owners}}
    assert ko.controller_uid(pod) == "b"
    assert ko.controller({"metadata": {"ownerReferences": owners[:1]}}) is None


@pytest.mark.parametrize("status", ["True", "False", "Unknown"])
def test_ready_is_what_the_condition_says(status):
    assert ko.is_ready({"status": {"conditions": [{"type": "Ready", "status": status}]}}) is (
        status == "True"
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_is_not_alive(phase):
    assert not ko.is_alive({"metadata": {}, "status": {"phase": phase}})
    assert not ko.is_alive({"metadata": {"deletionTimestamp": "now"}, "status": {"phase": "Running"}})


def test_a_kind_is_known_in_any_case():
    assert ko.plural_of("deployment") == ko.plural_of("Deployment") == "deployments"
