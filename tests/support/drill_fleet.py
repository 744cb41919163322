"""Many small releases in namespaces of one cluster, named as a fleet, and the operator's command run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_zkrollback.drill.local_cluster import Cluster
from support.checkout import make_checkout

RELEASE = "shop"
GOOD, BAD = "1.8.0", "1.9.0"  # what is rolled back to, and what is live at first
ASSESSED = "--rollback-migration-assessed=it has no database"
TARGET = f"--rollback-to=app:{GOOD}"
_CHART = "apiVersion: v2\nname: shop\nversion: {version}\nappVersion: {version}\n"
# With `exits` its container exits at once, so that it never becomes ready.
_TEMPLATE = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  replicas: 1
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec:
      automountServiceAccountToken: false
      containers:
        - name: shop
          image: example/shop:{{ .Chart.AppVersion }}
          {{- if .Values.exits }}
          args: ["act", "--exit=1"]
          {{- end }}
"""


class DrillFleet:
    """``waves`` are the members' names; of ``broken`` ones the version that is rolled back to does not come up."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        helm: Path,
        waves: Sequence[Sequence[str]],
        broken: Sequence[str] = (),
        prefix: str = "fleet",
        **keys: object,
    ) -> None:
        self.cluster, self.folder, self.helm, self.waves = cluster, folder, helm, waves
        self.prefix = prefix
        self.members = [name for wave in waves for name in wave]
        make_checkout(folder)
        self._charts = {version: self._chart(version) for version in (GOOD, BAD)}
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: self._install(name, exits=name in broken), self.members))
        self.configure(**keys)

    def configure(self, fleet: str = "", helm: Path | None = None, **keys: object) -> None:
        """Write the configuration: a line per environment; ``fleet`` are lines of its table."""
        usual = {
            "workloads": "auto",
            "context": self.cluster.context,
            "kubeconfig": str(self.cluster.kubeconfig),
            "release": RELEASE,
            "helm": str(helm or self.helm),
            "url": False,
            "slack": False,
            "soak_s": 0,
            "rollout_timeout_s": 30,
            "preflight_budget_s": 30,
        }
        given = {key: value for key, value in {**usual, **keys}.items() if value is not None}
        lines = ["[defaults]", *(f"{key} = {json.dumps(value)}" for key, value in given.items())]
        for name in self.members:
            lines += [f"[environments.{name}]", f'namespace = "{self.namespace(name)}"']
        lines += ["[fleets.all]", f"waves = {json.dumps(self.waves)}", fleet]
        (self.folder / "zkrollback.toml").write_text("\n".join(lines) + "\n")

    def namespace(self, member: str) -> str:
        return f"{self.prefix}-{member}"

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "--fleet=all", ASSESSED, *args]

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*args),
            cwd=self.folder,
            env=self._environ() | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, timeout: float = 600, **environ: str) -> tuple[int, str]:
        process = self.start(*args, **environ)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output

    def record(self) -> dict:
        return json.loads((self.folder / "reports" / "latest-fleet.json").read_text())

    def running_record(self) -> dict | None:
        """The newest fleet's record as it stands."""
        paths = sorted((self.folder / "reports").glob("*-fleet-all-*.json"))
        return json.loads(paths[-1].read_text()) if paths else None

    def states(self) -> dict[str, str]:
        return {each["environment"]: each["outcome"] or each["state"] for each in self.record()["members"]}

    def member_records(self) -> list[dict]:
        found = [json.loads(path.read_text()) for path in (self.folder / "reports").glob("2*.json")]
        return [each for each in found if each["schema"].startswith("zkrollback.record/")]

    def heads(self) -> dict[str, int]:
        """Each release's current revision, by the real helm."""
        argv = [str(self.helm), "list", "--all-namespaces", "-o", "json", *self._where()]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
        found = {row["namespace"]: int(row["revision"]) for row in json.loads(done.stdout)}
        return {name: found[self.namespace(name)] for name in self.members}

    def mark(self) -> int:
        """Where the API server's audit log stands now, for :meth:`rollbacks`."""
        return len(self._events())

    def rollbacks(self, since: int) -> Counter[str]:
        """Member -> how many revisions helm has written since that mark, by the audit log."""
        names = {self.namespace(name): name for name in self.members}
        return Counter(
            names[event["objectRef"]["namespace"]]
            for event in self._events()[since:]
            if event["verb"] == "create"
            and event["userAgent"].startswith("Helm/")
            and event["objectRef"].get("namespace") in names
            and event["objectRef"]["resource"] == "secrets"
            and event.get("responseStatus", {}).get("code") == 201
        )

    def _environ(self) -> dict[str, str]:
        unset = (
            "KUBECONFIG",
            "GITHUB_ACTIONS",
            "GITHUB_STEP_SUMMARY",
            "SLACK_WEBHOOK_URL",
            "PYTEST_XDIST_WORKER",
        )
        return {key: value for key, value in os.environ.items() if key not in unset}

    def _where(self) -> list[str]:
        return [f"--kubeconfig={self.cluster.kubeconfig}", f"--kube-context={self.cluster.context}"]

    def _chart(self, version: str) -> Path:
        chart = self.folder / f"chart-{version}"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(_CHART.format(version=version))
        (chart / "values.yaml").write_text("exits: false\n")
        (chart / "templates" / "shop.yaml").write_text(_TEMPLATE)
        return chart

    def _install(self, member: str, *, exits: bool) -> None:
        for version in (GOOD, BAD):
            given = ["--set", f"exits={str(exits and version == GOOD).lower()}"]
            argv = [str(self.helm), "upgrade", "--install", RELEASE, str(self._charts[version]), *given]
            argv += ["--create-namespace", "-n", self.namespace(member), *self._where()]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr

    def _events(self) -> list[dict]:
        """The audit log, complete up to a mark that is set now."""
        mark = f"mark-{time.monotonic_ns()}"
        subprocess.run(
            [
                str(self.cluster.binaries["kubectl"]),
                "get",
                "configmap",
                mark,
                f"--kubeconfig={self.cluster.kubeconfig}",
            ],
            capture_output=True,
            check=False,
        )
        deadline = time.monotonic() + 30
        while mark not in (text := self.cluster.audit_log.read_text()):
            assert time.monotonic() < deadline, "the audit log stands still"
            time.sleep(0.05)
        return [json.loads(line) for line in text.splitlines()]
