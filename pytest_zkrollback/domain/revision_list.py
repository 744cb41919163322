"""A release's revisions as a person looks at them, before choosing one to go back to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import Field

from .frozen import Frozen, Time
from .record import Objection, ObjectionKind, Plan, Revision, RevisionFacts, Verification

SCHEMA = "zkrollback.revisions/1"
DEPLOYED = "deployed"


class RevisionRow(Frozen):
    """One revision: Helm's own words, what else is known, and what speaks against going back to it."""

    revision: int = Field(description="its number")
    is_current: bool = Field(default=False, description="whether it is the newest, whatever its status")
    status: str = Field(default="", description="Helm's word; empty: its Secret cannot be read")
    chart: str = Field(default="", description="chart name and version")
    app_version: str = Field(default="", description="the chart's appVersion")
    deployed_at: Time | None = Field(default=None, description="when Helm deployed it")
    age_s: float | None = Field(default=None, description="how long ago that was")
    description: str = Field(default="", description="Helm's own sentence")
    rollback_of: int | None = Field(default=None, description="the revision that this one rolled back to")
    images: tuple[str, ...] = Field(default=(), description="container images of its manifest, sorted")
    new_images: tuple[str, ...] = Field(
        default=(), description="images that the revision before it did not have, sorted"
    )
    removed_images: tuple[str, ...] = Field(
        default=(), description="images that only the revision before it has, sorted"
    )
    deployed_for_s: float | None = Field(
        default=None,
        description="how long it was the deployed one, until now if it still is; null: it never was, or is "
        "not known",
    )
    deployed_by: str = Field(
        default="", description="who deployed it, where this tool did; empty: Helm does not say it"
    )
    verified: Verification | None = Field(
        default=None, description="the newest run that verified what it holds, where none failed on it since"
    )
    objections: tuple[Objection, ...] = Field(
        default=(), description="what speaks against going back to it; empty: nothing that is known"
    )
    taken_by: tuple[str, ...] = Field(
        default=(), description="what of 'previous' and 'last-verified' would take it as the target"
    )


class NamedTarget(Frozen):
    """What a name would take as the target."""

    name: str = Field(description="as --rollback-to takes it")
    revision: int | None = Field(description="the revision; null: none, and the command would be refused")
    because: str = Field(description="why it, or why none")


class RevisionList(Frozen):
    """What ``--rollback-list`` says; its JSON is what ``--rollback-list=json`` prints."""

    schema_: str = Field(default=SCHEMA, alias="schema", description="name and version of this shape")
    environment: str = Field(description="name from the configuration")
    cluster: str = Field(description="context and server address")
    namespace: str = Field(description="Kubernetes namespace of the release")
    release: str = Field(description="name of the Helm release")
    listed_at: Time = Field(description="now, by the API server's clock")
    revisions: tuple[RevisionRow, ...] = Field(description="all revisions, newest first")
    targets: tuple[NamedTarget, ...] = Field(description="what 'previous' and 'last-verified' would take")
    stranded: str = Field(
        default="",
        description="why the release needs a rollback to be led out, as a sentence without its end; empty: "
        "it needs none",
    )
    unknown: tuple[str, ...] = Field(default=(), description="what could not be found out, in sentences")
    proposal: str = Field(description="in one sentence: what to go back to, or why nothing is proposed")
    next_commands: tuple[str, ...] = Field(
        default=(),
        description="shell lines, what to type next; one that begins with '# ' explains the next",
    )


def merge_rows(
    history: Iterable[Revision],
    facts: Iterable[RevisionFacts],
    objections: Sequence[Objection],
    at: datetime,
) -> tuple[RevisionRow, ...]:
    """The rows, newest first; ``at`` is now. What only an objection names cannot be read."""
    known = {each.revision: each for each in facts}
    found = {each.revision: each for each in history}
    numbers = sorted({*found, *(each.revision for each in objections)}, reverse=True)
    newest = numbers[0] if numbers else None
    deployed = next(
        (number for number in numbers if number in found and found[number].status == DEPLOYED), None
    )
    against: dict[int, list[Objection]] = {}
    for each in objections:
        # That the current revision holds what it holds speaks against nothing.
        if each.revision != newest or each.kind is not ObjectionKind.SAME_AS_CURRENT:
            against.setdefault(each.revision, []).append(each)
    rows = []
    for number in numbers:
        row = _row(number, found.get(number), known.get(number), at)
        still = {"deployed_for_s": row.age_s} if number == deployed else {}
        more = {"is_current": number == newest, "objections": tuple(against.get(number, ())), **still}
        rows.append(row.model_copy(update=more))
    return tuple(rows)


def plan_rows(plan: Plan, at: datetime) -> tuple[RevisionRow, ...]:
    """The same of what a run wrote down when it looked."""
    return merge_rows(plan.history, plan.revision_facts, plan.objections, at)


def _row(number: int, revision: Revision | None, facts: RevisionFacts | None, at: datetime) -> RevisionRow:
    if revision is None:
        return RevisionRow(revision=number)
    more = dict(facts) if facts is not None else {}
    age_s = max(0.0, (at - revision.deployed_at).total_seconds())
    return RevisionRow(**{**dict(revision), **more, "age_s": age_s})
