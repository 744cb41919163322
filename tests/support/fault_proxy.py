"""A proxy in front of the real API server that delays, cuts, silences or answers in its place.

It ends TLS with the API server's own certificate (made for 127.0.0.1), so a kubeconfig needs another port
only, reads HTTP/1.1 and passes each request on over a connection of its own. Every answer is noted with its
size on the wire; what has to go wrong is said per request, by :class:`Rule`.
"""

from __future__ import annotations

import http.client
import json
import queue
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pytest_zkrollback.drill.local_cluster import Cluster
from support.http_server import LoopbackHttpServer, QuietHandler

OURS = "pytest-zkrollback"
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True)
class Seen:
    """One request and what it was answered. ``size_bytes``: of the body, on the wire, so far as it went."""

    method: str
    target: str
    agent: str
    at_s: float
    status: int
    size_bytes: int
    fault: str = ""

    @property
    def watches(self) -> bool:
        return "watch=1" in self.target or "watch=true" in self.target


@dataclass(frozen=True)
class Answer:
    """Instead of the API server's: a status, its headers, and the Status object of such a refusal."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "said by the fault proxy"

    @property
    def name(self) -> str:
        return str(self.status)

    def body(self) -> bytes:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status}
        return json.dumps({**status, "message": self.message}).encode()


@dataclass(frozen=True)
class WatchError:
    """A watch that is answered 200 and then brings an ERROR event, as the API server does with a 410."""

    code: int

    @property
    def name(self) -> str:
        return f"watch error {self.code}"

    def body(self) -> bytes:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.code}
        status["message"] = "too old resource version"
        return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


@dataclass(frozen=True)
class Cut:
    """The API server's answer, broken off after ``after_bytes`` of its body; with ``reset`` by an RST."""

    after_bytes: int = 0
    reset: bool = False

    @property
    def name(self) -> str:
        return "reset" if self.reset else "cut"


@dataclass(frozen=True)
class Stall:
    """No answer, and no end of the connection."""

    name: str = "stall"


Fault = Answer | WatchError | Cut | Stall


@dataclass
class Rule:
    """``fault`` for the next ``times`` requests (None: all) of ours whose "METHOD target" the pattern finds."""

    pattern: str
    fault: Fault
    times: int | None = 1


@dataclass
class Trigger:
    """What is done when a request comes."""

    pattern: str
    action: Callable[[], None]
    skip: int

    def is_due(self, text: str) -> bool:
        if re.search(self.pattern, text):
            self.skip -= 1
        return self.skip < 0


class FaultProxy:
    """Listens on ``port`` of 127.0.0.1; a context manager. Without rules it only looks on.

    ``round_trip_s`` is added to every round trip, those that open a connection included.
    """

    def __init__(self, cluster: Cluster, round_trip_s: float = 0.0) -> None:
        self._page_limits: dict[str, int] = {}
        self.seen: list[Seen] = []
        self._rules: list[Rule] = []
        self._triggers: list[Trigger] = []
        self._lock = threading.Lock()
        self._open: set[ssl.SSLSocket] = set()
        self._muted: set[ssl.SSLSocket] = set()
        self._ended = threading.Event()
        self._down = False
        self._cluster = cluster
        self.upstream = urlsplit(cluster.server)
        self.trust = ssl.create_default_context(cafile=str(cluster.ca_file))
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self._delay = Delay(self.port, round_trip_s) if round_trip_s else None
        if self._delay is not None:
            self.port = self._delay.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.down(True)
        self._server.close()
        if self._delay is not None:
            self._delay.close()

    def kubeconfig(self, folder: Path) -> Path:
        """The cluster's kubeconfig with this proxy in the server's place, in a file of ``folder``."""
        path = folder / f"through-{self.port}.kubeconfig"
        text = self._cluster.kubeconfig.read_text()
        path.write_text(text.replace(self._cluster.server, f"https://127.0.0.1:{self.port}"))
        path.chmod(0o600)
        return path

    def on(self, pattern: str, fault: Fault, times: int | None = 1) -> None:
        """Add a rule; the oldest one that finds something and is not used up decides."""
        with self._lock:
            self._rules.append(Rule(pattern, fault, times))

    def when(self, pattern: str, action: Callable[[], None], skip: int = 0) -> None:
        """Do ``action`` once, before a request that the pattern finds is passed on: the first after ``skip``."""
        with self._lock:
            self._triggers.append(Trigger(pattern, action, skip))

    def pages(self, pattern: str, limit: int) -> None:
        """Let the API server answer the lists that the pattern finds in pages of ``limit`` objects."""
        self._page_limits[pattern] = limit

    def clear(self) -> None:
        """Forget rules, triggers, limits and what was seen."""
        with self._lock:
            self._rules, self._triggers, self.seen, self._page_limits = [], [], [], {}

    def mute(self) -> None:
        """Let every connection that is open now fall silent for ever, without an end (half-open)."""
        with self._lock:
            self._muted |= self._open

    def down(self, down: bool = True) -> None:
        """End all connections and refuse new ones, as while the API server restarts; False: be back."""
        self._down = down
        if down:
            with self._lock:
                ending = list(self._open)
            for each in ending:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def restart(self, away_s: float) -> None:
        """Be down for a while."""
        self.down(True)
        timer = threading.Timer(away_s, self.down, [False])
        timer.daemon = True
        timer.start()

    def fired(self, name: str) -> list[Seen]:
        """The requests that met this fault."""
        return [one for one in self.seen if one.fault == name]

    # --- for the handler ------------------------------------------------------------------------------

    def choose(self, method: str, target: str, agent: str) -> Fault | None:
        """What happens to this request; helm's and kubectl's are left alone."""
        if OURS not in agent:
            return None
        text = f"{method} {target}"
        with self._lock:
            due = [one.action for one in self._triggers if one.is_due(text)]
            self._triggers = [one for one in self._triggers if one.skip >= 0]
            rule = next((one for one in self._rules if one.times != 0 and re.search(one.pattern, text)), None)
            if rule is not None and rule.times is not None:
                rule.times -= 1
        for action in due:
            action()
        return rule.fault if rule is not None else None

    def paged(self, target: str) -> str:
        found = [limit for pattern, limit in self._page_limits.items() if re.search(pattern, target)]
        return re.sub(r"\blimit=\d+", f"limit={found[0]}", target) if found else target

    def note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def entered(self, connection: ssl.SSLSocket) -> bool:
        with self._lock:
            self._open.add(connection)
        return not self._down

    def left(self, connection: ssl.SSLSocket) -> None:
        with self._lock:
            self._open.discard(connection)

    def hold_if_muted(self, connection: ssl.SSLSocket) -> None:
        """A muted connection gets no further in its life."""
        if connection in self._muted:
            self.hold()

    def hold(self) -> None:
        self._ended.wait()
        raise ConnectionError


class _Handler(QuietHandler):
    """One connection of a client, and its own to the API server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    connection: ssl.SSLSocket

    def setup(self) -> None:
        self.proxy = self.server.proxy
        self.up: http.client.HTTPSConnection | None = None
        self.connection = self.request
        self.connection.do_handshake()
        super().setup()

    def handle(self) -> None:
        with suppress(OSError, http.client.HTTPException):
            if self.proxy.entered(self.connection):
                super().handle()

    def finish(self) -> None:
        self.proxy.left(self.connection)
        if self.up is not None:
            self.up.close()
        with suppress(OSError):
            super().finish()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        agent = self.headers.get("User-Agent", "")
        began_s = time.time()
        fault = self.proxy.choose(self.command, self.path, agent)
        self.proxy.hold_if_muted(self.connection)
        status = size = 0
        try:
            if isinstance(fault, Stall):
                self.proxy.hold()
            elif isinstance(fault, Answer | WatchError):
                status, size = self._answer(fault)
            else:
                response = self._ask(body)
                status = response.status
                for chunk_size in self._relay(response, fault):
                    size += chunk_size
        finally:
            name = fault.name if fault is not None else ""
            self.proxy.note(Seen(self.command, self.path, agent, began_s, status, size, name))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - the base class's names

    def _ask(self, body: bytes) -> http.client.HTTPResponse:
        if self.up is None:
            host, port = self.proxy.upstream.hostname or "", self.proxy.upstream.port
            self.up = http.client.HTTPSConnection(host, port, context=self.proxy.trust)
        target = self.proxy.paged(self.path)
        self.up.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                self.up.putheader(name, value)
        self.up.putheader("Content-Length", str(len(body)))
        self.up.endheaders(body)
        return self.up.getresponse()

    def _answer(self, fault: Answer | WatchError) -> tuple[int, int]:
        body = fault.body()
        status, headers = (fault.status, fault.headers) if isinstance(fault, Answer) else (200, {})
        self._begin(status, {"Content-Type": "application/json", **headers}, len(body))
        self.wfile.write(body)
        return status, len(body)

    def _begin(self, status: int, headers: dict[str, str], length: int | None) -> None:
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _relay(self, response: http.client.HTTPResponse, fault: Cut | None):
        """The answer, part by part as it comes; yields the parts' sizes."""
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
        length = response.length
        self._begin(response.status, headers, length)
        left = fault.after_bytes if fault is not None else None
        while left != 0 and (chunk := response.read1(65536)):
            self.proxy.hold_if_muted(self.connection)
            if left is not None:
                chunk = chunk[:left]
                left -= len(chunk)
            framed = chunk if length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk)
            self.wfile.write(framed)
            yield len(chunk)
        if fault is not None:
            self._break(fault)
        response.read()  # nothing is left, but only so does http.client know that the next one may come
        self.proxy.hold_if_muted(self.connection)
        if length is None:
            self.wfile.write(b"0\r\n\r\n")

    def _break(self, fault: Cut) -> None:
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        raise ConnectionError


class _Server(LoopbackHttpServer):
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = proxy._cluster.ca_file.parent
        context.load_cert_chain(proxy._cluster.ca_file, folder / "apiserver.key")
        super().__init__(_Handler, context)

    def shutdown_request(self, request: ssl.SSLSocket) -> None:  # type: ignore[override]
        # No TLS goodbye and no half-close first: a reset has to be one.
        with suppress(OSError):
            request.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class Delay:
    """Holds every byte back for half a round trip, in order and without narrowing the line."""

    threads = "delay"  # what its threads are called

    def __init__(self, upstream_port: int, round_trip_s: float) -> None:
        self._upstream_port, self._round_trip_s = upstream_port, round_trip_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lines: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept, name=self.threads, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        _shut(self._listener)  # a close alone does not wake its accept
        self._accepting.join()
        self._listener.close()
        for each in list(self._open):
            _shut(each)
        for line in self._lines:
            line.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                try:
                    server = socket.create_connection(("127.0.0.1", self._upstream_port))
                except OSError:
                    client.close()
                    continue
                line = threading.Thread(
                    target=self._carry, args=(client, server), name=self.threads, daemon=True
                )
                self._open |= {client, server}
                self._lines.append(line)
                line.start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """One connection, both ways, until both have ended."""
        threads = []
        # On loopback the connection is there at once: its own round trip is paid by the first bytes.
        for source, sink, opening_s in ((client, server, self._round_trip_s), (server, client, 0.0)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            for target, args in ((self._read, (source, held, opening_s)), (self._write, (sink, held))):
                threads.append(threading.Thread(target=target, args=args, name=self.threads, daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in (client, server):
            each.close()
            self._open.discard(each)

    def _read(
        self, source: socket.socket, held: queue.SimpleQueue[tuple[float, bytes]], opening_s: float
    ) -> None:
        chunk, delay_s = b"-", self._round_trip_s / 2 + opening_s
        while chunk:
            try:
                chunk = source.recv(65536)
            except OSError:
                chunk = b""
            held.put((time.monotonic() + delay_s, chunk))
            delay_s = self._round_trip_s / 2

    @staticmethod
    def _write(sink: socket.socket, held: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            due_s, chunk = held.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not chunk:
                _shut(sink, socket.SHUT_WR)
                return
            with suppress(OSError):
                sink.sendall(chunk)


def _shut(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with suppress(OSError):
        connection.shutdown(how)
