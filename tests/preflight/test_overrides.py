"""Going ahead against guards: which are passed, and what the record keeps of it."""

import pytest

from pytest_zkrollback.domain.record import Guard
from pytest_zkrollback.preflight.overrides import apply_overrides, override_option, overrides_used
from pytest_zkrollback.preflight.probe import OK, OVERRIDDEN, REFUSED, WARNED


def guard(name, state=REFUSED, override=None):
    return Guard(
        id=name,
        state=state,
        evidence="seen",
        override=override_option(name) if override is None else override,
    )


@pytest.mark.parametrize(
    ("given", "reasons", "break_glass", "state"),
    [
        (guard("pending"), {"pending": "cancelled"}, None, OVERRIDDEN),
        (guard("pending"), {"target": "another"}, None, REFUSED),
        (guard("pending"), {}, None, REFUSED),
        (guard("pending"), {}, "all is down", OVERRIDDEN),
        (guard("protected", override="--rollback-confirm=live"), {}, "all is down", OVERRIDDEN),
        (guard("release", override=""), {"release": "I want it"}, "all is down", REFUSED),
        (guard("pending", OK, ""), {"pending": "not needed"}, "all is down", OK),
        (guard("identity", WARNED, ""), {"identity": "known"}, "all is down", WARNED),
    ],
)
def test_what_is_passed(given, reasons, break_glass, state):
    (found,) = apply_overrides([given], reasons, break_glass)
    assert found == given.model_copy(update={"state": state})


def test_the_record_keeps_who_was_passed_and_why():
    guards = [guard("pending"), guard("target"), guard("release", OK)]
    reasons = {"pending": "cancelled by me", "release": "not needed"}
    passed = apply_overrides(guards, reasons, "all is down")
    assert [(one.id, one.kind, one.reason) for one in overrides_used(passed, reasons, "all is down")] == [
        ("pending", "guard", "cancelled by me"),
        ("target", "guard", "break-glass: all is down"),
    ]
