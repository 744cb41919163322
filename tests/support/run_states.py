"""The state of a run that has this record: its verdicts, and the outcome that was found out."""

from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.run.results import RunState

FOUND_OUT = (
    Outcome.REFUSED,
    Outcome.INTERRUPTED,
    Outcome.SUPERSEDED,
    Outcome.PLANNED,
    Outcome.FAILED,
    Outcome.UNVERIFIED,
)


def state_of(record):
    state = RunState(item.id for item in record.items)
    for item in record.items:
        state.note(item.id, item.verdict)
    state.found = record.outcome if record.outcome in FOUND_OUT else None
    state.ended = record.outcome is not Outcome.RUNNING
    return state
