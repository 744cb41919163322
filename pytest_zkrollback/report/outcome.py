"""What a run ends with, computed from its record: outcome and summary. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from ..config.environment import Environment
from ..domain.item_ids import EQUIVALENCE, FIRST, MIGRATION, NOTIFY
from ..domain.record import Guard, Item, Mode, Outcome, Record
from ..domain.verdict import Verdict
from . import failures, next_commands
from .formatting import clock_time
from .recorder import Recorder

# A PASS of these alone says nothing about users being served.
_NO_PROOF_OF_SERVICE = (*FIRST, MIGRATION, NOTIFY)


def choose_outcome(items: Sequence[Item]) -> Outcome:
    """The outcome that these items add up to."""
    return add_up({item.id: item.verdict for item in items})


def add_up(verdicts: Mapping[str, Verdict | None]) -> Outcome:
    """The outcome of verdicts by item id. Green needs every item, and not all that matter waived."""
    words = verdicts.values()
    service = [word for item_id, word in verdicts.items() if item_id not in _NO_PROOF_OF_SERVICE]
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


def conclude(recorder: Recorder, env: Environment | None) -> None:
    """Write down what is rendered from the record: its summary, and what to type next."""
    record = recorder.record
    recorder.update(
        summary=render_summary(record),
        next_commands=next_commands.next_commands(record, env),
        undo_command=next_commands.undo_command(record),
    )


def render_summary(record: Record) -> str:
    """One sentence: what is true now."""
    refused = failures.refused(record)
    where = f"release {record.release}, environment {record.environment},"
    not_green = _not_green(record)
    match record.outcome:
        case Outcome.VERIFIED:
            return f"{_capital(where)} is restored: {_live(record)}, every item verified."
        case Outcome.VERIFIED_WITH_WAIVERS:
            waived = ", ".join(item.id for item in record.items if item.verdict is Verdict.WAIVED)
            return (
                f"{_capital(where)} is restored as far as it was checked: {_live(record)}; waived: {waived}."
            )
        case Outcome.FAILED:
            return f"{_capital(where)} is NOT restored: {_live(record)}; {not_green}{_late(record)}."
        case Outcome.UNVERIFIED if refused:
            return f"Nothing was verified: {_reason(refused)}."
        case Outcome.UNVERIFIED:
            late = _late(record)
            return f"{_capital(where)} is NOT proven restored: {_live(record)}; {not_green}{late}."
        case Outcome.REFUSED:
            return f"Refused: {_reason(refused) or 'see preflight'}. Nothing was changed."
        case Outcome.PLANNED:
            return (
                f"Release {record.release}, environment {record.environment}, can go from revision "
                f"{record.revision_before} to {record.target_revision}; no guard refuses. "
                "Nothing was changed."
            )
        case Outcome.SUPERSEDED:
            return (
                f"Somebody else changed the release meanwhile: the current revision is "
                f"{record.revision_after}, which these verdicts do not describe."
            )
        case Outcome.INTERRUPTED:
            return _interrupted(record, where)
        case _:
            return f"{_capital(where)}: the run has not ended."


def _interrupted(record: Record, where: str) -> str:
    if record.helm.running:
        return f"Interrupted while helm runs (pid {record.helm.pid}): what is live is not known yet."
    if record.revision_before is None:
        return "Interrupted before the release was read: nothing was changed."
    if record.mode is Mode.ROLLBACK and not record.helm.ran and not record.helm.skipped_reason:
        return f"Interrupted before helm ran: nothing was changed; {_live(record)}."
    if record.provisional_at is not None:
        return f"Interrupted during the soak: {where} was green only provisionally; {_live(record)}."
    return f"Interrupted: {where} is not verified; {_live(record)}."


def _not_green(record: Record) -> str:
    """What failed and, apart from it, what was not verified."""
    found = failures.failed_items(record)
    failed = ", ".join(item.id for item in found if item.verdict is Verdict.FAIL)
    unknown = ", ".join(item.id for item in found if item.verdict is not Verdict.FAIL)
    parts = (f"failed: {failed}" if failed else "", f"not verified: {unknown}" if unknown else "")
    return "; ".join(filter(None, parts))


def _late(record: Record) -> str:
    """When everything was green, where it is no longer."""
    at = record.provisional_at
    return (
        f" (provisionally green at {clock_time(at)} UTC, no longer at the end of the soak)"
        if at is not None
        else ""
    )


def _live(record: Record) -> str:
    """Which revision is live, where the live objects were seen to match it; else which one is current."""
    number = record.revision_before if record.revision_after is None else record.revision_after
    if number is None or (record.helm.ran and record.revision_after is None):
        return "what is live is not known"
    back = f" (back to {record.target_revision})" if record.target_revision not in (None, number) else ""
    equal = record.find_item(EQUIVALENCE)
    if equal is not None and equal.verdict is Verdict.PASS:
        return f"revision {number}{back} is live"
    return f"the current revision is {number}{back}"


def _reason(refused: Sequence[Guard]) -> str:
    """The first refusal's first sentence, to stand after a colon; how many more there are."""
    if not refused:
        return ""
    text = re.split(r"\.\s+(?=[A-Z])", refused[0].evidence.strip(), maxsplit=1)[0].rstrip(".")
    if re.match(r"[A-Z][a-z]*[ ,]", text):  # a word, and no ConfigMap/x
        text = text[0].lower() + text[1:]
    more = len(refused) - 1
    return text + (f" (and {more} more reason{'s' if more > 1 else ''})" if more else "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
