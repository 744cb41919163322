"""Guards: accept and reject tables, whole sentences."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pytest_zkrollback.clients.helm import HelmVersion
from pytest_zkrollback.config.environment import Identity
from pytest_zkrollback.domain.errors import Forbidden, HelmProblem, Unreachable
from pytest_zkrollback.preflight.guards import judge_guards, judge_verify_guards
from pytest_zkrollback.preflight.guards.cluster import judge_clock, refusals
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.target import choose_target
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.gitops import GitOpsOwner
from pytest_zkrollback.release.manifest import identity
from support.preflight_facts import AT, environment, facts, history, revision


def judged(found=None, env=None, target=5, confirm=None):
    found = found or facts()
    known = found.history.value
    choice = ProbeResult(value=choose_target(target, known, ())) if known is not None else ProbeResult()
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
        ("forecast", "ok"),
        ("images", "ok"),
        ("ownership", "ok"),
        ("data-loss", "ok"),
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
            {"identity": ProbeResult(value="uid-2")},
            PINNED,
            5,
            None,
            {"identity": "context 'staging' points at cluster uid-2, but uid-1 is pinned"},
            id="fault-9",
        ),
        pytest.param(
            {"identity": ProbeResult(error=Unreachable("no answer"))},
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
            {"helm": ProbeResult(error=HelmProblem("there is no helm"))},
            {},
            5,
            None,
            {"helm-version": "there is no helm"},
            id="fault-32",
        ),
        pytest.param(
            {"denied": ProbeResult(value=("patch deployments.apps",))},
            {},
            5,
            None,
            {"permissions": "you may not: patch deployments.apps"},
            id="fault-8",
        ),
        pytest.param(
            {"denied": ProbeResult(budget_s=5.0)},
            {},
            5,
            None,
            {
                "permissions": "no right is known to be missing, and whether helm has all is unknown: no answer "
                "within 5 s (preflight_budget_s)"
            },
            id="case-c1-rights-that-nobody-denied-do-not-read-as-denied",
        ),
        pytest.param(
            {
                "history": ProbeResult(
                    error=Forbidden("you may not list secrets", verb="list", resource="secrets")
                )
            },
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
    found = facts(denied=ProbeResult(), helm=ProbeResult(), history=history(revision(6, "failed")))
    assert refusals(judge_verify_guards(found, environment(protected=True))) == []
    wrong = judge_verify_guards(facts(identity=ProbeResult(value="uid-2")), environment(**PINNED))
    assert [guard.id for guard in refusals(wrong)] == ["identity"]


def shown(found=None, env=None, target=5):
    """Guard id -> (state, evidence) of what is not plainly ok."""
    guards = judged(found, env, target)
    return {guard.id: (guard.state, guard.evidence) for guard in guards if guard.state != "ok"}


def workload(**metadata):
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "n", "generation": 3, **metadata},
        "status": {"observedGeneration": 3},
    }


def by_hand(manager, seconds_after, field="f:spec", subresource=None):
    time = (AT + timedelta(seconds=seconds_after)).isoformat()
    return {"manager": manager, "time": time, "fieldsV1": {field: {}}, "subresource": subresource}


def live(item):
    return {"live": ProbeResult(value={identity(item): LiveObject(item)})}


def scaler(kind="Deployment", desired=7):
    target = {"kind": kind, "name": "web"}
    return {
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2},
        "status": {"desiredReplicas": desired},
    }


@pytest.mark.parametrize(
    ("found", "guard", "state", "evidence"),
    [
        pytest.param(
            {"driver": "configmap"},
            "storage",
            "refused",
            "HELM_DRIVER=configmap sends helm to another store than the Secrets that were read here: unset it",
            id="driver",
        ),
        pytest.param(
            {
                "history": ProbeResult(error=HelmProblem("There is no release")),
                "elsewhere": ProbeResult(value=True),
            },
            "storage",
            "refused",
            "ConfigMaps hold a release of this name (HELM_DRIVER=configmap), and Secrets do not: "
            "only releases in Secrets, helm's default, can be rolled back and verified here",
            id="in-configmaps",
        ),
        pytest.param(
            {"history": history(revision(5), revision(6, "pending-upgrade")), "now": AT + timedelta(hours=3)},
            "pending",
            "refused",
            "revision 6 is pending-upgrade since 2026-11-23 02:11:00 UTC (for 3 h): its helm has probably died and "
            "left the release stranded",
            id="fault-18-stale",
        ),
        pytest.param(
            {
                "history": history(
                    revision(5),
                    revision(6, "pending-upgrade", manager="helm-controller", labels={"pipeline": "4711"}),
                )
            },
            "pending",
            "refused",
            "revision 6 is pending-upgrade since 2026-11-23 02:11:00 UTC (for 60 s), by helm-controller, pipeline=4711: "
            "a helm probably still works on it, as a pipeline's `helm upgrade --wait` does",
            id="fault-17-by-whom",
        ),
        pytest.param(
            {
                "history": history(
                    revision(5), revision(6, "uninstalling", deleted_at=AT + timedelta(seconds=20))
                )
            },
            "pending",
            "refused",
            "revision 6 is uninstalling since 2026-11-23 02:11:20 UTC (for 40 s): a `helm uninstall` probably still "
            "waits, for instance for a pre-delete hook",
            id="case-A3-uninstalling",
        ),
        pytest.param(
            {"history": history(revision(5), revision(6, "uninstalling")), "now": AT + timedelta(hours=3)},
            "pending",
            "refused",
            "revision 6 is uninstalling since 2026-11-23 02:11:00 UTC (for 3 h): its `helm uninstall` has probably "
            "died halfway",
            id="case-A3-uninstall-died",
        ),
        pytest.param(
            {"history": history(revision(5), revision(6, "uninstalling"))},
            "deployed",
            "warned",
            "no revision is `deployed`: revision 6 is being uninstalled",
            id="case-A3-not-deployed",
        ),
        pytest.param(
            {"history": history(revision(5), revision(6, "failed"))},
            "deployed",
            "warned",
            "no revision is `deployed`: an earlier upgrade or rollback failed or was cut off",
            id="none-deployed",
        ),
        pytest.param(
            {"history": history(revision(5, "deployed"), revision(6, "deployed"))},
            "deployed",
            "warned",
            "revisions 5 and 6 are both `deployed`: two helms worked on the release at once",
            id="two-deployed",
        ),
        pytest.param(
            {"history": history(revision(5), revision(6, "uninstalled"))},
            "deployed",
            "warned",
            "revision 6 is uninstalled: the rollback makes every object anew",
            id="uninstalled",
        ),
        pytest.param(
            {
                "history": history(
                    revision(4), revision(5), revision(6, rollback_of=4), revision(7, "deployed")
                )
            },
            "target",
            "refused",
            "revision 5 holds what revision 6 (Upgrade complete) rolled back away from at 2026-11-23 02:11:00 "
            "UTC, and nothing speaks against revision 6; revision 5 is superseded: zkprova-1.0.0",
            id="rolled-away-from",
        ),
        pytest.param(
            {"history": history(revision(7, rollback_of=5), revision(8, "deployed"))},
            "target",
            "refused",
            "revision 5 does not exist; there are 7 to 8; revision 7 holds the same",
            id="fault-12-pruned-and-known",
        ),
        pytest.param(
            {
                "owners": ProbeResult(
                    value=(GitOpsOwner("Flux HelmRelease", "web", "flux", "Deployment/web", "label x"),)
                )
            },
            "gitops",
            "refused",
            "Flux HelmRelease flux/web manages Deployment/web (label x)",
            id="gitops",
        ),
        pytest.param(
            {
                "owners": ProbeResult(
                    value=(
                        GitOpsOwner(
                            "Flux HelmRelease", "web", "flux", "Deployment/web", "x", "it is suspended"
                        ),
                    )
                )
            },
            "gitops",
            "warned",
            "Flux HelmRelease flux/web would, but it is suspended",
            id="gitops-suspended",
        ),
        pytest.param(
            {"owners": ProbeResult(budget_s=5.0)},
            "gitops",
            "warned",
            "whether a GitOps controller manages the release is unknown: no answer within "
            "5 s (preflight_budget_s)",
            id="gitops-unknown-only-warns",
        ),
        pytest.param(
            live(workload(managedFields=[by_hand("kubectl-edit", 20)])),
            "deploying",
            "warned",
            "Deployment/web was changed by kubectl-edit 40 s ago",
            id="other-hands",
        ),
        pytest.param(
            live(workload(generation=4)),
            "deploying",
            "warned",
            "Deployment/web's newest change has not been seen by its controller yet",
            id="not-observed",
        ),
        pytest.param(
            {"scalers": ProbeResult(error=Forbidden("you may not", verb="list", resource="hpa"))},
            "hpa",
            "warned",
            "whether an autoscaler is there is unknown: you may not",
            id="hpa-unknown-only-warns",
        ),
        pytest.param(
            {
                "history": history(revision(5), revision(6, "deployed", apply_method="ssa")),
                "helm": ProbeResult(value=HelmVersion("v3.22.0", 3, 22)),
            },
            "helm-version",
            "warned",
            "helm v3.22.0 on a release that Helm 4 wrote by server-side apply: that works, and from then on the release "
            "is a client-side one",
            id="fault-69",
        ),
    ],
)
def test_each_guard_on_the_release_says_what_it_saw(found, guard, state, evidence):
    assert shown(facts(**found))[guard] == (state, evidence)


@pytest.mark.parametrize(
    "entry",
    [
        by_hand("helm", 20),
        by_hand("helm4", 20),
        by_hand("kube-controller-manager", 20, subresource="scale"),
        by_hand("kubelet", 20, subresource="status"),
        by_hand("kubectl-label", 20, field="f:metadata"),
        by_hand("kubectl-edit", -5),
        by_hand("kubectl-edit", -900),
        {"manager": "kubectl-edit", "time": None, "fieldsV1": {"f:spec": {}}},
    ],
    ids=lambda entry: f"{entry['manager']} {entry['time']}",
)
def test_the_stuck_rollout_of_the_bad_revision_is_no_other_hand(entry):
    stuck = workload(managedFields=[entry])
    stuck["status"]["conditions"] = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    ]
    assert "deploying" not in shown(facts(**live(stuck)))


def test_a_hand_that_acted_long_ago_is_drift_and_no_deployment_under_way():
    found = facts(
        **live(workload(managedFields=[by_hand("kubectl-edit", 20)])), now=AT + timedelta(minutes=15)
    )
    assert "deploying" not in shown(found)


@pytest.mark.parametrize(
    ("replicas", "scalers", "fought"),
    [
        (3, (scaler(),), True),
        (7, (scaler(),), False),
        (None, (scaler(),), False),
        (3, (scaler("StatefulSet"),), False),
        (3, (), False),
        (3, (scaler(desired=None),), True),
        (2, (scaler(desired=None),), False),
    ],
)
def test_an_autoscaler_is_fought_only_where_the_target_states_another_number(replicas, scalers, fought):
    target = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": replicas}}
    if replicas is None:
        target["spec"] = {}
    guards = judge_guards(facts(scalers=ProbeResult(value=scalers)), environment(), None, (target,))
    assert (next(guard for guard in guards if guard.id == "hpa").state == "warned") is fought


def test_unknowns_that_only_advise_refuse_nothing():
    blind = facts(
        live=ProbeResult(),
        owners=ProbeResult(),
        scalers=ProbeResult(),
        elsewhere=ProbeResult(),
        change_summary=ProbeResult(),
    )
    assert refused(blind) == {}


def test_case_a15_a_copied_record_is_named_before_helm_and_stops_nothing():
    said = (
        "Secret backup is listed by helm as revision 5, deployed; Secret v5, which helm reads, is superseded"
    )
    found = history()
    copied = facts(history=ProbeResult(value=replace(found.value, copies=(said,))))
    [guard] = [each for each in judged(copied) if each.id == "release"]
    assert (guard.state, guard.reason) == ("warned", "copied-record")
    assert guard.evidence == f"{said}; revision 6 is deployed (zkprova-1.0.0), 3 revisions kept"
    assert refused(copied) == {}


@pytest.mark.parametrize(
    ("offset_s", "disagreement_s", "evidence"),
    [
        (0, 0, None),
        (59, 9, None),
        (-59, 0, None),
        (400, 0, "this machine's clock is 400 s behind the API server's, which counts: one of them is wrong"),
        (
            -61,
            0,
            "this machine's clock is 61 s ahead of the API server's, which counts: one of them is wrong",
        ),
        (
            0,
            400,
            "the API servers behind one address have times 400 s apart; the one nearer to this machine's counts",
        ),
    ],
)
def test_case_p3_b23_clocks_that_are_far_apart_warn(offset_s, disagreement_s, evidence):
    found = judge_clock(offset_s, disagreement_s)
    assert [(each.state, each.evidence) for each in found] == ([("warned", evidence)] if evidence else [])
