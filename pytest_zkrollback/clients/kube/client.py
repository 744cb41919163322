"""The API server, over urllib3: raw JSON, explicit deadlines, our own errors.

No typed models: one null in one event would fail a whole list (measured; field notes).
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from urllib3.exceptions import HTTPError, ReadTimeoutError

from ...domain.checks import JsonObject
from ...domain.errors import BadAnswer, NotFound
from ...domain.ports import HttpAnswer, Processes
from ..clock import SystemClock
from .access import Access
from .errors import watch_error
from .kubeconfig import read_access
from .transport import Call, KubeWire

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

PAGE_SIZE = 500
# Of what is watched: a page of pods is held whole, beside what is kept of it.
WATCHED_PAGE_SIZE = 250
# All pages of such a list have so many times the time of one.
_ALL_PAGES = 15
# A server ends a watch when it was asked to; this much later it will not any more.
_SILENCE_S = 0.5
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def connect(
    context: str | None,
    kubeconfig: str | None = None,
    clock: SystemClock | None = None,
    processes: Processes | None = None,
    keep_secret: Callable[[str], object] = lambda _: None,
) -> KubeClient:
    """A client for ``context`` (None: the in-cluster service account). Nothing is asked of the server yet.

    ``kubeconfig`` is one file; None: ``$KUBECONFIG`` (several files merged), else ``~/.kube/config``.
    ``processes`` runs the context's credential plugin, if it has one. ``keep_secret`` hears every token,
    password and key before it is used, renewed ones too, and what a plugin is given before it runs. Raises
    Unreachable.
    """

    def read() -> Access:
        return read_access(context, kubeconfig, processes=processes, keep_secret=keep_secret)

    return KubeClient(read(), clock if clock is not None else SystemClock(), read)


class KubeClient:
    """The Kube port. One instance serves every thread: they share one pool of connections.

    Every ``timeout_s`` is a total: connecting (at most 2 s of it), waiting, reading, pages and the server's
    wish to be left alone (429 and 503 with Retry-After, reads only) included. Where it is each page's, it
    says so.
    """

    def __init__(self, access: Access, clock: SystemClock, renew: Callable[[], Access] | None = None) -> None:
        """``renew`` reads the credentials again after a 401; None: they are what they are."""
        self._clock = clock
        self._wire = KubeWire(access, clock, renew)
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}
        self._discovery = defaultdict[str, threading.Lock](threading.Lock)

    @property
    def server(self) -> str:
        """The API server's URL, for the record."""
        return self._wire.access.server

    @property
    def tls_server_name(self) -> str:
        """By which name the server's certificate is checked; empty: its own."""
        return self._wire.access.tls_server_name or ""

    def api_client(self) -> ApiClient:
        """Kubernetes' own client for the same server; 0.5 s where nobody asked for it before."""
        return self._wire.api_client()

    def get(self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0) -> JsonObject:
        """GET ``path`` (``/api/v1/...``)."""
        return self._json(self._call("GET", path, query, timeout_s))

    def list(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> tuple[JsonObject, ...]:
        """All items of a list, in pages of 500; a continue token that expired (410) starts it again."""
        return self._pages(self._call("GET", path, query, timeout_s))[0]

    def pages(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        *,
        without_managed_fields: bool = False,
        page_bytes: int = 0,
    ) -> Iterator[tuple[tuple[JsonObject, ...], str]]:
        """The same page by page, each with the list's resourceVersion; ``without_managed_fields``: without
        managedFields.

        ``page_bytes``, if above 0: a page of more is not read to its end, but asked for again with fewer
        items. An expired continue token (410) is for the caller to begin again.
        """
        return self._each_page(
            self._call("GET", path, query, timeout_s),
            without_managed_fields=without_managed_fields,
            page_bytes=page_bytes,
        )

    def list_metadata(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> tuple[JsonObject, ...]:
        """The same with ``metadata`` only: the labels of Secrets without their megabytes of data."""
        return self._pages(self._call("GET", path, query, timeout_s, accept=_METADATA))[0]

    def list_with_version(
        self, path: str, timeout_s: float = 5.0, keep: Callable[[JsonObject], JsonObject] = lambda item: item
    ) -> tuple[tuple[JsonObject, ...], str]:
        """What ``keep`` makes of each item, page by page, and the resourceVersion to watch from.

        The items are without managedFields. ``timeout_s`` is each page's own; all have fifteen times that.
        """
        call = self._call("GET", path, {"limit": str(WATCHED_PAGE_SIZE)}, _ALL_PAGES * timeout_s)
        return self._pages(call, keep, without_managed_fields=True, page_timeout_s=timeout_s)

    def watch(self, path: str, resource_version: str, timeout_s: float) -> Iterator[JsonObject]:
        """Watch events ``{type, object}`` until the server ends the stream, after ``timeout_s``.

        The objects are without managedFields.
        An expired ``resource_version`` is a BadAnswer with status 410: list again. A connection that broke
        is Unreachable, and so is one that fell silent: the server ends a quiet one in time.
        """
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, int(timeout_s))),
        }
        call = self._call("GET", path, query, timeout_s + _SILENCE_S)
        response = self._wire.open(call)
        rest = b""
        try:
            while chunk := self._wire.chunk(response, call):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    yield _watch_event(line, path)
        except (HTTPError, OSError) as error:
            if isinstance(error, ReadTimeoutError | TimeoutError):
                self._wire.drop_idle_connections()
            raise self._wire.broken(error, call) from None
        finally:
            response.close()

    def text(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0, limit_bytes: int = 0
    ) -> str:
        """GET of plain text (pod logs), decoded with replacement, cut at ``limit_bytes`` if above 0."""
        call = self._call("GET", path, query, timeout_s, accept="*/*")
        return self._wire.read(call, limit_bytes).decode(errors="replace")

    def send(
        self,
        method: str,
        path: str,
        body: JsonObject | str,
        content_type: str = _JSON,
        query: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> JsonObject:
        """POST, PUT or PATCH; sent once (twice only after a 401, for which nothing was done)."""
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        return self._json(self._call(method, path, query, timeout_s, data=data, content_type=content_type))

    def proxied(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> HttpAnswer:
        """What a Service or pod answered through the API server's proxy, or the API server in its place.

        ``path`` holds its query; ``headers`` are sent along. Whatever the status is, it is no error. Raises
        Unreachable.
        """
        end_s = self._clock.monotonic_s() + timeout_s
        return self._wire.exchange(Call(method, path, {}, timeout_s, end_s, headers, body))

    def open_connections(self, count: int) -> None:
        """Have so many idle connections, for what is asked side by side; nothing is raised."""
        self._wire.open_connections(count)

    def resource_path(self, api_version: str, kind: str, namespace: str, name: str = "") -> str:
        """The path of a kind's objects, ``/apis/apps/v1/namespaces/n/deployments/name``, by discovery.

        ``namespace`` is left out for kinds without one. Raises NotFound if the server has no such kind.
        """
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        with self._discovery[base]:  # who asks for the same meanwhile waits for the answer
            if kind not in self._kinds.get(base, {}):
                answer = self.get(base)
                self._kinds[base] = {
                    str(item.get("kind")): (str(item.get("name")), bool(item.get("namespaced")))
                    for item in answer.get("resources") or ()
                    if "/" not in str(item.get("name"))  # no subresources
                }
        if kind not in self._kinds[base]:
            raise NotFound(f"The API server knows no kind {kind} in {api_version}.")
        plural, namespaced = self._kinds[base][kind]
        place = f"/namespaces/{quote(namespace, safe='')}" if namespaced else ""
        return f"{base}{place}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        timeout_s: float,
        *,
        accept: str = _JSON,
        data: bytes | None = None,
        content_type: str = _JSON,
    ) -> Call:
        # The API server packs what is longer than 128 KB, to about a tenth; a watch it does not.
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        headers |= {"Content-Type": content_type} if data is not None else {}
        end_s = self._clock.monotonic_s() + timeout_s
        return Call(method, path, query or {}, timeout_s, end_s, headers, data)

    def _pages(
        self,
        call: Call,
        keep: Callable[[JsonObject], JsonObject] = lambda item: item,
        *,
        without_managed_fields: bool = False,
        page_timeout_s: float | None = None,
    ) -> tuple[tuple[JsonObject, ...], str]:
        while True:
            items: list[JsonObject] = []
            version, begun = "", False
            pages = self._each_page(
                call, without_managed_fields=without_managed_fields, page_timeout_s=page_timeout_s
            )
            try:
                for found, newest in pages:
                    items += map(keep, found)
                    version, begun = newest, True
            except BadAnswer as error:
                if error.status != http.client.GONE or not begun:
                    raise
                continue
            return tuple(items), version

    def _each_page(
        self,
        call: Call,
        *,
        without_managed_fields: bool,
        page_bytes: int = 0,
        page_timeout_s: float | None = None,
    ) -> Iterator[tuple[tuple[JsonObject, ...], str]]:
        """Items and resourceVersion, page by page."""
        most = limit = int(call.query.get("limit", PAGE_SIZE))
        token = ""
        while True:
            asked = {**call.query, "limit": str(limit)} | ({"continue": token} if token else {})
            asking = replace(call, query=asked)
            if page_timeout_s is not None:
                end_s = min(call.end_s, self._clock.monotonic_s() + page_timeout_s)
                asking = replace(asking, end_s=end_s, timeout_s=page_timeout_s)
            body = self._wire.read(asking, page_bytes if limit > 1 else 0)
            if limit > 1 and 0 < page_bytes <= len(body):
                limit = max(1, limit // 4)
                del body  # before the next one is read
                continue
            if page_bytes:  # as many as fit where the next ones are like these
                limit = min(most, max(1, limit * page_bytes // (len(body) + 1)))
            page = _parsed(body, asking, without_managed_fields=without_managed_fields)
            del body  # an answer may have megabytes
            found, metadata = page.get("items"), page.get("metadata")
            if not isinstance(metadata, dict) or not isinstance(found, list | None):
                raise BadAnswer(f"The API server answered GET {call.path} with something that is no list.")
            token, version = (str(metadata.get(each) or "") for each in ("continue", "resourceVersion"))
            del page
            yield tuple(found or ()), version
            if not token:
                return

    def _json(self, call: Call) -> JsonObject:
        return _parsed(self._wire.read(call), call)


def _parsed(body: bytearray, call: Call, *, without_managed_fields: bool = False) -> JsonObject:
    """The answer's JSON; ``body`` is emptied before it is parsed: an answer may have megabytes."""
    text = body.decode(errors="replace")
    body.clear()
    try:
        answer = json.loads(text, object_hook=_without_managers if without_managed_fields else None)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BadAnswer(f"The API server answered {call.method} {call.path} with no JSON object.")
    return answer


def _without_managers(item: JsonObject) -> JsonObject:
    """While it is parsed: often half of an object, and no judge of pods and events reads it."""
    if isinstance(item.get("managedFields"), list):  # a label of that name is a text
        del item["managedFields"]
    return item


def _watch_event(line: bytes, path: str) -> JsonObject:
    try:
        event = json.loads(line, object_hook=_without_managers)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
        raise BadAnswer(f"The watch of {path} brought a line that is no event.")
    if event.get("type") == "ERROR":
        raise watch_error(event["object"], path)
    return event
