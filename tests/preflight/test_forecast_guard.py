"""The forecast's guard: whole sentences for what is refused, what warns, what is fine."""

import pytest

from pytest_zkrollback.clients.helm import HelmVersion
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.forecast import (
    ApplyOutcome,
    FieldConflict,
    Forecast,
    ForecastWarning,
    ObjectForecast,
    WarningKind,
)
from pytest_zkrollback.domain.record import GuardReason
from pytest_zkrollback.preflight.forecast import _value
from pytest_zkrollback.preflight.guards.forecast import judge_forecast
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.release.manifest import ObjectKey

HELM = ProbeResult(value=HelmVersion("v4.3.1", 4, 3))
FINE = ObjectForecast(what="ConfigMap/a", action="change", will=ApplyOutcome.APPLY)
SCALED = ObjectForecast(
    what="Deployment/api",
    action="change",
    will=ApplyOutcome.FAIL,
    cause="conflict",
    why="409",
    conflicts=(FieldConflict(manager="kubectl", field=".spec.replicas", live="7", target="3"),),
)
HIDDEN = ObjectForecast(
    what="Deployment/db",
    action="change",
    will=ApplyOutcome.FAIL,
    cause="conflict",
    conflicts=(
        FieldConflict(manager="", field=".spec.a", target="1"),
        FieldConflict(manager="", field=".spec.b", live="2"),
        FieldConflict(manager="edit", field=".spec.password"),
        FieldConflict(manager="edit", field=".spec.c", live="1", target="2"),
        FieldConflict(manager="edit", field=".spec.d", live="1", target="2"),
    ),
)
FIXED = ObjectForecast(
    what="Deployment/web",
    action="change",
    will=ApplyOutcome.FAIL,
    cause="immutable",
    why="selector is immutable",
)


def forecast(*objects, **more):
    will = (
        ApplyOutcome.FAIL if any(each.will is ApplyOutcome.FAIL for each in objects) else ApplyOutcome.APPLY
    )
    return Forecast(**{"will": will, "method": "server-side apply", "objects": objects, **more})


@pytest.mark.parametrize(
    ("found", "state", "evidence"),
    [
        (forecast(FINE), "ok", "1 objects tried by dry run (server-side apply): all will apply"),
        (
            forecast(FINE, SCALED),
            "refused",
            "helm would stop at field conflicts; the override means its --force-conflicts and overwrites "
            "Deployment/api .spec.replicas: 7 (kubectl) -> 3",
        ),
        (
            forecast(SCALED, HIDDEN),
            "refused",
            "helm would stop at field conflicts; the override means its --force-conflicts and overwrites "
            "Deployment/api .spec.replicas: 7 (kubectl) -> 3; Deployment/db .spec.a: (none) (somebody) -> 1; "
            "Deployment/db .spec.b: 2 (somebody) -> (none); Deployment/db .spec.password (of edit, values not "
            "shown); Deployment/db .spec.c: 1 (edit) -> 2; Deployment/db .spec.d: 1 (edit) -> 2",
        ),
        (
            forecast(SCALED, FIXED),
            "refused",
            "helm would fail (server-side apply): Deployment/api .spec.replicas: 7 (kubectl) -> 3; "
            "Deployment/web: immutable: selector is immutable",
        ),
        (
            forecast(FINE, restarts="no pod template changes"),
            "warned",
            "helm will apply everything, and no pod would restart: no pod template changes",
        ),
        (
            forecast(
                FINE, will=ApplyOutcome.UNKNOWN, unknown=("hook Job/a: no dry run says whether it works",)
            ),
            "warned",
            "1 objects tried by dry run; not known is hook Job/a: no dry run says whether it works",
        ),
    ],
)
def test_what_was_forecast_is_judged(found, state, evidence):
    guard = judge_forecast(ProbeResult(value=found), HELM)
    assert (guard.state, guard.evidence) == (state, evidence)


@pytest.mark.parametrize("objects", [(SCALED,), (SCALED, FINE)])
def test_conflicts_alone_can_be_forced_and_the_guard_says_what_that_means(objects):
    assert forecast(*objects).forcible
    guard = judge_forecast(ProbeResult(value=forecast(*objects)), HELM)
    assert guard.override == "--rollback-override=forecast=REASON"
    assert "the override means its --force-conflicts" in guard.evidence


@pytest.mark.parametrize("objects", [(FIXED,), (SCALED, FIXED), (FINE,), ()])
def test_nothing_else_is_ever_forced(objects):
    assert not forecast(*objects).forcible
    if FIXED in objects:
        guard = judge_forecast(ProbeResult(value=forecast(*objects)), HELM)
        assert "--force-conflicts" not in f"{guard.evidence} {guard.consequence}"


@pytest.mark.parametrize(
    ("kind", "path", "shown"),
    [
        ("Deployment", '.spec.template.spec.containers[name="app"].image', "web:1"),
        ("Deployment", ".spec.replicas", "3"),
        ("Deployment", '.spec.template.spec.containers[name="app"].env[name="DB_PASSWORD"].value', ""),
        ("Deployment", '.spec.template.spec.containers[name="app"].env', "(a list, not shown)"),
        ("Deployment", '.spec.template.spec.containers[name="app"]', "(a map, not shown)"),
        ("ConfigMap", ".data.app", "(252 characters, not shown)"),
        ("Deployment", ".spec.nothing[0].there", ""),
        ("Secret", ".spec.replicas", ""),
    ],
)
def test_a_conflicts_values_are_shown_and_no_secret_one(kind, path, shown):
    item = {
        "data": {"app": "url: amqp://app:hunter22@mq " * 9},
        "spec": {
            "replicas": 3,
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": "web:1",
                            "env": [{"name": "DB_PASSWORD", "value": "hunter22"}],
                        }
                    ]
                }
            },
        },
    }
    assert _value(ObjectKey("v1", kind, "n", "x"), item, path) == shown


@pytest.mark.parametrize("answer", [ProbeResult(), ProbeResult(error=Unreachable("cut off"))])
def test_what_is_not_known_only_warns(answer):
    assert judge_forecast(answer, HELM).state == "warned"


HOOK = ForecastWarning(
    kind=WarningKind.HOOK_NOT_RUN, what="ConfigMap/c", why="helm rollback does not run the hook"
)


def test_case_a2_what_will_not_be_as_the_target_had_it_warns_and_refuses_nothing():
    guard = judge_forecast(ProbeResult(value=forecast(FINE, warnings=(HOOK,))), HELM)
    assert (guard.state, guard.reason, guard.unknown) == ("warned", GuardReason.NOT_AS_TARGET, False)
    assert guard.evidence == (
        "helm will apply everything, and not all will be as the target had it: helm rollback does not run the hook"
    )
    assert guard.override == ""


def test_case_a2_it_is_said_beside_a_refusal_too():
    guard = judge_forecast(ProbeResult(value=forecast(FIXED, warnings=(HOOK,))), HELM)
    assert guard.state == "refused"
    assert guard.evidence.endswith("selector is immutable; helm rollback does not run the hook")


def test_case_p7_a_conflict_over_a_bundle_says_what_forcing_does():
    conflict = FieldConflict(
        manager="cainjector",
        field='.webhooks[name="a"].clientConfig.caBundle',
        live="x",
        target="Cg==",
        placeholder=True,
    )
    assert conflict.explain("Hook/a").endswith(
        "clientConfig.caBundle: x (cainjector) -> Cg==, which puts the placeholder back"
    )
    hidden = conflict.model_copy(update={"live": "", "target": ""})
    assert hidden.explain("Hook/a").endswith(
        "(of cainjector, values not shown), which puts the placeholder back"
    )
