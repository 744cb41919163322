"""A fleet: environments that are rolled back together, wave by wave. Read only where one is asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import Field, field_validator

from ..domain.errors import UsageProblem
from ..domain.fleet import StopRule
from .base import Table
from .environment import Environment

FIRST_FAILURE = "first-failure"
_PATTERN = re.compile(r"[*?\[]")
_SHARE = re.compile(r"(100|[0-9]{1,2})(\.[0-9]{1,2})?\s?%", flags=re.ASCII)
_WAVES = 'it has to be a list of waves, each a list of names or patterns, as in [["eu-canary"], ["eu-*"]]'
_STOP = f'it has to be "{FIRST_FAILURE}", how many members may fail (2), or which share of them ("20%")'


class KubernetesEngineTable(Table):
    """``[fleets.NAME.kubernetes]``: where ``--fleet-engine=kubernetes`` runs members as pods."""

    context: str | None = Field(
        default=None, description="the management cluster's context; none: the pod's own service account"
    )
    kubeconfig: str | None = Field(default=None, description="file to use for it instead of $KUBECONFIG")
    namespace: str = Field(default="zkrollback", min_length=1, description="where the Jobs are made")
    image: str = Field(min_length=1, description="image with Python, this package and helm")
    kubeconfig_secret: str | None = Field(
        default=None,
        description="Secret with the kubeconfig of the members' clusters, which is $KUBECONFIG there",
    )
    kubeconfig_key: str = Field(
        default="kubeconfig", pattern=r"^[-._a-zA-Z0-9]+$", description="the key in that Secret"
    )
    env_secret: str | None = Field(
        default=None, description="Secret whose keys are the members' environment variables"
    )
    service_account: str | None = Field(default=None, description="of the pods; none: they get no token")
    arguments: tuple[str, ...] = Field(
        default=("--pyargs", "pytest_zkrollback.items"), description="what pytest is given there first"
    )
    start_timeout_s: float = Field(
        default=300, gt=0, le=3600, description="a pod that has not begun after this long is given up"
    )


class FleetTable(Table):
    """One table ``[fleets.NAME]``."""

    waves: tuple[tuple[str, ...], ...] = Field(
        description='`[["eu-canary"], ["eu-1", "eu-2"], ["us-*"]]`: the waves in their order, each with '
        "names and patterns of environments. A pattern takes those that no name, and no pattern before it, "
        "has taken"
    )
    at_once: int = Field(default=10, ge=1, le=200, description="so many members side by side, at most")
    pause_s: float = Field(
        default=0, ge=0, le=86400, description="wait this long between the end of a wave and the next one"
    )
    stop: str | int = Field(
        default=FIRST_FAILURE,
        description='when no further member is begun: `"first-failure"`, or when more fail than this number, '
        'or than this share of all members (`"20%"`)',
    )
    protected: bool = Field(
        default=False,
        description="members are rolled back only with --rollback-confirm=NAME of the fleet; so it is where "
        "a member is protected",
    )
    kubernetes: KubernetesEngineTable | None = Field(
        default=None, description="where `--fleet-engine=kubernetes` runs members"
    )

    @field_validator("waves", mode="before")
    @classmethod
    def _waves(cls, waves: object) -> object:
        good = (
            isinstance(waves, list)
            and waves
            and all(isinstance(wave, list) and wave for wave in waves)
            and all(isinstance(each, str) and each for wave in waves for each in wave)
        )
        if not good:
            raise ValueError(_WAVES)
        return waves

    @field_validator("stop", mode="before")
    @classmethod
    def _stop(cls, stop: object) -> object:
        if isinstance(stop, int) and not isinstance(stop, bool) and stop >= 0:
            return stop
        if isinstance(stop, str) and (stop == FIRST_FAILURE or _SHARE.fullmatch(stop)):
            return stop
        raise ValueError(_STOP)

    @property
    def stop_rule(self) -> StopRule:
        """The same as the record has it."""
        if isinstance(self.stop, int):
            return StopRule(failures=self.stop)
        if self.stop == FIRST_FAILURE:
            return StopRule(failures=0)
        return StopRule(share=float(self.stop.rstrip("% ")) / 100)


@dataclass(frozen=True)
class Fleet:
    """A fleet whose patterns are resolved. Every environment is a member of one wave alone."""

    name: str
    waves: tuple[tuple[str, ...], ...]
    at_once: int
    pause_s: float
    stop: StopRule
    protected: bool
    environments: Mapping[str, Environment]
    kubernetes: KubernetesEngineTable | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """All environments, wave by wave."""
        return tuple(name for wave in self.waves for name in wave)

    def wave_of(self, member: str) -> int:
        """The number of its wave, counted from 1."""
        return next(number for number, wave in enumerate(self.waves, 1) if member in wave)


def resolve_waves(
    file: str, fleet: str, table: FleetTable, known: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """The waves with names alone. Raises UsageProblem: no such environment, or one that comes twice.

    ``file`` and ``fleet`` are for the sentence; ``known`` are the environments in the file's order, which a
    pattern keeps.
    """
    where = f"'waves' in [fleets.{fleet}]"
    names = [each for wave in table.waves for each in wave if not _PATTERN.search(each)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"
            raise UsageProblem(
                f"{file}: {where} names '{name}', which is no environment ({meant}); helm did not run."
            )
        if names.count(name) > 1:
            raise UsageProblem(
                f"{file}: {where} names '{name}' {names.count(name)} times: a member is rolled back once; "
                "helm did not run."
            )
    taken = set(names)
    waves: list[tuple[str, ...]] = []
    for wave in table.waves:
        members: list[str] = []
        for each in wave:
            if not _PATTERN.search(each):
                members.append(each)
                continue
            found = [name for name in known if fnmatchcase(name, each)]
            left = [name for name in found if name not in taken]
            if not left:
                why = (
                    "all that it fits are named elsewhere"
                    if found
                    else f"known: {', '.join(known) or 'none'}"
                )
                raise UsageProblem(
                    f"{file}: the pattern '{each}' of {where} takes no environment ({why}); helm did not run."
                )
            taken.update(left)
            members += left
        waves.append(tuple(members))
    return tuple(waves)
