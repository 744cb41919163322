"""The demo application's program as pods run it: what it answers, what it writes, and how it ends."""

import json
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from pytest_zkrollback.drill.demo_repository import BROUGHT
from pytest_zkrollback.drill.podlogs import render_life
from support.drill_pods import pod

OK = {"status": "ok", "version": "1.8.0", "database": "ok", "schema": 7}


class Container:
    """One life of one container, on this machine; ``folder`` is its pod's."""

    def __init__(self, program: Path, folder: Path, *arguments: str, tag="1.8.0-3f9c2e1", **env: str):
        self.port_file = folder / "port"
        self.port_file.unlink(missing_ok=True)
        options = ["--listen=127.0.0.1:0", f"--port-file={self.port_file}"]
        if arguments == ("backend",):
            options.append(f"--pod-folder={folder}")
        elif arguments != ("frontend",):
            options = []
        self.process = subprocess.Popen(
            [program, *arguments, *options],
            env={"ZKPROVA_VERSION": tag, **env},
            stdout=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        deadline = time.monotonic() + 10
        while not self.port_file.exists():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.005)
        return f"http://127.0.0.1:{int(self.port_file.read_text())}"

    def ask(self, path, data=None, agent="smoke/1"):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            request = urllib.request.Request(f"{self.url()}{path}", data, {"User-Agent": agent})
            with opener.open(request, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def health(self):
        status, body = self.ask("/health")
        return status, json.loads(body)

    def stop(self) -> tuple[int, list[str]]:
        self.process.terminate()
        return self.end()

    def end(self) -> tuple[int, list[str]]:
        """Exit code and lines, without their times (which are times)."""
        out, _ = self.process.communicate(timeout=10)
        lines = [line.partition(" ") for line in out.splitlines()]
        assert [datetime.fromisoformat(at).tzinfo for at, _, _ in lines] == [UTC] * len(lines)
        return self.process.returncode, [text for _, _, text in lines]


@pytest.fixture
def run(zkprova, tmp_path):
    started = []

    def start(*arguments, **given):
        started.append(Container(zkprova, tmp_path, *arguments, **given))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def database(tmp_path):
    folder = tmp_path / "srv"
    folder.mkdir()
    return folder / "zkprova.db"


def schema(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]


def rendered(it, *life):
    """What kwok's kubelet tells of the same life."""
    name = it["spec"]["containers"][0]["name"]
    start = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
    ended, number = life
    end = None if ended is None else start + timedelta(seconds=ended)
    return [text for _, text in render_life(it, name, (start, end, number), start + timedelta(seconds=1))]


def test_a_healthy_backend_ends_well_and_writes_what_kwok_plays(run, database):
    backend = run("backend", DATABASE_PATH=str(database))
    assert backend.ask("/health", agent="kube-probe/1.37")[0] == 200
    code, lines = backend.stop()
    assert code == 0
    it = pod(path=str(database))
    it["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": str(database.parent)}]
    assert lines == rendered(it, None, 0)


def test_three_replicas_that_start_at_once_make_one_database(zkprova, tmp_path, database):
    replicas = []
    for number in range(3):
        folder = tmp_path / f"pod{number}"
        folder.mkdir()
        replicas.append(Container(zkprova, folder, "backend", DATABASE_PATH=str(database)))
    assert [one.health() for one in replicas] == [(200, OK)] * 3
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert [one.stop()[0] for one in replicas] == [0] * 3


def test_the_first_life_without_a_database_is_ready_for_a_second_and_the_next_one_never(run):
    lost = "/nowhere/zkprova.db"
    it = pod(tag="1.9.0-a7d20c4", path=lost)
    first = run("backend", tag="1.9.0-a7d20c4", DATABASE_PATH=lost)
    begun = time.monotonic()
    assert first.health() == (200, {"status": "ok", "version": "1.9.0", "database": "connecting"})
    code, lines = first.end()
    assert 1 < time.monotonic() - begun < 4
    assert code == 1
    assert [line for line in lines if "GET" not in line] == rendered(it, 1.6, 0)
    second = run("backend", tag="1.9.0-a7d20c4", DATABASE_PATH=lost)
    assert second.end() == (1, rendered(it, 0.3, 1))
    assert not second.port_file.exists()


def test_a_database_that_goes_later_is_an_error(run, database):
    backend = run("backend", DATABASE_PATH=str(database))
    assert backend.health() == (200, OK)
    database.unlink()
    told = {
        "status": "error",
        "version": "1.8.0",
        "database": "error",
        "detail": "unable to open database file",
    }
    assert backend.health() == (503, told)
    assert json.loads(backend.ask("/api/orders")[1]) == {"error": "unable to open database file"}
    assert not database.exists()


def test_metrics_count_requests_their_durations_and_orders(run, database):
    backend = run("backend", DATABASE_PATH=str(database))
    backend.ask("/api/orders", b'{"item": "gear", "quantity": 2}')
    backend.ask("/api/orders/3")
    database.unlink()
    backend.health()
    backend.ask("/metrics")
    status, body = backend.ask("/metrics")
    values = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))
    assert status == 200
    durations = {name: values.pop(name) for name in list(values) if "_duration_" in name}
    assert values == {
        'zkprova_build_info{version="1.8.0",commit="3f9c2e1"}': "1",
        'http_requests_total{handler="/api/orders",code="201"}': "1",
        'http_requests_total{handler="/api/orders/{id}",code="200"}': "1",
        'http_requests_total{handler="/health",code="503"}': "1",
        "zkprova_orders_total": "1",
    }
    for handler in ("/api/orders", "/api/orders/{id}", "/health"):
        name = f'http_request_duration_seconds_bucket{{handler="{handler}",le='
        buckets = [int(count) for key, count in durations.items() if key.startswith(name)]
        assert len(buckets) == 12
        assert buckets == sorted(buckets)
        assert durations[f'{name}"+Inf"}}'] == "1"
        assert durations[f'http_request_duration_seconds_count{{handler="{handler}"}}'] == "1"
        assert 0 < float(durations[f'http_request_duration_seconds_sum{{handler="{handler}"}}']) < 10


def test_orders_are_searched_in_the_index_that_is_named(run, database):
    backend = run("backend", DATABASE_PATH=str(database))
    backend.ask("/api/orders", b'{"item": "blue punched cards", "quantity": 2}')
    status, body = backend.ask("/api/search?q=punched+cards")
    assert (status, [one["id"] for one in json.loads(body)["orders"]]) == (200, [3, 1])
    assert json.loads(backend.ask("/api/search?q=%22tea%22")[1]) == {"orders": []}
    assert backend.ask("/api/search")[0] == 400
    backend.stop()
    moved = run("backend", DATABASE_PATH=str(database), SEARCH_INDEX="order_search_v2")
    status, body = moved.ask("/api/search?q=cards")
    assert (status, json.loads(body)) == (503, {"error": "no such table: order_search_v2"})
    assert moved.health() == (200, OK)


def test_a_load_asks_for_everything_until_it_is_ended(zkprova, run, database):
    backend = run("backend", DATABASE_PATH=str(database))
    load = subprocess.Popen([zkprova, "load", "--url", backend.url(), "--per-second", "100"])
    asked = {f'handler="{path}",code="200"' for path in ("/api/orders", "/api/orders/{id}", "/api/search")}
    deadline = time.monotonic() + 10
    while not all(name in (told := backend.ask("/metrics")[1].decode()) for name in asked):
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    load.terminate()
    assert load.wait(timeout=10) == 0


def test_a_frontend_has_a_page_and_sends_api_to_the_backend(zkprova, run, tmp_path, database):
    folder = tmp_path / "backend"
    folder.mkdir()
    backend = Container(zkprova, folder, "backend", DATABASE_PATH=str(database))
    frontend = run("frontend", BACKEND_URL=backend.url())
    status, page = frontend.ask("/")
    assert (status, b"<title>zkprova</title>" in page, b"frontend 1.8.0" in page) == (200, True, True)
    assert frontend.health() == (200, {"status": "ok", "version": "1.8.0"})
    assert frontend.ask("/api/orders/3")[0] == 404
    assert json.loads(frontend.ask("/api/orders", b'{"item": "gear", "quantity": 2}')[1])["id"] == 3
    assert backend.stop()[0] == 0
    assert frontend.ask("/api/orders/3")[0] == 502
    code, lines = frontend.stop()
    it = pod(app="zkprova-frontend")
    it["spec"]["containers"][0]["env"] = [{"name": "BACKEND_URL", "value": "URL"}]
    assert code == 0
    assert [line.partition("http://")[0] for line in lines[:3]] == [
        line.partition("URL")[0] for line in rendered(it, None, 0)[:3]
    ]


@pytest.mark.parametrize("kind", BROUGHT)
def test_a_migration_is_applied_once(run, tmp_path, database, kind):
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, text in BROUGHT[kind].items():
        (folder / name).write_text(text)
    name = next(iter(BROUGHT[kind])).partition(".")[0]
    given = {"DATABASE_PATH": str(database), "ZKPROVA_MIGRATIONS": str(folder), "tag": "1.9.0-a7d20c4"}
    begun = ["INFO migrate 1.9.0 (a7d20c4) starting", f"INFO database: opening {database}"]
    ended = ["INFO database: schema 8"]
    assert run("migrate", "up", **given).end() == (0, [*begun, f"INFO migration {name}: applied", *ended])
    assert schema(database) == 8
    assert run("migrate", "up", **given).end() == (0, [*begun, *ended])
    backend = run("backend", DATABASE_PATH=str(database))
    assert backend.health() == (200, {**OK, "schema": 8})
    assert backend.ask("/api/orders", b'{"item": "gear", "quantity": 2}')[0] == 201


def test_a_migration_that_fails_leaves_nothing_half_done(run, tmp_path, database):
    (tmp_path / "0008_broken.up.sql").write_text(
        "ALTER TABLE orders ADD COLUMN x TEXT;\nDROP TABLE nowhere;\n"
    )
    code, lines = run("migrate", "up", DATABASE_PATH=str(database), ZKPROVA_MIGRATIONS=str(tmp_path)).end()
    assert (code, lines[-1]) == (1, "FATAL: migration 0008_broken: no such table: nowhere")
    assert schema(database) == 7
    with closing(sqlite3.connect(database)) as connection:
        assert "x" not in [row[1] for row in connection.execute("PRAGMA table_info(orders)")]


@pytest.mark.parametrize(("arguments", "code"), [(["--exit=3", "--after=0.2"], 3), (["--exit=0"], 0)])
def test_act_ends_as_told(run, arguments, code):
    assert run("act", *arguments).end() == (code, ["INFO act 1.8.0 (3f9c2e1) starting"])


def test_act_can_stop_being_ready(run, free_port):
    one = run("act", f"--port={free_port}", "--unready-after=0.5")
    one.port_file.write_text(str(free_port))
    seen, deadline = [], time.monotonic() + 10
    while 503 not in seen:
        assert time.monotonic() < deadline
        try:
            seen.append(one.ask("/health")[0])
        except urllib.error.URLError:
            time.sleep(0.02)
    assert set(seen) == {200, 503}
    assert one.ask("/else")[0] == 404
    assert one.stop()[0] == 0


@pytest.mark.parametrize("role", [("act",), ("pause",)])
def test_what_only_waits_ends_well_on_sigterm(run, role):
    one = run(*role)
    waiting = Thread(target=one.end)
    waiting.start()
    time.sleep(0.3)
    assert one.process.poll() is None
    one.process.terminate()
    waiting.join(5)
    assert one.process.returncode == 0


def test_an_unknown_role_names_the_known_ones(zkprova):
    done = subprocess.run([zkprova, "backends"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "usage: zkprova backend|frontend|migrate up|loopback|load|act|pause|version [OPTIONS]\n",
    )
