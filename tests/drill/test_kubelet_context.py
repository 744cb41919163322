"""``--drill-context`` on somebody's cluster whose pods really run: control plane and kubelet, started apart.

kind cannot run on every machine. This is the same to a drill: an API server, a node with containerd, a default
StorageClass, and a command of its owner that brings an archive to the node. Needs Linux and root; elsewhere these
are skipped and say why. The scenarios besides the default one are tried in ``make kubelet-test``.
"""

import shlex
import signal

import pytest

from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.drill.box import inside, ready_file
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.local_cluster import start_cluster
from pytest_zkrollback.drill.node_config import NodeFiles
from pytest_zkrollback.drill.scenarios import DEFAULT_SCENARIO, SCENARIOS
from support.stranger import CLASS, CLASSES, make_stranger, wait_for

CONFIRMED = ("--rollback-to=5", "--rollback-confirm=stranger")


@pytest.fixture(scope="module")
def cluster_of_a_stranger(node_binaries):
    running = start_cluster(node_binaries, node=KubeletNode(LocalProcesses()))
    try:
        assert running.api.send("POST", CLASSES, CLASS)[0] == 201
        yield running
    finally:
        running.close()


def import_command(running):
    """How the cluster's owner brings an archive to its node."""
    pid = int(ready_file(running.data_dir).read_text())
    ctr = [str(running.cluster.binaries["ctr"]), f"--address={NodeFiles(running.layout).socket}"]
    return shlex.join([*inside(pid), *ctr, "--namespace=k8s.io", "images", "import", "{archive}"])


@pytest.fixture
def stranger(cluster_of_a_stranger, node_binaries, tmp_path):
    running = cluster_of_a_stranger
    found = make_stranger(running, node_binaries, tmp_path, f"--drill-load={import_command(running)}")
    found.add_volume(running.data_dir / "volumes" / tmp_path.name)
    yield found
    found.remove()


# What a rollback to revision 5 comes to besides a verified one, with the items that are red: as on kwok.
OUTCOMES = {
    "reversible-migration": ("failed", {"migration"}),
    "irreversible-migration": ("refused", {"preflight"}),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_whole_drill_ends_as_on_kwok_and_only_its_namespace_was_touched(stranger, scenario, on_kubelet):
    if scenario != DEFAULT_SCENARIO and not on_kubelet:
        pytest.skip("tried in `make kubelet-test`")
    outcome, red = OUTCOMES.get(scenario, ("verified", set()))
    audit = stranger.audit()
    code, output = stranger.run(*CONFIRMED, f"--drill-scenario={scenario}")
    record = stranger.latest()
    failed = {item["id"]: item["observed"] for item in record["items"] if item["verdict"] == "FAIL"}
    assert (code, record["outcome"]) == (outcome != "verified", outcome), output
    assert set(failed) == red, failed
    found = audit()
    assert len(found) > 30
    assert stranger.outside(found) == []
    assert {image.rpartition("/")[0] for image in images(found)} == {"drill.invalid/zkprova"}
    assert stranger.is_going()
    wait_for(lambda: stranger.uid() is None)  # the cluster has ended its pods, too


def images(found):
    """Of the Deployments that helm wrote."""
    specs = [
        event["requestObject"]["spec"]["template"]["spec"]
        for event in found
        if event["objectRef"]["resource"] == "deployments" and "template" in event["requestObject"]["spec"]
    ]
    return {each["image"] for spec in specs for each in spec.get("containers", ()) if "image" in each}


def test_a_killed_run_leaves_nothing(stranger):
    run = stranger.start(*CONFIRMED)
    pods = f"{stranger.path}/pods"
    try:
        wait_for(lambda: stranger.api.get(pods)[1].get("items"))
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=60)
        wait_for(lambda: stranger.uid() is None)
    finally:
        run.kill()
