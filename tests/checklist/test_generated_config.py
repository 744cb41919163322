"""P14: a Secret that a controller makes of an object of the release, read by pods that stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_zkrollback.checklist.equivalence.generated_config import generated_sources, judge_generated
from pytest_zkrollback.checklist.equivalence.model import Cluster, DeployedInterval, Expectation, PodProblem
from pytest_zkrollback.checklist.equivalence.templates import Remark
from pytest_zkrollback.domain.checks import JsonObject
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.managed_fields import data_written_at
from support.manifests import parse_manifest

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ENV = "containers: [{name: app, image: web, envFrom: [{secretRef: {name: s}}]}]"
FILES = (
    "volumes: [{name: v, secret: {secretName: s}}], "
    "containers: [{name: app, image: web, volumeMounts: [{name: v, mountPath: /s}]}]"
)
SEALED = ("bitnami.com/v1alpha1", "SealedSecret", "s", "{encryptedData: {k: VALUE}}")
EXTERNAL = ("external-secrets.io/v1", "ExternalSecret", "es", "{target: {name: s}, data: [VALUE]}")
CERTIFICATE = ("cert-manager.io/v1", "Certificate", "cert", "{secretName: s, dnsNames: [VALUE]}")
OWNING = ("example.org/v1", "Vault", "v", "{path: VALUE}")
UNRELATED = ("example.org/v1", "Widget", "w", "{path: VALUE}")


def manifest(maker: tuple[str, str, str, str], value: str, spec: str = ENV) -> tuple[JsonObject, ...]:
    api_version, kind, name, body = maker
    return parse_manifest(
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n"
        f"spec: {{template: {{spec: {{{spec}}}}}}}\n---\napiVersion: {api_version}\nkind: {kind}\n"
        f"metadata: {{name: {name}}}\nspec: {body.replace('VALUE', value)}\n",
        "n",
    )


def at(seconds: int) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def secret(written: int | None, *, refreshed: int | None = None, owner: str = "") -> JsonObject:
    """``written``: when its data was; ``refreshed``: when its annotations were, by an entry of their own."""
    fields = (
        []
        if written is None
        else [{"manager": "c", "time": at(written), "fieldsV1": {"f:data": {"f:k": {}}}}]
    )
    if refreshed is not None:
        entry = {"f:metadata": {"f:annotations": {"f:refreshed": {}}}}
        fields.append({"manager": "c", "time": at(refreshed), "fieldsV1": entry})
    owners = [{"uid": owner}] if owner else []
    metadata = {"name": "s", "namespace": "n", "managedFields": fields, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}


def judged(
    made: JsonObject | None,
    started: int,
    maker: tuple[str, str, str, str] = SEALED,
    away: str = "bad",
    spec: str = ENV,
    status: JsonObject | None = None,
    created: int | None = None,
    **more: Any,
) -> list[PodProblem | Remark]:
    target = manifest(maker, "good", spec)
    rolled_away = manifest(maker, away, spec)
    live = [
        LiveObject({**item, "metadata": {**item["metadata"], "uid": item["kind"], "generation": 3}})
        for item in target
    ]
    if status is not None:
        live[1] = LiveObject({**live[1].item, "status": status})
    replicaset = {"metadata": {"uid": "rs", "ownerReferences": [{"uid": "Deployment", "controller": True}]}}
    pod = {
        "metadata": {
            "name": "web-1",
            "namespace": "n",
            "uid": "p",
            "creationTimestamp": at(-3600 if created is None else created),
            "ownerReferences": [{"uid": "rs", "controller": True}],
        },
        "status": {"containerStatuses": [{"name": "app", "state": {"running": {"startedAt": at(started)}}}]},
    }
    expected = Expectation(
        target=target,
        before=rolled_away,
        rolled_away=(rolled_away,),
        since=NOW,
        now=NOW + timedelta(seconds=20),
        is_fresh=True,
        namespace="n",
    )
    seen = Cluster(tuple(live), (replicaset,), (pod,))
    expected = replace(expected, **more)
    answers = [LiveObject(made) for _ in generated_sources(target, (rolled_away,))]
    return list(judge_generated(expected, seen, answers))


@pytest.mark.parametrize("maker", [SEALED, EXTERNAL, CERTIFICATE, OWNING], ids=lambda each: each[1])
def test_case_p14_data_written_after_the_pods_start_is_unverified_with_the_restart(maker) -> None:
    [found] = judged(secret(5, owner=maker[1]), -300, maker)
    assert (found.word, found.waits) == (Verdict.UNVERIFIED, False)
    assert found.text == (
        "Pod web-1 of Deployment/web may have other values than the target's: its container app read Secret/s at "
        f"its start, 2026-11-23 09:55:00 UTC, and the data of that was written at 2026-11-23 10:00:05 UTC, of "
        f"{maker[1]}/{maker[2]}, which changed (kubectl rollout restart deployment/web)"
    )
    assert found.restart.words == ("rollout", "restart", "deployment/web")


@pytest.mark.parametrize(
    ("made", "started", "more"),
    [
        pytest.param(secret(-400, refreshed=5), -300, {}, id="a refresh with the same data"),
        pytest.param(secret(5), 10, {"created": 9}, id="a new pod"),
        pytest.param(secret(5), 4, {"created": 5}, id="made after it by the API server's clock"),
        pytest.param(secret(5), 90, {}, id="the container started anew, more than a clock may be off"),
        pytest.param(secret(5), -300, {"away": "good"}, id="the object did not change"),
        pytest.param(secret(5, owner="other"), -300, {"maker": UNRELATED}, id="of something else"),
        pytest.param(None, -300, {}, id="not there: the reference says so"),
    ],
)
def test_case_p14_where_the_pod_has_the_targets_data_nothing_is_said(made, started, more) -> None:
    assert judged(made, started, **more) == []


@pytest.mark.parametrize(
    ("made", "started"),
    [
        pytest.param(secret(None), -300, id="nobody knows when it was written"),
        pytest.param(secret(5), 30, id="a node's clock may be that much ahead"),
    ],
)
def test_case_p14_where_it_is_not_known_it_is_unverified(made, started) -> None:
    [found] = judged(made, started)
    assert found.word is Verdict.UNVERIFIED


def test_case_p14_a_pod_of_the_targets_own_time_read_what_was_made_then() -> None:
    target, away = manifest(SEALED, "good"), manifest(SEALED, "bad")
    before = NOW - timedelta(hours=2)
    intervals = (DeployedInterval(before, before, target), DeployedInterval(NOW, NOW, away))
    assert judged(secret(5), -3600, intervals=intervals) == []
    assert len(judged(secret(5), -30, intervals=intervals)) == 1


@pytest.mark.parametrize(
    ("status", "behind"),
    [
        ({"observedGeneration": 2}, True),
        ({"observedGeneration": 3}, False),
        ({"conditions": [{"observedGeneration": 2}]}, True),
        ({"syncedResourceVersion": "2-6a0b"}, True),
        ({"syncedResourceVersion": "3-6a0b"}, False),
        ({}, False),
    ],
)
def test_case_p14_what_is_not_made_yet_is_waited_for(status, behind) -> None:
    found = judged(secret(-400), -300, status=status)
    assert bool(found) is behind
    if behind:
        assert (found[0].word, found[0].waits) == (Verdict.UNVERIFIED, True)
        assert found[0].text == "Secret/s is not made yet of SealedSecret/s as it is now"


def test_case_p14_files_of_it_are_unverified_unless_they_are_read_again() -> None:
    [found] = judged(secret(5), -300, spec=FILES)
    assert found.text == (
        "Deployment/web was not restarted, and nobody saw it read the files of Secret/s again, which are made of "
        'SealedSecret/s; if it does that by itself: reloads = [{ kind = "Secret", name = "s" }]'
    )
    reloads = frozenset({("Secret", "s")})
    [soon] = judged(secret(5), -300, spec=FILES, reloads=reloads)
    assert (soon.word, soon.waits) == (Verdict.UNVERIFIED, True)
    [done] = judged(secret(5), -300, spec=FILES, reloads=reloads, now=NOW + timedelta(seconds=200))
    assert done == Remark("Deployment/web reads the files of Secret/s again by itself (reloads)")
    assert judged(secret(5), -300, spec=FILES, is_fresh=False) == []


def test_case_p14_nothing_is_asked_for_where_no_such_object_changed() -> None:
    target = manifest(SEALED, "good")
    assert generated_sources(target, (manifest(SEALED, "good"),)) == ()
    assert generated_sources(target, ()) == ()
    [asked] = generated_sources(target, (manifest(SEALED, "bad"),))
    assert (asked["kind"], asked["metadata"]) == ("Secret", {"name": "s", "namespace": "n"})


def test_when_data_was_written_is_told_by_the_entry_that_owns_it() -> None:
    assert data_written_at(secret(5, refreshed=50)) == NOW + timedelta(seconds=5)
    assert data_written_at(secret(None, refreshed=50)) is None
