"""Runs a kubeconfig's credential plugin (``exec``), with a deadline and without a terminal.

Source: client-go, plugin/pkg/client/auth/exec/exec.go, and the API client.authentication.k8s.io.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from ...domain.errors import ProcessProblem, Unreachable
from ...domain.ports import Processes
from ...domain.secret_names import names_a_secret

PLUGIN_TIMEOUT_S = 10.0
# Variables of well-known plugins that say where or for whom, and hold no secret.
_OPEN_VARIABLES = re.compile(
    r"(?i)AWS_(?:PROFILE|REGION|DEFAULT_REGION|STS_REGIONAL_ENDPOINTS|CONFIG_FILE)|HOME|PATH"
)
_LOOKS_RANDOM = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])[\w+/=.~-]{20,}")
_WORDS = re.compile(r"(?:[A-Za-z]+|[0-9]{1,4})(?:[-_./:](?:[A-Za-z]+[0-9]{0,2}|[0-9]{1,4}))*")
_MESSAGE_CHARS = 1000
# A null in a list is an empty text, as in Go.
Text = Annotated[str, BeforeValidator(lambda text: "" if text is None else text)]


class Stated(BaseModel):
    """What a file states. A null states nothing, as in Go; keys that nobody knows are passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, stated: object) -> object:
        if isinstance(stated, dict):
            return {key: value for key, value in stated.items() if value is not None}
        return stated


class ExecEnvVar(Stated):
    """A variable for the plugin."""

    name: str = ""
    value: str = ""


class ExecConfig(Stated):
    """``users[].user.exec`` of a kubeconfig."""

    api_version: str = ""
    command: str = ""
    args: list[Text] = []
    env: list[ExecEnvVar] = []
    interactive_mode: str = ""
    provide_cluster_info: bool = False


@dataclass(frozen=True)
class ClusterInfo:
    """What a plugin with ``provideClusterInfo`` is told; ``certificate_authority`` is PEM."""

    EXTENSION: ClassVar[str] = "client.authentication.k8s.io/exec"

    server: str
    tls_server_name: str
    insecure_skip_tls_verify: bool
    certificate_authority: str
    proxy_url: str
    disable_compression: bool
    config: object

    def as_json(self) -> dict[str, Any]:
        """``spec.cluster`` of an ExecCredential."""
        data = base64.b64encode(self.certificate_authority.encode("latin-1")).decode()
        told = {
            "server": self.server,
            "tls-server-name": self.tls_server_name,
            "insecure-skip-tls-verify": self.insecure_skip_tls_verify,
            "certificate-authority-data": data,
            "proxy-url": self.proxy_url,
            "disable-compression": self.disable_compression,
            "config": self.config,
        }
        return {key: value for key, value in told.items() if value}


@dataclass(frozen=True)
class Credential:
    """A token, or a certificate with its key (PEM), or all three."""

    token: str = ""
    client_certificate: str = ""
    client_key: str = ""


def secrets_of(plugin: ExecConfig) -> Iterator[str]:
    """What the plugin is given that it should not have repeated: before it runs, a failing one may."""
    for variable in plugin.env:
        if not _OPEN_VARIABLES.fullmatch(variable.name):
            yield variable.value
    option = ""
    for argument in plugin.args:
        name, given, value = argument.partition("=") if argument.startswith("-") else (option, "=", argument)
        if given and (
            names_a_secret(name) or (_LOOKS_RANDOM.fullmatch(value) and not _WORDS.fullmatch(value))
        ):
            yield value
        option = argument if argument.startswith("-") else ""


def run_plugin(
    plugin: ExecConfig,
    folder: Path,
    cluster: ClusterInfo,
    label: str,
    processes: Processes | None,
    environ: Mapping[str, str],
) -> Credential:
    """What the plugin prints; a relative command starts from ``folder``. Raises Unreachable."""
    command = plugin.command
    if not command:
        raise Unreachable(f"The credential plugin of {label} names no command. Add `command` to its `exec`.")
    shown = f"The credential plugin '{Path(command).name}' of {label}"
    if processes is None or plugin.interactive_mode == "Always":
        raise Unreachable(f"{shown} wants a terminal, which it does not get here. Use a token instead.")
    if os.sep in command:
        command = str(folder / command)
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        spec["cluster"] = cluster.as_json()
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    own = {variable.name: variable.value for variable in plugin.env}
    try:
        ended = processes.run(
            [command, *plugin.args],
            timeout_s=PLUGIN_TIMEOUT_S,
            env={**environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)},
        )
    except ProcessProblem as error:
        raise Unreachable(f"{shown} could not be started: {error}") from None
    by_hand = "Run any kubectl command with this context by hand to log in, then start again."
    if ended.timed_out:
        raise Unreachable(f"{shown} did not end in {PLUGIN_TIMEOUT_S:g} s (it cannot ask here). {by_hand}")
    if ended.exit_code != 0:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1][:_MESSAGE_CHARS]
        raise Unreachable(f"{shown} ended with exit code {ended.exit_code}: {last}. {by_hand}")
    credential = _credential(ended.stdout)
    if credential is None:
        raise Unreachable(f"{shown} printed no credential (ExecCredential). {by_hand}")
    return credential


def _credential(printed: str) -> Credential | None:
    """None for everything that is no usable ExecCredential."""
    try:
        status = json.loads(printed)["status"]
        token, cert, key = (
            status.get(name) or "" for name in ("token", "clientCertificateData", "clientKeyData")
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    usable = all(isinstance(each, str) for each in (token, cert, key)) and bool(cert) == bool(key)
    return Credential(token, cert, key) if usable and (token or cert) else None
