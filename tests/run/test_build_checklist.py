from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.checklist.custom import CustomItem, OwnCheck
from pytest_zkrollback.checklist.equivalence.check import EquivalenceCheck
from pytest_zkrollback.checklist.events.check import EventsCheck
from pytest_zkrollback.checklist.health import HealthCheck
from pytest_zkrollback.checklist.logs.check import LogsCheck
from pytest_zkrollback.checklist.migration import MigrationCheck
from pytest_zkrollback.checklist.notify import NotifyCheck
from pytest_zkrollback.checklist.rollout.check import RolloutCheck
from pytest_zkrollback.checklist.smoke import SmokeCheck
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.migration import RevisionContent
from pytest_zkrollback.domain.record import Plan, Revision
from pytest_zkrollback.plugin import DEFAULT_ITEMS
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run import build_checklist, watched_places
from pytest_zkrollback.run.build_checklist import deployed_intervals
from pytest_zkrollback.run.initial_checklist import initial_checklist
from pytest_zkrollback.run.results import ExpectedRelease
from pytest_zkrollback.run.watched_places import event_places, watched

AT = datetime(2026, 11, 23, 7, tzinfo=UTC)


def release(
    number: int,
    said: int,
    made: int | None = None,
    status: str = "superseded",
    said_of_it: str = "Upgrade complete",
) -> Release:
    """Deployed in that minute as helm says, its Secret made in that one."""
    revision = Revision(
        revision=number,
        status=status,
        chart="web-1.0.0",
        app_version="1",
        deployed_at=AT + timedelta(minutes=said),
        description=said_of_it,
    )
    return Release(revision, "", created=AT + timedelta(minutes=said if made is None else made))


def chosen(*releases: Release, target: int, later: tuple[int, ...], bad: int | None) -> list[tuple]:
    contents = [RevisionContent(number, ({"of": number},), ()) for number in (target, *later)]
    found = deployed_intervals(ReleaseHistory("n", "web", releases), contents[0], contents[1:], bad)
    assert [interval.objects for interval in found] == [one.objects for one in contents][: len(found)]
    return [
        tuple((time - AT).total_seconds() / 60 for time in (interval.earliest, interval.latest))
        + (() if interval.applied else ("failed",))
        for interval in found
    ]


@pytest.mark.parametrize(
    ("target", "later", "bad", "expected"),
    [
        pytest.param(5, (6, 7), 7, [(50, 50), (60, 60), (70, 70)], id="all are known"),
        pytest.param(5, (), None, [(50, 50)], id="nothing was rolled away"),
        pytest.param(5, (7,), 7, [], id="one in between cannot be read"),
        pytest.param(5, (6,), 7, [], id="the bad one cannot be read"),
        pytest.param(4, (5, 6, 7), 7, [], id="the target was pruned"),
        pytest.param(7, (5, 6), 6, [], id="through GitHub the target is the newest"),
    ],
)
def test_the_intervals_are_known_from_the_target_to_the_bad_revision_or_not_at_all(
    target, later, bad, expected
):
    releases = [release(5, 50), release(6, 60), release(7, 70)]
    assert chosen(*releases, target=target, later=later, bad=bad) == expected


def test_of_two_clocks_both_are_kept_and_what_failed_has_replaced_nothing():
    ahead, behind = release(5, said=50, made=45), release(5, said=50, made=55)
    assert chosen(ahead, release(6, 60, made=55), target=5, later=(6,), bad=6) == [(45, 50), (55, 60)]
    assert chosen(behind, release(6, 60, made=65), target=5, later=(6,), bad=6) == [(50, 55), (60, 65)]
    failed = release(6, 60, status="failed"), release(6, 60, said_of_it='Upgrade "web" failed: timed out')
    for six in (*failed, release(6, 60, status="pending-upgrade")):
        assert chosen(release(5, 50), six, target=5, later=(6,), bad=6) == [(50, 50), (60, 60, "failed")]


def test_each_kind_says_itself_who_waits_for_it_and_when_it_is_looked_at_again():
    kinds = (
        EquivalenceCheck,
        RolloutCheck,
        SmokeCheck,
        LogsCheck,
        HealthCheck,
        EventsCheck,
        MigrationCheck,
        NotifyCheck,
    )
    assert [kind for kind in kinds if kind.gates_others] == [RolloutCheck]
    assert [kind for kind in kinds if kind.rechecked_at_end] == [EquivalenceCheck, RolloutCheck]
    looks = [EquivalenceCheck, RolloutCheck, LogsCheck, HealthCheck, EventsCheck]
    assert [kind for kind in kinds if kind.rechecked_on_failure] == looks
    assert {kind for kind in kinds if kind.failure_ends_waiting} == {*looks, SmokeCheck}
    assert [kind for kind in kinds if kind.waiting_may_end] == [HealthCheck, EventsCheck]


@pytest.mark.parametrize("declared", [True, False])
def test_an_own_item_is_looked_at_again_only_if_it_says_so(declared):
    item = CustomItem("own", "Own", "it is well", observe=lambda context: None, recheck_on_failure=declared)
    check = OwnCheck(item, context=None)
    assert check.rechecked_on_failure is declared
    assert not CustomItem("own", "Own", "it is well", observe=lambda context: None).recheck_on_failure
    assert (check.gates_others, check.failure_ends_waiting, check.waiting_may_end) == (False, False, False)


def test_what_pytest_collects_without_a_configuration_is_the_runbooks_checklist():
    workloads = {"backend": "deployment/backend", "frontend": "deployment/frontend"}
    assert tuple(item.id for item in initial_checklist(workloads, ())) == DEFAULT_ITEMS


def manifest(*places: str, kind: str = "Deployment") -> str:
    text = "apiVersion: apps/v1\nkind: {}\nmetadata: {{name: app, namespace: {}}}\nspec: {{template: {{}}}}\n"
    return "---\n".join(text.format(kind, place) for place in places)


def test_case_c5_the_namespaces_of_the_target_and_of_what_was_rolled_away_are_watched():
    releases = [
        replace(release(4, 40), manifest=manifest("older")),
        replace(release(5, 50), manifest=manifest("own", "other")),
        replace(release(6, 60), manifest=manifest("own", "gone", kind="StatefulSet")),
        replace(release(7, 70), manifest="{no yaml"),
    ]
    env = Environment(name="e", context="c", namespace="own", workloads="auto")
    plan = Plan(compared_with=releases[2].revision)
    history = ReleaseHistory("own", "web", tuple(releases))
    expected = ExpectedRelease(history, target=5, plan=plan, head=7, last_read=history)
    found = watched(env, expected)
    assert next(iter(found)) == "own"
    assert {"other", "gone"} == {*found} - {"own"}
    assert found["other"] == ("deployments", "pods", "replicasets")
    assert found["gone"] == ("pods", "replicasets", "statefulsets")
    assert "statefulsets" in found["own"]
    assert event_places(env, expected) == ("own", "other")


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("kind: A\napiVersion: v1\nmetadata: {name: a}", []),
        ("kind: A\napiVersion: v1\nmetadata: {name: a, namespace: own}", []),
        ("kind: A\napiVersion: v1\nmetadata: {name: a, namespace: 'other'}", ["other"]),
        ("kind: A\napiVersion: v1\nmetadata:\n  namespace:\n    other\n  name: a", ["other"]),
        ("kind: A\napiVersion: v1\nmetadata: {name: a, namespace: &n other}", ["other"]),
        ("kind: CustomResourceDefinition\napiVersion: v1\nmetadata: {name: a}\nspec: {namespace: {}}", []),
        ("{no yaml namespace: other", []),
    ],
)
def test_case_c5_other_namespaces_are_found_without_parsing_the_rest(document, found):
    text = f"# Source: x\nkind: B\napiVersion: v1\nmetadata: {{name: b}}\n---\n# Source: y\n{document}\n"
    objects = watched_places._outer_objects(replace(release(5, 50), manifest=text), "own")
    assert [
        item["metadata"]["namespace"] for item in objects if item["metadata"]["namespace"] != "own"
    ] == found
    assert len(objects) <= 1


WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "prod"},
    "spec": {},
}


@pytest.mark.parametrize(
    ("home", "there", "doubts"),
    [("prod", True, 1), ("prod", False, 0), ("", True, 0), ("staging", True, 0)],
)
def test_a_record_that_came_with_a_copied_namespace_is_not_believed(monkeypatch, home, there, doubts):
    """velero restore --namespace-mappings prod:staging: the record in staging still says prod."""
    asked = []

    def fetch(kube, objects):
        asked.extend(item["metadata"]["namespace"] for item in objects)
        return tuple(LiveObject(item if there else None) for item in objects)

    monkeypatch.setattr(build_checklist, "fetch_live", fetch)
    found = list(build_checklist._namesakes(None, "staging", home, [WEB]))
    assert len(found) == doubts
    assert asked == ["staging"] * (home == "prod")
    for each in found:
        assert each.endswith("may have its own Deployment/web: which of them are meant is not known")
