"""An object whose recorded version the API server serves no longer is read and compared as it is served."""

from __future__ import annotations

import pytest

from pytest_zkrollback.domain.errors import NotFound
from pytest_zkrollback.domain.migration import RevisionContent
from pytest_zkrollback.release.drift import LiveObject, fetch_live
from pytest_zkrollback.release.manifest import identity
from pytest_zkrollback.release.served_versions import served_otherwise, served_path
from pytest_zkrollback.run.build_checklist import find_leftovers
from support.manifests import parse_manifest

SERVED = {"policy/v1": "PodDisruptionBudget", "networking.k8s.io/v1": "Ingress", "apps/v1": "Deployment"}
GROUPS = {"policy": ["policy/v1"], "networking.k8s.io": ["networking.k8s.io/v1beta2", "networking.k8s.io/v1"]}


class Upgraded:
    """An API server that serves some kinds, each under one version."""

    def resource_path(self, api_version: str, kind: str, namespace: str, name: str = "") -> str:
        if SERVED.get(api_version) != kind:
            raise NotFound(f"The API server knows no kind {kind} in {api_version}.")
        return f"/apis/{api_version}/{namespace}/{kind}/{name}"

    def get(self, path: str, query: object = None, timeout_s: float = 5.0) -> dict:
        if path.count("/") > 2:
            _, _, group, version, _, kind, name = path.split("/")
            return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": name}}
        group = path.removeprefix("/apis/")
        if group not in GROUPS:
            raise NotFound("no such group")
        versions = [{"groupVersion": each} for each in GROUPS[group]]
        return {"preferredVersion": versions[0], "versions": versions}


def made(api_version: str, kind: str) -> dict:
    (item,) = parse_manifest(f"{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}}}", "n")
    return item


@pytest.mark.parametrize(
    ("recorded", "kind", "served"),
    [
        ("policy/v1", "PodDisruptionBudget", "policy/v1"),
        ("policy/v1beta1", "PodDisruptionBudget", "policy/v1"),
        ("networking.k8s.io/v1beta1", "Ingress", "networking.k8s.io/v1"),
        ("extensions/v1beta1", "Ingress", "networking.k8s.io/v1"),
        ("extensions/v1beta1", "Deployment", None),  # a group that is gone, and apps names no versions here
        ("policy/v1beta1", "PodSecurityPolicy", None),
        ("v1", "Unheard", None),
    ],
)
def test_case_p34_a_kind_is_found_under_the_version_that_is_served(recorded, kind, served) -> None:
    item = made(recorded, kind)
    if served is None:
        with pytest.raises(NotFound, match=f"no kind {kind} in {recorded}"):
            served_path(Upgraded(), identity(item))
        assert isinstance(fetch_live(Upgraded(), [item])[0].error, NotFound), "unknown is not absent"
        return
    assert served_path(Upgraded(), identity(item)) == f"/apis/{served}/n/{kind}/a"
    (live,) = fetch_live(Upgraded(), [item])
    other = f" is recorded as {recorded} and served as {served}" if recorded != served else ""
    assert served_otherwise(item, live.item) == other


def test_an_object_that_is_not_there_is_served_as_recorded() -> None:
    assert served_otherwise(made("policy/v1beta1", "PodDisruptionBudget"), LiveObject().item) == ""


@pytest.mark.parametrize(
    ("older", "left"),
    [("policy/v1beta1", 0), ("policy/v1", 0), ("other.example/v1", 1)],
)
def test_case_p34_under_another_version_of_its_group_it_is_the_same_object(older, left) -> None:
    target = (made("policy/v1", "PodDisruptionBudget"),)
    later = [RevisionContent(3, (made(older, "PodDisruptionBudget"),), ())]
    assert len(find_leftovers(target, later)) == left
