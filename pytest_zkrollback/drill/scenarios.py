"""What happened to the demo release before the run: six revisions, made by the real helm.

:data:`SCENARIOS` is where a scenario is added: what its revision 6 does differently, and how the
pods look once that is visible. How pods behave is decided by their own spec (stages.py), not here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..clients.clock import SystemClock
from ..clients.kube.client import connect
from ..config.environment import Metric
from ..domain.checks import JsonObject
from ..domain.errors import ClusterError, DrillProblem, UsageProblem
from ..domain.kube_objects import is_terminating
from ..domain.ports import Clock, Processes
from .demo_repository import BROUGHT, MIGRATIONS, make_repository
from .images import Release
from .live_pods import BACKEND, FRONTEND, serving

if TYPE_CHECKING:
    from .monitoring import Monitoring
    from .venue import ClusterAccess

RELEASE = "zkprova"
DEFAULT_SCENARIO = "crash-loop"
HEALTHY_REVISION = 5
BAD_REVISION = 6
CHART = Path(__file__).with_name("chart") / "zkprova"

_HELM_TIMEOUT_S = 60.0
_MESSAGE_CHARS = 500
_SETTLE_TIMEOUT_S = 60.0
_LOOK_EVERY_S = 0.1

Pods = Sequence[JsonObject]

# Short times, for a rehearsal: Prometheus scrapes every second, and finds new pods within 8 s. Probes of
# /health are no requests of users: they would make the rate half as high.
_REQUESTS = 'http_requests_total{namespace="{namespace}", handler!="/health"}'
_FAILED = 'http_requests_total{namespace="{namespace}", code=~"5.."}'
ERROR_RATE = Metric(
    id="error-rate",
    title="Error rate at most 1 %",
    query=f"100 * (sum(rate({_FAILED}[10s])) or vector(0)) / sum(rate({_REQUESTS}[10s]))",
    count_query=f"sum(increase({_FAILED}[{{range}}])) or vector(0)",
    max=1,
    unit="%",
    settle_s=15,
    for_s=5,
    deadline_s=30,
)


@dataclass(frozen=True)
class Revision:
    """One ``helm install`` or ``helm upgrade``.

    ``tag`` is version and commit, of the chart's appVersion and the images; ``description`` is what the
    deploy pipeline says; ``values`` is what it passes; ``fails`` if the API server refuses it.
    """

    tag: str
    description: str
    values: Mapping[str, Any] = field(default_factory=dict)
    fails: bool = False


@dataclass(frozen=True)
class Scenario:
    """What goes wrong with revision 6, and ``visible``: whether these backend pods of its show it.

    ``migration`` is one of demo_repository.BROUGHT, which it brings along. ``metrics``: what Prometheus is
    asked where the pods show nothing; the drill then has one, and a load. ``changed``: other files of the
    service's repository that it changes.
    """

    description: str
    bad: Revision
    visible: Callable[[Pods], bool]
    migration: str = ""
    metrics: tuple[Metric, ...] = ()
    changed: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> Mapping[str, str]:
        """All that its commit changes; empty: the drill has no repository."""
        brought = BROUGHT.get(self.migration, {})
        return {**{f"{MIGRATIONS}/{name}": text for name, text in brought.items()}, **self.changed}


_EXPORT = {"config": {"ORDER_EXPORT": "on"}}
_BAD_TAG = "1.9.0-a7d20c4"
_MOVED = "/var/lib/zkprova-data/zkprova.db"

GOOD_REVISIONS = (
    Revision("1.5.0-8c1d2f0", "8c1d2f0 first release on Kubernetes", {"config": {"SCHEMA_VERSION": "5"}}),
    Revision("1.6.0-b27e914", "b27e914 order search", {"config": {"SCHEMA_VERSION": "6"}}),
    # "Mib" is no unit: the API server refuses the Deployment, and the upgrade fails.
    Revision(
        "1.7.0-5d90aa3", "5d90aa3 more memory for the backend", {"backend": {"memory": "512Mib"}}, fails=True
    ),
    Revision("1.7.0-6e13c4b", "6e13c4b more memory for the backend, again", {"backend": {"memory": "512Mi"}}),
    Revision("1.8.0-3f9c2e1", "3f9c2e1 export of orders", {"backend": {"memory": "512Mi"}, **_EXPORT}),
)


def _restarting(pods: Pods) -> bool:
    return all(_status(pod).get("restartCount", 0) >= 2 for pod in pods)


def _not_pulled(pods: Pods) -> bool:
    return all(_waiting(pod) in ("ErrImagePull", "ImagePullBackOff") for pod in pods)


def _probed_in_vain(pods: Pods) -> bool:
    return all("running" in _status(pod).get("state", {}) for pod in pods) and not serving(
        tuple(pods), BACKEND
    )


def _all_ready(pods: Pods) -> bool:
    return len(serving(tuple(pods), BACKEND)) == len(pods)


def _migrating(migration: str) -> Scenario:
    """The default scenario's bad revision, with a migration that ran before it."""
    moved = {"memory": "512Mi", "databasePath": _MOVED}
    bad = Revision(
        _BAD_TAG,
        "a7d20c4 move the data folder, migrate the orders",
        {"backend": moved, "migrate": True, **_EXPORT},
    )
    can = "can be undone" if migration == "reversible" else "cannot be undone: it drops a column"
    return Scenario(
        f"as crash-loop, after a migration of the database that {can}", bad, _restarting, migration
    )


def _bad(description: str, **backend: Any) -> Revision:
    return Revision(_BAD_TAG, description, {"backend": {"memory": "512Mi", **backend}, **_EXPORT})


SCENARIOS: Mapping[str, Scenario] = {
    "crash-loop": Scenario(
        "revision 6 looks for the database where no volume is: ready for a second, then a crash loop",
        _bad("a7d20c4 move the data folder", databasePath=_MOVED),
        _restarting,
    ),
    "bad-image": Scenario(
        "revision 6 names an image tag that lost its last character: it cannot be pulled, the old pods serve",
        _bad("a7d20c4 faster export of orders", tag="1.9.0-a7d20c"),
        _not_pulled,
    ),
    "failing-readiness": Scenario(
        "revision 6 is probed at a wrong path: its pods run and never get ready, the old pods serve",
        _bad("a7d20c4 rename the health endpoint", readinessPath="/healthz"),
        _probed_in_vain,
    ),
    "error-rate": Scenario(
        "revision 6 searches orders in an index that nobody built: each search answers 503; rollouts, /health"
        " and the smoke test are fine",
        _bad("a7d20c4 faster order search", searchIndex="order_search_v2"),
        _all_ready,
        metrics=(ERROR_RATE,),
        changed={"search.yaml": "index: order_search_v2\n"},
    ),
    "reversible-migration": _migrating("reversible"),
    "irreversible-migration": _migrating("irreversible"),
}


def choose_scenario(name: str) -> Scenario:
    """The scenario of that name. Raises UsageProblem that names the known ones."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise UsageProblem(
            f"There is no drill scenario '{name}'. Known scenarios: {', '.join(SCENARIOS)}."
        ) from None


def releases_of(scenario: str) -> tuple[Release, ...]:
    """The demo application's versions that a scenario's revisions run; the bad one is the last."""
    chosen = choose_scenario(scenario)
    tags = dict.fromkeys(revision.tag for revision in GOOD_REVISIONS)
    return (*map(Release, tags), Release(chosen.bad.tag, BROUGHT.get(chosen.migration, {})))


def build_scenario(
    cluster: ClusterAccess,
    *,
    namespace: str,
    scenario: str,
    helm: Path,
    processes: Processes,
    progress: Callable[[str], None],
    clock: Clock | None = None,
    data: Path | None = None,
    migrate: Callable[[str], None] = lambda _: None,
    values: Mapping[str, Any] | None = None,
    monitoring: Monitoring | None = None,
) -> None:
    """Install and upgrade the release in ``namespace`` (made if missing) until revision 6 is visibly bad.

    ``helm`` is a Helm 3 or 4 binary. In ``data`` the repository of the demo service is made, if the scenario
    changes files of it; ``migrate`` does what the migration's Job does, where no container runs.
    ``values`` are laid over those of every revision. ``monitoring`` is for a scenario with metrics. Takes
    about 7 s, with metrics 25 s.
    Raises UsageProblem for an unknown scenario and DrillProblem if helm or the cluster does not play along.
    """
    chosen = choose_scenario(scenario)
    clock = clock if clock is not None else SystemClock()
    teller = _Deployer(cluster, namespace, helm, processes, clock, values or {})
    revisions = (*GOOD_REVISIONS, chosen.bad)
    for number, revision in enumerate(revisions, start=1):
        if number == BAD_REVISION:
            teller.wait_for("the pods of revision 5 to be ready", _all_serve(revisions[HEALTHY_REVISION - 1]))
            if monitoring is not None:
                monitoring.watch_health()
        progress(f"helm: revision {number} of {len(revisions)}, {revision.description}")
        teller.deploy(number, revision)
    if chosen.migration and data is not None:
        migrate(chosen.migration)
    if chosen.files and data is not None:
        tags = [revision.tag for revision in GOOD_REVISIONS]
        message = chosen.bad.description.partition(" ")[2]
        make_repository(data, tags, chosen.bad.tag, chosen.files, message, processes)
    progress(f"Waiting until it shows: {chosen.description}")
    teller.wait_for(f"revision 6 to show what is wrong with it ({chosen.description})", _shows(chosen))
    if monitoring is not None:
        monitoring.wait_until_it_shows()


def _all_serve(revision: Revision) -> Callable[[Pods], bool]:
    """Whether exactly the pods of this revision are there, all ready."""

    def look(pods: Pods) -> bool:
        live = [pod for pod in pods if not is_terminating(pod)]
        ready = serving(tuple(pods), BACKEND) + serving(tuple(pods), FRONTEND)
        apps = {pod["metadata"]["labels"]["app"] for pod in ready}
        return len(apps) == 2 and len(ready) == len(live) and all(_tag(pod) == revision.tag for pod in live)

    return look


def _shows(scenario: Scenario) -> Callable[[Pods], bool]:
    tag = scenario.bad.values["backend"].get("tag", scenario.bad.tag)

    def look(pods: Pods) -> bool:
        bad = [pod for pod in pods if pod["metadata"]["labels"]["app"] == BACKEND and _tag(pod) == tag]
        return bool(bad) and scenario.visible(bad)

    return look


class _Deployer:
    """Runs helm and looks at the pods."""

    def __init__(
        self,
        cluster: ClusterAccess,
        namespace: str,
        helm: Path,
        processes: Processes,
        clock: Clock,
        values: Mapping[str, Any],
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._helm = helm
        self._processes = processes
        self._clock = clock
        self._place = values
        self._folder = cluster.data_dir / "scenarios" / namespace
        self._kube = connect(cluster.context, str(cluster.kubeconfig), processes=processes)

    def deploy(self, number: int, revision: Revision) -> None:
        """One helm install or upgrade, with the chart that this revision was released with."""
        chart = self._folder / f"{number}" / "zkprova"
        shutil.copytree(CHART, chart)
        version = revision.tag.partition("-")[0]
        text = {"apiVersion": "v2", "name": "zkprova", "version": version, "appVersion": revision.tag}
        (chart / "Chart.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
        values = chart.with_name("values.json")
        values.write_text(json.dumps(revision.values), encoding="utf-8")
        place = chart.with_name("place.json")
        place.write_text(json.dumps(self._place), encoding="utf-8")
        argv = [
            *(str(self._helm), "install" if number == 1 else "upgrade", RELEASE, str(chart)),
            *("--kubeconfig", str(self._cluster.kubeconfig), "--kube-context", self._cluster.context),
            *("--namespace", self._namespace, "--values", str(values), "--values", str(place)),
            *("--description", revision.description),
            # The API server validates as well; asking it for its schema costs half a second of CPU each time.
            "--disable-openapi-validation",
            *(["--create-namespace"] if number == 1 else []),
        ]
        ended = self._processes.run(argv, timeout_s=_HELM_TIMEOUT_S, env=self._environ())
        if (ended.exit_code != 0) != revision.fails:
            outcome = "succeeded, and should have failed" if revision.fails else "failed"
            raise DrillProblem(
                f"The drill's helm {argv[1]} of revision {number} {outcome} (exit code {ended.exit_code}): "
                f"{ended.output.strip() or 'it said nothing'}"
            )

    def wait_for(self, what: str, done: Callable[[Pods], bool]) -> None:
        """Look until ``done``; raises DrillProblem after 60 s."""
        deadline_s = self._clock.monotonic_s() + _SETTLE_TIMEOUT_S
        while True:
            seen = "no answer"
            try:
                pods = self._kube.list(
                    f"/api/v1/namespaces/{self._namespace}/pods",
                    {"labelSelector": f"app in ({BACKEND},{FRONTEND})"},
                )
                if done(pods):
                    return
                seen = (
                    ", ".join(f"{pod['metadata']['name']} {_tag(pod)} {_state(pod)}" for pod in pods)
                    or "no pod"
                )
            except ClusterError as problem:
                seen = str(problem)
            if self._clock.monotonic_s() > deadline_s:
                raise DrillProblem(
                    f"The drill waited {_SETTLE_TIMEOUT_S:g} s for {what} in vain. Last seen: {seen}"
                    f"{self._newest_warning()}"
                )
            self._clock.sleep(_LOOK_EVERY_S)

    def _newest_warning(self) -> str:
        """What the cluster itself says of it; nothing if it says nothing."""
        try:
            events = self._kube.list(f"/api/v1/namespaces/{self._namespace}/events", {})
        except ClusterError:
            return ""
        warnings = [event for event in events if event.get("type") == "Warning"]
        if not warnings:
            return ""
        newest = max(warnings, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))
        about = newest.get("involvedObject", {})
        return (
            f". The newest warning, on {about.get('kind')} {about.get('name')}: {newest.get('reason')}:"
            f" {str(newest.get('message'))[:_MESSAGE_CHARS]}"
        )

    def _environ(self) -> dict[str, str]:
        """Ours without what would steer helm elsewhere; its caches go into the drill's folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
        folders = {
            f"HELM_{kind}_HOME": str(self._folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")
        }
        return {**kept, **folders}


def _status(pod: JsonObject) -> JsonObject:
    statuses = pod["status"].get("containerStatuses")
    return dict(statuses[0]) if statuses else {}


def _waiting(pod: JsonObject) -> str:
    return str(_status(pod).get("state", {}).get("waiting", {}).get("reason", ""))


def _state(pod: JsonObject) -> str:
    return _waiting(pod) or next(iter(_status(pod).get("state", {})), "") or str(pod["status"].get("phase"))


def _tag(pod: JsonObject) -> str:
    return str(pod["spec"]["containers"][0]["image"].rpartition(":")[2])
