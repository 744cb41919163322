"""One API server, and who we are to it."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ...domain.errors import KubeconfigProblem

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_HEADER_SAFE = "!#$&'*+^`|"  # besides letters, digits and -._~


@dataclass(frozen=True)
class Access:
    """One API server and our credentials for it. PEM and tokens are the values, never paths.

    PEM is text of one character per byte (latin-1): around its blocks anything may stand.
    """

    label: str
    server: str
    ca: str | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    proxy: str | None = None
    authorization: str | None = field(default=None, repr=False)
    client_cert: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)
    impersonate_user: str | None = None
    impersonate_uid: str | None = None
    impersonate_groups: tuple[str, ...] = ()
    impersonate_extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def headers(self) -> Iterator[tuple[str, str]]:
        """The headers that say who we are. Source: client-go, transport/round_trippers.go."""
        if self.authorization is not None:
            yield "Authorization", self.authorization
        if self.impersonate_user:
            yield "Impersonate-User", self.impersonate_user
            if self.impersonate_uid:
                yield "Impersonate-Uid", self.impersonate_uid
            yield from (("Impersonate-Group", group) for group in self.impersonate_groups)
            for key, values in self.impersonate_extra:
                yield from ((f"Impersonate-Extra-{quote(key, safe=_HEADER_SAFE)}", value) for value in values)

    def tls(self) -> ssl.SSLContext:
        """The TLS context for this server; raises KubeconfigProblem if a certificate or key is of no use."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # As in Go: any certificate of the file is trusted as it is, and what Python 3.13's strict checks
            # refuse (a cluster's CA without key usage) is accepted.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif self.ca:
                _trust(context, self.ca)
            else:
                context.load_default_certs()
            if self.client_cert is not None and self.client_key is not None:
                _load_client_certificate(context, self.client_cert, self.client_key)
        except (ssl.SSLError, ValueError) as error:
            raise KubeconfigProblem(
                f"The certificates of {self.label} are of no use: {getattr(error, 'reason', None) or error}. "
                "Check certificate-authority, client-certificate and client-key in the kubeconfig."
            ) from None
        except OSError as error:
            raise KubeconfigProblem(
                f"The client certificate of {self.label} could not be handed to OpenSSL, which reads files "
                f"only: {error.strerror or error}. Free some space on {tempfile.gettempdir()}."
            ) from None
        return context


def pem_blocks(text: str, kind: str = "") -> list[str]:
    """The PEM blocks of ``text``, of one ``kind`` (``CERTIFICATE``); what stands around them is comment."""
    return [found.group() for found in _PEM.finditer(text) if not kind or found.group(1) == kind]


def _trust(context: ssl.SSLContext, ca: str) -> None:
    """As in Go, one usable certificate is enough. Raises ssl.SSLError or ValueError."""
    problem: Exception = ValueError("no CERTIFICATE block in certificate-authority")
    trusted = False
    for block in pem_blocks(ca, "CERTIFICATE"):
        try:
            context.load_verify_locations(cadata=block)
            trusted = True
        except (ssl.SSLError, ValueError) as error:
            problem = error
    if not trusted:
        raise problem


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # A password stops OpenSSL from asking for one on the terminal.
    with _file_of(certificate) as cert_path, _file_of(key) as key_path:
        context.load_cert_chain(cert_path, key_path, password="")


@contextmanager
def _file_of(text: str) -> Iterator[str]:
    """A file that holds ``text`` while it is needed; in memory where the system has such (Linux)."""
    content = text.encode("latin-1")
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryDirectory(prefix="zkrollback-") as folder:
            path = Path(folder, "pem")
            path.touch(0o600)
            path.write_bytes(content)
            yield str(path)
        return
    descriptor = os.memfd_create("zkrollback", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
