"""A node of our own: containerd, runc and kubelet in namespaces of their own; pods really run on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.errors import DrillProblem, ProcessProblem
from . import cgroups
from .box import ADDRESS, box_argv, inside, network_only, ready_file, temporary_folder
from .control_plane import NODE_NAME
from .empty_registry import registry_argv
from .node_config import REGISTRY_PORT, NodeFiles, write_documents
from .relay import relay_argv

if TYPE_CHECKING:
    from ..domain.ports import Processes
    from .local_cluster import RunningCluster

_IMPORT_S = 120.0
_REMOVE_S = 20.0


class KubeletNode:
    """A :class:`.local_cluster.Node`, for one cluster."""

    programs = "kubelet"
    user = (f"system:node:{NODE_NAME}", "system:nodes")
    address = ADDRESS

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._inside: list[str] = []

    def prepare(self, running: RunningCluster) -> Sequence[str]:
        """Make the namespaces, and a way into their network for who is outside."""
        data_dir = running.data_dir
        cgroups.sweep()
        running.at_end([sys.executable, "-m", "pytest_zkrollback.drill.cgroups", data_dir.name], _REMOVE_S)
        running.start_server("box", box_argv(data_dir))
        running.wait_until("the node's namespaces", ready_file(data_dir).exists)
        pid = int(ready_file(data_dir).read_text())
        self._inside = inside(pid)
        running.start_server("relay", relay_argv(running.port, pid))
        running.start_server("registry", [*network_only(pid), *registry_argv(REGISTRY_PORT)])
        files = NodeFiles(running.layout)
        write_documents(files, running.cluster.binaries)
        self._start(running, "containerd", "--config", files.containerd)
        self._socket = Path(f"/proc/{pid}/root{files.socket}")
        return network_only(pid)

    def start(self, running: RunningCluster) -> None:
        """Start the kubelet, which registers the node itself."""
        files = NodeFiles(running.layout)
        *_, kubeconfig = running.layout.kubeconfigs
        running.wait_until("containerd", self._socket.exists)
        self._start(
            *(running, "kubelet", "--config", files.kubelet, "--kubeconfig", kubeconfig),
            *("--hostname-override", NODE_NAME, "--node-ip", ADDRESS, "--v", "1"),
            *("--cert-dir", files.folder / "certificates"),
        )

    def _start(self, running: RunningCluster, name: str, *args: str | Path) -> None:
        argv = [*self._inside, str(running.cluster.binaries[name]), *(str(arg) for arg in args)]
        # A shim that is asked what it can do looks for runc on PATH.
        path = f"{running.cluster.binaries['runc'].parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        running.start_server(name, argv, {"PATH": path, "TMPDIR": str(temporary_folder(running.data_dir))})

    def import_images(self, running: RunningCluster, archive: Path, processes: Processes) -> None:
        """Take an archive's images (OCI layout in a tar) for the node's. Raises DrillProblem."""
        files = NodeFiles(running.layout)
        ctr = [str(running.cluster.binaries["ctr"]), f"--address={files.socket}", "--namespace=k8s.io"]
        argv = [*self._inside, *ctr, "images", "import", str(archive)]
        try:
            ended = processes.run(argv, timeout_s=_IMPORT_S)
        except ProcessProblem as problem:
            raise DrillProblem(f"The node's images could not be imported: {problem}") from None
        if ended.exit_code != 0:
            raise DrillProblem(f"The node's images could not be imported: {ended.output.strip()[-2000:]}")
