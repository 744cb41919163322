"""The commands that repeat an item by hand: quoted for a shell, with the flags that pin the cluster."""

from __future__ import annotations

import shlex

from ..config.environment import Environment
from ..domain.checks import JsonObject


def kubectl(env: Environment, *words: str, namespace: str | None = None) -> str:
    """A kubectl command line against exactly this environment's cluster and namespace.

    ``namespace``: another one; empty for a kind that is in none.
    """
    return _line("kubectl", "--context", env, words, env.namespace if namespace is None else namespace)


def resource_name(item: JsonObject) -> str:
    """``deployment.apps/web``: no short name of another group can be meant."""
    group = str(item["apiVersion"]).rpartition("/")[0]
    kind = str(item["kind"]).lower()
    return f"{kind}.{group}/{item['metadata']['name']}" if group else f"{kind}/{item['metadata']['name']}"


def helm(env: Environment, *words: str) -> str:
    """A helm command line against exactly this environment's cluster and namespace; helm from PATH.

    ``--all-namespaces`` among the words stands in the namespace's place.
    """
    return _line("helm", "--kube-context", env, words, "" if "--all-namespaces" in words else env.namespace)


def _line(program: str, context_flag: str, env: Environment, words: tuple[str, ...], namespace: str) -> str:
    argv = [program, *words, *(["-n", namespace] if namespace else [])]
    if not env.in_cluster:
        argv += [context_flag, env.context]
        if env.kubeconfig:
            argv += ["--kubeconfig", env.kubeconfig]
    return shlex.join(argv)
