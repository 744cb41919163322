"""The table of tasks: what, why, who, by when, with which command; one urgent command apart."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.domain.record import Guard, GuardReason, Helm, Outcome, OwnTest, OwnTestOutcome, Record
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.todo import (
    NO_DATE,
    NOBODY,
    NextCommand,
    Todo,
    do_now,
    find_todos,
    next_steps,
    remarks,
)
from support.example_records import ALL, failed, interrupted, items, refused, running, verified, waived

COMMANDS = ("# to go back:", "pytest --rollback-to=4", "kubectl get pods", "# Helm calls it deployed")


def test_commands_stand_with_their_sentences_and_remarks_alone() -> None:
    record = verified(next_commands=COMMANDS)
    assert next_steps(record) == (
        NextCommand("To go back:", "pytest --rollback-to=4"),
        NextCommand("", "kubectl get pods"),
        NextCommand("Helm calls it deployed", ""),
    )
    assert remarks(record) == ("Helm calls it deployed",)


def with_commands(record: Record) -> Record:
    return record.model_copy(update={"next_commands": COMMANDS})


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
    assert do_now(failed().model_copy(update={"next_commands": ("# nothing is known",)})) is None


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
