"""Whose cluster a context leads to, and what a drill that could not clean up says."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_zkrollback.clients.kube.kubeconfig import read_server
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.errors import DrillProblem, ProcessProblem, UsageProblem
from pytest_zkrollback.domain.ports import Finished
from pytest_zkrollback.drill.named_context import _read_kubeconfig
from pytest_zkrollback.drill.persistence import SavedDrill, namespace_left
from pytest_zkrollback.drill.venue import ClusterAccess
from pytest_zkrollback.drill.whose_cluster import Configured


def kubeconfig(folder, name, server):
    path = folder / f"{name}.json"
    cluster = {"name": name, "cluster": {"server": server}}
    context = {"name": name, "context": {"cluster": name, "user": name}}
    user = {"name": name, "user": {"token": "t"}}
    path.write_text(json.dumps({"clusters": [cluster], "contexts": [context], "users": [user]}))
    return str(path)


def compared(folder, drill, configured):
    env = Environment(
        name="prod",
        context="prod",
        kubeconfig=kubeconfig(folder, "prod", configured),
        workloads={"web": "deployment/web"},
    )
    found = read_server("drill", kubeconfig(folder, "drill", drill))
    Configured([env], "zkrollback.toml").refuse_same_server("drill", found)


@pytest.mark.parametrize(
    ("drill", "configured"),
    [
        ("https://k8s.example:443", "https://K8S.example."),
        ("https://127.0.0.1:6443", "https://localhost:6443/"),
        ("https://0.0.0.0:6550", "https://127.0.0.1:6550"),
    ],
)
def test_one_address_in_two_spellings_is_one_cluster(tmp_path, drill, configured):
    with pytest.raises(UsageProblem, match="its API server's address is the same"):
        compared(tmp_path, drill, configured)


def test_other_addresses_are_other_clusters(tmp_path):
    compared(tmp_path, "https://127.0.0.1:6443", "https://127.0.0.1:6444")


@pytest.mark.parametrize("server", ["https://127.0.0.1:99999", "https://127.0.0.1:abc", "https://[::1"])
def test_a_server_that_is_no_url_is_a_sentence_and_an_environments_broken_one_is_passed_over(
    tmp_path, server
):
    with pytest.raises(UsageProblem, match="helm did not run"):
        compared(tmp_path, server, "https://k8s.example")
    compared(tmp_path, "https://127.0.0.1:6443", server)


class Kubectl:
    """Answers once, and keeps what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def run(self, argv, timeout_s, **_):
        self.asked.append(argv)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def said(code, output):
    return Finished(
        argv=(), exit_code=code, stdout=output, stderr="", output=output, timed_out=False, duration_s=0.1
    )


def kept(**changes):
    access = ClusterAccess(Path("/d/kubeconfig"), "kind-kind", Path("/d"), {"kubectl": Path("/bin/kubectl")})
    return SavedDrill(access, "crash-loop", "u", "w", "uid", "context kind-kind", "drill-1", **changes)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(0, "drill-1 "), "it is there"),
        (said(1, "Unable to connect to the server"), "Unable to connect to the server"),
        (ProcessProblem("no kubectl"), "no kubectl"),
    ],
)
def test_a_namespace_that_may_have_stayed_is_named_with_the_command_that_deletes_it(answer, why):
    assert namespace_left(kept(makes_namespace=True), Kubectl(answer)) == (
        f"Its namespace drill-1 may have stayed ({why}): delete it with `kubectl --context kind-kind delete "
        "namespace drill-1`, or start a drill there again, which removes it."
    )


@pytest.mark.parametrize("output", ["", "drill-1 2026-11-29T07:00:00Z"])
def test_a_namespace_that_is_gone_or_going_is_not_named(output):
    assert namespace_left(kept(makes_namespace=True), Kubectl(said(0, output))) == ""


def test_of_a_cluster_of_our_own_nothing_is_asked():
    kubectl = Kubectl(said(0, "drill-1 "))
    assert (namespace_left(kept(), kubectl), kubectl.asked) == ("", [])


@pytest.mark.parametrize(
    ("user", "named"),
    [
        ({"tokenFile": "tok"}, "tok"),
        ({"exec": {"command": "./plug"}}, "./plug"),
        ({"exec": {"command": "aws"}}, None),
        ({"tokenFile": "/etc/tok"}, None),
    ],
)
def test_paths_that_lead_nowhere_from_the_drills_folder_are_refused(user, named):
    config = {"contexts": [{"context": {}}], "users": [{"user": user}]}
    kubectl = Kubectl(said(0, json.dumps(config)))
    if named is None:
        _read_kubeconfig("dev", "ns", Path("kubectl"), kubectl)
    else:
        with pytest.raises(DrillProblem, match=f"names the path {named}, which is relative"):
            _read_kubeconfig("dev", "ns", Path("kubectl"), kubectl)


def test_what_kubectl_says_against_a_context_is_repeated():
    refusal = SimpleNamespace(exit_code=1, stdout="", output="error: context was not found")
    with pytest.raises(DrillProblem, match="error: context was not found"):
        _read_kubeconfig("dev", "ns", Path("kubectl"), Kubectl(refusal))
