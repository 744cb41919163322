"""Stands in for Slack: takes what is sent to an incoming webhook and shows what it received.

    POST /services/T000/B000/TOKEN   JSON with text, blocks or attachments -> 200 ok
    GET  /messages                   [{"received_at": TIME, "path": PATH, "message": JSON}, ...]

Everything received is also in ``messages.jsonl`` in the data folder.

    python -m pytest_zkrollback.drill.slack_sink --port-file F --data DIR
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..clients.clock import SystemClock
from ..domain.checks import JsonObject
from .http_server import Handler, LoopbackServer

if TYPE_CHECKING:
    from ..domain.ports import Clock

WEBHOOK_PATH = "/services/T000/B000/"
_WEBHOOK = re.compile(r"/services/T\w+/B\w+/\w+", re.ASCII)


class _SinkHandler(Handler):
    server: SlackSink

    def post(self, body: bytes) -> None:
        if not _WEBHOOK.fullmatch(self.path):
            self.reply(404, b"no_service")
            return
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self.reply(400, b"invalid_payload")
        elif not any(message.get(key) for key in ("text", "blocks", "attachments")):
            self.reply(400, b"no_text")
        else:
            self.server.keep(self.path, message)
            self.reply(200, b"ok")

    def get(self) -> None:
        if self.path == "/messages":
            self.reply_json(200, self.server.received())
        else:
            self.reply(404, b"no_service")


class SlackSink(LoopbackServer):
    """Listens on a free port of loopback and keeps what it receives."""

    def __init__(self, data: Path, clock: Clock) -> None:
        """``data`` is made if it is missing."""
        super().__init__(_SinkHandler)
        data.mkdir(parents=True, exist_ok=True)
        self._file = data / "messages.jsonl"
        self._clock = clock
        self._lock = threading.Lock()
        self._received: list[JsonObject] = []

    def keep(self, path: str, message: JsonObject) -> None:
        """Keep one message, in memory and in the file."""
        at = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = {"received_at": at, "path": path, "message": message}
        with self._lock:
            self._received.append(entry)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def received(self) -> list[JsonObject]:
        """All messages so far, oldest first."""
        with self._lock:
            return list(self._received)


def slack_sink_argv(data_dir: Path, port_file: Path) -> list[str]:
    """The command line; the port is in ``port_file`` once it listens."""
    return [
        *(sys.executable, "-m", "pytest_zkrollback.drill.slack_sink"),
        *("--data", str(data_dir), "--port-file", str(port_file)),
    ]


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m pytest_zkrollback.drill.slack_sink")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    given = parser.parse_args()
    server = SlackSink(given.data, SystemClock())
    server.write_port(given.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
