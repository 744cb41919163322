"""A bad release in a namespace of the shared cluster, and the operator's command run against it."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.demo_app import app_argv, database_url, migrate
from pytest_zkrollback.drill.local_cluster import RunningCluster
from pytest_zkrollback.drill.monitoring import Monitoring, find_monitoring
from pytest_zkrollback.drill.scenarios import SCENARIOS, build_scenario
from pytest_zkrollback.drill.slack_sink import WEBHOOK_PATH, slack_sink_argv
from support.checkout import ROOT, make_checkout

SCRIPTS = ROOT / "pytest_zkrollback" / "drill"
CHART = SCRIPTS / "chart" / "zkprova"
# The demo service's schema is in its database; what a revision expects is in its ConfigMap.
DATABASE = """database_env = "DEMO_DATABASE_URL"
query = "SELECT max(version) FROM schema_version"
expected = "ConfigMap/zkprova-zkprova-config/SCHEMA_VERSION"
"""
# For the tests that have to hold with both majors of helm.
BOTH = pytest.mark.parametrize("incident", ["helm", "helm3"], indirect=True, ids=["helm 4", "helm 3"])
# What no version of helm decides, or what a sibling holds with helm 3.
HELM_3_IN_CAMPAIGN = pytest.mark.parametrize(
    "incident",
    ["helm", pytest.param("helm3", marks=pytest.mark.campaign)],
    indirect=True,
    ids=["helm 4", "helm 3"],
)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    record: dict | None

    def verdicts(self):
        return {item["id"]: item["verdict"] for item in self.record["items"]}

    def item(self, name):
        return next(item for item in self.record["items"] if item["id"] == name)

    def guard(self, name):
        return next(guard for guard in self.record["guards"] if guard["id"] == name)


class Incident:
    """``run(...)`` is the operator's pytest, in a folder with this repository's checks/ and conftest.py."""

    def __init__(self, running: RunningCluster, folder: Path, helm: Path, scenario: str = "crash-loop"):
        self.running, self.cluster, self.folder, self.helm_path = running, running.cluster, folder, helm
        self.namespace = f"incident-{next(_numbers)}"
        make_checkout(folder, "filterwarnings = error::pytest.PytestUnhandledThreadExceptionWarning")
        self._servers = []
        self.url = self._serve("app", lambda data, port: app_argv(self.cluster, self.namespace, data, port))
        self.slack = self._serve("slack", slack_sink_argv)
        self.webhook = f"{self.slack}{WEBHOOK_PATH}tokenoftheincident"
        self.monitoring = self._monitoring(SCENARIOS[scenario].metrics)
        build_scenario(
            self.cluster,
            namespace=self.namespace,
            scenario=scenario,
            helm=helm,
            processes=LocalProcesses(),
            progress=lambda text: None,
            data=folder / "app",
            migrate=lambda kind: migrate(
                self.cluster.binaries["zkprova"], folder / "app", kind, LocalProcesses()
            ),
            monitoring=self.monitoring,
        )
        self.configure()

    def _monitoring(self, checks):
        """A real Prometheus and a load, where the scenario's pods show nothing; else None."""
        if not checks:
            return None
        clock = SystemClock()
        found = Monitoring(
            self.running,
            find_monitoring(print, LocalProcesses(), clock),
            checks,
            app=self.url,
            namespace=self.namespace,
            clock=clock,
            suffix=f"-{self.namespace}",
        )
        found.start()
        self._servers += [found.prometheus, found.load]
        return found

    def _serve(self, name, argv):
        port_file = self.folder / f"{name}.port"
        server = f"{self.namespace}-{name}"
        self.running.start_server(server, argv(self.folder / name, port_file))
        self._servers.append(server)
        deadline = time.monotonic() + 20
        while not port_file.exists():
            assert time.monotonic() < deadline, self.running.last_words(server)
            time.sleep(0.02)
        return f"http://127.0.0.1:{port_file.read_text().strip()}"

    def kill(self, server):
        """SIGKILL one of the incident's own servers."""
        self._servers.remove(server)
        self.running.stop_server(server)

    def close(self):
        """Nothing of it works on beside the next tests: a crash loop keeps a control plane busy for hours."""
        for server in reversed(self._servers):
            self.running.stop_server(server)
        self.running.api.send("DELETE", f"/api/v1/namespaces/{self.namespace}", {})

    def use(self, helm: Path):
        """From now on this helm is the operator's, and ours here."""
        self.helm_path = helm
        self.configure()

    def configure(self, tables="", migrations=None, metrics=None, **keys):
        """Write the configuration; ``keys`` are laid over the usual ones, ``tables`` is appended.

        ``migrations`` are the lines of that table, False for none; by default the service's database is read.
        What Prometheus is asked are the scenario's own checks, with ``metrics`` laid over each.
        """
        usual = {
            "context": self.cluster.context,
            "kubeconfig": str(self.cluster.kubeconfig),
            "namespace": self.namespace,
            "url": self.url,  # None leaves it out
            "helm": str(self.helm_path),
            "rollout_timeout_s": 30,
            "preflight_budget_s": 30,  # its 5 s are measured in a benchmark, not on a busy machine
            "soak_s": 0,  # what is watched after the first green has tests of its own
        }
        lines = [
            f"{key} = {json.dumps(value)}" for key, value in {**usual, **keys}.items() if value is not None
        ]
        scripts = json.dumps(str(SCRIPTS))
        (self.folder / "zkrollback.toml").write_text(
            "[defaults]\n"
            'workloads = { backend = "deployment/zkprova-zkprova-backend", '
            'frontend = "deployment/zkprova-zkprova-frontend" }\n'
            f"[defaults.smoke]\ncwd = {scripts}\n"
            + ("" if migrations is False else f"[defaults.migrations]\n{migrations or DATABASE}\n")
            + "[environments.test]\n"
            + "\n".join(lines)
            + "\n"
            + self._metrics_table(metrics or {})
            + tables
        )

    def _metrics_table(self, keys):
        if self.monitoring is None:
            return ""
        table = f"[environments.test.metrics]\nurl = {json.dumps(self.monitoring.url)}\n"
        table += f"users_impacted = {json.dumps(self.monitoring.checks[0].id)}\n"
        for check in self.monitoring.checks:
            table += "[[environments.test.metrics.checks]]\n"
            for key, value in {**check.model_dump(exclude_defaults=True), **keys}.items():
                table += f"{key} = {json.dumps(value)}\n"
        return table

    def environ(self, **more):
        database = database_url(self.folder / "app")
        unset = dict.fromkeys(("KUBECONFIG", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"))
        own = {"SLACK_WEBHOOK_URL": self.webhook, "DEMO_DATABASE_URL": database}
        env = {**os.environ, **unset, **own, **more}
        return {key: value for key, value in env.items() if value is not None}

    def argv(self, *args):
        return [sys.executable, "-m", "pytest", "--env=test", *args]

    def start(self, *args, **env):
        return subprocess.Popen(
            self.argv(*args),
            cwd=self.folder,
            env=self.environ(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args, timeout=240, **env):
        code, out, err = self.typed(*args, timeout=timeout, **env)
        return Result(code, out + err, self.latest())

    def typed(self, *args, timeout=120, **env):
        """(exit code, standard output, standard error) of the operator's command."""
        done = subprocess.run(
            self.argv(*args),
            cwd=self.folder,
            env=self.environ(**env),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def newest(self):
        """The record of the newest run, which is not the latest.* one where the lock refused it."""
        return json.loads(max((self.folder / "reports").glob("2*.json")).read_text())

    def latest(self):
        path = self.folder / "reports" / "latest.json"
        return json.loads(path.read_text()) if path.exists() else None

    def helm(self, *args):
        scope = ["-n", self.namespace, "--kube-context", self.cluster.context]
        argv = [str(self.helm_path), *args, *scope, "--kubeconfig", str(self.cluster.kubeconfig)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kubectl(self, *args):
        scope = ["-n", self.namespace, "--context", self.cluster.context]
        argv = [
            str(self.cluster.binaries["kubectl"]),
            *args,
            *scope,
            "--kubeconfig",
            str(self.cluster.kubeconfig),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def revisions(self):
        """[(revision, status, description)] as the real helm tells it."""
        rows = json.loads(self.helm("history", "zkprova", "-o", "json"))
        return [(row["revision"], row["status"], row["description"]) for row in rows]

    def head(self):
        return self.revisions()[-1][0]

    def messages(self):
        with urllib.request.urlopen(f"{self.slack}/messages", timeout=5) as answer:
            return json.load(answer)


def upgrade_with(incident, name, extra):
    """A real `helm upgrade` of the drill's chart with one more template; the same values as before."""
    chart = incident.folder / f"chart-{name}"
    shutil.copytree(CHART, chart)
    (chart / "templates" / f"{name}.yaml").write_text(
        extra if isinstance(extra, str) else yaml.safe_dump(extra)
    )
    incident.helm("upgrade", "zkprova", str(chart), "--reuse-values")
