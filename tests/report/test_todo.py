"""The table of tasks: what, why, who, by when, with which command; one urgent command apart."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.domain.record import (
    AdvisedStep,
    Guard,
    GuardReason,
    Helm,
    Outcome,
    OwnTest,
    OwnTestOutcome,
    Record,
    StepEffect,
)
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.advised_steps import (
    advised_steps,
    as_lines,
)
from pytest_zkrollback.report.todo import (
    NO_DATE,
    NOBODY,
    NextCommand,
    Todo,
    alternatives,
    do_now,
    find_todos,
    remarks,
)
from support.example_records import ALL, failed, interrupted, items, refused, running, verified, waived
from support.situations import SITUATIONS

DELETE = "kubectl delete pod db-1 -n shop --context shop"
COMMIT = "pytest --env=shop --rollback-to-commit=3f9c2e1"

STEPS = (
    AdvisedStep(
        why="to go back:",
        command="pytest --rollback-to=4",
        effect=StepEffect.CHANGES,
        rehearsal="pytest --rollback-to=4 --rollback-plan",
    ),
    AdvisedStep(command="kubectl get pods"),
    AdvisedStep(why="Helm calls it deployed"),
)
COMMANDS = ("# to go back:", "pytest --rollback-to=4", "kubectl get pods", "# Helm calls it deployed")


def test_commands_stand_with_their_sentences_and_remarks_alone() -> None:
    assert as_lines(STEPS) == COMMANDS
    for record in (verified(advice=STEPS), verified(next_commands=COMMANDS)):
        assert [(step.why, step.command) for step in advised_steps(record)] == [
            ("to go back:", "pytest --rollback-to=4"),
            ("", "kubectl get pods"),
            ("Helm calls it deployed", ""),
        ]
        assert remarks(record) == ("Helm calls it deployed",)


def with_commands(record: Record) -> Record:
    return record.model_copy(update={"advice": STEPS, "next_commands": COMMANDS})


def test_of_a_record_without_typed_steps_a_change_is_rehearsed_first() -> None:
    old = failed().model_copy(update={"next_commands": COMMANDS, "advice": ()})
    assert do_now(old) == NextCommand(
        "See whether it can go ahead; this changes nothing:", "pytest --rollback-to=4 --rollback-plan"
    )


@pytest.mark.parametrize(
    ("record", "urgent"),
    [
        (failed(), True),
        (refused(), True),  # /health answers 503
        (interrupted(), True),  # nobody has looked since helm ran
        (interrupted().model_copy(update={"helm": Helm(), "decision": None, "samples": ()}), False),
        (verified(), False),
        (waived(), False),
    ],
)
def test_the_first_command_is_urgent_where_users_are_not_served_or_nobody_looked(
    record: Record, urgent: bool
) -> None:
    step = do_now(with_commands(record))
    assert step == (NextCommand("To go back:", "pytest --rollback-to=4") if urgent else None)
    offered = [each.command for each in find_todos(with_commands(record))]
    assert ("pytest --rollback-to=4" in offered) is not urgent
    assert "kubectl get pods" in offered


def test_without_a_safe_command_nothing_is_urgent() -> None:
    nothing = {"next_commands": ("# nothing is known",), "advice": ()}
    assert do_now(failed().model_copy(update=nothing)) is None


PLAN_AGAIN = NextCommand(
    "See whether it can go ahead; this changes nothing:", "pytest --env=shop --rollback-to=2 --rollback-plan"
)
LOOK_FIRST = NextCommand("See first what it would do; this changes nothing:", PLAN_AGAIN.command)
CHECK_AGAIN = NextCommand("Check again:", "pytest --env=shop")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("unverified", NextCommand("By hand, release-equivalence:", "kubectl get release-equivalence")),
        (
            "helm-all-applied",
            NextCommand(PLAN_AGAIN.why, "pytest --env=shop --rollback-recover --rollback-plan"),
        ),
        ("drift-alone", NextCommand("By hand, release-equivalence:", "kubectl get release-equivalence")),
        ("migration-failed", NextCommand("By hand, migration:", "kubectl get migration")),
        ("not-told", CHECK_AGAIN),
        ("refused-pending", PLAN_AGAIN),
        ("refused-lock-unread", LOOK_FIRST),
        ("items-failed-cure", NextCommand("What rollout-web needs:", DELETE)),
        (
            "items-failed",
            NextCommand(
                "Revision 1 (web-1.1.0) is the newest that this tool verified:",
                "pytest --env=shop --rollback-to=1",
            ),
        ),
        ("github-run-waits", NextCommand(PLAN_AGAIN.why, f"{COMMIT} --rollback-plan")),
        ("superseded", None),
        ("planned", NextCommand("To do it:", "pytest --env=shop --rollback-to=2")),
    ],
)
def test_what_comes_first_is_safe_to_copy(name: str, step: NextCommand | None) -> None:
    assert do_now(SITUATIONS[name].record()) == step


@pytest.mark.parametrize("name", SITUATIONS)
def test_nothing_to_copy_passes_a_guard_or_changes_the_release_twice(name: str) -> None:
    record = SITUATIONS[name].record()
    now, steps = do_now(record), {step.command: step for step in record.advice}
    if now is not None and now.command in steps:
        step = steps[now.command]
        safe = not (step.condition or step.overrides or step.instead)
        assert step.effect is StepEffect.LOOKS or (step.effect is StepEffect.CHANGES and safe)
    elif now is not None:
        assert "--rollback-plan" in now.command
    assert now is None or "--rollback-override" not in now.command
    tasks = [each.command for each in find_todos(record) if each.changes]
    instead = [each.command for each in alternatives(record)]
    assert len(tasks) <= 1
    left = [command for command in steps if command and (now is None or command != now.command)]
    listed = [each.command for each in find_todos(record)] + instead
    assert not set(left) - set(listed)
    after = now is not None and now.command in steps and steps[now.command].effect is StepEffect.CHANGES
    assert not (after and tasks) or steps[tasks[0]].condition


@pytest.mark.parametrize(
    ("name", "task", "instead"),
    [
        (
            "refused-cluster",
            [("When that is mended", "pytest --env=shop --rollback-to=2")],
            [
                NextCommand("Or look at it by hand:", "helm history web -n shop --kube-context shop"),
                NextCommand(
                    "And if that history says that 2 is right:",
                    "helm rollback web 2 --history-max 0 -n shop --kube-context shop",
                ),
            ],
        ),
        (
            "helm-half-applied",
            [("When its cause is mended, to lead the release out", "pytest --env=shop --rollback-recover")],
            [
                NextCommand(
                    "Revision 1 (web-1.1.0) is the newest with nothing against it:",
                    "pytest --env=shop --rollback-to=1",
                )
            ],
        ),
        (
            "items-failed-cure",
            [],
            [
                NextCommand(
                    "Revision 1 (web-1.1.0) is the newest with nothing against it:",
                    "pytest --env=shop --rollback-to=1",
                )
            ],
        ),
    ],
)
def test_an_alternative_is_no_task(
    name: str, task: list[tuple[str, str]], instead: list[NextCommand]
) -> None:
    record = SITUATIONS[name].record()
    assert [(each.what, each.command) for each in find_todos(record) if each.changes] == task
    assert list(alternatives(record)) == instead


@pytest.mark.parametrize("name", ALL)
def test_nobody_is_put_down_for_a_task(name: str) -> None:
    for each in find_todos(ALL[name]()):
        assert (each.owner, each.due) == (NOBODY, NO_DATE)


def tasks(record: Record, **changes: Any) -> list[tuple[str, str, str]]:
    return [(each.what, each.why, each.command) for each in find_todos(record.model_copy(update=changes))]


def test_what_was_skipped_is_a_task_with_its_reason() -> None:
    assert tasks(waived(), next_steps="none given") == [
        (
            "Check what was skipped: smoke test",
            "skipped by ada@workstation: the staging host is being moved",
            "bash scripts/smoke-test.sh http://127.0.0.1:18080",
        )
    ]


def test_what_has_no_answer_is_a_task_and_one_reason_is_one_task() -> None:
    one = items(logs=(Verdict.UNVERIFIED, "pods/log is forbidden"), notify=(Verdict.UNVERIFIED, "no webhook"))
    record = verified(outcome=Outcome.UNVERIFIED, items=one, next_steps="none given")
    assert tasks(record) == [
        ("Check application logs", "pods/log is forbidden", "kubectl logs -l app=zkprova-backend --tail=50"),
        ("Tell the team yourself", "no webhook", ""),
    ]
    ended = (Verdict.UNVERIFIED, "interrupted (SIGTERM)")
    many = items(smoke=ended, logs=ended, health_database=ended, events=ended)
    record = verified(outcome=Outcome.INTERRUPTED, items=many, next_steps="none given")
    assert tasks(record) == [
        (
            "Check smoke test, application logs, database via /health and events",
            "interrupted (SIGTERM)",
            "",
        )
    ]
    assert tasks(refused(), next_steps="none given", next_commands=()) == []
    assert tasks(running(), next_steps="none given", next_commands=()) == []


def test_a_command_that_a_task_has_already_is_not_said_twice() -> None:
    one = items(logs=(Verdict.UNVERIFIED, "forbidden"))
    command = "kubectl logs -l app=zkprova-backend --tail=50"
    record = verified(outcome=Outcome.UNVERIFIED, items=one, next_steps="none given")
    assert [each[2] for each in tasks(record, next_commands=("# by hand, logs:", command))] == [command]


def test_configuration_reverts_own_tests_and_plans_are_tasks() -> None:
    guard = Guard(id="identity", state="warned", reason=GuardReason.NOT_PINNED, evidence="not pinned")
    test = OwnTest(node_id="t.py::test_cart", outcome=OwnTestOutcome.FAILED, first_line="AssertionError")
    found = tasks(
        verified(),
        guards=(guard,),
        own_tests=(test,),
        redeploy_risks=("Commit a7d20c4 is still on main.",),
    )
    assert found == [
        ("Look at the own test t.py::test_cart", "AssertionError", ""),
        ("Pin the cluster of environment drill in the configuration", "not pinned", ""),
        ("What could bring it back: see to it that nothing does", "Commit a7d20c4 is still on main.", ""),
        (
            "fix POOL_SIZE, then deploy 2026.11.6",
            "next steps, in the words of ada@workstation",
            "",
        ),
    ]


def test_where_nothing_is_left_there_is_no_task() -> None:
    assert find_todos(verified(next_steps="none given")) == ()
    assert find_todos(verified(next_steps="")) == ()
    assert Todo("x") == Todo("x", "", "", NOBODY, NO_DATE)
