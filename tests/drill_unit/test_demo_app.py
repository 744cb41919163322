"""The demo application against pods as the API gives them, with a real database file."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from pytest_zkrollback import drill
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.drill.app import DATABASE, Application, AppServer, app_argv, create_database
from pytest_zkrollback.drill.live_pods import image_version, serving, volume_of
from support.drill_pods import GOOD_PATH, pod

SMOKE = Path(drill.__file__).with_name("scripts") / "smoke-test.sh"


def application(tmp_path, *pods):
    create_database(tmp_path)
    return Application(lambda: pods, tmp_path)


def test_a_healthy_pod_answers_with_its_version_and_the_real_database(tmp_path):
    assert application(tmp_path, pod()).health() == (
        200,
        {"status": "ok", "version": "1.8.0", "database": "ok", "schema": 7},
    )


def test_a_ready_pod_with_a_path_outside_its_volumes_cannot_open_its_database(tmp_path):
    bad = pod(tag="1.9.0-a7d20c4", path="/var/lib/zkprova-data/zkprova.db")
    assert application(tmp_path, bad).health() == (
        503,
        {
            "status": "error",
            "version": "1.9.0",
            "database": "error",
            "detail": "unable to open database file",
        },
    )


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
def test_without_a_serving_backend_the_database_is_never_ok(tmp_path, pods):
    assert application(tmp_path, *pods).health() == (
        503,
        {"status": "error", "database": "unreachable", "detail": "no pod of zkprova-backend is ready"},
    )


def test_an_api_server_that_does_not_answer_is_never_a_stale_ok(tmp_path):
    create_database(tmp_path)
    answers = [[pod()]]

    def fetch():
        if not answers:
            raise Unreachable("The API server did not answer.")
        return answers.pop()

    app = Application(fetch, tmp_path)
    assert app.health()[0] == 200
    assert app.health() == (
        503,
        {
            "status": "error",
            "database": "unknown",
            "detail": "it is not known which pods serve: The API server did not answer.",
        },
    )


def test_requests_go_round_the_serving_pods(tmp_path):
    app = application(
        tmp_path, pod("b2", tag="2.0.0-bbbbbbb"), pod("b1", tag="1.0.0-aaaaaaa"), pod("b0", ready=False)
    )
    assert [app.health()[1]["version"] for _ in range(4)] == ["1.0.0", "2.0.0", "1.0.0", "2.0.0"]


def test_a_removed_or_broken_database_is_seen(tmp_path):
    app = application(tmp_path, pod())
    (tmp_path / DATABASE).write_bytes(b"no database at all" * 100)
    assert app.health()[1]["detail"] == "file is not a database"
    (tmp_path / DATABASE).unlink()
    assert app.health()[1]["detail"] == "unable to open database file"
    assert not (tmp_path / DATABASE).exists()


def test_the_database_is_made_once_with_its_schema_version_and_rows(tmp_path):
    path = create_database(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (7,)
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
        connection.execute("DELETE FROM orders")
    create_database(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_orders_are_written_and_read_back(tmp_path):
    app = application(tmp_path, pod())
    assert app.order(b'{"item": "gear", "quantity": 2}') == (201, {"id": 3, "item": "gear", "quantity": 2})
    status, order = app.orders(3)
    assert (status, order["item"], order["quantity"]) == (200, "gear", 2)
    assert [order["id"] for order in app.orders()[1]["orders"]] == [3, 2, 1]
    assert app.orders(4) == (404, {"error": "there is no order 4"})


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"no json", b"{}", b'{"item": "x"}', b'{"item": 1, "quantity": 1}', b'{"item": "x", "quantity": 0}',
     b'{"item": "x", "quantity": true}', b'{"item": "x", "quantity": 1.5}', b"\xff"],
)  # fmt: skip
def test_what_is_no_order_is_refused(tmp_path, body):
    assert application(tmp_path, pod()).order(body)[0] == 400


def test_the_page_needs_a_frontend_pod(tmp_path):
    assert application(tmp_path, pod()).page() == (
        503,
        "Service unavailable: no pod of zkprova-frontend is ready\n",
    )
    status, page = application(tmp_path, pod(app="zkprova-frontend")).page()
    assert status == 200
    assert "<title>zkprova</title>" in page
    assert "frontend 1.8.0" in page


@pytest.fixture
def server(tmp_path):
    server = AppServer(application(tmp_path, pod(), pod("f1", app="zkprova-frontend")))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(server, path, data=None):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{server.server_address[1]}{path}", data, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_it_serves_over_http(server, tmp_path):
    status, kind, body = ask(server, "/health")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body)["database"] == "ok"
    assert ask(server, "/")[:2] == (200, "text/html; charset=utf-8")
    assert ask(server, "/api/orders", b'{"item": "x", "quantity": 1}')[0] == 201
    assert json.loads(ask(server, "/api/orders/3")[2])["item"] == "x"
    assert ask(server, "/api/orders/x")[0] == 404
    assert ask(server, "/healthz")[0] == 404
    assert ask(server, "/api/order", b"{}")[0] == 404
    server.write_port(tmp_path / "port")
    assert (tmp_path / "port").read_text() == f"{server.server_address[1]}\n"


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
    url = f"http://127.0.0.1:{server.server_address[1]}"
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


def test_the_smoke_test_says_what_fails(server, path_with, tmp_path):
    (tmp_path / DATABASE).unlink()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    assert smoke_test(url, path_with) == (
        1,
        f"smoke test of {url}\n"
        "FAILED: /health says that the database is ok: status 503 instead of 200: "
        '{"status": "error", "version": "1.8.0", "database": "error", "detail": "unable to open database file"}\n',
    )


def test_the_smoke_test_fails_where_nobody_listens(path_with):
    code, said = smoke_test("http://127.0.0.1:9", path_with)
    assert code == 1
    assert "FAILED: /health says that the database is ok: status 000 instead of 200: " in said


def test_it_listens_on_loopback_only(server):
    assert server.server_address[0] == "127.0.0.1"


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


def test_the_command_line_names_everything():
    cluster = SimpleNamespace(kubeconfig=Path("/k"), context="drill")
    assert app_argv(cluster, "default", Path("/d"), Path("/p"))[1:] == [
        *("-m", "pytest_zkrollback.drill.app", "--kubeconfig", "/k", "--context", "drill"),
        *("--namespace", "default", "--data", "/d", "--port-file", "/p"),
    ]
