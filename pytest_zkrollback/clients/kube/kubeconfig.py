"""Reads a kubeconfig, or the in-cluster service account: where the API server is and who we are to it.

Kubernetes' client library for Python does not do it: it runs credential plugins without a deadline, lets
them read the terminal, and leaves keys in temporary files. What is accepted follows client-go
(tools/clientcmd: loader.go, validation.go, client_config.go).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from ...domain.errors import KubeconfigProblem, Unreachable
from ...domain.ports import Processes
from ...domain.yaml_as_go import YamlProblem, load_all
from . import proxies
from .access import Access, pem_blocks
from .credential_plugin import ClusterInfo, ExecConfig, Stated, Text, run_plugin, secrets_of

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SIZE_LIMIT = 8 << 20  # bytes; a kubeconfig with hundreds of clusters has 1 MB


def _tell_nobody(_secret: str) -> None:
    """For callers that show nothing."""


def read_access(
    context: str | None,
    kubeconfig: str | None,
    *,
    processes: Processes | None = None,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
    keep_secret: Callable[[str], object] = _tell_nobody,
) -> Access:
    """The access of ``context`` (None: in-cluster), credential plugin included (it may take 10 s).

    ``kubeconfig`` is one file; None: the files of ``$KUBECONFIG``, else ``~/.kube/config``. Several files
    are merged as kubectl does: the first one that names an entry wins, missing files are passed over,
    relative paths are relative to the file that holds them. ``keep_secret`` hears what a credential plugin
    is given before it runs, and every credential. Raises Unreachable.
    """
    environ = os.environ if environ is None else environ
    if context is None:
        access = _in_cluster(environ, service_account)
    else:
        access = _Kubeconfig.read(kubeconfig, environ).access(context, processes, environ, keep_secret)
    for secret in access.secrets:
        keep_secret(secret)
    return access


def read_server(context: str, kubeconfig: str | None, environ: Mapping[str, str] | None = None) -> Access:
    """Where ``context`` leads, without credentials: no plugin runs. See :func:`read_access`.

    Raises Unreachable.
    """
    return _Kubeconfig.read(kubeconfig, os.environ if environ is None else environ).server(context)


@dataclass(frozen=True)
class Contexts:
    """``namespaces``: by the context's name; empty: it names none. ``current``: empty: none is."""

    namespaces: Mapping[str, str]
    current: str


def read_contexts(kubeconfig: str | None, environ: Mapping[str, str] | None = None) -> Contexts:
    """The contexts of the kubeconfig, without credentials. See :func:`read_access`.

    Raises KubeconfigProblem.
    """
    found = _Kubeconfig.read(kubeconfig, os.environ if environ is None else environ)
    if not found.contexts:
        raise KubeconfigProblem(f"The kubeconfig {found.where} has no context. Log in to a cluster first.")
    return Contexts({name: each.namespace for name, each in found.contexts.items()}, found.current)


def _in_cluster(environ: Mapping[str, str], folder: Path) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubeconfigProblem(
            "This is not a pod: KUBERNETES_SERVICE_HOST is not set, so there is no in-cluster service "
            "account. Name a kubeconfig context for this environment."
        )
    token = _read(folder / "token", "the service account's token").strip()
    return Access(
        label="the in-cluster service account",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=_read(folder / "ca.crt", "the service account's CA"),
        authorization=f"Bearer {token}",
        secrets=(token,),
    )


def _kebab(name: str) -> str:
    return name.removesuffix("_").replace("_", "-")


class _Stated(Stated):
    """Its keys are written with dashes."""

    model_config = ConfigDict(alias_generator=_kebab)


_Entry = TypeVar("_Entry")


class _Cluster(_Stated):
    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: list[dict[str, Any]] = Field(default_factory=list)


class _AuthProvider(_Stated):
    name: str = ""
    config: dict[str, Text] = Field(default_factory=dict)


class _User(_Stated):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = Field(default="", alias="tokenFile")
    as_: str = ""
    as_uid: str = ""
    as_groups: list[Text] = Field(default_factory=list)
    as_user_extra: dict[str, list[Text]] = Field(default_factory=dict)
    username: str = ""
    password: str = ""
    auth_provider: _AuthProvider | None = None
    exec: ExecConfig | None = None


class _Context(_Stated):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(_Stated):
    name: str = ""
    cluster: _Cluster = _Cluster()


class _NamedUser(_Stated):
    name: str = ""
    user: _User = _User()


class _NamedContext(_Stated):
    name: str = ""
    context: _Context = _Context()


class _File(_Stated):
    clusters: list[_NamedCluster] = Field(default_factory=list)
    users: list[_NamedUser] = Field(default_factory=list)
    contexts: list[_NamedContext] = Field(default_factory=list)
    current_context: str = ""

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        for what, entries in (("cluster", self.clusters), ("user", self.users), ("context", self.contexts)):
            names = [entry.name for entry in entries]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"names {what} '{twice}' twice")
        return self


class _Kubeconfig:
    """The merged files; an entry comes with the folder that its relative paths start from."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.clusters: dict[str, tuple[_Cluster, Path]] = {}
        self.users: dict[str, tuple[_User, Path]] = {}
        self.contexts: dict[str, _Context] = {}
        self.current = ""

    @classmethod
    def read(cls, kubeconfig: str | None, environ: Mapping[str, str]) -> _Kubeconfig:
        listed = [kubeconfig] if kubeconfig else environ.get("KUBECONFIG", "").split(os.pathsep)
        paths = [_path(name) for name in listed if name] or [_path("~/.kube/config")]
        where = " and ".join(str(path) for path in paths)
        merged = cls(where)
        existing = [path for path in paths if _exists(path)]
        if not existing:
            raise KubeconfigProblem(
                f"There is no kubeconfig: {where} does not exist. Set KUBECONFIG, or name the file as "
                "`kubeconfig` in the environment's table."
            )
        for path in existing:
            merged._add(path)
        return merged

    def _add(self, path: Path) -> None:
        text = _read(path, "the kubeconfig", KubeconfigProblem, encoding="utf-8-sig")
        try:
            documents = load_all(text)
        except YamlProblem as problem:
            raise KubeconfigProblem(f"The kubeconfig {path} {problem}. Repair it, or name another.") from None
        try:
            file = _File.model_validate(next(iter(documents), None) or {})
        except ValidationError as error:
            raise KubeconfigProblem(
                f"The kubeconfig {path} {_what_is_wrong(error)}. Repair it, or name another."
            ) from None
        folder = path.absolute().parent
        for cluster in file.clusters:
            self.clusters.setdefault(cluster.name, (cluster.cluster, folder))
        for user in file.users:
            self.users.setdefault(user.name, (user.user, folder))
        for context in file.contexts:
            self.contexts.setdefault(context.name, context.context)
        self.current = self.current or file.current_context

    def server(self, context: str) -> Access:
        label = f"context '{context}'"
        cluster, folder = self._cluster(context)
        server = cluster.server.rstrip("/")
        if not server.startswith(("https://", "http://")):
            raise Unreachable(f"The cluster of {label} in {self.where} has no server URL (https://...).")
        ca = _pem(
            cluster.certificate_authority_data,
            cluster.certificate_authority,
            folder,
            f"certificate-authority of {label}",
        )
        proxy = cluster.proxy_url or None
        if proxy is not None and not proxies.is_proxy(proxy):
            raise KubeconfigProblem(
                f"The proxy-url of {label} in {self.where} is no address of a proxy: it has to begin with"
                " http://, https:// or socks5://. Repair it, or take it out."
            )
        return Access(
            label=label,
            server=server,
            # By its certificates alone two files with the same CA are the same.
            ca="\n".join(pem_blocks(ca, "CERTIFICATE")) or ca if ca is not None else None,
            insecure=cluster.insecure_skip_tls_verify,
            tls_server_name=cluster.tls_server_name or None,
            proxy=proxy,
            secrets=(proxy,) if proxy and "@" in proxy else (),
        )

    def access(
        self,
        context: str,
        processes: Processes | None,
        environ: Mapping[str, str],
        keep_secret: Callable[[str], object],
    ) -> Access:
        server = self.server(context)
        name = self.contexts[context].user
        if not name:
            return server
        user, folder = self._named(self.users, "user", name, server.label)
        identity = _static_identity(user, folder, server)
        if identity.authorization is not None or user.exec is None:
            return identity
        for secret in secrets_of(user.exec):
            keep_secret(secret)
        info = _cluster_info(self._cluster(context)[0], server)
        credential = run_plugin(user.exec, folder, info, server.label, processes, environ)
        return replace(
            identity,
            authorization=f"Bearer {credential.token}" if credential.token else None,
            client_cert=credential.client_certificate or identity.client_cert,
            client_key=credential.client_key or identity.client_key,
            secrets=(*identity.secrets, *filter(None, (credential.token, credential.client_key))),
        )

    def _cluster(self, context: str) -> tuple[_Cluster, Path]:
        if context not in self.contexts:
            raise KubeconfigProblem(
                f"The kubeconfig {self.where} has no context '{context}'; it has {_listed(self.contexts)}."
            )
        return self._named(self.clusters, "cluster", self.contexts[context].cluster, f"context '{context}'")

    def _named(
        self, entries: Mapping[str, tuple[_Entry, Path]], kind: str, name: str, label: str
    ) -> tuple[_Entry, Path]:
        if name not in entries:
            raise KubeconfigProblem(
                f"{label[0].upper()}{label[1:]} names {kind} '{name}', which the kubeconfig {self.where} "
                f"does not have; it has {_listed(entries)}."
            )
        return entries[name]


def _static_identity(user: _User, folder: Path, server: Access) -> Access:
    """``server`` with what the file itself says of who we are."""
    label = server.label
    cert = _pem(
        user.client_certificate_data, user.client_certificate, folder, f"client-certificate of {label}"
    )
    key = _pem(user.client_key_data, user.client_key, folder, f"client-key of {label}")
    if cert is not None and key is None:
        raise KubeconfigProblem(
            f"The user of {label} has a client-certificate and no client-key. Add client-key or"
            " client-key-data."
        )
    token = user.token
    if user.token_file:  # as in client-go, the file wins where it can be read
        try:
            token = _read(folder / user.token_file, f"tokenFile of {label}").strip()
        except Unreachable:
            if not token:
                raise
    if not token and user.auth_provider is not None:
        config = user.auth_provider.config
        token = config.get("id-token") or config.get("access-token") or ""
        if not token:
            raise Unreachable(
                f"The auth-provider of {label} holds no token. Log in with kubectl, or use a credential "
                "plugin (exec), then start again."
            )
    secrets = [token]
    authorization = f"Bearer {token}" if token else None
    if authorization is None and user.username:
        pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
        authorization = f"Basic {pair}"
        secrets += [pair, user.password]
    return replace(
        server,
        authorization=authorization,
        client_cert=cert,
        client_key=key,
        impersonate_user=user.as_ or None,
        impersonate_uid=user.as_uid or None,
        impersonate_groups=tuple(user.as_groups),
        impersonate_extra=tuple((name, tuple(values)) for name, values in user.as_user_extra.items()),
        secrets=(*filter(None, (*secrets, key)), *server.secrets),
    )


def _cluster_info(cluster: _Cluster, server: Access) -> ClusterInfo:
    """What a plugin is told of the cluster: the CA's content, also where the kubeconfig names a file."""
    config = next(
        (each.get("extension") for each in cluster.extensions if each.get("name") == ClusterInfo.EXTENSION),
        None,
    )
    return ClusterInfo(
        server=cluster.server,
        tls_server_name=cluster.tls_server_name,
        insecure_skip_tls_verify=cluster.insecure_skip_tls_verify,
        certificate_authority=server.ca or "",
        proxy_url=cluster.proxy_url,
        disable_compression=cluster.disable_compression,
        config=config,
    )


def _pem(data: str, name: str, folder: Path, what: str) -> str | None:
    """The text of ``data`` (base64, in lines or not), else of the file ``name``; None without both."""
    if data:
        try:
            return base64.b64decode("".join(data.split()), validate=True).decode("latin-1")
        except (binascii.Error, ValueError):
            raise Unreachable(f"{what.replace(' of ', '-data of ', 1)} is not base64 of a text.") from None
    return _read(folder / name, what, encoding="latin-1") if name else None


def _what_is_wrong(error: ValidationError) -> str:
    """The first thing, as a predicate: ``is YAML but no kubeconfig: users[0].name has to be a text``."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["msg"]).removeprefix("Value error, ")
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    wanted = _WANTED.get(first["type"], "something else")
    return f"is YAML but no kubeconfig: {place or 'its content'} has to be {wanted}"


_WANTED = {
    "string_type": "a text (in quotes, if it looks like a number)",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def _path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~ where nobody has a home: no such file
        return Path(name)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return True  # reading it says what is wrong


def _read(path: Path, what: str, problem: type[Unreachable] = Unreachable, *, encoding: str = "utf-8") -> str:
    """The text of a regular file (or pipe of the shell). Raises ``problem``."""
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise problem(f"{path} ({what}) cannot be read: {error.strerror}.") from None
    except ValueError:
        raise problem(f"{str(path)!r} ({what}) is no path of a file.") from None
    if len(content) > _SIZE_LIMIT:
        raise problem(f"{path} ({what}) is larger than {_SIZE_LIMIT >> 20} MiB.")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise problem(f"{path} ({what}) is no text.") from None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none at all"
