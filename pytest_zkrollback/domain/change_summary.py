"""The change summary: what is known about a rollback's target before anything is done.

Part of the record's plan.
Labels of objects are ``Kind/name``; lists are in a stable order and cut to what a person can read
(``release/diff.py``). Values of Secrets are in none of it.
"""

from __future__ import annotations

from pydantic import Field

from .frozen import Frozen


class Skipped(Frozen):
    """A revision that was not chosen, and why not."""

    revision: int = Field(description="its number in the release's history")
    reason: str = Field(description="the evidence against it")


class Change(Frozen):
    """Something that the rollback would change."""

    what: str = Field(description="Kind/name, and where in it")
    live: str = Field(description="as the current revision states it; empty: not there")
    target: str = Field(description="as the target states it; empty: not there")


class TargetHook(Frozen):
    """A hook that helm will run: those of the target revision, never those of the current one."""

    name: str = Field(description="Kind/name")
    events: tuple[str, ...] = Field(description="pre-rollback, post-rollback")
    revision: int = Field(description="the revision that the hook comes from")


class ChangeSummary(Frozen):
    """What is known about the target and what going back to it means. Gathered read-only."""

    asked: str = Field(description="the target as typed: a number or a name for one")
    chosen_because: str = Field(description="why this revision")
    chain: tuple[int, ...] = Field(
        default=(), description="the target and what it rolled back to, down to the revision of its origin"
    )
    deployed_for_s: float | None = Field(
        default=None, description="for how long it was the deployed revision, in seconds; None: not known"
    )
    skipped: tuple[Skipped, ...] = Field(default=(), description="newer revisions not chosen, newest first")
    objects: tuple[Change, ...] = Field(
        default=(), description="objects that differ: how each stands in the current revision and the target"
    )
    images: tuple[Change, ...] = Field(default=(), description="container images that change")
    replicas: tuple[Change, ...] = Field(default=(), description="replica counts that change")
    values: tuple[Change, ...] = Field(
        default=(), description="values given to the chart that change; what is secret by its name is hidden"
    )
    drift: tuple[str, ...] = Field(
        default=(), description="where live objects are not as the current revision states"
    )
    deleted: tuple[str, ...] = Field(default=(), description="objects that helm will delete")
    not_rolled_back: tuple[str, ...] = Field(
        default=(), description="what will not move: CRDs of the chart, resources with the policy 'keep'"
    )
    missing: tuple[str, ...] = Field(
        default=(), description="what the target's pods refer to and what exists no longer"
    )
    hooks: tuple[TargetHook, ...] = Field(default=(), description="hooks that will run")
    unknown: tuple[str, ...] = Field(default=(), description="what could not be looked at, and why")
