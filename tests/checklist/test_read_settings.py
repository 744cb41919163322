"""Which settings running containers read, by when they started: the case C3 and its relatives."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from pytest_zkrollback.checklist.equivalence.model import Cluster, DeployedInterval, Expectation
from pytest_zkrollback.checklist.equivalence.read_settings import judge_start_values, judge_taken_values
from pytest_zkrollback.checklist.equivalence.start_times import start_span, status_written
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.drift import LiveObject
from support.manifests import parse_manifest
from support.workload_objects import T0, at, stamp

CHART = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: DATA
---
apiVersion: apps/v1
kind: KIND
metadata: {name: app}
spec:
  template:
    metadata: {annotations: {checksum: "MODE"}}
    spec: {containers: [{name: app, image: "app:1", envFrom: [{configMapRef: {name: settings}}]}]}
"""
READ = (
    "Pod app-1 of Deployment/app was not restarted: its container app read ConfigMap/settings at its start, "
)
RESTART = "(kubectl rollout restart deployment/app)"


def objects(mode: str, checksum: str = "", kind: str = "Deployment", data: str = "") -> tuple[dict, ...]:
    text = CHART.replace("DATA", data or f"{{MODE: {mode}}}")
    return parse_manifest(text.replace('"MODE"', f'"{checksum or mode}"').replace("KIND", kind), "n")


def interval(began: float, found: tuple[dict, ...], *, applied: bool = True) -> DeployedInterval:
    return DeployedInterval(at(began), at(began), found, applied)


def configmap(
    found: tuple[dict, ...], written: float | None = None, operation: str = "Update", manager: str = "helm"
) -> LiveObject:
    """As it is live, with the time at which its data was written last."""
    item = {**found[0], "metadata": dict(found[0]["metadata"])}
    if written is not None:
        entry = {"manager": manager, "operation": operation, "time": stamp(written)}
        item["metadata"]["managedFields"] = [
            {**entry, "fieldsV1": {"f:data": {}}},
            {**entry, "time": stamp(9999), "fieldsV1": {"f:metadata": {}}},  # a label says nothing of it
        ]
    return LiveObject(item)


def judged(
    target: tuple[dict, ...],
    intervals: tuple[DeployedInterval, ...],
    *,
    started: float,
    created: float | None = None,
    written: float | None = None,
    made: float | None = None,
    rolled_back: float = 600,
    live: LiveObject | None = None,
    earlier: tuple[DeployedInterval, ...] = (),
    ahead: float = 0,
    now: float = 700,
) -> list[tuple[Verdict, str]]:
    """One pod whose container started then; its ReplicaSet or ControllerRevision was ``made`` then, and its
    status ``written``. ``ahead``: by how much its node's clock is ahead."""
    kind = target[1]["kind"]
    owner = {"uid": "owner", "controller": True}
    pod: dict[str, Any] = {
        "metadata": {"name": "app-1", "uid": "pod", "namespace": "n", "ownerReferences": [owner]},
        "status": {
            "startTime": stamp((started if created is None else created) + ahead),
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "True",
                    "lastTransitionTime": stamp(started if created is None else created),
                }
            ],
            "containerStatuses": [
                {"name": "app", "state": {"running": {"startedAt": stamp(started + ahead)}}}
            ],
        },
    }
    pod["metadata"]["creationTimestamp"] = stamp(started if created is None else created)
    template = target[1]["spec"]["template"]
    metadata = {"uid": "owner", "namespace": "n", "creationTimestamp": stamp(made if made is not None else 0)}
    replicasets, revisions = (), ()
    if made is not None and kind == "Deployment":
        replicasets = ({"metadata": metadata, "spec": {"template": template}},)
    elif made is not None:
        name = "app-7" if kind == "DaemonSet" else "whole-name"
        pod["metadata"]["labels"] = {"controller-revision-hash": "7" if kind == "DaemonSet" else name}
        revisions = ({"metadata": {**metadata, "name": name}, "data": {"spec": {"template": template}}},)
    seen = Cluster(
        (live or configmap(target, rolled_back + 1), LiveObject(target[1])),
        replicasets=replicasets,
        revisions=revisions,
        status_written={} if written is None else {"pod": at(written)},
    )
    away = tuple(each.objects for each in intervals[1:])
    expected = Expectation(
        target,
        before=away[-1],
        rolled_away=away,
        since=at(rolled_back),
        intervals=intervals,
        earlier=lambda: earlier,
        now=at(now),
    )
    return [(each.word, each.text) for each in judge_start_values(target[1], [pod], expected, seen)]


GOOD, BAD = objects("good"), objects("bad")
THREE = (interval(100, GOOD), interval(300, BAD))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_case_c3_a_pod_of_the_targets_own_template_that_never_stopped_read_the_targets_settings(kind):
    """Started 5 s after the target's deploy, and known to run before the next one's."""
    good, bad = objects("good", kind=kind), objects("bad", kind=kind)
    intervals = (interval(100, good), interval(300, bad))
    assert judged(good, intervals, started=105, made=101, written=106) == []
    [(word, text)] = judged(good, intervals, started=105, written=106)  # of no known template
    assert word is Verdict.FAIL
    assert text.startswith(f"Pod app-1 of {kind}/app was not restarted: its container app read")


def test_case_c3_without_the_time_of_its_status_a_minute_lies_between_two_clocks():
    assert judged(GOOD, THREE, started=239, made=101) == []
    unsure = (
        Verdict.UNVERIFIED,
        "Pod app-1 of Deployment/app was not restarted, and whether its container app read ConfigMap/settings as "
        "the target has it is not known: its node's clock may differ by 60 s from the API server's "
        + RESTART,
    )
    assert judged(GOOD, THREE, started=240, made=101) == [unsure]
    assert judged(GOOD, THREE, started=299, made=101) == [unsure]
    assert judged(GOOD, THREE, started=299, made=101, written=299) == []


def test_case_c3b_a_pod_of_the_targets_template_that_began_while_other_settings_were_live_is_red():
    wrong = [(Verdict.FAIL, f"{READ}before the rollback changed it back {RESTART}")]
    assert judged(GOOD, THREE, started=320, created=318, made=101, written=321) == wrong
    # The pod stayed, its container began anew.
    assert judged(GOOD, THREE, started=320, created=105, made=101, written=321) == wrong


def test_case_c3_a_replicaset_of_another_template_says_nothing():
    other = objects("other")
    # The pod's template is older than the target's deploy, as is the ReplicaSet: it had its values then.
    assert judged(GOOD, THREE, started=50, made=40, written=51) != []
    assert judged(GOOD, THREE, started=50, made=40, written=51, earlier=(interval(30, other),)) != []


def test_case_c3_a_replicaset_that_the_target_took_over_ran_with_the_same_settings_before():
    """Revision 1 and the target have one template and one ConfigMap: their pods never stopped."""
    assert judged(GOOD, THREE, started=50, made=40, written=51, earlier=(interval(30, GOOD),)) == []


def test_case_c3_a_replicaset_that_the_target_took_over_from_a_revision_with_other_settings_is_red():
    """Without a checksum in it the template is the same, and nothing restarted the pods."""
    target, first = objects("good", "same"), objects("first", "same")
    intervals = (interval(100, target), interval(300, objects("bad", "same")))
    [(word, _)] = judged(target, intervals, started=50, made=40, written=51, earlier=(interval(30, first),))
    assert word is Verdict.FAIL
    # Restarted by the target's own deploy, or later: an older ReplicaSet does not say when the values came.
    [(word, text)] = judged(
        target, intervals, started=105, made=40, written=106, earlier=(interval(30, first),)
    )
    assert word is Verdict.UNVERIFIED
    assert text == (
        "Pod app-1 of Deployment/app was not restarted, and whether its container app read ConfigMap/settings as "
        "the target has it is not known: it started less than 10 min after helm began, which may not yet have "
        "written it " + RESTART
    )


def test_case_c3_settings_that_were_not_written_since_are_the_ones_that_it_read():
    """The next revision failed before it applied anything, or failed to apply this: no rollback touched it."""
    live = configmap(GOOD, written=101)
    assert judged(GOOD, THREE, started=105, live=live) == []
    assert judged(GOOD, THREE, started=320, live=live) == []
    [(word, _)] = judged(GOOD, THREE, started=99, live=live)
    assert word is Verdict.FAIL


def test_case_c3_that_keys_were_taken_away_leaves_no_time_unless_they_were_applied():
    """helm 3 takes the bad revision's key away: the entry's time is that of the bad revision."""
    bad = objects("bad", data="{MODE: good, EXTRA: x}")
    intervals = (interval(100, GOOD), interval(300, bad))
    [(word, _)] = judged(GOOD, intervals, started=320, made=101, live=configmap(GOOD, written=301))
    assert word is Verdict.FAIL
    applied = configmap(GOOD, written=601, operation="Apply")
    [(word, _)] = judged(GOOD, intervals, started=320, made=101, live=applied)
    assert word is Verdict.FAIL
    assert judged(GOOD, intervals, started=605, live=applied) == []


def test_case_c3_who_starts_in_a_hook_before_the_rollback_changes_anything_still_reads_the_bad_ones():
    [(word, _)] = judged(GOOD, THREE, started=602, live=configmap(GOOD, written=630))
    assert word is Verdict.FAIL
    assert judged(GOOD, THREE, started=630, live=configmap(GOOD, written=630)) == []
    # What somebody wrote long afterwards is not the rollback.
    assert judged(GOOD, THREE, started=602, live=configmap(GOOD, written=9000), now=9001) == []


@pytest.mark.parametrize("ahead", [-30, -2, 2, 30])
def test_case_c3_a_new_pod_is_new_whatever_its_nodes_clock_says(ahead):
    assert judged(GOOD, THREE, started=602, ahead=ahead, made=101) == []


def test_case_c3_a_nodes_clock_that_is_ahead_makes_no_old_pod_new():
    """It started 10 s before the rollback, and its node says 20 s after it."""
    [(word, _)] = judged(GOOD, THREE, started=590, ahead=30, made=101, written=591)
    assert word is not Verdict.PASS


def test_case_c3_a_start_in_the_future_is_no_evidence():
    [(word, text)] = judged(GOOD, THREE, started=320, created=105, made=101, ahead=3600, now=700)
    assert (word, "is not known" in text) == (Verdict.UNVERIFIED, True)
    assert judged(GOOD, THREE, started=105, made=101, ahead=3600, written=106) == []


def test_the_bounds_of_a_start():
    def pod(started: float, created: float, **more: Any) -> dict:
        status = {"name": "app", "state": {"running": {"startedAt": stamp(started)}}}
        return {
            "metadata": {"creationTimestamp": stamp(created)},
            "status": {"containerStatuses": [status], **more},
        }

    def span(*given: Any, written: float | None = None) -> tuple[float, float, float | None]:
        found = start_span(given[0], "app", at(1000), None if written is None else at(written))
        assert found is not None
        times = (found.earliest, found.latest, found.told)
        return tuple(None if each is None else (each - T0).total_seconds() for each in times)  # type: ignore[return-value]

    assert span(pod(500, 490)) == (490, 560, 500)
    assert span(pod(500, 490), written=502) == (490, 502, 500)
    assert span(pod(500, 100)) == (440, 560, 500)
    bound = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(101)}]
    assert span(pod(500, 100, startTime=stamp(103), conditions=bound)) == (497, 560, 500)
    assert span(pod(500, 100, startTime=stamp(900), conditions=bound)) == (440, 560, 500)
    assert span(pod(2000, 100), written=300) == (100, 300, None)
    assert span(pod(10, 100)) == (100, 1000, None)  # before its pod was made
    assert start_span({"metadata": {}, "status": {}}, "app", None, None) is None


def test_when_a_status_was_written_is_told_by_who_writes_of_containers():
    def entry(seconds: float, **fields: Any) -> dict:
        return {"time": stamp(seconds), "subresource": "status", "fieldsV1": {"f:status": fields}}

    entries = [entry(5, **{"f:containerStatuses": {}}), entry(9, **{"f:conditions": {}})]
    assert status_written({"managedFields": entries}) == at(5)
    assert status_written({"managedFields": entries[1:]}) is None
    assert status_written({}) is None
    assert isinstance(status_written({"managedFields": entries}), datetime)
    assert timedelta(seconds=5) == at(5) - T0


@pytest.mark.parametrize(
    ("owners", "word"),
    [
        ((("helm", "MODE", 101),), None),
        ((("kubectl-edit", "MODE", 500), ("helm", "OTHER", 101)), Verdict.UNVERIFIED),
        pytest.param((("kubectl-edit", "MODE", 400),), None, id="it started after that"),
        pytest.param(
            (("kubectl", "MODE", 500), ("helm", "MODE", 101)), None, id="who states the same shares it"
        ),
        pytest.param((("operator", "MODE", 500),), None, id="a field manager that is named"),
        pytest.param((("kubectl-edit", "ADDED", 500), ("helm", "MODE", 101)), None, id="not stated"),
    ],
)
def test_what_was_edited_read_and_put_back_by_hand_is_not_known(owners, word):
    """Found by the mutation campaign: the value that is live says nothing of the pod that started between."""
    target = objects("good")
    live = {**target[0], "metadata": dict(target[0]["metadata"])}
    live["metadata"]["managedFields"] = [
        {
            "manager": manager,
            "operation": "Update",
            "time": stamp(when),
            "fieldsV1": {"f:data": {f"f:{key}": {}}},
        }
        for manager, key, when in owners
    ]
    pod = {
        "metadata": {"name": "app-1", "uid": "pod", "creationTimestamp": stamp(450)},
        "status": {"containerStatuses": [{"name": "app", "state": {"running": {"startedAt": stamp(451)}}}]},
    }
    expected = Expectation(target, now=at(700), trusted=frozenset({"helm", "operator"}))
    seen = Cluster((LiveObject(live), LiveObject(target[1])))
    found = list(judge_taken_values(target[1], [pod], expected, seen))
    assert [each.word for each in found] == ([] if word is None else [word])
    if found:
        assert found[0].text == (
            "Pod app-1 of Deployment/app was not restarted since kubectl-edit wrote ConfigMap/settings at "
            f"2026-11-23 12:08:20 UTC: what its container app read of it at its start is not known {RESTART}"
        )
