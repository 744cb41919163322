"""The demo application: a real HTTP server and a real SQLite database, behaving as the live pods say.

Every request asks the API server which pods a Service would choose from, takes the next one, and does what
that pod's image and environment would do: it opens the database file that the pod's DATABASE_PATH names
(its volumes lie in ``--data``) and answers with the version of the pod's image. It knows nothing of Helm.

    GET  /health            200 {"status": "ok", "version": ..., "database": "ok", "schema": 7}, or 503
    GET  /                  the frontend's page
    GET  /api/orders        the newest 50 orders
    GET  /api/orders/ID     one order
    POST /api/orders        {"item": TEXT, "quantity": NUMBER} -> 201 and the order

    python -m pytest_zkrollback.drill.app --kubeconfig FILE --context NAME --namespace N --data DIR
        --port-file FILE
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from ..domain.checks import JsonObject
from ..domain.errors import ClusterError
from .http_server import Handler, LoopbackServer
from .live_pods import BACKEND, FRONTEND, LivePods, environment, image_version, serving, volume_of

if TYPE_CHECKING:
    from .local_cluster import Cluster

API_TIMEOUT_S = 2.0
DATABASE = "srv/zkprova/zkprova.db"  # on the node, as the chart's hostPath volume says
_LOCK_TIMEOUT_S = 1.0
_SHOWN = 50

_SCHEMA = """
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, change TEXT NOT NULL);
INSERT INTO schema_version (version, change) VALUES
    (1, 'orders'), (2, 'customers'), (3, 'orders: customer'), (4, 'index on orders'),
    (5, 'customers: e-mail'), (6, 'order search'), (7, 'orders: exported');
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
INSERT INTO customers (name, email) VALUES
    ('Ada', 'ada@zkprova.example'), ('Blaise', 'blaise@zkprova.example');
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, item TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0), exported INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO orders (customer, item, quantity) VALUES (1, 'punched cards', 200), (2, 'gear wheels', 12);
"""

T = TypeVar("T")


class Unavailable(Exception):
    """A request that cannot be served; the text is the detail, ``database`` what /health says of it."""

    def __init__(self, detail: str, database: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.database = database


def database_url(data: Path) -> str:
    """The database as the environment's variable names it."""
    return f"sqlite:///{(data / DATABASE).absolute()}"


def create_database(data: Path) -> Path:
    """The database with its schema and first rows, if it is not there yet; returns its file."""
    path = data / DATABASE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("new.db")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as connection:
            connection.executescript(_SCHEMA)
        part.replace(path)
    return path


class Application:
    """What the endpoints answer. ``fetch_pods`` returns the live pods or raises a ClusterError."""

    def __init__(self, fetch_pods: Callable[[], Sequence[JsonObject]], data: Path) -> None:
        """Nothing is asked yet."""
        self._fetch_pods = fetch_pods
        self._data = data
        self._turn = itertools.count()

    def health(self) -> tuple[int, JsonObject]:
        """Status and body of ``/health``, as the next serving backend pod would answer."""
        version = {}
        try:
            pod = self._next_pod(BACKEND)
            version = {"version": image_version(pod["spec"]["containers"][0]["image"])[0]}
            (schema,) = self._query(
                pod,
                lambda connection: connection.execute("SELECT max(version) FROM schema_version").fetchone(),
            )
        except Unavailable as trouble:
            return 503, {"status": "error", **version, "database": trouble.database, "detail": str(trouble)}
        return 200, {"status": "ok", **version, "database": "ok", "schema": schema}

    def page(self) -> tuple[int, str]:
        """The frontend's page, if a frontend pod serves."""
        try:
            pod = self._next_pod(FRONTEND)
        except Unavailable as trouble:
            return 503, f"Service unavailable: {trouble}\n"
        version = image_version(pod["spec"]["containers"][0]["image"])[0]
        return 200, f"<!doctype html><title>zkprova</title><h1>zkprova</h1><p>frontend {version}</p>\n"

    def orders(self, number: int | None = None) -> tuple[int, Any]:
        """The newest orders, or one."""

        def read(connection: sqlite3.Connection) -> list[JsonObject]:
            connection.row_factory = sqlite3.Row
            where, values = ("", ()) if number is None else ("WHERE id = ?", (number,))
            sql = f"SELECT id, item, quantity, created_at FROM orders {where} ORDER BY id DESC LIMIT {_SHOWN}"  # noqa: S608
            return [dict(row) for row in connection.execute(sql, values)]

        try:
            found = self._query(self._next_pod(BACKEND), read)
        except Unavailable as trouble:
            return 503, {"error": str(trouble)}
        if number is None:
            return 200, {"orders": found}
        return (200, found[0]) if found else (404, {"error": f"there is no order {number}"})

    def order(self, body: bytes) -> tuple[int, JsonObject]:
        """Write a new order."""
        try:
            given = json.loads(body)
            item, quantity = given["item"], given["quantity"]
        except (ValueError, KeyError, TypeError):
            item, quantity = None, None
        if not isinstance(item, str) or type(quantity) is not int or quantity < 1:
            return 400, {"error": 'send {"item": text, "quantity": whole number above 0}'}

        def write(connection: sqlite3.Connection) -> int:
            with connection:
                sql = "INSERT INTO orders (customer, item, quantity) VALUES (1, ?, ?)"
                return connection.execute(sql, (item, quantity)).lastrowid or 0

        try:
            number = self._query(self._next_pod(BACKEND), write)
        except Unavailable as trouble:
            return 503, {"error": str(trouble)}
        return 201, {"id": number, "item": item, "quantity": quantity}

    def _next_pod(self, app: str) -> JsonObject:
        try:
            pods = serving(tuple(self._fetch_pods()), app)
        except ClusterError as problem:
            raise Unavailable(f"it is not known which pods serve: {problem}", "unknown") from None
        if not pods:
            raise Unavailable(f"no pod of {app} is ready", "unreachable")
        return pods[next(self._turn) % len(pods)]

    def _query(self, pod: JsonObject, work: Callable[[sqlite3.Connection], T]) -> T:
        container = pod["spec"]["containers"][0]
        path = environment(container).get("DATABASE_PATH", "/")
        on_node = volume_of(pod, container, path)
        # What lies in no volume would be in the container's own file system, which is empty.
        file = (
            self._data / on_node.lstrip("/")
            if on_node
            else self._data / "containers" / pod["metadata"]["name"] / path.lstrip("/")
        )
        try:
            with closing(
                sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=_LOCK_TIMEOUT_S)
            ) as connection:
                return work(connection)
        except sqlite3.Error as error:
            raise Unavailable(str(error), "error") from None


class _AppHandler(Handler):
    server: AppServer

    def get(self) -> None:
        app = self.server.app
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["health"]:
                self.reply_json(*app.health())
            case [""]:
                status, page = app.page()
                self.reply(status, page.encode(), "text/html; charset=utf-8")
            case ["api", "orders"]:
                self.reply_json(*app.orders())
            case ["api", "orders", number] if number.isdecimal() and len(number) < 19:
                self.reply_json(*app.orders(int(number)))
            case _:
                self.reply_json(404, {"error": "not found"})

    def post(self, body: bytes) -> None:
        if urlsplit(self.path).path == "/api/orders":
            self.reply_json(*self.server.app.order(body))
        else:
            self.reply_json(404, {"error": "not found"})


class AppServer(LoopbackServer):
    """Serves one :class:`Application`."""

    def __init__(self, app: Application) -> None:
        """Listen on a free port."""
        super().__init__(_AppHandler)
        self.app = app


def app_argv(cluster: Cluster, namespace: str, data_dir: Path, port_file: Path) -> list[str]:
    """The command line that serves ``namespace``; its port is in ``port_file`` once it listens."""
    return [
        *(sys.executable, "-m", "pytest_zkrollback.drill.app"),
        *("--kubeconfig", str(cluster.kubeconfig), "--context", cluster.context),
        *("--namespace", namespace, "--data", str(data_dir), "--port-file", str(port_file)),
    ]


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m pytest_zkrollback.drill.app")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--context", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    given = parser.parse_args()
    pods = LivePods(given.kubeconfig, given.context)
    create_database(given.data)
    server = AppServer(Application(lambda: pods.fetch(given.namespace, API_TIMEOUT_S), given.data))
    server.write_port(given.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
