"""Where a drill takes place: what differs between kwok, a kubelet of our own and a cluster that is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..domain.errors import DrillProblem, ZkRollbackError

if TYPE_CHECKING:
    from ..domain.ports import Clock, Processes
    from .images import Release
    from .supervised import Supervised


@dataclass(frozen=True)
class ClusterAccess:
    """How a drill's cluster is reached; ``data_dir`` is the drill's folder and goes with it.

    ``kubeconfig`` is one file that holds ``context``. ``binaries`` has at least kubectl and helm.
    """

    kubeconfig: Path
    context: str
    data_dir: Path
    binaries: Mapping[str, Path]


class Venue(Protocol):
    """One place, in use; :func:`.drill.start_drill` does the same in all of them."""

    @property
    def supervised(self) -> Supervised:
        """The programs that go when the drill ends."""

    @property
    def cluster(self) -> ClusterAccess:
        """How helm, kubectl and this tool reach it."""

    @property
    def namespace(self) -> str:
        """The release's; nothing outside it is touched where the cluster is not our own."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What the demo chart needs to know of this place, laid over each revision's values."""

    @property
    def database(self) -> str:
        """The URL of the application's database; empty where it is reached inside the cluster only."""

    @property
    def makes_namespace(self) -> bool:
        """Whether its namespace is made in a cluster not its own, which may be out of reach at the end."""

    @property
    def app_env(self) -> Mapping[str, str]:
        """The environment of :meth:`app_argv`, beside the usual one of supervised programs."""

    def bring_images(self, releases: Sequence[Release]) -> None:
        """Make the demo application's images of these available to the nodes. Raises DrillProblem."""

    def migrate(self, kind: str) -> None:
        """Do what the migration's Job does, where no container runs: one of demo_repository.BROUGHT."""

    def app_argv(self, port_file: Path) -> list[str]:
        """The command line that serves the application on loopback; its port is in ``port_file`` then."""

    def close(self) -> None:
        """End everything that is not kept. Raises DrillProblem if something stays."""


class VenueChoice(Protocol):
    """A place that was asked for; nothing is started yet."""

    @property
    def name(self) -> str:
        """As a person reads it, such as ``kwok`` or ``context kind-test``; a kept drill is known by it."""

    def open(self, progress: Callable[[str], None], processes: Processes, clock: Clock) -> Venue:
        """Start what has to be started. Raises DrillProblem or UsageProblem; then nothing of it stays."""


def close_after(error: BaseException, venue: Venue, progress: Callable[[str], None]) -> None:
    """End a place whose start ended with ``error``, which the caller raises again.

    What stays all the same is told to ``progress``, and raised as a DrillProblem with the error's sentence;
    an interrupt stays one.
    """
    try:
        venue.close()
    except DrillProblem as left:
        progress(str(left))
        if isinstance(error, ZkRollbackError):
            raise DrillProblem(f"{error} {left}") from None
