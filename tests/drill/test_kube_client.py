"""KubeClient against a real API server."""

import json
import threading
import time

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.clients.kube.client import KubeClient, connect
from pytest_zkrollback.domain.errors import (
    BadAnswer,
    Forbidden,
    HttpProblem,
    NotFound,
    Unauthorized,
    Unreachable,
)
from pytest_zkrollback.drill.local_cluster import Cluster


@pytest.fixture
def kube(cluster: Cluster) -> KubeClient:
    return connect(cluster.context, str(cluster.kubeconfig), SystemClock())


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_server_and_secrets_of_the_context(kube, cluster):
    assert kube.server == cluster.server
    (token,) = kube._wire.access.secrets
    assert token in cluster.kubeconfig.read_text()


def test_write_read_and_list(kube, namespace):
    path = kube.resource_path("v1", "ConfigMap", namespace)
    assert path == f"/api/v1/namespaces/{namespace}/configmaps"
    kube.send("POST", path, config_map("a", k="v"))
    assert kube.get(f"{path}/a")["data"] == {"k": "v"}
    patched = kube.send("PATCH", f"{path}/a", {"data": {"k": "w"}}, "application/merge-patch+json")
    assert patched["data"] == {"k": "w"}
    found = kube.list(path, {"labelSelector": "nobody=here"})
    assert found == ()
    assert {item["metadata"]["name"] for item in kube.list(path)} >= {"a"}


def test_server_side_dry_run_in_yaml(kube, namespace):
    path = kube.resource_path("v1", "ConfigMap", namespace, "dry")
    answer = kube.send(
        "PATCH",
        path,
        json.dumps(config_map("dry", k="v")),
        "application/apply-patch+yaml",
        {"dryRun": "All", "fieldManager": "helm"},
    )
    assert answer["data"] == {"k": "v"}
    with pytest.raises(NotFound):
        kube.get(path)


def test_lists_come_in_pages_and_an_expired_token_starts_again_fault_4(kube, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for number in range(5):
        kube.send("POST", path, config_map(f"c{number}"))
    paged = kube.list(path, {"limit": "2"})
    assert {item["metadata"]["name"] for item in paged} >= {f"c{number}" for number in range(5)}
    assert len({item["metadata"]["uid"] for item in paged}) == len(paged)
    with pytest.raises(BadAnswer) as caught:
        kube.get(path, {"limit": "2", "continue": "bm8gdG9rZW4"})
    assert caught.value.status in (400, 410)


def test_metadata_only_lists_hold_no_data(kube, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    kube.send("POST", path, config_map("big", k="v" * 1000))
    found = {item["metadata"]["name"]: item for item in kube.list_metadata(path)}
    assert "data" not in found["big"]


def test_discovery_knows_groups_and_cluster_scope(kube):
    assert kube.resource_path("apps/v1", "Deployment", "n", "d") == "/apis/apps/v1/namespaces/n/deployments/d"
    assert (
        kube.resource_path("rbac.authorization.k8s.io/v1", "ClusterRole", "n", "system:node")
        == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode"
    )
    assert kube.get(kube.resource_path("rbac.authorization.k8s.io/v1", "ClusterRole", "n", "system:node"))
    with pytest.raises(NotFound, match="knows no kind Nonsense in apps/v1"):
        kube.resource_path("apps/v1", "Nonsense", "n")
    with pytest.raises(NotFound):
        kube.resource_path("no.such/v1", "Nonsense", "n")


def test_watch_sees_changes_and_ends_by_itself(kube, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    _, version = kube.list_with_version(path)

    def change() -> None:
        time.sleep(0.3)
        kube.send("POST", path, config_map("new"))

    thread = threading.Thread(target=change)
    thread.start()
    begun = time.monotonic()
    events = list(kube.watch(path, version, timeout_s=1.5))
    assert 0.9 < time.monotonic() - begun < 2.5
    thread.join()
    assert ("ADDED", "new") in {(event["type"], event["object"]["metadata"]["name"]) for event in events}


def test_missing_forbidden_and_unknown_credentials(kube, cluster, namespace, tmp_path):
    with pytest.raises(NotFound, match='configmaps "no" not found'):
        kube.get(f"/api/v1/namespaces/{namespace}/configmaps/no")
    token = kube.send(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )["status"]["token"]
    text = cluster.kubeconfig.read_text()
    (secret,) = kube._wire.access.secrets
    narrow = tmp_path / "narrow"
    narrow.write_text(text.replace(secret, token))
    client = connect(cluster.context, str(narrow), SystemClock())
    with pytest.raises(Forbidden) as caught:
        client.get(f"/api/v1/namespaces/{namespace}/pods/p/log")
    error = caught.value
    assert (error.verb, error.resource, error.namespace) == ("get", "pods/log", namespace)
    assert "cannot get resource" in str(error)
    stranger = tmp_path / "stranger"
    stranger.write_text(text.replace(secret, "not-a-token"))
    with pytest.raises(Unauthorized):
        connect(cluster.context, str(stranger), SystemClock()).get("/api/v1/namespaces")


def test_one_client_serves_many_threads(kube):
    problems: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(10):
                assert kube.get("/api/v1/namespaces/kube-system")["metadata"]["name"] == "kube-system"
                assert kube.list("/api/v1/namespaces")
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_server_that_is_not_trusted_is_said(cluster, tmp_path):
    lines = cluster.kubeconfig.read_text().splitlines()
    untrusting = tmp_path / "config"
    untrusting.write_text("\n".join(line for line in lines if "certificate-authority" not in line))
    with pytest.raises(Unreachable) as caught:
        connect(cluster.context, str(untrusting), SystemClock()).get("/version")
    assert str(caught.value).startswith(f"The API server {cluster.server} (context 'drill') is not trusted: ")
    assert str(caught.value).endswith(". Check the kubeconfig's certificate-authority.")


def test_http_client_trusts_its_ca_file_only(cluster):
    with pytest.raises(HttpProblem) as caught:
        HttpClient().get(f"{cluster.server}/livez", timeout_s=5)
    assert str(caught.value).startswith(f"{cluster.server} is not trusted: ")
    assert not caught.value.maybe_received
    trusting = HttpClient(ca_file=str(cluster.ca_file))
    assert trusting.get(f"{cluster.server}/livez", timeout_s=5).status in (200, 401)
