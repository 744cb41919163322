"""``--fleet-engine=kubernetes`` on a real kubelet: three waves of pods, one bad member.

    python benchmarks/fleet_on_kubernetes.py [IMAGE.tar]

Needs Linux, root, Debian 12 with apt, and the drill's programs. The image is made here, without docker: a
root file system of Debian's packages, with Python, this package and helm. Six members are six namespaces of
the cluster that is also the management cluster; the target of one member of wave 2 does not come up.

The claims: exit 1; wave 3 is not started; whose helm ran has one new revision, by the API server's audit log,
and nobody else has any; whose helm ran has its record here. Writes
benchmarks/results/fleet_on_kubernetes.json.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pytest_zkrollback.clients.kube.client import connect
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.box import ADDRESS, network_only, ready_file
from pytest_zkrollback.drill.images import Release
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.local_cluster import Cluster, start_cluster
from pytest_zkrollback.drill.programs import NODE_TOOLS, TOOLS
from support.debian_image import make_root, write_image
from support.drill_fleet import BAD, GOOD, TARGET, DrillFleet

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "fleet_on_kubernetes.json"
WAVES = [["eu-canary"], ["eu-1", "eu-2", "eu-3"], ["us-1", "us-2"]]
BROKEN = "eu-2"
NAMESPACE = "fleet"
IMAGE = ("example/zkrollback", "1")
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
      terminationGracePeriodSeconds: 1
      containers:
        - name: shop
          image: zkprova/backend:{{ ternary "missing" .Chart.AppVersion .Values.exits }}
          args: [pause]
"""


class PodFleet(DrillFleet):
    """The same releases with pods that really run, and members that run in pods."""

    def _chart(self, version: str) -> Path:
        chart = super()._chart(version)
        (chart / "templates" / "shop.yaml").write_text(_TEMPLATE)
        return chart


def engine_lines(cluster: Cluster) -> str:
    """The fleet's table."""
    keys = {
        "context": cluster.context,
        "kubeconfig": str(cluster.kubeconfig),
        "namespace": NAMESPACE,
        "image": ":".join(IMAGE),
        "kubeconfig_secret": "clusters",
        "start_timeout_s": 120,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["at_once = 2", "[fleets.all.kubernetes]", *lines])


def give_pods_a_kubeconfig(cluster: Cluster) -> None:
    """A namespace for the Jobs, and a Secret with the way that pods have to the API server."""
    kube = connect(cluster.context, str(cluster.kubeconfig))
    port = cluster.server.rpartition(":")[2]
    document = json.loads(cluster.kubeconfig.read_text())
    ca = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    document["clusters"][0]["cluster"] = {
        "server": f"https://{ADDRESS}:{port}",
        "certificate-authority-data": ca,
    }
    kube.send("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    secret = {"metadata": {"name": "clusters"}, "stringData": {"kubeconfig": json.dumps(document)}}
    kube.send("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)


def one_bad(cluster: Cluster, folder: Path) -> dict[str, object]:
    """The run; the claims that did not hold are in ``wrong``."""
    keys = {"rollout_timeout_s": 60, "preflight_budget_s": 60}
    fleet = PodFleet(cluster, folder, cluster.binaries["helm"], WAVES, (BROKEN,), "pods", **keys)
    inside = {**keys, "kubeconfig": "/etc/zkrollback/kubeconfig"}
    fleet.configure(engine_lines(cluster), Path("helm"), **inside)
    mark, began = fleet.mark(), time.monotonic()
    code, output = fleet.run("--fleet-engine=kubernetes", TARGET, timeout=900)
    took_s = round(time.monotonic() - began, 1)
    if not (folder / "reports" / "latest-fleet.json").exists():
        return {"wrong": ["a record"], "output": output}
    made, record = fleet.rollbacks(mark), fleet.record()
    begun = {each["environment"] for each in record["members"] if each["helm_ran"]}
    first_two = {name for wave in WAVES[:2] for name in wave}
    has_record = {each["environment"] for each in record["members"] if each["record"]}
    claims = {
        "exit 1": code == 1,
        "wave 3 not started": record["waves"][2]["state"] == "not-started",
        "one new revision for each member whose helm ran, and for no other": made == dict.fromkeys(begun, 1),
        "nobody of wave 3 was rolled back": not set(WAVES[2]) & set(made),
        "wave 1 and the bad member were": {*WAVES[0], BROKEN} <= set(made),
        "whose helm ran has its record here": begun <= has_record <= first_two,
    }
    wrong = [text for text, is_so in claims.items() if not is_so]
    if wrong:
        print(output)
    return {
        "took_s": took_s,
        "exit_code": code,
        "new_revisions": dict(made),
        "waves": [each["state"] for each in record["waves"]],
        "states": fleet.states(),
        "wrong": wrong,
    }


@contextmanager
def kubelet_cluster(archive: Path) -> Iterator[Cluster]:
    """A cluster with a real node that has the images."""
    processes = LocalProcesses(end_on_error=True)
    node = KubeletNode(processes)
    running = start_cluster(find_binaries(tools=(*TOOLS, *NODE_TOOLS), processes=processes), node=node)
    try:
        node.import_images([Release(GOOD), Release(BAD)])
        node.import_archive(archive)
        pid = int(ready_file(running.data_dir).read_text())
        relay = [sys.executable, str(ROOT / "tests/support/pod_relay.py"), ADDRESS, str(running.port)]
        running.start_server("pods-relay", [*network_only(pid), *relay])
        yield running.cluster
    finally:
        running.close()


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 where all claims hold."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = Path(arguments[0]) if arguments else folder / "image.tar"
        began = time.monotonic()
        if not archive.exists():
            helm = find_binaries()["helm"]
            write_image(make_root(folder / "image", ROOT, helm), *IMAGE, archive)
        made_s, size = round(time.monotonic() - began, 1), archive.stat().st_size
        with kubelet_cluster(archive) as cluster:
            give_pods_a_kubeconfig(cluster)
            found = one_bad(cluster, folder / "checkout")
    result = {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "image": {"made_s": made_s, "bytes": size},
        **found,
    }
    print(json.dumps(result, indent=1))
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
