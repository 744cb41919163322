"""The servers' command lines, and the documents that they read."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE_RANGE = "10.96.0.0/16"

NODE_NAME = "drill-node"

NODE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": NODE_NAME,
        "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        "labels": {"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux"},
    },
}

AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class Layout:
    """What lies where in the data folder."""

    data_dir: Path
    # The address under which the API server is known to the node; its certificate is made for it, too.
    address: str = "127.0.0.1"

    @property
    def certificates(self) -> Path:
        """``--cert-dir``: the API server writes its own certificate there."""
        return self.data_dir / "certificates"

    @property
    def ca_file(self) -> Path:
        """Serving certificate and the authority that signed it: what clients verify with."""
        return self.certificates / "apiserver.crt"

    @property
    def serving_key(self) -> Path:
        """The private key of the API server's certificate."""
        return self.certificates / "apiserver.key"

    @property
    def service_account_key(self) -> Path:
        """Signs service account tokens."""
        return self.data_dir / "service-account.key"

    @property
    def etcd_socket(self) -> Path:
        """Where etcd listens: nobody but the owner of the data folder gets there."""
        return self.data_dir / "etcd.sock"

    @property
    def tokens(self) -> Path:
        """``--token-auth-file``."""
        return self.data_dir / "tokens.csv"

    @property
    def kubeconfigs(self) -> tuple[Path, Path, Path, Path]:
        """Administrator, controller manager, scheduler, the node's user."""
        names = ("kubeconfig", "controller-manager.kubeconfig", "scheduler.kubeconfig", "node.kubeconfig")
        admin, manager, scheduler, node = (self.data_dir / name for name in names)
        return admin, manager, scheduler, node

    @property
    def audit_policy(self) -> Path:
        """``--audit-policy-file``."""
        return self.data_dir / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        """``--audit-log-path``."""
        return self.data_dir / "audit.log"

    @property
    def stages(self) -> Path:
        """kwok's configuration."""
        return self.data_dir / "stages.yaml"


def server_argv(name: str, binary: Path, layout: Layout, port: int) -> list[str]:
    """The command line of server ``name``; ``port``: the API server's, or (kwok) the node's."""
    flags = {
        "etcd": _etcd,
        "kube-apiserver": _apiserver,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
        "kwok": _kwok,
    }[name]
    return [str(binary), *flags(layout, port)]


def _etcd(layout: Layout, _port: int) -> list[str]:
    client = f"unix://{layout.etcd_socket}"
    peer = "http://127.0.0.1:1"  # never dialled: a cluster of one; what it listens on is the socket below
    return [
        f"--data-dir={layout.data_dir}/etcd",
        "--name=drill",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls=unix://{layout.data_dir}/etcd-peer.sock",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=drill={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(layout: Layout, port: int) -> list[str]:
    return [
        f"--etcd-servers=unix://{layout.etcd_socket}",
        "--bind-address=127.0.0.1",
        # Left out, it is looked for on the default route's interface, which a laptop may not have.
        f"--advertise-address={layout.address}",
        f"--secure-port={port}",
        f"--cert-dir={layout.certificates}",
        "--anonymous-auth=false",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.service_account_key}",
        f"--service-account-signing-key-file={layout.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # It would write an EndpointSlice with a loopback address, which it refuses itself.
        "--endpoint-reconciler-type=none",
        # As on every other cluster: node agents and storage have such containers.
        "--allow-privileged",
        # The node serves with the API server's own certificate, which is made for both addresses.
        f"--kubelet-certificate-authority={layout.ca_file}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        "--profiling=false",
    ]


def _controller_manager(layout: Layout, _port: int) -> list[str]:
    _, kubeconfig, _, _ = layout.kubeconfigs
    return [
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        # How soon it sees that the new node is ready, and takes its taint away.
        "--node-monitor-period=500ms",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={layout.service_account_key}",
        f"--root-ca-file={layout.ca_file}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _scheduler(layout: Layout, _port: int) -> list[str]:
    _, _, kubeconfig, _ = layout.kubeconfigs
    return [
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _kwok(layout: Layout, port: int) -> list[str]:
    *_, kubeconfig = layout.kubeconfigs
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={layout.stages}",
        "--manage-all-nodes",
        "--node-ip=127.0.0.1",
        f"--node-port={port}",
        # Left out, kwok's own server, which nobody asks, would listen on every address of this machine.
        "--server-address=127.0.0.1:0",
        # Without a lease the node goes NotReady for about 5 s every minute.
        "--node-lease-duration-seconds=40",
    ]


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
