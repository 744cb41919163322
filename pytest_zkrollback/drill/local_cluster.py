"""A real control plane on this machine: etcd, API server, controller manager, scheduler, and kwok as kubelet.

All of it listens on loopback only; etcd on a Unix socket in the data folder, which only its owner can
enter. Every certificate is verified. What is simulated is said in the drill's README.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clients.clock import SystemClock
from ..clients.daemon_process import Daemon
from ..clients.process import start_daemon
from ..clients.state_dir import write_private
from ..domain.errors import DrillProblem, ProcessProblem
from ..domain.kube_objects import is_ready
from ..domain.ports import Clock
from . import credentials
from .cluster_api import Api
from .control_plane import AUDIT_POLICY, NODE, Layout, server_argv
from .podlogs import podlogs_argv

STAGES = Path(__file__).with_name("stages.yaml")
PREFIX = "zkrollback-drill-"
_READY_S = 120.0
_ANSWER_S = 30.0


@dataclass(frozen=True)
class Cluster:
    """Where the cluster is. Everything in ``data_dir`` goes with it, but for the binaries.

    ``binaries`` maps etcd, kube-apiserver, ..., kubectl, helm (and helm3 if asked for) to files.
    ``audit_log`` has one JSON event (audit.k8s.io/v1) a line: every request, writes with their bodies
    (except those of Secrets).
    """

    kubeconfig: Path
    context: str
    server: str
    ca_file: Path
    data_dir: Path
    binaries: Mapping[str, Path]
    audit_log: Path

    @property
    def logs(self) -> Path:
        """Folder with one log file per server."""
        return self.data_dir / "logs"


class RunningCluster:
    """A cluster that this process started: it ends with this process, unless it is kept."""

    def __init__(self, cluster: Cluster, daemon: Daemon, token: str) -> None:
        """Take the supervisor over."""
        self.cluster = cluster
        self._daemon = daemon
        self._token = token

    @property
    def api(self) -> Api:
        """The API server as its administrator."""
        return Api(self.cluster.server, self.cluster.ca_file, self._token)

    def start_server(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Start one more program with the cluster's lifetime; returns its process id.

        Its output goes to ``<data_dir>/logs/<name>.log``, its working folder is the data folder, its
        environment is PATH, HOME (the data folder) and ``env``. Raises DrillProblem.
        """
        request = {"start": name, "argv": list(argv), "env": {**self._server_env(), **(env or {})}}
        answer = self._ask(request)
        if "error" in answer:
            raise DrillProblem(f"The drill could not start {name}: {answer['error']}")
        return int(answer["pid"])

    def stop_server(self, name: str) -> None:
        """SIGKILL one of the programs; it can be started again under its name."""
        self._ask({"stop": name})

    def ended(self) -> dict[str, int]:
        """Programs that ended by themselves, with their exit codes."""
        return dict(self._ask({"ended": True})["ended"])

    def last_words(self, name: str, count: int = 12) -> str:
        """The end of a program's log, indented."""
        log = self.cluster.logs / f"{name}.log"
        try:
            with log.open("rb") as file:
                file.seek(max(log.stat().st_size - 8192, 0))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"  (no log: {error.strerror})"
        return "\n".join(f"  {line}" for line in lines[-count:])

    def keep(self) -> None:
        """From now on it stays after this process; only its own death or SIGTERM ends it."""
        self._ask({"keep": True})
        self._daemon.close()

    def close(self) -> None:
        """End every program and remove the data folder; returns when that is done."""
        if not self._daemon.close(timeout_s=_ANSWER_S):
            raise DrillProblem(
                f"The drill's supervisor did not end within {_ANSWER_S:g} s; its folder is"
                f" {self.cluster.data_dir}, its process id is in the file 'alive' there."
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = json.loads(self._daemon.ask(json.dumps(request), _ANSWER_S))
        except ProcessProblem as problem:
            raise DrillProblem(f"The drill's cluster does not answer: {problem}") from None
        return dict(answer)

    def _server_env(self) -> dict[str, str]:
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.cluster.data_dir)}
        if "PYTHONPATH" in os.environ:
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return env


def start_cluster(
    binaries: Mapping[str, Path],
    *,
    progress: Callable[[str], None] = lambda _: None,
    stages: Path = STAGES,
    clock: Clock | None = None,
) -> RunningCluster:
    """Start a cluster with one ready node; takes about 5 s. Raises DrillProblem.

    ``stages`` is kwok's configuration. Whatever interrupts the start, nothing of it stays.
    """
    clock = clock if clock is not None else SystemClock()
    data_dir = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_short_folder())).resolve()
    try:
        layout = _prepare(data_dir, stages)
        daemon = start_daemon(
            [sys.executable, "-m", "pytest_zkrollback.drill.supervisor", str(data_dir)],
            log_path=data_dir / "logs" / "supervisor.log",
            clock=clock,
        )
    except BaseException as error:
        shutil.rmtree(data_dir, ignore_errors=True)
        if isinstance(error, ProcessProblem):
            raise DrillProblem(f"The drill's supervisor could not be started: {error}") from None
        raise
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
        daemon.answer(_ANSWER_S)
        _bring_up(running, layout, tokens, progress, clock)
    except BaseException:
        running.close()
        raise
    return running


def _prepare(data_dir: Path, stages: Path) -> Layout:
    layout = Layout(data_dir)
    for folder in (data_dir / "logs", layout.certificates):
        folder.mkdir()
    write_private(layout.service_account_key, credentials.new_service_account_key())
    layout.audit_policy.write_text(json.dumps(AUDIT_POLICY))
    shutil.copyfile(stages, layout.stages)
    return layout


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


def _short_folder() -> str | None:
    """Where the data folder goes; None: the usual place. A Unix socket's path has 104 bytes on macOS."""
    return None if len(tempfile.gettempdir()) <= 60 else "/tmp"  # noqa: S108 - mkdtemp makes it ours


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
