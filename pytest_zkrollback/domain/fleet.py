"""The record of a fleet's run: one frozen model over the records of its members. Its JSON is a contract.

A member is an ordinary run with a record of its own (:mod:`.record`), of which this holds the facts that are
compared. Waves are numbered from 1. Times, durations and sizes are written as there.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import ConfigDict, Field

from .frozen import Frozen, FrozenFile, Time
from .record import Delivery, Mode, Outcome
from .verdict import Verdict

FLEET_SCHEMA = "zkrollback.fleet/1"


class WaveState(StrEnum):
    """How a wave stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"  # every member is green
    FAILED = "failed"  # it ended, and not every member is green
    NOT_STARTED = "not-started"
    UNKNOWN = "unknown"  # there is no record of a member


class MemberState(StrEnum):
    """How far a member came."""

    WAITING = "waiting"
    PREFLIGHT = "preflight"
    REFUSED = "refused"
    RUNNING = "running"
    FINISHED = "finished"
    NOT_STARTED = "not-started"
    UNKNOWN = "unknown"


class MemberReason(StrEnum):
    """Why a member is where it is, where that is not what was asked for."""

    PREFLIGHT_REFUSED = "preflight-refused"  # its own
    OTHERS_REFUSED = "others-refused"  # another member's preflight refused: nothing was begun
    WAVE_FAILED = "wave-failed"  # an earlier wave failed
    STOPPED = "stopped"  # as many failed as the stop rule allows, in its own wave
    INTERRUPTED = "interrupted"  # by Ctrl-C, or the fleet's process was killed
    AT_TARGET = "at-target"  # what was asked for is live already: verified only
    DONE_BEFORE = "done-before"  # rolled back by an earlier, killed command: verified only
    NO_RECORD = "no-record"  # it was begun or is expected, and there is no record of it
    UNREADABLE_RECORD = "unreadable-record"
    NO_END = "no-end"  # its record does not say how it ended: it goes on, or was killed
    OTHER_RUN = "other-run"  # what is there is the record of another run or of another mode


class StopRule(Frozen):
    """How many members may fail before no further one is begun; both None: as many as there are."""

    failures: int | None = Field(
        default=None,
        description="at most so many members may fail; 0: the first failure ends the fleet's run",
    )
    share: float | None = Field(
        default=None, description="at most this share of all members may fail, from 0 to 1"
    )


class Wave(Frozen):
    """Members that are judged together before the next ones begin."""

    number: int = Field(description="counted from 1")
    state: WaveState = Field(
        default=WaveState.WAITING,
        description="waiting, running, done (every member is green), failed (it ended otherwise), "
        "not-started, or unknown (there is no record of a member)",
    )
    members: tuple[str, ...] = Field(
        default=(), description="its environments, as the configuration has them"
    )
    started_at: Time | None = Field(default=None, description="when its first member began")
    finished_at: Time | None = Field(default=None, description="when its last member ended")


class ReleaseVersion(Frozen):
    """A revision of a member's release, and what it holds."""

    revision: int = Field(description="its number in that cluster's history")
    chart: str = Field(default="", description="chart name and version; empty: not known")
    app_version: str = Field(default="", description="the chart's appVersion; empty: none, or not known")


class FleetItem(Frozen):
    """One item of a member's checklist."""

    id: str = Field(description="as in the member's record, e.g. rollout-backend")
    verdict: Verdict | None = Field(default=None, description="None: the run did not judge it")


class FailedItem(Frozen):
    """What went wrong first in a member: an item, or the guard that refused."""

    id: str = Field(description="the item's id, or the guard's")
    verdict: Verdict | None = Field(
        default=None, description="FAIL, UNVERIFIED, or None: not judged, or it is a guard"
    )
    observed: str = Field(default="", description="what was seen, in one sentence")


class FleetNotify(Frozen):
    """Whether the team was told of the fleet as a whole, where its members leave that to the fleet."""

    verdict: Verdict | None = Field(default=None, description="None: not judged yet")
    observed: str = Field(default="", description="what was answered, in one sentence")


class Member(Frozen):
    """One environment of the fleet: what its own run's record says."""

    environment: str = Field(description="its name in the configuration")
    wave: int = Field(description="the number of its wave")
    state: MemberState = Field(default=MemberState.WAITING, description="how far it came")
    reason: MemberReason | None = Field(
        default=None, description="why it is there; null: nothing beside what was asked for"
    )
    said: str = Field(default="", description="the same as a sentence, e.g. 'not started: wave 1 failed'")
    exit_code: int | None = Field(default=None, description="of its process; null: not ended, or not seen")
    run_id: str = Field(default="", description="its run's id; empty: there is no record")
    record: str = Field(default="", description="its record's file, from this file's folder; empty: none")
    page: str = Field(default="", description="its page's file, from this file's folder; empty: none")
    earlier_run_ids: tuple[str, ...] = Field(
        default=(),
        description="runs of this member that the same fleet run made before this one, oldest first",
    )
    outcome: Outcome | None = Field(
        default=None,
        description="of its run, where what `left_to_fleet` names is no waiver; null: there is no record",
    )
    left_to_fleet: tuple[str, ...] = Field(
        default=(), description="items that its own record waives because the fleet has them: notify"
    )
    summary: str = Field(default="", description="one sentence: what is true of it now")
    cluster: str = Field(default="", description="context and server address")
    namespace: str = Field(default="", description="Kubernetes namespace of the release")
    release: str = Field(default="", description="name of the Helm release")
    before: ReleaseVersion | None = Field(
        default=None, description="the current revision before the fleet's run; null: not read"
    )
    target: ReleaseVersion | None = Field(
        default=None, description="the revision that had to be live in the end; null: not chosen"
    )
    after: ReleaseVersion | None = Field(
        default=None, description="the current revision after its run; null: not read"
    )
    helm_ran: bool | None = Field(
        default=None, description="whether helm was started, in any run of this fleet run; null: not known"
    )
    helm_running: bool = Field(default=False, description="helm's end was not seen")
    items: tuple[FleetItem, ...] = Field(default=(), description="its items in the runbook's order")
    first_failed: FailedItem | None = Field(
        default=None, description="the first item that is not green, or the guard that refused"
    )
    started_at: Time | None = Field(default=None, description="when its run began")
    finished_at: Time | None = Field(default=None, description="when its run ended; null: it did not")
    helm_started_at: Time | None = Field(default=None, description="when helm was started")
    helm_finished_at: Time | None = Field(default=None, description="when helm's end was seen")
    recovered_at: Time | None = Field(
        default=None, description="since when every item but notify and the metrics is green"
    )


class FleetRecord(FrozenFile):
    """Everything about one run over a fleet. The JSON file is this, the other files are rendered from it."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: str = Field(default=FLEET_SCHEMA, alias="schema", description="name and version of this schema")
    fleet: str = Field(description="the fleet's name in the configuration")
    fleet_run_id: str = Field(
        description="8 hex digits, the same when a killed run is resumed; also in the files' names"
    )
    mode: Mode = Field(description="what was asked for: rollback, verify or plan")
    target: str = Field(
        default="", description="as typed: app:1.8.0, previous, last-verified; empty: verify only"
    )
    outcome: Outcome = Field(
        default=Outcome.RUNNING,
        description="how the fleet stands: verified and verified-with-waivers only if every member is",
    )
    summary: str = Field(default="", description="one sentence: what is true now")
    reason: str = Field(default="not given", description="why, in the operator's words")
    next_steps: str = Field(default="none given", description="what the operator plans next")
    incident: str = Field(default="", description="id or URL of the incident")
    operator: str = Field(default="", description="who ran it")
    command_line: str = Field(default="", description="what the operator typed")
    started_at: Time = Field(description="when the fleet's run began")
    finished_at: Time | None = Field(default=None, description="when it ended; null: not ended, or killed")
    stop: StopRule = Field(default=StopRule(failures=0), description="when no further member is begun")
    at_once: int | None = Field(
        default=None, description="at most so many members ran side by side; null: not known"
    )
    pause_s: float | None = Field(default=None, description="pause between waves; null: not known")
    protected: bool = Field(default=False, description="a fleet, or a member, that users depend on")
    waves: tuple[Wave, ...] = Field(default=(), description="in the order in which they run")
    members: tuple[Member, ...] = Field(default=(), description="every member, wave by wave")
    unnamed_members: int = Field(
        default=0,
        description="members that there have to be, of which neither name nor record is known: never green",
    )
    problems: tuple[str, ...] = Field(
        default=(), description="what could not be read or does not fit together, in sentences"
    )
    notify: FleetNotify | None = Field(
        default=None,
        description="whether the team was told by the fleet's messages; null: each member tells of itself",
    )
    deliveries: tuple[Delivery, ...] = Field(
        default=(), description="the fleet's own messages to the team, and what was answered"
    )
    report: str = Field(default="", description="where the fleet's page can be read; empty: not configured")
    report_timezone: str = Field(
        default="", description="the readers' time zone, beside UTC on page and Markdown; empty: UTC alone"
    )
    redactions: int = Field(default=0, description="how many known or likely secrets were taken out")
    versions: dict[str, str] = Field(default={}, description="this tool, Python")

    def find_member(self, environment: str) -> Member | None:
        """The member of that environment; None where the fleet has none."""
        return next((each for each in self.members if each.environment == environment), None)

    def members_of(self, wave: int) -> tuple[Member, ...]:
        """The members of the wave of that number."""
        return tuple(each for each in self.members if each.wave == wave)
