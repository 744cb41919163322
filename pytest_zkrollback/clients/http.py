"""HTTP for health probes, webhooks and GitHub: no redirects, a total deadline, a cap on what is kept.

Errors name scheme and host only: a webhook's path is its password.
"""

from __future__ import annotations

import json
import socket
import ssl
import zlib
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..domain.checks import JsonObject
from ..domain.errors import HttpProblem, HttpProblemKind
from ..domain.ports import Clock, HttpAnswer
from .clock import SystemClock
from .threads import submit

# httpx is imported by the first request: the rollback needs none, and nobody waits for it before helm.
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

_METADATA_NAMES = {"metadata.google.internal", "metadata.goog", "metadata"}
_METADATA_ADDRESSES = {ip_address(text) for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200")}
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class _Place(NamedTuple):
    """Where a request goes, in words that hold no secret."""

    shown: str
    host: str
    port: int
    tls: bool


class HttpClient:
    """The Http port. Every request has a connection of its own: a kept one would stay with an old pod."""

    def __init__(
        self, *, ca_file: str | None = None, proxy: str | None = None, clock: Clock | None = None
    ) -> None:
        """``ca_file``: trust these CAs instead of the system's; ``proxy``: URL, none from the environment."""
        self._ca_file = ca_file
        self._proxy = proxy
        self._clock = clock if clock is not None else SystemClock()
        self._tls: ssl.SSLContext | None = None

    def get(self, url: str, *, timeout_s: float, limit_bytes: int = 1 << 20) -> HttpAnswer:
        """GET ``url``; ``timeout_s`` is the total, names and TLS included. Raises HttpProblem."""
        return self._within(timeout_s, "GET", url, None, limit_bytes, {})

    def post_json(
        self, url: str, body: JsonObject, *, timeout_s: float, limit_bytes: int = 65536
    ) -> HttpAnswer:
        """POST JSON, once; ``timeout_s`` is the total. Raises HttpProblem."""
        return self._within(timeout_s, "POST", url, json.dumps(body).encode(), limit_bytes, {})

    def send(
        self,
        method: str,
        url: str,
        body: JsonObject | None = None,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        limit_bytes: int = 16 << 20,
    ) -> HttpAnswer:
        """Any method, once, with headers of one's own; ``timeout_s`` is the total. Raises HttpProblem."""
        data = None if body is None else json.dumps(body).encode()
        return self._within(timeout_s, method, url, data, limit_bytes, headers)

    def _within(
        self,
        timeout_s: float,
        method: str,
        url: str,
        data: bytes | None,
        limit_bytes: int,
        more: Mapping[str, str],
    ) -> HttpAnswer:
        # In a thread: httpx has a timeout per phase and getaddrinfo has none, neither is a total.
        place = _parse_place(url)
        begun_s = self._clock.monotonic_s()
        outcome = submit(
            "http",
            partial(self._exchange, place, method, url, data, limit_bytes, more, begun_s, timeout_s),
        )
        try:
            problem = outcome.exception(timeout=timeout_s)
        except TimeoutError:
            raise _too_late(place, timeout_s) from None
        if problem is not None:
            raise problem from None
        return outcome.result()

    def _exchange(
        self,
        place: _Place,
        method: str,
        url: str,
        data: bytes | None,
        limit_bytes: int,
        more: Mapping[str, str],
        begun_s: float,
        timeout_s: float,
    ) -> HttpAnswer:
        import httpx

        self._refuse_metadata(place)
        headers = {"User-Agent": "pytest-zkrollback", "Accept-Encoding": "identity", **more}
        if data is not None:
            headers["Content-Type"] = "application/json"
        body = b""
        try:
            with (
                httpx.Client(
                    # Reading the CAs takes 15 ms and 1.4 MB: only where there is TLS.
                    verify=self._trust() if place.tls else False,
                    proxy=self._proxy,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=timeout_s,
                ) as client,
                client.stream(method, url, content=data, headers=headers) as response,
            ):
                for part in _decoded(response, place, limit_bytes):
                    body += part
                    if len(body) > limit_bytes:
                        break
                    if self._clock.monotonic_s() - begun_s > timeout_s:
                        raise _too_late(place, timeout_s)
                return HttpAnswer(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=body[:limit_bytes],
                    truncated=len(body) > limit_bytes,
                    duration_s=self._clock.monotonic_s() - begun_s,
                )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _problem(error, place, timeout_s) from None

    def _refuse_metadata(self, place: _Place) -> None:
        """A cloud's metadata service gives credentials to who asks: never ask, and never by a side door."""
        addresses = {place.host}
        if self._proxy is None:
            try:
                found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                raise HttpProblem(
                    f"{place.shown} has a name that cannot be resolved. Check the url and DNS.",
                    kind=HttpProblemKind.UNRESOLVED,
                    maybe_received=False,
                ) from None
            addresses |= {str(address[0]) for *_, address in found}
        if place.host.rstrip(".").lower() in _METADATA_NAMES or any(map(_is_metadata, addresses)):
            raise HttpProblem(
                f"{place.shown} is a cloud's metadata (link-local) address: it is not asked. Check the url.",
                kind=HttpProblemKind.NOT_ASKED,
                maybe_received=False,
            )

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = ssl.create_default_context(cafile=self._ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise HttpProblem(
                    f"ca_file {self._ca_file} holds no usable CA: {error.strerror}.",
                    kind=HttpProblemKind.NOT_ASKED,
                    maybe_received=False,
                ) from None
        return self._tls


def _parse_place(url: str) -> _Place:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("http", "https") or not host:
        raise HttpProblem(
            "The URL is none that can be asked: it has to be http:// or https:// and a host.",
            kind=HttpProblemKind.NOT_ASKED,
            maybe_received=False,
        )
    shown_host = f"[{host}]" if ":" in host else host
    shown = f"{scheme}://{shown_host}" + (f":{port}" if port is not None else "")
    default = {"http": 80, "https": 443}[scheme]
    return _Place(shown, host, port if port is not None else default, scheme == "https")


def _is_metadata(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or address in _METADATA_ADDRESSES


def _decoded(response: httpx.Response, place: _Place, limit_bytes: int) -> Iterator[bytes]:
    """The body in parts; a compressed one (not asked for) is unpacked no further than the limit."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from response.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _broken(place, "answered in an encoding that was not asked for")
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for part in response.iter_raw():
            yield unpack.decompress(part, limit_bytes + 1)
            if unpack.unconsumed_tail:
                return  # the limit is passed
    except zlib.error:
        raise _broken(place, f"answered with a broken {encoding} body") from None
    if not unpack.eof:
        raise _broken(place, "cut its answer off")


def _too_late(place: _Place, timeout_s: float) -> HttpProblem:
    said = f"{place.shown} gave no complete answer within {timeout_s:g} s."
    return HttpProblem(said, kind=HttpProblemKind.LATE)


def _broken(place: _Place, said: str) -> HttpProblem:
    return HttpProblem(f"{place.shown} {said}.", kind=HttpProblemKind.BROKEN)


def _problem(error: Exception, place: _Place, timeout_s: float) -> HttpProblem:
    import httpx

    received = False
    if isinstance(error, httpx.ConnectTimeout):
        said, kind = f"did not accept a connection within {timeout_s:g} s", HttpProblemKind.NOT_CONNECTED
    elif isinstance(error, httpx.TimeoutException):
        return _too_late(place, timeout_s)
    elif isinstance(error, httpx.ProxyError):
        said, kind = "cannot be reached through the configured proxy", HttpProblemKind.NOT_CONNECTED
    elif isinstance(error, httpx.ConnectError):
        _, untrusted, why = str(error).partition("certificate verify failed: ")
        said, kind = "refuses connections", HttpProblemKind.NOT_CONNECTED
        if untrusted:
            said, kind = f"is not trusted: {why.rpartition(' (')[0] or why}", HttpProblemKind.UNTRUSTED
    elif isinstance(error, httpx.TransportError):
        return _broken(place, "broke off before its answer was complete")
    else:
        said, kind, received = f"could not be asked ({type(error).__name__})", HttpProblemKind.OTHER, True
    return HttpProblem(f"{place.shown} {said}.", kind=kind, maybe_received=received)
