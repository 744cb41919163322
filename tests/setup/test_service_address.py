"""Where users reach a service, and where it says how it is: by routes and probes of a manifest."""

import pytest
import yaml

from pytest_zkrollback.setup.service_address import (
    find_common_label,
    find_expected,
    find_health_paths,
    find_routes,
)
from support.manifests import parse_manifest

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  tls: {tls}
  rules:
  - host: {host}
    http: {{paths: [{{path: {path}, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: public, namespace: edge}]
  hostnames: [shop.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"""


def routes(text):
    return [
        (route.url, sorted(route.services), route.source)
        for route in find_routes(parse_manifest(text, "shop"))
    ]


@pytest.mark.parametrize(
    ("tls", "host", "path", "url"),
    [
        ("[]", "shop.example.com", "/", "http://shop.example.com"),
        ("[{hosts: [shop.example.com]}]", "shop.example.com", "/", "https://shop.example.com"),
        ("[{secretName: one}]", "shop.example.com", "/", "https://shop.example.com"),
        ("[{hosts: [other.example.com]}]", "shop.example.com", "/shop/", "http://shop.example.com/shop"),
        ('[{hosts: ["*.example.com"]}]', "shop.example.com", "/", "https://shop.example.com"),
        ('[{hosts: ["*.example.com"]}]', "a.shop.example.com", "/", "http://a.shop.example.com"),
        ('[{hosts: ["*.example.com"]}]', "example.com", "/", "http://example.com"),
        ('[{hosts: [a.b]}, {hosts: ["*.example.com"]}]', "shop.example.com", "/", "https://shop.example.com"),
    ],
)
def test_an_ingress_says_where_it_is(tls, host, path, url):
    assert routes(INGRESS.format(tls=tls, host=host, path=path)) == [(url, ["web"], "Ingress/web")]


@pytest.mark.parametrize(
    ("host", "path"), [('"*.example.com"', "/"), ('""', "/"), ("shop.example.com", '"/api(/|$)(.*)"')]
)
def test_a_pattern_is_no_address(host, path):
    assert routes(INGRESS.format(tls="[]", host=host, path=path)) == []


def test_a_route_of_a_gateway_is_https_unless_the_gateway_says_otherwise():
    [route] = find_routes(parse_manifest(ROUTE, "shop"))
    assert (route.url, route.source, route.gateways) == (
        "https://shop.example.com",
        "HTTPRoute/web",
        (("edge", "public"),),
    )
    assert route.over("http").url == "http://shop.example.com"


@pytest.mark.parametrize(
    ("matches", "urls"),
    [
        ("[{headers: [{name: x-canary, value: '1'}]}]", []),
        ("[{path: {value: /a}, headers: [{name: x-canary, value: '1'}]}, {path: {value: /b}}]", ["/b"]),
        ("[{queryParams: [{name: v, value: '2'}]}]", []),
        ("[{method: POST}]", []),
        ("[{method: GET, path: {value: /a}}]", ["/a"]),
        ("[]", [""]),
    ],
)
def test_what_only_some_requests_reach_is_no_address(matches, urls):
    rule = f"rules: [{{matches: {matches}, backendRefs: [{{name: web, port: 80}}]}}]"
    found = routes(ROUTE.replace("rules: [{backendRefs: [{name: web, port: 80}]}]", rule))
    assert [url for url, *_ in found] == [f"https://shop.example.com{path}" for path in urls]


HOLES = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: HOLE
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {tls: HOLE, rules: [{host: HOLE}, {host: a.example.com, http: HOLE}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: paths}
spec: {tls: [HOLE], rules: [{host: a.example.com, http: {paths: [HOLE, {backend: HOLE, path: HOLE}]}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: HOLE, hostnames: HOLE, rules: HOLE}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: more}
spec:
  parentRefs: [HOLE]
  hostnames: [b.example.com, HOLE]
  rules: [HOLE, {matches: [HOLE, {path: HOLE}], backendRefs: [HOLE]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: none}
spec: HOLE
"""


@pytest.mark.parametrize("hole", [None, [None], [], {}, "x", 7])
def test_what_is_not_where_kubernetes_has_it_is_passed_over(hole):
    """Objects as a chart states them, or as any controller made them."""

    def filled(node):
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(each) for each in node]
        return hole if node == "HOLE" else node

    objects = [filled(item) for item in yaml.safe_load_all(HOLES)]
    hosts = {route.url.partition("://")[2] for route in find_routes(objects)}
    assert hosts <= {"a.example.com", "b.example.com", "x"}
    assert find_health_paths(objects, frozenset({"web"})) == ()


def test_a_whole_host_comes_before_a_part_of_one_and_each_stands_once():
    part = INGRESS.format(tls="[]", host="a.example.com", path="/shop")
    whole = INGRESS.format(tls="[]", host="b.example.com", path="/")
    found = routes(part + "---" + whole + "---" + whole)
    assert [url for url, *_ in found] == ["http://b.example.com", "http://a.example.com/shop"]


WORKLOAD = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  template:
    metadata: {{labels: {{app: {name}, part-of: shop}}}}
    spec: {{containers: [{{name: main, image: x, {probe}: {{httpGet: {{path: {path}, port: 80}}}}}}]}}
"""
SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}}
"""


def test_the_probe_of_what_the_url_leads_to_comes_first():
    text = WORKLOAD.format(name="db", probe="readinessProbe", path="/db")
    text += WORKLOAD.format(name="web", probe="livenessProbe", path="/live") + SERVICE
    objects = parse_manifest(text, "shop")
    assert find_health_paths(objects, frozenset({"front"})) == ("/live", "/db")
    assert find_health_paths(objects) == ("/db", "/live")
    assert find_common_label(objects) == "part-of=shop"


def test_without_probes_and_common_labels_nothing_is_known():
    bare = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: []}}}\n"
    assert find_health_paths(parse_manifest(bare, "shop")) == ()
    assert find_common_label(parse_manifest(bare, "shop")) == ""
    assert find_common_label(()) == ""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"version": "1", "status": "UP", "database": "ok"}, {"database": "ok"}),
        ({"status": "UP"}, {"status": "UP"}),
        ({"database": {"state": "up"}}, {"database.state": "up"}),
        ({"ready": True}, {"ready": True}),
        ({"status": "DOWN", "count": 1}, {}),
        ({"a.b": "ok"}, {}),
        ({"status": "degraded", "cache": "up", "database": "down"}, {}),
        ({"ready": True, "db": False}, {}),
        ([{"status": "ok"}], {}),
        ("ok", {}),
        (None, {}),
    ],
)
def test_a_member_that_says_well_is_expected(answer, expected):
    assert find_expected(answer) == expected
