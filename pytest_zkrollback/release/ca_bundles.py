"""CA bundles that an injector fills in, where the manifest states a placeholder or none. Pure.

Sources: https://cert-manager.io/docs/concepts/ca-injector/ and OpenShift's service CA operator; the jobs of
kube-webhook-certgen write into the same fields.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..domain.checks import JsonObject
from .field_paths import Path, by_merge_key, find_stated
from .managed_fields import set_by

_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_CONVERSION = ("spec", "conversion", "webhook", "clientConfig")
_ANNOTATIONS = (
    *("cert-manager.io/inject-", "certmanager.k8s.io/inject-"),
    *("service.beta.openshift.io/inject-cabundle", "service.alpha.openshift.io/inject-cabundle"),
)


@dataclass(frozen=True)
class CaBundle:
    """A field for a CA bundle in which the manifest has none.

    ``is_stated``: it has a placeholder there; ``is_filled``: a bundle is live; ``by``: who set what is live,
    if not helm; ``annotation``: which one asks for a bundle; empty: none does.
    """

    path: Path
    is_stated: bool
    is_filled: bool
    by: str = ""
    annotation: str = ""


def ca_bundles(expected: JsonObject, live: JsonObject, managers: Collection[str]) -> tuple[CaBundle, ...]:
    """Every one of an object. ``managers`` are those that wrote the release."""
    owners = set_by(live, managers)
    asked = _annotation(live) or _annotation(expected)
    found = []
    for client in _clients(expected):
        path = (*client, "caBundle")
        stated = _at(expected, path)
        if not is_certificate(stated):
            filled = is_certificate(_at(live, path))
            found.append(CaBundle(path, stated is not None, filled, owners.get(path, ""), asked))
    return tuple(found)


def is_certificate(value: object) -> bool:
    """Whether it is a bundle of certificates; a placeholder is none."""
    try:
        return b"BEGIN CERTIFICATE" in base64.b64decode(str(value or ""), validate=False)
    except (binascii.Error, ValueError):
        return False


def _clients(item: JsonObject) -> Iterator[Path]:
    """Where an object says whom the API server asks, and which CA it believes."""
    if item["kind"] in _WEBHOOKS:
        hooks = item.get("webhooks")
        for key in by_merge_key("webhooks", hooks, top=True) or () if isinstance(hooks, list) else ():
            yield ("webhooks", f"[{key}]", "clientConfig")
    elif item["kind"] == "APIService" and _at(item, ("spec", "service")):
        yield ("spec",)
    elif item["kind"] == "CustomResourceDefinition" and _at(item, _CONVERSION):
        yield _CONVERSION


def _at(item: JsonObject, path: Path) -> Any:
    stated, value = find_stated(item, path)
    return value if stated == path else None


def _annotation(item: JsonObject) -> str:
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    return next((str(key) for key in sorted(annotations) if str(key).startswith(_ANNOTATIONS)), "")
