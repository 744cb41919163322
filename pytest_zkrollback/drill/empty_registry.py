"""The registry that a node of our own asks for every image it was not given: it has none."""

from __future__ import annotations

import sys

from .http_server import Handler, LoopbackServer


def registry_argv(port: int) -> list[str]:
    """The command line of this server, on loopback."""
    return [sys.executable, "-m", "pytest_zkrollback.drill.empty_registry", str(port)]


class _Registry(Handler):
    def do_HEAD(self) -> None:  # noqa: N802 - the base class's name
        """Asked for an image's manifest."""
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    LoopbackServer(_Registry, int(sys.argv[1])).serve_forever()
