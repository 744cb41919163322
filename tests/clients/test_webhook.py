from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.clients.webhook import Webhook, choose_url, says_ok
from pytest_zkrollback.domain.errors import NotifyProblem, UsageProblem
from support.http_server import LoopbackHttpServer, QuietHandler
from support.stepping_clock import SteppingClock

PATH = "/services/T000/B000/verysecret"
MESSAGE = {"text": "hello"}


@contextmanager
def slack(*answers: tuple[int, str, dict[str, str]] | None) -> Iterator[tuple[str, list[bytes]]]:
    """A local webhook that gives ``answers`` in order, the last one again; None: it never answers."""
    received: list[bytes] = []
    release = threading.Event()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            answer = answers[min(len(received), len(answers)) - 1]
            if answer is None:
                release.wait(5)
                return
            status, body, headers = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    with LoopbackHttpServer(Handler) as server:
        try:
            yield f"{server.url}{PATH}", received
        finally:
            release.set()


def send(url: str, pauses: list[float] | None = None, timeout_s: float = 5) -> str:
    clock = SteppingClock(pauses)
    webhook = Webhook(url, HttpClient(), timeout_s, who="Slack", confirms=says_ok, clock=clock)
    return webhook.send(MESSAGE)


def test_ok_is_returned_and_the_message_sent_once() -> None:
    with slack((200, "ok", {})) as (url, received):
        assert send(url) == "ok"
    assert [json.loads(body) for body in received] == [MESSAGE]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "invalid_payload"),
        (403, "action_prohibited"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
        (302, ""),
    ],
)
def test_a_refusal_is_said_in_slacks_words_and_not_repeated(status: int, text: str) -> None:
    with (
        slack((status, text, {"Location": "http://127.0.0.1:1/"})) as (url, received),
        pytest.raises(NotifyProblem) as raised,
    ):
        send(url)
    assert str(raised.value) == f"Slack refused the message: HTTP {status} {text}".rstrip()
    assert raised.value.maybe_sent is False
    assert len(received) == 1


def test_fault_63_429_waits_as_long_as_slack_says() -> None:
    pauses: list[float] = []
    with slack((429, "rate_limited", {"Retry-After": "3"}), (200, "ok", {})) as (url, received):
        assert send(url, pauses) == "ok"
    assert pauses == [3.0]
    assert len(received) == 2


def test_fault_63_429_that_asks_for_too_long_gives_up_at_once() -> None:
    pauses: list[float] = []
    with (
        slack((429, "rate_limited", {"Retry-After": "30"})) as (url, received),
        pytest.raises(NotifyProblem) as raised,
    ):
        send(url, pauses)
    assert str(raised.value) == "Slack is limiting the rate and would not take it: HTTP 429 rate_limited"
    assert (pauses, len(received)) == ([], 1)


def test_fault_63_500_is_tried_again_within_a_bound() -> None:
    pauses: list[float] = []
    with slack((500, "rollup_error", {})) as (url, received), pytest.raises(NotifyProblem) as raised:
        send(url, pauses)
    assert str(raised.value) == "Slack failed: HTTP 500 rollup_error"
    assert raised.value.maybe_sent is False
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) < 15
    assert len(received) == len(pauses) + 1


def test_fault_63_500_and_then_ok() -> None:
    with slack((500, "rollup_error", {}), (503, "", {}), (200, "ok", {})) as (url, received):
        assert send(url) == "ok"
    assert len(received) == 3


def test_fault_63_a_timeout_after_sending_may_have_posted_and_is_not_repeated() -> None:
    with slack(None) as (url, received), pytest.raises(NotifyProblem) as raised:
        send(url, timeout_s=0.5)
    assert raised.value.maybe_sent is True
    assert str(raised.value).startswith(
        "Slack did not answer, so the message may have been posted, or not: http://"
    )
    assert str(raised.value).endswith("Look there before sending it again.")
    assert len(received) == 1


def test_a_refused_connection_is_tried_again_and_posted_nothing() -> None:
    with slack((200, "ok", {})) as (url, _):
        pass
    pauses: list[float] = []
    with pytest.raises(NotifyProblem) as raised:
        send(url, pauses)
    assert raised.value.maybe_sent is False
    assert str(raised.value).startswith("Slack could not be reached: ")
    assert len(pauses) >= 3


@pytest.mark.parametrize("answer", [None, (404, f"no such hook: {PATH} verysecret", {}), (500, PATH, {})])
def test_the_url_stands_in_no_message(answer: tuple[int, str, dict[str, str]] | None) -> None:
    with slack(answer) as (url, _), pytest.raises(NotifyProblem) as raised:
        send(url, timeout_s=0.1)
    assert url not in str(raised.value)
    assert PATH not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    assert "verysecret" not in str(raised.value)


def test_a_page_of_a_proxy_is_not_taken_for_slack() -> None:
    with (
        slack((200, "<html>Please log in</html>", {})) as (url, received),
        pytest.raises(NotifyProblem) as raised,
    ):
        send(url)
    assert raised.value.maybe_sent is True
    assert str(raised.value) == (
        "Something answered in Slack's place, 'HTTP 200 <html>Please log in</html>' instead of 'ok': is it the "
        "webhook's URL, and is no proxy in between?"
    )
    assert len(received) == 1


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "OK",
        '"ok"',
        '{"success":true}',
        '{"ok": true, "id": 5}',
        '{"status": "ok"}',
        '{"status":"success"}',
    ],
)
def test_case_p29_a_receiver_that_says_in_its_own_way_that_it_has_it(text: str) -> None:
    with slack((201, text, {})) as (url, received):
        assert send(url) == text
    assert len(received) == 1


@pytest.mark.parametrize(
    "text", ['{"success": false}', '{"ok": false, "error": "no_text"}', '{"ok": true, "success": false}']
)
def test_case_p29_a_receiver_that_says_that_it_has_it_not(text: str) -> None:
    with slack((200, text, {})) as (url, received), pytest.raises(NotifyProblem) as raised:
        send(url)
    assert str(raised.value) == f"Slack refused the message: HTTP 200 {text}"
    assert raised.value.maybe_sent is False
    assert len(received) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "okay, please log in",
        "[]",
        '["ok"]',
        '{"success": "true"}',
        '{"ok": 1}',
        "null",
        "5",
        "{}",
        "[" * 30_000,
        '{"status": null}',
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_case_p29_json_of_any_shape_is_a_sentence(text: str) -> None:
    with slack((200, text, {})) as (url, received), pytest.raises(NotifyProblem) as raised:
        send(url)
    assert str(raised.value).startswith("Something answered in Slack's place, 'HTTP 200")
    assert raised.value.maybe_sent is True
    assert len(received) == 1


def test_a_later_message_ends_the_tries_of_an_earlier_one() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with slack((500, "", {})) as (url, received), pytest.raises(NotifyProblem) as raised:
        Webhook(url, HttpClient(), who="Slack").send(MESSAGE, cancelled)
    assert str(raised.value) == "it was not tried again: a later message took its place"
    assert received == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "is not set"),
        ({"ZK_HOOK": " "}, "is not set"),
        ({"ZK_HOOK": "secretword"}, "holds no URL (https://...)"),
    ],
)
def test_the_variable_is_named_and_its_value_never(environ: dict[str, str], said: str) -> None:
    assert choose_url("ZK_HOOK", {"ZK_HOOK": " http://x/y \n"}, "Slack", "slack = false") == "http://x/y"
    with pytest.raises(UsageProblem) as raised:
        choose_url("ZK_HOOK", environ, "Slack", "slack = false")
    assert str(raised.value) == (
        f"the environment variable ZK_HOOK {said}, so Slack is not told; set it to the webhook's URL, or switch "
        "it off by slack = false in the configuration."
    )
