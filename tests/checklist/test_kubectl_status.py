"""kubectl's own test cases (k8s.io/kubectl v0.37.2, polymorphichelpers/rollout_status_test.go), and more."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.checklist.rollout.kubectl_status import (
    RolloutStatus,
    desired_replicas,
    is_observed,
    rollout_status,
)


def _object(generation: int, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "foo", "generation": generation}, "spec": spec, "status": status}


def _deployment(generation: int, wanted: int | None, **status: Any) -> dict[str, Any]:
    return _object(generation, {} if wanted is None else {"replicas": wanted}, status)


def _daemonset(generation: int, **status: Any) -> dict[str, Any]:
    return _object(generation, {"updateStrategy": {"type": "RollingUpdate"}}, status)


def _statefulset(generation: int, strategy: dict[str, Any], **status: Any) -> dict[str, Any]:
    return _object(generation, {"replicas": 3, "updateStrategy": strategy}, status)


_ROLLING = {"type": "RollingUpdate"}
_PARTITIONED = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
_WAIT = 'Waiting for deployment "foo" rollout to finish:'
_WAIT_DAEMON = 'Waiting for daemon set "foo" rollout to finish:'
_UNSUPPORTED = "rollout status is only available for RollingUpdate strategy type"


@pytest.mark.parametrize(
    ("kind", "item", "message", "done", "error"),
    [
        # TestDeploymentStatusViewerStatus
        (
            "deployment",
            _deployment(0, 1, observedGeneration=1, replicas=1, updatedReplicas=0, availableReplicas=1),
            f"{_WAIT} 0 out of 1 new replicas have been updated...",
            False,
            False,
        ),
        (
            "deployment",
            _deployment(1, 1, observedGeneration=1, replicas=2, updatedReplicas=1, availableReplicas=2),
            f"{_WAIT} 1 old replicas are pending termination...",
            False,
            False,
        ),
        (
            "deployment",
            _deployment(1, 2, observedGeneration=1, replicas=2, updatedReplicas=2, availableReplicas=1),
            f"{_WAIT} 1 of 2 updated replicas are available...",
            False,
            False,
        ),
        (
            "deployment",
            _deployment(1, 2, observedGeneration=1, replicas=2, updatedReplicas=2, availableReplicas=2),
            'deployment "foo" successfully rolled out',
            True,
            False,
        ),
        (
            "deployment",
            _deployment(2, 2, observedGeneration=1, replicas=2, updatedReplicas=2, availableReplicas=2),
            "Waiting for deployment spec update to be observed...",
            False,
            False,
        ),
        # Read in the source, without a case of its own there.
        (
            "deployment",
            _deployment(
                1,
                1,
                observedGeneration=1,
                conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}],
            ),
            'deployment "foo" exceeded its progress deadline',
            False,
            True,
        ),
        (
            "deployment",
            _deployment(1, 0, observedGeneration=1),
            'deployment "foo" successfully rolled out',
            True,
            False,
        ),
        (
            "deployment",
            _deployment(1, None, observedGeneration=1),
            'deployment "foo" successfully rolled out',
            True,
            False,
        ),
        # TestDaemonSetStatusViewerStatus
        (
            "daemonset",
            _daemonset(0, observedGeneration=1, updatedNumberScheduled=0, desiredNumberScheduled=1),
            f"{_WAIT_DAEMON} 0 out of 1 new pods have been updated...",
            False,
            False,
        ),
        (
            "daemonset",
            _daemonset(
                1,
                observedGeneration=1,
                updatedNumberScheduled=2,
                desiredNumberScheduled=2,
                numberAvailable=1,
            ),
            f"{_WAIT_DAEMON} 1 of 2 updated pods are available...",
            False,
            False,
        ),
        (
            "daemonset",
            _daemonset(
                1,
                observedGeneration=1,
                updatedNumberScheduled=2,
                desiredNumberScheduled=2,
                numberAvailable=2,
            ),
            'daemon set "foo" successfully rolled out',
            True,
            False,
        ),
        (
            "daemonset",
            _daemonset(
                2,
                observedGeneration=1,
                updatedNumberScheduled=2,
                desiredNumberScheduled=2,
                numberAvailable=2,
            ),
            "Waiting for daemon set spec update to be observed...",
            False,
            False,
        ),
        # TestDaemonSetStatusViewerStatusWithWrongUpdateStrategyType
        ("daemonset", _object(0, {"updateStrategy": {"type": "OnDelete"}}, {}), _UNSUPPORTED, False, True),
        # TestStatefulSetStatusViewerStatus
        (
            "statefulset",
            _statefulset(1, {"type": "OnDelete"}, observedGeneration=1, readyReplicas=1),
            _UNSUPPORTED,
            False,
            True,
        ),
        (
            "statefulset",
            _statefulset(2, _ROLLING, observedGeneration=1, replicas=3, readyReplicas=3, currentReplicas=3),
            "Waiting for statefulset spec update to be observed...",
            False,
            False,
        ),
        (
            "statefulset",
            _statefulset(1, _ROLLING, observedGeneration=2, replicas=3, readyReplicas=2, currentReplicas=3),
            "Waiting for 1 pods to be ready...",
            False,
            False,
        ),
        (
            "statefulset",
            _statefulset(
                1,
                _PARTITIONED,
                observedGeneration=2,
                replicas=3,
                readyReplicas=3,
                currentReplicas=2,
                updatedReplicas=1,
            ),
            "partitioned roll out complete: 1 new pods have been updated...",
            True,
            False,
        ),
        (
            "statefulset",
            _statefulset(
                1,
                _PARTITIONED,
                observedGeneration=2,
                replicas=3,
                readyReplicas=3,
                currentReplicas=3,
                updatedReplicas=0,
            ),
            "Waiting for partitioned roll out to finish: 0 out of 1 new pods have been updated...",
            False,
            False,
        ),
        (
            "statefulset",
            _statefulset(
                1,
                _ROLLING,
                observedGeneration=2,
                replicas=3,
                readyReplicas=3,
                currentReplicas=3,
                updatedReplicas=3,
                currentRevision="foo",
                updateRevision="foo",
            ),
            "statefulset rolling update complete 3 pods at revision foo...",
            True,
            False,
        ),
        # Read in the source, without a case of its own there.
        (
            "statefulset",
            _statefulset(
                1,
                _ROLLING,
                observedGeneration=2,
                readyReplicas=3,
                updatedReplicas=1,
                currentRevision="foo",
                updateRevision="bar",
            ),
            "waiting for statefulset rolling update to complete 1 pods at revision bar...",
            False,
            False,
        ),
        (
            "statefulset",
            _statefulset(0, _ROLLING, readyReplicas=3),
            "Waiting for statefulset spec update to be observed...",
            False,
            False,
        ),
    ],
)
def test_says_what_kubectl_says(
    kind: str, item: dict[str, Any], message: str, done: bool, error: bool
) -> None:
    assert rollout_status(kind, item) == RolloutStatus(message, done=done, error=error)


def test_fault_34_the_deadline_can_be_left_out() -> None:
    stale = _deployment(
        1,
        1,
        observedGeneration=1,
        replicas=1,
        updatedReplicas=1,
        conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}],
    )
    assert rollout_status("deployment", stale, ignore_deadline=True) == RolloutStatus(
        f"{_WAIT} 0 of 1 updated replicas are available..."
    )


@pytest.mark.parametrize(
    ("kind", "item", "desired"),
    [
        ("deployment", _deployment(1, 4), 4),
        ("deployment", _deployment(1, None), 1),
        ("deployment", _deployment(1, 0), 0),
        ("statefulset", _statefulset(1, _ROLLING), 3),
        ("statefulset", _statefulset(1, _PARTITIONED), 1),
        ("statefulset", _statefulset(1, {**_ROLLING, "rollingUpdate": {"partition": 9}}), 0),
        ("daemonset", _daemonset(1, desiredNumberScheduled=5), 5),
    ],
)
def test_desired_replicas(kind: str, item: dict[str, Any], desired: int) -> None:
    assert desired_replicas(kind, item) == desired


@pytest.mark.parametrize(
    ("kind", "generation", "observed", "expected"),
    [
        ("deployment", 0, 0, True),
        ("deployment", 2, 1, False),
        ("deployment", 2, 2, True),
        ("statefulset", 0, 0, False),
        ("statefulset", 1, 1, True),
        ("daemonset", 3, 2, False),
    ],
)
def test_is_observed(kind: str, generation: int, observed: int, expected: bool) -> None:
    item = _object(generation, {}, {"observedGeneration": observed} if observed else {})
    assert is_observed(kind, item) is expected
