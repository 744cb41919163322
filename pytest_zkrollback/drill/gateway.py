"""The demo application on loopback, where its pods run in a cluster: reached through the API server.

    GET, POST  /health, /api/..., /metrics   the backend's Service
    GET, POST  anything else                 the frontend's
    GET        /targets                      the backend's ready pods, for Prometheus' HTTP service discovery
    GET        /pods/NAME/metrics            one pod's /metrics

Status and body are passed on as they are: the application's, or what the API server says where the Service
has no pod that is ready (503). Where the API server itself gives no answer: 502, JSON with ``detail``.

    python -m pytest_zkrollback.drill.gateway --kubeconfig F --context C --namespace N --port-file F
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..clients.kube.client import connect
from ..clients.process import LocalProcesses
from ..domain.checks import JsonObject
from ..domain.errors import ClusterError, ZkRollbackError
from .http_server import Handler, LoopbackServer
from .live_pods import BACKEND, serving
from .scenarios import RELEASE

if TYPE_CHECKING:
    from ..clients.kube.client import KubeClient
    from ..domain.ports import HttpAnswer

_ANSWER_S = 10.0
_BACKEND = ("/health", "/api/", "/metrics")
_POD_METRICS = re.compile(r"/pods/([a-z0-9.-]+)/metrics")


class _GatewayHandler(Handler):
    server: Gateway

    def get(self) -> None:
        if self.path == "/targets":
            try:
                self.reply_json(200, self.server.targets())
            except ClusterError as problem:
                self.reply_json(502, {"detail": str(problem)})
        else:
            self._pass_on("GET", None)

    def post(self, body: bytes) -> None:
        self._pass_on("POST", body)

    def _pass_on(self, method: str, body: bytes | None) -> None:
        named = ("Accept", "Content-Type")
        headers = {name: value for name in named if (value := self.headers.get(name)) is not None}
        try:
            answer = self.server.ask(method, self.path, body, headers)
        except ClusterError as problem:
            self.reply_json(502, {"detail": str(problem)})
            return
        self.reply(answer.status, answer.body, answer.headers.get("content-type", "text/plain"))


class Gateway(LoopbackServer):
    """Listens on a free port of loopback."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        """``namespace`` is the release's."""
        super().__init__(_GatewayHandler)
        self._kube = kube
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}"

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> HttpAnswer:
        """The answer of the Service, or of the pod, that ``path`` belongs to. Raises ClusterError."""
        if pod := _POD_METRICS.fullmatch(path):
            proxied = f"{self._path}/pods/{pod[1]}:8080/proxy/metrics"
        else:
            name = "backend" if path.startswith(_BACKEND) else "frontend"
            proxied = f"{self._path}/services/{RELEASE}-zkprova-{name}:http/proxy{path}"
        return self._kube.proxied(method, proxied, body, headers, _ANSWER_S)

    def targets(self) -> list[JsonObject]:
        """The pods to scrape, each under this server's own address. Raises ClusterError."""
        pods = self._kube.list(f"{self._path}/pods", {"labelSelector": f"app={BACKEND}"})
        address = f"127.0.0.1:{self.server_address[1]}"
        return [
            {
                "targets": [address],
                "labels": {
                    "namespace": self._namespace,
                    "pod": name,
                    "__metrics_path__": f"/pods/{name}/metrics",
                },
            }
            for name in (pod["metadata"]["name"] for pod in serving(tuple(pods), BACKEND))
        ]


def gateway_argv(kubeconfig: Path, context: str, namespace: str, port_file: Path) -> list[str]:
    """The command line of this server; its port is in ``port_file`` once it listens."""
    scope = ["--kubeconfig", str(kubeconfig), "--context", context, "--namespace", namespace]
    return [sys.executable, "-m", "pytest_zkrollback.drill.gateway", *scope, "--port-file", str(port_file)]


def main() -> None:
    """Serve until the end."""
    parser = argparse.ArgumentParser()
    for name in ("--kubeconfig", "--context", "--namespace"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    given = parser.parse_args()
    try:
        kube = connect(given.context, given.kubeconfig, processes=LocalProcesses())
    except ZkRollbackError as problem:
        sys.exit(str(problem))
    server = Gateway(kube, given.namespace)
    server.write_port(given.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
