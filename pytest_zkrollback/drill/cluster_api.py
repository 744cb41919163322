"""The few requests that bring the cluster up, before any client of the run exists."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Api:
    """The drill's API server, its certificate verified with the file that it wrote itself."""

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        """Nothing is asked yet; ``server`` is ``https://127.0.0.1:PORT``."""
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "", parts.port
        self._ca_file = ca_file
        self._token = token

    def get(self, path: str, timeout_s: float = 2.0) -> tuple[int, Any]:
        """GET; see :meth:`send`."""
        return self.send("GET", path, None, timeout_s)

    def send(self, method: str, path: str, body: Any, timeout_s: float = 5.0) -> tuple[int, Any]:
        """Status and body (parsed if it is JSON); status 0 and the reason if there is no answer."""
        try:
            context = ssl.create_default_context(cafile=str(self._ca_file))
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=context
            )
            try:
                headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text
