"""A whole curve, whatever the server answers: a bounded number of points, gaps said, or a sentence."""

import json
import math
import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.prometheus import PrometheusClient
from pytest_zkrollback.config.environment import Metric, Metrics
from pytest_zkrollback.domain.metric import NoValueKind, PointOrigin, RangeReading, Reading
from pytest_zkrollback.engine.metric_curve import MOST_POINTS, fetch_count, fetch_curve, picture_begins
from support.http_server import LoopbackHttpServer
from support.local_sockets import LocalServer, answer, closing, dripping, free_port, silence

END = datetime(2026, 11, 23, 12, tzinfo=UTC)
CHECK = {"id": "e", "title": "Errors", "query": "x", "max": 1}


class Answers:
    """A client with one answer; what it was asked is kept."""

    def __init__(self, *values, **more):
        self.found = RangeReading(tuple(sorted(values)), **more)

    def query_range(self, query, start, end, step_s, timeout_s=None):
        self.asked = (query, start, end, step_s, timeout_s)
        return self.found


class Counts(Answers):
    def query_at(self, query, at, timeout_s=None):
        self.asked = (query, at, timeout_s)
        return self.found


@pytest.mark.parametrize(
    ("reading", "value", "problem"),
    [
        (Reading(value=4211.7), 4211.7, ""),
        (Reading(value=0.0), 0.0, ""),
        (Reading(kind=NoValueKind.EMPTY, text="no series"), None, "no series"),
        (Reading(value=math.inf), None, "the answer is inf, and a number of requests is meant"),
        (Reading(value=-1.0), None, "the answer is -1, and a number of requests is meant"),
    ],
)
def test_a_count_is_a_number_of_requests_or_a_sentence(reading, value, problem):
    client = Counts()
    client.found = reading
    found = fetch_count("increase(x[{range}])", client, ago(754), END, 2)
    assert client.asked == ("increase(x[754s])", END, 2)
    assert (found.query, found.start, found.end) == ("increase(x[754s])", ago(754), END)
    assert (found.value, found.problem) == (value, problem)


def test_nobody_counts_over_more_than_a_day():
    client = Counts()
    client.found = Reading(value=1.0)
    assert fetch_count("x[{range}]", client, ago(7 * 86400), END).query == "x[86400s]"


def ago(seconds):
    return END - timedelta(seconds=seconds)


def curve(client, span_s=40, **keys):
    return fetch_curve(Metric(**{**CHECK, **keys}), "q", client, ago(span_s), END, most=5, timeout_s=1)


def shown(found):
    return [((END - each.at).total_seconds(), each.value, each.within, each.kind) for each in found.points]


def test_it_is_asked_in_whole_seconds_up_to_its_end():
    client = Answers((ago(33), 1.0), (END, 1.0))
    found = curve(client, span_s=42)
    assert client.asked == ("q", ago(33), END, 11.0, 1)
    assert (found.start, found.end, found.step_s) == (ago(33), END, 11.0)
    assert {each.origin for each in found.points} == {PointOrigin.RANGE_QUERY}


def test_where_the_server_knows_the_end_alone_the_curve_is_asked_for_once_more_in_finer_steps():
    client = Answers((ago(20), 1.0), (END, 2.0))
    found = curve(client, span_s=400)  # asked every 100 s at first
    assert client.asked == ("q", ago(120), END, 30.0, 1)
    empty = NoValueKind.EMPTY
    assert shown(found) == [
        (120, None, None, empty),
        (90, None, None, empty),
        (60, None, None, empty),
        (20, 1.0, True, None),
        (0, 2.0, False, None),
    ]
    assert curve(client, span_s=400, when_empty=0).step_s == 100  # nothing is a value there


def test_what_the_answer_leaves_out_is_a_gap():
    found = curve(Answers((ago(40), 0.5), (ago(30), 3.0), (ago(0), 0.5)))
    empty = NoValueKind.EMPTY
    assert shown(found) == [
        (40, 0.5, True, None),
        (30, 3.0, False, None),
        (20, None, None, empty),
        (10, None, None, empty),
        (0, 0.5, True, None),
    ]
    assert [each[0] for each in shown(curve(Answers((ago(20), 0.5)))) if each[1] is None] == [40, 30, 10, 0]


def test_what_is_no_finite_number_stands_there_as_what_it_is():
    found = curve(Answers((ago(40), math.nan), (ago(30), math.inf), (ago(20), -math.inf), (ago(10), 1.0)))
    assert shown(found)[:4] == [
        (40, None, None, NoValueKind.NOT_A_NUMBER),
        (30, None, False, NoValueKind.INFINITE),
        (20, None, None, NoValueKind.INFINITE),
        (10, 1.0, True, None),
    ]


def test_when_empty_is_judged_as_in_the_watch_and_the_kind_says_so():
    found = curve(Answers((ago(40), 2.0), (ago(30), math.nan)), when_empty=0)
    assert shown(found)[:3] == [
        (40, 2.0, False, None),
        (30, 0, True, NoValueKind.NOT_A_NUMBER),
        (20, 0, True, NoValueKind.EMPTY),
    ]
    nothing = curve(Answers(kind=NoValueKind.EMPTY, text="none"), when_empty=0)
    assert [each.value for each in nothing.points] == [0] * 5


def test_steps_that_a_server_moved_are_no_gaps_and_what_lies_outside_is_left_out():
    moved = [(ago(seconds + 3), 0.5) for seconds in (40, 30, 20, 10, 0)]
    found = curve(Answers(*moved, (ago(900), 9.0), (END + timedelta(hours=1), 9.0)))
    assert [each.value for each in found.points] == [0.5] * 5


@given(st.lists(st.integers(0, 4000), max_size=600), st.integers(2, 4000))
def test_whatever_comes_there_are_few_points_and_in_their_order(seconds, span_s):
    client = Answers(*{(ago(each), 2.0) for each in seconds})
    found = fetch_curve(Metric(**CHECK), "q", client, ago(span_s), END)
    times = [each.at for each in found.points]
    assert len(times) <= MOST_POINTS
    assert times == sorted(set(times))
    begins, step_s = client.asked[1], client.asked[3]
    inside = any(begins <= ago(each) <= END for each in seconds)
    assert not inside or any(each.within is False for each in found.points)
    assert all(abs((times[0] - begins).total_seconds()) <= step_s for _ in times[:1])


def test_a_picture_begins_before_the_incident_and_not_a_week_before_it():
    assert picture_begins(ago(600), END) == ago(1500)
    assert picture_begins(ago(7 * 86400), END) == ago(86400)


def success(*values, kind="matrix", **more):
    series = [{"metric": {}, "values": [[END.timestamp(), each]]} for each in values]
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": series}, **more})


def error(said):
    return json.dumps({"status": "error", "errorType": "bad_data", "error": said})


def large(connection: socket.socket, _: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
    for _ in range(800):
        connection.sendall(b"x" * 65536)


CURE = (
    "no errors yet, or no traffic, looks like this too: `... or vector(0)` in the query, or `when_empty = 0`"
)
NOT_STRING = "invalid expression type 'string' for range query, must be Scalar or instant Vector"
LATE = "{url} gave no complete answer within 0.5 s"
ANSWERS = {
    "empty": (answer(success()), f"the query has no series in that time ({CURE})"),
    "string": (
        answer(error(NOT_STRING), 400),
        f"the server does not take the query (HTTP 400: {NOT_STRING})",
    ),
    "vector": (
        answer(success("1", kind="vector")),
        "the range's answer is a vector, and a curve of one number is meant",
    ),
    "several": (
        answer(success("1", "2")),
        "the query has 2 series where one is meant: sum() or max() makes one of them",
    ),
    "401": (answer("", 401), "the server does not take the credentials (HTTP 401)"),
    "503": (answer(error("too busy"), 503), "the server cannot answer now (HTTP 503: too busy)"),
    "redirect": (
        answer("", 302, "Location: https://login.example/"),
        "the server redirects (HTTP 302), which is not followed: url has to be the final address",
    ),
    "page": (
        answer("<html>Sign in</html>"),
        "the answer is not that of Prometheus' API (HTTP 200 without its JSON): is it the right url?",
    ),
    "50 MB": (large, "the answer is above 1 MB"),
    "slow drip": (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), LATE),
    "silence": (silence, LATE),
    "broken off": (
        closing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        "{url} broke off before its answer was complete",
    ),
}


def fetched(url):
    made = PrometheusClient(Metrics(url=url, checks=[CHECK], timeout_s=20), {}, SystemClock())
    return fetch_curve(Metric(**CHECK), "q", made, ago(40), END, timeout_s=0.5)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_curve_is_a_sentence(name):
    script, said = ANSWERS[name]
    with LocalServer(script) as server:
        begun = time.monotonic()
        found = fetched(server.url)
        assert time.monotonic() - begun < 5
    assert (found.points, found.problem) == ((), said.format(url=server.url))
    assert found.kind is not None


def test_a_server_that_is_gone_or_that_nobody_vouches_for(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    assert fetched(url).problem == f"{url} refuses connections"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=nobody"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")]
    subprocess.run([*argv, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    with LoopbackHttpServer(BaseHTTPRequestHandler, tls) as server:
        assert fetched(server.url).problem.startswith(f"{server.url} is not trusted: ")
