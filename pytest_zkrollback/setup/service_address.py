"""Where users reach a service and where it says how it is, by its routes and probes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..release.manifest import identity, is_workload, pod_template

if TYPE_CHECKING:
    from ..domain.checks import JsonObject

# The one that says that a pod may serve comes first.
_PROBES = ("readinessProbe", "startupProbe", "livenessProbe")
# What services say of themselves when they are well: values as they stand in the JSON of /health.
_WELL = ("ok", "up", "healthy", "pass", "passing", "connected", "available", "alive", "ready")
_FIRST = ("database", "db", "status")


@dataclass(frozen=True)
class Route:
    """``url`` leads to the ``services`` (names), as ``source`` says (``Ingress/web``).

    ``gateways``: (namespace, name) of the gateways that decide whether it is https; none: it is known.
    """

    url: str
    services: frozenset[str]
    source: str
    gateways: tuple[tuple[str, str], ...] = ()

    def over(self, scheme: str) -> Route:
        """The same by another scheme."""
        return Route(f"{scheme}://{self.url.partition('://')[2]}", self.services, self.source)


def find_routes(objects: Sequence[JsonObject]) -> tuple[Route, ...]:
    """The addresses that Ingresses and HTTPRoutes state, those of whole hosts first; each url once."""
    found: dict[str, Route] = {}
    for item in objects:
        group = str(item.get("apiVersion")).rpartition("/")[0]
        if item["kind"] == "Ingress" and group in ("networking.k8s.io", "extensions"):
            routes = _of_ingress(item)
        elif item["kind"] == "HTTPRoute" and group == "gateway.networking.k8s.io":
            routes = _of_http_route(item)
        else:
            continue
        for route in routes:
            found.setdefault(route.url, route)
    return tuple(sorted(found.values(), key=lambda route: route.url.count("/")))


def find_health_paths(
    objects: Sequence[JsonObject], services: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """The paths of HTTP probes, each once, those of what the ``services`` lead to first."""
    chosen = [
        _map(_map(item.get("spec")).get("selector"))
        for item in objects
        if item["kind"] == "Service" and identity(item).name in services
    ]
    templates = [template for item in objects if is_workload(item) if (template := pod_template(item))]
    templates.sort(key=lambda template: not any(_selects(selector, template) for selector in chosen))
    paths = [path for template in templates for probe in _PROBES for path in _paths(template, probe)]
    return tuple(dict.fromkeys(paths))


def find_expected(answer: Any) -> dict[str, str | bool]:
    """A member of the JSON that says that the service is well, by its path; empty: none does.

    Where one that says most is there and is not well, no other one stands for it.
    """
    if not isinstance(answer, dict):
        return {}
    found = dict(_well_members(answer, ""))
    for name in _FIRST:
        chosen = {key: value for key, value in found.items() if key.split(".")[0] == name}
        if chosen:
            return dict([next(iter(chosen.items()))])
        if name in answer:
            return {}
    return dict([next(iter(found.items()))]) if found else {}


def find_common_label(objects: Sequence[JsonObject]) -> str:
    """``key=value`` of a label that the pods of all workloads have; empty: there is none."""
    labels = [
        _map(_map(template.get("metadata")).get("labels"))
        for item in objects
        if is_workload(item) and (template := pod_template(item)) is not None
    ]
    common = (
        [pair for pair in labels[0].items() if all(pair in each.items() for each in labels)] if labels else []
    )
    return "=".join(map(str, common[0])) if common else ""


def _of_ingress(item: JsonObject) -> Iterator[Route]:
    spec = _map(item.get("spec"))
    for rule in _maps(spec.get("rules")):
        host = str(rule.get("host") or "")
        if not host or "*" in host:
            continue
        covered = [name for table in _maps(spec.get("tls")) for name in _texts(table.get("hosts")) or [host]]
        scheme = "https" if any(_covers(name, host) for name in covered) else "http"
        for path in _maps(_map(rule.get("http")).get("paths")):
            service = str(_map(_map(path.get("backend")).get("service")).get("name") or "")
            where = _plain(str(path.get("path") or "/"))
            if where is not None:
                yield Route(f"{scheme}://{host}{where}", frozenset({service}), identity(item).label)


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name is that of the host; a wildcard stands for one label."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])


def _of_http_route(item: JsonObject) -> Iterator[Route]:
    spec, own = _map(item.get("spec")), identity(item).namespace
    gateways = tuple(
        (str(parent.get("namespace") or own), str(parent.get("name")))
        for parent in _maps(spec.get("parentRefs"))
        if parent.get("kind", "Gateway") == "Gateway"
    )
    for rule in _maps(spec.get("rules")):
        services = frozenset(str(each.get("name")) for each in _maps(rule.get("backendRefs")))
        matches = _maps(rule.get("matches")) or [{}]
        paths = [_map(match.get("path")).get("value") or "/" for match in matches if _is_for_all(match)]
        for host in _texts(spec.get("hostnames")):
            for where in map(_plain, map(str, paths)):
                if where is not None and "*" not in host:
                    yield Route(f"https://{host}{where}", services, identity(item).label, gateways)


def _is_for_all(match: JsonObject) -> bool:
    """Whether a plain GET is enough: what asks for a header (a canary) is no address for everybody."""
    return not (match.get("headers") or match.get("queryParams") or match.get("method") not in (None, "GET"))


def _map(value: object) -> JsonObject:
    """It, if it is a map: a chart may have null, or anything, where Kubernetes has one."""
    return value if isinstance(value, dict) else {}


def _maps(value: object) -> list[JsonObject]:
    """The maps in a list; none if it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _plain(path: str) -> str | None:
    """The beginning of a path without its last slash; None: it is a pattern."""
    return path.rstrip("/") if path.startswith("/") and not set(path) & set("*()[]{}|\\^$?+ \"'") else None


def _selects(selector: Mapping[str, object], template: JsonObject) -> bool:
    labels = _map(_map(template.get("metadata")).get("labels"))
    return bool(selector) and selector.items() <= labels.items()


def _paths(template: JsonObject, probe: str) -> Iterator[str]:
    for container in _maps(_map(template.get("spec")).get("containers")):
        path = str(_map(_map(container.get(probe)).get("httpGet")).get("path") or "")
        if path.startswith("/"):
            yield path


def _well_members(answer: Mapping[str, Any], above: str) -> Iterator[tuple[str, str | bool]]:
    for key, value in answer.items():
        if not key.replace("_", "").replace("-", "").isalnum():
            continue
        if value is True or (isinstance(value, str) and value.lower() in _WELL):
            yield above + key, value
        elif isinstance(value, dict) and not above:
            yield from _well_members(value, f"{key}.")
