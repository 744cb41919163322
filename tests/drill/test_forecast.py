"""Forecast against reality with both helms (all situations: benchmarks/forecast.py), and through the command."""

import pytest

from support.forecast_reality import play
from support.forecast_situations import SITUATIONS

EIGHT = (
    "calm",
    "scale",
    "hpa-and-replicas",
    "immutable-selector",
    "adopted",
    "quota-for-both",
    "rbac-no-patch",
    "removed-api",
)


@pytest.mark.parametrize("major", [4, 3])
@pytest.mark.parametrize("name", EIGHT)
def test_reality_does_not_contradict_the_forecast(cluster, helm3, tmp_path, name, major):
    cluster = type(cluster)(**{**vars(cluster), "binaries": {**cluster.binaries, "helm3": helm3}})
    situation = next(each for each in SITUATIONS if each.name == name)
    outcome = play(situation, cluster, major, tmp_path)
    assert outcome.contradiction == ""
    assert outcome.forecast.will != "unknown"


def test_fault_31_a_conflict_is_known_before_and_forced_only_if_accepted(incident):
    incident.kubectl("scale", "deployment/zkprova-zkprova-frontend", "--replicas=4")
    refused = incident.run("--rollback-to=5")
    assert (refused.code, refused.record["outcome"], refused.record["helm"]["ran"]) == (1, "refused", False)
    guard = refused.guard("forecast")
    assert guard["evidence"] == (
        "helm would stop at field conflicts; the override means its --force-conflicts and overwrites "
        "Deployment/zkprova-zkprova-frontend .spec.replicas: 4 (kubectl) -> 2"
    )
    assert (
        "--force-conflicts and overwrites Deployment/zkprova-zkprova-frontend .spec.replicas: 4"
        in refused.output
    )
    [failing] = [
        each for each in refused.record["plan"]["forecast"]["objects"] if each["will"] == "will fail"
    ]
    assert failing["conflicts"] == [
        {"manager": "kubectl", "field": ".spec.replicas", "live": "4", "target": "2", "placeholder": False}
    ]
    assert (
        "pytest --env=test --rollback-to=5 --rollback-override=forecast=accepted"
        in refused.record["next_commands"]
    )
    assert incident.head() == 6
    done = incident.run("--rollback-to=5", "--rollback-override=forecast=two are enough")
    assert (done.code, done.record["outcome"]) == (0, "verified"), done.output
    assert "--force-conflicts" in done.record["helm"]["argv"]
    assert incident.revisions()[-1][:2] == (7, "deployed")


def test_fault_68_a_rollback_that_would_restart_no_pod_is_said(incident, helm3):
    incident.helm("rollback", "zkprova", "5", "--history-max", "0")
    for helm in (incident.helm_path, helm3):
        incident.use(helm)
        plan = incident.run("--rollback-to=5", "--rollback-plan")
        assert "no pod would restart" in plan.guard("forecast")["evidence"]
