"""HttpClient against real sockets on loopback."""

import gzip
import socket
import time
import tracemalloc
import zlib

import pytest

from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.domain.errors import HttpProblem, HttpProblemKind
from support.local_sockets import LocalServer, answer, closing, dripping, free_port, silence

SECRET = "/services/T000/B000/s3cr3t"


def problem(call, *args, **kwargs) -> HttpProblem:
    with pytest.raises(HttpProblem) as caught:
        call(*args, **kwargs)
    error = caught.value
    assert "s3cr3t" not in str(error) and "user:pw" not in str(error)
    assert error.__cause__ is None and (error.__suppress_context__ or error.__context__ is None)
    return error


def test_get_returns_status_headers_and_body():
    with LocalServer(answer('{"database": "ok"}', 200, "X-Who: me")) as server:
        got = HttpClient().get(f"{server.url}/health?a=b", timeout_s=5)
        request = server.requests[0]
    assert (got.status, got.headers["x-who"], got.body, got.truncated) == (
        200,
        "me",
        b'{"database": "ok"}',
        False,
    )
    assert 0 < got.duration_s < 5
    assert request.startswith("GET /health?a=b HTTP/1.1\r\n")
    assert "cookie" not in request.lower() and "authorization" not in request.lower()


def test_post_json_sends_once():
    with LocalServer(answer("ok")) as server:
        got = HttpClient().post_json(f"{server.url}{SECRET}", {"text": "ü"}, timeout_s=5)
        assert got.body == b"ok"
        head, _, body = server.requests[0].partition("\r\n\r\n")
    assert head.startswith(f"POST {SECRET} ") and "content-type: application/json" in head.lower()
    assert body == '{"text": "\\u00fc"}'


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_answers_and_not_followed_fault_53_58(status):
    moved = answer("", status, "Location: http://169.254.169.254/latest/meta-data/")
    with LocalServer(moved) as server:
        got = HttpClient().get(server.url, timeout_s=5)
    assert (got.status, got.headers["location"]) == (status, "http://169.254.169.254/latest/meta-data/")


def test_dripping_body_ends_with_the_total_deadline_fault_56():
    with LocalServer(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")) as server:
        begun = time.monotonic()
        error = problem(HttpClient().get, server.url + SECRET, timeout_s=0.2)
        assert time.monotonic() - begun < 1
        assert str(error) == f"{server.url} gave no complete answer within 0.2 s."
        assert error.maybe_received
        assert error.kind is HttpProblemKind.LATE


def test_dripping_headers_and_silence_end_with_the_total_deadline_fault_56():
    for script in (dripping(b"HTTP/1.1 200 OK\r\nX: "), silence):
        with LocalServer(script) as server:
            error = problem(HttpClient().post_json, server.url + SECRET, {}, timeout_s=0.2)
            assert str(error) == f"{server.url} gave no complete answer within 0.2 s."
            assert error.maybe_received


def test_a_large_body_is_cut_at_the_cap_fault_57():
    def endless(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with LocalServer(endless) as server:
        got = HttpClient().get(server.url, timeout_s=5, limit_bytes=100_000)
    assert (len(got.body), got.truncated) == (100_000, True)


def test_a_body_of_exactly_the_cap_is_whole():
    with LocalServer(answer("x" * 100)) as server:
        got = HttpClient().get(server.url, timeout_s=5, limit_bytes=100)
    assert (len(got.body), got.truncated) == (100, False)


def test_a_gzip_bomb_is_unpacked_no_further_than_the_cap_fault_57():
    bomb = gzip.compress(b"\0" * (64 << 20), 9)
    with LocalServer(answer(bomb, 200, "Content-Encoding: gzip")) as server:
        client = HttpClient()
        tracemalloc.start()
        got = client.get(server.url, timeout_s=5, limit_bytes=10_000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (got.body, got.truncated) == (b"\0" * 10_000, True)
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"hi", mtime=0)), ("deflate", zlib.compress(b"hi")), ("", b"hi")],
)
def test_small_compressed_bodies_are_read(encoding, packed):
    with LocalServer(answer(packed, 200, f"Content-Encoding: {encoding}")) as server:
        assert HttpClient().get(server.url, timeout_s=5).body == b"hi"


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (b"not gzip", "gzip", "answered with a broken gzip body."),
        (gzip.compress(b"hi" * 100, mtime=0)[:-9], "gzip", "cut its answer off."),
        (b"hi", "br", "answered in an encoding that was not asked for."),
    ],
)
def test_bodies_that_cannot_be_unpacked(body, encoding, said):
    with LocalServer(answer(body, 200, f"Content-Encoding: {encoding}")) as server:
        assert str(problem(HttpClient().get, server.url, timeout_s=5)) == f"{server.url} {said}"


def test_an_answer_that_breaks_off_is_none():
    whole = answer("x" * 100)
    for data in (whole[:-50], b"", b"garbage\r\n\r\n"):
        with LocalServer(closing(data)) as server:
            error = problem(HttpClient().get, server.url + SECRET, timeout_s=5)
        assert str(error) == f"{server.url} broke off before its answer was complete."
        assert error.maybe_received
        assert error.kind is HttpProblemKind.BROKEN


def test_refused_connection_was_surely_not_received():
    port = free_port()
    error = problem(HttpClient().get, f"http://user:pw@127.0.0.1:{port}{SECRET}", timeout_s=5)
    assert str(error) == f"http://127.0.0.1:{port} refuses connections."
    assert not error.maybe_received
    assert error.kind is HttpProblemKind.NOT_CONNECTED


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "https://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA.google.internal./",
        "http://100.100.100.200/",
    ],
)
def test_metadata_addresses_are_refused_fault_58(url, monkeypatch):
    real = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if "metadata" in host.lower():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = problem(HttpClient().get, url, timeout_s=5)
    assert "is a cloud's metadata (link-local) address: it is not asked. Check the url." in str(error)
    assert not error.maybe_received
    assert error.kind is HttpProblemKind.NOT_ASKED


def test_names_that_resolve_to_metadata_are_refused_fault_58(monkeypatch):
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 80)) for text in ("127.0.0.1", "169.254.169.254")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    error = problem(HttpClient().get, "http://harmless.example/x", timeout_s=5)
    assert str(error).startswith("http://harmless.example is a cloud's metadata")


def test_a_name_that_does_not_resolve(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = problem(HttpClient().post_json, "https://hooks.example" + SECRET, {}, timeout_s=5)
    assert str(error) == "https://hooks.example has a name that cannot be resolved. Check the url and DNS."
    assert not error.maybe_received
    assert error.kind is HttpProblemKind.UNRESOLVED


def test_a_resolver_that_hangs_ends_with_the_deadline(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(0.4) or [])
    begun = time.monotonic()
    problem(HttpClient().get, "http://slow.example", timeout_s=0.1)
    assert time.monotonic() - begun < 0.35


@pytest.mark.parametrize(
    "url", ["", "ftp://h/s3cr3t", "s3cr3t", "http:///s3cr3t", "http://h:99999/s3cr3t", "http://[x/"]
)
def test_what_is_no_url(url):
    error = problem(HttpClient().get, url, timeout_s=5)
    assert str(error) == "The URL is none that can be asked: it has to be http:// or https:// and a host."


def test_the_environments_proxy_is_not_used_and_a_given_one_is(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with LocalServer(answer("direct"), answer("by proxy")) as server:
        assert HttpClient().get(server.url, timeout_s=5).body == b"direct"
        proxied = HttpClient(proxy=server.url).get("http://nowhere.invalid/x", timeout_s=5)
        assert proxied.body == b"by proxy"
        assert server.requests[1].startswith("GET http://nowhere.invalid/x ")
        error = problem(HttpClient(proxy=server.url).get, "http://169.254.169.254/", timeout_s=5)
        assert "is not asked" in str(error)


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_ca_file_that_is_none(tmp_path, scheme):
    error = problem(HttpClient(ca_file=str(tmp_path / "no.pem")).get, f"{scheme}://127.0.0.1:1", timeout_s=5)
    assert str(error) == f"ca_file {tmp_path}/no.pem holds no usable CA: No such file or directory."
    (tmp_path / "bad.pem").write_text("no pem")
    error = problem(HttpClient(ca_file=str(tmp_path / "bad.pem")).get, "https://127.0.0.1:1", timeout_s=5)
    assert str(error).startswith(f"ca_file {tmp_path}/bad.pem holds no usable CA: ")
