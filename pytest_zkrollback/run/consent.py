"""Going ahead against a refusal, asked at the terminal: all that speaks against it, then the question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..domain.record import Guard, GuardState
from ..domain.request import NOT_GIVEN
from ..preflight.guards.cluster import refusals
from ..preflight.overrides import apply_overrides, overrides_used
from .context import RunContext

# How long the operator may think at the terminal before no answer is an answer.
ASK_S = 60
CONSENT = "To go ahead, type yes and why (yes the limit is wrong); anything else stops."
_FORECAST = "forecast"


def ask_for_consent(
    context: RunContext, guards: tuple[Guard, ...], reasons: dict[str, str]
) -> tuple[Guard, ...]:
    """The guards with what the operator accepts at the terminal, all of it in the record.

    ``reasons`` (guard id -> reason) are those of the command line; the accepted ones are added.
    """
    recorder, request = context.recorder, context.request
    recorder.update(guards=guards)
    refused = refusals(guards)
    if refused and request.interactive and not request.plan and all(guard.override for guard in refused):
        reasons |= _accepted(context, guards, refused)
        guards = apply_overrides(guards, reasons)
    used = overrides_used(guards, reasons, request.break_glass)
    for each in used:
        recorder.event(f"guard {each.id} overridden: {each.reason}", "operator")
    if used:  # else nothing has changed, and every write is on the way to helm
        recorder.update(guards=guards)
        recorder.add(overrides=used)
    return guards


def render_objections(guards: Sequence[Guard]) -> str:
    """What an operator has to know before going ahead: who refuses, who warns, what helm would do.

    Of helm, what the dry run tried: that nothing was tried stands among the warnings.
    """
    return "\n".join(_objections(guards))


def _objections(guards: Sequence[Guard]) -> Iterator[str]:
    for state, word in ((GuardState.REFUSED, "REFUSED"), (GuardState.WARNED, "WARNED")):
        for guard in guards:
            if guard.state == state:
                yield f"{word} {guard.id}: {guard.evidence}"
                if guard.consequence:
                    yield f"    If you go ahead: {guard.consequence}"
    for guard in guards:
        if guard.id == _FORECAST and guard.state == GuardState.OK:
            yield f"What helm would do: {guard.evidence}"


def _accepted(context: RunContext, guards: Sequence[Guard], refused: Sequence[Guard]) -> dict[str, str]:
    """Guard id -> reason, as typed at the terminal; empty unless all of them are accepted.

    All questions together have one time limit.
    """
    until_s = context.clock.monotonic_s() + ASK_S
    reasons: dict[str, str] = {}
    shown = render_objections(guards)
    with context.display.paused(), context.signals.raising():
        if any(guard.id == "protected" for guard in refused):
            name = context.env.name
            question = f"Type the environment's name, {name}, to go ahead; anything else stops."
            if _ask(context, shown, question, until_s) != name:
                return {}
            reasons["protected"] = "its name was typed at the terminal"
            shown = ""
        rest = [guard.id for guard in refused if guard.id != "protected"]
        if rest:
            from .prompt import parse_consent

            consent = parse_consent(_ask(context, shown, CONSENT, until_s))
            if consent is None:
                return {}
            reasons |= dict.fromkeys(rest, consent or NOT_GIVEN)
    return reasons


def _ask(context: RunContext, shown: str, question: str, until_s: float) -> str:
    """The answer; it stands with its question on the screen and in the record."""
    from .prompt import ask  # few are asked

    text = context.redactor.text("\n".join(filter(None, (shown, question))))
    reply = ask(text, context.clock, until_s)
    context.recorder.event(f"asked at the terminal: {question} Answer: {reply.spoken}", "operator")
    return reply.text
