"""Whether a kubeconfig's context leads to the cluster of a configured environment, whatever it is called."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..clients.kube.kubeconfig import read_access, read_server
from ..domain.errors import ClusterError, UsageProblem

if TYPE_CHECKING:
    from ..clients.kube.access import Access
    from ..config.environment import Environment

_PORTS = {"https": 443, "http": 80}
_LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 - k3d writes the last one
_END = b"-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Configured:
    """The environments of the configuration, and what they say about whose cluster this is.

    ``source`` is the configuration's file as a person knows it; empty: there is none of their own.
    """

    environments: Sequence[Environment]
    source: str

    def refuse_same_server(self, context: str, found: Access) -> None:
        """Raises UsageProblem where an environment's context has the same address or the same CA.

        Only kubeconfigs are read. An environment whose context is in none of them is passed over.
        """
        try:
            ours = _address(found.server)
        except ValueError:
            raise UsageProblem(
                f"--drill-context={context} has the server {found.server}, which is no URL; helm did not run."
            ) from None
        for env in self.environments:
            try:
                theirs = (
                    read_access(None, None) if env.in_cluster else read_server(env.context, env.kubeconfig)
                )
                address = _address(theirs.server)
            except (ClusterError, ValueError):
                continue
            if address == ours:
                raise _same(context, env, f"its API server's address is the same, {found.server}")
            if _certificates(theirs.ca) & _certificates(found.ca):
                raise _same(context, env, "its certificate authority is the same")

    def refuse_same_uid(self, context: str, uid: str) -> None:
        """Raises UsageProblem where an environment pins the cluster with this kube-system namespace."""
        for env in self.environments:
            if env.identity is not None and env.identity.kube_system_uid == uid:
                raise _same(context, env, f"its kube-system namespace has the same UID, {uid}")

    @property
    def doubt(self) -> str:
        """Why a context may still lead to the cluster of an environment; empty: each pins another one."""
        if not self.source:
            return "no configuration here pins the clusters that people use (identity.kube_system_uid)"
        unpinned = [env.name for env in self.environments if env.identity is None]
        if unpinned:
            return (
                f"{self.source} does not pin the cluster of {', '.join(unpinned)} (identity.kube_system_uid)"
            )
        return "" if self.environments else f"{self.source} names no environment"


def _same(context: str, env: Environment, how: str) -> UsageProblem:
    return UsageProblem(
        f"--drill-context={context} is the cluster of the environment '{env.name}': {how}. A drill breaks a"
        " release on purpose: name another cluster; nothing was changed and helm did not run."
    )


def _address(server: str) -> tuple[str, int | None, str]:
    """Raises ValueError for what is no URL."""
    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".")
    return (
        "loopback" if host in _LOOPBACK else host,
        parts.port or _PORTS.get(parts.scheme),
        parts.path.rstrip("/"),
    )


def _certificates(pem: str | None) -> frozenset[bytes]:
    """Each certificate's content; what is around them and how it is wrapped says nothing."""
    found = set()
    for part in (pem or "").encode().split(_END)[:-1]:
        begin = part.find(b"-----BEGIN CERTIFICATE-----")
        if begin >= 0:
            with suppress(ValueError):
                found.add(ssl.PEM_cert_to_DER_cert((part[begin:] + _END).decode(errors="replace")))
    return frozenset(found)
