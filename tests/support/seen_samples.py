"""Records of a service that was well before helm ran, and samples of what it did then."""

from __future__ import annotations

from typing import Any

from pytest_zkrollback.domain.decision import Answer
from pytest_zkrollback.domain.record import Record, SamplePoint
from support.example_records import DECISION, at, verified

WELL = "2 of 2 replicas of backend available; /health answers as it should"


def points(series: str, *values: tuple[float, float]) -> tuple[SamplePoint, ...]:
    return tuple(SamplePoint(at=at(second), series=series, value=value) for second, value in values)


def well_before(**changes: Any) -> Record:
    """All was well before helm (1.2 s to 1.6 s); what follows is said by ``changes``."""
    signals = tuple(
        each.model_copy(update={"answer": Answer.NO, "evidence": WELL})
        if each.name == "users-impacted"
        else each
        for each in DECISION.signals
    )
    decision = DECISION.model_copy(update={"signals": signals})
    return verified(**{"impact_since": None, "served_again_at": None, "decision": decision, **changes})


FALL = (
    *points("health", (0.5, 1), (1.0, 1), (2.5, 0), (3.0, 0)),
    *points("replicas/backend/6", (0.4, 2), (2.4, 0)),
    *points("replicas/backend/5", (2.0, 0), (2.4, 2), (2.9, 0)),
    *points("wanted/backend", (0.4, 2)),
)
