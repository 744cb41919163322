"""The demo application on loopback: what it answers for pods as the API gives them, with a real database file."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_zkrollback import drill
from pytest_zkrollback.drill.demo_app import DATABASE, app_argv
from pytest_zkrollback.drill.http_server import Handler, LoopbackServer
from pytest_zkrollback.drill.live_pods import image_version, serving, volume_of
from support.drill_pods import GOOD_PATH, pod

SMOKE = Path(drill.__file__).with_name("scripts") / "smoke-test.sh"
LOST = "/var/lib/zkprova-data/zkprova.db"


class ApiServer(LoopbackServer):
    """Lists the pods that the test says, or answers as it says."""

    def __init__(self):
        super().__init__(_ApiHandler)
        self.pods, self.status, self.hang, self.asked = [], 200, Event(), []
        self.hang.set()


class _ApiHandler(Handler):
    def get(self):
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.server.hang.wait(10)
        self.reply_json(self.server.status, {"kind": "PodList", "items": self.server.pods})


class Application:
    """The program, started as a drill starts it."""

    def __init__(self, program, folder, api):
        kubeconfig = folder / "kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{api.server_address[1]}"}
        kubeconfig.write_text(
            json.dumps({"clusters": [{"cluster": cluster}], "users": [{"user": {"token": "t0ken"}}]})
        )
        access = SimpleNamespace(kubeconfig=kubeconfig, binaries={"zkprova": program})
        self.api, self.data, self.port_file = api, folder / "data", folder / "port"
        self.database = self.data / DATABASE
        self.process = subprocess.Popen(
            app_argv(access, "prod", self.data, self.port_file), stdout=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 10
        while not self.port_file.exists():
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.url = f"http://127.0.0.1:{int(self.port_file.read_text())}"

    def ask(self, path, data=None):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}{path}", data, timeout=5) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read()

    def json(self, path, data=None):
        status, kind, body = self.ask(path, data)
        assert kind == "application/json"
        return status, json.loads(body)

    def health(self):
        return self.json("/health")


@pytest.fixture
def start(zkprova, tmp_path):
    started = []
    api = ApiServer()
    thread = Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def run(*pods):
        api.pods = list(pods)
        started.append(Application(zkprova, tmp_path, api))
        return started[-1]

    yield run
    for app in started:
        app.process.kill()
        app.process.communicate()
    api.hang.set()
    api.shutdown()
    thread.join()
    api.server_close()


def of_life(it, *, restarts, age_s):
    """The pod with the status of a container that runs since ``age_s``."""
    began = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(timespec="milliseconds")
    state = {"running": {"startedAt": began.replace("+00:00", "Z")}}
    name = it["spec"]["containers"][0]["name"]
    it["status"]["containerStatuses"] = [{"name": name, "restartCount": restarts, "state": state}]
    return it


def test_a_healthy_pod_answers_with_its_version_and_the_real_database(start):
    assert start(pod()).health() == (
        200,
        {"status": "ok", "version": "1.8.0", "database": "ok", "schema": 7},
    )


def test_prometheus_finds_every_ready_pod_and_reads_its_own_metrics(start):
    app = start(pod("backend-a"), pod("backend-b"), pod("backend-c", ready=False))
    app.health()  # the first pod's turn
    status, groups = app.json("/targets")
    address = app.url.removeprefix("http://")
    assert (status, groups) == (
        200,
        [
            {
                "targets": [address],
                "labels": {"namespace": "prod", "pod": name, "__metrics_path__": f"/pods/{name}/metrics"},
            }
            for name in ("backend-a", "backend-b")
        ],
    )
    counted = 'http_requests_total{handler="/health",code="200"} 1'
    told = [app.ask(f"/pods/backend-{name}/metrics") for name in "abc"]
    assert [(status, counted in body.decode()) for status, _, body in told] == [
        (200, True),
        (200, False),
        (404, False),
    ]
    app.api.status = 500
    assert app.json("/targets")[0] == 503


def test_the_pods_of_the_namespace_are_asked_for_with_the_kubeconfigs_token(start):
    app = start(pod())
    app.health()
    ((path, token),) = app.api.asked
    parts = urlsplit(path)
    assert parts.path == "/api/v1/namespaces/prod/pods"
    assert parse_qs(parts.query) == {"labelSelector": ["app in (zkprova-backend,zkprova-frontend)"]}
    assert token == "Bearer t0ken"


BROKEN = {
    "status": "error",
    "version": "1.9.0",
    "database": "error",
    "detail": "unable to open database file",
}


def test_a_ready_pod_with_a_path_outside_its_volumes_cannot_open_its_database(start):
    assert start(pod(tag="1.9.0-a7d20c4", path=LOST)).health() == (503, BROKEN)


def test_a_first_life_says_that_it_connects_until_it_crashes_as_the_program_in_a_pod_does(start):
    app = start(of_life(pod(tag="1.9.0-a7d20c4", path=LOST), restarts=0, age_s=0.2))
    assert app.health() == (200, {"status": "ok", "version": "1.9.0", "database": "connecting"})
    assert app.json("/api/orders") == (503, {"error": "unable to open database file"})
    for restarts, age_s in ((0, 2), (1, 0.2)):
        app.api.pods = [of_life(pod(tag="1.9.0-a7d20c4", path=LOST), restarts=restarts, age_s=age_s)]
        assert app.health() == (503, BROKEN)


@pytest.mark.parametrize(
    "pods",
    [
        (),
        (pod(ready=False),),
        (pod(deleted=True),),
        (pod(app="zkprova-frontend"),),
        ({**pod(), "status": {}},),
    ],
    ids=["none", "not-ready", "terminating", "frontend-only", "no-status-yet"],
)
def test_without_a_serving_backend_the_database_is_never_ok(start, pods):
    app = start(*pods)
    assert app.health() == (
        503,
        {"status": "error", "database": "unreachable", "detail": "no pod of zkprova-backend is ready"},
    )
    assert app.json("/api/orders") == (503, {"error": "no pod of zkprova-backend is ready"})


def test_an_api_server_that_answers_no_pods_is_never_a_stale_ok(start):
    app = start(pod())
    assert app.health()[0] == 200
    app.api.status = 500
    status, told = app.health()
    assert (status, told["status"], told["database"]) == (503, "error", "unknown")
    assert told["detail"] == "it is not known which pods serve: The API server answered 500."


def test_an_api_server_that_hangs_is_told_within_three_seconds(start):
    app = start(pod())
    app.api.hang.clear()
    begun = time.monotonic()
    status, told = app.health()
    assert 1.5 < time.monotonic() - begun < 3
    assert (status, told["database"]) == (503, "unknown")
    assert told["detail"].startswith("it is not known which pods serve: The API server did not answer: ")


def test_an_api_server_that_is_gone_is_told(start):
    app = start(pod())
    app.api.shutdown()
    app.api.server_close()
    status, told = app.health()
    assert (status, told["database"]) == (503, "unknown")
    assert "connection refused" in told["detail"]


def test_requests_go_round_the_serving_pods(start):
    app = start(pod("b2", tag="2.0.0-bbbbbbb"), pod("b1", tag="1.0.0-aaaaaaa"), pod("b0", ready=False))
    assert [app.health()[1]["version"] for _ in range(4)] == ["1.0.0", "2.0.0", "1.0.0", "2.0.0"]


def test_each_life_of_a_pod_counts_for_itself(start):
    app = start(of_life(pod("b1"), restarts=0, age_s=9), of_life(pod("b2"), restarts=0, age_s=9))

    def counted():
        lines = app.ask("/metrics")[2].decode().splitlines()
        return [line for line in lines if line.startswith('http_requests_total{handler="/health"')]

    for _ in range(4):
        app.health()
    one = ['http_requests_total{handler="/health",code="200"} 2']
    assert [counted(), counted()] == [one, one]
    app.api.pods = [of_life(pod("b1"), restarts=1, age_s=1)]
    assert counted() == []


def test_a_removed_or_broken_database_is_seen(start):
    app = start(pod())
    app.database.write_bytes(b"no database at all" * 100)
    assert app.health()[1]["detail"] == "file is not a database"
    app.database.unlink()
    assert app.health()[1]["detail"] == "unable to open database file"
    assert not app.database.exists()


def test_the_database_is_made_once_with_its_schema_version_and_rows(start):
    path = start(pod()).database
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (7,)
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
        connection.execute("DELETE FROM orders")
    assert start(pod()).json("/api/orders") == (200, {"orders": []})


def test_orders_are_written_and_read_back(start):
    app = start(pod())
    assert app.json("/api/orders", b'{"item": "gear", "quantity": 2}') == (
        201,
        {"id": 3, "item": "gear", "quantity": 2},
    )
    status, order = app.json("/api/orders/3")
    assert (status, order["item"], order["quantity"]) == (200, "gear", 2)
    assert datetime.strptime(order["created_at"], "%Y-%m-%d %H:%M:%S")
    assert [order["id"] for order in app.json("/api/orders")[1]["orders"]] == [3, 2, 1]
    assert app.json("/api/orders/4") == (404, {"error": "there is no order 4"})


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"no json", b"{}", b'{"item": "x"}', b'{"item": 1, "quantity": 1}', b'{"item": "x", "quantity": 0}',
     b'{"item": "x", "quantity": true}', b'{"item": "x", "quantity": 1.5}', b"\xff",
     b'{"item": "x", "quantity": 99999999999999999999}'],
)  # fmt: skip
def test_what_is_no_order_is_refused(start, body):
    app = start(pod())
    assert app.json("/api/orders", body) == (
        400,
        {"error": 'send {"item": text, "quantity": whole number above 0}'},
    )
    assert len(app.json("/api/orders")[1]["orders"]) == 2


def test_an_order_of_more_than_a_megabyte_is_not_read(start):
    assert start(pod()).ask("/api/orders", b"x" * (1 << 20) + b"x")[0] == 413


def test_the_page_needs_a_frontend_pod(start):
    app = start(pod())
    assert app.ask("/")[::2] == (503, b"Service unavailable: no pod of zkprova-frontend is ready\n")
    app.api.pods = [pod(app="zkprova-frontend")]
    status, kind, page = app.ask("/")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert b"<title>zkprova</title>" in page
    assert b"frontend 1.8.0" in page


@pytest.fixture
def server(start):
    return start(pod(), pod("f1", app="zkprova-frontend"))


def test_what_it_does_not_have_is_not_found(server):
    for path in ("/api/orders/x", "/healthz", "/api", "/api/orders/99999999999999999999"):
        assert server.json(path) == (404, {"error": "not found"})
    assert server.json("/api/order", b"{}") == (404, {"error": "not found"})


def test_it_listens_on_loopback_only(server):
    # Linux has 127.0.0.2 as well: who listens everywhere answers there.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", urlsplit(server.url).port), timeout=5)


def test_without_a_usable_kubeconfig_it_ends_with_a_line(zkprova, tmp_path):
    for text, said in (
        ("apiVersion: v1", "invalid character"),
        ("{}", "it has not one cluster and one user"),
    ):
        (tmp_path / "kubeconfig").write_text(text)
        access = SimpleNamespace(kubeconfig=tmp_path / "kubeconfig", binaries={"zkprova": zkprova})
        argv = app_argv(access, "prod", tmp_path / "data", tmp_path / "port")
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 1
        assert f"FATAL: the kubeconfig {tmp_path}/kubeconfig: {said}" in done.stdout


@pytest.fixture(params=["curl", "python3"])
def path_with(request, tmp_path):
    """A PATH that holds one of the two programs that the smoke test can ask with."""
    found = shutil.which("curl") if request.param == "curl" else os.path.realpath(sys.executable)
    if found is None:
        pytest.skip("no curl here")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / request.param).symlink_to(found)
    return str(folder)


def smoke_test(url, path):
    argv = [shutil.which("bash"), SMOKE, url]
    done = subprocess.run(argv, env={"PATH": path}, capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_smoke_test_passes_on_a_healthy_application(server, path_with):
    url = server.url
    assert smoke_test(f"{url}/", path_with) == (
        0,
        f"smoke test of {url}\n"
        "ok: /health says that the database is ok\n"
        "ok: the frontend answers\n"
        "ok: an order can be placed\n"
        "ok: order 3 can be read back\n"
        "ok: the list of orders shows it\n"
        "all checks passed\n",
    )


def test_the_smoke_test_says_what_fails(server, path_with):
    server.database.unlink()
    url = server.url
    assert smoke_test(url, path_with) == (
        1,
        f"smoke test of {url}\n"
        "FAILED: /health says that the database is ok: status 503 instead of 200: "
        '{"status":"error","version":"1.8.0","database":"error","detail":"unable to open database file"}\n',
    )


def test_the_smoke_test_fails_where_nobody_listens(path_with):
    code, said = smoke_test("http://127.0.0.1:9", path_with)
    assert code == 1
    assert "FAILED: /health says that the database is ok: status 000 instead of 200: " in said


def test_serving_pods_come_in_the_order_of_their_names():
    pods = (pod("c"), pod("a"), pod("b", deleted=True), pod("d", app="zkprova-frontend"))
    assert [p["metadata"]["name"] for p in serving(pods, "zkprova-backend")] == ["a", "c"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("zkprova/backend:1.8.0-3f9c2e1", ("1.8.0", "3f9c2e1")),
        ("host:5000/zkprova/backend:1.8.0", ("1.8.0", "")),
    ],
)
def test_versions_of_images(image, expected):
    assert image_version(image) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (GOOD_PATH, "/srv/zkprova/zkprova.db"),
        ("/var/lib/zkprova-data/zkprova.db", None),
        ("/zkprova.db", None),
    ],
)
def test_where_a_path_lies_on_the_node(path, expected):
    it = pod()
    assert volume_of(it, it["spec"]["containers"][0], path) == expected
