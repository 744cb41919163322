"""The kubelet's log endpoint of the drill's node: what ``kubectl logs`` is answered.

kwok can serve files by pod name only, so this stands in its place: it looks at the live pod when it is
asked and answers what this image with this environment would have written by now, or the kubelet's error.
Followed logs (``-f``) end at once.

    python -m pytest_zkrollback.drill.podlogs --kubeconfig FILE --context NAME --port N --cert FILE --key FILE
"""

from __future__ import annotations

import argparse
import ssl
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ..clients.clock import SystemClock
from ..domain.checks import JsonObject
from ..domain.errors import ClusterError, NotFound
from ..domain.ports import Clock
from ..domain.timestamps import require_time
from .http_server import Handler, LoopbackServer
from .live_pods import LivePods, environment, image_version, volume_of

_PROBES_SHOWN = 60

Line = tuple[datetime, str]
Life = tuple[datetime, datetime | None, int]


class NoLogs(Exception):
    """The kubelet's refusal; its text is the kubelet's (``validateContainerLogStatus``)."""


def choose_life(pod: JsonObject, container: str, previous: bool) -> Life:
    """Start, end (None: it runs) and number of the container's life whose log is asked for. Raises NoLogs."""
    name = pod["metadata"]["name"]
    every = (*pod["status"].get("containerStatuses", ()), *pod["status"].get("initContainerStatuses", ()))
    statuses = [status for status in every if status["name"] == container]
    if not statuses:
        raise NoLogs(f'container "{container}" in pod "{name}" is not available')
    status, state = statuses[0], statuses[0]["state"]
    restarts, last = status["restartCount"], status.get("lastState", {}).get("terminated")
    if previous:
        if last is None:
            raise NoLogs(f'previous terminated container "{container}" in pod "{name}" not found')
        # A container that waits for its restart is itself the previous one.
        return (
            require_time(last["startedAt"]),
            require_time(last["finishedAt"]),
            restarts - ("waiting" not in state),
        )
    if "running" in state:
        return require_time(state["running"]["startedAt"]), None, restarts
    if "terminated" in state:
        return (
            require_time(state["terminated"]["startedAt"]),
            require_time(state["terminated"]["finishedAt"]),
            restarts,
        )
    if last is not None:
        return require_time(last["startedAt"]), require_time(last["finishedAt"]), restarts
    reason = state.get("waiting", {}).get("reason", "")
    known = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
    raise NoLogs(f'container "{container}" in pod "{name}" is waiting to start: {known.get(reason, reason)}')


def render_life(pod: JsonObject, container: str, life: Life, now: datetime) -> list[Line]:
    """What the container wrote in one life, with times, oldest first."""
    spec = next(c for c in _containers(pod) if c["name"] == container)
    started, ended, number = life
    lasted_s = ((ended or now) - started).total_seconds()
    version, commit = image_version(spec["image"])
    env = environment(spec)
    path = env.get("DATABASE_PATH")
    script = [(0.04, f"INFO {_role(spec)} {version} ({commit}) starting")]
    if path is not None:
        script.append((0.06, f"INFO database: opening {path}"))
    elif "BACKEND_URL" in env:
        script.append((0.06, f"INFO sending /api to {env['BACKEND_URL']}"))
    if path is not None and volume_of(pod, spec, path) is None:
        script.append((0.09, "WARN database: unable to open database file, trying again"))
        if number == 0:
            script.append((0.12, "INFO listening on :8080"))
        if ended is not None:
            script.append((lasted_s + 0.3, f"FATAL: unable to open database file: {path}"))
    elif path is not None or "BACKEND_URL" in env:
        script += [(0.09, "INFO database: ok")] if path is not None else []
        script.append((0.12, "INFO listening on :8080"))
        script += _probes(spec, int(lasted_s))
    return [(started + timedelta(seconds=at), text) for at, text in script]


def _role(container: JsonObject) -> str:
    """What the program calls itself: its image's last name, unless its arguments say otherwise."""
    given = [*container.get("args", ()), ""][0]
    return "act" if given == "act" else str(container["image"]).rpartition("/")[2].partition(":")[0]


def _containers(pod: JsonObject) -> list[JsonObject]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _probes(spec: JsonObject, lasted_s: int) -> list[tuple[float, str]]:
    probe = spec.get("readinessProbe") or {}
    path = probe.get("httpGet", {}).get("path", "/health")
    status = 200 if path == "/health" else 404
    times = range(0, lasted_s, probe.get("periodSeconds", 10))[-_PROBES_SHOWN:]
    return [(at + 0.5, f"INFO GET {path} {status} kube-probe") for at in times]


def render_log(lines: Sequence[Line], query: Mapping[str, str], now: datetime) -> bytes:
    """The answer's body: sinceTime, sinceSeconds, tailLines, limitBytes and timestamps of PodLogOptions."""
    since = []
    if "sinceSeconds" in query:
        since.append(now - timedelta(seconds=int(query["sinceSeconds"])))
    if "sinceTime" in query:
        since.append(require_time(query["sinceTime"]))
    shown = [line for line in lines if all(line[0] >= moment for moment in since)]
    if "tailLines" in query:
        shown = shown[len(shown) - min(int(query["tailLines"]), len(shown)) :]
    written = []
    for at, text in shown:
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        prefix = f"{stamp} " if query.get("timestamps") == "true" else ""
        written.append(f"{prefix}{stamp} {text}\n")
    body = "".join(written).encode()
    return body[: int(query["limitBytes"])] if "limitBytes" in query else body


class _LogHandler(Handler):
    server: LogServer

    def get(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        match parts.path.split("/"):
            case ["", "containerLogs", namespace, pod, container]:
                self.reply(*self.server.answer(namespace, pod, container, query))
            case _:
                self.reply(404, b"404 page not found")


class LogServer(LoopbackServer):
    """Serves ``/containerLogs/NAMESPACE/POD/CONTAINER`` over TLS, as the API server asks a kubelet."""

    def __init__(self, port: int, cert: Path, key: Path, pods: LivePods, clock: Clock) -> None:
        """Listen at once; ``serve_forever`` answers."""
        super().__init__(_LogHandler, port)
        self._pods = pods
        self._clock = clock
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        # The handshake is made by the connection's own thread, when it reads.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def answer(self, namespace: str, pod: str, container: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """HTTP status and body."""
        try:
            live = self._pods.fetch_one(namespace, pod)
            if all(one["name"] != container for one in _containers(live)):
                return 404, f'container "{container}" not found in pod "{pod}"'.encode()
            life = choose_life(live, container, query.get("previous") == "true")
        except NoLogs as refusal:
            return 400, str(refusal).encode()
        except NotFound as problem:
            return 404, str(problem).encode()
        except ClusterError as problem:
            return 500, str(problem).encode()
        now = self._clock.now()
        return 200, render_log(render_life(live, container, life, now), query, now)


def podlogs_argv(kubeconfig: Path, context: str, port: int, cert: Path, key: Path) -> list[str]:
    """The command line that serves the node's logs on ``port`` (kwok's ``--node-port``)."""
    return [
        *(sys.executable, "-m", __name__),
        *("--kubeconfig", str(kubeconfig), "--context", context, "--port", str(port)),
        *("--cert", str(cert), "--key", str(key)),
    ]


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m pytest_zkrollback.drill.podlogs")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--context", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    given = parser.parse_args()
    pods = LivePods(given.kubeconfig, given.context)
    LogServer(given.port, given.cert, given.key, pods, SystemClock()).serve_forever()


if __name__ == "__main__":
    main()
