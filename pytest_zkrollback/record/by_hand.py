"""The commands that repeat an item by hand: quoted for a shell, with the flags that pin the cluster."""

from __future__ import annotations

import shlex

from ..domain.environment import Environment


def kubectl(env: Environment, *words: str) -> str:
    """A kubectl command line against exactly this environment's cluster and namespace."""
    return _line("kubectl", "--context", env, words)


def helm(env: Environment, *words: str) -> str:
    """A helm command line against exactly this environment's cluster and namespace; helm from PATH."""
    return _line("helm", "--kube-context", env, words)


def _line(program: str, context_flag: str, env: Environment, words: tuple[str, ...]) -> str:
    argv = [program, *words, "-n", env.namespace]
    if not env.in_cluster:
        argv += [context_flag, env.context]
        if env.kubeconfig:
            argv += ["--kubeconfig", env.kubeconfig]
    return shlex.join(argv)
