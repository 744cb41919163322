"""What is offered to type next, compared as a whole: never what a guard refused, never a cluster that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.record import (
    Guard,
    GuardReason,
    Helm,
    Mode,
    Objection,
    ObjectionKind,
    Outcome,
    Plan,
    Record,
)
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.next_commands import next_commands, undo_command
from support.example_records import HISTORY, items, revision, verified

ENV = Environment(
    name="drill",
    context="drill",
    namespace="zkprova",
    url="http://x",
    workloads={"backend": "deployment/zkprova-zkprova-backend"},
)
ASKED = "pytest --env=drill --rollback-to=5 '--rollback-reason=backend crash-loops'"
WHERE = "-n zkprova --kube-context drill"


def given(**changes: Any) -> Record:
    """A run before helm, with the bad revision 6 as head."""
    usual = {"helm": Helm(), "revision_after": 6, "guards": (), "outcome": Outcome.FAILED, "items": items()}
    return verified(**(usual | changes))


def guard(
    name: str, evidence: str = "so it is", reason: GuardReason | None = None, *, unknown: bool = False
) -> Guard:
    return Guard(id=name, state="refused", evidence=evidence, reason=reason, unknown=unknown)


def after_refusal(*guards: Guard, **changes: Any) -> tuple[str, ...]:
    if any(each.id == "release" for each in guards):
        changes = {"plan": Plan(), "revision_before": None, "revision_after": None, **changes}
    return next_commands(given(outcome=Outcome.REFUSED, guards=guards, **changes), ENV)


def test_green_has_nothing_to_type_and_the_way_back_is_this_tools_own() -> None:
    """Raw helm would bring the bad revision back without lock and guards."""
    for outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS):
        assert next_commands(verified(outcome=outcome), ENV) == ()
        assert undo_command(verified(outcome=outcome)) == (
            "pytest --env=drill --rollback-to=6 '--rollback-override=target=the rollback itself was wrong'"
        )
    typed = "pytest --zkrollback-env=shop --zkrollback-config=z.toml --rollback-to=5 --rollback-confirm=shop"
    assert undo_command(verified(command_line=typed)) == (
        "pytest --zkrollback-env=shop --zkrollback-config=z.toml --rollback-to=6 "
        "'--rollback-override=target=the rollback itself was wrong'"
    )


STRANDED = Plan(
    history=(*HISTORY[:3], revision(6, "pending-upgrade", 760, "2026.11.5")),
    objections=(Objection(revision=6, kind=ObjectionKind.FAILED, text="is pending-upgrade"),),
)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(verified(helm=Helm(skipped_reason="it is live")), id="helm did not run"),
        pytest.param(verified(drill="ended"), id="the cluster is gone"),
        pytest.param(verified(revision_before=None), id="not known from where"),
        pytest.param(verified(plan=STRANDED), id="nothing to go back to"),
        *(
            pytest.param(verified(outcome=outcome), id=outcome)
            for outcome in Outcome
            if outcome not in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS, Outcome.PLANNED)
        ),
        pytest.param(given(outcome=Outcome.PLANNED), id="planned"),
    ],
)
def test_there_is_no_way_back_where_nothing_was_verified_or_changed(record: Record) -> None:
    assert undo_command(record) == ""


def test_what_would_be_lost_is_kept_first() -> None:
    keep = "kubectl annotate persistentvolumeclaim data helm.sh/resource-policy=keep -n shop"
    lost = Guard(
        id="data-loss",
        state="refused",
        evidence="PersistentVolumeClaim/data would be deleted",
        override="--rollback-override=data-loss=REASON",
        commands=(keep, f"{keep}2"),
    )
    assert after_refusal(lost, command_line=ASKED) == (
        "# to keep it where it is, with everything in it:",
        f"{keep} && {keep}2",
        "# and then:",
        ASKED,
        "# --rollback-override=data-loss=REASON goes ahead against it, recorded: PersistentVolumeClaim/data "
        "would be deleted.",
    )
    assert after_refusal(lost, command_line=ASKED, drill="ended") == ("# again:", ASKED)


def test_after_a_plan_the_number_that_was_looked_at_is_what_is_done() -> None:
    planned = {"mode": Mode.PLAN, "outcome": Outcome.PLANNED, "target_revision": 5}
    typed = "pytest --env=drill --rollback-to=previous --rollback-plan"
    assert next_commands(given(command_line=typed, **planned), ENV) == (
        "# to do it:",
        "pytest --env=drill --rollback-to=5",
    )
    for typed in (
        "pytest --env=drill --rollback-to=app:1.8.0 --rollback-plan",
        "pytest --env=drill --rollback-plan",
    ):
        assert next_commands(given(command_line=typed, **planned), ENV) == (
            "# to do it:",
            "pytest --env=drill --rollback-to=5",
        )
    github = given(command_line="pytest --env=drill --rollback-redeploy-main --rollback-plan", **planned)
    assert next_commands(github, ENV)[1] == "pytest --env=drill --rollback-redeploy-main"
    recovery = next_commands(
        given(command_line="pytest --env=drill --rollback-recover --rollback-plan", **planned), ENV
    )
    assert recovery[1] == "pytest --env=drill --rollback-recover"


def test_what_an_object_is_called_decides_nothing() -> None:
    odd = guard("ownership", "ConfigMap/stranded of kubeconfig unknown would be deleted")
    assert after_refusal(odd, command_line=ASKED) == ("# when that release has given it up:", ASKED)
    absent = guard("release", "There is no way to the API server.", unknown=True)
    assert after_refusal(absent, command_line=ASKED) == (
        "# when that is mended:",
        ASKED,
        "# or look at it by hand:",
        f"helm history zkprova {WHERE}",
        "# and if that history says that 5 is right:",
        f"helm rollback zkprova 5 --history-max 0 {WHERE}",
    )
    assert after_refusal(guard("of-tomorrow"), command_line=ASKED) == ("# again:", ASKED)


def test_options_that_were_typed_with_a_space_are_replaced_too() -> None:
    typed = "pytest checks --env drill --rollback-to 4 --rollback-confirm prod -v"
    name = guard("protected", reason=GuardReason.NOT_CONFIRMED)
    assert after_refusal(guard("target"), name, command_line=typed)[-1] == (
        "pytest checks --env drill -v --rollback-to=5 --rollback-confirm=drill"
    )
    assert after_refusal(guard("pending"), command_line="pytest 'half")[-1] == "pytest --env=drill"


def test_what_helm_could_not_apply_is_of_the_target_that_is_left() -> None:
    forecast = Guard(
        id="forecast",
        state="refused",
        evidence="helm would fail: the memory is no quantity",
        override="--rollback-override=forecast=REASON",
    )
    bad = items(rollout_backend=(Verdict.FAIL, "x"))
    typed = "pytest --env=drill --rollback-to=3"
    plan = Plan(target=HISTORY[1], compared_with=HISTORY[3], history=HISTORY)
    assert after_refusal(guard("target"), forecast, command_line=typed, plan=plan, items=bad) == (
        "# revision 5 (zkprova-1.5.0) is the newest with nothing against it:",
        "pytest --env=drill --rollback-to=5",
        "# --rollback-override=forecast=REASON goes ahead against it, recorded: helm would fail: the memory is no "
        "quantity.",
    )


def test_where_no_other_revision_offers_itself_the_history_is_shown() -> None:
    plan = Plan(history=(HISTORY[-1],))
    assert after_refusal(guard("target"), plan=plan) == (
        "# there is revision 6 alone; to look at it:",
        f"helm history zkprova {WHERE}",
    )


def test_verifying_while_the_bad_revision_is_live_offers_the_one_before() -> None:
    record = given(
        mode=Mode.VERIFY,
        command_line="pytest --env=drill -k smoke",
        items=items(
            rollout_backend=(Verdict.FAIL, "x"), logs=(Verdict.UNVERIFIED, "y"), events=(Verdict.FAIL, "z")
        ),
        plan=Plan(target=HISTORY[3], compared_with=HISTORY[2], history=HISTORY),
        target_revision=6,
    )
    assert next_commands(record, ENV) == (
        "# revision 5 (zkprova-1.5.0) is the newest with nothing against it:",
        "pytest --env=drill --rollback-to=5",
        "# by hand, rollout-backend:",
        "kubectl rollout status deployment/zkprova-zkprova-backend --timeout=120s",
        "# check again:",
        "pytest --env=drill",
    )
    assert next_commands(record.model_copy(update={"drill": "ended"}), ENV) == (
        "# revision 5 (zkprova-1.5.0) is the newest with nothing against it:",
        "pytest --env=drill --rollback-to=5",
        "# the drill's cluster has ended; to look into one:",
        "pytest --env=drill -k smoke --drill-keep",
    )
    assert "# check again:" in next_commands(record.model_copy(update={"drill": "kept"}), ENV)


def test_without_a_url_it_says_what_to_add() -> None:
    record = given(
        mode=Mode.VERIFY, items=items(smoke=(Verdict.UNVERIFIED, "no url")), outcome=Outcome.UNVERIFIED
    )
    bare = tuple(item.model_copy(update={"command": ""}) for item in record.items)
    said = next_commands(record.model_copy(update={"items": bare}), ENV.model_copy(update={"url": None}))
    assert said == ('# with url = "https://..." added to [environments.drill]:', "pytest --env=drill")


def test_after_an_interruption_the_first_thing_is_what_is_live() -> None:
    cut = given(outcome=Outcome.INTERRUPTED, command_line=ASKED)
    assert next_commands(cut, ENV) == (
        "# check what is live:",
        "pytest --env=drill",
        "# to roll back after all:",
        ASKED,
    )
    assert next_commands(cut.model_copy(update={"revision_before": None}), None) == ("# again:", ASKED)
    ran = cut.model_copy(update={"helm": Helm(ran=True, exit_code=0)})
    assert next_commands(ran, ENV) == (
        "# check what is live:",
        "pytest --env=drill",
        "# or look at the history:",
        f"helm history zkprova {WHERE}",
    )
    runs = cut.model_copy(update={"helm": Helm(ran=True, running=True)})
    assert next_commands(runs, ENV) == (
        "# helm may still be at work; wait for its end:",
        f"helm history zkprova {WHERE}",
        "# check what is live:",
        "pytest --env=drill",
    )


def test_the_way_to_the_environment_is_kept() -> None:
    typed = "pytest --zkrollback-env=shop --zkrollback-config=ops/z.toml --rollback-to=5 --rollback-reason=x"
    cut = given(outcome=Outcome.INTERRUPTED, command_line=typed)
    assert next_commands(cut, ENV)[1] == "pytest --zkrollback-env=shop --zkrollback-config=ops/z.toml"


@pytest.mark.parametrize("scenario", [" --drill-scenario=bad-image", " --drill-scenario bad-image", ""])
def test_a_drill_that_has_ended_is_offered_again_and_its_cluster_is_not(scenario: str) -> None:
    record = verified(drill="ended", command_line=f"pytest --env=drill --rollback-to=5{scenario}")
    assert next_commands(record, ENV) == (
        "# the drill's cluster has ended; to look into one:",
        f"pytest --env=drill --rollback-to=5{scenario} --drill-keep",
    )
