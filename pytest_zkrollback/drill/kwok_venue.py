"""The drill on kwok: a real control plane on this machine, whose pods are played."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .binaries import find_binaries
from .demo_app import app_argv, database_url, migrate
from .local_cluster import Cluster, RunningCluster, start_cluster

if TYPE_CHECKING:
    from ..domain.ports import Clock, Processes
    from .images import Release
    from .venue import Venue

DATA: Final = "demo"


@dataclass(frozen=True)
class Kwok:
    """The choice of this place."""

    name: str = "kwok"

    def open(self, progress: Callable[[str], None], processes: Processes, clock: Clock) -> Venue:
        """Build what is missing, then start a cluster; takes about 5 s. Raises DrillProblem."""
        binaries = find_binaries(progress=progress, processes=processes, clock=clock)
        return KwokVenue(start_cluster(binaries, progress=progress, clock=clock), processes)


class KwokVenue:
    """A :class:`.venue.Venue` on a cluster that was started for it."""

    def __init__(self, running: RunningCluster, processes: Processes) -> None:
        """The demo application's folder, in the cluster's, stands for the node's disk."""
        self.supervised = running
        self.cluster: Cluster = running.cluster
        self.namespace = "default"  # as the runbook's commands have it
        self.values: Mapping[str, Any] = {}
        self._processes = processes
        self._data = running.data_dir / DATA
        self.database = database_url(self._data)
        self.makes_namespace = False
        self.app_env: Mapping[str, str] = {}

    def bring_images(self, releases: Sequence[Release]) -> None:
        """Nothing is pulled: kwok takes every image of the demo whose tag has the right form."""

    def migrate(self, kind: str) -> None:
        """Apply the migration to the application's database: the Job's pod is played."""
        migrate(self.cluster.binaries["zkprova"], self._data, kind, self._processes)

    def app_argv(self, port_file: Path) -> list[str]:
        """The application on loopback, which behaves as the live pods say."""
        return app_argv(self.cluster, self.namespace, self._data, port_file)

    def close(self) -> None:
        """End every program and remove the folder."""
        self.supervised.close()
