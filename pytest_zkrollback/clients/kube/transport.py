"""One request to the API server, within one deadline: connecting, waiting, credentials, errors."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from ...domain.errors import BadAnswer, ClusterError, Unauthorized, Unreachable
from ...domain.ports import HttpAnswer
from ..clock import SystemClock
from ..retry import SHORTEST_PAUSE_S, constant, retry
from ..threads import fetch_each, submit
from .access import Access
from .connections import POOLS
from .errors import broken_connection, refusal
from .proxies import proxy_of_environment

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

CONNECT_TIMEOUT_S = 2.0
_CHUNK_BYTES = 1 << 16
_POOL_SIZE = 32
_RENEW_PAUSE_S = 10.0
# So many requests wait for an answer at the same moment: a small API server has others to serve. Where it
# hangs, nobody waits longer than this for somebody else's answer.
_MOST_AT_ONCE = 20
_LONGEST_TURN_S = 1.0
_RESTART_PAUSE_S = 0.2
# A read that got no word for this long is asked again over a new connection: the old one may be half-open.
_SILENT_S = 5.0
# Subresources that do something, or lead elsewhere, although they begin with a GET.
_DOES_MORE = re.compile(r"/(exec|attach|portforward|proxy)(/|$)")
# kubernetes loads its parts when they are asked for, and fails where two threads ask at once.
_importing = threading.Lock()


@dataclass(frozen=True)
class Call:
    """One request and the moment (monotonic) at which its answer is of no use any more."""

    method: str
    path: str
    query: Mapping[str, str]
    timeout_s: float
    end_s: float
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept": "application/json"})
    data: bytes | None = None

    @property
    def reads(self) -> bool:
        """Whether it may be asked twice."""
        return self.method == "GET"


class KubeWire:
    """Sends calls over one pool of connections, which every thread shares."""

    def __init__(self, access: Access, clock: SystemClock, renew: Callable[[], Access] | None = None) -> None:
        """``renew`` reads the credentials again after a 401; None: they are what they are."""
        self._clock = clock
        self._renew = renew
        self._lock = threading.Lock()
        self._access = access
        self._pools: urllib3.PoolManager | None = None
        self._renewed_s: float | None = None
        self._renewing: Future[None] | None = None
        self._answered = False
        self._turns = threading.BoundedSemaphore(_MOST_AT_ONCE)

    @property
    def access(self) -> Access:
        """The access in use, which a 401 may have renewed."""
        return self._access

    def read(self, call: Call, limit_bytes: int = 0) -> bytearray:
        """The answer's body, cut at ``limit_bytes`` if above 0.

        What only reads is asked again while its deadline lasts where the connection broke or was refused: a
        server that has answered before is restarting.
        """
        return retry(
            lambda: self._body(self.open(call), call, limit_bytes),
            on=lambda error: isinstance(error, Unreachable) and call.reads and self._answered,
            wait_s=constant(_RESTART_PAUSE_S),
            clock=self._clock,
            end_s=call.end_s,
        )

    def open(self, call: Call) -> urllib3.BaseHTTPResponse:
        """The response, its body still unread, once its status is 2xx.

        What only reads obeys the server's Retry-After, where that leaves time to ask again.
        """
        return retry(
            lambda: self._open(call),
            on=lambda error: call.reads and _is_busy(error),
            wait_s=_asked_pause_s,
            clock=self._clock,
            end_s=call.end_s,
        )

    def exchange(self, call: Call) -> HttpAnswer:
        """The whole answer, whatever its status; sent again only where nothing can have been done.

        That is after a 401, with other credentials, and a read whose old connection had gone. Raises
        Unreachable.
        """
        asked_again = False
        while True:
            access, pools = self._current()
            try:
                response = self._request(access, pools, call, retryable=False, takes_turn=False)
            except (HTTPError, OSError, ValueError) as error:
                if isinstance(error, ProtocolError) and call.reads and not asked_again:
                    asked_again = True
                    continue
                raise self.broken(error, call) from None
            body = bytes(self._body(response, call))
            if (
                response.status != http.client.UNAUTHORIZED
                or asked_again
                or not self._renewed(access, call.end_s)
            ):
                headers = {name.lower(): value for name, value in response.headers.items()}
                duration_s = self._clock.monotonic_s() - (call.end_s - call.timeout_s)
                return HttpAnswer(response.status, headers, body, truncated=False, duration_s=duration_s)
            asked_again = True

    def _open(self, call: Call) -> urllib3.BaseHTTPResponse:
        """The same, asked again at once where only the connection or the token was too old."""
        asked_again = renewed = False
        while True:
            access, pools = self._current()
            try:
                response = self._request(access, pools, call, retryable=call.reads and not asked_again)
            except (HTTPError, OSError, ValueError) as error:
                if isinstance(error, ReadTimeoutError):
                    self.drop_idle_connections()
                # A pooled connection that the server closed meanwhile, or that fell silent: a read may simply
                # be asked again.
                over = self._clock.monotonic_s() + _RESTART_PAUSE_S >= call.end_s
                may_heal = isinstance(error, ProtocolError | ReadTimeoutError) and call.reads and not over
                if may_heal and not asked_again:
                    asked_again = True
                    continue
                raise self.broken(error, call) from None
            if 200 <= response.status < 300:
                return response
            problem = refusal(
                response.status,
                response.headers,
                self._body(response, call, limit_bytes=_CHUNK_BYTES),
                label=access.label,
                method=call.method,
                path=call.path,
                query=call.query,
            )
            if isinstance(problem, Unauthorized) and not renewed and self._renewed(access, call.end_s):
                renewed = True
            else:
                raise problem

    def _request(
        self,
        access: Access,
        pools: urllib3.PoolManager,
        call: Call,
        *,
        retryable: bool,
        takes_turn: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """The response's head; in a ``retryable`` it leaves time to ask again, where there is enough of
        it. ``takes_turn``: not too many others wait for the API server; where an application answers, it is
        asked at once."""
        url = (
            access.server
            + call.path
            + (f"?{urlencode(call.query, safe='/', quote_via=quote)}" if call.query else "")
        )
        sent = urllib3.HTTPHeaderDict(call.headers)
        sent["User-Agent"] = "pytest-zkrollback"
        for name, value in access.headers():
            sent.add(name, value)
        with self._turn(call) if takes_turn else nullcontext():
            begun_s = self._clock.monotonic_s()
            left_s = max(0.001, call.end_s - begun_s)
            head_s = _SILENT_S if retryable and left_s > 2 * _SILENT_S else left_s
            response = pools.request(
                call.method,
                url,
                body=call.data,
                headers=sent,
                timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, left_s), read=head_s, total=left_s),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        self._answered = True
        self._learn(response.headers.get("Date"), self._clock.monotonic_s() - begun_s)
        return response

    @contextmanager
    def _turn(self, call: Call) -> Iterator[None]:
        """While not too many others wait for an answer, or after a second, or half of what it has left."""
        left_s = max(0.0, call.end_s - self._clock.monotonic_s())
        has_turn = self._turns.acquire(timeout=min(_LONGEST_TURN_S, left_s / 2))
        try:
            yield
        finally:
            if has_turn:
                self._turns.release()

    def _body(self, response: urllib3.BaseHTTPResponse, call: Call, limit_bytes: int = 0) -> bytearray:
        """The body, cut at ``limit_bytes`` if above 0; raises Unreachable if it does not come whole."""
        body = bytearray()
        try:
            while chunk := self.chunk(response, call):
                body += chunk
                if 0 < limit_bytes <= len(body):
                    break
            else:
                response.release_conn()
                return body
        except (HTTPError, OSError) as error:
            response.close()
            raise self.broken(error, call) from None
        response.close()
        del body[limit_bytes:]
        return body

    def chunk(self, response: urllib3.BaseHTTPResponse, call: Call) -> bytes:
        """What is there to read, or b"" at the end; waits no longer than the call has left."""
        left_s = call.end_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise TimeoutError
        sock = getattr(response.connection, "sock", None)
        if sock is not None:
            sock.settimeout(left_s)
        return response.read1(_CHUNK_BYTES)

    def api_client(self) -> ApiClient:
        """Kubernetes' own client, over the same connections and with the same credentials; it only reads."""
        # Nothing of ours needs it, and importing it costs half a second and 25 MB.
        with _importing:
            from kubernetes.client import ApiClient, Configuration

        client = ApiClient(Configuration(host=self._access.server))
        setattr(client.rest_client, "pool_manager", _ReadingPools(self._current))  # noqa: B010 - all that it uses
        return client

    def open_connections(self, count: int) -> None:
        """Have so many idle connections, so that what is asked side by side need not begin with opening one.

        Each is opened by a small request: one that was never used looks as if the server had closed it.
        Nothing is raised: where one cannot be opened, whoever asks next says so.
        """
        access, pools = self._current()
        call = Call("GET", "/version", {}, CONNECT_TIMEOUT_S, self._clock.monotonic_s() + CONNECT_TIMEOUT_S)

        def ask(_: int) -> urllib3.BaseHTTPResponse:
            try:
                return self._request(access, pools, call, retryable=False)
            except (HTTPError, OSError, ValueError) as error:
                raise self.broken(error, call) from None

        for response in fetch_each(ask, range(count), workers=count):  # given back when all are there
            if not isinstance(response, ClusterError):
                with suppress(ClusterError):
                    self._body(cast("urllib3.BaseHTTPResponse", response), call)

    def drop_idle_connections(self) -> None:
        """Leave the idle connections: where one fell silent (half-open), the others may have, too."""
        with self._lock:
            if self._pools is not None:
                self._pools.clear()

    def _current(self) -> tuple[Access, urllib3.PoolManager]:
        with self._lock:
            if self._pools is None:
                self._pools = _pools_of(self._access)
            return self._access, self._pools

    def _renewed(self, refused: Access, end_s: float) -> bool:
        """Whether there are other credentials than the ``refused`` ones, until ``end_s``.

        One thread reads them, with whatever plugin; nobody is held up for longer than his own deadline.
        """
        with self._lock:
            if self._access is not refused:
                return True  # another thread was here first
            now_s = self._clock.monotonic_s()
            if self._renewing is None:
                too_soon = self._renewed_s is not None and now_s < self._renewed_s + _RENEW_PAUSE_S
                if self._renew is None or too_soon:
                    return False
                self._renewed_s = now_s
                self._renewing = submit("zkrollback-credentials", partial(self._read_again, refused))
            renewing = self._renewing
        wait([renewing], max(0.0, end_s - now_s))
        return self._access is not refused

    def _read_again(self, refused: Access) -> None:
        renewed = refused
        try:
            assert self._renew is not None  # noqa: S101 - looked at before
            renewed = self._renew()
        except ClusterError:
            pass  # the 401 is what has to be said
        finally:
            with self._lock:
                self._renewing = None
                # A context that leads elsewhere by now is no new credential: what was looked at is here.
                if renewed is not refused and renewed.server == refused.server:
                    self._access, self._pools = renewed, None

    def _learn(self, date: str | None, elapsed_s: float) -> None:
        try:
            said = parsedate_to_datetime(date or "")
        except ValueError:
            return
        self._clock.learn(said.replace(tzinfo=UTC) if said.tzinfo is None else said, elapsed_s)

    def broken(self, error: Exception, call: Call) -> Unreachable:
        """The error for a call that got no complete answer."""
        return broken_connection(
            error,
            label=self._access.label,
            server=self._access.server,
            request=f"{call.method} {call.path}",
            timeout_s=call.timeout_s,
        )


def _is_busy(error: Exception) -> bool:
    """Whether the server is too busy for now: it says so, or said when to come again."""
    if not isinstance(error, BadAnswer):
        return False
    if error.status == http.client.TOO_MANY_REQUESTS:
        return True
    return error.status == http.client.SERVICE_UNAVAILABLE and error.retry_after_s is not None


def _asked_pause_s(error: Exception, _tries: int) -> float:
    return max(SHORTEST_PAUSE_S, getattr(error, "retry_after_s", None) or 0.0)


class _ReadingPools:
    """In the place of a client's own pools: what only reads goes over ours, with our credentials."""

    def __init__(self, current: Callable[[], tuple[Access, urllib3.PoolManager]]) -> None:
        self._current = current

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> urllib3.BaseHTTPResponse:
        """As urllib3's; raises ValueError for what would change something, or go to another server."""
        access, pools = self._current()
        path = url.partition("?")[0]
        upgrades = any(name.lower() == "upgrade" for name in headers or ())
        if method not in ("GET", "HEAD") or upgrades or _DOES_MORE.search(path):
            raise ValueError(f"an item of your own only reads: {method} {path} was not sent")
        if not url.startswith(f"{access.server}/"):
            raise ValueError(f"an item of your own asks this API server alone: {method} {path} was not sent")
        sent = urllib3.HTTPHeaderDict(headers)
        for name, value in access.headers():
            sent.add(name, value)
        if how.get("timeout") is None:
            how["timeout"] = urllib3.Timeout(total=_SILENT_S)
        return pools.request(method, url, headers=sent, **{**how, "retries": False, "redirect": False})


def _pools_of(access: Access) -> urllib3.PoolManager:
    settings: dict[str, Any] = {"maxsize": _POOL_SIZE}
    if access.server.startswith("https"):
        settings["ssl_context"] = access.tls()
        if access.tls_server_name:
            settings["server_hostname"] = access.tls_server_name
    return _pools(access.proxy or proxy_of_environment(access.server), settings)


def _pools(proxy: str | None, settings: Mapping[str, Any]) -> urllib3.PoolManager:
    if proxy is None:
        return _within_deadlines(urllib3.PoolManager(**settings))
    scheme, _, rest = proxy.partition("://")
    if scheme.startswith("socks5"):
        from urllib3.contrib.socks import SOCKSProxyManager

        # As in Go, the proxy looks names up.
        return SOCKSProxyManager(f"socks5h://{rest}", **settings)
    return _within_deadlines(urllib3.ProxyManager(proxy, **settings))


def _within_deadlines(pools: urllib3.PoolManager) -> urllib3.PoolManager:
    pools.pool_classes_by_scheme = POOLS
    return pools
