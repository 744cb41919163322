"""A chart for which nothing here was written, verified by configuration alone, as a new user would.

Its parts ``web`` and ``worker`` (Deployments, an autoscaler, an Ingress, a test hook) are what ``helm create``
makes; ``charts/shop`` adds a StatefulSet, Jobs, hooks and their settings. The configuration is that of
docs/any-chart.md; an item of docs/own-items.md stands beside the checklist.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.checkout import make_checkout
from support.http_server import LoopbackHttpServer, QuietHandler

ROOT = Path(__file__).parents[2]
CHART = Path(__file__).parent / "charts" / "shop"
EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "own-items.md").read_text(), re.DOTALL)[1]
PAGE = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "any-chart.md").read_text(), re.DOTALL)[1]
ITEMS = [
    "preflight",
    "rollback",
    "release-equivalence",
    "rollout-shop-web",
    "rollout-shop-worker",
    "rollout-shop-queue",
    "smoke",
    "logs",
    "health-database",
    "events",
    "migration",
    "orders-readable",
    "notify",
]


class Service(QuietHandler):
    """The shop as its users see it."""

    def do_GET(self):
        body = {"/status": {"database": {"state": "up"}}, "/api/orders": {"orders": [{"id": 1}]}}.get(
            self.path
        )
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


class Shop:
    """The release, and the operator's command in a folder of its own."""

    def __init__(self, cluster, helm, namespace, folder, url):
        self.cluster, self.helm_path, self.namespace, self.folder, self.url = (
            cluster,
            helm,
            namespace,
            folder,
            url,
        )
        self.chart = folder / "shop"
        shutil.copytree(CHART, self.chart)
        (self.chart / "charts").mkdir()
        for part in ("web", "worker"):
            self.helm("create", str(self.chart / "charts" / part), anywhere=True)
        make_checkout(folder)
        (folder / "checks" / "conftest.py").write_text(EXAMPLE)
        (folder / "smoke.sh").write_text(
            'exec "$PYTHON" -c "import urllib.request as r; r.urlopen(\'$1/status\')"\n'
        )
        (folder / "zkrollback.toml").write_text(self._configuration())

    def _configuration(self):
        """The page's, in this cluster, with what a cluster without metrics and without Slack needs."""
        places = f"kubeconfig = {json.dumps(str(self.cluster.kubeconfig))}\nhelm = {json.dumps(str(self.helm_path))}"
        changes = {
            'context = "staging"': f"context = {json.dumps(self.cluster.context)}\n{places}\nsoak_s = 1\n#",
            'namespace = "shop"': f'namespace = "{self.namespace}"',
            '"https://staging.example.com"': f'"{self.url}"',
            '[environments.staging.slack]\nwebhook_env = "SLACK_WEBHOOK_URL"': "[environments.staging.events]\n"
            'harmless = ["FailedGetResourceMetric", "FailedComputeMetricsReplicas"]',
            # The preflight's 5 s are measured in a benchmark, not on a busy machine.
            'workloads = "auto"': 'slack = false\npreflight_budget_s = 30\nworkloads = "auto"',
        }
        text = PAGE
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    def helm(self, *args, anywhere=False):
        scope = ["-n", self.namespace, "--kube-context", self.cluster.context]
        argv = [str(self.helm_path), *args, *([] if anywhere else scope)]
        env = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        return self._output(argv, env)

    def kubectl(self, *args):
        argv = [str(self.cluster.binaries["kubectl"]), *args, "-n", self.namespace]
        return self._output(argv, {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)})

    def _output(self, argv, env):
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *args):
        env = {**os.environ, "PYTHON": sys.executable}
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "--env=staging",
            "--rollback-migration-assessed=additive only",
            *args,
        ]
        done = subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, timeout=240, check=False
        )
        path = self.folder / "reports" / "latest.json"
        assert path.exists(), done.stdout + done.stderr
        record = json.loads(path.read_text())
        return done, record, {item["id"]: item for item in record["items"]}


@pytest.fixture
def shop(cluster, binaries, namespace, tmp_path):
    with LoopbackHttpServer(Service) as server:
        yield Shop(cluster, binaries["helm"], namespace, tmp_path, server.url)


def test_a_chart_of_somebody_elses_is_verified_by_configuration_alone(shop):
    shop.helm("install", "shop", str(shop.chart), "--wait", "--timeout", "60s")
    shop.helm("upgrade", "shop", str(shop.chart), "--set", "greeting=Oops", "--set", "web.image.tag=1.17.0")

    done, record, items = shop.run("--rollback-to=1", "--rollback-reason=the page says Oops")
    assert done.returncode == 0, done.stdout
    assert list(items) == ITEMS
    words = {name: item["verdict"] for name, item in items.items()}
    assert words == {**dict.fromkeys(ITEMS, "PASS"), "notify": "WAIVED"}
    assert record["outcome"] == "verified-with-waivers"
    assert "shop-worker" in items["rollout-shop-worker"]["command"]
    table = items["release-equivalence"]["evidence"][-1]["text"]
    assert table.count("nginx:1.16.0") == 4 and table.count("rabbitmq:4.1") == 2 and "1.17.0" not in table

    # Somebody "helps": what they did is named, and the same command by hand after a while says so, too.
    shop.kubectl("set", "resources", "deployment/shop-web", "--limits=memory=1Gi")
    shop.kubectl("patch", "configmap", "shop-settings", "-p", '{"data":{"DEBUG":"on"}}')
    done, record, items = shop.run()
    assert done.returncode == 1
    assert items["release-equivalence"]["verdict"] == "FAIL"
    [drift] = [each for each in items["release-equivalence"]["evidence"] if each["kind"] == "diff"]
    assert "@@ ConfigMap/shop-settings data.DEBUG" in drift["text"]
    assert "@@ Deployment/shop-web spec.template.spec.containers[web].resources" in drift["text"]
    assert "set by kubectl-set" in drift["text"]
    assert "set by kubectl-patch" in drift["text"]
    assert {name for name, item in items.items() if item["verdict"] != "PASS"} == {
        "release-equivalence",
        "notify",
    }
