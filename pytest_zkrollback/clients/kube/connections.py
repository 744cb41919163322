"""Connections to the API server whose name is looked up within the deadline, too.

A resolver that does not answer blocks ``getaddrinfo`` for half a minute, whatever timeout the socket has.
"""

from __future__ import annotations

import socket
from concurrent.futures import wait
from functools import partial
from ipaddress import ip_address

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError
from urllib3.util.connection import allowed_gai_family

from ..threads import submit


def _resolved(connection: HTTPConnection, name: str) -> list[str]:
    """The addresses of ``name``. Raises urllib3's errors, after the connection's timeout at the latest."""
    try:
        return [str(ip_address(name.strip("[]")))]
    except ValueError:
        pass  # a name
    ask = partial(socket.getaddrinfo, name, connection.port, allowed_gai_family(), type=socket.SOCK_STREAM)
    answer = submit("zkrollback-dns", ask)
    timeout_s = connection.timeout if isinstance(connection.timeout, int | float) else None
    if not wait([answer], timeout_s).done:
        late = socket.gaierror(socket.EAI_AGAIN, f"no answer within {timeout_s} s")
        raise NameResolutionError(name, connection, late)
    error = answer.exception()
    if isinstance(error, socket.gaierror):
        raise NameResolutionError(name, connection, error) from error
    if error is not None:
        raise error
    return list(dict.fromkeys(str(found[4][0]) for found in answer.result()))


class _Http(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Try each address, as ``socket.create_connection`` does; the last one's error is raised."""
        name = self._dns_host
        addresses = _resolved(self, name)
        try:
            while True:
                self._dns_host = addresses.pop(0)
                try:
                    return super()._new_conn()
                except Exception:
                    if not addresses:
                        raise
        finally:
            self._dns_host = name  # by which TLS checks the certificate


class _Https(_Http, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


# What a PoolManager takes as its ``pool_classes_by_scheme``.
POOLS = {"http": _HttpPool, "https": _HttpsPool}
