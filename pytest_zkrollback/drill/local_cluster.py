"""A real control plane on this machine: etcd, API server, controller manager, scheduler; and a node.

All of it listens on loopback only; etcd on a Unix socket in the data folder, which only its owner can
enter. Every certificate is verified. The node is kwok's (what it simulates is said in the drill's README) or
a kubelet's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..clients.clock import SystemClock
from ..clients.daemon_process import Daemon
from ..clients.state_dir import write_private
from ..domain.errors import DrillProblem
from ..domain.kube_objects import is_ready
from ..domain.ports import Clock
from . import credentials
from .cluster_api import Api
from .control_plane import AUDIT_POLICY, NODE_NAME, Layout, free_port, server_argv
from .kwok_node import KwokNode
from .supervised import Supervised, start_supervisor
from .venue import ClusterAccess

_READY_S = 120.0


@dataclass(frozen=True)
class Cluster(ClusterAccess):
    """Where a cluster of our own is. Everything in ``data_dir`` goes with it, but for the binaries.

    ``binaries`` maps etcd, kube-apiserver, ..., kubectl, helm (and helm3 if asked for) to files.
    ``audit_log`` has one JSON event (audit.k8s.io/v1) a line: every request, writes with their bodies
    (except those of Secrets).
    """

    server: str
    ca_file: Path
    audit_log: Path


class RunningCluster(Supervised):
    """A cluster that this process started: it ends with this process, unless it is kept.

    ``layout``: what lies where in its data folder.
    """

    def __init__(self, cluster: Cluster, layout: Layout, daemon: Daemon, token: str, clock: Clock) -> None:
        """Take the supervisor over."""
        super().__init__(cluster.data_dir, daemon)
        self.cluster = cluster
        self.layout = layout
        self._token = token
        self._clock = clock

    @property
    def api(self) -> Api:
        """The API server as its administrator."""
        return Api(self.cluster.server, self.cluster.ca_file, self._token)

    @property
    def port(self) -> int:
        """The API server's."""
        return int(self.cluster.server.rpartition(":")[2])

    def wait_until(self, what: str, done: Callable[[], bool], timeout_s: float = _READY_S) -> None:
        """Wait until ``done``; raises DrillProblem if a server ended, or if it takes too long."""
        deadline = self._clock.monotonic_s() + timeout_s
        while not done():
            for name, code in self.ended().items():
                raise DrillProblem(
                    f"The drill's {name} ended with exit code {code} while waiting for {what}."
                    f" Its last words:\n{self.last_words(name)}"
                )
            if self._clock.monotonic_s() > deadline:
                raise DrillProblem(
                    f"The drill waited {timeout_s:g} s for {what} in vain; is the machine overloaded? The API"
                    f" server's last words:\n{self.last_words('kube-apiserver')}"
                )
            self._clock.sleep(0.05)


class Node(Protocol):
    """Who plays the cluster's one node."""

    @property
    def programs(self) -> str:
        """What is started, as a person reads it."""

    @property
    def user(self) -> tuple[str, str]:
        """The name that the API server knows it by, and its RBAC groups."""

    @property
    def address(self) -> str:
        """Where the node knows the API server."""

    def prepare(self, running: RunningCluster) -> Sequence[str]:
        """Before anything is started; returns what goes before the command lines of the control plane."""

    def start(self, running: RunningCluster) -> None:
        """Start what makes the node, with :attr:`Layout.kubeconfigs`' last. Raises DrillProblem."""


def start_cluster(
    binaries: Mapping[str, Path],
    *,
    progress: Callable[[str], None] = lambda _: None,
    node: Node | None = None,
    clock: Clock | None = None,
) -> RunningCluster:
    """Start a cluster with one ready node; takes about 5 s. Raises DrillProblem.

    ``node``: left out, it is kwok's. Whatever interrupts the start, nothing of it stays.
    """
    clock = clock if clock is not None else SystemClock()
    node = node if node is not None else KwokNode()
    data_dir, daemon = start_supervisor(clock)
    layout = Layout(data_dir, node.address)
    users = {**credentials.USERS, node.user[0]: node.user[1]}
    tokens = credentials.new_tokens(users)
    cluster = Cluster(
        kubeconfig=layout.kubeconfigs[0],
        context=credentials.CONTEXT,
        server=f"https://127.0.0.1:{free_port()}",
        ca_file=layout.ca_file,
        data_dir=data_dir,
        binaries=dict(binaries),
        audit_log=layout.audit_log,
    )
    running = RunningCluster(cluster, layout, daemon, tokens[credentials.ADMIN], clock)
    try:
        layout.certificates.mkdir()
        write_private(layout.service_account_key, credentials.new_service_account_key())
        write_private(layout.tokens, credentials.render_token_file(users, tokens))
        layout.audit_policy.write_text(json.dumps(AUDIT_POLICY))
        _bring_up(running, node, tokens, progress)
    except BaseException:
        running.close()
        raise
    return running


def _bring_up(
    running: RunningCluster, node: Node, tokens: Mapping[str, str], progress: Callable[[str], None]
) -> None:
    cluster, layout = running.cluster, running.layout
    before = node.prepare(running)

    def start(name: str) -> None:
        argv = server_argv(name, cluster.binaries[name], layout, running.port)
        running.start_server(name, [*before, *argv])

    progress("Starting etcd and the API server")
    start("etcd")
    # An API server that finds no etcd tries again a second later only.
    running.wait_until("etcd", layout.etcd_socket.exists)
    start("kube-apiserver")
    running.wait_until("the API server to be ready", lambda: running.api.get("/readyz")[0] == 200)
    for (user, token), path in zip(tokens.items(), layout.kubeconfigs, strict=True):
        write_private(path, credentials.render_kubeconfig(cluster.server, cluster.ca_file, user, token))
    progress(f"Starting controller manager, scheduler and {node.programs}")
    start("kube-controller-manager")
    start("kube-scheduler")
    node.start(running)
    running.wait_until("the node to be ready", lambda: _node_is_ready(running.api))
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    running.wait_until("the default service account", lambda: running.api.get(account)[0] == 200)


def _node_is_ready(api: Api) -> bool:
    status, node = api.get(f"/api/v1/nodes/{NODE_NAME}")
    return status == 200 and not node["spec"].get("taints") and is_ready(node)
