"""Who else manages the live objects: labels, annotations, managers and owning objects; and whether they act."""

import pytest

from pytest_zkrollback.domain.errors import Forbidden, NotFound
from pytest_zkrollback.release.gitops import GitOpsOwner, fetch_suspended_reason, find_owners


def thing(labels=None, annotations=None, **metadata):
    meta = {
        "name": "web",
        "namespace": "shop",
        "labels": labels or {},
        "annotations": annotations or {},
        **metadata,
    }
    return {"kind": "Deployment", "metadata": meta}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param(
            thing(annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}),
            "Argo CD Application argocd/shop",
            id="argo-annotation",
        ),
        pytest.param(
            thing(annotations={"argocd.argoproj.io/tracking-id": "team_shop:apps/Deployment:shop/web"}),
            "Argo CD Application team/shop",
            id="argo-in-any-namespace",
        ),
        pytest.param(
            thing(labels={"argocd.argoproj.io/instance": "shop"}),
            "Argo CD Application argocd/shop",
            id="argo-label",
        ),
        pytest.param(
            thing(labels={"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "flux"}),
            "Flux HelmRelease flux/web",
            id="flux-helm",
        ),
        pytest.param(
            thing(labels={"kustomize.toolkit.fluxcd.io/name": "apps"}),
            "Flux Kustomization shop/apps",
            id="flux-kustomize",
        ),
        pytest.param(
            thing(managedFields=[{"manager": "argocd-controller", "operation": "Apply"}]),
            "Argo CD Application",
            id="argo-manager",
        ),
        pytest.param(
            thing(ownerReferences=[{"kind": "HelmChart", "name": "traefik", "controller": True}]),
            "HelmChart shop/traefik",
            id="owning-object",
        ),
    ],
)
def test_an_owner_is_found_by_what_it_leaves_behind(item, expected):
    assert [str(owner) for owner in find_owners([item])] == [expected]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(thing(labels={"app.kubernetes.io/instance": "shop"}), id="nearly-every-chart-has-that"),
        pytest.param(thing(labels={"app.kubernetes.io/managed-by": "Helm"}), id="helm-itself"),
        pytest.param(thing(managedFields=[{"manager": "helm"}, {"manager": "kubectl-edit"}]), id="hands"),
        pytest.param(
            thing(managedFields=[{"manager": "helm-controller", "subresource": "status"}]),
            id="who-only-writes-status",
        ),
        pytest.param(thing(ownerReferences=[{"kind": "Thing", "name": "x"}]), id="no-controller"),
        pytest.param({"kind": "ConfigMap"}, id="nothing"),
    ],
)
def test_what_is_no_evidence_of_an_owner(item):
    assert find_owners([item], "helm") == ()


def test_each_owner_once_and_a_named_one_stands_for_its_manager():
    flux = {"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "flux"}
    item = thing(labels=flux, managedFields=[{"manager": "helm-controller"}])
    [owner] = find_owners([item, item], "helm-controller")
    assert (owner.kind, owner.name, owner.example) == ("Flux HelmRelease", "web", "Deployment/web")
    [by_release] = find_owners([thing()], "helm-controller")
    assert by_release.evidence == "the release itself was written by helm-controller"


class FakeKube:
    """Answers a GET of what it has; fails on anything but a path of a controller's object."""

    def __init__(self, **specs):
        self.specs = {key.replace("__", "/"): value for key, value in specs.items()}

    def get(self, path, query=None, timeout_s=5.0):
        assert path.startswith("/apis/")
        found = self.specs.get(path.split("/")[3])
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise NotFound("no such kind")
        return {"spec": found}


FLUX = GitOpsOwner("Flux HelmRelease", "web", "flux", "Deployment/web", "label")
ARGO = GitOpsOwner("Argo CD Application", "shop", "argocd", "Deployment/web", "label")


@pytest.mark.parametrize(
    ("owner", "kube", "reason"),
    [
        (FLUX, FakeKube(v2={"suspend": True}), "it is suspended"),
        (FLUX, FakeKube(v2={}), ""),
        (FLUX, FakeKube(v2beta2={"suspend": True}), "it is suspended"),
        (FLUX, FakeKube(v2=Forbidden("no", verb="get", resource="helmreleases")), ""),
        (ARGO, FakeKube(v1alpha1={"syncPolicy": {"automated": {"selfHeal": True}}}), ""),
        (
            ARGO,
            FakeKube(v1alpha1={"syncPolicy": {"automated": {"enabled": False}}}),
            "its sync is not automatic",
        ),
        (ARGO, FakeKube(v1alpha1={"syncPolicy": {}}), "its sync is not automatic"),
        (ARGO, FakeKube(v1alpha1={}), "its sync is not automatic"),
        (ARGO, FakeKube(), ""),
        (GitOpsOwner("HelmChart", "x", "n", "Deployment/web", "owner"), FakeKube(), ""),
    ],
)
def test_an_owner_acts_unless_it_can_be_read_that_it_does_not(owner, kube, reason):
    assert fetch_suspended_reason(kube, owner).suspended_reason == reason
