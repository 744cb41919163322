"""What differs between a fleet's members."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from pydantic import Field

from ...domain.fleet import FleetRecord, Member, ReleaseVersion
from ...domain.frozen import Frozen


class Topic(StrEnum):
    """What is compared. Revision numbers are not: they count each cluster's own history."""

    APP_BEFORE = "app-before"
    CHART_BEFORE = "chart-before"
    APP_TARGET = "app-target"
    CHART_TARGET = "chart-target"
    APP_LIVE = "app-live"
    CHART_LIVE = "chart-live"
    FAILED_ITEM = "failed-item"
    HELM = "helm"
    ITEMS = "items"


class Value(Frozen):
    """One value, and who has it."""

    value: str = Field(description="as it is read")
    members: tuple[str, ...] = Field(description="the members that have it, in the fleet's order")


class Difference(Frozen):
    """Something in which members differ."""

    topic: Topic = Field(description="what is compared, e.g. app-before: the app version before the run")
    values: tuple[Value, ...] = Field(description="at least two, what most members have first")


def find_differences(record: FleetRecord) -> tuple[Difference, ...]:
    """Each thing in which members differ, as far as it is known of them."""
    found = []
    for topic, ask in _TOPICS.items():
        values: dict[str, list[str]] = {}
        for member in record.members:
            if member.run_id and (value := ask(member)):
                values.setdefault(value, []).append(member.environment)
        if len(values) > 1:
            ordered = sorted(values.items(), key=lambda each: (-len(each[1]), each[0]))
            listed = tuple(Value(value=value, members=tuple(members)) for value, members in ordered)
            found.append(Difference(topic=topic, values=listed))
    return tuple(found)


def find_items(record: FleetRecord) -> tuple[str, ...]:
    """The ids of all members' items, in the runbook's order as far as members agree on one."""
    found: list[str] = []
    for checklist in dict.fromkeys(tuple(item.id for item in each.items) for each in record.members):
        place = 0
        for item_id in checklist:
            if item_id in found:
                place = found.index(item_id) + 1
            else:
                found.insert(place, item_id)
                place += 1
    return tuple(found)


def _app(version: ReleaseVersion | None) -> str:
    return version.app_version if version is not None else ""


def _chart(version: ReleaseVersion | None) -> str:
    return version.chart if version is not None else ""


def _failed(member: Member) -> str:
    return member.first_failed.id if member.first_failed is not None else "nothing"


def _helm(member: Member) -> str:
    return {True: "ran", False: "did not run", None: "not known"}[member.helm_ran]


def _items(member: Member) -> str:
    return ", ".join(item.id for item in member.items)


_TOPICS: dict[Topic, Callable[[Member], str]] = {
    Topic.APP_BEFORE: lambda each: _app(each.before),
    Topic.CHART_BEFORE: lambda each: _chart(each.before),
    Topic.APP_TARGET: lambda each: _app(each.target),
    Topic.CHART_TARGET: lambda each: _chart(each.target),
    Topic.APP_LIVE: lambda each: _app(each.after),
    Topic.CHART_LIVE: lambda each: _chart(each.after),
    Topic.FAILED_ITEM: _failed,
    Topic.HELM: _helm,
    Topic.ITEMS: _items,
}
