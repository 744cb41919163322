"""What the API server's refusals and a broken connection mean, in our own errors."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from ...domain.errors import BadAnswer, ClusterError, Forbidden, NotFound, Unauthorized, Unreachable
from ..retry import retry_after_s

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def rbac_words(method: str, path: str, query: Mapping[str, str]) -> tuple[str, str, str]:
    """Verb, resource and namespace of a request, as an RBAC rule names them.

    ``GET /api/v1/namespaces/n/pods/p/log`` is ``get``, ``pods/log``, ``n``.
    """
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0:1] == ["namespaces"] and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    resource = "/".join([*parts[0:1], *parts[2:3]])
    if method == "GET":
        verb = "get" if len(parts) > 1 else "watch" if query.get("watch") else "list"
    else:
        verb = _VERBS.get(method, method.lower())
    return verb, resource, namespace


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes | bytearray,
    *,
    label: str,
    method: str,
    path: str,
    query: Mapping[str, str],
) -> ClusterError:
    """The error for an answer that is not 2xx; the API server's own words ride along, shortened."""
    said = _status_message(body)
    words = f": {said}" if said else ""
    if status == http.client.UNAUTHORIZED:
        return Unauthorized(
            f"The API server does not accept the credentials of {label} (401 to {method} {path}). "
            "Log in again, then start again.",
            status=status,
            said=said,
        )
    if status == http.client.FORBIDDEN:
        verb, resource, namespace = rbac_words(method, path, query)
        where = f" in namespace {namespace}" if namespace else ""
        return Forbidden(
            f"The credentials of {label} may not {verb} {resource}{where}{words}. RBAC has to allow it.",
            verb=verb,
            resource=resource,
            namespace=namespace,
            said=said,
        )
    if status == http.client.NOT_FOUND:
        return NotFound(f"The API server has no {path}{words}.", status=status, said=said)
    wait_s = retry_after_s(headers)
    wish = f" It asks to be left alone for {wait_s:g} s." if wait_s is not None else ""
    return BadAnswer(
        f"The API server answered {status} to {method} {path}{words}.{wish}",
        status=status,
        retry_after_s=wait_s,
        causes=_causes(body),
        said=said,
    )


def broken_connection(
    error: Exception, *, label: str, server: str, request: str, timeout_s: float
) -> Unreachable:
    """The error for a request that got no complete answer. ``request`` is method and path."""
    url = urlsplit(server)
    where = f"The API server {url.scheme}://{url.netloc.rpartition('@')[2]} ({label})"
    if isinstance(error, ProxyError):
        return Unreachable(f"{where} cannot be reached through its proxy. Check proxy-url and HTTPS_PROXY.")
    if isinstance(error, SSLError):
        cause = error.args[0] if error.args else error
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or cause
        return Unreachable(f"{where} is not trusted: {reason}. Check the kubeconfig's certificate-authority.")
    if isinstance(error, NameResolutionError):
        return Unreachable(f"{where} has a name that cannot be resolved. Check the VPN and DNS.")
    if isinstance(error, NewConnectionError):
        return Unreachable(f"{where} refuses connections. Check that it runs and that the address is right.")
    if isinstance(error, ConnectTimeoutError):
        return Unreachable(f"{where} does not answer at all. Check the VPN and the network.")
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return Unreachable(f"{where} did not answer {request} within {timeout_s:g} s.")
    if isinstance(error, ProtocolError | OSError):
        return Unreachable(f"{where} cut the connection during {request}.")
    return Unreachable(f"{where} could not be asked for {request}: {type(error).__name__}.")


def watch_error(status_object: object, path: str) -> BadAnswer:
    """The error for an ERROR event of a watch; status 410 means: list again."""
    status = status_object if isinstance(status_object, dict) else {}
    code = status.get("code")
    said = str(status.get("message") or "no reason given")[:300]
    return BadAnswer(
        f"The watch of {path} ended with an error: {said}.", status=code if isinstance(code, int) else 0
    )


def _status_message(body: bytes | bytearray) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    message = answer.get("message") if isinstance(answer, dict) else None
    return str(message)[:300].rstrip(".") if message else ""


def _causes(body: bytes | bytearray) -> tuple[tuple[str, str], ...]:
    try:
        found = json.loads(body)["details"]["causes"]
        return tuple((str(one.get("field") or ""), str(one.get("message") or "")) for one in found)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
