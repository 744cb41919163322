"""What the drill's small HTTP servers share: loopback only, one thread a connection, no log."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BODY_LIMIT_BYTES = 1 << 20


class Handler(BaseHTTPRequestHandler):
    """Answers with complete bodies, so that a client may keep its connection."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True

    def get(self) -> None:
        """Answer a GET; ``self.path`` says of what."""
        self.reply(404, b"not found")

    def post(self, body: bytes) -> None:  # noqa: ARG002 - for those that take one
        """Answer a POST."""
        self.reply(404, b"not found")

    def do_GET(self) -> None:
        """Called by the base class."""
        self.get()

    def do_POST(self) -> None:
        """Called by the base class."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES:
            self.close_connection = True
            self.reply(413, b"too large")
        else:
            self.post(self.rfile.read(int(length)))

    def reply(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        """Send one complete answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reply_json(self, status: int, value: Any) -> None:
        """Send ``value`` as JSON."""
        self.reply(status, json.dumps(value).encode() + b"\n", "application/json")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class LoopbackServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 at once (port 0: a free one); ``serve_forever`` answers."""

    daemon_threads = True

    def __init__(self, handler: type[Handler], port: int = 0) -> None:
        """Bind the port."""
        super().__init__(("127.0.0.1", port), handler)

    def write_port(self, path: Path) -> None:
        """Tell the port in a file that is never seen half-written."""
        part = path.with_name(path.name + ".part")
        part.write_text(f"{self.server_address[1]}\n", encoding="ascii")
        part.replace(path)
