"""What a manifest's objects refer to and do not bring themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..domain.checks import JsonObject
from .diff import pod_references
from .manifest import identity, pod_template

# Every namespace has them.
_EVERYWHERE = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}


class Reference(NamedTuple):
    """``user`` (``Deployment/api``) refers to ``item``, of which only kind, name and namespace are known."""

    user: str
    item: JsonObject


def outer_references(objects: Sequence[JsonObject]) -> tuple[Reference, ...]:
    """Each once: ConfigMaps, Secrets, ServiceAccounts and claims of pod templates (what is optional left
    out), Services and certificates of Ingresses."""
    brought = {(item["kind"], identity(item).namespace, identity(item).name) for item in objects}
    found: dict[tuple[str, str, str], Reference] = {}
    for item in objects:
        key = identity(item)
        for kind, name in sorted({*pod_references(pod_template(item) or {}), *_ingress(item)} - _EVERYWHERE):
            where = (kind, key.namespace, name)
            metadata = {"name": name, "namespace": key.namespace}
            if where not in brought:
                found.setdefault(
                    where, Reference(key.label, {"apiVersion": "v1", "kind": kind, "metadata": metadata})
                )
    return tuple(found.values())


def _ingress(item: JsonObject) -> Iterator[tuple[str, str]]:
    if item["kind"] != "Ingress":
        return
    spec = item.get("spec") or {}
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or ():
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or ()]
    for backend in backends:
        if (backend.get("service") or {}).get("name"):
            yield "Service", str(backend["service"]["name"])
    for certificate in spec.get("tls") or ():
        if certificate.get("secretName"):
            yield "Secret", str(certificate["secretName"])
