"""What a metric answered: a value, or why there is none that can be judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from .frozen import Frozen, Time


class NoValueKind(StrEnum):
    """Why an answer holds no value that can be judged."""

    EMPTY = "no-series"
    NOT_A_NUMBER = "not-a-number"
    INFINITE = "infinite"
    SEVERAL = "several-series"
    STALE = "stale"
    WRONG_TYPE = "wrong-type"
    WARNED = "warned"
    # Of the server, not of the data:
    BAD_QUERY = "bad-query"
    UNAUTHORIZED = "unauthorized"
    UNAVAILABLE = "unavailable"
    REDIRECTED = "redirected"
    TOO_LARGE = "too-large"
    NOT_THE_API = "not-the-api"
    NO_ANSWER = "no-answer"
    NOT_ASKED = "not-asked"


# The server answered, and what it knows of the metric is no value.
OF_THE_DATA = frozenset(
    {
        NoValueKind.EMPTY,
        NoValueKind.NOT_A_NUMBER,
        NoValueKind.INFINITE,
        NoValueKind.SEVERAL,
        NoValueKind.STALE,
        NoValueKind.WRONG_TYPE,
        NoValueKind.WARNED,
    }
)


@dataclass(frozen=True)
class Reading:
    """One answer: a value (it may be infinite), or the kind and the sentence that say why there is none.

    ``infos``: what the server remarks on the query.
    """

    value: float | None = None
    kind: NoValueKind | None = None
    text: str = ""
    infos: tuple[str, ...] = ()


@dataclass(frozen=True)
class RangeReading:
    """The values of one series over a time, oldest first, also NaN and infinite ones; or why there are none.

    ``warning``: why part of them may be missing.
    """

    values: tuple[tuple[datetime, float], ...] = ()
    kind: NoValueKind | None = None
    text: str = ""
    warning: str = ""


class PointOrigin(StrEnum):
    """Who took a value."""

    SAMPLED = "sampled by this run"
    RANGE_QUERY = "Prometheus' range query"


class MetricPoint(Frozen):
    """One look at a metric."""

    at: Time = Field(description="when it was asked; of what was read afterwards, the time of the value")
    value: float | None = Field(
        default=None, description="what was judged (`when_empty` included); null: no number, or no finite one"
    )
    within: bool | None = Field(
        default=None, description="whether it is within the limits; null: that could not be judged"
    )
    kind: NoValueKind | None = Field(
        default=None, description="what the answer was instead of a finite value; null: it was one"
    )
    origin: PointOrigin = Field(
        default=PointOrigin.SAMPLED,
        description="sampled by this run; or Prometheus' range query, which was asked afterwards",
    )


class MetricCurve(Frozen):
    """A metric over the whole incident, as Prometheus' range query gave it after the verdict."""

    start: Time = Field(description="from when")
    end: Time = Field(description="until when")
    step_s: float = Field(description="seconds between two values")
    asked_at: Time = Field(description="when it was asked for")
    points: tuple[MetricPoint, ...] = Field(
        default=(),
        description="oldest first, one for each step; where the answer had none, one without a value",
    )
    problem: str = Field(default="", description="why there are no points, in words; empty: there are")
    kind: NoValueKind | None = Field(default=None, description="the same as a kind; null: there are points")
    warning: str = Field(
        default="", description="why part of the data may be missing; empty: nothing says so"
    )


class MetricCount(Frozen):
    """How many requests failed in the incident, by the check's `count_query`."""

    query: str = Field(description="the PromQL as it was asked")
    start: Time = Field(description="from when it counts")
    end: Time = Field(description="until when")
    value: float | None = Field(default=None, description="how many; null: that is not known")
    problem: str = Field(default="", description="why it is not known, in words; empty: it is")


class MetricSeries(Frozen):
    """A metric check and what was seen of it, from before the change to the end of the watch."""

    id: str = Field(description="the item's id, e.g. metric-error-rate")
    title: str = Field(description="the item's title")
    query: str = Field(description="the PromQL as it was asked")
    unit: str = Field(default="", description="what the values are, e.g. %")
    max: float | None = Field(default=None, description="at most; null: no such limit")
    min: float | None = Field(default=None, description="at least; null: no such limit")
    users_impacted: bool = Field(
        default=False, description="`users_impacted` names it: where it fails, users are affected"
    )
    counts_from: Time | None = Field(
        default=None, description="from when samples decide (`settle_s`); null: the run did not get there"
    )
    curve: MetricCurve | None = Field(
        default=None,
        description="what Prometheus' range query gave after the verdict; null: it was not asked",
    )
    count: MetricCount | None = Field(
        default=None,
        description="how many requests failed; null: there is no `count_query`, or it was not asked",
    )
    points: tuple[MetricPoint, ...] = Field(
        default=(),
        description="oldest first; thinned out where there are many, never by what is out of bounds",
    )
    thinned: bool = Field(
        default=False, description="values were left out of `points`: out of bounds is at most so long"
    )


class Limited(Protocol):
    """What has limits: a check of the configuration, or its series in a record."""

    @property
    def max(self) -> float | None:
        """At most."""

    @property
    def min(self) -> float | None:
        """At least."""

    @property
    def unit(self) -> str:
        """What the values are."""


def limits(metric: Limited) -> str:
    """``at most 1 %``."""
    said = []
    if metric.min is not None:
        said.append(f"at least {shown(metric, metric.min)}")
    if metric.max is not None:
        said.append(f"at most {shown(metric, metric.max)}")
    return " and ".join(said)


def shown(metric: Limited, value: float) -> str:
    """``0.42 %``."""
    return f"{value:.4g} {metric.unit}".strip()
