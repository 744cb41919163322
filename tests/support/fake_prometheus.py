"""A Prometheus on loopback whose one answer a test sets; every request is kept."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from support.http_server import LoopbackHttpServer, QuietHandler


class FakePrometheus:
    """``value``: of the one series; None: there is none. ``hangs``: no request is answered.

    ``course``: the value at a time, for a range; ``at_range``: is called before a range is answered.
    """

    def __init__(self, value: float | None = None) -> None:
        self.value = value
        self.hangs = False
        self.course: Callable[[float], float | None] | None = None
        self.at_range: Callable[[dict[str, list[str]]], object] = lambda _: None
        self.asked: list[tuple[float, str, str]] = []  # when, which endpoint, the query
        self._over = threading.Event()
        fake = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                endpoint = parts.path.removeprefix("/api/v1/")
                assert endpoint in ("query", "query_range"), self.path
                asked = parse_qs(parts.query)
                fake.asked.append((time.monotonic(), endpoint, asked["query"][0]))
                if fake.hangs:
                    fake._over.wait(30)
                with suppress(ConnectionError):  # who asked has gone meanwhile, or is to get no answer
                    fake._answer(self, endpoint, asked)

        self._server = LoopbackHttpServer(Handler)
        self.url = self._server.url

    def _answer(self, handler: BaseHTTPRequestHandler, endpoint: str, asked: dict[str, list[str]]) -> None:
        value, series = self.value, []  # read once: a test's may take its time
        if value is not None:
            series = [{"metric": {}, "value": [time.time(), str(value)]}]
        kind = "vector"
        if endpoint == "query_range":
            self.at_range(asked)
            values = [[time.time() - 600, "40"]]
            if self.course is not None:
                start, end, step = (float(asked[key][0]) for key in ("start", "end", "step"))
                times = [start + index * step for index in range(int((end - start) / step + 1e-6) + 1)]
                values = [[at, str(found)] for at in times if (found := self.course(at)) is not None]
            kind, series = "matrix", [{"metric": {}, "values": values}] if values else []
        body = json.dumps({"status": "success", "data": {"resultType": kind, "result": series}}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def kill(self) -> None:
        """From here on nothing listens."""
        self._over.set()
        self._server.close()
