"""What a proposed command does, and its rehearsal."""

from __future__ import annotations

import pytest

from pytest_zkrollback.domain.record import StepEffect
from pytest_zkrollback.report.advised_steps import effect_of, passes_guard, rehearsal_of


@pytest.mark.parametrize(
    ("command", "effect", "rehearsal"),
    [
        ("pytest --env=shop", StepEffect.LOOKS, ""),
        ("pytest --env=shop --rollback-to=2 --rollback-plan", StepEffect.LOOKS, ""),
        (
            "pytest --env=shop --rollback-to 2 '--rollback-override=lock=it is gone' -- x",
            StepEffect.CHANGES,
            "pytest --env=shop --rollback-to 2 --rollback-plan -- x",
        ),
        ("helm history web", StepEffect.LOOKS, ""),
        ("helm rollback web 2", StepEffect.CHANGES, ""),
        ("kubectl rollout status deployment/web", StepEffect.LOOKS, ""),
        ("kubectl rollout restart deployment/web", StepEffect.CHANGES, ""),
        ("kubectl delete pod web-1", StepEffect.CHANGES, ""),
        ("kubectl logs web-1", StepEffect.LOOKS, ""),
        ("python -m pytest_zkrollback.report note x", StepEffect.TELLS, ""),
        ("curl 'not closed", StepEffect.LOOKS, ""),
    ],
)
def test_what_a_command_does(command: str, effect: StepEffect, rehearsal: str) -> None:
    assert (effect_of(command), rehearsal_of(command)) == (effect, rehearsal)
    assert passes_guard(command) is ("--rollback-override" in command)
