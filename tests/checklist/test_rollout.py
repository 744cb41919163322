"""The rollout's judge: tables, recordings of a real kubelet, and properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.checklist.rollout.workload import choose_replicaset
from pytest_zkrollback.domain.checks import Change, History, PodDiagnostics, Sample, Snapshot
from pytest_zkrollback.domain.errors import Forbidden, Unreachable, ZkRollbackError
from pytest_zkrollback.domain.ports import Stage
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from support.workload_objects import (
    at,
    container,
    deployment,
    ended,
    environment,
    owner,
    pod,
    progressing,
    recorded,
    recorded_snapshot,
    replicaset,
    running,
    snapshot,
    stamp,
    template,
    waiting,
)

FORBIDDEN = Forbidden("not allowed to list pods", verb="list", resource="pods", namespace="default")


def _no_snapshot() -> Snapshot:
    raise AssertionError("the judge does not observe")


def _check(
    workload: str = "deployment/web", snapshot: Callable[[], Snapshot] = _no_snapshot, **changes: Any
) -> RolloutCheck:
    env = environment(workloads={"web": workload}, **changes)
    return RolloutCheck(env=env, item="web", workload=workload, snapshot=snapshot)


def _judge(
    *snapshots: Snapshot | ZkRollbackError,
    workload: str = "deployment/web",
    now_s: float = 30,
    **changes: Any,
) -> Judgement:
    samples = [
        Sample(at=at(3 + index), error=shot)
        if isinstance(shot, ZkRollbackError)
        else Sample(at=at(3 + index), value=shot)
        for index, shot in enumerate(snapshots)
    ]
    history = History(samples=tuple(samples), since=at(0), judged_from=at(3))
    return _check(workload, **changes).judge(history, at(now_s))


def _said(judgement: Judgement) -> tuple[str, str]:
    if isinstance(judgement, Pending):
        return ("pending" if judgement.seen else "unseen"), judgement.observed
    return judgement.word.value, judgement.observed


def _pair(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return pod("web-a", **changes), pod("web-b", **changes)


def _of(kind: str, name: str) -> dict[str, Any]:
    return {"metadata": {"ownerReferences": [{"kind": kind, "name": name, "uid": "u", "controller": True}]}}


def _named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


@pytest.mark.parametrize(
    ("workload", "resource", "item", "follows"),
    [
        ("deployment/web", "deployments", _named("web"), True),
        ("deployment/web", "deployments", _named("web-2"), False),
        ("deployment/web", "statefulsets", _named("other"), True),  # it is not known of what kind that speaks
        ("deployment/web", "replicasets", _of("Deployment", "web"), True),
        ("deployment/web", "replicasets", _of("Deployment", "web-2"), False),
        ("deployment/web", "pods", _of("ReplicaSet", "web-5d9c7"), True),
        ("deployment/web", "pods", _of("ReplicaSet", "web-2-5d9c7"), False),
        ("deployment/web-2", "pods", _of("ReplicaSet", "web-2-5d9c7"), True),
        ("deployment/web", "pods", _of("StatefulSet", "db"), False),
        ("deployment/web", "pods", _named("nobodys"), False),
        ("statefulset/db", "pods", _of("StatefulSet", "db"), True),
        ("statefulset/db", "pods", _of("StatefulSet", "db-2"), False),
        ("statefulset/db", "pods", _of("ReplicaSet", "db-5d9c7"), False),
        ("daemonset/agent", "pods", _of("DaemonSet", "agent"), True),
    ],
)
def test_a_rollout_follows_its_own_objects_and_nobody_elses(workload, resource, item, follows):
    assert _check(workload).follows(Change(resource, item)) is follows


CRASH_LOOP = container(waiting("CrashLoopBackOff"), restarts=4, last=ended(1, "Error", 20, 21))


def test_describes_itself() -> None:
    check = _check(kubeconfig="k.yaml", namespace="shop")
    assert (check.id, check.stage, check.deadline_s) == ("rollout-web", Stage.IMMEDIATE, 120)
    assert check.title == "kubectl rollout status deployment/web --timeout=120s"
    assert check.command == (
        "kubectl rollout status deployment/web --timeout=120s -n shop --context test --kubeconfig k.yaml"
    )
    assert check.expected == (
        "every replica of deployment/web's current revision is updated and available, and none crash-loops,"
        " within 120 s"
    )


def test_done_is_pass() -> None:
    assert _said(_judge(snapshot(*_pair()))) == (
        "PASS",
        "2 of 2 pods ready, running app:5",
    )


def test_evidence_is_the_state_and_a_table_of_the_pods() -> None:
    old = pod("web-old", CRASH_LOOP, owned_by="rs-6", image="app:6", deleted=True)
    other = replicaset("rs-6", image="app:6", revision=6)
    stale = deployment(conditions=[progressing("NewReplicaSetAvailable", 9, "True")])
    verdict = _judge(snapshot(*_pair(), old, deployments=[stale], replicasets=[replicaset(), other]))
    state, pods = verdict.evidence
    assert (state.title, state.text) == (
        "State of deployment/web",
        'deployment "web" successfully rolled out\n'
        "generation 7, observed 7\n"
        "availableReplicas 2, replicas 2, updatedReplicas 2\n"
        "Progressing=True NewReplicaSetAvailable (updated 2026-11-23T12:00:09Z): as the controller says",
    )
    assert (pods.title, pods.text) == (
        "Pods of deployment/web",
        "POD      REVISION  READY  RESTARTS  STATE             IMAGE\n"
        "web-a    current   yes    0         Running           app:5\n"
        "web-b    current   yes    0         Running           app:5\n"
        "web-old  ending    no     4         CrashLoopBackOff  app:6",
    )


def test_a_table_of_many_pods_is_cut() -> None:
    many = [pod(f"web-{number:03}") for number in range(100)]
    verdict = _judge(snapshot(*many, deployments=[deployment(100)]))
    assert verdict.evidence[1].text.splitlines()[-1] == "... and 40 more"
    assert len(verdict.evidence[1].text.splitlines()) == 62


@pytest.mark.parametrize(
    ("item", "pods", "expected"),
    [
        pytest.param(
            deployment(observed=6),
            _pair(),
            ("pending", "Waiting for deployment spec update to be observed"),
            id="spec_not_observed",
        ),
        pytest.param(
            deployment(observed=6),
            [pod("web-a", CRASH_LOOP)],
            ("pending", "Waiting for deployment spec update to be observed"),
            id="fault_36_nothing_is_red_before_the_spec_is_observed",
        ),
        pytest.param(
            deployment(updated=1),
            [pod("web-a")],
            (
                "pending",
                "1 of 2 new pods ready",
            ),
            id="updating",
        ),
        pytest.param(
            deployment(available=1),
            [pod("web-a"), pod("web-b", container(waiting("ContainerCreating")))],
            (
                "pending",
                "1 of 2 new pods ready; container app of 1 of 2 pods is being created",
            ),
            id="starting",
        ),
        pytest.param(
            deployment(available=0),
            [pod("web-a", CRASH_LOOP), pod("web-b", CRASH_LOOP)],
            ("FAIL", "container app of 2 of 2 pods crash-loops: exit code 1, 4 restarts"),
            id="fault_35",
        ),
        pytest.param(
            deployment(),
            [pod("web-a"), pod("web-b", CRASH_LOOP)],
            ("FAIL", "container app of 1 of 2 pods crash-loops: exit code 1, 4 restarts"),
            id="done_for_kubectl_but_crash_looping",
        ),
        pytest.param(
            deployment(),
            [pod("web-a"), pod("web-b", container(ended(1, "Error", 28, 29)))],
            (
                "pending",
                "kubectl would call it done, but 1 of 2 pods of this revision are ready;"
                " container app of 1 of 2 pods has crashed: exit code 1, 0 restarts",
            ),
            id="done_for_kubectl_but_just_crashed",
        ),
        pytest.param(
            deployment(),
            [pod("web-a"), pod("web-b", container(running(28), restarts=1, last=ended()))],
            (
                "PASS",
                "2 of 2 pods ready, running app:5; container app of web-b was restarted at 12:00:02 UTC after"
                " 1 s, exit code 1",
            ),
            id="one_restart_that_recovered",
        ),
        pytest.param(
            deployment(),
            [pod("web-a")],
            (
                "unseen",
                "kubectl would call it done, but 1 of 2 pods of this revision are ready",
            ),
            id="done_for_kubectl_but_a_pod_was_not_seen",
        ),
        pytest.param(
            deployment(paused=True),
            _pair(),
            (
                "UNVERIFIED",
                "deployment/web: is paused, so nothing rolls out; go on with: kubectl rollout resume"
                " deployment/web",
            ),
            id="fault_41_paused",
        ),
        pytest.param(
            deployment(0),
            [],
            (
                "UNVERIFIED",
                "deployment/web: stands at 0 replicas, which the configuration does not expect, so there is"
                " nothing that could be verified; name it in zero_replicas if that is meant",
            ),
            id="fault_41_zero",
        ),
        pytest.param(
            deployment(5, updated=5, total=5, available=3),
            [pod(f"web-{name}") for name in "abc"],
            (
                "pending",
                "3 of 5 new pods ready",
            ),
            id="fault_43_the_autoscaler_wants_more",
        ),
        pytest.param(
            {**deployment(), "metadata": {**deployment()["metadata"], "deletionTimestamp": stamp(5)}},
            _pair(),
            ("FAIL", "deployment/web: is being deleted"),
            id="fault_42_being_deleted",
        ),
    ],
)
def test_one_snapshot(item: dict[str, Any], pods: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    assert _said(_judge(snapshot(*pods, deployments=[item]))) == expected


def test_fault_41_zero_replicas_where_they_are_meant() -> None:
    empty = snapshot(deployments=[deployment(0)])
    assert _said(_judge(empty, zero_replicas=("deployment/web",))) == (
        "PASS",
        "deployment/web: stands at zero replicas, as configured",
    )


def _crashed(lasted_s: float, runs_s: float, restarts: int = 1, **changes: Any) -> Judgement:
    """Judge two pods at 100 s, one of which runs for ``runs_s`` again after a run of ``lasted_s``."""
    began = 100 - runs_s - lasted_s
    last = ended(7, "Error", began, began + lasted_s)
    status = container(running(100 - runs_s), restarts=restarts, last=last, ready=True)
    pods = [pod("web-a"), pod("web-b", status)]
    return _judge(snapshot(*pods, deployments=[deployment()]), now_s=100, **changes)


def test_case_k2_which_run_is_short_says_soak_max_s() -> None:
    assert _said(_crashed(25, 12, soak_max_s=20))[0] == "PASS"
    young = _crashed(65, 12, soak_max_s=90)
    assert isinstance(young, Pending)
    assert young.observed.endswith("it may come again; watch on with --rollback-soak=120")
    assert young.watch_until == at(100 - 12 + 65 + 1)


def _probed(delay_s: int, now_s: float, provisional_s: float | None = None) -> CheckResult:
    pods = _pair()
    for each in pods:
        each["spec"]["containers"][0]["livenessProbe"] = {"initialDelaySeconds": delay_s, "timeoutSeconds": 3}
    sample = Sample(at=at(now_s - 1), value=snapshot(*pods, deployments=[deployment()]))
    began = None if provisional_s is None else at(provisional_s)
    history = History((sample,), since=at(0), judged_from=at(2), provisional_at=began)
    judged = _check().judge(history, at(now_s))
    assert isinstance(judged, CheckResult) and judged.word is Verdict.PASS
    return judged


def test_case_k1_a_pass_is_watched_until_every_liveness_probe_has_run_once() -> None:
    assert _probed(30, 5).watch_until == at(1 + 30 + 3 + 2)
    assert _probed(30, 37).watch_until is None
    assert _probed(0, 5).watch_until is None
    assert _probed(30, 5).limits == ()


def test_case_k1_which_probe_has_not_run_when_the_soak_ends_is_said() -> None:
    [limit] = _probed(300, 65, provisional_s=5).limits
    assert limit.endswith(" first runs 300 s after its start: watch on with --rollback-soak=301")


def test_case_k2_a_short_run_that_crashed_has_to_be_outlasted() -> None:
    young = _crashed(25, 12)
    assert isinstance(young, Pending)
    assert (young.observed, young.seen) == (
        "container app of web-b was restarted at 12:01:28 UTC after 25 s, exit code 7, and has run for 12 s since:"
        " it may come again; watch on with --rollback-soak=90",
        False,
    )
    assert _said(_crashed(25, 26)) == (
        "PASS",
        "2 of 2 pods ready, running app:5; container app of web-b was restarted at 12:01:14 UTC after 25 s, exit"
        " code 7",
    )


def test_case_k2_a_long_run_that_crashed_is_a_remark_and_one_from_before_the_deploy_is_nothing() -> None:
    assert _said(_crashed(61, 20))[0] == "PASS"
    assert _said(_crashed(25, 101)) == ("PASS", "2 of 2 pods ready, running app:5")


def test_case_k5_what_came_up_before_we_looked_has_to_stay_up_and_is_not_red_for_its_past() -> None:
    young = _crashed(2, 5, restarts=3)
    assert isinstance(young, Pending)
    assert "has come up again, but not for long yet: exit code 7, 3 restarts" in young.observed
    assert _said(_crashed(2, 31, restarts=3))[0] == "PASS"


def _evicted(
    name: str, ended_s: float, phase: str = "Succeeded", reason: str | None = None
) -> dict[str, Any]:
    made = pod(name, container(ended(0, "Completed", ended_s - 9, ended_s)), phase=phase)
    made["status"]["reason"] = reason
    return made


@pytest.mark.parametrize(
    ("phase", "reason"), [("Succeeded", None), ("Failed", "Evicted"), ("Failed", "Preempting")]
)
def test_case_k3_pods_that_are_evicted_again_and_again_are_red(phase: str, reason: str | None) -> None:
    pods = [pod("web-a"), pod("web-b"), *(_evicted(f"web-{n}", 10 * n, phase, reason) for n in (1, 2))]
    shot = snapshot(*pods, deployments=[deployment()])
    word, said = _said(_judge(shot, now_s=30))
    assert (word, said) == ("FAIL", "pods are evicted again and again: 2 since 12:00:00 UTC")
    once = snapshot(*pods[:3], deployments=[deployment()])
    assert _said(_judge(once, now_s=30))[0] == "PASS"
    assert _said(_judge(shot, now_s=700))[0] == "PASS", "it is over since ten minutes"


PANIC = "panic: no database\n\ngoroutine 18 [running]:\nmain.main.func1()\n\tmain.go:38 +0x2a5\n"
BACK_OFF = waiting("CrashLoopBackOff")


def _crashing(state: dict[str, Any], restarts: int, last: dict[str, Any] | None, **more: Any) -> Judgement:
    """Both pods of a rollout that is not done, and what they said."""
    down = container(state, restarts=restarts, last=last, ready=False)
    pods = pod("web-a", down, **more), pod("web-b", down, **more)
    notes = {f"uid-web-{name}": PodDiagnostics(log=PANIC) for name in "ab"}
    return _judge(replace(snapshot(*pods, deployments=[deployment(available=0)]), notes=notes), now_s=3)


def test_case_k7_two_failed_starts_are_said_to_be_failing_before_it_is_certain() -> None:
    found = _crashing(BACK_OFF, 1, ended(2, "Error", 1, 2))
    assert _said(found) == (
        "pending",
        "failing: crashed twice at start: panic: no database; 0 of 2 new pods ready; container app of 2 of 2 pods"
        " has crashed: exit code 2, 1 restart",
    )
    assert isinstance(found, Pending)
    assert found.failing


@pytest.mark.parametrize(
    ("state", "restarts", "last", "created_s"),
    [
        pytest.param(ended(2, "Error", 1, 2), 0, None, 1, id="crashed once"),
        pytest.param(BACK_OFF, 1, ended(2, "Error", -20, 2), 1, id="ran for 22 s"),
        pytest.param(running(3), 1, ended(2, "Error", 1, 2), 1, id="runs again"),
        pytest.param(BACK_OFF, 1, ended(2, "Error", 1, 2), -60, id="a pod from before the rollback"),
    ],
)
def test_case_k7_what_is_not_said_to_be_failing(
    state: dict[str, Any], restarts: int, last: dict[str, Any] | None, created_s: float
) -> None:
    found = _crashing(state, restarts, last, created_s=created_s)
    assert isinstance(found, Pending)
    assert not found.failing


def test_case_k5_what_is_complete_at_the_end_of_a_run_in_which_it_failed() -> None:
    up = snapshot(*_pair(), deployments=[deployment()])
    assert _check(snapshot=lambda: up).fetch_readiness() == "2 of 2 pods ready"


@pytest.mark.parametrize(
    "shot",
    [
        pytest.param(snapshot(pod("web-a"), deployments=[deployment()]), id="a pod is missing"),
        pytest.param(snapshot(*_pair(), deployments=[deployment(available=1)]), id="not available yet"),
        pytest.param(snapshot(deployments=[deployment(0)]), id="nothing is wanted"),
        pytest.param(snapshot(deployments=[]), id="it is gone"),
    ],
)
def test_case_k5_what_is_not_complete_at_the_end(shot: Snapshot) -> None:
    assert _check(snapshot=lambda: shot).fetch_readiness() == ""


def test_case_c9_zero_replicas_that_the_target_itself_states() -> None:
    shot = snapshot(deployments=[deployment(0)])
    sample = Sample(at=at(3), value=shot)
    history = History(samples=(sample,), since=at(0), judged_from=at(3))
    found = replace(_check(), stated_zero=True).judge(history, at(30))
    assert _said(found) == ("PASS", "deployment/web: stands at zero replicas, as the target states")


def test_missing_is_red() -> None:
    assert _said(_judge(snapshot(deployments=[]))) == (
        "FAIL",
        "deployment/web does not exist (namespace default)",
    )


def test_fault_42_deleted_or_created_anew() -> None:
    before = snapshot(*_pair())
    assert _said(_judge(before, snapshot(deployments=[]))) == (
        "FAIL",
        "deployment/web was deleted during the verification (namespace default)",
    )
    anew = deployment()
    anew["metadata"]["uid"] = "d-2"
    assert _said(_judge(before, snapshot(*_pair(), deployments=[anew]))) == (
        "FAIL",
        "deployment/web was deleted and created anew during the verification (UID d-1, now d-2)",
    )


def test_fault_42_what_helm_itself_recreated_is_no_fault() -> None:
    before = deployment()
    before["metadata"]["uid"] = "d-0"
    early = Sample(at=at(1), value=snapshot(deployments=[before]))
    late = Sample(at=at(4), value=snapshot(*_pair()))
    history = History(samples=(early, late), since=at(0), judged_from=at(3))
    assert _said(_check().judge(history, at(5)))[0] == "PASS"


@pytest.mark.parametrize(
    ("updated_s", "deadline_s", "available", "expected"),
    [
        pytest.param(-5, 600, 0, "pending", id="stale"),
        pytest.param(4, 600, 0, "pending", id="its_clock_began_before_the_rollback"),
        pytest.param(-5, 600, 2, "PASS", id="stale_but_done"),
        pytest.param(16, 15, 0, "FAIL", id="fresh"),
    ],
)
def test_fault_34_progress_deadline(updated_s: float, deadline_s: int, available: int, expected: str) -> None:
    item = deployment(
        available=available,
        conditions=[progressing("ProgressDeadlineExceeded", updated_s)],
        progressDeadlineSeconds=deadline_s,
    )
    word, text = _said(_judge(snapshot(*_pair(), deployments=[item])))
    assert word == expected
    if word == "FAIL":
        assert text == "deployment/web: exceeded its progress deadline of 15 s at 12:00:16 UTC"


def test_fault_7_forbidden_is_unverified_at_once() -> None:
    assert _said(_judge(FORBIDDEN)) == (
        "UNVERIFIED",
        "deployment/web could not be read: not allowed to list pods",
    )


def test_unreadable_is_not_seen() -> None:
    lost = Unreachable("no answer from the API server")
    said = ("unseen", "deployment/web could not be read: no answer from the API server")
    assert _said(_judge(lost)) == said
    assert _said(_judge(snapshot(*_pair()), lost)) == said
    assert _said(_judge()) == ("unseen", "deployment/web could not be read")


def test_samples_from_before_judging_decide_nothing() -> None:
    early = Sample(at=at(1), value=snapshot(*_pair()))
    assert _said(_check().judge(History(samples=(early,), since=at(0), judged_from=at(3)), at(4))) == (
        "unseen",
        "deployment/web could not be read",
    )


@pytest.mark.parametrize("lacking", ["deployments", "replicasets", "pods"])
def test_observing_raises_what_is_lacking(lacking: str) -> None:
    whole = snapshot(*_pair())
    partial = replace(
        whole,
        objects={key: items for key, items in whole.objects.items() if key != lacking},
        errors={lacking: FORBIDDEN},
    )
    with pytest.raises(Forbidden, match="not allowed to list pods"):
        _check(snapshot=lambda: partial).observe()


def test_fault_7_another_kinds_resource_is_not_needed() -> None:
    whole = snapshot(*_pair())
    partial = replace(
        whole,
        objects={key: items for key, items in whole.objects.items() if key != "daemonsets"},
        errors={"daemonsets": FORBIDDEN},
    )
    assert _check(snapshot=lambda: partial).observe() is partial


def test_the_cause_of_a_back_off_is_remembered() -> None:
    message = 'failed to pull image "app:5": manifest unknown'
    item = deployment(1, available=0)
    failed = pod("web-a", container(waiting("ErrImagePull", message)))
    back_off = pod("web-a", container(waiting("ImagePullBackOff", 'Back-off pulling image "app:5"')))
    early = Sample(at=at(1), value=snapshot(failed, deployments=[item]))
    late = Sample(at=at(4), value=snapshot(back_off, deployments=[item]))
    history = History(samples=(early, late), since=at(0), judged_from=at(3))
    assert _said(_check().judge(history, at(5))) == (
        "FAIL",
        f"container app of 1 of 1 pod has an image that does not exist: {message}",
    )


# --- the ReplicaSet of the current revision -----------------------------------------------------------


def test_the_current_replicaset_has_the_deployments_template() -> None:
    ours, theirs = replicaset("rs-5", revision=5), replicaset("rs-6", image="app:6", revision=7)
    # While replicas and template change at once, the annotation still names the revision before.
    assert choose_replicaset(deployment(revision=7), [theirs, ours], done=False) is ours
    assert choose_replicaset(deployment(revision=7), [theirs], done=False) is None


def test_of_two_equal_replicasets_the_oldest_is_current() -> None:
    older, newer = replicaset("rs-b", created_s=-20), replicaset("rs-a", created_s=-10)
    assert choose_replicaset(deployment(), [newer, older], done=True) is older


def test_the_annotation_serves_where_the_rollout_is_done() -> None:
    only = replicaset("rs-5", image="app:05", revision=7)
    assert choose_replicaset(deployment(revision=7), [only], done=True) is only
    assert choose_replicaset(deployment(revision=8), [only], done=True) is None


# --- StatefulSet and DaemonSet ------------------------------------------------------------------------


def _statefulset(ready: int, updated: int, **changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "db", "uid": "s-1", "generation": 2},
        "spec": {
            "replicas": 2,
            "template": template(),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        }
        | changes,
        "status": {
            "observedGeneration": 2,
            "replicas": 2,
            "readyReplicas": ready,
            "updatedReplicas": updated,
            "currentRevision": "db-1",
            "updateRevision": "db-2",
        },
    }


NO_IMAGE = container(waiting("ErrImagePull", "failed to resolve image: app:9: not found"))


def _partitioned(partition: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


def _member(name: str, revision: str, *containers: dict[str, Any]) -> dict[str, Any]:
    return pod(name, *containers, owned_by="s-1", labels={"controller-revision-hash": revision})


@pytest.mark.parametrize(
    ("item", "pods", "expected"),
    [
        pytest.param(
            _statefulset(2, 2),
            [_member("db-0", "db-2"), _member("db-1", "db-2")],
            ("PASS", "2 of 2 pods ready, running app:5"),
            id="done",
        ),
        pytest.param(
            _statefulset(1, 1),
            [_member("db-0", "db-1"), _member("db-1", "db-2", CRASH_LOOP)],
            (
                "FAIL",
                "0 of 2 new pods ready; container app of 1 of 1 pod crash-loops: exit code 1, 4 restarts",
            ),
            id="fault_35",
        ),
        pytest.param(
            _statefulset(1, 0),
            [_member("db-0", "db-1"), _member("db-1", "db-1", CRASH_LOOP)],
            (
                "pending",
                "0 of 2 new pods ready; 1 pod of an older revision is not ready, and"
                " a StatefulSet waits for it for ever; delete it to go on: kubectl delete pod db-1",
            ),
            id="fault_36",
        ),
        pytest.param(
            _statefulset(2, 2, updateStrategy={"type": "OnDelete"}),
            [_member("db-0", "db-2"), _member("db-1", "db-2")],
            ("PASS", "2 of 2 pods ready, running app:5"),
            id="case_c2_on_delete_all_new",
        ),
        pytest.param(
            _statefulset(2, 1, updateStrategy={"type": "OnDelete"}),
            [_member("db-0", "db-2"), _member("db-1", "db-1")],
            (
                "FAIL",
                "statefulset/db: 1 of 2 new pods ready; 1 pod of another revision stays: the strategy OnDelete"
                " replaces a pod only when it is deleted; delete it to go on: kubectl delete pod db-1",
            ),
            id="case_c2_on_delete_one_old",
        ),
        pytest.param(
            _statefulset(1, 1, updateStrategy={"type": "OnDelete"}),
            [_member("db-0", "db-2"), pod("db-1", owned_by="s-1", deleted=True)],
            (
                "pending",
                "1 of 2 new pods ready; its strategy OnDelete replaces a pod only when it is deleted",
            ),
            id="case_c2_on_delete_being_replaced",
        ),
        pytest.param(
            _statefulset(1, 0),
            [_member("db-0", "db-1"), _member("db-1", "db-1", NO_IMAGE)],
            (
                "FAIL",
                "statefulset/db: 0 of 2 new pods ready; 1 pod of an older revision is not ready, and"
                " a StatefulSet waits for it for ever; delete it to go on: kubectl delete pod db-1",
            ),
            id="case_k8_an_image_that_never_comes",
        ),
        pytest.param(
            _statefulset(1, 1, updateStrategy=_partitioned(1)),
            [_member("db-0", "db-1", NO_IMAGE), _member("db-1", "db-2")],
            ("pending", "1 of 1 new pods ready; Waiting for 1 pods to be ready"),
            id="case_k8_nothing_is_deleted_below_the_partition",
        ),
        pytest.param(
            _statefulset(2, 1, updateStrategy=_partitioned(1)),
            [_member("db-0", "db-1"), _member("db-1", "db-2")],
            ("PASS", "1 of 1 pods ready, running app:5; partition 1 keeps db-0 at another revision"),
            id="case_a1_partition",
        ),
        pytest.param(
            _statefulset(2, 0, updateStrategy=_partitioned(2)),
            [_member("db-0", "db-1"), _member("db-1", "db-1")],
            ("PASS", "statefulset/db: partition 2 keeps db-0, db-1 at another revision"),
            id="case_a1_partition_of_all",
        ),
    ],
)
def test_statefulset(item: dict[str, Any], pods: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    shot = snapshot(*pods, statefulsets=[item])
    assert _said(_judge(shot, workload="statefulset/db")) == expected


def test_what_mends_it_is_a_command_as_it_can_be_typed() -> None:
    stuck = snapshot(
        _member("db-0", "db-1"), _member("db-1", "db-1", CRASH_LOOP), statefulsets=[_statefulset(1, 0)]
    )
    pending = _judge(stuck, workload="statefulset/db")
    assert isinstance(pending, Pending)
    cure = "kubectl delete pod db-1 -n default --context test"
    assert (pending.cures, pending.at_deadline(120).cures) == ((cure,), (cure,))
    waits = _judge(
        snapshot(_member("db-0", "db-1"), _member("db-1", "db-1"), statefulsets=[_statefulset(1, 0)]),
        workload="statefulset/db",
    )
    assert waits.cures == ()
    paused = _judge(snapshot(deployments=[deployment(paused=True)]))
    assert paused.cures == ("kubectl rollout resume deployment/web -n default --context test",)


def _daemonset(desired: int, updated: int, available: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "agent",
            "uid": "ds-1",
            "generation": 3,
            "annotations": {"deprecated.daemonset.template.generation": "3"},
        },
        "spec": {"template": template(), "updateStrategy": {"type": "RollingUpdate"}},
        "status": {
            "observedGeneration": 3,
            "desiredNumberScheduled": desired,
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
        },
    }


def _agent(name: str, generation: str, *containers: dict[str, Any]) -> dict[str, Any]:
    return pod(name, *containers, owned_by="ds-1", labels={"pod-template-generation": generation})


@pytest.mark.parametrize(
    ("item", "pods", "expected"),
    [
        pytest.param(
            _daemonset(2, 2, 2),
            # A pod whose template is equal to the current one is not restarted: its generation is older.
            [_agent("agent-a", "3"), _agent("agent-b", "1")],
            ("PASS", "2 of 2 pods ready, running app:5"),
            id="done",
        ),
        pytest.param(
            _daemonset(2, 1, 1),
            [_agent("agent-a", "2"), _agent("agent-b", "3", CRASH_LOOP)],
            (
                "FAIL",
                "0 of 2 new pods ready; container app of 1 of 1 pod crash-loops: exit code 1, 4 restarts",
            ),
            id="fault_35",
        ),
        pytest.param(
            _daemonset(2, 0, 1),
            [_agent("agent-a", "2"), _agent("agent-b", "2", CRASH_LOOP)],
            (
                "pending",
                "0 of 2 new pods ready",
            ),
            id="fault_36",
        ),
        pytest.param(
            _daemonset(0, 0, 0),
            [],
            (
                "UNVERIFIED",
                "daemonset/agent: no node wants a pod of it, so there is nothing that could be verified; name it"
                " in zero_replicas if that is meant",
            ),
            id="case_c9",
        ),
    ],
)
def test_daemonset(item: dict[str, Any], pods: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    shot = snapshot(*pods, daemonsets=[item])
    assert _said(_judge(shot, workload="daemonset/agent")) == expected


# --- recordings of a real kubelet ---------------------------------------------------------------------

NOT_FOUND = (
    'rpc error: code = NotFound desc = failed to pull and unpack image "127.0.0.1:28500/app:9.9": failed to'
    " resolve image: 127.0.0.1:28500/app:9.9: not found"
)
PASS = ("PASS", "1 of 1 pods ready, running drill.local/app:1.0")
NOT_AVAILABLE = "0 of 1 new pods ready"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _began(case: str, moment: dict[str, Any], name: str) -> datetime:
    """When the change that led to the moment began: the newest ReplicaSet was made, or the rollback's."""
    if name == "9-after-rollback":
        conditions = moment["deployments"][0]["status"]["conditions"]
        return max(_time(entry["lastUpdateTime"]) for entry in conditions) - timedelta(seconds=1)
    return max(_time(rs["metadata"]["creationTimestamp"]) for rs in moment["replicasets"])


@pytest.mark.parametrize(
    ("case", "moment", "after_s", "expected"),
    [
        ("crashloop-exit3", "0-before", 3, PASS),
        (
            "crashloop-exit3",
            "1-Error",
            2.7,
            ("pending", NOT_AVAILABLE + "; container web of 1 of 1 pod runs but is not ready"),
        ),
        (
            "crashloop-exit3",
            "2-CrashLoopBackOff",
            4.8,
            (
                "pending",
                "failing: crashed twice at start; 0 of 1 new pods ready; container web of 1 of 1 pod has crashed:"
                " exit code 3, 1 restart",
            ),
        ),
        (
            "crashloop-exit3",
            "3-restarts2",
            16.1,
            ("FAIL", "container web of 1 of 1 pod crash-loops: exit code 3, 2 restarts"),
        ),
        (
            "crashloop-exit3",
            "8-after-upgrade",
            18,
            ("FAIL", "container web of 1 of 1 pod crash-loops: exit code 3, 2 restarts"),
        ),
        ("crashloop-exit3", "9-after-rollback", 3, PASS),
        ("createcontainerconfigerror", "0-before", 1, PASS),
        (
            "createcontainerconfigerror",
            "1-CreateContainerConfigError",
            2.2,
            (
                "pending",
                '0 of 1 new pods ready; container web of 1 of 1 pod cannot be configured: configmap "missing" not'
                " found",
            ),
        ),
        (
            "createcontainerconfigerror",
            "1-CreateContainerConfigError",
            15.2,
            (
                "FAIL",
                'container web of 1 of 1 pod cannot be configured: configmap "missing" not found',
            ),
        ),
        ("createcontainerconfigerror", "9-after-rollback", 2, PASS),
        (
            "errimagepull-notfound",
            "1-ErrImagePull",
            2.3,
            (
                "FAIL",
                f"container web of 1 of 1 pod has an image that does not exist: {NOT_FOUND}",
            ),
        ),
        (
            "errimagepull-notfound",
            "2-ImagePullBackOff",
            15.3,
            (
                "FAIL",
                "container web of 1 of 1 pod has an image that does not exist: Back-off"
                f' pulling image "127.0.0.1:28500/app:9.9": ErrImagePull: {NOT_FOUND}',
            ),
        ),
        ("errimagepull-notfound", "9-after-rollback", 1, PASS),
        (
            "failedmount-secret",
            "1-NotReady10",
            10.6,
            ("pending", NOT_AVAILABLE + "; container web of 1 of 1 pod is being created"),
        ),
        (
            "failedmount-secret",
            "8-after-upgrade",
            17,
            (
                "FAIL",
                "deployment/web: exceeded its progress deadline of 15 s at 00:45:38 UTC; container web of 1"
                " of 1 pod is being created",
            ),
        ),
        ("failedmount-secret", "9-after-rollback", 2, PASS),
        (
            "oomkilled",
            "1-OOMKilled",
            2.1,
            ("pending", NOT_AVAILABLE + "; container web of 1 of 1 pod runs but is not ready"),
        ),
        (
            "oomkilled",
            "2-CrashLoopBackOff",
            3.9,
            (
                "pending",
                "failing: crashed twice at start; 0 of 1 new pods ready; container web of 1 of 1 pod has crashed:"
                " exit code 137 (OOMKilled), 1 restart",
            ),
        ),
        (
            "oomkilled",
            "8-after-upgrade",
            17,
            (
                "FAIL",
                "container web of 1 of 1 pod crash-loops: exit code 137 (OOMKilled), 2 restarts",
            ),
        ),
        ("oomkilled", "9-after-rollback", 2, PASS),
        (
            "readiness-503",
            "1-NotReady10",
            10.1,
            ("pending", NOT_AVAILABLE + "; container web of 1 of 1 pod runs but is not ready"),
        ),
        (
            "readiness-503",
            "8-after-upgrade",
            17,
            (
                "FAIL",
                "deployment/web: exceeded its progress deadline of 15 s at 00:45:10 UTC; container web of 1"
                " of 1 pod runs but is not ready",
            ),
        ),
        ("readiness-503", "9-after-rollback", 2, PASS),
        (
            "rollout-ok",
            "1-Ready",
            2.3,
            ("PASS", "1 of 1 pods ready, running drill.local/app:2.0"),
        ),
        (
            "rollout-ok",
            "8-after-upgrade",
            5,
            ("PASS", "1 of 1 pods ready, running drill.local/app:2.0"),
        ),
        ("rollout-ok", "9-after-rollback", 2, PASS),
        (
            "unschedulable",
            "1-Unschedulable",
            0.7,
            (
                "pending",
                NOT_AVAILABLE + "; 1 of 1 pod cannot be scheduled: 0/3 nodes are available: 1 node(s) didn't"
                " have free ports for the requested pod ports, 2 Insufficient memory. preemption: 0/3 nodes"
                " are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful"
                " for scheduling.",
            ),
        ),
        (
            "unschedulable",
            "8-after-upgrade",
            16,
            (
                "FAIL",
                "1 of 1 pod cannot be scheduled: 0/3 nodes are available: 1 node(s) didn't"
                " have free ports for the requested pod ports, 2 Insufficient memory. preemption: 0/3 nodes"
                " are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful"
                " for scheduling.",
            ),
        ),
        ("unschedulable", "9-after-rollback", 2, PASS),
    ],
)
def test_recorded_moment(case: str, moment: str, after_s: float, expected: tuple[str, str]) -> None:
    content = recorded(case)[moment]
    since = _began(case, content, moment)
    now = since + timedelta(seconds=after_s)
    sample = Sample(at=now, value=recorded_snapshot(content, now))
    history = History(samples=(sample,), since=since, judged_from=since)
    assert _said(_check().judge(history, now)) == expected


@pytest.mark.parametrize(
    ("case", "paces", "expected"),
    [
        (
            "crashloop-exit3",
            {"1-Error": 2.7, "2-CrashLoopBackOff": 4.8, "3-restarts2": 16.1, "8-after-upgrade": 18},
            ("FAIL", 16.1),
        ),
        # Case K4: what it reads may come up to 15 s later.
        (
            "createcontainerconfigerror",
            {"1-CreateContainerConfigError": 2.2, "8-after-upgrade": 17},
            ("FAIL", 15.2),
        ),
        ("errimagepull-notfound", {"1-ErrImagePull": 2.3, "2-ImagePullBackOff": 15.3}, ("FAIL", 2.3)),
        ("failedmount-secret", {"1-NotReady10": 10.6, "8-after-upgrade": 17}, ("FAIL", 17)),
        ("oomkilled", {"1-OOMKilled": 2.1, "2-CrashLoopBackOff": 3.9, "8-after-upgrade": 17}, ("FAIL", 17)),
        ("readiness-503", {"1-NotReady10": 10.1, "8-after-upgrade": 17}, ("FAIL", 17)),
        ("rollout-ok", {"1-Ready": 2.3, "8-after-upgrade": 5}, ("PASS", 5)),
        # Unschedulable for 15 s is red by the passing of time alone, before the next moment.
        ("unschedulable", {"1-Unschedulable": 0.7, "8-after-upgrade": 17}, ("FAIL", 15.2)),
    ],
)
def test_recordings_at_their_own_pace(
    case: str, paces: dict[str, float], expected: tuple[str, float]
) -> None:
    """Judged every 0.5 s and at every change, as the schedule would; the first red or the last judgement."""
    moments = recorded(case)
    since = _began(case, moments[next(iter(paces))], "")
    begins = [*paces.values()]
    ends = [*begins[1:], begins[-1]]
    samples: list[Sample] = []
    word, second = "", 0.0
    for (name, begin), end in zip(paces.items(), ends, strict=True):
        second = begin
        while word != "FAIL" and (second < end or second == begin):
            now = since + timedelta(seconds=second)
            samples.append(Sample(at=now, value=recorded_snapshot(moments[name], now)))
            history = History(samples=tuple(samples), since=since, judged_from=since)
            word, _ = _said(_check().judge(history, now))
            if word != "FAIL":
                second += 0.5
        if word == "FAIL":
            break
    else:
        second = begins[-1]
    assert (word, round(second, 1)) == expected


@pytest.mark.parametrize(("case", "exit_text"), [("crashloop-exit3", "3"), ("oomkilled", "137 (OOMKilled)")])
def test_fault_35_recorded_watch_turns_red_at_the_second_restart_and_not_before(
    case: str, exit_text: str
) -> None:
    content = recorded(case)
    moment = content["2-CrashLoopBackOff"]
    since = _began(case, moment, "2-CrashLoopBackOff")
    pods: dict[str, dict[str, Any]] = {}
    samples: list[Sample] = []
    said: list[tuple[int, str, str]] = []
    for step, event in enumerate(content["watch-pods"]):
        item = event["object"]
        pods[item["metadata"]["name"]] = item
        when = since + timedelta(seconds=step)
        samples.append(Sample(at=when, value=recorded_snapshot({**moment, "pods": pods.values()}, when)))
        history = History(samples=tuple(samples), since=since, judged_from=since)
        statuses = item["status"].get("containerStatuses") or [{}]
        word, text = _said(_check().judge(history, when))
        said.append((statuses[0].get("restartCount", 0), word, text))
        if word != "pending":
            break
    assert {(restarts, word) for restarts, word, _ in said[:-1]} == {(0, "pending"), (1, "pending")}
    assert said[-1] == (
        2,
        "FAIL",
        f"container web of 1 of 1 pod crash-loops: exit code {exit_text}, 2 restarts",
    )


# --- properties ---------------------------------------------------------------------------------------

_CONTAINERS = st.builds(
    container,
    st.one_of(
        st.just(running(1)),
        st.just(ended(1, "Error", 1, 2)),
        st.builds(
            waiting,
            st.sampled_from(["CrashLoopBackOff", "ErrImagePull", "ContainerCreating", "SomethingNew"]),
            st.sampled_from(["", "not found", "i/o timeout"]),
        ),
    ),
    restarts=st.integers(0, 5),
    last=st.sampled_from([None, ended(1, "Error", 20, 21)]),
)
_DEPLOYMENTS = st.builds(
    deployment,
    st.integers(1, 4),
    updated=st.integers(0, 4),
    total=st.integers(0, 5),
    available=st.integers(0, 4),
    observed=st.integers(6, 8),
)


@given(item=_DEPLOYMENTS, states=st.lists(_CONTAINERS, max_size=4), ours=st.lists(st.booleans(), max_size=4))
def test_never_green_without_every_pod_of_this_revision_ready(
    item: dict[str, Any], states: list[dict[str, Any]], ours: list[bool]
) -> None:
    pods = [
        pod(f"web-{index}", state, owned_by="rs-5" if mine else "rs-6")
        for index, (state, mine) in enumerate(zip(states, ours, strict=False))
    ]
    replicasets = [replicaset(), replicaset("rs-6", image="app:6")]
    judgement = _judge(snapshot(*pods, deployments=[item], replicasets=replicasets))
    ready = [pod for pod in pods if pod["metadata"]["ownerReferences"] == owner("rs-5") and _is_running(pod)]
    if isinstance(judgement, CheckResult) and judgement.word is Verdict.PASS:
        assert len(ready) >= item["spec"]["replicas"]
        assert item["status"]["observedGeneration"] >= item["metadata"]["generation"]
        assert item["status"]["updatedReplicas"] >= item["spec"]["replicas"]


def _is_running(one: dict[str, Any]) -> bool:
    return all("running" in entry["state"] for entry in one["status"]["containerStatuses"])


@given(item=_DEPLOYMENTS, states=st.lists(_CONTAINERS, max_size=4))
def test_judging_is_repeatable_and_changes_nothing(
    item: dict[str, Any], states: list[dict[str, Any]]
) -> None:
    shot = snapshot(*(pod(f"web-{index}", state) for index, state in enumerate(states)), deployments=[item])
    before = repr(shot)
    assert _judge(shot) == _judge(shot)
    assert repr(shot) == before


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param(container(ready=True), "PASS", id="still_well"),
        pytest.param(
            container(restarts=1, ready=True, last=ended(3, "Error", 1, 12)), "FAIL", id="restarted"
        ),
        pytest.param(container(ended(3, "Error", 1, 12)), "FAIL", id="just_ended"),
        pytest.param(
            container(waiting("CrashLoopBackOff"), restarts=0, last=ended(3, "Error", 1, 12)),
            "FAIL",
            id="waits_to_be_restarted",
        ),
    ],
)
def test_a_pod_that_was_green_and_crashes_in_the_soak_is_red_at_once(
    later: dict[str, Any], expected: str
) -> None:
    before = [snapshot(*_pair()), snapshot(*_pair())]
    after = snapshot(pod("web-a", later), pod("web-b"))
    shots = [*before, after]
    samples = tuple(Sample(at=at(3 + 5 * index), value=shot) for index, shot in enumerate(shots))
    history = History(samples=samples, since=at(0), judged_from=at(3), provisional_at=at(8))
    word, observed = _said(_check().judge(history, at(14)))
    assert word == expected
    if expected == "FAIL":
        restarts = "1 restart" if later["restartCount"] else "0 restarts"
        assert observed == (
            f"container app of 1 of 2 pods crashed after it was green: exit code 3, {restarts}"
        )


def test_restarts_from_before_the_soak_are_not_of_it() -> None:
    restarted = container(restarts=1, ready=True, last=ended(3, "Error", 1, 2))
    shot = snapshot(pod("web-a", restarted), pod("web-b"))
    samples = tuple(Sample(at=at(3 + 5 * index), value=shot) for index in range(3))
    history = History(samples=samples, since=at(0), judged_from=at(3), provisional_at=at(8))
    assert _said(_check().judge(history, at(14)))[0] == "PASS"


def test_a_pod_that_is_new_in_the_soak_may_restart_and_recover() -> None:
    restarted = container(restarts=1, ready=True, last=ended(3, "Error", 9, 10))
    shots = [snapshot(*_pair()), snapshot(*_pair()), snapshot(pod("web-a"), pod("web-c", restarted))]
    samples = tuple(Sample(at=at(3 + 5 * index), value=shot) for index, shot in enumerate(shots))
    history = History(samples=samples, since=at(0), judged_from=at(3), provisional_at=at(8))
    assert _said(_check().judge(history, at(14)))[0] == "PASS"


def _stated(image: str = "app:5", **spec: Any) -> dict[str, Any]:
    body = {"labels": {"app": "web"}}
    container_ = {"name": "app", "image": image, "envFrom": [{"configMapRef": {"name": "settings"}}]}
    template_ = {"metadata": body, "spec": {"containers": [container_]}}
    metadata = {"name": "web", "namespace": "default"}
    spec = {"replicas": 2, "template": template_, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


SERVED = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "front", "namespace": "default"},
    "spec": {"selector": {"part-of": "shop"}},
}


def _promoted(image: str, settings: str = "settings-primary", selector: str = "shop") -> Judgement:
    """Judge web, kept at zero, with a pod of web-primary behind the Service."""
    made = _stated(image)
    made["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] = settings
    primary = {
        "metadata": {"name": "web-primary-1", "uid": "rs-primary", "ownerReferences": owner("d-primary")},
        "spec": {"template": made["spec"]["template"]},
    }
    serving = pod("web-primary-1-a", owned_by="rs-primary", image=image, labels={"part-of": selector})
    serving["metadata"]["namespace"] = "default"
    shot = snapshot(serving, deployments=[deployment(0)], replicasets=[replicaset(), primary])
    history = History((Sample(at=at(3), value=shot),), since=at(0), judged_from=at(2))
    check = replace(_check(), target=_stated(), services=(SERVED,))
    return check.judge(history, at(5))


def test_case_p19_what_serves_in_place_of_a_workload_at_zero_is_the_targets() -> None:
    assert _said(_promoted("app:5")) == (
        "PASS",
        "deployment/web: stands at zero, and web-primary-1-a (app:5), of its template, serves in its place",
    )


@pytest.mark.parametrize(("image", "settings"), [("app:6", "settings-primary"), ("app:5", "other")])
def test_case_p19_what_is_not_promoted_yet_is_waited_for_and_then_red(image: str, settings: str) -> None:
    assert _said(_promoted(image, settings)) == (
        "pending",
        f"deployment/web: stands at zero, and web-primary-1-a ({image}), not of its template, serves in its place",
    )


def test_case_p19_where_nothing_serves_a_workload_at_zero_stays_unverified() -> None:
    word, said = _said(_promoted("app:5", selector="another"))
    assert word == "UNVERIFIED"
    assert "stands at 0 replicas, which the configuration does not expect" in said
