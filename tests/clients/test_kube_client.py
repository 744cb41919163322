"""KubeClient against real sockets on loopback."""

import json
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from kubernetes.client import CoreV1Api

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.kube.access import Access
from pytest_zkrollback.clients.kube.client import KubeClient
from pytest_zkrollback.clients.kube.errors import rbac_words
from pytest_zkrollback.clients.kube.transport import _pools_of
from pytest_zkrollback.clients.threads import fetch_each
from pytest_zkrollback.domain.errors import (
    BadAnswer,
    Forbidden,
    NotFound,
    Unauthorized,
    Unreachable,
)
from support.http_server import LoopbackHttpServer, QuietHandler
from support.local_sockets import LocalServer, answer, chunked, closing, dripping, free_port, silence


class Sleepless(SystemClock):
    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def client(url: str, renew=None, clock=None, **access) -> KubeClient:
    values = {"authorization": "Bearer t0ken", "secrets": ("t0ken",), **access}
    return KubeClient(Access("context 'staging'", url, **values), clock or Sleepless(), renew)


def page(*names: str, token: str = "", version: str = "7") -> bytes:
    labels = {"managedFields": "a label of that name"}
    items = [
        {"metadata": {"name": name, "labels": labels, "managedFields": [{"manager": "helm"}]}}
        for name in names
    ]
    return answer(json.dumps({"metadata": {"continue": token, "resourceVersion": version}, "items": items}))


def status(code: int, message: str = "told you", *headers: str) -> bytes:
    return answer(json.dumps({"kind": "Status", "message": message, "code": code}), code, *headers)


def names(items) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_get_sends_credentials_and_reads_json():
    with LocalServer(answer('{"a": 1}'), answer('{"a": 2}')) as server:
        kube = client(server.url, impersonate_user="jane", impersonate_groups=("a", "b"))
        assert kube.get("/api/v1/pods", {"labelSelector": "a=b,c!=d"}) == {"a": 1}
        assert kube.get("/api/v1/pods") == {"a": 2}
        head = server.requests[0].lower()
    assert head.startswith("get /api/v1/pods?labelselector=a%3db%2cc%21%3dd http/1.1")
    assert "authorization: bearer t0ken" in head
    assert "impersonate-user: jane" in head
    assert "impersonate-group: a\r\n" in head and "impersonate-group: b\r\n" in head
    assert "accept: application/json\r\n" in head


def test_kubernetes_own_client_reads_from_the_same_server_with_the_same_credentials():
    """For an own item that would rather have typed models (ItemContext.api_client)."""
    with LocalServer(page("web")) as server:
        kube = client(server.url, impersonate_user="jane", impersonate_groups=("a", "b"))
        api = CoreV1Api(kube.api_client())
        assert [pod.metadata.name for pod in api.list_namespaced_pod("shop").items] == ["web"]
        with pytest.raises(
            ValueError, match=r"an item of your own only reads: DELETE .*/pods/web was not sent"
        ):
            api.delete_namespaced_pod("web", "shop")
        pools = kube.api_client().rest_client.pool_manager
        for url, headers, said in (
            (
                f"{server.url}/api/v1/namespaces/shop/pods/web/exec?command=sh",
                {},
                "only reads: GET .*/web/exec was not sent",
            ),
            (f"{server.url}/api", {"Upgrade": "websocket"}, "only reads: GET .*/api was not sent"),
            (
                "http://elsewhere.example/x",
                {},
                "asks this API server alone: GET http://elsewhere.example/x was not",
            ),
        ):
            with pytest.raises(ValueError, match=said):
                pools.request("GET", url, headers=headers)
        [head] = [request.lower() for request in server.requests]
    assert head.startswith("get /api/v1/namespaces/shop/pods http/1.1")
    assert "authorization: bearer t0ken" in head
    assert "impersonate-group: a\r\n" in head and "impersonate-group: b\r\n" in head


def test_pages_are_followed_and_an_expired_token_starts_again_fault_4():
    with LocalServer(
        page("a", "b", token="t/1"), status(410), page("c", token="t2"), page("d", version="9")
    ) as server:
        items, version = client(server.url).list_with_version("/api/v1/pods")
        assert (names(items), version) == (["c", "d"], "9")
        assert items[0] == {"metadata": {"name": "c", "labels": {"managedFields": "a label of that name"}}}
        lines = [request.split(" ")[1] for request in server.requests]
    assert lines == [
        "/api/v1/pods?limit=250",
        "/api/v1/pods?limit=250&continue=t/1",
        "/api/v1/pods?limit=250",
        "/api/v1/pods?limit=250&continue=t2",
    ]


def late(data: bytes, by_s: float):
    def script(connection, _):
        time.sleep(by_s)
        connection.sendall(data)

    return script


def test_a_list_that_is_watched_has_its_time_for_each_page_and_another_for_all():
    pages = (page("a", token="t1"), page("b", token="t2"), page("c", version="9"))
    scripts = [late(each, 0.4) for each in pages]
    with LocalServer(*scripts) as server:
        items, version = client(server.url).list_with_version("/api/v1/pods", timeout_s=0.9)
        assert (names(items), version) == (["a", "b", "c"], "9")
    with LocalServer(*scripts) as server, pytest.raises(Unreachable):
        client(server.url).list("/api/v1/pods", timeout_s=0.9)


def test_a_410_without_a_token_is_an_error():
    with LocalServer(status(410)) as server, pytest.raises(BadAnswer) as caught:
        client(server.url).list("/api/v1/pods")
    assert caught.value.status == 410


def test_metadata_lists_ask_for_metadata():
    with LocalServer(page("a")) as server:
        assert names(client(server.url).list_metadata("/api/v1/secrets", {"labelSelector": "x"})) == ["a"]
        assert "as=PartialObjectMetadataList" in server.requests[0]


@pytest.mark.parametrize("body", ["[]", "no", "", '{"metadata": 1}', '{"items": {}, "metadata": {}}'])
def test_a_list_that_is_none_is_a_bad_answer(body):
    with LocalServer(answer(body)) as server, pytest.raises(BadAnswer):
        client(server.url).list("/api/v1/pods")


def test_null_items_are_an_empty_list():
    with LocalServer(answer('{"items": null, "metadata": {}}')) as server:
        assert client(server.url).list("/api/v1/pods") == ()


def test_retry_after_is_obeyed_within_the_deadline_fault_5():
    clock = Sleepless()
    busy = status(429, "slow down", "Retry-After: 1"), status(503, "starting", "Retry-After: 2")
    with LocalServer(*busy, answer("{}")) as server:
        assert client(server.url, clock=clock).get("/api/v1/pods", timeout_s=5) == {}
    assert clock.slept == [1, 2]


@pytest.mark.parametrize(
    ("headers", "retry_after_s"), [(("Retry-After: 9",), 9), ((), None), (("Retry-After: soon",), None)]
)
def test_no_waiting_beyond_the_deadline_or_without_a_wish_fault_5(headers, retry_after_s):
    clock = Sleepless()
    with LocalServer(status(503, "no", *headers)) as server, pytest.raises(BadAnswer) as caught:
        client(server.url, clock=clock).get("/api/v1/pods", timeout_s=5)
    assert (caught.value.status, caught.value.retry_after_s, clock.slept) == (503, retry_after_s, [])


@pytest.mark.parametrize(
    ("header", "pauses"),
    [("Retry-After: 0", [1, 1, 1, 1]), ("Retry-After: 0.001", [1, 1, 1, 1]), ("X: y", [1, 1, 1, 1])],
)
def test_case_p3_19_11_a_storm_of_429_is_asked_again_once_a_second_and_not_for_ever(header, pauses):
    class Passing(Sleepless):
        def monotonic_s(self):
            return super().monotonic_s() + sum(self.slept)

    clock = Passing()
    busy = [status(429, "too many requests", header)] * 5
    with LocalServer(*busy) as server, pytest.raises(BadAnswer) as caught:
        client(server.url, clock=clock).get("/api/v1/pods", timeout_s=4.9)
    assert (caught.value.status, clock.slept) == (429, pauses)
    assert len(server.requests) == 5


def test_a_write_is_never_sent_twice_for_429():
    with LocalServer(status(429, "no", "Retry-After: 1")) as server, pytest.raises(BadAnswer):
        client(server.url).send("POST", "/api/v1/namespaces/n/pods", {})


def test_a_write_is_never_sent_twice_for_a_cut_connection():
    with LocalServer(closing(b"")) as server, pytest.raises(Unreachable, match="cut the connection"):
        client(server.url).send("POST", "/api/v1/namespaces/n/pods", {})


def test_a_read_is_asked_again_once_on_a_cut_connection_fault_2():
    with LocalServer(closing(b""), answer("{}")) as server:
        assert client(server.url).get("/api/v1/pods") == {}
    with (
        LocalServer(closing(b""), closing(b"")) as server,
        pytest.raises(Unreachable, match="cut the connection during GET /api/v1/pods"),
    ):
        client(server.url).get("/api/v1/pods")


def test_401_refreshes_the_credentials_once_fault_6():
    renewed: list[str] = []

    def renew() -> Access:
        renewed.append("x")
        return Access("context 'staging'", server.url, authorization="Bearer new", secrets=("new",))

    with LocalServer(status(401), answer("{}"), status(401)) as server:
        kube = client(server.url, renew)
        assert kube.get("/api/v1/pods") == {}
        assert kube._wire.access.secrets == ("new",)
        assert ["Bearer new" in request for request in server.requests] == [False, True]
        with pytest.raises(Unauthorized) as caught:
            kube.get("/api/v1/pods")  # so soon after, the credentials are not read again
    assert renewed == ["x"]
    assert str(caught.value) == (
        "The API server does not accept the credentials of context 'staging' (401 to GET /api/v1/pods). "
        "Log in again, then start again."
    )


def test_401_that_cannot_be_refreshed_fault_6():
    def renew() -> Access:
        raise Unreachable("plugin hangs")

    for how in (None, renew):
        with LocalServer(status(401)) as server, pytest.raises(Unauthorized):
            client(server.url, how).get("/api/v1/pods")


def test_case_p3_a14_credentials_are_not_renewed_at_another_server():
    """The context was pointed elsewhere in mid-run: what was looked at is still here."""
    with LocalServer(answer("{}")) as elsewhere, LocalServer(status(401)) as server:
        moved = Access("context 'staging'", elsewhere.url, authorization="Bearer new")
        with pytest.raises(Unauthorized):
            client(server.url, lambda: moved).get("/api/v1/pods")
        assert elsewhere.requests == []


def test_case_p3_19_11_a_plugin_that_hangs_holds_nobody_up_for_longer_than_his_own_deadline():
    """Its token has run out in mid-run; whoever asks meanwhile has a deadline of his own."""
    go_on = threading.Event()

    def renew() -> Access:
        go_on.wait(30)
        return Access("context 'staging'", server.url, authorization="Bearer new")

    with LocalServer(status(401), status(401), answer("{}")) as server:
        kube = client(server.url, renew, SystemClock())
        began_s = time.monotonic()
        for _ in range(2):
            with pytest.raises(Unauthorized):
                kube.get("/api/v1/pods", timeout_s=0.3)
        assert time.monotonic() - began_s < 3
        go_on.set()
        until_s = time.monotonic() + 5
        while kube._wire.access.authorization != "Bearer new" and time.monotonic() < until_s:
            time.sleep(0.01)
        assert kube.get("/api/v1/pods", timeout_s=3) == {}
        assert "Bearer new" in server.requests[-1]


def test_case_p3_19_11_tokens_that_rotate_again_and_again_are_followed():
    """A plugin whose tokens last a minute: each 401 brings the next one, for reads and for whole answers."""
    tokens = iter("abc")
    clock = Sleepless()
    clock.monotonic_s = lambda: time.monotonic() + 11 * len(clock.slept)

    def renew() -> Access:
        return Access("context 'staging'", server.url, authorization=f"Bearer {next(tokens)}")

    with LocalServer(
        status(401), answer("{}"), status(401), answer("{}"), status(401), answer("{}")
    ) as server:
        kube = client(server.url, renew, clock)
        for _ in range(3):
            assert kube.get("/api/v1/pods") == {}
            clock.sleep(11)
        used = [line for each in server.requests for line in each.split("\r\n") if "Bearer" in line]
    assert [line[-1] for line in used] == ["n", "a", "a", "b", "b", "c"]


@pytest.mark.parametrize("url", ["https://api.example:6443", "http://api.example:6443"])
def test_case_p3_19_11_a_resolver_that_does_not_answer_is_waited_for_as_long_as_the_deadline(
    monkeypatch, url
):
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(30) and [])
    began_s = time.monotonic()
    with pytest.raises(Unreachable, match="has a name that cannot be resolved"):
        client(url).get("/version", timeout_s=0.4)
    took_s = time.monotonic() - began_s
    go_on.set()
    assert took_s < 3


def test_a_name_with_several_addresses_is_reached_at_the_one_that_answers(monkeypatch):
    real = socket.getaddrinfo

    def lookup(host, port, *rest, **more):
        if host != "api.example":
            return real(host, port, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with LocalServer(answer("{}")) as server:
        port = server.url.rpartition(":")[2]
        assert client(f"http://api.example:{port}").get("/version") == {}
        assert f"Host: api.example:{port}" in server.requests[0]


def test_a_name_that_is_none_says_so():
    with pytest.raises(Unreachable, match="has a name that cannot be resolved"):
        client("http://nowhere.invalid:6443").get("/version", timeout_s=20)


def test_403_names_what_is_missing_fault_7():
    with LocalServer(status(403, "pods is forbidden.")) as server, pytest.raises(Forbidden) as caught:
        client(server.url).list("/api/v1/namespaces/n/pods")
    error = caught.value
    assert (error.verb, error.resource, error.namespace) == ("list", "pods", "n")
    assert str(error) == (
        "The credentials of context 'staging' may not list pods in namespace n: pods is forbidden. "
        "RBAC has to allow it."
    )


@pytest.mark.parametrize(
    ("method", "path", "query", "words"),
    [
        ("GET", "/api/v1/namespaces/n/pods", {}, ("list", "pods", "n")),
        ("GET", "/api/v1/namespaces/n/pods", {"watch": "1"}, ("watch", "pods", "n")),
        ("GET", "/api/v1/namespaces/n/pods/p", {}, ("get", "pods", "n")),
        ("GET", "/api/v1/namespaces/n/pods/p/log", {}, ("get", "pods/log", "n")),
        ("GET", "/api/v1/namespaces/n", {}, ("get", "namespaces", "")),
        ("GET", "/api/v1/nodes", {}, ("list", "nodes", "")),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d", {}, ("patch", "deployments", "n")),
        ("POST", "/apis/apps/v1/namespaces/n/deployments", {}, ("create", "deployments", "n")),
        ("PUT", "/api/v1/namespaces/n/secrets/s", {}, ("update", "secrets", "n")),
    ],
)
def test_rbac_words(method, path, query, words):
    assert rbac_words(method, path, query) == words


def test_404_and_redirects():
    with LocalServer(status(404, 'pods "p" not found')) as server, pytest.raises(NotFound) as caught:
        client(server.url).get("/api/v1/namespaces/n/pods/p")
    assert str(caught.value) == 'The API server has no /api/v1/namespaces/n/pods/p: pods "p" not found.'
    moved = answer("", 302, "Location: http://127.0.0.1:1/")
    with LocalServer(moved) as server, pytest.raises(BadAnswer) as bad:
        client(server.url).get("/api/v1/pods")
    assert bad.value.status == 302


def test_refused_connection_is_said_at_once_fault_1():
    port = free_port()
    begun = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        client(f"http://127.0.0.1:{port}").get("/api/v1/pods")
    assert str(caught.value) == (
        f"The API server http://127.0.0.1:{port} (context 'staging') refuses connections. Check that it runs "
        "and that the address is right."
    )
    assert caught.value.__cause__ is None
    assert time.monotonic() - begun < 3


def test_a_half_open_socket_ends_with_the_deadline_fault_3():
    with LocalServer(silence) as server:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match=r"did not answer GET /api/v1/pods within 0.15 s\."):
            client(server.url).get("/api/v1/pods", timeout_s=0.15)
        assert time.monotonic() - begun < 1


def test_a_read_on_a_half_open_socket_is_asked_again_long_before_its_deadline_fault_3(monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.clients.kube.transport._SILENT_S", 0.3)
    with LocalServer(silence, answer('{"a": 1}')) as server:
        begun_s = time.monotonic()
        assert client(server.url).get("/api/v1/pods", timeout_s=20) == {"a": 1}
        assert time.monotonic() - begun_s < 5
        assert len(server.requests) == 2


def test_a_write_on_a_half_open_socket_is_sent_once_fault_3(monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.clients.kube.transport._SILENT_S", 0.1)
    with LocalServer(silence, answer("{}")) as server, pytest.raises(Unreachable):
        client(server.url).send("PUT", "/api/v1/secrets/a", {}, timeout_s=1)
    assert len(server.requests) == 1


def test_a_dripping_body_ends_with_the_deadline():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with LocalServer(dripping(head)) as server:
        kube = client(server.url)
        with pytest.raises(Unreachable, match=r"within 0\.15 s"):
            kube.get("/api/v1/pods", timeout_s=0.15)


def test_fault_2_a_body_that_is_cut_off_is_no_answer_and_is_asked_for_again():
    whole = answer('{"a": "' + "x" * 100 + '"}')
    for script in (whole[:-50], chunked('{"a": ', end=False)):
        cut = closing(script)
        with LocalServer(cut, cut, answer('{"a": 1}'), *[cut] * 20) as server:
            kube = client(server.url, clock=SystemClock())
            assert kube.get("/api/v1/pods", timeout_s=20) == {"a": 1}
            with pytest.raises(Unreachable, match="cut the connection"):
                kube.text("/api/v1/namespaces/n/pods/p/log", timeout_s=2)


def test_fault_2_a_server_that_restarts_is_asked_again_and_one_that_never_answered_is_not():
    with LocalServer(answer("{}")) as server:
        kube = client(server.url, clock=SystemClock())
        kube.get("/first")
    with pytest.raises(Unreachable, match="refuses connections"):
        kube.get("/second", timeout_s=0.3)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="refuses connections"):
        client(server.url).get("/first", timeout_s=5)
    assert time.monotonic() - begun < 2


def test_a_write_that_broke_off_is_never_sent_again():
    with LocalServer(answer("{}"), closing(answer("{}")[:-1])) as server:
        kube = client(server.url)
        kube.get("/first")
        with pytest.raises(Unreachable):
            kube.send("PATCH", "/x", {})


def test_text_is_decoded_with_replacement_and_cut_fault_46():
    with LocalServer(answer(b"a\xffb\0c"), answer("x" * 500_000), answer("{}")) as server:
        kube = client(server.url)
        assert kube.text("/log") == "a\N{REPLACEMENT CHARACTER}b\0c"
        assert kube.text("/log", limit_bytes=1000) == "x" * 1000
        assert kube.get("/next") == {}


def event(kind: str, **item) -> str:
    return json.dumps({"type": kind, "object": item}) + "\n"


def test_watch_yields_events_across_chunks_and_ends_with_the_stream():
    whole = event("ADDED", a=1, metadata={"managedFields": [{}]}) + event("MODIFIED", a=2)
    with LocalServer(chunked(whole[:10], whole[10:50], whole[50:])) as server:
        seen = [(one["type"], one["object"]) for one in client(server.url).watch("/p", "5", 9)]
        assert server.requests[0].startswith("GET /p?watch=1&resourceVersion=5&timeoutSeconds=9 ")
    assert seen == [("ADDED", {"a": 1, "metadata": {}}), ("MODIFIED", {"a": 2})]


def test_pages_say_which_version_they_are_and_are_lean_only_where_asked_to():
    with LocalServer(page("a", token="t", version="9"), page("b", version="9"), page("c")) as server:
        kube = client(server.url)
        without_managed_fields = list(kube.pages("/api/v1/events", without_managed_fields=True))
        (((whole,), version),) = kube.pages("/api/v1/secrets")
    assert [
        ([sorted(one["metadata"]) for one in items], version) for items, version in without_managed_fields
    ] == [
        ([["labels", "name"]], "9"),
        ([["labels", "name"]], "9"),
    ]
    assert (whole["metadata"]["managedFields"], version) == ([{"manager": "helm"}], "7")


def test_a_watch_that_fell_silent_is_unreachable_once_the_server_should_have_ended_it_fault_3():
    with (
        LocalServer(chunked(event("ADDED", a=1), end=False)) as server,
        pytest.raises(Unreachable, match="did not answer"),
    ):
        events = client(server.url).watch("/p", "5", 0.15)
        assert next(events)["object"] == {"a": 1}
        next(events)


def test_watch_says_that_its_version_is_gone_fault_4():
    gone = event("ERROR", code=410, message="too old resource version")
    with LocalServer(chunked(gone)) as server, pytest.raises(BadAnswer) as caught:
        list(client(server.url).watch("/p", "5", 5))
    assert caught.value.status == 410
    assert str(caught.value) == "The watch of /p ended with an error: too old resource version."
    with LocalServer(status(410)) as server, pytest.raises(BadAnswer) as caught:
        list(client(server.url).watch("/p", "5", 5))
    assert caught.value.status == 410


def test_watch_that_breaks_is_unreachable_fault_2():
    with LocalServer(closing(chunked(event("ADDED", a=1), end=False))) as server:
        events = client(server.url).watch("/p", "5", 5)
        assert next(events)["type"] == "ADDED"
        with pytest.raises(Unreachable, match="cut the connection"):
            next(events)


@pytest.mark.parametrize("line", ["no json\n", "[]\n", '{"type": "ADDED"}\n'])
def test_watch_garbage_is_a_bad_answer(line):
    with LocalServer(chunked(line)) as server, pytest.raises(BadAnswer, match="no event"):
        list(client(server.url).watch("/p", "5", 5))


def test_the_servers_date_is_the_clock_fault_52():
    server_time = datetime.now(UTC) + timedelta(hours=1)
    date = server_time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT")
    clock = Sleepless()
    with LocalServer(answer("{}", 200, date), answer("{}", 200, "Date: whenever")) as server:
        kube = client(server.url, clock=clock)
        kube.get("/a")
        kube.get("/a")
    assert abs(clock.offset_s - 3600) < 2


def test_discovery_is_asked_once():
    resources = [
        {"name": "deployments", "kind": "Deployment", "namespaced": True},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
        {"name": "things", "kind": "Thing", "namespaced": False},
    ]
    found = answer(json.dumps({"resources": resources}))
    with LocalServer(found, found) as server:
        kube = client(server.url)
        assert kube.resource_path("apps/v1", "Deployment", "n") == "/apis/apps/v1/namespaces/n/deployments"
        assert kube.resource_path("apps/v1", "Thing", "n", "../x") == "/apis/apps/v1/things/..%2Fx"
        with pytest.raises(NotFound, match="knows no kind Scale in apps/v1"):
            kube.resource_path("apps/v1", "Scale", "n")


def test_send_takes_objects_and_text():
    with LocalServer(answer("{}"), answer("{}")) as server:
        kube = client(server.url)
        kube.send("POST", "/p", {"a": "ü"})
        kube.send("PATCH", "/p", "a: b", "application/apply-patch+yaml", {"dryRun": "All"})
        first, second = server.requests
    assert first.endswith('\r\n\r\n{"a": "\\u00fc"}') and "Content-Type: application/json\r\n" in first
    assert second.startswith("PATCH /p?dryRun=All ") and second.endswith("\r\n\r\na: b")
    assert "Content-Type: application/apply-patch+yaml\r\n" in second


def test_many_threads_share_one_client():
    answers = [answer('{"ok": true}')] * 64
    problems: list[object] = []
    with LocalServer(*answers) as server:
        kube = client(server.url)

        def read() -> None:
            try:
                for _ in range(4):
                    assert kube.get("/p") == {"ok": True}
            except Exception as error:  # noqa: BLE001 - handed to the test's own thread
                problems.append(error)

        threads = [threading.Thread(target=read) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []


class Gate:
    """A server that answers a moment later, and knows how many it had to answer at the same time."""

    def __init__(self):
        self.at_once = self.most = 0
        self.many = threading.Event()  # the first answers wait for it
        self.opens = threading.Event()  # what is asked of /hangs/ waits for it
        lock = threading.Lock()
        gate = self

        class Handler(QuietHandler):
            def do_GET(self):
                with lock:
                    gate.at_once += 1
                    gate.most = max(gate.most, gate.at_once)
                    if gate.most > 10:
                        gate.many.set()
                if self.path.startswith("/hangs"):
                    gate.opens.wait(30)
                else:
                    gate.many.wait(0.8)  # on a busy machine the others come later
                    time.sleep(0.02)
                with lock:
                    gate.at_once -= 1
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        self.server = LoopbackHttpServer(Handler)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.opens.set()
        self.server.close()


def test_requests_in_flight_are_bounded():
    with Gate() as gate:
        kube = client(gate.server.url)
        paths = [f"/api/v1/{number}" for number in range(200)]
        assert list(fetch_each(kube.get, paths, workers=60)) == [{}] * 200
        assert 10 < gate.most <= 20


def test_a_server_that_hangs_for_some_keeps_nobody_from_asking_for_something_else():
    with Gate() as gate:
        kube = client(gate.server.url)
        asking = [
            threading.Thread(target=partial(suppressed, kube.get, f"/hangs/{number}"), daemon=True)
            for number in range(40)
        ]
        for each in asking:
            each.start()
        deadline = time.monotonic() + 30
        while gate.most < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gate.most >= 20
        began = time.monotonic()
        assert kube.get("/api/v1/pods", timeout_s=60) == {}
        assert time.monotonic() - began < 5
        gate.opens.set()
        for each in asking:
            each.join(30)


def suppressed(ask, path):
    with suppress(Unreachable):
        ask(path, timeout_s=60)


def test_what_is_asked_side_by_side_finds_open_connections():
    together = threading.Barrier(4)

    def slowly(connection: socket.socket, _request: str) -> None:
        together.wait(5)  # so that no connection serves two of them
        connection.sendall(answer('{"ok": true}'))

    with LocalServer(*[slowly] * 8) as server:
        kube = client(server.url)
        kube.open_connections(4)
        assert len(server.open) == 4
        assert fetch_each(kube.get, ["/p"] * 4, workers=4) == [{"ok": True}] * 4
        assert len(server.open) == 4
        assert sum(request.startswith("GET /version ") for request in server.requests) == 4


def test_connections_that_cannot_be_opened_are_nobodys_problem():
    client(f"http://127.0.0.1:{free_port()}").open_connections(3)
    with LocalServer(answer("no", 403), answer('{"ok": true}')) as server:
        kube = client(server.url)
        kube.open_connections(1)
        assert kube.get("/p") == {"ok": True}


def test_an_error_shows_neither_query_nor_credentials_fault_49():
    with pytest.raises(Unreachable) as caught:
        client(f"http://user:pw@127.0.0.1:{free_port()}").get("/api/v1/pods", {"continue": "s3cret"})
    assert "s3cret" not in str(caught.value) and "pw" not in str(caught.value)


def test_garbage_instead_of_http_is_a_sentence():
    garbage = closing(b"garbage\r\n\r\n")
    with LocalServer(garbage, garbage) as server, pytest.raises(Unreachable, match="cut the connection"):
        client(server.url).get("/p")


def test_a_server_that_accepts_nothing_ends_with_the_connect_timeout_fault_1(monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.clients.kube.transport.CONNECT_TIMEOUT_S", 0.15)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        begun = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            client(f"http://127.0.0.1:{full.getsockname()[1]}").get("/p", timeout_s=5)
        assert time.monotonic() - begun < 1
        for filler in fillers:
            filler.close()
    assert str(caught.value).endswith("does not answer at all. Check the VPN and the network.")


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def test_the_environments_proxy_is_used_as_kubectl_does_whatever_the_clients_version(no_proxies):
    with LocalServer(answer("{}"), answer("{}"), answer("{}")) as server:
        no_proxies.setenv("HTTP_PROXY", server.url)
        client("http://cluster.example").get("/version")
        client("http://cluster.example", proxy=f"{server.url}/").get("/version")
        client(server.url).get("/version")  # loopback
    lines = [request.splitlines()[0] for request in server.requests]
    assert lines == [*["GET http://cluster.example/version HTTP/1.1"] * 2, "GET /version HTTP/1.1"]


def test_the_environments_no_proxy_is_obeyed(no_proxies):
    with LocalServer() as server:
        no_proxies.setenv("HTTP_PROXY", server.url)
        no_proxies.setenv("NO_PROXY", "cluster.invalid,10.0.0.0/8")
        with pytest.raises(Unreachable, match="cannot be resolved"):
            client("http://cluster.invalid").get("/version")
    assert server.requests == []


def test_case_p22_a_socks5_proxy_looks_the_name_up_and_carries_the_request(no_proxies):
    asked = []
    with LocalServer(answer('{"a": 1}')) as server, socket.create_server(("127.0.0.1", 0)) as listener:

        def proxy():
            inner, _ = listener.accept()
            with inner, socket.create_connection(("127.0.0.1", server.port)) as outer:
                inner.recv(16)  # version 5, the methods that are offered
                inner.sendall(b"\x05\x00")
                asked.append(inner.recv(256))
                inner.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
                outer.sendall(inner.recv(1 << 16))
                while data := outer.recv(1 << 16):
                    inner.sendall(data)

        thread = threading.Thread(target=proxy, daemon=True)
        thread.start()
        url = f"socks5://127.0.0.1:{listener.getsockname()[1]}"
        assert client("http://cluster.invalid:8080", proxy=url).get("/version") == {"a": 1}
        thread.join(5)
    assert asked == [b"\x05\x01\x00\x03\x0fcluster.invalid\x1f\x90"]
    assert server.requests[0].startswith("GET /version HTTP/1.1")


def test_the_servers_name_in_its_certificate_may_be_another_one(no_proxies):
    access = Access("context 'staging'", "https://10.0.0.1:6443", tls_server_name="cluster.example")
    pool = _pools_of(access)
    assert pool.connection_from_url(access.server).conn_kw["server_hostname"] == "cluster.example"


def proxied(kube, method="GET", body=None):
    path = "/api/v1/namespaces/n/services/shop:http/proxy/health?deep=1"
    return kube.proxied(method, path, body, {"Accept": "*/*"}, timeout_s=5)


@pytest.mark.parametrize("code", [200, 404, 503])
def test_what_a_service_answers_through_the_proxy_is_no_error(code):
    with LocalServer(answer('{"database": "gone"}', code)) as server:
        got = proxied(client(server.url))
    assert (got.status, got.body) == (code, b'{"database": "gone"}')
    assert server.requests[0].startswith(
        "GET /api/v1/namespaces/n/services/shop:http/proxy/health?deep=1 HTTP/1.1"
    )


def test_a_post_through_the_proxy_is_sent_once_and_a_read_again_on_a_cut_connection():
    with (
        LocalServer(closing(b""), answer("{}")) as server,
        pytest.raises(Unreachable, match="cut the connection"),
    ):
        proxied(client(server.url), "POST", b"{}")
    assert len(server.requests) == 1
    with LocalServer(closing(b""), answer("{}")) as server:
        assert proxied(client(server.url)).status == 200


def test_a_401_of_the_proxy_renews_the_credentials_once():
    with LocalServer(status(401), answer("{}")) as server:
        fresh = Access("context 'staging'", server.url, authorization="Bearer new")
        assert proxied(client(server.url, renew=lambda: fresh)).status == 200
    assert "Bearer new" in server.requests[1]


def test_a_page_that_is_too_large_is_asked_for_again_with_fewer_items():
    large = page(*("x" * 3000 for _ in range(8)), token="never")
    with LocalServer(closing(large), page("a", "b", token="t1"), page("c", token="t2"), page("d")) as server:
        kube = client(server.url)
        pages = kube.pages("/api/v1/secrets", {"limit": "8"}, page_bytes=10_000)
        assert [names(items) for items, _ in pages] == [["a", "b"], ["c"], ["d"]]
        lines = [request.split(" ")[1] for request in server.requests]
    assert lines == [
        "/api/v1/secrets?limit=8",
        "/api/v1/secrets?limit=2",
        "/api/v1/secrets?limit=8&continue=t1",
        "/api/v1/secrets?limit=8&continue=t2",
    ]


def test_one_item_is_read_however_large_it_is():
    large = page("x" * 30_000, token="t1")
    with LocalServer(closing(large), large, page("b")) as server:
        pages = client(server.url).pages("/api/v1/secrets", {"limit": "2"}, page_bytes=10_000)
        assert [names(items) for items, _ in pages] == [["x" * 30_000], ["b"]]
        assert [request.split(" ")[1].partition("?")[2] for request in server.requests] == [
            "limit=2",
            "limit=1",
            "limit=1&continue=t1",
        ]
