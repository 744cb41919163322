"""The guard that reads the forecast. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...domain.forecast import ApplyOutcome, Forecast, ForecastCause, ObjectForecast
from ...domain.record import Guard, GuardReason
from ..overrides import override_option
from ..probe import OK, REFUSED, WARNED, ProbeResult

if TYPE_CHECKING:
    from ...clients.helm import HelmVersion

_FEW = 4
_NONE: ProbeResult[Sequence[str]] = ProbeResult(value=())


def judge_forecast(
    answer: ProbeResult[Forecast | None],
    helm: ProbeResult[HelmVersion],
    denied: ProbeResult[Sequence[str]] = _NONE,
) -> Guard:
    """Nothing that this helm would apply is refused by a dry run; what nobody can say only warns.

    ``denied``: the rights that the guard ``permissions`` refuses for; those are its to name.
    """
    guard = _judged(answer, helm, denied)
    warnings = answer.value.warnings if answer.value is not None else ()
    if not warnings:
        return guard
    said = "; ".join(each.why for each in warnings)
    if guard.state != OK:
        return guard.model_copy(update={"evidence": f"{guard.evidence}; {said}"})
    return Guard(
        id="forecast",
        state=WARNED,
        reason=GuardReason.NOT_AS_TARGET,
        evidence=f"helm will apply everything, and not all will be as the target had it: {said}",
    )


def _judged(
    answer: ProbeResult[Forecast | None], helm: ProbeResult[HelmVersion], denied: ProbeResult[Sequence[str]]
) -> Guard:
    forecast = answer.value
    if forecast is not None and denied.value and _all_forbidden(forecast):
        said = f"{len(forecast.failing)} objects cannot be tried for want of a right: see permissions"
        return Guard(
            id="forecast", state=WARNED, reason=GuardReason.MISSING_RIGHT, unknown=True, evidence=said
        )
    if forecast is None:
        why = "which helm it is, or what the target holds, is unknown"
        if answer.error is not None or helm.value is not None:
            why = answer.why
        return Guard.not_known("forecast", f"whether helm could apply the target is unknown: {why}")
    if forecast.failing:
        return Guard(
            id="forecast",
            state=REFUSED,
            reason=GuardReason.WOULD_FAIL,
            evidence=_evidence(forecast),
            consequence=_consequence(forecast),
            override=override_option("forecast"),
        )
    if forecast.will is ApplyOutcome.UNKNOWN:
        said = "; ".join(forecast.unknown[:_FEW])
        more = f"; {len(forecast.unknown) - _FEW} more" if len(forecast.unknown) > _FEW else ""
        return Guard.not_known(
            "forecast", f"{len(forecast.objects)} objects tried by dry run; not known is {said}{more}"
        )
    if forecast.restarts:
        return Guard(
            id="forecast",
            state=WARNED,
            reason=GuardReason.NO_RESTART,
            evidence=f"helm will apply everything, and no pod would restart: {forecast.restarts}",
            consequence="A rollback that succeeds and changes nothing for users.",
        )
    return Guard(
        id="forecast",
        state=OK,
        evidence=f"{len(forecast.objects)} objects tried by dry run ({forecast.method}): all will apply",
    )


def _all_forbidden(forecast: Forecast) -> bool:
    return bool(forecast.failing) and all(each.cause is ForecastCause.FORBIDDEN for each in forecast.failing)


def _evidence(forecast: Forecast) -> str:
    """Where conflicts alone stand in the way: every field that the override overwrites."""
    if forecast.forcible:
        fields = "; ".join(line for each in forecast.failing for line in _conflicts(each))
        means = "the override means its --force-conflicts and overwrites"
        return f"helm would stop at field conflicts; {means} {fields}"
    failing = forecast.failing
    said = [line for each in failing[:_FEW] for line in _failure(each)]
    if len(failing) > _FEW:
        said.append(f"{len(failing) - _FEW} more objects")
    return f"helm would fail ({forecast.method}): {'; '.join(said)}"


def _failure(failing: ObjectForecast) -> tuple[str, ...]:
    return _conflicts(failing) or (f"{failing.what}: {failing.cause}: {failing.why}",)


def _conflicts(failing: ObjectForecast) -> tuple[str, ...]:
    return tuple(each.explain(failing.what) for each in failing.conflicts)


def _consequence(forecast: Forecast) -> str:
    if forecast.forcible:
        return (
            "Without --force-conflicts helm stops halfway and leaves no revision deployed. With it the "
            "target's values win, and what those managers set is lost. The other choice is to let them give "
            "the fields back first."
        )
    return "helm applies the other objects, stops, and leaves no revision deployed; no override mends that."
