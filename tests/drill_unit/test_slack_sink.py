"""The local Slack: what it takes, what it refuses, what it shows."""

import http.client
import json
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from pytest_zkrollback.drill.slack_sink import WEBHOOK_PATH, SlackSink, slack_sink_argv

HOOK = f"{WEBHOOK_PATH}abcDEF123"


class FixedClock:
    def now(self):
        return datetime(2026, 11, 23, 8, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def sink(tmp_path):
    server = SlackSink(tmp_path / "slack", FixedClock())
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def send(sink, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", sink.server_address[1], timeout=5)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_keeps_what_it_receives(sink, tmp_path):
    first, second = {"text": "rolled back <&> \u2713"}, {"blocks": [{"type": "divider"}]}
    assert send(sink, "POST", HOOK, json.dumps(first)) == (200, b"ok")
    assert send(sink, "POST", HOOK, json.dumps(second)) == (200, b"ok")
    status, body = send(sink, "GET", "/messages")
    assert status == 200
    assert json.loads(body) == [
        {"received_at": "2026-11-23T08:00:00.250Z", "path": HOOK, "message": first},
        {"received_at": "2026-11-23T08:00:00.250Z", "path": HOOK, "message": second},
    ]
    lines = (tmp_path / "slack" / "messages.jsonl").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == [first, second]


def test_nothing_received_is_an_empty_list(sink):
    assert send(sink, "GET", "/messages") == (200, b"[]\n")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", HOOK, b"", (400, b"invalid_payload")),
        ("POST", HOOK, b"text=x", (400, b"invalid_payload")),
        ("POST", HOOK, b"\xff\xfe", (400, b"invalid_payload")),
        ("POST", HOOK, b'"text"', (400, b"invalid_payload")),
        ("POST", HOOK, b"{}", (400, b"no_text")),
        ("POST", HOOK, b'{"text": ""}', (400, b"no_text")),
        ("POST", "/services/T000/B000/", b'{"text": "x"}', (404, b"no_service")),
        ("POST", "/services/T000/B000/x/y", b'{"text": "x"}', (404, b"no_service")),
        ("POST", "/services/T000/B000/x?y", b'{"text": "x"}', (404, b"no_service")),
        ("POST", "/", b'{"text": "x"}', (404, b"no_service")),
        ("POST", "/messages", b'{"text": "x"}', (404, b"no_service")),
        ("GET", HOOK, None, (404, b"no_service")),
    ],
)
def test_what_is_no_message_is_refused_and_not_kept(sink, method, path, body, expected):
    assert send(sink, method, path, body) == expected
    assert sink.received() == []


def test_more_than_a_megabyte_is_refused(sink):
    assert send(sink, "POST", HOOK, b"", {"Content-Length": str((1 << 20) + 1)})[0] == 413


def test_the_command_line_names_everything():
    assert slack_sink_argv(Path("/d"), Path("/p"))[1:] == [
        *("-m", "pytest_zkrollback.drill.slack_sink", "--data", "/d", "--port-file", "/p"),
    ]
