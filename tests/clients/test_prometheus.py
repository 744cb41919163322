"""Each answer that a Prometheus, or what stands in its place, can give; against real sockets on loopback."""

import json
import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.prometheus import PrometheusClient, fill_in, fill_in_times
from pytest_zkrollback.config.environment import Metrics
from pytest_zkrollback.domain.metric import NoValueKind, RangeReading, Reading
from support.http_server import LoopbackHttpServer
from support.local_sockets import LocalServer, answer, closing, dripping, free_port, silence

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUERY = 'sum(rate(http_errors_total{namespace="shop"}[2m]))'
CHECKS = [{"id": "e", "title": "Errors", "query": "x", "max": 1}]
CURE = (
    "no errors yet, or no traffic, looks like this too: `... or vector(0)` in the query, or `when_empty = 0`"
)
NO_API = "the answer is not that of Prometheus' API ({}): is it the right url?"


class StillClock(SystemClock):
    def now(self):
        return NOW


def client(url, environ=None, **keys):
    return PrometheusClient(Metrics(url=url, checks=CHECKS, **keys), environ or {}, StillClock())


def success(kind, result, **more):
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more})


def vector(*values, at=NOW, **more):
    series = [{"metric": {"pod": str(n)}, "value": [at.timestamp(), value]} for n, value in enumerate(values)]
    return success("vector", series, **more)


def error(kind, said):
    return json.dumps({"status": "error", "errorType": kind, "error": said})


def asked(body, status=200, *headers):
    with LocalServer(answer(body, status, *headers)) as server:
        return client(server.url).query(QUERY)


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        pytest.param(vector("0.25"), Reading(value=0.25), id="one series"),
        pytest.param(success("scalar", [NOW.timestamp(), "3"]), Reading(value=3.0), id="scalar"),
        pytest.param(vector("+Inf"), Reading(value=float("inf")), id="+Inf"),
        pytest.param(vector("-Inf"), Reading(value=float("-inf")), id="-Inf"),
        pytest.param(
            vector("1", infos=["PromQL info: metric might not be a counter"]),
            Reading(value=1.0, infos=("PromQL info: metric might not be a counter",)),
            id="infos",
        ),
        pytest.param(
            vector("1", at=NOW - timedelta(seconds=31)),
            Reading(value=1.0),
            id="half a minute late, as VictoriaMetrics is",
        ),
        pytest.param(vector("1", at=NOW + timedelta(seconds=90)), Reading(value=1.0), id="a clock ahead"),
    ],
)
def test_a_number_is_a_value(body, reading):
    assert asked(body) == reading


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        pytest.param(vector(), NoValueKind.EMPTY, f"the query has no series ({CURE})", id="empty"),
        pytest.param(
            vector("NaN"),
            NoValueKind.NOT_A_NUMBER,
            f"the query's value is NaN, as 0/0 is ({CURE}; `(...) >= 0 or vector(0)` for NaN)",
            id="NaN",
        ),
        pytest.param(
            vector("1", "2", "3"),
            NoValueKind.SEVERAL,
            "the query has 3 series where one is meant: sum() or max() makes one of them",
            id="several series",
        ),
        pytest.param(
            vector("1", at=NOW - timedelta(seconds=90)),
            NoValueKind.STALE,
            "the newest value is 90 s old: it is stale, or the server's clock is wrong",
            id="stale",
        ),
        pytest.param(
            success("matrix", [{"metric": {}, "values": [[1, "1"]]}]),
            NoValueKind.WRONG_TYPE,
            "the query's answer is a matrix, and one number is meant",
            id="matrix",
        ),
        pytest.param(
            success("string", [1, "up"]),
            NoValueKind.WRONG_TYPE,
            "the query's answer is a string, and one number is meant",
            id="string",
        ),
        pytest.param(
            success("vector", [{"metric": {}, "histogram": [1, {"count": "1"}]}]),
            NoValueKind.WRONG_TYPE,
            "the query's answer is a histogram: histogram_quantile() makes a number of it",
            id="native histogram",
        ),
        pytest.param(
            vector("0", warnings=["store 10.0.0.1 did not answer"]),
            NoValueKind.WARNED,
            "the server warns that its answer may not be whole: store 10.0.0.1 did not answer",
            id="warnings",
        ),
        pytest.param(
            vector("one"), NoValueKind.NOT_THE_API, NO_API.format("a value that is none"), id="no number"
        ),
        pytest.param(
            success("vector", [["x"]]),
            NoValueKind.NOT_THE_API,
            NO_API.format("a value that is none"),
            id="no series",
        ),
        pytest.param(
            '{"status": "success"}',
            NoValueKind.WRONG_TYPE,
            "the query's answer is a success without data, and one number is meant",
            id="no data",
        ),
        pytest.param(
            "<html>Sign in</html>",
            NoValueKind.NOT_THE_API,
            NO_API.format("HTTP 200 without its JSON"),
            id="not JSON",
        ),
        pytest.param(
            "[" * 100_000, NoValueKind.NOT_THE_API, NO_API.format("HTTP 200 without its JSON"), id="deep"
        ),
        pytest.param(
            "[]", NoValueKind.NOT_THE_API, NO_API.format("HTTP 200 without its JSON"), id="other JSON"
        ),
    ],
)
def test_what_is_no_number_says_what_it_is(body, kind, text):
    assert asked(body) == Reading(kind=kind, text=text)


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [
        (
            error("bad_data", "1:5: parse error: unclosed left parenthesis"),
            400,
            NoValueKind.BAD_QUERY,
            "the server does not take the query (HTTP 400: 1:5: parse error: unclosed left parenthesis)",
        ),
        (
            error("execution", "found duplicate series"),
            422,
            NoValueKind.BAD_QUERY,
            "the server does not take the query (HTTP 422: found duplicate series)",
        ),
        (
            error("bad_data", "x"),
            200,
            NoValueKind.BAD_QUERY,
            "the server does not take the query (HTTP 200: x)",
        ),
        ("no", 400, NoValueKind.NOT_THE_API, NO_API.format("HTTP 400 without its JSON")),
        ("404 page not found", 404, NoValueKind.NOT_THE_API, NO_API.format("HTTP 404 without its JSON")),
        ("", 401, NoValueKind.UNAUTHORIZED, "the server does not take the credentials (HTTP 401)"),
        (
            error("x", "no org id"),
            401,
            NoValueKind.UNAUTHORIZED,
            "the server does not take the credentials (HTTP 401: no org id)",
        ),
        ("", 403, NoValueKind.UNAUTHORIZED, "the server does not take the credentials (HTTP 403)"),
        ("", 429, NoValueKind.UNAVAILABLE, "the server cannot answer now (HTTP 429)"),
        (
            error("timeout", "query timed out"),
            503,
            NoValueKind.UNAVAILABLE,
            "the server cannot answer now (HTTP 503: query timed out)",
        ),
        ("Bad Gateway", 502, NoValueKind.UNAVAILABLE, "the server cannot answer now (HTTP 502)"),
        ("", 204, NoValueKind.NOT_THE_API, NO_API.format("HTTP 204 without its JSON")),
    ],
)
def test_other_statuses(body, status, kind, text):
    assert asked(body, status) == Reading(kind=kind, text=text)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_gets_no_second_request_and_so_no_credentials(status):
    with LocalServer() as other, LocalServer(answer("", status, f"Location: {other.url}/login")) as server:
        found = client(server.url, {"T": "s3cr3t-token"}, token_env="T").query(QUERY)
        assert other.requests == []
        assert "authorization: bearer s3cr3t-token" in server.requests[0].lower()
    assert found == Reading(
        kind=NoValueKind.REDIRECTED,
        text=f"the server redirects (HTTP {status}), which is not followed: url has to be the final address",
    )


def test_fifty_megabytes_are_not_read():
    sent = []

    def large(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
        for _ in range(800):
            connection.sendall(b"x" * 65536)
            sent.append(1)

    with LocalServer(large) as server:
        found = client(server.url).query(QUERY)
    assert found == Reading(kind=NoValueKind.TOO_LARGE, text="the answer is above 1 MB")
    assert len(sent) < 800


@pytest.mark.parametrize(
    "script",
    [dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), silence],
    ids=["slow drip", "silence"],
)
def test_a_slow_server_ends_with_the_deadline(script):
    with LocalServer(script) as server:
        begun = time.monotonic()
        found = client(server.url, timeout_s=0.3).query(QUERY)
        assert time.monotonic() - begun < 3
    assert found == Reading(
        kind=NoValueKind.NO_ANSWER, text=f"{server.url} gave no complete answer within 0.3 s"
    )


def test_a_question_may_have_less_time_than_the_table_says():
    with LocalServer(silence) as server:
        found = client(server.url, timeout_s=30).query(QUERY, timeout_s=0.2)
    assert found.text == f"{server.url} gave no complete answer within 0.2 s"


def test_a_server_that_is_gone():
    port = free_port()
    assert client(f"http://127.0.0.1:{port}").query(QUERY) == Reading(
        kind=NoValueKind.NO_ANSWER, text=f"http://127.0.0.1:{port} refuses connections"
    )
    with LocalServer(closing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")) as server:
        found = client(server.url).query(QUERY)
    assert found == Reading(
        kind=NoValueKind.NO_ANSWER, text=f"{server.url} broke off before its answer was complete"
    )


def test_a_certificate_of_nobody_is_not_trusted_and_gets_no_token(tmp_path):
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=nobody"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")]
    subprocess.run([*argv, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)

    with LoopbackHttpServer(Handler, tls) as server:
        found = client(server.url, {"T": "s3cr3t-token"}, token_env="T").query(QUERY)
    assert (found.kind, seen) == (NoValueKind.NO_ANSWER, [])
    assert found.text.startswith(f"{server.url} is not trusted: ")


def test_what_is_sent():
    with LocalServer(answer(vector("1"))) as server:
        table = {"token_env": "T", "headers_env": {"X-Scope-OrgID": "ORG"}}
        client(f"{server.url}/prometheus/", {"T": " abc \n", "ORG": "team-a"}, **table).query('a{b="c"} + 1')
        request = server.requests[0]
    assert request.startswith("GET /prometheus/api/v1/query?query=a%7Bb%3D%22c%22%7D+%2B+1 HTTP/1.1\r\n")
    lines = request.lower().split("\r\n")
    assert {"authorization: bearer abc", "x-scope-orgid: team-a"} <= set(lines)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({}, "the environment variable T is not set, so metrics cannot be asked for"),
        ({"T": "  "}, "the environment variable T is not set, so metrics cannot be asked for"),
        (
            {"T": "a\nb"},
            "the environment variable T holds no value that a header can have, so metrics cannot be asked for",
        ),
        (
            {"T": "ü"},
            "the environment variable T holds no value that a header can have, so metrics cannot be asked for",
        ),
    ],
)
def test_without_its_token_nobody_is_asked(environ, text):
    with LocalServer() as server:
        made = client(server.url, environ, token_env="T")
        assert made.unusable == text
        assert made.query(QUERY) == Reading(kind=NoValueKind.NOT_ASKED, text=text)
        assert made.query_range(QUERY, NOW, NOW, 1) == RangeReading(kind=NoValueKind.NOT_ASKED, text=text)
        assert server.requests == []


def test_only_namespace_and_release_are_filled_in():
    query = (
        'sum by (pod) (x{namespace="{namespace}",job=~"{release}-.*",code=~"5.{2}"}) / on() y{a="{other}"}'
    )
    assert fill_in(query, "shop", "web") == (
        'sum by (pod) (x{namespace="shop",job=~"web-.*",code=~"5.{2}"}) / on() y{a="{other}"}'
    )


def ranged(body):
    with LocalServer(answer(body)) as server:
        found = client(server.url).query_range("up", NOW, NOW + timedelta(seconds=60), 15)
        return found, server.requests[0].partition(" HTTP")[0]


def test_a_range_has_the_numbers_of_one_series():
    at = NOW.timestamp()
    values = [[at + 15, "2"], [at, "1.5"], [at + 30, "NaN"], [at + 45, "+Inf"]]
    found, request = ranged(success("matrix", [{"metric": {}, "values": values}]))
    assert [str(value) for _, value in found.values] == ["1.5", "2.0", "nan", "inf"]
    assert [(at - NOW).total_seconds() for at, _ in found.values] == [0, 15, 30, 45]
    assert (found.kind, found.warning) == (None, "")
    start = f"{at:.3f}"
    assert request == f"GET /api/v1/query_range?query=up&start={start}&end={at + 60:.3f}&step=15.000"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (success("matrix", []), NoValueKind.EMPTY),
        (success("matrix", [{}, {}]), NoValueKind.SEVERAL),
        (vector("1"), NoValueKind.WRONG_TYPE),
        (success("matrix", [{"histograms": [[1, {"count": "1"}]]}]), NoValueKind.WRONG_TYPE),
        (success("matrix", [{"values": [["x"]]}]), NoValueKind.NOT_THE_API),
        (success("matrix", [{"values": [[1e300, "1"]]}]), NoValueKind.NOT_THE_API),
        (success("matrix", ["x"]), NoValueKind.NOT_THE_API),
        (error("bad_data", "exceeded maximum resolution"), NoValueKind.BAD_QUERY),
    ],
)
def test_a_range_that_is_none(body, kind):
    found, _ = ranged(body)
    assert (found.values, found.kind) == ((), kind)


def test_a_range_with_a_warning_is_shown_and_says_so():
    at = NOW.timestamp()
    found, _ = ranged(
        success("matrix", [{"values": [[at, "1"]]}], warnings=["store 10.0.0.1 did not answer"])
    )
    assert found.values == ((NOW, 1.0),)
    assert found.warning == (
        "the server warns that its answer may not be whole: store 10.0.0.1 did not answer"
    )


def test_the_incidents_times_are_filled_in_as_promql_has_them():
    query = 'sum(increase(http_requests_total{code=~"5.."}[{range}] @ {to})) + 0 * {from}'
    assert fill_in_times(query, NOW, NOW + timedelta(seconds=754.4)) == (
        f'sum(increase(http_requests_total{{code=~"5.."}}[754s] @ {NOW.timestamp() + 754.4:.3f})) '
        f"+ 0 * {NOW.timestamp():.3f}"
    )
    assert fill_in_times("x[{range}]", NOW, NOW) == "x[1s]"


def test_a_value_at_a_time_is_not_stale_because_that_time_is_past():
    then = NOW - timedelta(hours=3)
    with LocalServer(answer(vector("7", at=then))) as server:
        assert client(server.url).query_at("up", then) == Reading(value=7.0)
        request = server.requests[0].partition(" HTTP")[0]
    assert request == f"GET /api/v1/query?query=up&time={then.timestamp():.3f}"
