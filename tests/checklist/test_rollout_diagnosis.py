"""Early red: what is certain, and what is waited on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.checklist.rollout.diagnosis import (
    DiagnosisContext,
    Finding,
    findings,
    is_missing_image,
    sentence,
)
from pytest_zkrollback.checklist.rollout.workload import read_workload
from pytest_zkrollback.domain.checks import JsonObject, PodDiagnostics
from support.workload_objects import (
    at,
    container,
    deployment,
    ended,
    pod,
    replicaset,
    running,
    snapshot,
    stamp,
    unschedulable,
    waiting,
)

NOT_FOUND = (
    'rpc error: code = NotFound desc = failed to pull and unpack image "app:5": failed to resolve image:'
    " app:5: not found"
)


def _findings(*pods: dict[str, Any], now_s: float = 30, **changes: Any) -> tuple[Finding, ...]:
    replicasets = changes.pop("replicasets", None)
    shot = snapshot(*pods, replicasets=replicasets)
    circumstances = {"since": at(0), "watched_from": at(3), "now": at(now_s)} | changes
    return findings(read_workload(shot, "deployment", deployment()), DiagnosisContext(**circumstances))


def _sentence(*pods: dict[str, Any], **changes: Any) -> tuple[str, bool]:
    found = _findings(*pods, **changes)
    return sentence(found, len(pods)), any(finding.fails for finding in found)


CRASH = ended(1, "Error", 20, 21)


def _with_init(name: str, state: dict[str, Any], restarts: int) -> dict[str, Any]:
    made = pod(name)
    made["status"]["initContainerStatuses"] = [container(state, restarts=restarts, last=CRASH, name="init")]
    return made


def test_case_p4_an_init_container_that_tried_again_and_completed_is_fine() -> None:
    assert _findings(_with_init("web-a", ended(0, "Completed", 25, 26), 3)) == ()


def test_case_p4_an_init_container_that_still_fails_is_not() -> None:
    assert _sentence(_with_init("web-a", waiting("CrashLoopBackOff"), 3))[1]
    assert _sentence(_with_init("web-a", ended(1, "Error", 25, 26), 3))[1]


@pytest.mark.parametrize(
    ("state", "restarts", "last", "expected"),
    [
        pytest.param(
            waiting("CrashLoopBackOff"),
            2,
            CRASH,
            ("container app of 1 of 1 pod crash-loops: exit code 1, 2 restarts", True),
            id="fault_35_two_restarts",
        ),
        pytest.param(
            waiting("CrashLoopBackOff"),
            1,
            CRASH,
            ("container app of 1 of 1 pod has crashed: exit code 1, 1 restart", False),
            id="one_restart_may_recover",
        ),
        pytest.param(
            waiting("CrashLoopBackOff"),
            4,
            ended(137, "OOMKilled", 20, 21),
            ("container app of 1 of 1 pod crash-loops: exit code 137 (OOMKilled), 4 restarts", True),
            id="out_of_memory",
        ),
        pytest.param(
            waiting("RunContainerError", "exec: no such file"),
            3,
            ended(128, "StartError", 20, 21),
            ("container app of 1 of 1 pod crash-loops: exit code 128 (StartError), 3 restarts", True),
            id="command_not_found",
        ),
        pytest.param(
            running(28),
            2,
            CRASH,
            ("container app of 1 of 1 pod crash-loops: exit code 1, 2 restarts", True),
            id="fault_35_between_two_crashes",
        ),
        pytest.param(running(28), 1, CRASH, ("", False), id="one_restart_and_back"),
        pytest.param(
            ended(1, "Error", 28, 29),
            0,
            None,
            ("container app of 1 of 1 pod has crashed: exit code 1, 0 restarts", False),
            id="first_crash",
        ),
        pytest.param(
            waiting("InvalidImageName", "couldn't parse image name"),
            0,
            None,
            ("container app of 1 of 1 pod has an invalid image name: couldn't parse image name", True),
            id="fault_38_invalid_image_name",
        ),
        pytest.param(
            waiting("ErrImagePull", NOT_FOUND),
            0,
            None,
            (f"container app of 1 of 1 pod has an image that does not exist: {NOT_FOUND}", True),
            id="fault_37_not_found",
        ),
        pytest.param(
            waiting("ImagePullBackOff", f'Back-off pulling image "app:5": ErrImagePull: {NOT_FOUND}'),
            0,
            None,
            (
                "container app of 1 of 1 pod has an image that does not exist: Back-off pulling image"
                f' "app:5": ErrImagePull: {NOT_FOUND}',
                True,
            ),
            id="fault_37_not_found_backing_off",
        ),
        pytest.param(
            waiting("ImagePullBackOff", 'Back-off pulling image "app:5"'),
            0,
            None,
            (
                'container app of 1 of 1 pod cannot pull its image: Back-off pulling image "app:5"',
                False,
            ),
            id="fault_37_cause_unknown",
        ),
        pytest.param(
            waiting("ErrImagePull", "429 Too Many Requests"),
            0,
            None,
            ("container app of 1 of 1 pod cannot pull its image: 429 Too Many Requests", False),
            id="fault_37_registry_is_busy",
        ),
        pytest.param(
            waiting("CreateContainerConfigError", 'configmap "missing" not found'),
            0,
            None,
            ('container app of 1 of 1 pod cannot be configured: configmap "missing" not found', True),
            id="fault_38_config",
        ),
        pytest.param(
            waiting(
                "CreateContainerConfigError",
                "failed to sync configmap cache: timed out waiting for the condition",
            ),
            0,
            None,
            (
                "container app of 1 of 1 pod cannot be configured: failed to sync configmap cache: timed out"
                " waiting for the condition",
                False,
            ),
            id="fault_38_cache_sync",
        ),
        pytest.param(
            waiting("CreateContainerError", "context deadline exceeded"),
            0,
            None,
            (
                "container app of 1 of 1 pod is waiting (CreateContainerError): context deadline exceeded",
                False,
            ),
            id="other_waits_are_shown",
        ),
        pytest.param(
            waiting("ContainerCreating"),
            0,
            None,
            ("container app of 1 of 1 pod is being created", False),
            id="being_created",
        ),
        pytest.param(running(), 0, None, ("", False), id="healthy"),
    ],
)
def test_one_new_pod(
    state: dict[str, Any], restarts: int, last: dict[str, Any] | None, expected: tuple[str, bool]
) -> None:
    assert _sentence(pod("web-a", container(state, restarts=restarts, last=last))) == expected


def test_unready_without_trouble_is_named_and_waited_on() -> None:
    probed = pod("web-a", container(running(), ready=False))
    assert _sentence(probed) == ("container app of 1 of 1 pod runs but is not ready", False)


def test_init_containers_count_too() -> None:
    crash = container(waiting("CrashLoopBackOff"), name="migrate", restarts=3, last=CRASH)
    stuck = pod("web-a", container(waiting("PodInitializing")), init=[crash], ready=False)
    assert _sentence(stuck) == (
        "container migrate of 1 of 1 pod crash-loops: exit code 1, 3 restarts",
        True,
    )


def test_several_pods_are_one_clause_with_the_worst_detail() -> None:
    def crashing(name: str, restarts: int) -> dict[str, Any]:
        return pod(name, container(waiting("CrashLoopBackOff"), restarts=restarts, last=CRASH))

    assert _sentence(crashing("web-a", 4), crashing("web-b", 2), pod("web-c")) == (
        "container app of 2 of 3 pods crash-loops: exit code 1, 4 restarts",
        True,
    )


@pytest.mark.parametrize(
    ("started_s", "before", "now_s", "red"),
    [
        pytest.param(-60, 7, 10, False, id="crashed_before_the_rollback_and_backs_off_still"),
        pytest.param(5, 7, 10, True, id="crashed_again_since"),
    ],
)
def test_fault_36_a_crash_from_before_the_rollback_is_waited_on(
    started_s: float, before: int, now_s: float, red: bool
) -> None:
    state = container(
        waiting("CrashLoopBackOff"), restarts=7, last=ended(1, "Error", started_s, started_s + 1)
    )
    old = pod("web-a", state, created_s=-600)
    found = _findings(old, now_s=now_s, restarts_before={("uid-web-a", "app"): before})
    assert [finding.fails for finding in found] == [red]
    assert all(finding.crash for finding in found)


@pytest.mark.parametrize(("before", "red"), [(8, False), (7, False), (6, True), (5, True)])
def test_restarts_of_an_old_pod_count_from_the_beginning_of_judging(before: int, red: bool) -> None:
    old = pod("web-a", container(running(25), restarts=8, last=CRASH), created_s=-600)
    found = _findings(old, restarts_before={("uid-web-a", "app"): before})
    assert any(finding.fails for finding in found) is red


@pytest.mark.parametrize(
    ("ran_s", "last", "red"),
    [
        pytest.param(10, ended(1, "Error", 100, 101), True, id="just_restarted"),
        pytest.param(31, ended(1, "Error", 100, 101), False, id="longer_than_any_crash_took"),
        pytest.param(100, ended(1, "Error", 0, 100), True, id="as_long_as_the_last_run"),
        pytest.param(201, ended(1, "Error", 0, 100), False, id="twice_as_long_as_the_last_run"),
        pytest.param(601, ended(1, "Error", 0, 9000), False, id="past_the_kubelets_own_memory"),
    ],
)
def test_restarts_that_recovered(ran_s: float, last: dict[str, Any], red: bool) -> None:
    restarted = pod("web-a", container(running(10_000), restarts=3, last=last))
    assert any(finding.fails for finding in _findings(restarted, now_s=10_000 + ran_s)) is red


@pytest.mark.parametrize(("now_s", "red"), [(10, False), (22.9, False), (23, True)])
def test_an_old_pod_gets_time_to_see_what_was_mended(now_s: float, red: bool) -> None:
    old = pod("web-a", container(waiting("CreateContainerConfigError", "no such key")), created_s=-600)
    assert [finding.fails for finding in _findings(old, now_s=now_s)] == [red]


@pytest.mark.parametrize(
    ("pod_state", "others", "now_s", "red"),
    [
        pytest.param({"conditions": [unschedulable(1)]}, [], 16, False, id="for_15_s"),
        pytest.param({"conditions": [unschedulable(1)]}, [], 16.1, True, id="for_longer"),
        pytest.param({"conditions": [unschedulable(-90)]}, [], 15, False, id="counted_from_the_rollback"),
        pytest.param(
            {"conditions": [unschedulable(1)], "nominatedNodeName": "n"}, [], 60, False, id="preempting"
        ),
        pytest.param(
            {"conditions": [unschedulable(1)]},
            [pod("web-old", owned_by="rs-6", deleted=True)],
            60,
            False,
            id="an_old_pod_still_makes_room",
        ),
        pytest.param(
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": ""}
                ]
            },
            [],
            60,
            False,
            id="gated",
        ),
    ],
)
def test_fault_39_unschedulable(
    pod_state: dict[str, Any], others: list[dict[str, Any]], now_s: float, red: bool
) -> None:
    pending = pod("web-a", container(waiting("")), phase="Pending", **pod_state)
    del pending["status"]["containerStatuses"]
    found = _findings(
        pending, *others, now_s=now_s, replicasets=[replicaset(), replicaset("rs-6", image="app:6")]
    )
    assert any(finding.fails for finding in found) is red


def test_fault_39_says_why() -> None:
    pending = pod("web-a", phase="Pending", conditions=[unschedulable(1)], ready=False)
    del pending["status"]["containerStatuses"]
    assert _sentence(pending) == (
        "1 of 1 pod cannot be scheduled: 0/3 nodes are available: 2 Insufficient memory.",
        True,
    )


def _replica_failure(since_s: float, message: str) -> dict[str, Any]:
    return {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": message,
        "lastTransitionTime": stamp(since_s),
    }


QUOTA = 'pods "web-5-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'


@pytest.mark.parametrize(
    ("message", "since_s", "now_s", "others", "red"),
    [
        pytest.param(QUOTA, 1, 6, [], True, id="quota"),
        pytest.param(QUOTA, 1, 5.9, [], False, id="not_for_long_yet"),
        pytest.param(QUOTA, -60, 4.9, [], False, id="counted_from_the_rollback"),
        pytest.param(QUOTA, 1, 60, [pod("old", owned_by="rs-6", deleted=True)], False, id="room_is_made"),
        pytest.param(
            'Internal error: failed calling webhook "w": connection refused', 1, 60, [], False, id="hiccup"
        ),
        pytest.param("error looking up service account n/app: not found", 1, 60, [], True, id="account"),
    ],
)
def test_fault_40_pods_cannot_be_created(
    message: str, since_s: float, now_s: float, others: list[dict[str, Any]], red: bool
) -> None:
    failing = replicaset(conditions=[_replica_failure(since_s, message)])
    found = _findings(*others, now_s=now_s, replicasets=[failing, replicaset("rs-6", image="app:6")])
    assert [finding.fails for finding in found] == [red]
    assert sentence(found, 0) == f"pods of this revision cannot be created: {message}"


def test_fault_40_of_an_old_replicaset_is_ignored() -> None:
    failing = replicaset("rs-6", image="app:6", conditions=[_replica_failure(1, QUOTA)])
    assert _findings(replicasets=[replicaset(), failing]) == ()


def _failed_create(last_s: float, first_s: float = 1, message: str = QUOTA) -> JsonObject:
    times = {"firstTimestamp": stamp(first_s), "lastTimestamp": stamp(last_s)}
    about = {"kind": "StatefulSet", "name": "web", "uid": "s-1"}
    return {
        "metadata": {},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": message,
        "involvedObject": about,
        **times,
    }


def _set(kind: str, wanted: int, observed: int = 7) -> JsonObject:
    number = {"replicas": wanted, "desiredNumberScheduled": wanted, "updateRevision": "r"}
    metadata = {"name": "web", "uid": "s-1", "generation": 7}
    return {"metadata": metadata, "spec": number, "status": {"observedGeneration": observed, **number}}


NEW = {"labels": {"controller-revision-hash": "r"}, "owned_by": "s-1"}


@pytest.mark.parametrize("kind", ["statefulset", "daemonset"])
@pytest.mark.parametrize(
    ("event", "pods", "now_s", "red"),
    [
        pytest.param(_failed_create(5), [], 6, True, id="quota"),
        pytest.param(_failed_create(5), [], 5.9, False, id="not_for_long_yet"),
        pytest.param(_failed_create(3, first_s=-60), [], 4.9, False, id="counted_from_the_rollback"),
        pytest.param(
            _failed_create(20), [pod("web-0", created_s=10, **NEW)], 30, True, id="one_could_be_made"
        ),
        pytest.param(
            _failed_create(12), [pod("web-0", created_s=10, **NEW)], 14, False, id="counted_from_it"
        ),
        pytest.param(_failed_create(9, message="i/o timeout"), [], 30, False, id="hiccup"),
    ],
)
def test_fault_40_a_controller_without_a_condition_says_it_in_its_events(
    kind: str, event: JsonObject, pods: list[JsonObject], now_s: float, red: bool
) -> None:
    found = _findings_of(kind, _set(kind, 2), pods, event, now_s)
    assert [finding.fails for finding in found] == [red]
    assert sentence(found, 0) == f"pods of this revision cannot be created: {event['message']}"


@pytest.mark.parametrize("kind", ["statefulset", "daemonset"])
@pytest.mark.parametrize(
    ("event", "pods", "observed"),
    [
        pytest.param(_failed_create(-1), [], 7, id="before_the_rollback"),
        pytest.param(_failed_create(0), [], 7, id="in_the_rollbacks_second"),
        pytest.param(_failed_create(9), [pod("web-0", created_s=10, **NEW)], 7, id="overcome_since"),
        pytest.param(_failed_create(10), [pod("web-0", created_s=10, **NEW)], 7, id="in_the_same_second"),
        pytest.param(_failed_create(9), [pod("web-0", **NEW), pod("web-1", **NEW)], 7, id="all_are_there"),
        pytest.param(_failed_create(9), [pod("web-1", owned_by="s-1", deleted=True)], 7, id="room_is_made"),
        pytest.param(_failed_create(9), [], 6, id="of_the_spec_before"),
        pytest.param({**_failed_create(9), "reason": "RecreatingFailedPod"}, [], 7, id="another_word"),
    ],
)
def test_fault_40_an_event_that_speaks_of_the_past_is_no_finding(
    kind: str, event: JsonObject, pods: list[JsonObject], observed: int
) -> None:
    assert _findings_of(kind, _set(kind, 2, observed), pods, event, 60) == ()


def test_fault_40_a_retry_may_take_as_long_again_as_there_was_no_room() -> None:
    failing = (_set("statefulset", 2), [], _failed_create(20))
    assert not _findings_of("statefulset", *failing, 60, room_at=at(31))[0].fails
    assert _findings_of("statefulset", *failing, 62, room_at=at(31))[0].fails


def _findings_of(
    kind: str, item: JsonObject, pods: list[JsonObject], event: JsonObject, now_s: float, **more: Any
) -> tuple[Finding, ...]:
    shot = snapshot(*pods, statefulsets=[item], daemonsets=[item])
    notes = {"s-1": PodDiagnostics(events=(event,))}
    circumstances = DiagnosisContext(since=at(0), watched_from=at(3), now=at(now_s), notes=notes, **more)
    return findings(read_workload(shot, kind, item), circumstances)


def test_fault_37_the_cause_of_a_back_off_may_be_known_from_before() -> None:
    backing_off = pod("web-a", container(waiting("ImagePullBackOff", 'Back-off pulling image "app:5"')))
    assert _sentence(backing_off, pull_errors={("uid-web-a", "app"): NOT_FOUND})[1]


def test_fault_36_pods_of_another_revision_and_evicted_ones_are_ignored() -> None:
    crash = container(waiting("CrashLoopBackOff"), restarts=9, last=CRASH)
    old = pod("web-old", crash, owned_by="rs-6")
    evicted = pod("web-evicted", container(ended(137)), phase="Failed", reason="Evicted")
    terminating = pod("web-terminating", crash, deleted=True)
    replicasets = [replicaset(), replicaset("rs-6", image="app:6", revision=6)]
    assert _findings(old, evicted, terminating, replicasets=replicasets) == ()


@pytest.mark.parametrize(
    ("message", "image", "missing"),
    [
        (NOT_FOUND, "app:5", True),
        ("manifest unknown: manifest unknown", "app:5", True),
        ("name unknown: repository name not known to registry", "app:5", True),
        (
            "pull access denied, repository does not exist or may require authorization: server message",
            "app:5",
            True,
        ),
        ("unauthorized: authentication required", "app:5", False),
        ("toomanyrequests: You have reached your pull rate limit", "app:5", False),
        ("unexpected status from HEAD request: 429 Too Many Requests", "app:5", False),
        ("unexpected status: 503 Service Unavailable: not found in cache", "app:5", False),
        ("dial tcp: lookup r.test: no such host", "r.test/app:5", False),
        ("dial tcp 127.0.0.1:5000: i/o timeout", "app:5", False),
        ("app:429: not found", "app:429", True),
        ("cannot resolve app:not found", "app:not found", False),
        ("", "", False),
    ],
)
def test_fault_37_is_missing_image(message: str, image: str, missing: bool) -> None:
    assert is_missing_image(message, image) is missing


def test_details_are_one_short_line() -> None:
    text, _ = _sentence(pod("web-a", container(waiting("ErrImagePull", "a\nb\t" + "c" * 999))))
    assert text == "container app of 1 of 1 pod cannot pull its image: a b " + "c" * 235 + "…"


_STATES = st.one_of(
    st.just(running(1)),
    st.just(ended(0, "Completed", 1, 2)),
    st.just(ended(1, "Error", 1, 2)),
    st.builds(
        waiting,
        st.sampled_from(
            ["CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "ContainerCreating", "NewReason", ""]
        ),
        st.sampled_from(["", "not found", "timeout", "x"]),
    ),
)


@given(
    state=_STATES,
    restarts=st.integers(0, 1),
    last=st.sampled_from([None, CRASH]),
    now_s=st.floats(1, 120),
)
def test_no_early_red_for_crashes_before_the_second_restart(
    state: dict[str, Any], restarts: int, last: dict[str, Any] | None, now_s: float
) -> None:
    found = _findings(pod("web-a", container(state, restarts=restarts, last=last)), now_s=now_s)
    assert not any(finding.fails and finding.problem == "crash-loops" for finding in found)


@given(state=_STATES, restarts=st.integers(0, 9), deleted=st.booleans(), old=st.booleans())
def test_nothing_is_ever_found_on_pods_that_are_not_of_this_revision(
    state: dict[str, Any], restarts: int, deleted: bool, old: bool
) -> None:
    theirs = container(state, restarts=restarts, last=CRASH)
    other = pod("web-a", theirs, owned_by="rs-6", deleted=deleted, created_s=-60 if old else 5)
    assert _findings(other, replicasets=[replicaset(), replicaset("rs-6", image="app:6")]) == ()


NO_PROGRAM = 'failed to create containerd task: exec: "/nope": stat /nope: no such file or directory'


def _start_error(message: str) -> dict[str, Any]:
    state = ended(128, "StartError", 1, 1)
    state["terminated"]["message"] = message
    return state


@pytest.mark.parametrize(
    ("last", "log", "said"),
    [
        pytest.param(
            _start_error(NO_PROGRAM),
            "",
            f"exit code 128 (StartError), 1 restart: {NO_PROGRAM}",
            id="StartError",
        ),
        pytest.param(
            ended(126, "Error", 1, 1),
            "",
            "exit code 126, 1 restart: its program could not be run",
            id="exit 126",
        ),
        pytest.param(
            ended(127, "Error", 1, 1),
            "",
            "exit code 127, 1 restart: its program was not found",
            id="exit 127",
        ),
        pytest.param(
            ended(255, "Error", 1, 1),
            "starting\nexec /app/run: exec format error\n",
            "exit code 255, 1 restart: exec /app/run: exec format error",
            id="another processor's program",
        ),
    ],
)
def test_case_k7_where_no_further_start_can_differ_it_is_red_after_3_s(
    last: dict[str, Any], log: str, said: str
) -> None:
    notes = {"uid-web-a": PodDiagnostics(log=log)}
    down = pod("web-a", container(waiting("CrashLoopBackOff"), restarts=1, last=last), created_s=1)
    sentence = f"container app of 1 of 1 pod cannot start: {said}"
    assert _sentence(down, now_s=3.9, notes=notes) == (sentence, False)
    assert _sentence(down, now_s=4, notes=notes) == (sentence, True)


@pytest.mark.parametrize(
    ("state", "last"),
    [
        pytest.param(waiting("CrashLoopBackOff"), ended(2, "Error", 1, 1), id="another exit code"),
        pytest.param(waiting("CrashLoopBackOff"), ended(127, "Error", 1, 21), id="ran for 20 s"),
        pytest.param(
            waiting("CrashLoopBackOff"),
            _start_error("failed to create shim task: context deadline exceeded"),
            id="the runtime was late",
        ),
        pytest.param(running(22), ended(127, "Error", 1, 1), id="runs"),
    ],
)
def test_case_k7_where_a_further_start_can_differ_it_is_waited_on(
    state: dict[str, Any], last: dict[str, Any]
) -> None:
    assert not _sentence(pod("web-a", container(state, restarts=1, last=last)))[1]


def test_case_k7_a_pod_from_before_the_rollback_has_time_to_show_what_it_mended() -> None:
    down = pod(
        "web-a",
        container(waiting("CrashLoopBackOff"), restarts=1, last=ended(127, "Error", 1, 1)),
        created_s=-60,
    )
    assert not _sentence(down, now_s=22)[1]
    assert _sentence(down, now_s=23)[1]


@pytest.mark.parametrize(("came", "red"), [(True, False), (False, True)])
def test_case_k4_what_has_come_meanwhile_is_waited_for_until_the_kubelet_looks_again(
    came: bool, red: bool
) -> None:
    down = pod("web-a", container(waiting("CreateContainerConfigError", 'configmap "late" not found')))
    notes = {"uid-web-a": PodDiagnostics(settings_came=came)}
    said = 'container app of 1 of 1 pod cannot be configured: configmap "late" not found'
    assert _sentence(down, now_s=16.5, notes=notes) == (said, red)
