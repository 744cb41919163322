"""Every guard that warns or refuses says why in a type, and whether it does so for want of an answer."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_zkrollback.domain.errors import (
    HelmProblem,
    LockHeld,
    NoNamespace,
    NoRelease,
    NotFound,
    Unreachable,
    ZkRollbackError,
)
from pytest_zkrollback.domain.record import GuardReason, GuardState
from pytest_zkrollback.preflight.guards import judge_guards
from pytest_zkrollback.preflight.guards.cluster import judge_lock, judge_release
from pytest_zkrollback.preflight.probe import Facts, ProbeResult
from support.preflight_facts import AT, environment, facts

PACKAGE = Path(__file__).parents[2] / "pytest_zkrollback"


def built_guards():
    """Each call of Guard(...) in the package: where it stands, and its keywords."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Guard":
                yield (
                    f"{path.name}:{node.lineno}",
                    {each.arg: ast.unparse(each.value) for each in node.keywords},
                )


def test_no_guard_that_warns_or_refuses_is_built_without_its_reason():
    found = list(built_guards())
    assert len(found) > 60
    without = [
        where for where, given in found if "reason" not in given and given["state"].rpartition(".")[2] != "OK"
    ]
    assert without == []
    text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert [each for each in GuardReason if f"GuardReason.{each.name}" not in text] == []


def test_where_nothing_was_answered_whatever_refuses_or_warns_says_that_it_is_unknown():
    guards = judge_guards(Facts(now=AT), environment(), None, recovers=True)
    silent = {"identity", "protected", "storage", "helm-version"}  # need no answer, or say what they lack
    for guard in guards:
        if guard.state is GuardState.OK:
            assert (guard.reason, guard.unknown) == (None, False)
        elif guard.id not in silent:
            assert (guard.id, guard.reason, guard.unknown) == (guard.id, GuardReason.NO_ANSWER, True)


def test_what_is_refused_on_evidence_is_not_unknown_whatever_it_is_called():
    guards = judge_guards(facts(denied=ProbeResult(value=("get unknown.example",))), environment(), None)
    found = next(guard for guard in guards if guard.id == "permissions")
    assert (found.state, found.reason, found.unknown) == ("refused", GuardReason.MISSING_RIGHT, False)


@pytest.mark.parametrize(
    ("error", "reason", "unknown"),
    [
        (NoRelease("There is no release web."), GuardReason.NO_RELEASE, False),
        (NoNamespace("There is no namespace x."), GuardReason.NO_NAMESPACE, False),
        (NotFound("There is no such path on this server."), GuardReason.NO_ANSWER, True),
        (HelmProblem("There is no way to read it."), GuardReason.NO_ANSWER, True),
        (Unreachable("There is no route to the server."), GuardReason.NO_ANSWER, True),
        (None, GuardReason.NO_ANSWER, True),
    ],
)
def test_only_a_release_that_was_looked_for_is_missing(
    error: ZkRollbackError | None, reason: GuardReason, unknown: bool
):
    guard = judge_release(ProbeResult(error=error))
    assert (guard.state, guard.reason, guard.unknown) == ("refused", reason, unknown)


def test_a_lock_that_is_held_is_evidence_and_one_that_cannot_be_read_is_not():
    held, unread = judge_lock(LockHeld("of an unknown host")), judge_lock(Unreachable("no answer"))
    assert (held.reason, held.unknown) == (GuardReason.LOCK_HELD, False)
    assert (unread.reason, unread.unknown) == (GuardReason.NO_ANSWER, True)


def test_the_reason_stays_when_the_state_changes():
    guards = judge_guards(replace(facts(), now=AT), environment(), None)
    assert all((guard.reason is None) == (guard.state is GuardState.OK) for guard in guards)
