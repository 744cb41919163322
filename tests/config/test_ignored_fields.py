"""The key ``ignore``: what it may name, what it never may, and what an entry covers."""

import pytest
from pydantic import ValidationError

from pytest_zkrollback.config.ignored_fields import Ignore, why_never

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod")
ALLOWED = [
    ("ValidatingWebhookConfiguration", "webhooks[*].clientConfig.caBundle"),
    ("ValidatingWebhookConfiguration", "webhooks"),
    ("MutatingWebhookConfiguration", "webhooks[a.example.org].namespaceSelector"),
    ("APIService", "spec.caBundle"),
    ("CustomResourceDefinition", "spec.conversion.webhook.clientConfig.caBundle"),
    ("Deployment", "spec.replicas"),
    ("Deployment", "metadata.annotations"),
    ("Deployment", "metadata.annotations.example.org/image"),
    ("CronJob", "spec.failedJobsHistoryLimit"),
    ("Ingress", "spec.rules[0].host"),
    ("Ingress", "spec.ingressClassName"),
    ("HorizontalPodAutoscaler", "spec.minReplicas"),
    ("HorizontalPodAutoscaler", "spec.metrics"),
    ("Service", "spec.clusterIP"),
    ("Service", "spec.ports[*].nodePort"),
    ("ServiceAccount", "secrets"),
    ("ClusterRole", "rules"),
    ("PersistentVolumeClaim", "spec.volumeName"),
    ("Certificate", "spec.renewBefore"),
    # Values of these may be left out where nothing reads them, which only the objects tell.
    ("ConfigMap", "data"),
    ("Secret", "data.tls.crt"),
]
REFUSED = [
    *(
        (kind, path)
        for kind in WORKLOADS
        for path in ("spec", "spec.template", "spec.paused", "spec.selector")
    ),
    *(
        (kind, path)
        for kind in ("Deployment", "Shop", "Ingress")
        for path in ("spec.*", "spec[*]", "*", "*.replicas")
    ),
    ("Deployment", "spec.*.spec.nodeName"),
    ("Deployment", "Spec.Template"),
    ("Deployment", "spec.[template]"),
    ("Deployment", "spec.template.metadata.annotations"),
    ("Deployment", "spec.template.spec.containers[*].image"),
    ("Deployment", "spec.template.spec.containers[app].resources"),
    ("Deployment", "spec.strategy"),
    ("StatefulSet", "spec.updateStrategy.rollingUpdate.partition"),
    ("StatefulSet", "spec.volumeClaimTemplates"),
    ("CronJob", "spec.jobTemplate"),
    ("CronJob", "spec.jobTemplate.spec.backoffLimit"),
    ("CronJob", "spec.schedule"),
    ("CronJob", "spec.suspend"),
    ("Pod", "spec.containers[app].image"),
    ("Pod", "metadata.labels"),
    ("Pod", "metadata.labels.app"),
    ("Deployment", "metadata"),
    ("Deployment", "metadata.*"),
    ("Deployment", "metadata.deletionTimestamp"),
    ("Service", "spec.selector"),
    ("Service", "spec.selector.app"),
    ("Service", "spec.ports"),
    ("Service", "spec.ports[*]"),
    ("Service", "spec.ports[80/TCP].targetPort"),
    ("Service", "spec.externalName"),
    ("EndpointSlice", "endpoints"),
    ("PodDisruptionBudget", "spec.selector"),
    ("NetworkPolicy", "spec.podSelector.matchLabels"),
    ("HorizontalPodAutoscaler", "spec.scaleTargetRef"),
    ("RoleBinding", "subjects"),
    ("RoleBinding", "roleRef.name"),
    ("APIService", "spec"),
    ("Rollout", "spec.template"),
    ("Rollout", "spec.workload.podTemplate.spec"),
    ("Prometheus", "spec.image"),
    ("Prometheus", "spec.baseImage"),
    ("Prometheus", "spec.version"),
    ("Prometheus", "spec.thanos.env"),
    ("Shop", "spec.server.containers[*].command"),
    ("Shop", "spec.server.args"),
    ("Shop", "spec.volumes[*]"),
    ("SealedSecret", "spec.encryptedData"),
    ("ExternalSecret", "spec.data[*].remoteRef"),
    ("ExternalSecret", "spec.target.template"),
    ("ControllerRevision", "data"),
    # What is no path as differences name them.
    ("Deployment", "/spec/replicas"),
    ("Deployment", ".spec.replicas"),
    ("Deployment", "spec..replicas"),
    ("Deployment", "spec.rep*"),
    ("Deployment", 'spec["template"]'),
    ("Deployment", "spec .template"),
]


@pytest.mark.parametrize(("kind", "path"), ALLOWED)
def test_what_runs_nothing_may_be_ignored(kind, path):
    assert Ignore(kind=kind, name="*", path=path).path == path


@pytest.mark.parametrize(("kind", "path"), REFUSED)
def test_what_runs_is_never_ignored_however_it_is_spelled(kind, path):
    with pytest.raises(ValidationError, match="cannot be ignored"):
        Ignore(kind=kind, name="*", path=path)


@pytest.mark.parametrize(
    ("kind", "path", "why"),
    [
        ("Deployment", "spec", "it covers the whole spec"),
        ("Deployment", "*", "it covers everything"),
        ("Deployment", "spec.template", "it covers what its pods run, how many of which, or when"),
        ("Shop", "spec.image", "it covers what runs, or what selects it (image)"),
        ("Shop", "spec.a.*.b", "* may stand for what runs: name the field"),
        ("Shop", "spec.a*", "* stands for a whole name or element"),
        ("Service", "spec.ports", "it covers where requests go"),
        ("Pod", "metadata.labels", "the labels of a Pod decide what selects it"),
        (
            "Shop",
            "metadata",
            "name metadata.labels or metadata.annotations: the rest says whether it is being deleted",
        ),
        ("Shop", "/a", "write the path as a difference names it, such as webhooks[*].clientConfig.caBundle"),
    ],
)
def test_why_it_is_refused(kind, path, why):
    assert why_never(kind, path) == why


@pytest.mark.parametrize("name", ["web-*", "**", ""])
def test_a_name_is_one_or_any(name):
    with pytest.raises(ValidationError):
        Ignore(kind="APIService", name=name, path="spec.caBundle")


@pytest.mark.parametrize(
    ("path", "field", "covered"),
    [
        ("webhooks[*].clientConfig.caBundle", ("webhooks", "[a.b]", "clientConfig", "caBundle"), True),
        ("webhooks[a.b].clientConfig", ("webhooks", "[a.b]", "clientConfig", "caBundle"), True),
        ("webhooks.[0]", ("webhooks", "[0]", "clientConfig"), True),
        ("webhooks[a.c].clientConfig", ("webhooks", "[a.b]", "clientConfig", "caBundle"), False),
        ("webhooks[*].clientConfig.caBundle", ("webhooks",), False),
        ("webhooks[*].clientConfig.caBundle", ("webhooks", "[a]", "clientConfig"), False),
        ("metadata.annotations.a.b/c", ("metadata", "annotations", "a.b/c"), True),
        ("metadata.annotations.a", ("metadata", "annotations", "a.b/c"), False),
        ("metadata.annotations.*", ("metadata", "annotations", "a.b/c"), True),
        ("metadata.labels", ("metadata", "annotations", "a"), False),
        ("spec.replicas", ("spec", "replicasMax"), False),
        ("spec.replicas", ("spec", "replicas"), True),
    ],
)
def test_what_an_entry_covers(path, field, covered):
    entry = Ignore(kind="MutatingWebhookConfiguration", name="x", path=path)
    assert entry.covers(field) is covered


def test_an_entry_is_shown_as_it_is_typed():
    entry = Ignore(kind="APIService", name="v1.x", path="spec.caBundle")
    assert str(entry) == '{ kind = "APIService", name = "v1.x", path = "spec.caBundle" }'
