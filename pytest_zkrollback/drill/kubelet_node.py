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
from .images import make_images, write_archive
from .node_config import PAUSE_IMAGE, REGISTRY_PORT, NodeFiles, write_documents
from .relay import relay_argv

if TYPE_CHECKING:
    from ..domain.ports import Processes
    from .images import Release
    from .local_cluster import RunningCluster

_IMPORT_S = 120.0
_REMOVE_S = 20.0


class KubeletNode:
    """A :class:`.local_cluster.Node`, for one cluster."""

    programs = "kubelet"
    user = (f"system:node:{NODE_NAME}", "system:nodes")
    address = ADDRESS

    def __init__(self, processes: Processes) -> None:
        """Nothing is started yet."""
        self._processes = processes
        self._running: RunningCluster | None = None
        self._inside: list[str] = []
        self._socket = Path()

    def prepare(self, running: RunningCluster) -> Sequence[str]:
        """Make the namespaces and a way into their network; start what needs no API server."""
        self._running = running
        data_dir, files = running.data_dir, NodeFiles(running.layout)
        cgroups.sweep()
        running.at_end([sys.executable, "-m", "pytest_zkrollback.drill.cgroups", data_dir.name], _REMOVE_S)
        running.start_server("box", box_argv(data_dir))
        running.wait_until("the node's namespaces", ready_file(data_dir).exists)
        pid = int(ready_file(data_dir).read_text())
        self._inside = inside(pid)
        self._socket = Path(f"/proc/{pid}/root{files.socket}")
        running.start_server("relay", relay_argv(running.port, pid))
        running.start_server("registry", [*network_only(pid), *registry_argv(REGISTRY_PORT)])
        write_documents(files, running.cluster.binaries)
        self._start("containerd", "--config", files.containerd)
        return network_only(pid)

    def start(self, running: RunningCluster) -> None:
        """Start the kubelet, which registers the node itself."""
        files = NodeFiles(running.layout)
        *_, kubeconfig = running.layout.kubeconfigs
        running.wait_until("containerd", self._socket.exists)
        self._start(
            *("kubelet", "--config", files.kubelet, "--kubeconfig", kubeconfig),
            *("--hostname-override", NODE_NAME, "--node-ip", ADDRESS, "--v", "1"),
            *("--cert-dir", files.folder / "certificates"),
        )
        self.import_images((), pause=PAUSE_IMAGE)

    def import_images(
        self, releases: Sequence[Release], *, pause: str | None = None, program: Path | None = None
    ) -> None:
        """Give the node the demo application's images of ``releases``. Raises DrillProblem.

        ``program`` stands in them in the application's place.
        """
        running = self._cluster
        archive = running.data_dir / "images.tar"
        images = make_images(program or running.cluster.binaries["zkprova"], releases, pause=pause)
        self.import_archive(write_archive(images, archive))
        archive.unlink()

    def import_archive(self, archive: Path) -> None:
        """Give the node the images of an archive. Raises DrillProblem."""
        running = self._cluster
        socket = NodeFiles(running.layout).socket
        ctr = [str(running.cluster.binaries["ctr"]), f"--address={socket}", "--namespace=k8s.io"]
        argv = [*self._inside, *ctr, "images", "import", str(archive)]
        try:
            ended = self._processes.run(argv, timeout_s=_IMPORT_S)
            trouble = ended.output.strip()[-2000:] if ended.exit_code != 0 else ""
        except ProcessProblem as problem:
            trouble = str(problem)
        if trouble:
            raise DrillProblem(f"The drill's images could not be imported into its node: {trouble}")

    @property
    def _cluster(self) -> RunningCluster:
        if self._running is None:
            raise RuntimeError("the node is not prepared yet")
        return self._running

    def _start(self, name: str, *args: str | Path) -> None:
        running = self._cluster
        binaries = running.cluster.binaries
        # A shim that is asked what it can do looks for runc on PATH.
        path = f"{binaries['runc'].parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        env = {"PATH": path, "TMPDIR": str(temporary_folder(running.data_dir))}
        running.start_server(name, [*self._inside, str(binaries[name]), *(str(arg) for arg in args)], env)
