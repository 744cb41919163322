"""The fleet's JSON: its record, and the facts that all renderings say, worked out from it."""

from __future__ import annotations

from pydantic import Field

from ...domain.fleet import FleetRecord
from ...domain.frozen import Frozen
from .compare import Difference, find_differences
from .words import counts, worst_first


class FleetFacts(Frozen):
    """What all renderings say of a fleet, worked out from the rest when this was written."""

    counts: dict[str, int] = Field(description="how many members stand how, e.g. FAILED: 1; worst first")
    worst_first: tuple[str, ...] = Field(description="the members' environments, the worst first")
    differences: tuple[Difference, ...] = Field(description="what differs between members")


class WrittenFleet(FleetRecord):
    """Everything about one run over a fleet. The JSON file is this, the other files are rendered from it."""

    facts: FleetFacts = Field(
        description="what all renderings say, worked out from the rest when this was written; never read back"
    )


def find_fleet_facts(record: FleetRecord) -> FleetFacts:
    """All facts of a fleet's record."""
    return FleetFacts(
        counts=dict(counts(record)),
        worst_first=tuple(each.environment for each in worst_first(record.members)),
        differences=find_differences(record),
    )


def render_fleet_json(record: FleetRecord) -> str:
    """The record as its JSON, with a final new line."""
    fields = {name: getattr(record, name) for name in FleetRecord.model_fields}
    written = WrittenFleet.model_construct(**fields, facts=find_fleet_facts(record))
    return written.model_dump_json(by_alias=True, indent=1) + "\n"
