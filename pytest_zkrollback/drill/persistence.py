"""A drill that was kept for the next run: where it is remembered, whether it lives, how it ends."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..clients.state_dir import write_private
from ..domain.errors import DrillProblem, ProcessProblem
from ..domain.ports import Clock, Processes
from .locks import is_held, is_locked
from .supervised import PREFIX
from .supervisor import ALIVE, end_supervisor
from .venue import ClusterAccess

# A namespace on a cluster that is not the drill's own is deleted first.
_END_S = 60.0
_ANSWER_S = 15.0


@dataclass(frozen=True)
class SavedDrill:
    """What the next run has to know. ``url`` is the demo application's, ``webhook`` the Slack sink's.

    ``identity`` is the UID of the kube-system namespace, by which the drill's environment is pinned.
    ``venue`` is the name of its :class:`.venue.Venue`, ``database`` the database's URL (may be empty);
    ``makes_namespace``: in a cluster that is not its own. ``checkout``: the folder whose drill it is.
    ``prometheus``: the URL of its Prometheus; empty for a scenario without metrics.
    """

    cluster: ClusterAccess
    scenario: str
    url: str
    webhook: str
    identity: str
    venue: str = "kwok"
    namespace: str = "default"
    database: str = ""
    makes_namespace: bool = False
    checkout: str = ""
    prometheus: str = ""


_FORMAT = TypeAdapter(SavedDrill)
_STATE = "state.json"


def others(folder: Path) -> list[SavedDrill]:
    """The drills that other checkouts keep and that live, by their own folders beside ``folder``."""
    beside = sorted(each.parent for each in folder.parent.glob(f"*/{_STATE}") if each.parent != folder)
    return [kept for kept in map(load, beside) if kept is not None and is_alive(kept)]


def save(folder: Path, kept: SavedDrill) -> None:
    """Write the state file, readable by its owner only. Raises OSError."""
    write_private(folder / _STATE, _FORMAT.dump_json(kept, indent=2).decode())


def load(folder: Path) -> SavedDrill | None:
    """What the state file says; None if there is none, or none that can be read."""
    try:
        return _FORMAT.validate_json((folder / _STATE).read_bytes())
    except (OSError, ValidationError):
        return None


def delete(folder: Path) -> None:
    """Remove the state file."""
    (folder / _STATE).unlink(missing_ok=True)


def is_alive(kept: SavedDrill) -> bool:
    """Whether its supervisor lives: it holds a lock, which no other process that got its number could."""
    return is_locked(kept.cluster.data_dir / ALIVE)


def supervisor_of(kept: SavedDrill) -> int:
    """The process id of its supervisor. Call it only while it lives. Raises OSError and ValueError."""
    return int((kept.cluster.data_dir / ALIVE).read_text())


def answers(kept: SavedDrill, processes: Processes) -> bool:
    """Whether its API server is ready."""
    cluster = kept.cluster
    argv = [str(cluster.binaries["kubectl"]), f"--kubeconfig={cluster.kubeconfig}"]
    argv += [f"--context={cluster.context}", "get", "--raw", "/readyz"]
    try:
        return processes.run(argv, timeout_s=_ANSWER_S).exit_code == 0
    except ProcessProblem:
        return False


def namespace_left(kept: SavedDrill, processes: Processes) -> str:
    """What to do about a drill's namespace in a cluster not its own; empty: the cluster has it no more.

    Asked with the operator's own kubeconfig, after the end: the drill's file is gone then.
    """
    if not kept.makes_namespace:
        return ""
    name, context = kept.namespace, kept.cluster.context
    argv = [str(kept.cluster.binaries["kubectl"]), f"--context={context}", "get", "namespace", name]
    argv += ["--ignore-not-found", "--output=jsonpath={.metadata.name} {.metadata.deletionTimestamp}"]
    try:
        ended = processes.run(argv, timeout_s=_ANSWER_S)
        if ended.exit_code == 0 and len(ended.stdout.split()) != 1:
            return ""
        why = "it is there" if ended.exit_code == 0 else ended.output.strip()[-300:]
    except ProcessProblem as problem:
        why = str(problem)
    return (
        f"Its namespace {name} may have stayed ({why}): delete it with `kubectl --context {context} delete"
        f" namespace {name}`, or start a drill there again, which removes it."
    )


def end(kept: SavedDrill, clock: Clock) -> None:
    """End its programs, if there are any, and remove its data folder. Raises DrillProblem."""
    data_dir = kept.cluster.data_dir
    with suppress(FileNotFoundError, NotADirectoryError), (data_dir / ALIVE).open() as alive:
        if is_held(alive):
            pid = end_supervisor(data_dir)
            deadline = clock.monotonic_s() + _END_S
            while is_held(alive):
                if clock.monotonic_s() > deadline:
                    raise DrillProblem(
                        f"The kept drill's supervisor (process {pid}) did not end within {_END_S:g} s of"
                        f" SIGTERM. End it with: kill -9 {pid}; its data folder is {data_dir}."
                    )
                clock.sleep(0.02)
    if data_dir.name.startswith(PREFIX):  # whatever a damaged state file says, nothing else is removed
        with suppress(OSError):
            shutil.rmtree(data_dir)
