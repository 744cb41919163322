"""Reads a kubeconfig, or the in-cluster service account: where the API server is and who we are to it.

Done here and not by the client library because that one runs credential plugins without a deadline, lets
them read the terminal, and leaves keys in temporary files.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ...domain.errors import KubeconfigProblem, ProcessProblem, Unreachable
from ...domain.ports import Processes

PLUGIN_TIMEOUT_S = 10.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """One API server and our credentials for it. PEM and tokens are the values, never paths."""

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
    impersonate_groups: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def tls(self) -> ssl.SSLContext:
        """The TLS context for this server; raises Unreachable if a certificate or key is no PEM."""
        try:
            context = ssl.create_default_context(cadata=self.ca)
            # Python 3.13's strict checks refuse cluster CAs that kubectl and helm accept.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.client_cert is not None and self.client_key is not None:
                _load_client_certificate(context, self.client_cert, self.client_key)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise KubeconfigProblem(
                f"The certificates of {self.label} are of no use: {getattr(error, 'reason', None) or error}. "
                "Check certificate-authority, client-certificate and client-key in the kubeconfig."
            ) from None
        return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL reads them from files only; these are ours alone and live for this call.
    with tempfile.TemporaryDirectory(prefix="zkrollback-") as folder:
        cert_path, key_path = Path(folder, "cert"), Path(folder, "key")
        cert_path.write_text(certificate, encoding="ascii")
        key_path.touch(0o600)
        key_path.write_text(key, encoding="ascii")
        # A password stops OpenSSL from asking for one on the terminal.
        context.load_cert_chain(cert_path, key_path, password="")


def read_access(
    context: str | None,
    kubeconfig: str | None,
    *,
    processes: Processes | None = None,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> Access:
    """The access of ``context`` (None: in-cluster), credential plugin included (it may take 10 s).

    ``kubeconfig`` is one file; None: the files of ``$KUBECONFIG``, else ``~/.kube/config``. Several files
    are merged as kubectl does: the first one that names an entry wins, missing files are passed over,
    relative paths are relative to the file that holds them. Raises Unreachable.
    """
    environ = os.environ if environ is None else environ
    if context is None:
        return _in_cluster(environ, service_account)
    return _Kubeconfig.read(kubeconfig, environ).access(context, processes, environ)


def read_server(context: str, kubeconfig: str | None, environ: Mapping[str, str] | None = None) -> Access:
    """Where ``context`` leads, without credentials: no plugin runs. See :func:`read_access`.

    Raises Unreachable.
    """
    return _Kubeconfig.read(kubeconfig, os.environ if environ is None else environ).server(context)


def _in_cluster(environ: Mapping[str, str], folder: Path) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubeconfigProblem(
            "This is not a pod: KUBERNETES_SERVICE_HOST is not set, so there is no in-cluster service "
            "account. Name a kubeconfig context for this environment."
        )
    token = _read_text(folder / "token", "the service account's token").strip()
    return Access(
        label="the in-cluster service account",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=_read_text(folder / "ca.crt", "the service account's CA"),
        authorization=f"Bearer {token}",
        secrets=(token,),
    )


@dataclass(frozen=True)
class _Entry:
    """A cluster, user or context, and the folder that its relative paths start from."""

    values: Mapping[str, Any]
    folder: Path

    def text(self, key: str, what: str) -> str | None:
        """``key`` as text: from ``<key>-data`` (base64), else from the file that ``key`` names."""
        data = self.values.get(f"{key}-data")
        if data:
            try:
                return base64.b64decode(str(data), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise Unreachable(f"{key}-data of {what} is not base64 of a text.") from None
        name = self.values.get(key)
        return _read_text(self.folder / str(name), f"{key} of {what}") if name else None


class _Kubeconfig:
    """The merged files."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.clusters: dict[str, _Entry] = {}
        self.users: dict[str, _Entry] = {}
        self.contexts: dict[str, _Entry] = {}

    @classmethod
    def read(cls, kubeconfig: str | None, environ: Mapping[str, str]) -> _Kubeconfig:
        listed = [kubeconfig] if kubeconfig else environ.get("KUBECONFIG", "").split(os.pathsep)
        paths = [Path(name).expanduser() for name in listed if name] or [Path("~/.kube/config").expanduser()]
        where = " and ".join(str(path) for path in paths)
        merged = cls(where)
        existing = [path for path in paths if path.exists()]
        if not existing:
            raise KubeconfigProblem(
                f"There is no kubeconfig: {where} does not exist. Set KUBECONFIG, or name the file as "
                "`kubeconfig` in the environment's table."
            )
        for path in existing:
            merged._add(path)
        return merged

    def _add(self, path: Path) -> None:
        try:
            content = yaml.safe_load(_read_text(path, "the kubeconfig", KubeconfigProblem))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            at = f" (line {mark.line + 1})" if mark is not None else ""
            raise KubeconfigProblem(
                f"The kubeconfig {path} is no YAML{at}. Repair it, or name another."
            ) from None
        if content is None:
            return
        try:
            for plural, singular, into in (
                ("clusters", "cluster", self.clusters),
                ("users", "user", self.users),
                ("contexts", "context", self.contexts),
            ):
                for item in content.get(plural) or ():
                    values = item.get(singular) or {}
                    values.keys()
                    into.setdefault(str(item["name"]), _Entry(values, path.absolute().parent))
        except (AttributeError, KeyError, TypeError):
            raise KubeconfigProblem(
                f"The kubeconfig {path} is YAML but no kubeconfig: clusters, users and contexts have to be "
                "lists of named entries. Repair it, or name another."
            ) from None

    def server(self, context: str) -> Access:
        label = f"context '{context}'"
        cluster = self._cluster(context)
        server = str(cluster.values.get("server") or "").rstrip("/")
        if not server.startswith(("https://", "http://")):
            raise Unreachable(f"The cluster of {label} in {self.where} has no server URL (https://...).")
        proxy = cluster.values.get("proxy-url")
        return Access(
            label=label,
            server=server,
            ca=cluster.text("certificate-authority", label),
            insecure=cluster.values.get("insecure-skip-tls-verify") is True,
            tls_server_name=cluster.values.get("tls-server-name"),
            proxy=proxy,
            secrets=(str(proxy),) if proxy and "@" in str(proxy) else (),
        )

    def access(self, context: str, processes: Processes | None, environ: Mapping[str, str]) -> Access:
        server = self.server(context)
        name = self.contexts[context].values.get("user")
        if not name:
            return server
        user = self._named(self.users, "user", name, server.label)
        identity = _identity(user, self._cluster(context), server.label, processes, environ)
        secrets = (*identity.pop("secrets"), *server.secrets)
        return replace(server, secrets=secrets, **identity)

    def _cluster(self, context: str) -> _Entry:
        if context not in self.contexts:
            raise KubeconfigProblem(
                f"The kubeconfig {self.where} has no context '{context}'; it has {_listed(self.contexts)}."
            )
        name = self.contexts[context].values.get("cluster")
        return self._named(self.clusters, "cluster", name, f"context '{context}'")

    def _named(self, entries: Mapping[str, _Entry], kind: str, name: object, label: str) -> _Entry:
        if str(name) not in entries:
            raise KubeconfigProblem(
                f"{label[0].upper()}{label[1:]} names {kind} '{name}', which the kubeconfig {self.where} "
                f"does not have; it has {_listed(entries)}."
            )
        return entries[str(name)]


def _identity(
    user: _Entry,
    cluster: _Entry,
    label: str,
    processes: Processes | None,
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """The keyword arguments of :class:`Access` that say who we are."""
    values = user.values
    cert, key = user.text("client-certificate", label), user.text("client-key", label)
    token = values.get("token")
    if values.get("tokenFile"):  # as in client-go, the file wins
        token = _read_text(user.folder / str(values["tokenFile"]), f"tokenFile of {label}").strip()
    if not token and "auth-provider" in values:
        config = (values["auth-provider"] or {}).get("config") or {}
        token = config.get("id-token") or config.get("access-token")
        if not token:
            raise Unreachable(
                f"The auth-provider of {label} holds no token. Log in with kubectl, or use a credential "
                "plugin (exec), then start again."
            )
    if not token and values.get("exec"):
        status = _run_plugin(_Entry(values["exec"], user.folder), cluster, label, processes, environ)
        token = status.get("token")
        cert, key = status.get("clientCertificateData") or cert, status.get("clientKeyData") or key
    secrets = [str(token)] if token else []
    authorization = f"Bearer {token}" if token else None
    if authorization is None and values.get("username"):
        password = str(values.get("password") or "")
        pair = base64.b64encode(f"{values['username']}:{password}".encode()).decode()
        authorization = f"Basic {pair}"
        secrets += [pair, password]
    if key:
        secrets.append(key)
    return {
        "authorization": authorization,
        "client_cert": cert,
        "client_key": key,
        "impersonate_user": values.get("as"),
        "impersonate_groups": tuple(values.get("as-groups") or ()),
        "secrets": tuple(secret for secret in secrets if secret),
    }


def _run_plugin(
    plugin: _Entry,
    cluster: _Entry,
    label: str,
    processes: Processes | None,
    environ: Mapping[str, str],
) -> Mapping[str, Any]:
    """The ``status`` of the ExecCredential that the plugin printed."""
    command = str(plugin.values.get("command") or "")
    shown = f"The credential plugin '{Path(command).name}' of {label}"
    if processes is None or plugin.values.get("interactiveMode") == "Always":
        raise Unreachable(f"{shown} wants a terminal, which it does not get here. Use a token instead.")
    if os.sep in command:  # as in client-go, relative to the kubeconfig
        command = str(plugin.folder / command)
    arguments: Sequence[object] = plugin.values.get("args") or ()
    spec: dict[str, Any] = {"interactive": False}
    if plugin.values.get("provideClusterInfo"):
        keys = ("server", "certificate-authority-data", "tls-server-name", "insecure-skip-tls-verify")
        spec["cluster"] = {key: cluster.values[key] for key in keys if key in cluster.values}
    info = {"apiVersion": plugin.values.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
    own = {str(item["name"]): str(item["value"]) for item in plugin.values.get("env") or ()}
    try:
        ended = processes.run(
            [command, *map(str, arguments)],
            timeout_s=PLUGIN_TIMEOUT_S,
            env={**environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)},
        )
    except ProcessProblem as error:
        raise Unreachable(f"{shown} could not be started: {error}") from None
    by_hand = "Run any kubectl command with this context by hand to log in, then start again."
    if ended.timed_out:
        raise Unreachable(f"{shown} did not end in {PLUGIN_TIMEOUT_S:g} s (it cannot ask here). {by_hand}")
    if ended.exit_code != 0:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
        raise Unreachable(f"{shown} ended with exit code {ended.exit_code}: {last}. {by_hand}")
    try:
        status = json.loads(ended.stdout)["status"]
        if not (status.get("token") or status.get("clientCertificateData")):
            raise KeyError("token")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unreachable(f"{shown} printed no credential (ExecCredential). {by_hand}") from None
    return dict(status)


def _read_text(path: Path, what: str, problem: type[Unreachable] = Unreachable) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise problem(f"{path} ({what}) cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise problem(f"{path} ({what}) is no text.") from None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none at all"
