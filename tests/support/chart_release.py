"""A release of a small chart of our own on the shared cluster, and the operator's command run against it."""

import json
from pathlib import Path

from pytest_zkrollback.drill.local_cluster import Cluster
from support.checkout import make_checkout
from support.incident import Incident

RELEASE = "own"


class ChartRelease(Incident):
    """``template`` is the chart's only one; every revision has its own ``values``."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, helm: Path, template: str):
        self.cluster, self.namespace, self.folder, self.helm_path = cluster, namespace, folder, helm
        make_checkout(folder)
        self.webhook = None  # the environment names no channel
        self.chart = folder / "chart"
        (self.chart / "templates").mkdir(parents=True)
        (self.chart / "Chart.yaml").write_text("apiVersion: v2\nname: own\nversion: 1.0.0\n")
        (self.chart / "templates" / "all.yaml").write_text(template)
        keys = {"context": cluster.context, "kubeconfig": str(cluster.kubeconfig), "namespace": namespace}
        keys |= {"release": RELEASE, "helm": str(helm), "workloads": "auto", "soak_s": 0}
        keys |= {"rollout_timeout_s": 30, "preflight_budget_s": 30}
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        (folder / "zkrollback.toml").write_text("[environments.test]\n" + "\n".join(lines) + "\n")

    def deploy(self, **values):
        """``helm upgrade --install`` with these values; returns when helm does."""
        given = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        self.helm("upgrade", "--install", RELEASE, str(self.chart), *given)

    def head(self):
        return json.loads(self.helm("history", RELEASE, "-o", "json"))[-1]["revision"]
