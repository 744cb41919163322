"""The guards ownership and data-loss: what helm would take away from others, or for good (cases B1, B6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.preflight.guards.objects import judge_data_loss, judge_ownership
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.release_view import Touched
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.manifest import identity
from support.preflight_facts import environment, facts

NAMED = {"name": "zkprova", "namespace": "default"}
WHERE = "--context staging"


def live(kind="ConfigMap", name="shared", release=None, namespace=None, keep=False, **more):
    notes = {
        f"meta.helm.sh/release-{key}": value
        for key, value in (("name", release), ("namespace", namespace))
        if value
    }
    if keep:
        notes["helm.sh/resource-policy"] = "keep"
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "annotations": notes},
        **more,
    }


def touched(deleted=(), applied=(), hooks=()):
    def by_key(items):
        return {identity(item): LiveObject(item) for item in items}

    return ProbeResult(value=Touched(by_key(deleted), by_key(applied), by_key(hooks)))


OURS = live(release="zkprova", namespace="default")
THEIRS = live(release="other", namespace="default")
ELSEWHERE = live(release="zkprova", namespace="shop")
LOSES = (
    "That release loses it, with what is in it, and nobody there is told. Helm does not look at whose it is."
)


@pytest.mark.parametrize(
    ("found", "state", "evidence"),
    [
        pytest.param(touched(), "ok", "no object that helm would touch names another release", id="nothing"),
        pytest.param(
            touched([OURS], [OURS]), "ok", "no object that helm would touch names another release", id="ours"
        ),
        pytest.param(
            touched([live()], [live()]),
            "ok",
            "no object that helm would touch names another release",
            id="nobodys",
        ),
        pytest.param(
            touched(deleted=[THEIRS]),
            "refused",
            "ConfigMap/shared belongs to release default/other and would be deleted",
            id="case-B1-deleted",
        ),
        pytest.param(
            touched(applied=[THEIRS]),
            "refused",
            "ConfigMap/shared belongs to release default/other and would be overwritten",
            id="case-B1-overwritten",
        ),
        pytest.param(
            touched(hooks=[THEIRS]),
            "refused",
            "ConfigMap/shared belongs to release default/other and would be deleted and made anew as a hook",
            id="case-B1-hook",
        ),
        pytest.param(
            touched(applied=[ELSEWHERE]),
            "refused",
            "ConfigMap/shared belongs to release shop/zkprova and would be overwritten",
            id="case-B1-same-name-in-another-namespace",
        ),
        pytest.param(
            touched(deleted=[live(release="other")]),
            "refused",
            "ConfigMap/shared belongs to release default/other and would be deleted",
            id="case-B1-no-namespace-said",
        ),
        pytest.param(
            touched(deleted=[live(name=f"m{n}", release="other") for n in range(6)]),
            "refused",
            "; ".join(
                f"ConfigMap/m{n} belongs to release default/other and would be deleted" for n in range(4)
            )
            + "; 2 more",
            id="many",
        ),
        pytest.param(
            ProbeResult(error=Unreachable("You may not.")),
            "warned",
            "whether another release owns one of the objects is unknown: You may not.",
            id="unknown",
        ),
        pytest.param(
            ProbeResult(
                value=Touched(applied={identity(OURS): LiveObject(error=Unreachable("You may not."))})
            ),
            "warned",
            "whether another release owns ConfigMap/shared is unknown: not read",
            id="not-read",
        ),
    ],
)
def test_what_belongs_to_another_release_is_not_touched(found, state, evidence):
    guard = judge_ownership(facts(touched=found))
    assert (guard.state, guard.evidence) == (state, evidence)
    assert guard.consequence == (LOSES if state == "refused" else "")
    assert guard.override == ("--rollback-override=ownership=REASON" if state == "refused" else "")


CLAIM = live("PersistentVolumeClaim", "data", release="zkprova")
KEPT = live("PersistentVolumeClaim", "data", keep=True)
CRD = {**live("CustomResourceDefinition", "things.example.org"), "apiVersion": "apiextensions.k8s.io/v1"}
PLACE = live("Namespace", "extra")
TAKES_ALONG = live(
    "StatefulSet",
    "db",
    spec={
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        "volumeClaimTemplates": [{}],
    },
)
LEAVES = live("StatefulSet", "db", spec={"volumeClaimTemplates": [{}]})
NOTHING = "no PersistentVolumeClaim, kind or namespace would be deleted"
KEEP = "helm.sh/resource-policy=keep --overwrite"


@pytest.mark.parametrize(
    ("deleted", "contents", "state", "evidence", "commands"),
    [
        pytest.param([], {}, "ok", NOTHING, (), id="nothing"),
        pytest.param([OURS, live("Deployment", "web"), LEAVES], {}, "ok", NOTHING, (), id="no data in it"),
        pytest.param([KEPT], {}, "ok", NOTHING, (), id="kept"),
        pytest.param(
            [CLAIM],
            {identity(CLAIM): "8Gi, on volume pv-1"},
            "refused",
            "PersistentVolumeClaim/data would be deleted (8Gi, on volume pv-1)",
            (f"kubectl annotate persistentvolumeclaim data {KEEP} -n default {WHERE}",),
            id="case-B6-claim",
        ),
        pytest.param(
            [CLAIM],
            None,
            "refused",
            "PersistentVolumeClaim/data would be deleted; what is in it is not known",
            (f"kubectl annotate persistentvolumeclaim data {KEEP} -n default {WHERE}",),
            id="case-B6-contents-unknown",
        ),
        pytest.param(
            [CRD, PLACE],
            {identity(CRD): "with 3 of its kind in all namespaces"},
            "refused",
            "CustomResourceDefinition/things.example.org would be deleted (with 3 of its kind in all namespaces); "
            "Namespace/extra would be deleted; what is in it is not known",
            (
                f"kubectl annotate customresourcedefinition things.example.org {KEEP} {WHERE}",
                f"kubectl annotate namespace extra {KEEP} {WHERE}",
            ),
            id="case-B6-kind-and-namespace",
        ),
        pytest.param(
            [TAKES_ALONG],
            {},
            "refused",
            "StatefulSet/db would be deleted, and its PersistentVolumeClaims with it",
            (),
            id="claims that go with their StatefulSet",
        ),
        pytest.param(
            [LEAVES],
            {identity(LEAVES): "data-db-1, data-db-2"},
            "refused",
            "StatefulSet/db would be deleted, and its PersistentVolumeClaims with it (data-db-1, data-db-2)",
            (),
            id="claims that an older policy left to their StatefulSet",
        ),
        pytest.param(
            [CLAIM, TAKES_ALONG],
            {identity(CLAIM): "8Gi"},
            "refused",
            "PersistentVolumeClaim/data would be deleted (8Gi); StatefulSet/db would be deleted, and its "
            "PersistentVolumeClaims with it",
            (),
            id="one of two cannot be kept: then a command for the other alone would lead into the same refusal",
        ),
        pytest.param(
            [live("PersistentVolumeClaim", "data", release="other")],
            {},
            "refused",
            "PersistentVolumeClaim/data would be deleted; what is in it is not known",
            (),
            id="nobody is told to change what is another release's",
        ),
    ],
)
def test_nothing_is_deleted_that_no_rollback_brings_back(deleted, contents, state, evidence, commands):
    found = facts(touched=touched(deleted=deleted), contents=ProbeResult(value=contents))
    guard = judge_data_loss(found, environment())
    assert (guard.state, guard.evidence, guard.commands) == (state, evidence, commands)
    assert guard.override == ("--rollback-override=data-loss=REASON" if state == "refused" else "")


@pytest.mark.parametrize(
    ("hook", "lost"),
    [
        (CLAIM, True),
        (KEPT, True),
        (PLACE, True),
        (TAKES_ALONG, True),
        (CRD, False),
        (live("Job", "j"), False),
    ],
)
def test_a_hook_that_holds_data_is_deleted_whatever_its_policy_says(hook, lost):
    """Measured with both majors: the claim had another UID afterwards."""
    guard = judge_data_loss(facts(touched=touched(hooks=[hook])), environment())
    assert (guard.state == "refused") is lost
    if lost:
        assert guard.evidence == f"{identity(hook).label} would be deleted and made anew as a hook"
        assert guard.commands == ()


def sized(replicas, when="Delete", claims=({},)):
    spec = {
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": when},
        "volumeClaimTemplates": list(claims),
    }
    return live("StatefulSet", "db", spec={**spec, **({} if replicas is None else {"replicas": replicas})})


@pytest.mark.parametrize(
    ("now", "target", "refuses"),
    [
        (sized(3), sized(2), True),
        (sized(2), sized(3), False),
        (sized(2), sized(2), False),
        (sized(3), sized(None), False),
        (sized(3), sized(2, when="Retain"), False),
        (sized(3), sized(2, claims=()), False),
    ],
)
def test_claims_that_go_with_replicas_are_a_loss(now, target, refuses):
    guard = judge_data_loss(facts(touched=touched(applied=[now])), environment(), [target])
    assert (guard.state == "refused") is refuses
    if refuses:
        assert guard.evidence == (
            "StatefulSet/db goes from 3 to 2 replicas, and the PersistentVolumeClaims of 1 pods would be deleted "
            "with them"
        )


def test_what_could_not_be_read_is_said_and_refuses_nothing():
    unknown = judge_data_loss(facts(touched=ProbeResult(budget_s=5.0)), environment())
    said = "what helm would delete is unknown: no answer within 5 s (preflight_budget_s)"
    assert (unknown.state, unknown.evidence) == ("warned", said)
    unread = Touched(deleted={identity(CLAIM): LiveObject(error=Unreachable("no"))})
    guard = judge_data_loss(facts(touched=ProbeResult(value=unread)), environment())
    assert (guard.state, guard.evidence) == (
        "warned",
        "what becomes of PersistentVolumeClaim/data, which the target does not have, is unknown: not read",
    )
    gone = Touched(deleted={identity(CLAIM): LiveObject()})
    assert judge_data_loss(facts(touched=ProbeResult(value=gone)), environment()).state == "ok"


RELEASES = st.sampled_from(["zkprova", "other", None])
PLACES = st.sampled_from(["default", "shop", None])


@given(st.lists(st.tuples(RELEASES, PLACES), max_size=4), st.lists(st.tuples(RELEASES, PLACES), max_size=4))
def test_it_refuses_exactly_where_somebody_else_is_named(deleted, applied):
    items = [
        [
            live(name=f"{part}{n}", release=release, namespace=place)
            for n, (release, place) in enumerate(owners)
        ]
        for part, owners in (("d", deleted), ("a", applied))
    ]
    theirs = any(release == "other" or place == "shop" for release, place in (*deleted, *applied))
    assert (judge_ownership(facts(touched=touched(*items))).state == "refused") is theirs


def test_break_glass_and_one_override_go_past_both():
    from pytest_zkrollback.preflight.overrides import apply_overrides

    found = facts(touched=touched(deleted=[replace_owner(CLAIM)]))
    guards = [judge_ownership(found), judge_data_loss(found, environment())]
    assert [each.state for each in guards] == ["refused", "refused"]
    assert [each.state for each in apply_overrides(guards, {"data-loss": "it is empty"})] == [
        "refused",
        "overridden",
    ]
    assert [each.state for each in apply_overrides(guards, {}, "all is down")] == ["overridden", "overridden"]


def replace_owner(item):
    return live(item["kind"], item["metadata"]["name"], release="other")
