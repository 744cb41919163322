"""What a run ends with, computed from its record. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..config.environment import Environment
from ..domain.item_ids import EVENTS, FIRST, LOGS, MIGRATION, NOTIFY, is_metric
from ..domain.record import Item, Outcome, Record
from ..domain.verdict import Verdict
from .recorder import Recorder
from .summary import render_summary

# A PASS of these alone says nothing about users being served: silence may come of nothing that runs, as may
# a metric that is in order.
_NO_PROOF_OF_SERVICE = (*FIRST, LOGS, EVENTS, MIGRATION, NOTIFY)


def choose_outcome(items: Sequence[Item]) -> Outcome:
    """The outcome that these items add up to."""
    return add_up({item.id: item.verdict for item in items})


def add_up(verdicts: Mapping[str, Verdict | None]) -> Outcome:
    """The outcome of verdicts by item id. Green needs every item, and not all that matter waived."""
    words = verdicts.values()
    service = [
        word
        for item_id, word in verdicts.items()
        if item_id not in _NO_PROOF_OF_SERVICE and not is_metric(item_id)
    ]
    if Verdict.FAIL in words:
        return Outcome.FAILED
    if any(word not in (Verdict.PASS, Verdict.WAIVED) for word in words) or Verdict.PASS not in service:
        return Outcome.UNVERIFIED
    return Outcome.VERIFIED_WITH_WAIVERS if Verdict.WAIVED in words else Outcome.VERIFIED


def for_message(record: Record, outcome: Outcome, now: datetime) -> Record:
    """The record as a message shows it: with this outcome, and without the item ``notify`` itself."""
    record = record.model_copy(
        update={
            "items": record.items_without(NOTIFY),
            "outcome": outcome,
            "finished_at": record.finished_at or now,
        }
    )
    return record.model_copy(update={"summary": render_summary(record)})


def conclude(recorder: Recorder, env: Environment | None, file: str = "") -> None:
    """Write down what is rendered from the record (``file``): its summary, and what to type next."""
    from . import next_commands  # an incident's last lines, not its first
    from .advised_steps import as_lines

    record = recorder.record
    advice = next_commands.advise(record, env, file)
    recorder.update(
        summary=render_summary(record),
        next_commands=as_lines(advice),
        advice=advice,
        undo_command=next_commands.undo_command(record),
    )
