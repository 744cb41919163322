"""The drill on a kubelet of our own (``--drill-kubelet``): real pods, on this machine, in namespaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .binaries import find_binaries
from .demo_app import DATABASE, database_url
from .gateway import gateway_argv
from .kubelet_node import KubeletNode
from .kwok_venue import DATA
from .local_cluster import Cluster, RunningCluster, start_cluster
from .programs import NODE_TOOLS, TOOLS

if TYPE_CHECKING:
    from pathlib import Path

    from ..domain.ports import Clock, Processes
    from .images import Release
    from .venue import Venue


@dataclass(frozen=True)
class Kubelet:
    """The choice of this place."""

    name: str = "kubelet"

    def open(self, progress: Callable[[str], None], processes: Processes, clock: Clock) -> Venue:
        """Build what is missing, then start a cluster with a node; takes about 5 s.

        :func:`.node_requirements.refuse_unfit_machine` comes before. Raises DrillProblem.
        """
        tools = (*TOOLS, *NODE_TOOLS)
        binaries = find_binaries(tools=tools, progress=progress, processes=processes, clock=clock)
        node = KubeletNode(processes)
        running = start_cluster(binaries, node=node, progress=progress, clock=clock)
        return KubeletVenue(running, node)


class KubeletVenue:
    """A :class:`.venue.Venue` on a cluster that was started for it."""

    def __init__(self, running: RunningCluster, node: KubeletNode) -> None:
        """The node's disk, where the application's database lies, is a folder of the drill's."""
        self.supervised = running
        self.cluster: Cluster = running.cluster
        self.namespace = "default"  # as the runbook's commands have it
        self._data = running.data_dir / DATA
        self.values: Mapping[str, Any] = {"hostPath": str((self._data / DATABASE).parent)}
        self.database = database_url(self._data)
        self.makes_namespace = False
        self.app_env: Mapping[str, str] = {}
        self._node = node

    def bring_images(self, releases: Sequence[Release]) -> None:
        """Put them into the node's container runtime. Raises DrillProblem."""
        self._node.import_images(releases)

    def migrate(self, kind: str) -> None:
        """Nothing: the Job's pod runs and does it."""

    def app_argv(self, port_file: Path) -> list[str]:
        """A way to the pods through the API server's service proxy."""
        return gateway_argv(self.cluster.kubeconfig, self.cluster.context, self.namespace, port_file)

    def close(self) -> None:
        """End every program and remove the folder."""
        self.supervised.close()
