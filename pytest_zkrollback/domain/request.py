"""What the operator asked for, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import FleetMembership

NOT_GIVEN = "not given"
NONE_GIVEN = "none given"
# Where reports go, unless --zkrollback-report-dir says it.
REPORT_DIR = "reports"


def not_given(reason: str, next_steps: str) -> tuple[str, ...]:
    """What the operator did not say of what the runbook wants the team to be told."""
    missing = {"the reason": reason == NOT_GIVEN, "the next steps": next_steps == NONE_GIVEN}
    return tuple(name for name, is_missing in missing.items() if is_missing)


@dataclass(frozen=True)
class Request:
    """What the operator asked for, validated as far as it can be without the configuration.

    ``target`` is the Helm revision to roll back to, or a name for one (``target_names.py``); None verifies
    only.
    ``interactive``: standard input was a terminal when the plugin was loaded, so that refusals can be
    accepted in the same run. ``gate``: what is verified is an ordinary deploy and no rollback, by the
    operator's word. ``impact_since_typed`` is ``impact_since`` as it was typed. ``soak_s`` is None where the
    configuration's holds. ``fleet``: this run is a member's part of that fleet's run. ``run_id``: the one
    that whoever began this run has given it; empty: it makes one.
    """

    environment: str
    target: int | str | None = None
    reason: str = NOT_GIVEN
    next_steps: str = NONE_GIVEN
    incident: str = ""
    impact_since: datetime | None = None
    impact_since_typed: str = ""
    confirm: str | None = None
    migration_assessed: str | None = None
    gate: bool = False
    waivers: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    signals: dict[str, str] = field(default_factory=dict)
    break_glass: str | None = None
    plan: bool = False
    recover: bool = False
    interactive: bool = False
    config_file: str | None = None
    report_dir: str = REPORT_DIR
    bundle: bool = False
    drill_keep: bool = False
    drill_scenario: str | None = None
    drill_kubelet: bool = False
    drill_context: str | None = None
    drill_load: str | None = None
    drill_image: str | None = None
    commit: str | None = None
    redeploy: bool = False
    no_merge: bool = False
    soak_s: float | None = None
    fleet: FleetMembership | None = None
    run_id: str = ""

    @property
    def through_github(self) -> bool:
        """Whether GitHub's workflow deploys, and not helm from here."""
        return self.commit is not None or self.redeploy

    @property
    def changes(self) -> bool:
        """Whether this is more than verifying: by helm or through GitHub."""
        return self.target is not None or self.through_github

    @property
    def missing(self) -> tuple[str, ...]:
        """What the team is not told of a rollback, because nobody gave it; who only verifies owes nothing."""
        return not_given(self.reason, self.next_steps) if self.changes else ()

    @property
    def given_reason(self) -> str:
        """The reason if one was given, else empty."""
        return "" if self.reason == NOT_GIVEN else self.reason
