"""The table of scenarios, and how one is told: helm's command lines, in order, and what is waited for."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pytest_zkrollback.clients.git import GitCheckout
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import DrillProblem, Unreachable, UsageProblem
from pytest_zkrollback.domain.ports import Finished
from pytest_zkrollback.drill import scenarios
from pytest_zkrollback.drill.demo_app import DATABASE, migrate
from pytest_zkrollback.drill.demo_repository import (
    BROUGHT,
    FOLDER,
    MIGRATIONS,
    make_repository,
)
from pytest_zkrollback.drill.scenarios import (
    DEFAULT_SCENARIO,
    GOOD_REVISIONS,
    SCENARIOS,
    build_scenario,
    choose_scenario,
    releases_of,
)
from pytest_zkrollback.drill.stages import render_stages
from pytest_zkrollback.migrations.base import differ
from pytest_zkrollback.migrations.sql_files import SQL_PAIRS


def pod(name, tag, state=None, *, app="backend", ready=False, restarts=0, deleted=False):
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    if state is not None:
        status["containerStatuses"] = [{"state": state, "restartCount": restarts}]
    metadata = {"name": name, "labels": {"app": f"zkprova-{app}"}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-23T08:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"containers": [{"image": f"zkprova/{app}:{tag}"}]},
        "status": {"phase": "Pending", **status},
    }


RUNNING = {"running": {}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}
NOT_PULLED = {"waiting": {"reason": "ErrImagePull"}}
FRONT = pod("f", "1.8.0-3f9c2e1", RUNNING, app="frontend", ready=True)
GOOD = (pod("b", "1.8.0-3f9c2e1", RUNNING, ready=True), FRONT)
OLD = pod("o", "1.7.0-6e13c4b", RUNNING, ready=True)
BAD_TAG = "1.9.0-a7d20c4"


@dataclass
class FakeHelm:
    """Exits as told, by revision; everything else succeeds."""

    exits: dict = field(default_factory=lambda: {3: 1})
    ran: list = field(default_factory=list)
    environments: list = field(default_factory=list)
    charts: list = field(default_factory=list)

    def run(self, argv, *, timeout_s, env):
        self.ran.append(list(argv))
        self.environments.append(dict(env))
        self.charts.append(yaml.safe_load((Path(argv[3]) / "Chart.yaml").read_text()))
        code = self.exits.get(len(self.ran), 0)
        return Finished(tuple(argv), code, "Error: no luck\n", "", "Error: no luck\n", 0.1)


class FakeClock:
    def __init__(self):
        self.at_s = 0.0

    def monotonic_s(self):
        return self.at_s

    def sleep(self, seconds):
        self.at_s += seconds


@pytest.fixture
def tell(monkeypatch, tmp_path):
    helm = FakeHelm()
    events = []

    def run(sights, scenario="crash-loop", said=None):
        seen = iter(sights)
        last = [()]

        def fetch(path, query):
            if path == "/api/v1/namespaces/ns/events":
                return events
            assert path == "/api/v1/namespaces/ns/pods"
            assert query == {"labelSelector": "app in (zkprova-backend,zkprova-frontend)"}
            sight = last[0] = next(seen, last[0])
            if isinstance(sight, Exception):
                raise sight
            return sight

        kube = SimpleNamespace(list=fetch)
        monkeypatch.setattr(scenarios, "connect", lambda context, kubeconfig, processes: kube)
        build_scenario(
            SimpleNamespace(kubeconfig=Path("/kubeconfig"), context="drill", data_dir=tmp_path),
            namespace="ns",
            scenario=scenario,
            helm=Path("/bin/helm"),
            processes=helm,
            progress=(said if said is not None else []).append,
            clock=FakeClock(),
        )
        return helm

    run.helm = helm
    run.events = events
    return run


CRASHED = (pod("b", BAD_TAG, BACK_OFF, restarts=2), FRONT)


def test_six_revisions_are_deployed_in_order_by_helm(tell, tmp_path):
    helm = tell([GOOD, CRASHED])
    assert [argv[1] for argv in helm.ran] == ["install"] + ["upgrade"] * 5
    folder = tmp_path / "scenarios" / "ns"
    assert helm.ran[5] == [
        *("/bin/helm", "upgrade", "zkprova", f"{folder}/6/zkprova", "--kubeconfig", "/kubeconfig"),
        *("--kube-context", "drill", "--namespace", "ns", "--values", f"{folder}/6/values.json"),
        *("--values", f"{folder}/6/place.json"),
        *("--description", "a7d20c4 move the data folder", "--disable-openapi-validation"),
    ]
    assert helm.ran[0][-1] == "--create-namespace"
    versions = [(chart["version"], chart["appVersion"]) for chart in helm.charts]
    assert versions == [(r.tag.split("-")[0], r.tag) for r in (*GOOD_REVISIONS, SCENARIOS["crash-loop"].bad)]


def test_helm_sees_no_variable_that_would_steer_it_elsewhere(tell, tmp_path, monkeypatch):
    for name in ("HELM_NAMESPACE", "HELM_KUBETOKEN", "HELM_MAX_HISTORY", "KUBECONFIG"):
        monkeypatch.setenv(name, "elsewhere")
    helm = tell([GOOD, CRASHED])
    folder = tmp_path / "scenarios" / "ns"
    for environment in helm.environments:
        steering = {name: value for name, value in environment.items() if name.startswith(("HELM_", "KUBE"))}
        assert steering == {
            "HELM_CACHE_HOME": f"{folder}/cache",
            "HELM_CONFIG_HOME": f"{folder}/config",
            "HELM_DATA_HOME": f"{folder}/data",
        }
        assert "PATH" in environment


def test_revision_6_waits_until_only_ready_pods_of_5_are_there(tell):
    dying = pod("o", "1.7.0-6e13c4b", RUNNING, ready=True, deleted=True)
    not_yet = [
        (),
        (*GOOD, OLD),
        GOOD[:1],
        (pod("b", "1.8.0-3f9c2e1", RUNNING), FRONT),
        Unreachable("no answer"),
    ]
    said = []
    tell([*not_yet, (*GOOD, dying), CRASHED], said=said)
    assert said == [
        "helm: revision 1 of 6, 8c1d2f0 first release on Kubernetes",
        "helm: revision 2 of 6, b27e914 order search",
        "helm: revision 3 of 6, 5d90aa3 more memory for the backend",
        "helm: revision 4 of 6, 6e13c4b more memory for the backend, again",
        "helm: revision 5 of 6, 3f9c2e1 export of orders",
        "helm: revision 6 of 6, a7d20c4 move the data folder",
        "Waiting until it shows: revision 6 looks for the database where no volume is: ready for a second, then"
        " a crash loop",
    ]


SHOWS = pytest.mark.parametrize(
    ("scenario", "shown", "not_shown"),
    [
        (
            "crash-loop",
            [pod("b", BAD_TAG, BACK_OFF, restarts=2), pod("c", BAD_TAG, RUNNING, restarts=3)],
            [pod("b", BAD_TAG, BACK_OFF, restarts=2), pod("c", BAD_TAG, BACK_OFF, restarts=1)],
        ),
        (
            "bad-image",
            [*GOOD, pod("b", "1.9.0-a7d20c", NOT_PULLED)],
            [*GOOD, pod("b", "1.9.0-a7d20c")],
        ),
        (
            "failing-readiness",
            [*GOOD, pod("b", BAD_TAG, RUNNING)],
            [*GOOD, pod("b", BAD_TAG)],
        ),
        (
            "error-rate",
            [*GOOD, pod("b", BAD_TAG, RUNNING, ready=True)],
            [*GOOD, pod("b", BAD_TAG, RUNNING)],
        ),
    ],
)


@SHOWS
def test_a_scenario_is_told_once_it_shows(tell, scenario, shown, not_shown):
    tell([GOOD, GOOD, not_shown, shown], scenario)


@SHOWS
def test_a_scenario_that_does_not_show_is_not_told(tell, scenario, shown, not_shown):
    with pytest.raises(DrillProblem, match="revision 6 to show what is wrong with it"):
        tell([GOOD, not_shown], scenario)


def test_what_never_comes_is_named_with_what_was_seen(tell):
    with pytest.raises(DrillProblem) as caught:
        tell([(OLD,)])
    assert str(caught.value) == (
        "The drill waited 60 s for the pods of revision 5 to be ready in vain. Last seen: o 1.7.0-6e13c4b running"
    )


def test_what_never_comes_is_named_with_the_newest_warning(tell):
    def event(kind, at, message):
        about = {"kind": "Pod", "name": "o"}
        return {
            "type": kind, "lastTimestamp": at, "reason": "Why", "message": message, "involvedObject": about,
        }  # fmt: skip

    tell.events[:] = [
        event("Warning", "2026-11-29T13:59:47Z", "seccomp not supported"),
        event("Normal", "2026-11-29T13:59:50Z", "pulled"),
        event("Warning", "2026-11-29T13:59:40Z", "an older one"),
    ]
    with pytest.raises(DrillProblem) as caught:
        tell([(OLD,)])
    assert str(caught.value) == (
        "The drill waited 60 s for the pods of revision 5 to be ready in vain. Last seen: o 1.7.0-6e13c4b running."
        " The newest warning, on Pod o: Why: seccomp not supported"
    )


@pytest.mark.parametrize(
    ("exits", "message"),
    [
        ({1: 1}, "The drill's helm install of revision 1 failed (exit code 1): Error: no luck"),
        (
            {},
            "The drill's helm upgrade of revision 3 succeeded, and should have failed (exit code 0): Error: no luck",
        ),
        ({3: 1, 4: None}, "The drill's helm upgrade of revision 4 failed (exit code None): Error: no luck"),
    ],
)
def test_a_helm_that_does_not_play_along_is_quoted(tell, exits, message):
    tell.helm.exits = exits
    with pytest.raises(DrillProblem) as caught:
        tell([GOOD, CRASHED])
    assert str(caught.value) == message


def test_an_unknown_scenario_names_the_known_ones(tell):
    with pytest.raises(UsageProblem) as caught:
        tell([], "crashloop")
    assert str(caught.value) == (
        "There is no drill scenario 'crashloop'. Known scenarios: crash-loop, bad-image, failing-readiness, "
        "error-rate, reversible-migration, irreversible-migration."
    )
    assert tell.helm.ran == []


def test_every_scenario_differs_from_revision_5_by_values_and_migrates_only_where_it_says_so():
    good = GOOD_REVISIONS[-1]
    assert choose_scenario(DEFAULT_SCENARIO) is SCENARIOS["crash-loop"]
    for scenario in SCENARIOS.values():
        assert scenario.bad.values["config"] == good.values["config"]
        assert scenario.bad.values.get("migrate", False) is bool(scenario.migration)
        assert scenario.bad.values != good.values
        json.dumps(scenario.bad.values)


def test_a_scenario_has_an_image_for_every_tag_that_it_does_not_get_wrong_and_the_bad_one_migrates():
    for name, scenario in SCENARIOS.items():
        *good, bad = releases_of(name)
        assert {release.tag for release in good} == {revision.tag for revision in GOOD_REVISIONS}
        assert not any(release.migrations for release in good)
        assert bad.tag == scenario.bad.tag
        assert dict(bad.migrations) == (BROUGHT[scenario.migration] if scenario.migration else {})
    wrong = SCENARIOS["bad-image"].bad.values["backend"]["tag"]
    assert wrong not in [release.tag for release in releases_of("bad-image")]


def test_every_tag_but_the_bad_image_can_be_pulled():
    pullable = re.compile(r"\d+\.\d+\.\d+-[0-9a-f]{7}")
    assert pullable.pattern.replace(r"\d", "[0-9]").replace(r"\.", "[.]") in render_stages()
    tags = [r.tag for r in GOOD_REVISIONS] + [
        s.bad.values["backend"].get("tag", s.bad.tag) for s in SCENARIOS.values()
    ]
    assert [tag for tag in tags if not pullable.fullmatch(tag)] == ["1.9.0-a7d20c"]


def test_the_stages_are_yaml_with_names_of_their_own():
    documents = list(yaml.safe_load_all(render_stages()))
    names = [document["metadata"]["name"] for document in documents]
    assert len(set(names)) == len(names)
    assert {document["kind"] for document in documents} == {"Stage"}


@pytest.mark.parametrize("kind", BROUGHT)
def test_a_migration_is_really_applied_and_lies_between_two_tags_of_a_real_repository(
    tmp_path, kind, zkprova
):
    files = SCENARIOS[f"{kind}-migration"].files
    make_repository(tmp_path, ["1.8.0-3f9c2e1"], "1.9.0-a7d20c4", files, "migrate", LocalProcesses())
    checkout = GitCheckout(tmp_path / FOLDER, LocalProcesses())
    good, bad = (checkout.resolve_ref(tag) for tag in ("1.8.0-3f9c2e1", "1.9.0-a7d20c4"))
    before, after = (SQL_PAIRS.parse(checkout.read_files(one, MIGRATIONS)) for one in (good, bad))
    new, changed, gone = differ(before, after)
    assert (len(new), changed, gone) == (1, [], [])
    assert new[0].reverse is (kind == "reversible")
    migrate(zkprova, tmp_path, kind, LocalProcesses())
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (8,)
        if kind == "reversible":
            connection.executescript(BROUGHT[kind]["0008_order_channel.down.sql"])
            assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (7,)


def test_without_git_the_scenario_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DrillProblem, match="This scenario needs git, for the demo service's repository: "):
        make_repository(tmp_path, [], "x", {}, "nothing", LocalProcesses())


def test_a_migration_that_fails_is_quoted(tmp_path, zkprova):
    (tmp_path / DATABASE).parent.mkdir(parents=True)
    (tmp_path / DATABASE).write_bytes(b"no database at all" * 100)
    with pytest.raises(DrillProblem, match=r"(?s)The demo's migration failed: .*file is not a database"):
        migrate(zkprova, tmp_path, "reversible", LocalProcesses())
    with pytest.raises(DrillProblem, match=r"The demo's migration could not be started: "):
        migrate(tmp_path / "none", tmp_path, "reversible", LocalProcesses())
