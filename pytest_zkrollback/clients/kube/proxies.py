"""Through which proxy the API server is reached, as kubectl and helm go: golang.org/x/net/http/httpproxy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_SCHEMES = ("http", "https", "socks5")
_PORTS = {"http": "80", "https": "443"}


def is_proxy(address: str) -> bool:
    """Whether kubectl takes it as a cluster's ``proxy-url``."""
    try:
        parts = urlsplit(address)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def proxy_of_environment(server: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """What ``HTTPS_PROXY`` or ``HTTP_PROXY`` say for ``server``, unless ``NO_PROXY`` spares it.

    Loopback is never behind one, and ``ALL_PROXY`` says nothing to Go.
    """
    name = f"{urlsplit(server).scheme.upper()}_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or not _wants_proxy(server, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _wants_proxy(server: str, spared: str) -> bool:
    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".").lower()
    port = str(parts.port or _PORTS.get(parts.scheme, ""))
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not any(_spares(entry.strip().lower(), host, port) for entry in spared.split(","))


def _spares(entry: str, host: str, port: str) -> bool:
    if entry == "*":
        return True
    if not entry:
        return False
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted_port = _split(entry)
    if wanted_port and wanted_port != port:
        return False
    if _address(name) is not None:
        return address == _address(name)
    name = name.removeprefix("*") if name.startswith("*.") else name
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split(entry: str) -> tuple[str, str]:
    """``host`` and ``port`` of ``host:port``, ``[::1]:port``, ``host`` or ``::1``."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
