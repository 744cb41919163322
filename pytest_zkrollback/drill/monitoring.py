"""Prometheus beside the drill's cluster, and a small load: for a scenario that only a metric shows.

Both are programs of the drill and go with it. A kept drill lives on without them, as a cluster does whose
monitoring has died.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..clients.prometheus import PrometheusClient, fill_in
from ..config.environment import Metric, Metrics
from ..domain.errors import DrillProblem
from .binaries import find_binaries
from .control_plane import free_port
from .programs import PROMETHEUS, ZKPROVA
from .scenarios import RELEASE

if TYPE_CHECKING:
    from ..domain.ports import Clock, Processes
    from .supervised import Supervised

# Of every pod's /metrics, and of the list of pods.
SCRAPE_S: Final = 1
# What the curve shows of revision 5.
_HEALTHY_S: Final = 8.0
_WAIT_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.2


def find_monitoring(
    progress: Callable[[str], None], processes: Processes, clock: Clock
) -> Mapping[str, Path]:
    """Prometheus and the load's program, built where they are missing. Raises DrillProblem."""
    return find_binaries(tools=(PROMETHEUS, ZKPROVA), progress=progress, processes=processes, clock=clock)


def metrics_table(checks: tuple[Metric, ...], url: str) -> Metrics:
    """The environment's table; the first check answers the decision's signal, too."""
    return Metrics(url=url, users_impacted=checks[0].id, checks=checks)


class Monitoring:
    """Starts them and waits for what they show of the first of ``checks``; ``url`` is Prometheus' own."""

    def __init__(
        self,
        supervised: Supervised,
        programs: Mapping[str, Path],
        checks: tuple[Metric, ...],
        *,
        app: str,
        namespace: str,
        clock: Clock,
        progress: Callable[[str], None] = lambda _: None,
        suffix: str = "",
    ) -> None:
        """``programs`` are :func:`find_monitoring`'s; ``app`` is the application's URL; nothing is started.

        ``suffix`` tells the programs of several from each other.
        """
        self._supervised = supervised
        self._programs = programs
        self.checks = checks
        self._app = app
        self._namespace = namespace
        self._clock = clock
        self._progress = progress
        self.prometheus, self.load = f"prometheus{suffix}", f"load{suffix}"
        self.pid = 0  # Prometheus', once it is started
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._client = PrometheusClient(metrics_table(checks, self.url), {}, clock)

    def start(self) -> None:
        """Start Prometheus, again with what it knew if it was stopped. Raises DrillProblem."""
        folder = self._supervised.data_dir / self.prometheus
        folder.mkdir(exist_ok=True)
        file = folder / "prometheus.json"
        file.write_text(json.dumps(_configuration(self._app)), encoding="utf-8")
        argv = [
            *(str(self._programs["prometheus"]), f"--config.file={file}"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{self._port}"),
            *(f"--scrape.discovery-reload-interval={SCRAPE_S}s", "--log.level=warn"),
        ]
        self.pid = self._supervised.start_server(self.prometheus, argv, vital=False)

    def watch_health(self) -> None:
        """Start the load and watch the healthy revision for a while. Raises DrillProblem."""
        argv = [str(self._programs["zkprova"]), "load", "--url", self._app]
        self._supervised.start_server(self.load, argv, vital=False)
        self._progress("Prometheus: watching revision 5 for a while")
        self._wait_for("the error rate of revision 5 to be in order", lambda value: not self._is_out(value))
        self._clock.sleep(_HEALTHY_S)

    def wait_until_it_shows(self) -> None:
        """Wait until the first check is out of bounds. Raises DrillProblem."""
        self._wait_for("the error rate of revision 6 to show", self._is_out)

    def value(self) -> float | None:
        """The first check's value now; None: there is none."""
        return self._client.query(fill_in(self.checks[0].query, self._namespace, RELEASE)).value

    def _is_out(self, value: float) -> bool:
        limit = self.checks[0].max
        return limit is not None and value > limit

    def _wait_for(self, what: str, done: Callable[[float], bool]) -> None:
        deadline = self._clock.monotonic_s() + _WAIT_S
        while (value := self.value()) is None or not done(value):
            for name in (self.prometheus, self.load):
                if name in self._supervised.ended():
                    raise DrillProblem(
                        f"The drill's {name} ended. Its last words:\n{self._supervised.last_words(name)}"
                    )
            if self._clock.monotonic_s() > deadline:
                raise DrillProblem(
                    f"The drill waited {_WAIT_S:g} s for {what} in vain. Prometheus' last words:\n"
                    + self._supervised.last_words(self.prometheus)
                )
            self._clock.sleep(_LOOK_EVERY_S)


def _configuration(app: str) -> dict[str, object]:
    """Prometheus' file, as JSON, which is YAML: the application lists its pods, and each is scraped."""
    every = f"{SCRAPE_S}s"
    job = {
        "job_name": "zkprova-backend",
        "http_sd_configs": [{"url": f"{app}/targets", "refresh_interval": every}],
    }
    return {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": [job]}
