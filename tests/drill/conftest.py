"""One real cluster for all drill tests of a session; every test works in a namespace of its own."""

import itertools
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import UsageProblem
from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.kwok_node import KwokNode
from pytest_zkrollback.drill.local_cluster import Cluster, RunningCluster, start_cluster
from pytest_zkrollback.drill.node_requirements import refuse_unfit_machine
from pytest_zkrollback.drill.programs import HELM3, NODE_TOOLS, TOOLS
from pytest_zkrollback.drill.scenarios import SCENARIOS, releases_of
from support.incident import Incident

_numbers = itertools.count(1)

# A CI or a shell may start us in the background, with these ignored; the programs under test would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Writes past pytest's capture: a first build takes minutes and must not be silent."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, file=sys.stderr, flush=True)

    return write


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        choices=("kwok", "kubelet"),
        default="kwok",
        help="whose node the drill tests' shared cluster has (kubelet: Linux, root; pods really run)",
    )


@pytest.fixture(scope="session")
def on_kubelet(request: pytest.FixtureRequest) -> bool:
    """Whether pods really run on the session's shared cluster."""
    # The option is known only where this folder is named on the command line.
    return bool(request.config.getoption("--cluster", default="kwok") == "kubelet")


@contextmanager
def starting(binaries: dict[str, Path], *, on_kubelet: bool) -> Iterator[RunningCluster]:
    """A cluster; on a kubelet with the images of every scenario."""
    node = KubeletNode(LocalProcesses()) if on_kubelet else KwokNode()
    running = start_cluster(binaries, node=node)
    try:
        if isinstance(node, KubeletNode):
            releases = {each.tag: each for name in SCENARIOS for each in releases_of(name)}
            node.import_images(tuple(releases.values()))
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session")
def binaries(say: Callable[[str], None], on_kubelet: bool) -> dict[str, Path]:
    tools = (*TOOLS, *NODE_TOOLS) if on_kubelet else TOOLS
    return find_binaries(tools=tools, progress=say)


@pytest.fixture(scope="session")
def node_binaries(say: Callable[[str], None]) -> dict[str, Path]:
    """For tests that only a kubelet can decide; they are skipped where there can be none."""
    try:
        refuse_unfit_machine(LocalProcesses())
    except UsageProblem as problem:
        pytest.skip(str(problem))
    return find_binaries(tools=(*TOOLS, *NODE_TOOLS), progress=say)


@pytest.fixture(scope="session")
def helm3(say: Callable[[str], None]) -> Path:
    return find_binaries(tools=(HELM3,), progress=say)["helm3"]


@pytest.fixture(scope="session")
def running_cluster(binaries: dict[str, Path], on_kubelet: bool) -> Iterator[RunningCluster]:
    with starting(binaries, on_kubelet=on_kubelet) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(running_cluster: RunningCluster) -> Cluster:
    return running_cluster.cluster


@pytest.fixture
def incident(
    request: pytest.FixtureRequest,
    running_cluster: RunningCluster,
    binaries: dict[str, Path],
    tmp_path: Path,
) -> Iterator[Incident]:
    """A bad release of its own for the test, with helm 4 unless the test is for BOTH."""
    helm = (
        binaries["helm"] if getattr(request, "param", "helm") == "helm" else request.getfixturevalue("helm3")
    )
    found = Incident(running_cluster, tmp_path, helm)
    yield found
    found.close()


@pytest.fixture
def namespace(running_cluster: RunningCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace in which pods can be made at once."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].rstrip("-")
    name = f"t{next(_numbers)}-{slug}"
    api = running_cluster.api
    status, body = api.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert status == 201, body
    deadline = time.monotonic() + 30
    while api.get(f"/api/v1/namespaces/{name}/serviceaccounts/default")[0] != 200:
        assert time.monotonic() < deadline, f"no default service account in {name}"
        time.sleep(0.02)
    yield name
    api.send("DELETE", f"/api/v1/namespaces/{name}", {})
