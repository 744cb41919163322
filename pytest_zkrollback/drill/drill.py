"""The drill as a run sees it: a cluster with a bad release on it, a demo application and a captured Slack."""

from __future__ import annotations

import http.client
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..clients.clock import SystemClock
from ..clients.process import LocalProcesses
from ..clients.state_dir import state_folder
from ..config.environment import Environment, Identity, Slack, Smoke
from ..config.repository import Git, Migrations
from ..domain.errors import DrillProblem, HttpProblem, ProcessProblem, UsageProblem
from ..domain.ports import Clock, Processes
from . import persistence as kept_drill
from .demo_repository import FOLDER, MIGRATIONS
from .drill_namespace import checkout_id
from .kwok_venue import DATA, Kwok
from .locks import exclusive
from .monitoring import Monitoring, find_monitoring, metrics_table
from .persistence import SavedDrill
from .scenarios import (
    DEFAULT_SCENARIO,
    RELEASE,
    SCENARIOS,
    build_scenario,
    choose_scenario,
    releases_of,
)
from .slack_sink import WEBHOOK_PATH, slack_sink_argv
from .supervised import Supervised
from .venue import Venue, VenueChoice, close_after

DRILL_WORKLOADS = {
    "backend": "deployment/zkprova-zkprova-backend",
    "frontend": "deployment/zkprova-zkprova-frontend",
}
WEBHOOK_ENV = "ZKROLLBACK_DRILL_SLACK_WEBHOOK"
# Longer than the 3 s after which Helm 4's own --wait was seen to be wrong, short enough to rehearse with.
SOAK_S = 4.0
DATABASE_ENV = "ZKROLLBACK_DRILL_DATABASE_URL"
SMOKE = ("bash", "scripts/smoke-test.sh", "{url}")
_LISTENS_S = 20.0
_SINK_S = 5.0
_ANSWER_S = 15.0


class Drill:
    """One drill in use.

    Attributes:
        environment: what ``--env=drill`` means here; ``base_dir`` is the drill's folder with its scripts.
        secrets: environment variable name -> value, for what the environment names.
        kept: whether it stays after this run.
        hints: shell lines with which a kept drill is worked on by hand; empty if it is not kept.
    """

    def __init__(self, kept: SavedDrill, venue: Venue | None, *, stays: bool) -> None:
        """``venue``: None for one that an earlier run kept."""
        self._kept = kept
        self._venue = venue
        self.kept = stays
        self.environment = _environment(kept)
        self.secrets = {WEBHOOK_ENV: kept.webhook}
        if kept.database:
            self.secrets[DATABASE_ENV] = kept.database
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
        if self._venue is not None and not self.kept:
            self._venue.close()
            self._venue = None


def start_drill(
    *,
    keep: bool,
    scenario: str | None,
    progress: Callable[[str], None],
    checkout: Path,
    venue: VenueChoice | None = None,
    processes: Processes | None = None,
    clock: Clock | None = None,
) -> Drill:
    """The drill that this checkout keeps, if one lives, else a new one with the scenario played.

    Raises DrillProblem, and UsageProblem for a scenario that is not known.

    ``scenario``: None is the default scenario, or whatever the kept drill plays. ``venue``: None is kwok, or
    wherever the kept drill is. ``checkout``: the folder that the drill belongs to; another one's is left
    alone. ``processes`` should end its programs on an interrupt. Whatever interrupts the
    start, nothing of it stays.
    """
    processes = processes if processes is not None else LocalProcesses(end_on_error=True)
    clock = clock if clock is not None else SystemClock()
    choose_scenario(scenario or DEFAULT_SCENARIO)
    with _state(checkout, progress, needed=keep) as folder:
        found = _find_kept(folder, processes, clock, progress) if folder is not None else None
        if found is not None:
            _same(found, scenario, venue)
            progress("Using the kept drill")
            return Drill(found, None, stays=True)
        if keep and folder is not None:
            whose = _Keeper(folder, checkout)
            return _start(whose, venue or Kwok(), scenario or DEFAULT_SCENARIO, progress, processes, clock)
    # Without --drill-keep there is nothing to remember, so others need not wait for this start.
    return _start(None, venue or Kwok(), scenario or DEFAULT_SCENARIO, progress, processes, clock)


def scenario_to_play(checkout: Path, scenario: str | None, venue: VenueChoice | None = None) -> str:
    """The scenario asked for, else that of the drill which this checkout keeps, else the default one.

    Raises UsageProblem if the kept drill is another one than the one asked for.
    """
    with _state(checkout, lambda _: None, needed=False) as folder:
        found = kept_drill.load(folder) if folder is not None else None
        if found is not None and kept_drill.is_alive(found):
            _same(found, scenario, venue)
            return found.scenario
    return scenario or DEFAULT_SCENARIO


def kept_environment(checkout: Path) -> Environment:
    """``--env=drill`` of the drill that this checkout keeps. Raises UsageProblem if none lives."""
    with _state(checkout, lambda _: None, needed=False) as folder:
        found = kept_drill.load(folder) if folder is not None else None
        if found is None or not kept_drill.is_alive(found):
            raise UsageProblem(
                "No drill is kept here: there is nothing to list. Start one with `pytest --env=drill"
                " --drill-keep`; helm did not run."
            )
        return _environment(found)


def _same(found: SavedDrill, scenario: str | None, venue: VenueChoice | None) -> None:
    end = "end it first, with `pytest --drill-stop`, or leave"
    if scenario is not None and scenario != found.scenario:
        raise UsageProblem(
            f"The kept drill plays the scenario {found.scenario!r}, not {scenario!r}: {end} --drill-scenario"
            " away; helm did not run."
        )
    if venue is not None and venue.name != found.venue:
        raise UsageProblem(
            f"The kept drill runs on {found.venue}, not on {venue.name}: {end} the option away that"
            " says where; helm did not run."
        )


def stop_drill(checkout: Path) -> str:
    """End the drill that this checkout keeps; returns the sentence that says what was done.

    Raises DrillProblem.
    """
    with _state(checkout, lambda _: None, needed=True) as folder:
        found = kept_drill.load(folder) if folder is not None else None
        if folder is None or found is None:
            said = "No drill is kept: there is nothing to stop."
            return " ".join(
                [said, *map(_left_alone, kept_drill.others(folder) if folder is not None else ())]
            )
        lived = kept_drill.is_alive(found)
        kept_drill.end(found, SystemClock())
        kept_drill.delete(folder)
        left = kept_drill.namespace_left(found, LocalProcesses())
    if left:
        return f"The kept drill has ended. {left}"
    if lived:
        return f"The kept drill has ended: its processes are gone, and so is {found.cluster.data_dir}."
    return "The kept drill had ended already; what it left was removed."


def _left_alone(other: SavedDrill) -> str:
    if Path(other.checkout).is_dir():
        return f"The one of {other.checkout} was left alone: `pytest --drill-stop` ends it there."
    gone = f"The one of {other.checkout}, which is no folder any more, was left alone"
    try:
        return f"{gone}: `kill {kept_drill.supervisor_of(other)}` ends it."
    except (OSError, ValueError):  # it ended meanwhile
        return f"{gone}."


@dataclass(frozen=True)
class _Keeper:
    """Who keeps a drill: the checkout, and the folder in which that is remembered."""

    folder: Path
    checkout: Path


@contextmanager
def _state(checkout: Path, progress: Callable[[str], None], *, needed: bool) -> Iterator[Path | None]:
    """The checkout's state folder, locked; None if it cannot be used and is not ``needed``."""
    try:
        folder = state_folder("drill") / checkout_id(checkout)
        folder.mkdir(mode=0o700, exist_ok=True)
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
    if left := kept_drill.namespace_left(found, processes):
        progress(left)
    return None


def _start(
    keeper: _Keeper | None,
    choice: VenueChoice,
    scenario: str,
    progress: Callable[[str], None],
    processes: Processes,
    clock: Clock,
) -> Drill:
    metrics = choose_scenario(scenario).metrics
    # Before the cluster: a first build takes minutes.
    programs = find_monitoring(progress, processes, clock) if metrics else {}
    venue = choice.open(progress, processes, clock)
    try:
        kept = _play(venue, choice.name, scenario, programs, progress, processes, clock)
        if keeper is not None:
            kept_drill.save(keeper.folder, replace(kept, checkout=str(keeper.checkout.resolve())))
            venue.supervised.keep()
    except BaseException as error:
        close_after(error, venue, progress)
        raise
    return Drill(kept, venue, stays=keeper is not None)


def _play(
    venue: Venue,
    name: str,
    scenario: str,
    programs: Mapping[str, Path],
    progress: Callable[[str], None],
    processes: Processes,
    clock: Clock,
) -> SavedDrill:
    """Start the servers beside the cluster and play the scenario; what the next run has to know of it."""
    cluster = venue.cluster
    app = _Listener(venue.supervised, "demo-app", clock)
    sink = _Listener(venue.supervised, "slack-sink", clock)
    app.start(venue.app_argv(app.port_file), venue.app_env)
    sink.start(slack_sink_argv(cluster.data_dir / "slack", sink.port_file))
    token, url = secrets.token_hex(12), app.url()
    monitoring = None
    if metrics := choose_scenario(scenario).metrics:
        monitoring = Monitoring(
            venue.supervised,
            programs,
            metrics,
            app=url,
            namespace=venue.namespace,
            clock=clock,
            progress=progress,
        )
        monitoring.start()
    venue.bring_images(releases_of(scenario))
    build_scenario(
        cluster,
        namespace=venue.namespace,
        scenario=scenario,
        helm=cluster.binaries["helm"],
        processes=processes,
        progress=progress,
        data=cluster.data_dir / DATA,
        migrate=venue.migrate,
        values=venue.values,
        monitoring=monitoring,
    )
    return SavedDrill(
        cluster=cluster,
        scenario=scenario,
        url=url,
        webhook=f"{sink.url()}{WEBHOOK_PATH}{token}",
        identity=_identity(venue, processes),
        venue=name,
        namespace=venue.namespace,
        database=venue.database,
        makes_namespace=venue.makes_namespace,
        prometheus=monitoring.url if monitoring is not None else "",
    )


def _identity(venue: Venue, processes: Processes) -> str:
    """The UID of the kube-system namespace."""
    cluster = venue.cluster
    argv = [str(cluster.binaries["kubectl"]), f"--kubeconfig={cluster.kubeconfig}"]
    argv += [f"--context={cluster.context}", "get", "namespace", "kube-system", "--output=json"]
    try:
        ended = processes.run(argv, timeout_s=_ANSWER_S)
        return str(json.loads(ended.stdout)["metadata"]["uid"])
    except (ProcessProblem, ValueError, KeyError) as problem:
        raise DrillProblem(f"The drill's cluster does not say who it is: {problem}") from None


class _Listener:
    """A server of ours that picks its own port and writes it into a file."""

    def __init__(self, supervised: Supervised, name: str, clock: Clock) -> None:
        self._supervised = supervised
        self._name = name
        self._clock = clock
        self.port_file = supervised.data_dir / f"{name}.port"

    def start(self, argv: list[str], env: Mapping[str, str] | None = None) -> None:
        self._supervised.start_server(self._name, argv, env)

    def url(self) -> str:
        """Where it listens; waits for it. Raises DrillProblem."""
        deadline = self._clock.monotonic_s() + _LISTENS_S
        while not self.port_file.exists():
            code = self._supervised.ended().get(self._name)
            if code is not None or self._clock.monotonic_s() > deadline:
                ended = f"ended with exit code {code}" if code is not None else "does not listen"
                raise DrillProblem(
                    f"The drill's {self._name} {ended}. Its last words:\n"
                    + self._supervised.last_words(self._name)
                )
            self._clock.sleep(0.02)
        return f"http://127.0.0.1:{int(self.port_file.read_text())}"


def drill_migrations(scenario: str, *, database: bool) -> Migrations:
    """How the demo service's migrations are found: in its database, and in a scenario's files.

    ``database``: whether it can be asked from here; else the application's /health tells its version.
    """
    expected = "ConfigMap/zkprova-zkprova-config/SCHEMA_VERSION"
    source: dict[str, Any] = {"health": "schema"}
    if database:
        source = {"database_env": DATABASE_ENV, "query": "SELECT max(version) FROM schema_version"}
    if not SCENARIOS[scenario].files:
        return Migrations(expected=expected, **source)
    return Migrations(kind="sql", paths=(MIGRATIONS,), accounted_for=("zkprova-zkprova-migrate",), **source)


def _environment(kept: SavedDrill) -> Environment:
    cluster = kept.cluster
    repository = cluster.data_dir / DATA / FOLDER
    scenario = SCENARIOS[kept.scenario]
    has_files = bool(scenario.files)
    return Environment(
        name="drill",
        context=cluster.context,
        kubeconfig=str(cluster.kubeconfig),
        namespace=kept.namespace,
        release=RELEASE,
        url=kept.url,
        workloads=DRILL_WORKLOADS,
        helm=str(cluster.binaries["helm"]),
        smoke=Smoke(command=SMOKE),
        soak_s=SOAK_S,
        slack=Slack(webhook_env=WEBHOOK_ENV),
        metrics=metrics_table(scenario.metrics, kept.prometheus) if scenario.metrics else False,
        identity=Identity(kube_system_uid=kept.identity),
        migrations=drill_migrations(kept.scenario, database=bool(kept.database)),
        git=Git(checkout=str(repository), branch="main", ref="{app_version}") if has_files else None,
        base_dir=str(Path(__file__).parent),
    )


def _hints(kept: SavedDrill) -> tuple[str, ...]:
    folders = dict.fromkeys(str(kept.cluster.binaries[name].parent) for name in ("helm", "kubectl"))
    return (
        f"export KUBECONFIG={kept.cluster.kubeconfig}",
        f"export PATH={os.pathsep.join(folders)}:$PATH",
    )
