"""The demo application on kwok, where no container runs: the same program, on loopback, for every live pod.

``zkprova loopback`` asks the API server which pods a Service would choose from, takes the next one, and
answers as that pod's image and environment would.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..domain.errors import DrillProblem, ProcessProblem
from .demo_repository import BROUGHT

if TYPE_CHECKING:
    from ..domain.ports import Processes
    from .venue import ClusterAccess

DATABASE: Final = "srv/zkprova/zkprova.db"  # on the node, as the chart's hostPath volume says
_MIGRATION_S: Final = 20.0


def database_url(data: Path) -> str:
    """The database as the environment's variable names it; ``data`` stands for the node's disk."""
    return f"sqlite:///{(data / DATABASE).absolute()}"


def app_argv(cluster: ClusterAccess, namespace: str, data: Path, port_file: Path) -> list[str]:
    """The command line that serves ``namespace``; its port is in ``port_file`` once it listens.

    It makes the database if it is not there. The cluster's kubeconfig has to be JSON.
    """
    return [
        *(str(cluster.binaries["zkprova"]), "loopback", "--kubeconfig", str(cluster.kubeconfig)),
        *("--namespace", namespace, "--data", str(data), "--port-file", str(port_file)),
    ]


def migrate(program: Path, data: Path, kind: str, processes: Processes) -> None:
    """What the Job's container does: apply one of demo_repository.BROUGHT. Raises DrillProblem."""
    database, folder = data / DATABASE, data / "migrations"
    for path in (database.parent, folder):
        path.mkdir(parents=True, exist_ok=True)
    for name, text in BROUGHT[kind].items():
        (folder / name).write_text(text, encoding="utf-8")
    env = {"DATABASE_PATH": str(database), "ZKPROVA_MIGRATIONS": str(folder)}
    try:
        done = processes.run([str(program), "migrate", "up"], timeout_s=_MIGRATION_S, env=env)
    except ProcessProblem as problem:
        raise DrillProblem(f"The demo's migration could not be started: {problem}") from None
    if done.exit_code != 0:
        raise DrillProblem(f"The demo's migration failed: {done.output.strip() or 'it said nothing'}")
