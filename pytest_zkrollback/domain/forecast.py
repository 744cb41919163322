"""The forecast: what this helm's rollback would meet, object by object. Part of the record's plan.

Values of Secrets are in none of it.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .frozen import Frozen


class ApplyOutcome(StrEnum):
    """What helm's attempt on an object comes to."""

    APPLY = "will apply"
    FAIL = "will fail"
    UNKNOWN = "unknown"


class ForecastCause(StrEnum):
    """Why helm would fail on an object, or why nobody knows."""

    NONE = ""
    CONFLICT = "conflict"
    IMMUTABLE = "immutable"
    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    QUOTA = "quota"
    ADMISSION = "admission"
    CONVERSION = "conversion"
    MISSING_KIND = "missing-kind"
    MISSING_NAMESPACE = "missing-namespace"
    NO_OBJECT = "no-object"
    OTHER = "other"
    UNANSWERED = "unanswered"


class WarningKind(StrEnum):
    """What a rollback that helm can apply leaves wrong for a while, or for good."""

    PLACEHOLDER = "placeholder"
    HOOK_NOT_RUN = "hook-not-run"


class ForecastWarning(Frozen):
    """Something that helm will not refuse and that is not as the target had it."""

    kind: WarningKind = Field(
        description="placeholder: of a CA bundle, which an injector filled in; hook-not-run: an install or "
        "upgrade hook made what pods of the target read"
    )
    what: str = Field(description="Kind/name")
    why: str = Field(description="as a sentence")


class FieldConflict(Frozen):
    """A field that the target sets and that somebody else owns (server-side apply)."""

    manager: str = Field(description="who owns it, as the API server's managedFields name them")
    field: str = Field(description="its path, e.g. .spec.replicas")
    live: str = Field(default="", description="its value now; empty: not known or hidden")
    target: str = Field(default="", description="what the target wants; empty: not known or hidden")
    placeholder: bool = Field(
        default=False,
        description="the target states a placeholder, and this manager's CA bundle would be lost",
    )

    def explain(self, what: str) -> str:
        """What ``--force-conflicts`` overwrites: ``Deployment/x .spec.replicas: 4 (kubectl) -> 3``."""
        owner = self.manager or "somebody"
        back = ", which puts the placeholder back" if self.placeholder else ""
        if not (self.live or self.target):
            return f"{what} {self.field} (of {owner}, values not shown){back}"
        return f"{what} {self.field}: {self.live or '(none)'} ({owner}) -> {self.target or '(none)'}{back}"


class ObjectForecast(Frozen):
    """What happens to one object."""

    what: str = Field(description="Kind/name")
    action: str = Field(
        description="change, create, delete, keep, build (not even that) or record (helm's own)"
    )
    will: ApplyOutcome = Field(description="will apply, will fail or unknown")
    cause: ForecastCause = Field(
        default=ForecastCause.NONE,
        description="why it will fail; unanswered: the API server's answer says nothing of the object; "
        "empty: it will not fail, or was not tried",
    )
    why: str = Field(default="", description="the API server's words, or what is not known")
    conflicts: tuple[FieldConflict, ...] = Field(default=(), description="for the cause conflict")


class Forecast(Frozen):
    """What the rollback would do if helm ran now; from server-side dry runs, nothing was changed."""

    will: ApplyOutcome = Field(
        description="for the rollback as a whole: one object that fails makes helm stop halfway"
    )
    method: str = Field(description="server-side apply, or three-way patch")
    objects: tuple[ObjectForecast, ...] = Field(default=(), description="every object of both revisions")
    restarts: str = Field(default="", description="why no pod would restart; empty: some would, or not known")
    unknown: tuple[str, ...] = Field(default=(), description="what no dry run can say")
    warnings: tuple[ForecastWarning, ...] = Field(
        default=(), description="what helm can apply and what is then not as the target had it"
    )

    @property
    def failing(self) -> tuple[ObjectForecast, ...]:
        """The objects on which helm would stop."""
        return tuple(each for each in self.objects if each.will is ApplyOutcome.FAIL)

    @property
    def forcible(self) -> bool:
        """Whether conflicts alone stand in the way, which ``--force-conflicts`` overwrites."""
        return bool(self.failing) and all(each.cause is ForecastCause.CONFLICT for each in self.failing)
