"""A real control plane on this machine: etcd, API server, controller manager, scheduler, and kwok as kubelet.

All of it listens on loopback only; etcd on a Unix socket in the data folder, which only its owner can
enter. Every certificate is verified. What is simulated is said in the drill's README.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..clients.clock import SystemClock
from ..clients.daemon_process import Daemon
from ..clients.state_dir import write_private
from ..domain.errors import DrillProblem
from ..domain.kube_objects import is_ready
from ..domain.ports import Clock
from . import credentials
from .cluster_api import Api
from .control_plane import AUDIT_POLICY, NODE, Layout, server_argv
from .podlogs import podlogs_argv
from .stages import render_stages
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
    """A cluster that this process started: it ends with this process, unless it is kept."""

    def __init__(self, cluster: Cluster, daemon: Daemon, token: str) -> None:
        """Take the supervisor over."""
        super().__init__(cluster.data_dir, daemon)
        self.cluster = cluster
        self._token = token

    @property
    def api(self) -> Api:
        """The API server as its administrator."""
        return Api(self.cluster.server, self.cluster.ca_file, self._token)


def start_cluster(
    binaries: Mapping[str, Path],
    *,
    progress: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> RunningCluster:
    """Start a cluster with one ready node; takes about 5 s. Raises DrillProblem.

    Whatever interrupts the start, nothing of it stays.
    """
    clock = clock if clock is not None else SystemClock()
    data_dir, daemon = start_supervisor(clock)
    layout = Layout(data_dir)
    tokens = credentials.new_tokens()
    cluster = Cluster(
        kubeconfig=data_dir / "kubeconfig",
        context=credentials.CONTEXT,
        server=f"https://127.0.0.1:{_free_port()}",
        ca_file=layout.ca_file,
        data_dir=data_dir,
        binaries=dict(binaries),
        audit_log=layout.audit_log,
    )
    running = RunningCluster(cluster, daemon, tokens["drill-admin"])
    try:
        _prepare(layout)
        _bring_up(running, layout, tokens, progress, clock)
    except BaseException:
        running.close()
        raise
    return running


def _prepare(layout: Layout) -> None:
    layout.certificates.mkdir()
    write_private(layout.service_account_key, credentials.new_service_account_key())
    layout.audit_policy.write_text(json.dumps(AUDIT_POLICY))
    layout.stages.write_text(render_stages(), encoding="utf-8")


def _bring_up(
    running: RunningCluster,
    layout: Layout,
    tokens: Mapping[str, str],
    progress: Callable[[str], None],
    clock: Clock,
) -> None:
    cluster = running.cluster
    wait = _Wait(running, clock)

    def start(name: str, port: int = 0) -> None:
        running.start_server(name, server_argv(name, cluster.binaries[name], layout, port))

    write_private(layout.tokens, credentials.render_token_file(tokens))
    progress("Starting etcd and the API server")
    start("etcd")
    # An API server that finds no etcd tries again a second later only.
    wait.until("etcd", layout.etcd_socket.exists)
    start("kube-apiserver", int(cluster.server.rpartition(":")[2]))
    wait.until("the API server to be ready", lambda: running.api.get("/readyz")[0] == 200)
    for user, path in zip(credentials.USERS, layout.kubeconfigs, strict=True):
        text = credentials.render_kubeconfig(cluster.server, cluster.ca_file, user, tokens[user])
        write_private(path, text)
    progress("Starting controller manager, scheduler and kwok")
    start("kube-controller-manager")
    start("kube-scheduler")
    node_port = _free_port()
    logs = podlogs_argv(
        layout.kubeconfigs[-1], credentials.CONTEXT, node_port, layout.ca_file, layout.serving_key
    )
    running.start_server("podlogs", logs)
    start("kwok", node_port)
    status, body = running.api.send("POST", "/api/v1/nodes", NODE)
    if status != 201:
        raise DrillProblem(f"The drill's API server did not take the node (status {status}): {body}")
    wait.until("the node to be ready", lambda: _node_is_ready(running.api))
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    wait.until("the default service account", lambda: running.api.get(account)[0] == 200)


class _Wait:
    def __init__(self, running: RunningCluster, clock: Clock) -> None:
        self._running = running
        self._clock = clock
        self._deadline = clock.monotonic_s() + _READY_S

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until ``done``; raises DrillProblem if a server ended, or if it takes too long."""
        while not done():
            ended = self._running.ended()
            for name, code in ended.items():
                raise DrillProblem(
                    f"The drill's {name} ended with exit code {code} while waiting for {what}."
                    f" Its last words:\n{self._running.last_words(name)}"
                )
            if self._clock.monotonic_s() > self._deadline:
                raise DrillProblem(
                    f"The drill waited {_READY_S:g} s for {what} in vain; is the machine overloaded? The API"
                    f" server's last words:\n{self._running.last_words('kube-apiserver')}"
                )
            self._clock.sleep(0.05)


def _node_is_ready(api: Api) -> bool:
    status, node = api.get(f"/api/v1/nodes/{NODE['metadata']['name']}")
    return status == 200 and not node["spec"].get("taints") and is_ready(node)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
