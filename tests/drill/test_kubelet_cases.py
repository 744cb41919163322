"""The quick ones of the cases that only running containers decide; `benchmarks/kubelet_cases.py` plays all.

With ``--cluster=kubelet`` all of :data:`QUICK`, else a few, on a kubelet of their own.
"""

import pytest

from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.local_cluster import start_cluster
from support.kubelet_cases import CASES, RELEASES, Place, served

FEW = ("k7_start_error",)
QUICK = (*FEW, "k7_panic", "k8_waits_for_ever", "a1_partition_2", "a2_hook", "c6_sidecar")


@pytest.fixture(scope="module")
def node(node_binaries):
    node = KubeletNode(LocalProcesses())
    running = start_cluster(node_binaries, node=node)
    try:
        node.import_images(RELEASES)
        with served() as url:
            yield running, node, url
    finally:
        running.close()


@pytest.mark.parametrize("name", QUICK)
def test_cases_that_running_containers_decide(name, node, on_kubelet, tmp_path):
    if not on_kubelet and name not in FEW:
        pytest.skip("make kubelet-test runs it")
    running, own, url = node
    helm = running.cluster.binaries["helm"]
    place = Place(
        running.cluster, running.api, name.replace("_", "-"), tmp_path, helm, url, own, {"soak_s": 0}
    )
    judged = list(CASES[name].play(place))
    for each in judged:
        each.kubectl.stop()
    place.close()
    assert judged
    assert [each.wrong for each in judged] == [[]] * len(judged), judged[-1].output
