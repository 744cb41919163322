"""Guards: accept and reject tables, whole sentences."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.clients.helm import HelmVersion
from pytest_zkrollback.domain.environment import Environment, Identity
from pytest_zkrollback.domain.errors import Forbidden, HelmProblem, Unreachable
from pytest_zkrollback.domain.model import Revision
from pytest_zkrollback.release.history import Release, ReleaseHistory
from pytest_zkrollback.rollback.all_guards import judge_guards, judge_verify_guards
from pytest_zkrollback.rollback.guards import Answer, Facts, refusals
from pytest_zkrollback.rollback.lock import LockState
from pytest_zkrollback.rollback.target import choose_target

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)


def revision(number, status="superseded", description="Upgrade complete", rollback_of=None, **more):
    return Release(
        Revision(
            revision=number,
            status=status,
            chart="zkprova-1.0.0",
            deployed_at=AT,
            description=description,
            rollback_of=rollback_of,
        ),
        **{"manifest": f"# {number}", **more},
    )


def history(*releases):
    found = releases or (revision(4), revision(5), revision(6, "deployed"))
    return Answer(value=ReleaseHistory("default", "zkprova", found))


def facts(**changes):
    usual = {
        "history": history(),
        "identity": Answer(value="uid-1"),
        "server": Answer(value="v1.37.2"),
        "helm": Answer(value=HelmVersion("v4.3.1", 4)),
        "denied": Answer(value=()),
        "lock": Answer(value=LockState()),
        "live": Answer(value={}),
        "owners": Answer(value=()),
        "scalers": Answer(value=()),
        "elsewhere": Answer(value=False),
        "now": AT + timedelta(minutes=1),
    }
    return Facts(**{**usual, **changes})


def environment(**changes):
    workloads = {"api": "deployment/api"}
    return Environment(**{"name": "staging", "context": "staging", "workloads": workloads, **changes})


def judged(found=None, env=None, target=5, confirm=None):
    found = found or facts()
    known = found.history.value
    choice = Answer(value=choose_target(target, known, ())) if known is not None else Answer()
    return judge_guards(replace(found, choice=choice), env or environment(), confirm)


def refused(found=None, env=None, target=5, confirm=None):
    guards = judged(found, env, target, confirm)
    return {guard.id: guard.evidence for guard in refusals(guards)}


def test_nothing_speaks_against_a_usual_rollback():
    guards = judged()
    assert refusals(guards) == []
    assert [(guard.id, guard.state) for guard in guards] == [
        ("identity", "warned"),
        ("protected", "ok"),
        ("storage", "ok"),
        ("release", "ok"),
        ("pending", "ok"),
        ("deployed", "ok"),
        ("target", "ok"),
        ("gitops", "ok"),
        ("deploying", "ok"),
        ("hpa", "ok"),
        ("helm-version", "ok"),
        ("permissions", "ok"),
        ("lock", "ok"),
    ]


PINNED = {"identity": Identity(kube_system_uid="uid-1")}


@pytest.mark.parametrize(
    ("found", "env", "target", "confirm", "expected"),
    [
        pytest.param(
            {"identity": Answer(value="uid-2")},
            PINNED,
            5,
            None,
            {"identity": "context 'staging' points at cluster uid-2, but uid-1 is pinned"},
            id="fault-9",
        ),
        pytest.param(
            {"identity": Answer(error=Unreachable("no answer"))},
            PINNED,
            5,
            None,
            {"identity": "whether this is the pinned cluster is unknown: no answer"},
            id="fault-9-unknown",
        ),
        pytest.param(
            {},
            {"protected": True},
            5,
            "staging",
            {
                "identity": "environment 'staging' is protected but its cluster is not pinned; this cluster is "
                "uid-1: add kube_system_uid to [environments.staging.identity]"
            },
            id="protected-unpinned",
        ),
        pytest.param(
            {},
            {"protected": True, **PINNED},
            5,
            None,
            {"protected": "environment 'staging' is protected"},
            id="protected-unconfirmed",
        ),
        pytest.param(
            {"history": history(revision(5), revision(6, "pending-upgrade"))},
            {},
            5,
            None,
            {
                "pending": "revision 6 is pending-upgrade since 2026-11-23 02:11:00 UTC (for 60 s): a helm probably "
                "still works on it, as a pipeline's `helm upgrade --wait` does"
            },
            id="fault-17",
        ),
        pytest.param(
            {"history": history(revision(1), revision(2), revision(5), revision(6, "deployed"))},
            {},
            4,
            None,
            {"target": "revision 4 does not exist; there are 1 to 2, 5 to 6"},
            id="fault-12",
        ),
        pytest.param(
            {"history": history(revision(5, "failed", "no such image"), revision(6, "deployed"))},
            {},
            5,
            None,
            {"target": "revision 5 is failed: no such image"},
            id="fault-15",
        ),
        pytest.param(
            {"helm": Answer(error=HelmProblem("there is no helm"))},
            {},
            5,
            None,
            {"helm-version": "there is no helm"},
            id="fault-32",
        ),
        pytest.param(
            {"denied": Answer(value=("patch deployments.apps",))},
            {},
            5,
            None,
            {"permissions": "you may not: patch deployments.apps"},
            id="fault-8",
        ),
        pytest.param(
            {"denied": Answer()},
            {},
            5,
            None,
            {"permissions": "whether you may write is unknown: no answer within the preflight's budget"},
            id="rights-unknown",
        ),
        pytest.param(
            {"history": Answer(error=Forbidden("you may not list secrets", verb="list", resource="secrets"))},
            {},
            5,
            None,
            {
                "release": "you may not list secrets",
                "pending": "whether another operation runs is unknown",
                "target": "which revisions exist is unknown",
            },
            id="history-unknown",
        ),
    ],
)
def test_each_refusal_has_its_evidence(found, env, target, confirm, expected):
    assert refused(facts(**found), environment(**env), target, confirm) == expected


def test_confirmed_and_pinned_a_protected_environment_passes():
    assert refused(env=environment(protected=True, **PINNED), confirm="staging") == {}


def test_a_confirmation_of_another_environment_is_refused_everywhere():
    assert refused(confirm="production") == {
        "protected": "--rollback-confirm=production names another environment than --env=staging"
    }


def test_verifying_needs_the_right_cluster_and_a_known_release_and_no_more():
    found = facts(denied=Answer(), helm=Answer(), history=history(revision(6, "failed")))
    assert refusals(judge_verify_guards(found, environment(protected=True))) == []
    wrong = judge_verify_guards(facts(identity=Answer(value="uid-2")), environment(**PINNED))
    assert [guard.id for guard in refusals(wrong)] == ["identity"]
