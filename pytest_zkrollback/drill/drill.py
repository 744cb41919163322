"""The drill as a run sees it: a cluster with a bad release on it, a demo application and a captured Slack."""

from __future__ import annotations

import http.client
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..clients.clock import SystemClock
from ..clients.process import LocalProcesses
from ..clients.state_dir import state_folder
from ..config.environment import Environment, Identity, Slack, Smoke
from ..config.repository import Git, Migrations
from ..domain.errors import DrillProblem, HttpProblem, UsageProblem
from ..domain.ports import Clock, Processes
from . import persistence as kept_drill
from .app import app_argv, database_url
from .binaries import find_binaries
from .demo_repository import FOLDER, MIGRATIONS
from .local_cluster import RunningCluster, start_cluster
from .locks import exclusive
from .persistence import SavedDrill
from .scenarios import DEFAULT_SCENARIO, RELEASE, SCENARIOS, build_scenario, choose_scenario
from .slack_sink import WEBHOOK_PATH, slack_sink_argv

DRILL_WORKLOADS = {
    "backend": "deployment/zkprova-zkprova-backend",
    "frontend": "deployment/zkprova-zkprova-frontend",
}
NAMESPACE = "default"  # as the runbook's commands have it
WEBHOOK_ENV = "ZKROLLBACK_DRILL_SLACK_WEBHOOK"
# Longer than the 3 s after which Helm 4's own --wait was seen to be wrong, short enough to rehearse with.
SOAK_S = 4.0
DATABASE_ENV = "ZKROLLBACK_DRILL_DATABASE_URL"
SMOKE = ("bash", "scripts/smoke-test.sh", "{url}")
_DATA = "demo"
_LISTENS_S = 20.0
_SINK_S = 5.0


class Drill:
    """One drill in use.

    Attributes:
        environment: what ``--env=drill`` means here; ``base_dir`` is the drill's folder with its scripts.
        secrets: environment variable name -> value, for what the environment names.
        kept: whether it stays after this run.
        hints: shell lines with which a kept drill is worked on by hand; empty if it is not kept.
    """

    def __init__(self, kept: SavedDrill, running: RunningCluster | None, *, stays: bool) -> None:
        """``running``: None for one that an earlier run kept."""
        self._kept = kept
        self._running = running
        self.kept = stays
        self.environment = _environment(kept)
        database = database_url(kept.cluster.data_dir / _DATA)
        self.secrets = {WEBHOOK_ENV: kept.webhook, DATABASE_ENV: database}
        self.hints = _hints(kept) if stays else ()

    def fetch_slack_messages(self) -> list[dict[str, Any]]:
        """What the local Slack received, oldest first: ``received_at``, ``path``, ``message``.

        Raises HttpProblem.
        """
        parts = urlsplit(self._kept.webhook)
        try:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SINK_S)
            try:
                connection.request("GET", "/messages")
                return [dict(entry) for entry in json.loads(connection.getresponse().read())]
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpProblem(f"The drill's Slack does not tell what it received: {error}.") from None

    def close(self) -> None:
        """End everything, unless it is kept."""
        if self._running is not None and not self.kept:
            self._running.close()
            self._running = None


def start_drill(
    *,
    keep: bool,
    scenario: str | None,
    progress: Callable[[str], None],
    processes: Processes | None = None,
    clock: Clock | None = None,
) -> Drill:
    """The kept drill if one lives, else a new one with the scenario played.

    Raises DrillProblem, and UsageProblem for a scenario that is not known.

    ``scenario``: None is the default scenario, or whatever the kept drill plays. ``processes`` should end its
    programs on an interrupt. Whatever interrupts the start, nothing of it stays.
    """
    processes = processes if processes is not None else LocalProcesses(end_on_error=True)
    clock = clock if clock is not None else SystemClock()
    choose_scenario(scenario or DEFAULT_SCENARIO)
    with _state(progress, needed=keep) as folder:
        found = _find_kept(folder, processes, clock, progress) if folder is not None else None
        if found is not None:
            _same_scenario(found, scenario)
            progress("Using the kept drill")
            return Drill(found, None, stays=True)
        if keep:
            return _start(folder, scenario or DEFAULT_SCENARIO, progress, processes, clock)
    # Without --drill-keep there is nothing to remember, so others need not wait for this start.
    return _start(None, scenario or DEFAULT_SCENARIO, progress, processes, clock)


def refuse_another_scenario(scenario: str | None) -> None:
    """Raises UsageProblem if a kept drill plays another scenario than the one asked for."""
    with _state(lambda _: None, needed=False) as folder:
        found = kept_drill.load(folder) if folder is not None else None
        if found is not None and kept_drill.is_alive(found):
            _same_scenario(found, scenario)


def _same_scenario(found: SavedDrill, scenario: str | None) -> None:
    if scenario is not None and scenario != found.scenario:
        raise UsageProblem(
            f"The kept drill plays the scenario {found.scenario!r}, not {scenario!r}: end it first, with"
            " `pytest --drill-stop`, or leave --drill-scenario away; helm did not run."
        )


def stop_drill() -> str:
    """End the kept drill; returns the sentence that says what was done. Raises DrillProblem."""
    with _state(lambda _: None, needed=True) as folder:
        found = kept_drill.load(folder) if folder is not None else None
        if folder is None or found is None:
            return "No drill is kept: there is nothing to stop."
        lived = kept_drill.is_alive(found)
        kept_drill.end(found, SystemClock())
        kept_drill.delete(folder)
    if lived:
        return f"The kept drill has ended: its processes are gone, and so is {found.cluster.data_dir}."
    return "The kept drill had ended already; what it left was removed."


@contextmanager
def _state(progress: Callable[[str], None], *, needed: bool) -> Iterator[Path | None]:
    """The state folder, locked; None if it cannot be used and is not ``needed``."""
    try:
        folder = state_folder("drill")
    except OSError as error:
        if needed:
            raise DrillProblem(
                f"The folder in which a kept drill is remembered cannot be made: {error}. Set XDG_STATE_HOME"
                " to a folder that you can write."
            ) from None
        yield None
        return
    with exclusive(folder / "lock", lambda: progress("Another run is starting a drill to keep; waiting")):
        yield folder


def _find_kept(
    folder: Path, processes: Processes, clock: Clock, progress: Callable[[str], None]
) -> SavedDrill | None:
    found = kept_drill.load(folder)
    if found is None:
        return None
    if kept_drill.is_alive(found) and kept_drill.answers(found, processes):
        return found
    progress("The kept drill does not live any more; removing what it left")
    kept_drill.end(found, clock)
    kept_drill.delete(folder)
    return None


def _start(
    folder: Path | None, scenario: str, progress: Callable[[str], None], processes: Processes, clock: Clock
) -> Drill:
    binaries = find_binaries(progress=progress, processes=processes, clock=clock)
    running = start_cluster(binaries, progress=progress, clock=clock)
    try:
        cluster = running.cluster
        app = _Listener(running, "demo-app", clock)
        sink = _Listener(running, "slack-sink", clock)
        data = cluster.data_dir / _DATA
        app.start(app_argv(cluster, NAMESPACE, data, app.port_file))
        sink.start(slack_sink_argv(cluster.data_dir / "slack", sink.port_file))
        token = secrets.token_hex(12)
        build_scenario(
            cluster,
            namespace=NAMESPACE,
            scenario=scenario,
            helm=binaries["helm"],
            processes=processes,
            progress=progress,
            data=data,
        )
        uid = running.api.get("/api/v1/namespaces/kube-system")[1]["metadata"]["uid"]
        kept = SavedDrill(cluster, scenario, app.url(), f"{sink.url()}{WEBHOOK_PATH}{token}", uid)
        if folder is not None:
            kept_drill.save(folder, kept)
            running.keep()
    except BaseException:
        running.close()
        raise
    return Drill(kept, running, stays=folder is not None)


class _Listener:
    """A server of ours that picks its own port and writes it into a file."""

    def __init__(self, running: RunningCluster, name: str, clock: Clock) -> None:
        self._running = running
        self._name = name
        self._clock = clock
        self.port_file = running.cluster.data_dir / f"{name}.port"

    def start(self, argv: list[str]) -> None:
        self._running.start_server(self._name, argv)

    def url(self) -> str:
        """Where it listens; waits for it. Raises DrillProblem."""
        deadline = self._clock.monotonic_s() + _LISTENS_S
        while not self.port_file.exists():
            code = self._running.ended().get(self._name)
            if code is not None or self._clock.monotonic_s() > deadline:
                ended = f"ended with exit code {code}" if code is not None else "does not listen"
                raise DrillProblem(
                    f"The drill's {self._name} {ended}. Its last words:\n"
                    + self._running.last_words(self._name)
                )
            self._clock.sleep(0.02)
        return f"http://127.0.0.1:{int(self.port_file.read_text())}"


def drill_migrations(scenario: str) -> Migrations:
    """How the demo service's migrations are found: in its database, and in a scenario's files."""
    query = "SELECT max(version) FROM schema_version"
    if not SCENARIOS[scenario].migration:
        expected = "ConfigMap/zkprova-zkprova-config/SCHEMA_VERSION"
        return Migrations(database_env=DATABASE_ENV, query=query, expected=expected)
    return Migrations(
        kind="sql",
        paths=(MIGRATIONS,),
        database_env=DATABASE_ENV,
        query=query,
        accounted_for=("zkprova-zkprova-migrate",),
    )


def _environment(kept: SavedDrill) -> Environment:
    cluster = kept.cluster
    repository = cluster.data_dir / _DATA / FOLDER
    has_files = bool(SCENARIOS[kept.scenario].migration)
    return Environment(
        name="drill",
        context=cluster.context,
        kubeconfig=str(cluster.kubeconfig),
        namespace=NAMESPACE,
        release=RELEASE,
        url=kept.url,
        workloads=DRILL_WORKLOADS,
        helm=str(cluster.binaries["helm"]),
        smoke=Smoke(command=SMOKE),
        soak_s=SOAK_S,
        slack=Slack(webhook_env=WEBHOOK_ENV),
        identity=Identity(kube_system_uid=kept.identity),
        migrations=drill_migrations(kept.scenario),
        git=Git(checkout=str(repository), branch="main", ref="{app_version}") if has_files else None,
        base_dir=str(Path(__file__).parent),
    )


def _hints(kept: SavedDrill) -> tuple[str, ...]:
    folders = dict.fromkeys(str(kept.cluster.binaries[name].parent) for name in ("helm", "kubectl"))
    return (
        f"export KUBECONFIG={kept.cluster.kubeconfig}",
        f"export PATH={os.pathsep.join(folders)}:$PATH",
    )
