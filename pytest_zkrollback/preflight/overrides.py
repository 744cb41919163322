"""Going ahead against guards: named one by one, all at once, or accepted on the terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..domain.record import Guard, Override
from .probe import OVERRIDDEN, REFUSED

BREAK_GLASS = "break-glass"


def apply_overrides(
    guards: Sequence[Guard], reasons: Mapping[str, str], break_glass: str | None = None
) -> tuple[Guard, ...]:
    """The guards, with those that refuse and were overridden now ``overridden``.

    ``reasons``: guard id -> the operator's words. ``break_glass`` overrides every guard that names a way
    past it (:attr:`Guard.override`); where there is none, helm could not do it either.
    """
    return tuple(_applied(guard, reasons.get(guard.id) or break_glass) for guard in guards)


def _applied(guard: Guard, reason: str | None) -> Guard:
    if guard.state != REFUSED or not guard.override or not reason:
        return guard
    return guard.model_copy(update={"state": OVERRIDDEN})


def overrides_used(
    guards: Sequence[Guard], reasons: Mapping[str, str], break_glass: str | None = None
) -> tuple[Override, ...]:
    """What the record keeps: each guard that was overridden, with the reason that did it."""
    return tuple(
        Override(
            id=guard.id,
            kind="guard",
            reason=reasons.get(guard.id) or f"{BREAK_GLASS}: {break_glass}",
        )
        for guard in guards
        if guard.state == OVERRIDDEN
    )


def override_option(guard_id: str) -> str:
    """The option by which an operator goes ahead against this guard."""
    return f"--rollback-override={guard_id}=REASON"
