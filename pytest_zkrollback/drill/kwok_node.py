"""The node that kwok plays: no container runs, pods get the status that their specs lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..domain.errors import DrillProblem
from . import credentials
from .control_plane import NODE, free_port, server_argv
from .podlogs import podlogs_argv
from .stages import render_stages

if TYPE_CHECKING:
    from .local_cluster import RunningCluster


@dataclass(frozen=True)
class KwokNode:
    """A :class:`.local_cluster.Node`."""

    programs: str = "kwok"
    user: tuple[str, str] = ("kwok", "system:masters")
    address: str = "127.0.0.1"

    def prepare(self, running: RunningCluster) -> Sequence[str]:
        """Nothing: everything is started as it is."""
        running.layout.stages.write_text(render_stages(), encoding="utf-8")
        return ()

    def start(self, running: RunningCluster) -> None:
        """Start kwok and the server of the pods' logs, then register the node."""
        layout, port = running.layout, free_port()
        logs = podlogs_argv(
            layout.kubeconfigs[-1], credentials.CONTEXT, port, layout.ca_file, layout.serving_key
        )
        running.start_server("podlogs", logs)
        running.start_server("kwok", server_argv("kwok", running.cluster.binaries["kwok"], layout, port))
        status, body = running.api.send("POST", "/api/v1/nodes", NODE)
        if status != 201:
            raise DrillProblem(f"The drill's API server did not take the node (status {status}): {body}")
