"""Who else manages a release's live objects: GitOps controllers and owning objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..domain.checks import JsonObject
from ..domain.errors import ZkRollbackError
from ..domain.kube_objects import controller
from ..domain.ports import Kube

ARGO, FLUX_HELM, FLUX_KUSTOMIZE = "Argo CD Application", "Flux HelmRelease", "Flux Kustomization"
_TRACKING_ID = "argocd.argoproj.io/tracking-id"
_TRACKING_LABEL = "argocd.argoproj.io/instance"
_FLUX = {FLUX_HELM: "helm.toolkit.fluxcd.io", FLUX_KUSTOMIZE: "kustomize.toolkit.fluxcd.io"}
# The managers of managedFields by which the controllers are known where they leave no label.
_MANAGERS = {
    "argocd-controller": ARGO,
    "argocd-application-controller": ARGO,
    "helm-controller": FLUX_HELM,
    "kustomize-controller": FLUX_KUSTOMIZE,
}
# Where the controller's own object is found (its newest served version, then an older one).
_RESOURCES = {
    ARGO: ("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications/{name}",),
    FLUX_HELM: (
        "/apis/helm.toolkit.fluxcd.io/v2/namespaces/{namespace}/helmreleases/{name}",
        "/apis/helm.toolkit.fluxcd.io/v2beta2/namespaces/{namespace}/helmreleases/{name}",
    ),
    FLUX_KUSTOMIZE: (
        "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/{name}",
        "/apis/kustomize.toolkit.fluxcd.io/v1beta2/namespaces/{namespace}/kustomizations/{name}",
    ),
}
_ARGO_NAMESPACE = "argocd"


@dataclass(frozen=True)
class GitOpsOwner:
    """A controller or an object that manages ``example`` (``Kind/name``) of the release.

    ``suspended_reason`` says why it will not act (suspended, no automatic sync); empty: it acts, or
    that is not known.
    ``name`` may be empty: only the controller is known.
    """

    kind: str
    name: str
    namespace: str
    example: str
    evidence: str
    suspended_reason: str = ""

    def __str__(self) -> str:
        """``Flux HelmRelease flux-system/web``."""
        place = "/".join(filter(None, (self.namespace, self.name)))
        return f"{self.kind} {place}".strip()


def find_owners(objects: Iterable[JsonObject], release_manager: str = "") -> tuple[GitOpsOwner, ...]:
    """Each owner once, by the first of the live ``objects`` that shows it.

    ``release_manager``: who wrote the release's Secret. ``app.kubernetes.io/instance`` alone says nothing:
    Argo CD writes it, and so does nearly every chart.
    """
    found: dict[tuple[str, str, str], GitOpsOwner] = {}
    for item in objects:
        for owner in _of(item):
            found.setdefault((owner.kind, owner.namespace, owner.name), owner)
    if _MANAGERS.get(release_manager) is not None and all(
        owner.kind != _MANAGERS[release_manager] for owner in found.values()
    ):
        kind = _MANAGERS[release_manager]
        evidence = f"the release itself was written by {release_manager}"
        found[(kind, "", "")] = GitOpsOwner(kind, "", "", "the release", evidence)
    named = {owner.kind for owner in found.values() if owner.name}
    return tuple(owner for owner in found.values() if owner.name or owner.kind not in named)


def fetch_suspended_reason(kube: Kube, owner: GitOpsOwner, timeout_s: float = 2.0) -> GitOpsOwner:
    """``owner`` with why it will not act, where that can be read; what cannot be read is taken to act."""
    for path in _RESOURCES.get(owner.kind, ()) if owner.name else ():
        try:
            spec = kube.get(path.format(namespace=owner.namespace, name=owner.name), timeout_s=timeout_s)[
                "spec"
            ]
        except (ZkRollbackError, KeyError):
            continue
        return replace(
            owner, suspended_reason=_suspended_reason(owner.kind, spec if isinstance(spec, dict) else {})
        )
    return owner


def _suspended_reason(kind: str, spec: JsonObject) -> str:
    if kind == ARGO:
        automated = (spec.get("syncPolicy") or {}).get("automated")
        if automated is None or (isinstance(automated, dict) and automated.get("enabled") is False):
            return "its sync is not automatic"
        return ""
    return "it is suspended" if spec.get("suspend") is True else ""


def _of(item: JsonObject) -> Iterator[GitOpsOwner]:
    metadata = item.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    example = f"{item.get('kind')}/{metadata.get('name')}"
    tracked = str(annotations.get(_TRACKING_ID) or "")
    if tracked:
        # "APP:group/Kind:namespace/name"; an application outside of Argo CD's own namespace is NAMESPACE_APP
        space, _, name = tracked.partition(":")[0].rpartition("_")
        yield GitOpsOwner(
            ARGO, name, space or _ARGO_NAMESPACE, example, f"annotation {_TRACKING_ID}={tracked}"
        )
    elif labels.get(_TRACKING_LABEL):
        name = str(labels[_TRACKING_LABEL])
        yield GitOpsOwner(ARGO, name, _ARGO_NAMESPACE, example, f"label {_TRACKING_LABEL}={name}")
    for kind, prefix in _FLUX.items():
        if labels.get(f"{prefix}/name"):
            name, space = str(labels[f"{prefix}/name"]), str(labels.get(f"{prefix}/namespace") or "")
            space = space or str(metadata.get("namespace") or "")
            yield GitOpsOwner(kind, name, space, example, f"label {prefix}/name={name}")
    for entry in metadata.get("managedFields") or ():
        manager = str(entry.get("manager") or "")
        if manager in _MANAGERS and not entry.get("subresource"):
            yield GitOpsOwner(_MANAGERS[manager], "", "", example, f"its fields are managed by {manager}")
    if (owner := controller(item)) is not None:
        space = str(metadata.get("namespace") or "")
        yield GitOpsOwner(
            str(owner.get("kind")),
            str(owner.get("name")),
            space,
            example,
            f"it is the controller of {example}",
        )
