"""A TCP proxy on loopback that holds every byte back: latency in front of the real API server."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from typing import Self


class LatencyProxy:
    """Forwards ``127.0.0.1:port`` to ``upstream`` with ``round_trip_s`` seconds more for each round trip.

    The bytes are not looked at, so TLS goes through to the server's own certificate. A context manager.
    """

    def __init__(self, upstream: tuple[str, int], round_trip_s: float) -> None:
        self._upstream, self._delay_s = upstream, round_trip_s / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._upstream)
                for source, sink in ((client, server), (server, client)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    held: queue.Queue[tuple[float, bytes]] = queue.Queue()
                    threading.Thread(target=self._read, args=(source, held), daemon=True).start()
                    threading.Thread(target=self._write, args=(sink, held), daemon=True).start()

    def _read(self, source: socket.socket, held: queue.Queue[tuple[float, bytes]]) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = source.recv(65536)
            except OSError:
                chunk = b""
            held.put((time.monotonic() + self._delay_s, chunk))

    @staticmethod
    def _write(sink: socket.socket, held: queue.Queue[tuple[float, bytes]]) -> None:
        while True:
            due_s, chunk = held.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            with suppress(OSError):
                if not chunk:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(chunk)
