"""Real sockets on loopback for the clients' tests: each connection is answered by the next script."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Script = Callable[[socket.socket, str], None]


class LocalServer:
    """Answers request number n with script n; a request that nobody scripted fails the test."""

    def __init__(self, *scripts: Script | str | bytes) -> None:
        self.scripts = list(scripts)
        self.requests: list[str] = []
        self.unexpected: list[str] = []
        self.lock = threading.Lock()
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        for one in self.open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        assert self.unexpected == []

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while request := _request(connection):
                with self.lock:
                    self.requests.append(request)
                    script = self.scripts.pop(0) if self.scripts else None
                if script is None:
                    self.unexpected.append(request)
                    connection.close()
                    return
                if callable(script):
                    script(connection, request)
                else:
                    connection.sendall(script if isinstance(script, bytes) else script.encode())


def _request(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return ""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


def answer(body: str | bytes, status: int = 200, *headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + raw


def chunked(*chunks: str, end: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [f"{len(chunk.encode()):x}\r\n{chunk}\r\n".encode() for chunk in chunks]
    return head + b"".join(parts) + (b"0\r\n\r\n" if end else b"")


def closing(data: bytes) -> Script:
    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    return script


def silence(connection: socket.socket, _: str) -> None:
    """Neither data nor an end: what a half-open connection looks like."""


def dripping(head: bytes, interval_s: float = 0.02) -> Script:
    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(head)
        waiter = threading.Event()
        while not waiter.wait(interval_s):
            connection.sendall(b" ")

    return script


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
