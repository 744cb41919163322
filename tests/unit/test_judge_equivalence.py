from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_zkrollback.checklist.equivalence import EquivalenceCheck, Observed
from pytest_zkrollback.domain.environment import Environment
from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, Unauthorized, Unreachable
from pytest_zkrollback.domain.model import Revision
from pytest_zkrollback.domain.observation import History, Sample
from pytest_zkrollback.domain.ports import Check, Stage
from pytest_zkrollback.domain.verdict import Judgement, Pending, Verdict, Word
from pytest_zkrollback.release.equivalence import Live
from pytest_zkrollback.release.manifest import parse_manifest

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template: {spec: {initContainers: [{name: init, image: "i:1"}], containers: [{name: app, image: "web:5"}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {k: v}
"""
TARGET = parse_manifest(MANIFEST, "n")
CHECK = EquivalenceCheck(
    env=Environment(
        name="e", context="ctx", namespace="n", release="web", workloads={"web": "deployment/web"}
    ),
    kube=None,  # type: ignore[arg-type]  # judging asks nobody
    revision=5,
    target=TARGET,
)
FORBIDDEN = Forbidden("You may not.", verb="list", resource="pods")
HOW = "read-only comparison of 2 objects and 2 pods"


def owned(name: str, uid: str, owner: str, **more: Any) -> dict:
    owners = [{"uid": "someone", "controller": False}, {"uid": owner, "controller": True}]
    return {"metadata": {"name": name, "uid": uid, "ownerReferences": owners}, **more}


def pod(name: str, image: str = "web:5", owner: str = "rs-new", *sidecars: dict, **status: Any) -> dict:
    spec = {
        "initContainers": [{"name": "init", "image": "i:1"}],
        "containers": [{"name": "app", "image": image}, *sidecars],
    }
    return owned(name, name, owner, spec=spec, status=status)


def live_objects() -> tuple[dict, dict]:
    web, config = parse_manifest(MANIFEST, "n")
    web["metadata"]["uid"] = "web"
    return web, config


def observed(*pods: dict, **changes: Any) -> Observed:
    web, config = live_objects()
    replicasets = (owned("new", "rs-new", "web"), owned("old", "rs-old", "web"), owned("x", "rs-x", "other"))
    return replace(Observed((Live(web), Live(config)), replicasets, pods or (pod("a"), pod("b"))), **changes)


def judge(value: object, *, passed: bool | None = True, check: EquivalenceCheck = CHECK) -> Judgement:
    sample = value if isinstance(value, Sample) else Sample(NOW, value)
    return check.judge(History((sample,), since=NOW, judged_from=NOW, rollouts_passed=passed), NOW)


def test_it_is_a_check():
    check: Check = CHECK
    assert (check.id, check.stage, check.interval_s, check.deadline_s) == (
        "release-equivalence",
        Stage.SETTLED,
        0.5,
        10,
    )
    assert check.expected == (
        "all 2 objects of revision 5 are live as stated, every pod of its workloads runs its images, nothing of "
        "the rolled-away revisions is left, and helm calls the release deployed"
    )
    assert check.command == (
        "helm get manifest web --revision 5 -n n --kube-context ctx | kubectl diff -f - -n n --context ctx"
    )


def test_pass_says_how_it_was_compared():
    assert judge(observed()) == Verdict(word=Word.PASS, observed=f"No difference; {HOW}")


def test_a_difference_is_a_fail_at_once_with_its_evidence_fault_44():
    value = observed()
    assert value.live[1].item is not None
    value.live[1].item["data"] = {"k": "w"}
    verdict = judge(value)
    assert isinstance(verdict, Verdict)
    assert (verdict.word, verdict.observed) == (
        Word.FAIL,
        f'ConfigMap/c data.k: expected "v", live "w"; {HOW}',
    )
    (proof,) = verdict.evidence
    assert (proof.kind, proof.text) == ("diff", '@@ ConfigMap/c data.k\n- "v"\n+ "w"')


def test_an_object_that_is_missing_fails():
    web, _ = live_objects()
    verdict = judge(observed(live=(Live(web), Live())))
    assert isinstance(verdict, Verdict)
    assert verdict.observed.startswith("ConfigMap/c: expected to exist, live (absent); ")


STRAY = "Pod b of Deployment/web runs web:6 as app, not web:5"


def test_an_old_pod_is_waited_for_while_the_rollouts_passed():
    value = observed(pod("a"), pod("b", "web:6", "rs-old"))
    waiting = judge(value)
    assert isinstance(waiting, Pending)
    assert (waiting.observed, waiting.seen) == (f"{STRAY}; {HOW}", True)
    assert waiting.evidence[0].text == STRAY
    assert waiting.at_deadline(10).word is Word.FAIL
    failed = judge(value, passed=False)
    assert isinstance(failed, Verdict) and failed.word is Word.FAIL


@pytest.mark.parametrize(
    "extra",
    [
        pod("old", "web:6", "rs-old", phase="Failed"),
        pod("old", "web:6", "rs-old", phase="Succeeded"),
        {
            **(gone := pod("old", "web:6", "rs-old")),
            "metadata": {**gone["metadata"], "deletionTimestamp": "x"},
        },
        pod("foreign", "web:6", "rs-x"),
        pod("orphan", "web:6", "someone"),
        {"metadata": {"name": "naked"}},
    ],
)
def test_pods_that_go_away_or_belong_to_others_do_not_count(extra):
    assert judge(observed(pod("a"), pod("b"), extra)) == Verdict(
        word=Word.PASS, observed=f"No difference; {HOW}"
    )


def test_an_injected_sidecar_is_no_stray_and_a_missing_container_is():
    sidecar = pod("b", "web:5", "rs-new", {"name": "proxy", "image": "mesh:1"})
    assert isinstance(judge(observed(pod("a"), sidecar)), Verdict)
    bare = pod("b")
    del bare["spec"]["initContainers"]
    waiting = judge(observed(pod("a"), bare))
    assert waiting.observed == f"Pod b of Deployment/web runs no container as init, not i:1; {HOW}"


def test_two_deployed_revisions_are_red_fault_17():
    head = Revision(revision=9, status="deployed", chart="web-1.0.0", deployed_at=NOW)
    assert judge(observed(pod("a"), pod("b"), head=head, deployed=(9,))).word is Word.PASS
    red = judge(observed(pod("a"), pod("b"), head=head, deployed=(8, 9)))
    assert red.word is Word.FAIL
    assert red.observed.startswith("helm calls revisions 8 and 9 deployed: another helm ended after ours")


def test_a_workload_without_its_pods_does_not_pass():
    web, config = live_objects()
    waiting = judge(Observed((Live(web), Live(config))))
    assert isinstance(waiting, Pending)
    assert waiting.observed == (
        "Deployment/web runs no pod, and wants 2; read-only comparison of 2 objects and 0 pods"
    )


def test_a_workload_at_zero_needs_none():
    target = parse_manifest(MANIFEST.replace("replicas: 2", "replicas: 0"), "n")
    check = replace(CHECK, target=target)
    verdict = judge(Observed(tuple(map(Live, target))), check=check)
    assert isinstance(verdict, Verdict) and verdict.word is Word.PASS


@pytest.mark.parametrize("error", [FORBIDDEN, Unauthorized("Who are you?")])
def test_what_may_not_be_read_is_unverified_fault_7(error):
    web, config = live_objects()
    for value in (
        observed(live=(Live(web), Live(error=error))),
        Observed((Live(web), Live(config)), error=error),
    ):
        verdict = judge(value)
        assert isinstance(verdict, Verdict)
        assert verdict.word is Word.UNVERIFIED
        assert str(error) in verdict.observed
        assert verdict.evidence


@pytest.mark.parametrize("error", [Unreachable("Down."), BadAnswer("Odd.", status=500)])
def test_what_was_not_read_now_may_be_read_next_and_else_is_unverified(error):
    waiting = judge(observed(error=error))
    assert isinstance(waiting, Pending) and not waiting.seen
    assert waiting.at_deadline(10).word is Word.UNVERIFIED
    waiting = judge(Sample(NOW, error=error))
    assert isinstance(waiting, Pending) and not waiting.seen
    assert str(error) in waiting.observed


def test_a_difference_counts_although_something_else_was_not_read():
    value = observed(error=FORBIDDEN)
    assert value.live[1].item is not None
    value.live[1].item["data"] = {}
    verdict = judge(value)
    assert isinstance(verdict, Verdict)
    assert verdict.word is Word.FAIL
    assert [proof.title for proof in verdict.evidence] == [
        "Target revision (-) and live (+)",
        "Pods were not read",
    ]


def test_nothing_is_judged_before_the_rollouts_settled_or_from_older_samples():
    waiting = judge(observed(), passed=None)
    assert isinstance(waiting, Pending) and not waiting.seen
    older = Sample(NOW - timedelta(seconds=1), observed())
    for samples in ((), (older,)):
        history = History(samples, since=NOW, judged_from=NOW, rollouts_passed=True)
        assert isinstance(CHECK.judge(history, NOW), Pending)


def test_an_empty_manifest_is_unverified():
    verdict = judge(Observed(()), check=replace(CHECK, target=()))
    assert verdict == Verdict(
        word=Word.UNVERIFIED,
        observed="The manifest of revision 5 holds no object: nothing to compare.",
    )


class FakeKube:
    def __init__(self, pods: object) -> None:
        self.pods = pods

    def resource_path(self, api_version, kind, namespace, name=""):
        return f"/{kind}/{namespace}/{name}"

    def get(self, path, query=None, timeout_s=5.0):
        return dict(zip(["/Deployment/n/web", "/ConfigMap/n/c"], live_objects(), strict=True))[path]

    def list(self, path, query=None, timeout_s=5.0):
        if path == "/apis/apps/v1/namespaces/n/replicasets":
            return (owned("new", "rs-new", "web"),)
        assert path == "/api/v1/namespaces/n/pods"
        if isinstance(self.pods, Exception):
            raise self.pods
        return self.pods


def test_observe_reads_objects_and_pods():
    check = replace(CHECK, kube=FakeKube((pod("a"), pod("b"))))
    assert judge(check.observe()) == Verdict(word=Word.PASS, observed=f"No difference; {HOW}")
    seen = replace(CHECK, kube=FakeKube(FORBIDDEN)).observe()
    assert (len(seen.live), seen.error) == (2, FORBIDDEN)
