"""The documents that a node's programs read: container runtime, pod network, kubelet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .box import ADDRESS, BRIDGE, POD_RANGE, node_folder
from .control_plane import Layout
from .without_seccomp import write_launcher

CLUSTER_DNS = "10.96.0.10"
REGISTRY_PORT = 5000  # inside the node's network
PAUSE_IMAGE = "docker.io/zkprova/pause:1"


@dataclass(frozen=True)
class NodeFiles:
    """What lies where in the node's folder, which is seen inside its namespaces only."""

    layout: Layout

    @property
    def folder(self) -> Path:
        """A file system in memory."""
        return node_folder(self.layout.data_dir)

    @property
    def documents(self) -> Path:
        """Written before the node starts, seen inside and outside."""
        return self.layout.data_dir / "node-config"

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"

    @property
    def containerd(self) -> Path:
        """containerd's configuration."""
        return self.documents / "containerd.toml"

    @property
    def runc(self) -> Path:
        """What containerd starts containers with."""
        return self.documents / "runc"

    @property
    def kubelet(self) -> Path:
        """kubelet's configuration."""
        return self.documents / "kubelet.json"


def write_documents(files: NodeFiles, binaries: Mapping[str, Path]) -> None:
    """Write them all. Raises OSError."""
    network = files.documents / "cni"
    registries = files.documents / "registries" / "_default"
    for folder in (network, registries):
        folder.mkdir(parents=True)
    write_launcher(files.runc, binaries["runc"])
    files.containerd.write_text(_containerd(files, binaries))
    files.kubelet.write_text(json.dumps(_kubelet(files)))
    (network / "10-pods.conflist").write_text(json.dumps(_pod_network(files)))
    (registries / "hosts.toml").write_text(f'server = "http://127.0.0.1:{REGISTRY_PORT}"\n')


def _containerd(files: NodeFiles, binaries: Mapping[str, Path]) -> str:
    def text(value: object) -> str:
        return json.dumps(str(value))

    plugins = ", ".join(text(binaries[name].parent) for name in ("bridge", "host-local", "loopback"))
    return f"""version = 3
root = {text(files.folder / "containerd/root")}
state = {text(files.folder / "containerd/state")}
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.differ.v1.erofs",
]

[grpc]
address = {text(files.socket)}

[ttrpc]
address = {text(f"{files.socket}.ttrpc")}

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
pinned_images = {{sandbox = "{PAUSE_IMAGE}"}}
registry = {{config_path = {text(files.documents / "registries")}}}

[plugins.'io.containerd.cri.v1.runtime']
disable_apparmor = true
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [{plugins}]
conf_dir = {text(files.documents / "cni")}

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = {text(binaries["containerd-shim-runc-v2"])}
options = {{BinaryName = {text(files.runc)}, SystemdCgroup = false}}
"""


def _pod_network(files: NodeFiles) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": str(files.folder / "addresses"),
        "ranges": [[{"subnet": POD_RANGE, "gateway": ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _kubelet(files: NodeFiles) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "healthzPort": 0,
        # The API server's own certificate, which is made for this address, too: it verifies it.
        "tlsCertFile": str(files.layout.ca_file),
        "tlsPrivateKeyFile": str(files.layout.serving_key),
        # Only the API server and the drill's own pods reach this address.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{files.layout.data_dir.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{files.socket}",
        "volumePluginDir": str(files.folder / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        "resolvConf": "",
        # Nobody listens there; without an address every pod gets a warning event.
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        # The machine may be full for reasons that are not the drill's.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 100,
    }
