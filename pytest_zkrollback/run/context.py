"""What the steps of a run share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ..checklist.custom import CustomItem
from ..clients.clock import SystemClock
from ..clients.helm import DEADLINE_GRACE_S, HelmCli, find_helm
from ..clients.http import HttpClient
from ..clients.kube.client import KubeClient
from ..clients.process import LocalProcesses
from ..config.environment import Environment
from ..domain.checks import JsonObject
from ..domain.ports import Hooks
from ..domain.request import Request
from ..migrations.custom import OwnSource
from ..notify.dispatcher import NotificationDispatcher
from ..report.recorder import Recorder
from ..report.redaction import Redactor
from ..rollback.journal import LocalJournal
from ..rollback.lock import EXPIRY_MARGIN_S, HolderWatch, ReleaseLock
from .display import Display
from .signals import Signals

if TYPE_CHECKING:
    from ..drill.drill import Drill


class SeenWorkers:
    """Live Jobs by name and live pods by UID, as they were seen: helm deletes those that it leaves."""

    def __init__(self) -> None:
        """None was seen yet."""
        self._jobs: dict[str, JsonObject] = {}
        self._pods: dict[str, JsonObject] = {}

    @property
    def jobs(self) -> Mapping[str, JsonObject]:
        """The Jobs by name."""
        return dict(self._jobs)

    @property
    def pods(self) -> Mapping[str, JsonObject]:
        """The pods by UID."""
        return dict(self._pods)

    def add_jobs(self, jobs: Iterable[JsonObject]) -> None:
        """Remember these; another Job of a known name is a later one and left out."""
        for job in jobs:
            known = self._jobs.get(job["metadata"]["name"])
            if known is None or known["metadata"].get("uid") == job["metadata"].get("uid"):
                self._jobs[job["metadata"]["name"]] = job

    def add_pods(self, pods: Iterable[JsonObject]) -> None:
        """Remember these as they are now."""
        self._pods.update({str(pod["metadata"].get("uid")): pod for pod in pods})


@dataclass(frozen=True)
class RunContext:
    """One run's environment and the clients it works with; nothing that is a result.

    ``selected``: the items that pytest will report. ``started_at``: by this machine's clock.
    """

    run_id: str
    operator: str
    started_at: datetime
    request: Request
    env: Environment
    kube: KubeClient
    recorder: Recorder
    display: Display
    redactor: Redactor
    clock: SystemClock
    processes: LocalProcesses
    signals: Signals
    notifier: NotificationDispatcher
    selected: frozenset[str]
    hooks: Hooks
    own_items: tuple[CustomItem, ...] = ()
    own_sources: Mapping[str, OwnSource] = field(default_factory=dict)
    drill: Drill | None = field(default=None)
    seen_workers: SeenWorkers = field(default_factory=SeenWorkers)
    holder_watch: HolderWatch = field(default_factory=HolderWatch)

    def helm(self) -> HelmCli:
        """The operator's helm, bound to exactly this context and API server; raises HelmProblem."""
        env = self.env
        return HelmCli(
            find_helm(env.helm, os.environ.get("PATH")),
            self.processes,
            context=env.kube_context,
            kubeconfig=env.kubeconfig,
            namespace=env.namespace,
            environ=os.environ,
            server=self.kube.server,
            tls_server_name=self.kube.tls_server_name,
        )

    def http(self) -> HttpClient:
        """For the environment's url: with its CA file and its proxy, and no others."""
        return HttpClient(ca_file=self.env.ca_file, proxy=self.env.proxy, clock=self.clock)

    def lock(self) -> ReleaseLock:
        """The release's lock; its lease outlasts helm, so that only a dead holder's expires."""
        env = self.env
        lease_s = env.helm_timeout_s + DEADLINE_GRACE_S + EXPIRY_MARGIN_S
        local = LocalJournal.of(self.kube.server, env.namespace, env.release)
        return ReleaseLock(
            self.kube, self.clock, env.namespace, env.release, lease_s, local, self.holder_watch
        )

    @property
    def cluster(self) -> str:
        """The kubeconfig context and the API server's address, as the record and the journal name them."""
        return f"context {self.env.context}, {self.kube.server}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that may hold secrets, the drill's own included."""
        return variables(self.drill)


def variables(drill: Drill | None) -> dict[str, str]:
    """The operator's environment variables; the drill's are laid over them."""
    return {**os.environ, **(drill.secrets if drill is not None else {})}
