"""What ``kubectl logs`` is answered in the drill; refusals are a real kubelet's (recordings/kubelet)."""

from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.drill.podlogs import NoLogs, choose_life, render_life, render_log
from support.drill_pods import pod

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
T0, T1, T2 = (f"2026-11-23T08:00:0{second}Z" for second in range(3))
RUNNING = {"running": {"startedAt": T2}}
DEAD = {"terminated": {"startedAt": T0, "finishedAt": T1, "exitCode": 1, "reason": "Error"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}


def with_status(state, last=None, restarts=0, **kwargs):
    status = {"name": "backend", "state": state, "lastState": last or {}, "restartCount": restarts}
    it = pod(**kwargs)
    it["status"]["containerStatuses"] = [status]
    return it


@pytest.mark.parametrize(
    ("state", "last", "restarts", "previous", "expected"),
    [
        (RUNNING, None, 0, False, (2, None, 0)),
        (RUNNING, DEAD, 1, False, (2, None, 1)),
        (RUNNING, DEAD, 1, True, (0, 1, 0)),
        (DEAD, None, 0, False, (0, 1, 0)),
        (BACK_OFF, DEAD, 2, False, (0, 1, 2)),
        (BACK_OFF, DEAD, 2, True, (0, 1, 2)),
    ],
)
def test_which_life_is_asked_for(state, last, restarts, previous, expected):
    started, ended, number = choose_life(with_status(state, last, restarts), "backend", previous)
    assert ((started - START).total_seconds(), ended and (ended - START).total_seconds(), number) == expected


@pytest.mark.parametrize(
    ("state", "previous", "refusal"),
    [
        (RUNNING, True, 'previous terminated container "backend" in pod "b1" not found'),
        (
            {"waiting": {"reason": "ErrImagePull"}},
            False,
            'container "backend" in pod "b1" is waiting to start: image can\'t be pulled',
        ),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            False,
            'container "backend" in pod "b1" is waiting to start: trying and failing to pull image',
        ),
        (
            {"waiting": {"reason": "ContainerCreating"}},
            False,
            'container "backend" in pod "b1" is waiting to start: ContainerCreating',
        ),
    ],
)
def test_fault_48_what_a_kubelet_refuses(state, previous, refusal):
    with pytest.raises(NoLogs) as caught:
        choose_life(with_status(state), "backend", previous)
    assert str(caught.value) == refusal


def test_a_pod_without_statuses_has_no_logs():
    with pytest.raises(NoLogs) as caught:
        choose_life(pod(), "backend", False)
    assert str(caught.value) == 'container "backend" in pod "b1" is not available'


def written(it, life, after_s=60.0):
    return [text for _, text in render_life(it, "backend", life, START + timedelta(seconds=after_s))]


def test_a_healthy_backend_tells_its_version_its_database_and_its_probes():
    it = with_status(RUNNING)
    it["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/health"}, "periodSeconds": 5}
    assert written(it, (START, None, 0), 11) == [
        "INFO backend 1.8.0 (3f9c2e1) starting",
        "INFO database: opening /var/lib/zkprova/zkprova.db",
        "INFO database: ok",
        "INFO listening on :8080",
        "INFO GET /health 200 kube-probe",
        "INFO GET /health 200 kube-probe",
        "INFO GET /health 200 kube-probe",
    ]


def test_a_frontend_has_no_database():
    it = pod(app="zkprova-frontend")
    it["spec"]["containers"][0]["env"] = [{"name": "BACKEND_URL", "value": "http://b"}]
    lines = [text for _, text in render_life(it, "frontend", (START, None, 0), START)]
    assert lines == [
        "INFO frontend 1.8.0 (3f9c2e1) starting",
        "INFO sending /api to http://b",
        "INFO listening on :8080",
    ]


def test_a_lost_database_ends_every_life_with_a_fatal_line():
    it = with_status(RUNNING, tag="1.9.0-a7d20c4", path="/var/lib/zkprova-data/zkprova.db")
    begun = [
        "INFO backend 1.9.0 (a7d20c4) starting",
        "INFO database: opening /var/lib/zkprova-data/zkprova.db",
        "WARN database: unable to open database file, trying again",
    ]
    fatal = "FATAL: unable to open database file: /var/lib/zkprova-data/zkprova.db"
    listening = "INFO listening on :8080"
    assert written(it, (START, None, 0)) == [*begun, listening]
    assert written(it, (START, START, 0)) == [*begun, listening, fatal]
    assert written(it, (START, START, 3)) == [*begun, fatal]


LINES = [(START + timedelta(seconds=second), f"line {second}") for second in range(3)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["line 0", "line 1", "line 2"]),
        ({"tailLines": "2"}, ["line 1", "line 2"]),
        ({"tailLines": "0"}, []),
        ({"tailLines": "50"}, ["line 0", "line 1", "line 2"]),
        ({"sinceTime": T1}, ["line 1", "line 2"]),
        ({"sinceSeconds": "1"}, ["line 2"]),
        ({"sinceTime": T1, "tailLines": "1"}, ["line 2"]),
    ],
)
def test_log_options(query, expected):
    body = render_log(LINES, query, START + timedelta(seconds=3)).decode()
    assert [line.partition(" ")[2] for line in body.splitlines()] == expected


def test_timestamps_and_a_limit_in_bytes():
    assert render_log(LINES[:1], {"timestamps": "true"}, START) == (
        b"2026-11-23T08:00:00.000Z 2026-11-23T08:00:00.000Z line 0\n"
    )
    assert render_log(LINES, {"limitBytes": "10"}, START) == b"2026-11-23"
