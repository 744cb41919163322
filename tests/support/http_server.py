"""An HTTP server on loopback for tests."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class QuietHandler(BaseHTTPRequestHandler):
    """Writes no line per request to standard error."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class LoopbackHttpServer(ThreadingHTTPServer):
    """Serves from its making on, each request in a daemon thread, until :meth:`close` or the end of ``with``.

    ``tls``: speak HTTPS with this certificate.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        if tls is not None:
            # The handshake is made by the connection's own thread.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.socket.settimeout(5)  # a client that went before it was accepted must not block shutdown()
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Take no more requests; those under way are not waited for."""
        self.shutdown()
        self.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
