"""The operator's own helm binary, as argv; it decides nothing. How its versions differ is one table here."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import HelmProblem
from ..domain.ports import Finished, Processes

VERSION_TIMEOUT_S = 25  # the preflight's budget is shorter, unless it is patient (break-glass)
# helm rounds --timeout to what Go's ParseDuration reads, and its own end comes before ours.
DEADLINE_GRACE_S = 15
_REDIRECTS = ("HELM_NAMESPACE", "HELM_MAX_HISTORY", "HELM_DEBUG")
DESCRIPTION_LIMIT = 256  # characters; Helm 4 refuses 257 (docs/helm-facts.md, 7)
MAJORS = (3, 4)
# Since which (major, minor) `helm rollback` has an option; an unknown one ends it before it does anything.
# Source: pkg/cmd/rollback.go (cmd/helm/rollback.go) of v3.2.0, v3.4.0, v3.22.0 and v4.0.0 to v4.3.1;
# pkg/cli/environment.go of v3.0.0, v3.2.0, v3.9.0, v3.10.0 and v4.3.1.
SINCE = {
    "--kube-apiserver": (3, 2),
    "--kube-tls-server-name": (3, 10),
    "--history-max": (3, 4),  # before, a rollback never pruned
    "--force-conflicts": (4, 0),
    "--description": (4, 3),
}


@dataclass(frozen=True)
class HelmVersion:
    """``text`` as helm prints it, e.g. ``v4.3.1``."""

    text: str
    major: int
    minor: int

    def has(self, option: str) -> bool:
        """Whether ``helm rollback`` of this version has the option."""
        return (self.major, self.minor) >= SINCE[option]


def find_helm(configured: str | None, path: str | None) -> str:
    """The binary: the configured one, else the first on ``path`` ($PATH). Raises HelmProblem."""
    found = shutil.which(configured or "helm", path=path)
    if found is None:
        where = f"'{configured}' of the configuration" if configured else "helm on PATH"
        raise HelmProblem(
            f"There is no {where}, or it is not executable: install Helm 3 or 4, or name the binary "
            "with the key 'helm' of the environment."
        )
    return found


def parse_version(text: str) -> HelmVersion:
    """``v4.3.1`` or ``v3.22+g1234`` -> HelmVersion; raises HelmProblem for any other answer."""
    match = re.match(r"v(\d+)\.(\d+)", text.strip())
    if match is None:
        raise HelmProblem(f"helm answered {text.strip()[:60]!r} instead of a version: is this binary helm?")
    major = int(match.group(1))
    if major not in MAJORS:
        raise HelmProblem(f"helm {text.strip()} is not supported: install Helm 3 or Helm 4.")
    return HelmVersion(text=text.strip(), major=major, minor=int(match.group(2)))


class HelmCli:
    """Helm bound to one context, namespace, kubeconfig and API server, given explicitly with every call."""

    def __init__(
        self,
        binary: str,
        processes: Processes,
        *,
        context: str | None,
        kubeconfig: str | None,
        namespace: str,
        environ: Mapping[str, str],
        server: str = "",
        tls_server_name: str = "",
    ) -> None:
        """``environ`` is the operator's; HELM_KUBE* and what else redirects helm is scrubbed from it.

        ``server`` is the API server that everything else was asked of, ``tls_server_name`` by which name its
        certificate is checked, where that is not its own.
        """
        self.binary = binary
        self._processes = processes
        self._scope = ["--namespace", namespace]
        if context is not None:
            self._scope += ["--kube-context", context]
        if kubeconfig is not None:
            self._scope += ["--kubeconfig", str(Path(kubeconfig).expanduser())]  # as our own reader does
        # In the cluster the server is a variable of our own environment, which helm gets.
        self._server = server if context is not None else ""
        self._tls_server_name = tls_server_name
        self._environ = {
            key: value
            for key, value in environ.items()
            if not key.startswith("HELM_KUBE") and key not in _REDIRECTS
        }
        if context is None:
            # In the cluster helm has to use the service account too, whatever kubeconfig lies around.
            self._environ["KUBECONFIG"] = os.devnull

    def fetch_version(self) -> HelmVersion:
        """``helm version``; raises HelmProblem."""
        done = self._processes.run(
            [self.binary, "version", "--template", "{{.Version}}"],
            timeout_s=VERSION_TIMEOUT_S,
            env=self._environ,
        )
        if done.timed_out:
            raise HelmProblem(f"`{self.binary} version` did not end within {VERSION_TIMEOUT_S} s.")
        if done.exit_code != 0:
            raise HelmProblem(
                f"`{self.binary} version` failed (exit code {done.exit_code}): {done.output.strip()[:200]}"
            )
        return parse_version(done.stdout)

    def rollback_argv(
        self,
        release: str,
        revision: int,
        *,
        timeout_s: float,
        description: str,
        version: HelmVersion,
        no_hooks: bool = False,
        force_conflicts: bool = False,
    ) -> list[str]:
        """``helm rollback RELEASE N``: never pruning (--history-max 0), never waiting (we judge).

        ``no_hooks``: of a stranded release whose hook failed or hung, and would again. ``force_conflicts``:
        the operator accepted that fields are taken from their managers.
        """
        argv = [self.binary, "rollback", release, str(revision), *self._scope, *self._binding(version)]
        argv += ["--timeout", f"{max(1, int(timeout_s))}s"]
        if version.has("--history-max"):
            argv += ["--history-max", "0"]
        if force_conflicts and version.has("--force-conflicts"):
            argv += ["--force-conflicts"]
        if no_hooks:
            argv += ["--no-hooks"]
        if version.has("--description"):
            argv += ["--description", shorten(description)]
        return argv

    def _binding(self, version: HelmVersion) -> list[str]:
        """Options that lead helm to the very server that was looked at, should the context's be another by
        now.

        CA, credentials and proxy stay the context's, so that another cluster's server fails on TLS. Where a
        server is given, client-go leaves the context's tls-server-name out (getCluster in
        tools/clientcmd/client_config.go): a helm that cannot be told it again is not bound.
        """
        if not self._server or not version.has("--kube-apiserver"):
            return []
        if not self._tls_server_name:
            return ["--kube-apiserver", self._server]
        if not version.has("--kube-tls-server-name"):
            return []
        return ["--kube-apiserver", self._server, "--kube-tls-server-name", self._tls_server_name]

    def run_rollback(self, argv: list[str], *, timeout_s: float, on_start: Callable[[int], None]) -> Finished:
        """The one call that changes anything. Helm's own --timeout ends it before our deadline does."""
        return self._processes.run(
            argv, timeout_s=timeout_s + DEADLINE_GRACE_S, env=self._environ, on_start=on_start, detached=True
        )


def shorten(text: str) -> str:
    """One line of at most 256 characters, as Helm 4 wants its description."""
    line = " ".join(text.split())
    return line if len(line) <= DESCRIPTION_LIMIT else line[: DESCRIPTION_LIMIT - 3] + "..."
