"""Whole runs through a proxy that does to the network what networks do; the API server behind it is real."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_zkrollback.drill.local_cluster import RunningCluster
from support.fault_proxy import Answer, Cut, FaultProxy, Seen, WatchError
from support.incident import Incident, Result

ALL = [
    *("preflight", "release-equivalence", "rollout-backend", "rollout-frontend", "smoke", "logs"),
    *("health-database", "events", "migration", "notify"),
]
GREEN = dict.fromkeys(ALL, "PASS")
SKEWED = """
from datetime import datetime, timedelta

from pytest_zkrollback.clients import clock


class Skewed(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(hours={hours})


clock.datetime = Skewed
"""


@pytest.fixture(scope="module")
def incident(
    running_cluster: RunningCluster, binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Incident]:
    found = Incident(running_cluster, tmp_path_factory.mktemp("faults"), binaries["helm"])
    yield found
    found.close()


@pytest.fixture(scope="module")
def proxy(incident: Incident) -> Iterator[FaultProxy]:
    with FaultProxy(incident.cluster) as proxy:
        # What is slow on a busy machine is not what these tests are about.
        incident.configure(kubeconfig=str(proxy.kubeconfig(incident.folder)), preflight_budget_s=60)
        yield proxy


@pytest.fixture(autouse=True)
def _no_rules_are_left(proxy: FaultProxy) -> Iterator[None]:
    yield
    proxy.clear()


def make_bad(incident: Incident) -> None:
    if not incident.revisions()[-1][2].endswith(("folder", "to 6")):
        incident.helm("rollback", "zkprova", "6", "--history-max=0")


def make_good(incident: Incident) -> None:
    if not incident.revisions()[-1][2].endswith("to 5"):
        incident.helm("rollback", "zkprova", "5", "--history-max=0")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture(scope="module")
def rough(incident: Incident, proxy: FaultProxy) -> tuple[Result, list[Seen]]:
    """One verification that meets every fault that passes: its result, and its requests."""
    make_good(incident)
    proxy.pages(r"/pods\?", 2)
    proxy.on(r"/pods\?.*continue=", Answer(410, message="the continue token has expired"))
    proxy.on(r"/deployments\?.*watch=1", WatchError(410))
    proxy.on(r"/events\?", Answer(429, {"Retry-After": "1"}))
    proxy.on(r"/log\?", Answer(503, {"Retry-After": "1"}))
    proxy.on(r"/pods\?.*watch=1", Cut(reset=True))
    proxy.on(r"/services/", Cut(after_bytes=40))
    proxy.on(r"/configmaps/", Answer(401))
    return incident.run(), list(proxy.seen)


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        pytest.param("410", r"/pods\?", id="fault_4_a_continue_token_that_expired"),
        pytest.param("watch error 410", r"/deployments\?limit", id="fault_4_a_watch_that_is_gone"),
        pytest.param("429", r"/events\?", id="fault_5_too_many_requests"),
        pytest.param("503", r"/log\?", id="fault_5_unavailable"),
        pytest.param("401", r"/configmaps/", id="fault_6_credentials_that_ran_out"),
        pytest.param("reset", r"/pods\?", id="fault_2_a_watch_that_is_reset"),
        pytest.param("cut", r"/services/", id="fault_2_an_answer_that_is_cut_off"),
    ],
)
def test_what_passes_is_asked_again_and_the_run_is_green(
    rough: tuple[Result, list[Seen]], fault: str, place: str
) -> None:
    result, seen = rough
    [met] = [one for one in seen if one.fault == fault]
    again = [one for one in seen if one.at_s > met.at_s and re.search(place, one.target)]
    assert again[0].status == 200
    assert (result.code, result.verdicts()) == (0, GREEN), result.output
    if fault in ("429", "503"):
        same = next(one for one in again if one.target == met.target)
        assert same.at_s - met.at_s >= 1, "Retry-After was not obeyed"


@pytest.fixture(scope="module")
def refused(incident: Incident, proxy: FaultProxy) -> Result:
    """One verification that meets refusals that stay."""
    make_good(incident)
    proxy.on(r"/events\?", Answer(403), times=None)
    proxy.on(r"/configmaps/", Answer(401), times=None)
    proxy.on(r"/log\?", Answer(429, {"Retry-After": "3600"}), times=None)
    return incident.run()


@pytest.mark.parametrize(
    ("item", "said"),
    [
        pytest.param("events", "may not list events", id="fault_7_403_on_one_read"),
        pytest.param("release-equivalence", "does not accept the credentials", id="fault_6_401_that_stays"),
        pytest.param("logs", "left alone for 3600 s", id="fault_5_a_wish_beyond_the_deadline"),
    ],
)
def test_what_is_refused_is_unverified_and_the_other_items_run(refused: Result, item: str, said: str) -> None:
    assert refused.code == 1
    red = dict.fromkeys(("events", "release-equivalence", "logs"), "UNVERIFIED")
    assert refused.verdicts() == {**GREEN, **red}, refused.output
    assert said in refused.item(item)["observed"]


def when_verification_begins(proxy: FaultProxy, action: Callable[[], None]) -> None:
    """Helm has ended: the second watch of the pods is the one that has to see the new ones."""
    proxy.when(r"/pods\?.*watch=1", action, skip=1)


def test_fault_3_half_open_sockets_in_mid_rollout_heal(incident: Incident, proxy: FaultProxy) -> None:
    make_bad(incident)
    muted: list[float] = []

    def mute() -> None:
        proxy.mute()
        muted.append(time.time())

    when_verification_begins(proxy, mute)
    result = incident.run("--rollback-to=5")
    assert (result.code, result.verdicts()) == (0, {**GREEN, "rollback": "PASS"}), result.output
    [at] = muted
    heard = [one for one in proxy.seen if "/pods?limit" in one.target and one.at_s > at and one.status == 200]
    # Without load it is 6 s; what the limit of 10 s is held against stands in benchmarks/.
    assert heard[0].at_s - at < 20


def test_fault_2_a_server_that_restarts_in_mid_rollout_is_followed_again(
    incident: Incident, proxy: FaultProxy
) -> None:
    make_bad(incident)
    restarted: list[bool] = []

    def restart() -> None:
        proxy.restart(away_s=2)
        restarted.append(True)

    when_verification_begins(proxy, restart)
    result = incident.run("--rollback-to=5")
    assert (result.code, result.verdicts()) == (0, {**GREEN, "rollback": "PASS"}), result.output
    assert restarted


@pytest.mark.parametrize("hours", [-1, 1])
def test_fault_52_a_clock_that_is_an_hour_off_changes_no_verdict(
    incident: Incident, proxy: FaultProxy, hours: int
) -> None:
    """Only clients/clock.py knows the time, so that is the clock that is set wrong here."""
    make_bad(incident)
    (incident.folder / "skewed.py").write_text(SKEWED.format(hours=hours))
    began = datetime.now(UTC)
    result = incident.run("-pskewed", "--rollback-to=5")
    ended = datetime.now(UTC)
    assert (result.code, result.verdicts()) == (0, {**GREEN, "rollback": "PASS"}), result.output
    record = result.record
    said = [
        entry["event"] for entry in record["timeline"] if entry["event"].startswith("this machine's clock")
    ]
    assert said and re.search(r"(3599|3600|3601) s " + ("behind", "ahead of")[hours > 0], said[0])
    times = [record["started_at"], record["helm"]["started_at"], record["timeline"][0]["at"]]
    times += [item[key] for item in record["items"] for key in ("started_at", "finished_at") if item[key]]
    margin = timedelta(seconds=3)
    assert all(began - margin <= datetime.fromisoformat(text) <= ended + margin for text in times), times
