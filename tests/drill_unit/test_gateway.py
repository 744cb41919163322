"""The gateway against a stand-in for the API server: what is asked where, and what comes back unchanged."""

import json
import threading
import urllib.error
import urllib.request

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.kube.access import Access
from pytest_zkrollback.clients.kube.client import KubeClient
from pytest_zkrollback.drill.gateway import Gateway
from support.drill_pods import pod as drill_pod
from support.local_sockets import LocalServer, answer, free_port

NO_ENDPOINTS = json.dumps(
    {"kind": "Status", "message": 'no endpoints available for service "x"', "code": 503}
)


def ask(server_url, path, body=None):
    """Status and body as a user of the application gets them."""
    gateway = Gateway(KubeClient(Access("context 'k'", server_url), SystemClock()), "drill")
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    headers = {"Content-Type": "application/json"} if body else {}
    url = f"http://127.0.0.1:{gateway.server_address[1]}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    finally:
        gateway.shutdown()
        gateway.server_close()


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/health", "backend"),
        ("/health?verbose=1", "backend"),
        ("/api/orders/7", "backend"),
        ("/metrics", "backend"),
        ("/", "frontend"),
        ("/apidocs", "frontend"),
    ],
)
def test_each_path_goes_to_its_service(path, service):
    with LocalServer(answer("hello")) as server:
        assert ask(server.url, path) == (200, "hello")
    proxied = f"/api/v1/namespaces/drill/services/zkprova-zkprova-{service}:http/proxy{path}"
    assert server.requests[0].startswith(f"GET {proxied} HTTP/1.1")


def test_prometheus_finds_the_ready_pods_and_reads_their_own_metrics():
    pods = json.dumps(
        {"items": [drill_pod("backend-a"), drill_pod("backend-b", ready=False)], "metadata": {}}
    )
    with LocalServer(answer(pods)) as server:
        status, body = ask(server.url, "/targets")
    assert server.requests[0].startswith(
        "GET /api/v1/namespaces/drill/pods?labelSelector=app%3Dzkprova-backend"
    )
    [group] = json.loads(body)
    assert status == 200
    assert group["labels"] == {
        "namespace": "drill",
        "pod": "backend-a",
        "__metrics_path__": "/pods/backend-a/metrics",
    }
    with LocalServer(answer("zkprova_orders_total 3")) as server:
        assert ask(server.url, "/pods/backend-a/metrics") == (200, "zkprova_orders_total 3")
    path = "/api/v1/namespaces/drill/pods/backend-a:8080/proxy/metrics"
    assert server.requests[0].startswith(f"GET {path} HTTP/1.1")
    assert ask(f"http://127.0.0.1:{free_port()}", "/targets")[0] == 502


def test_an_order_is_passed_on_with_its_body():
    with LocalServer(answer('{"id": 1}', 201)) as server:
        assert ask(server.url, "/api/orders", b'{"item": "tea"}') == (201, '{"id": 1}')
    assert server.requests[0].startswith("POST ")
    assert server.requests[0].endswith('{"item": "tea"}')


@pytest.mark.parametrize("body", ['{"status": "error", "database": "gone"}', NO_ENDPOINTS])
def test_a_503_is_passed_on_whoever_says_it(body):
    with LocalServer(answer(body, 503)) as server:
        assert ask(server.url, "/health") == (503, body)


def test_an_api_server_that_is_away_is_a_502_that_says_so():
    status, body = ask(f"http://127.0.0.1:{free_port()}", "/health")
    assert status == 502
    assert "refuses connections" in json.loads(body)["detail"]
