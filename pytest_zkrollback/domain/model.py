"""The record: one frozen model that holds all that any rendering needs. Its JSON is the contract.

Revisions are integers, times aware and UTC (RFC 3339 in JSON), durations seconds (``_s``), sizes bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from .verdict import Evidence, Word

SCHEMA = "zkrollback.record/1"


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time in the record needs a zone")
    return value.astimezone(UTC)


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_rfc3339, return_type=str, when_used="json")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Mode(StrEnum):
    """What was asked for."""

    ROLLBACK = "rollback"
    VERIFY = "verify"
    PLAN = "plan"
    RECOVER = "recover"
    GITHUB = "github"


class Outcome(StrEnum):
    """How the run stands."""

    RUNNING = "running"
    PLANNED = "planned"
    VERIFIED = "verified"
    VERIFIED_WITH_WAIVERS = "verified-with-waivers"
    FAILED = "failed"
    UNVERIFIED = "unverified"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


class Revision(_Part):
    """One revision of the release, from Helm's own history."""

    revision: int
    status: str = Field(description="Helm's word: deployed, superseded, failed, pending-rollback, ...")
    chart: str = Field(description="chart name and version, e.g. zkprova-1.6.0")
    app_version: str = ""
    deployed_at: Time
    description: str = ""
    rollback_of: int | None = Field(default=None, description="the revision that this one rolled back to")
    images: tuple[str, ...] = Field(default=(), description="container images of its manifest, sorted")


class Item(_Part):
    """One item of the checklist (or preflight, rollback, release-equivalence) with its verdict."""

    id: str
    title: str
    verdict: Word | None = Field(default=None, description="None while it is still being judged")
    expected: str = ""
    observed: str = ""
    command: str = Field(default="", description="the command that repeats it by hand")
    started_at: Time | None = None
    finished_at: Time | None = None
    evidence: tuple[Evidence, ...] = ()


class Guard(_Part):
    """One question asked before helm ran."""

    id: str
    state: str = Field(description="ok, warned, refused or overridden")
    evidence: str = Field(description="what was seen")
    consequence: str = Field(default="", description="what could happen if helm ran all the same")
    override: str = Field(default="", description="the option that goes ahead all the same; empty: none")


class Override(_Part):
    """A guard, item or decision that an operator set aside, with the reason given."""

    id: str
    kind: str = Field(description="guard, item or configuration")
    reason: str


class Helm(_Part):
    """What became of helm: the one process that changes anything."""

    ran: bool = False
    running: bool = Field(
        default=False, description="True while the process lives, or if its end was not seen"
    )
    pid: int | None = None
    argv: tuple[str, ...] = ()
    version: str = ""
    exit_code: int | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    stdout_tail: str = ""
    stderr_tail: str = ""
    skipped_reason: str = Field(
        default="", description="why it was not run although a rollback was asked for"
    )


class TimelineEntry(_Part):
    """Something that happened, when, and who says so."""

    at: Time
    event: str
    source: str = Field(description="helm, kubernetes, health, slack, zkrollback, operator ...")


class SamplePoint(_Part):
    """A point of the recovery picture."""

    at: Time
    series: str = Field(description="'replicas/<workload>/<revision or image>' or 'health'")
    value: float = Field(description="ready replicas; health: 1 ok, 0 not")


class Delivery(_Part):
    """What a receiver answered, and in the drill what it received."""

    to: str
    ok: bool
    answer: str = ""
    message: dict[str, Any] | None = Field(default=None, description="the message as sent")


class Plan(_Part):
    """What was known before acting."""

    target: Revision | None = None
    bad: Revision | None = Field(default=None, description="the revision that is rolled away from")
    history: tuple[Revision, ...] = ()
    diff: str = Field(default="", description="manifest diff, from the bad revision to the target")


class Record(_Part):
    """Everything about one run. The JSON file is this, the other files are rendered from it."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    run_id: str = Field(description="8 hex digits, also in the files' names")
    mode: Mode
    outcome: Outcome = Outcome.RUNNING
    summary: str = Field(default="", description="one sentence: what is true now")
    environment: str
    cluster: str = Field(default="", description="context and server address")
    namespace: str = ""
    release: str = ""
    revision_before: int | None = None
    target_revision: int | None = None
    revision_after: int | None = None
    reason: str = "not given"
    next_steps: str = "none given"
    incident: str = ""
    operator: str = ""
    command_line: str = Field(default="", description="what the operator typed")
    started_at: Time
    finished_at: Time | None = None
    impact_since: Time | None = None
    recovered_at: Time | None = Field(default=None, description="when every item had PASS or WAIVED")
    plan: Plan = Plan()
    decision: dict[str, Any] = Field(default={}, description="signals and recommendation")
    guards: tuple[Guard, ...] = ()
    overrides: tuple[Override, ...] = ()
    helm: Helm = Helm()
    items: tuple[Item, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    samples: tuple[SamplePoint, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    github: dict[str, Any] | None = None
    next_commands: tuple[str, ...] = Field(default=(), description="what to type next: undo or continue")
    redactions: int = Field(default=0, description="how many known or likely secrets were taken out")
    versions: dict[str, str] = Field(default={}, description="this tool, helm, Kubernetes, Python, ...")
