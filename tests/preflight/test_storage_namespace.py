"""P20: Flux keeps a release's record in another namespace (``storageNamespace``) than its objects."""

import base64
import gzip
import json
from dataclasses import replace

import pytest

from pytest_zkrollback.checklist.equivalence.check import EquivalenceCheck
from pytest_zkrollback.domain.record import GuardReason, GuardState
from pytest_zkrollback.preflight.guards.release import judge_storage
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.release.helm_secret import parse_release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.release.manifest import identity
from pytest_zkrollback.run.find_workloads import auto_workloads
from support.preflight_facts import environment

MANIFEST = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n"
HOOK = {"events": ["pre-rollback"], "manifest": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\n"}


def record(namespace, kept="flux-system"):
    info = {"status": "deployed", "last_deployed": "2026-11-23T02:00:00Z"}
    content = {"version": 5, "info": info, "manifest": MANIFEST, "hooks": [HOOK], "namespace": namespace}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    labels = {"owner": "helm", "name": "web", "version": "5"}
    metadata = {"name": "sh.helm.release.v1.web.v5", "labels": labels, "namespace": kept}
    return parse_release({"metadata": metadata, "data": {"release": packed}}, kept)


def test_case_p20_the_objects_stand_where_the_record_says():
    release = record("shop")
    found = release.read("flux-system").objects
    assert [identity(item).namespace for item in found] == ["shop"]
    assert auto_workloads(found, "flux-system") == {"shop-web": "shop/deployment/web"}
    assert [identity(item).namespace for item in release.read_hook(HOOK, "flux-system").objects] == ["shop"]


@pytest.mark.parametrize(("namespace", "refuses"), [("shop", True), ("flux-system", False), ("", False)])
def test_case_p20_a_rollback_from_here_refuses_with_these_words(namespace, refuses):
    history = ProbeResult(value=ReleaseHistory("flux-system", "web", (record(namespace),)))
    guard = judge_storage("", ProbeResult(value=False), history)
    assert guard.state is (GuardState.REFUSED if refuses else GuardState.OK)
    if refuses:
        assert guard.reason is GuardReason.OTHER_NAMESPACE
        assert guard.override == ""  # helm would make the objects anew in the wrong namespace
        assert "its objects stand in namespace shop, and it is kept in flux-system" in guard.evidence
        assert "storageNamespace" in guard.evidence


def test_case_p20_what_is_left_belongs_to_this_release_where_the_record_says_so():
    """By the environment's namespace it would be another release's, and no leftover."""
    (item,) = record("shop").read("flux-system").objects
    annotations = {"meta.helm.sh/release-name": "zkprova", "meta.helm.sh/release-namespace": "shop"}
    live = {**item, "metadata": {**item["metadata"], "annotations": annotations}}
    check = EquivalenceCheck(env=environment(), kube=None, revision=5, target=(item,), home="shop")
    assert check._why_it_stays(live) == ""
    assert check._why_it_stays({**live, "kind": "Deployment"}) == ""
    assert replace(check, home="")._why_it_stays(live) == "belongs to release shop/zkprova"
