"""Situations in which a rollback may or may not be applied: written before the forecast that is held against them.

A situation is a history made by a real helm (revision 1 is the target, the last one the head) and what
happened to the cluster since. What helm will do in it is stated nowhere: the forecast says it, then the real
``helm rollback`` is run and the two are compared (``forecast_reality.py``).
"""

import base64
import contextlib
import copy
import gzip
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from pytest_zkrollback.clients.kube.client import connect
from pytest_zkrollback.domain.errors import BadAnswer, ClusterError, NotFound
from pytest_zkrollback.drill.local_cluster import Cluster

RELEASE = "app"
_numbers = itertools.count(1)
_STRATEGIC = "application/strategic-merge-patch+json"


def config(name="settings", *, metadata=None, **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **(metadata or {})},
        "data": data or {"mode": "plain"},
    }


def secret(name="token", kind="Opaque", **values):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": kind,
        "stringData": values,
    }


def workload(
    kind="Deployment",
    name="web",
    image="web:1",
    *,
    replicas=0,
    env=None,
    selector=None,
    annotations=None,
    spec=None,
    pod=None,
    metadata=None,
):
    labels = selector or {"app": name}
    container = {"name": "main", "image": image}
    if env:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    body = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, **({"annotations": annotations} if annotations else {})},
            "spec": {"containers": [container], **(pod or {})},
        },
        **(spec or {}),
    }
    if replicas is not None and kind != "DaemonSet":
        body["replicas"] = replicas
    if kind == "StatefulSet":
        body.setdefault("serviceName", name)
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, **(metadata or {})},
        "spec": body,
    }


def service(name="front", ports=None, **spec):
    ports = ports or [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def job(name="once", image="once:1"):
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "suspend": True,
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
            },
        },
    }


def cron(name="nightly", schedule="1 2 * * *", **spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "cron:1"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}, **spec},
    }


def autoscaler(name="web", low=3, high=6, version="v2"):
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": low,
        "maxReplicas": high,
    }
    if version == "v1":
        spec["targetCPUUtilizationPercentage"] = 80
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": spec,
    }


def claim(name="data", size="2Gi"):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }


def binding(role):
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "somebody"}],
    }


def budget(name="calm", allowed=1):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"maxUnavailable": allowed, "selector": {"matchLabels": {"app": "web"}}},
    }


def hook(item, events="pre-rollback"):
    item = copy.deepcopy(item)
    item["metadata"]["annotations"] = {
        "helm.sh/hook": events,
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    return item


class Stage:
    """A namespace of the cluster in which one situation is played with one major of helm."""

    def __init__(self, cluster: Cluster, major: int, folder: Path) -> None:
        self.cluster, self.major, self.folder = cluster, major, folder
        self.namespace = f"forecast-{next(_numbers)}"
        self.group = f"{self.namespace}.example.com"  # of this stage's custom resources
        self.kubeconfig = cluster.kubeconfig  # of the user that rolls back
        self.context = cluster.context
        self.kube = connect(cluster.context, str(cluster.kubeconfig))
        self._undo: list[str] = []
        folder.mkdir(parents=True)
        self.kube.send("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def close(self):
        """What lies outside the namespace goes; the namespace goes with the cluster."""
        for path in self._undo:
            with contextlib.suppress(ClusterError):
                self.kube.send("DELETE", path, {})

    def path(self, kind, name="", version="v1"):
        return self.kube.resource_path(version, kind, self.namespace, name)

    def make(self, item, cluster_wide=False):
        """Create an object by hand."""
        path = self.kube.resource_path(item["apiVersion"], item["kind"], self.namespace)
        self.kube.send("POST", path, item, query={"fieldManager": "kubectl-create"})
        if cluster_wide:
            self._undo.insert(0, f"{path}/{item['metadata']['name']}")

    # helm

    def helm(self, *args, major=None, admin=True, timeout=60):
        major = major or self.major
        binary = self.cluster.binaries["helm" if major == 4 else "helm3"]
        kubeconfig = self.cluster.kubeconfig if admin else self.kubeconfig
        scope = ["-n", self.namespace, "--kube-context", self.context, "--kubeconfig", str(kubeconfig)]
        env = {**os.environ, "HOME": str(self.folder), "HELM_MAX_HISTORY": "0"}
        return subprocess.run(
            [str(binary), *args, *scope],
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def release(self, objects, flags=(), major=None):
        """One more revision."""
        chart = self.folder / "chart"
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: app, version: 1.0.0}\n")
        documents = yaml.safe_dump_all(self.placed(objects), sort_keys=False)
        (chart / "templates" / "all.yaml").write_text(documents)
        done = self.helm("upgrade", "--install", RELEASE, str(chart), *flags, major=major)
        assert done.returncode == 0, done.stderr

    def placed(self, objects):
        """The objects with this stage's own group and node port in the place of GROUP."""
        return json.loads(json.dumps(objects).replace("GROUP", self.group).replace("SPACE", self.namespace))

    def rollback(self, target, *flags):
        """The real one, as the user that rolls back."""
        return self.helm("rollback", RELEASE, str(target), "--history-max", "0", *flags, admin=False)

    def rewrite(self, revision, change):
        """Change the stored manifest of a revision: an old one, from before this server's version."""
        path = self.path("Secret", f"sh.helm.release.v1.{RELEASE}.v{revision}")
        stored = self.kube.get(path)
        content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(stored["data"]["release"]))))
        documents = list(yaml.safe_load_all(content["manifest"]))
        for each in documents:
            change(each)
        content["manifest"] = "---\n" + yaml.safe_dump_all(documents, sort_keys=False)
        packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
        patch = {"data": {"release": packed}}
        self.kube.send("PATCH", path, patch, "application/merge-patch+json")

    # hands

    def kubectl(self, *args, stdin=None):
        scope = ["-n", self.namespace, "--context", self.context]
        scope += ["--kubeconfig", str(self.cluster.kubeconfig)]
        argv = [str(self.cluster.binaries["kubectl"]), *args, *scope]
        env = {**os.environ, "HOME": str(self.folder)}
        done = subprocess.run(
            argv, env=env, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, item, manager):
        """Server-side apply of a part of an object by another manager, which takes over what it states."""
        path = self.kube.resource_path(
            item["apiVersion"], item["kind"], self.namespace, item["metadata"]["name"]
        )
        query = {"fieldManager": manager, "force": "true"}
        self.kube.send("PATCH", path, self.placed([item])[0], "application/apply-patch+yaml", query)

    def patch(self, kind, name, patch, manager="kubectl-edit", version="v1", subresource=""):
        path = self.path(kind, name, version) + (f"/{subresource}" if subresource else "")
        self.kube.send("PATCH", path, patch, "application/merge-patch+json", {"fieldManager": manager})

    def autoscale(self, name, replicas):
        """What the autoscaler's controller does, without its 15 s."""
        patch = {"spec": {"replicas": replicas}}
        manager = "kube-controller-manager"
        self.patch("Deployment", name, patch, manager, "apps/v1", "scale")

    def remove(self, kind, name, version="v1"):
        path = self.path(kind, name, version)
        self.kube.send("DELETE", path, {"propagationPolicy": "Background"})
        self.wait(lambda: self.is_gone(path), f"{kind}/{name} to be gone")

    def is_gone(self, path):
        try:
            self.kube.get(path)
        except NotFound:
            return True
        return False

    def wait(self, done: Callable[[], bool], what: str, timeout_s: float = 20):
        deadline_s = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline_s, f"waited in vain for {what}"
            time.sleep(0.03)

    # the cluster's own rules

    def quota(self, **hard):
        """A ResourceQuota; ``count__configmaps=3`` is ``count/configmaps: 3``, values are added to what is used."""
        wanted = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
        body = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "limit"},
            "spec": {"hard": dict.fromkeys(wanted, "100")},
        }
        self.make(body)
        path = self.path("ResourceQuota", "limit")
        self.wait(lambda: set(self.kube.get(path)["status"].get("used") or ()) == set(wanted), "the quota")
        used = self.kube.get(path)["status"]["used"]
        hard_now = {key: str(int(used[key]) + room) for key, room in wanted.items()}
        self.kube.send("PATCH", path, {"spec": {"hard": hard_now}}, "application/merge-patch+json")
        self.wait(lambda: self.kube.get(path)["status"].get("hard") == hard_now, "the quota's new limit")

    def user_without(self, *missing):
        """From now on the rollback is a user's who may do everything here but ``(verb, resource)``."""
        resources = {
            "": ["configmaps", "services", "secrets", "persistentvolumeclaims", "serviceaccounts"],
            "apps": ["deployments", "statefulsets", "daemonsets"],
            "policy": ["poddisruptionbudgets"],
            "autoscaling": ["horizontalpodautoscalers"],
        }
        verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
        rules = [
            {
                "apiGroups": [group],
                "resources": [name],
                "verbs": [verb for verb in verbs if (verb, name) not in missing],
            }
            for group, names in resources.items()
            for name in names
        ]
        rbac = "rbac.authorization.k8s.io"
        self.make(
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "narrow"}, "rules": rules}
        )
        user = f"narrow-{self.namespace}"
        self.make(
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "narrow"},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "narrow"},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
            }
        )
        known = yaml.safe_load(self.cluster.kubeconfig.read_text())
        known["users"][0]["user"]["as"] = user
        self.kubeconfig = self.folder / "narrow.kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(known))

    def custom_kind(self, limit=None):
        """The kind Gadget of this stage's group, with ``spec.size`` up to ``limit``."""
        item = self.placed([gadget_kind(limit)])[0]
        try:
            self.make(item, cluster_wide=True)
        except BadAnswer:
            self.kube.send(
                "PATCH",
                self.path("CustomResourceDefinition", item["metadata"]["name"], "apiextensions.k8s.io/v1"),
                {"spec": {"versions": item["spec"]["versions"]}},
                "application/merge-patch+json",
            )
        self.wait_for_kind()

    def wait_for_kind(self):
        def served():
            try:
                self.kube.get(f"/apis/{self.group}/v1/namespaces/{self.namespace}/gadgets")
            except ClusterError:
                return False
            return True

        self.wait(served, "the custom kind")

    def drop_kind(self):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.{self.group}"
        self.kube.send("DELETE", path, {})
        self.wait(lambda: self.is_gone(path), "the custom kind to be gone")
        self.wait(lambda: self.is_gone(f"/apis/{self.group}/v1"), "its API to be gone")

    def forbid(self, group, resource, expression, message, operations=("CREATE", "UPDATE"), probe=None):
        """A ValidatingAdmissionPolicy in this namespace; ``probe``: a request that it has to refuse."""
        name, api = self.namespace, "admissionregistration.k8s.io/v1"
        here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}
        rule = {"apiGroups": [group], "apiVersions": ["*"], "resources": [resource]}
        spec = {
            "failurePolicy": "Fail",
            "matchConstraints": {**here, "resourceRules": [{**rule, "operations": [*operations]}]},
            "validations": [{"expression": expression, "message": message}],
        }
        meta = {"name": name}
        self.make(
            {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": meta, "spec": spec}, True
        )
        bound = {"policyName": name, "validationActions": ["Deny"]}
        self.make(
            {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": meta, "spec": bound},
            True,
        )

        def refuses():
            try:
                probe(self)
            except BadAnswer as error:
                return error.status == 422
            return False

        self.wait(refuses, "the policy to be enforced")


def gadget_kind(limit=None):
    size = {"type": "integer", **({"maximum": limit} if limit else {})}
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": size, "note": {"type": "string"}}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.GROUP"},
        "spec": {
            "group": "GROUP",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def gadget(size=1, **spec):
    return {
        "apiVersion": "GROUP/v1",
        "kind": "Gadget",
        "metadata": {"name": "thing"},
        "spec": {"size": size, **spec},
    }


@dataclass(frozen=True)
class Revision:
    """One ``helm upgrade --install``. ``major``: the binary if not the one under test."""

    objects: tuple[dict, ...]
    major: int | None = None
    flags: tuple[str, ...] = ()  # Helm 4 only


@dataclass(frozen=True)
class Situation:
    """``revisions``: the history, oldest first; ``before`` it and ``then``: what somebody did."""

    name: str
    about: str
    revisions: tuple[Revision, ...]
    then: Callable[[Stage], object] = lambda stage: None
    before: Callable[[Stage], object] = lambda stage: None
    target: int = 1
    majors: tuple[int, ...] = (3, 4)

    def play(self, stage: Stage) -> None:
        """Make the history and what happened since; the rollback itself is the caller's."""
        self.before(stage)
        for each in self.revisions:
            major = each.major or stage.major
            stage.release(each.objects, each.flags if major == 4 else (), each.major)
        self.then(stage)


def _two(target, head, **more):
    """The target's and the current revision's objects as two revisions."""
    return {"revisions": (Revision(tuple(target), **more), Revision(tuple(head), **more))}


# The usual release: a Deployment whose image changes, and a ConfigMap that changes with it.
def _usual(replicas=0, **more):
    return _two(
        [config(mode="one"), workload(image="web:1", replicas=replicas)],
        [config(mode="two"), workload(image="web:2", replicas=replicas)],
        **more,
    )


def _part(kind="Deployment", name="web", spec=None, version="apps/v1", **more):
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name},
        **({"spec": spec} if spec else {}),
        **more,
    }


def _image(image):
    return {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}


def _version_of(kind, version):
    def change(item):
        if item["kind"] == kind:
            item["apiVersion"] = version

    return change


def _in_spec(kind, **values):
    def change(item):
        if item["kind"] == kind:
            item["spec"].update(values)

    return change


def _no_old_image(stage):
    def probe(at):
        at.kube.send(
            "PATCH",
            at.path("Deployment", "web", "apps/v1"),
            {"spec": _image("web:1")},
            _STRATEGIC,
            {"dryRun": "All"},
        )

    expression = "object.spec.template.spec.containers.all(c, c.image != 'web:1')"
    stage.forbid("apps", "deployments", expression, "web:1 has a known hole", probe=probe)


def _no_frozen_configs(stage):
    """Refuses every change of ConfigMaps with the key frozen, whatever the change."""

    def probe(at):
        path = at.path("ConfigMap", "calm")
        at.kube.send("PATCH", path, {"data": {"x": "y"}}, "application/merge-patch+json", {"dryRun": "All"})

    stage.forbid("", "configmaps", "!has(object.data.frozen)", "frozen by the audit", probe=probe)


def _no_deletes(stage):
    def probe(at):
        at.kube.send("DELETE", at.path("ConfigMap", "extra"), {"dryRun": ["All"]})

    expression = "oldObject.metadata.name != 'extra'"
    stage.forbid("", "configmaps", expression, "extra is still needed", ("DELETE",), probe)


def _finalized(stage, name="settings"):
    stage.patch("ConfigMap", name, {"metadata": {"finalizers": ["example.com/wait"]}})
    stage.kube.send("DELETE", stage.path("ConfigMap", name), {})


SITUATIONS = (
    # nothing in the way
    Situation("calm", "nothing happened since", **_usual()),
    Situation(
        "objects-come-and-go",
        "the target has objects that the current revision has not, and the other way round",
        **_two(
            [config(mode="one"), config("older", a="1"), service("older"), workload()],
            [config(mode="two"), config("newer", a="1"), workload(image="web:2")],
        ),
    ),
    Situation(
        "many-kinds",
        "nine kinds change at once",
        **_two(
            *(
                [
                    config(mode=mode),
                    secret(value=mode),
                    workload(image=image),
                    workload("StatefulSet", "db", image),
                    workload("DaemonSet", "agent", image, pod={"nodeSelector": {"on": "no-node"}}),
                    service(ports=[{"name": "http", "port": 80, "targetPort": port}]),
                    cron(schedule=schedule),
                    budget(allowed=allowed),
                    autoscaler(high=high),
                ]
                for mode, image, port, schedule, allowed, high in (
                    ("one", "web:1", 8080, "1 2 * * *", 1, 6),
                    ("two", "web:2", 8081, "2 3 * * *", 2, 7),
                )
            )
        ),
    ),
    # other hands on fields that the chart states, or does not state
    Situation(
        "scale", "kubectl scale", **_usual(1), then=lambda s: s.kubectl("scale", "deploy/web", "--replicas=3")
    ),
    Situation(
        "scale-to-target",
        "kubectl scale to just what the target states",
        **_two([workload(replicas=1)], [workload(image="web:2", replicas=2)]),
        then=lambda s: s.kubectl("scale", "deploy/web", "--replicas=1"),
    ),
    Situation(
        "scale-not-stated",
        "kubectl scale where the chart states no replicas",
        **_usual(None),
        then=lambda s: s.kubectl("scale", "deploy/web", "--replicas=2"),
    ),
    Situation(
        "scale-statefulset",
        "kubectl scale of a StatefulSet",
        **_two([workload("StatefulSet", "db")], [workload("StatefulSet", "db", "web:2")]),
        then=lambda s: s.kubectl("scale", "sts/db", "--replicas=1"),
    ),
    Situation(
        "set-image",
        "kubectl set image: a hot-fix",
        **_usual(),
        then=lambda s: s.kubectl("set", "image", "deploy/web", "main=web:hotfix"),
    ),
    Situation(
        "set-image-to-target",
        "kubectl set image to just what the target states",
        **_usual(),
        then=lambda s: s.kubectl("set", "image", "deploy/web", "main=web:1"),
    ),
    Situation(
        "set-image-daemonset",
        "kubectl set image of a DaemonSet",
        **_two(
            *(
                [workload("DaemonSet", "agent", image, pod={"nodeSelector": {"on": "no-node"}})]
                for image in ("web:1", "web:2")
            )
        ),
        then=lambda s: s.kubectl("set", "image", "ds/agent", "main=web:hotfix"),
    ),
    Situation(
        "set-env",
        "kubectl set env: a variable that the chart does not state",
        **_usual(),
        then=lambda s: s.kubectl("set", "env", "deploy/web", "HAND=1"),
    ),
    Situation(
        "set-env-stated",
        "kubectl set env: a variable that the chart states",
        **_two([workload(env={"LEVEL": "info"})], [workload(image="web:2", env={"LEVEL": "warn"})]),
        then=lambda s: s.kubectl("set", "env", "deploy/web", "LEVEL=debug"),
    ),
    Situation(
        "foreign-apply-image",
        "another manager applied an image",
        **_usual(),
        then=lambda s: s.apply(_part(spec=_image("web:argo")), "argo"),
    ),
    Situation(
        "foreign-apply-replicas",
        "another manager applied replicas",
        **_usual(),
        then=lambda s: s.apply(_part(spec={"replicas": 2}), "argo"),
    ),
    Situation(
        "foreign-apply-unstated",
        "another manager applied a field that the chart does not state",
        **_usual(),
        then=lambda s: s.apply(_part(spec={"minReadySeconds": 7}), "argo"),
    ),
    Situation(
        "foreign-apply-head-only-field",
        "another manager applied a field that only the current revision states",
        **_two([workload()], [workload(image="web:2", spec={"minReadySeconds": 5})]),
        then=lambda s: s.apply(_part(spec={"minReadySeconds": 9}), "argo"),
    ),
    Situation(
        "foreign-apply-config",
        "another manager applied a key of a ConfigMap",
        **_usual(),
        then=lambda s: s.apply(_part("ConfigMap", "settings", version="v1", data={"mode": "argo"}), "argo"),
    ),
    Situation(
        "edit-config",
        "kubectl edit of a ConfigMap",
        **_usual(),
        then=lambda s: s.patch("ConfigMap", "settings", {"data": {"mode": "edited"}}),
    ),
    Situation(
        "edit-secret",
        "kubectl edit of a Secret",
        **_two([secret(value="one")], [secret(value="two")]),
        then=lambda s: s.patch("Secret", "token", {"data": {"value": "aHVudGVyMg=="}}),
    ),
    Situation(
        "edit-service-port",
        "kubectl edit of a Service's port",
        **_two([service()], [service(ports=[{"name": "http", "port": 80, "targetPort": 9090}])]),
        then=lambda s: s.kubectl(
            "patch",
            "svc/front",
            "--type=json",
            '-p=[{"op":"replace","path":"/spec/ports/0/targetPort","value":7070}]',
        ),
    ),
    Situation(
        "suspended-cronjob",
        "a CronJob suspended by hand, which the chart states as running",
        **_two([cron(suspend=False)], [cron(schedule="2 3 * * *", suspend=False)]),
        then=lambda s: s.patch("CronJob", "nightly", {"spec": {"suspend": True}}, version="batch/v1"),
    ),
    Situation(
        "label-drift",
        "a label that the chart states, changed by kubectl label",
        **_two(
            [config(mode="one", metadata={"labels": {"team": "a"}})],
            [config(mode="two", metadata={"labels": {"team": "a"}})],
        ),
        then=lambda s: s.kubectl("label", "--overwrite", "cm/settings", "team=b"),
    ),
    Situation(
        "label-helms-own",
        "helm's own label, changed by kubectl label",
        **_usual(),
        then=lambda s: s.kubectl("label", "--overwrite", "cm/settings", "app.kubernetes.io/managed-by=me"),
    ),
    Situation(
        "annotation-drift",
        "annotations that the chart does not state",
        **_usual(),
        then=lambda s: s.kubectl("annotate", "deploy/web", "cm/settings", "note=by-hand"),
    ),
    Situation(
        "rollout-restart",
        "kubectl rollout restart",
        **_usual(),
        then=lambda s: s.kubectl("rollout", "restart", "deploy/web"),
    ),
    Situation(
        "client-side-apply",
        "kubectl apply of the whole object, client side, with other values",
        **_usual(),
        then=lambda s: s.kubectl(
            "apply", "-f", "-", stdin=json.dumps(workload(image="web:kubectl", replicas=1))
        ),
    ),
    Situation(
        "hpa-and-replicas",
        "an autoscaler, and a chart that states replicas",
        **_usual(1),
        then=lambda s: (s.make(autoscaler()), s.autoscale("web", 3)),
    ),
    Situation(
        "hpa-and-no-replicas",
        "an autoscaler, and a chart that states no replicas",
        **_usual(None),
        then=lambda s: (s.make(autoscaler()), s.autoscale("web", 3)),
    ),
    Situation(
        "hpa-of-the-chart",
        "the chart's own autoscaler in the current revision only; the target states replicas",
        **_two([workload(replicas=1)], [workload(image="web:2", replicas=None), autoscaler()]),
        then=lambda s: s.autoscale("web", 3),
    ),
    # what the server never changes
    Situation(
        "immutable-selector",
        "a Deployment's selector",
        **_two([config(mode="one"), workload()], [config(mode="two"), workload()]),
        then=lambda s: (
            s.remove("Deployment", "web", "apps/v1"),
            s.release([config(mode="three"), workload(selector={"app": "web", "track": "b"})]),
        ),
    ),
    Situation(
        "immutable-statefulset",
        "a StatefulSet's service name",
        **_two([workload("StatefulSet", "db")], [config()]),
        then=lambda s: s.release([config(), workload("StatefulSet", "db", spec={"serviceName": "other"})]),
    ),
    Situation(
        "immutable-clusterip",
        "a Service that has an address now and is headless in the target",
        **_two([service(clusterIP="None"), config(mode="one")], [config(mode="two")]),
        then=lambda s: s.release([service(), config(mode="two")]),
    ),
    Situation(
        "immutable-job",
        "a Job's template",
        **_two([job()], [config()]),
        then=lambda s: s.release([config(), job(image="once:2")]),
    ),
    Situation(
        "immutable-configmap",
        "a ConfigMap that somebody made immutable",
        **_usual(),
        then=lambda s: s.patch("ConfigMap", "settings", {"immutable": True}),
    ),
    Situation(
        "immutable-configmap-unchanged",
        "an immutable ConfigMap that is the same in both",
        **_two(
            [{**config("fixed", a="1"), "immutable": True}, workload()],
            [{**config("fixed", a="1"), "immutable": True}, workload(image="web:2")],
        ),
    ),
    Situation(
        "immutable-secret-type",
        "a Secret's type",
        **_two([secret(kind="Opaque", value="1")], [config()]),
        then=lambda s: s.release([config(), secret(kind="example.com/other", value="1")]),
    ),
    Situation(
        "immutable-roleref",
        "a RoleBinding's role",
        **_two([binding("view-a")], [config()]),
        then=lambda s: s.release([config(), binding("view-b")]),
    ),
    Situation(
        "immutable-claim",
        "a PersistentVolumeClaim that the target wants smaller",
        **_two([claim(size="1Gi")], [config()]),
        then=lambda s: s.release([config(), claim(size="2Gi")]),
    ),
    Situation(
        "immutable-and-conflict",
        "a selector that cannot change, on a Deployment that was also scaled",
        **_two([workload(replicas=0)], [config()]),
        then=lambda s: (
            s.release([config(), workload(selector={"app": "web", "track": "b"})]),
            s.kubectl("scale", "deploy/web", "--replicas=1"),
        ),
    ),
    # objects that are not there, or that somebody else made
    Situation(
        "deleted",
        "an object of both revisions, deleted by hand",
        **_usual(),
        then=lambda s: s.remove("Deployment", "web", "apps/v1"),
    ),
    Situation(
        "deleted-head-only",
        "an object of the current revision only, deleted by hand",
        **_two([config(mode="one")], [config(mode="two"), config("extra", a="1")]),
        then=lambda s: s.remove("ConfigMap", "extra"),
    ),
    Situation(
        "deleted-all",
        "every object deleted by hand",
        **_usual(),
        then=lambda s: (s.remove("Deployment", "web", "apps/v1"), s.remove("ConfigMap", "settings")),
    ),
    Situation(
        "adopted",
        "a ConfigMap of the target only, made by hand meanwhile with another value",
        **_two([config(mode="one"), config("extra", a="1")], [config(mode="two")]),
        then=lambda s: s.make(config("extra", a="hand")),
    ),
    Situation(
        "adopted-alike",
        "a ConfigMap of the target only, made by hand meanwhile with the same value",
        **_two([config(mode="one"), config("extra", a="1")], [config(mode="two")]),
        then=lambda s: s.make(config("extra", a="1")),
    ),
    Situation(
        "adopted-deployment",
        "a Deployment of the target only, made by hand meanwhile with another selector",
        **_two([config(mode="one"), workload()], [config(mode="two")]),
        then=lambda s: s.make(workload(selector={"app": "mine"})),
    ),
    Situation(
        "adopted-from-a-release",
        "a ConfigMap of the target only, which another release made meanwhile",
        **_two([config(mode="one"), config("extra", a="1")], [config(mode="two")]),
        then=lambda s: s.make(
            config(
                "extra",
                a="theirs",
                metadata={
                    "labels": {"app.kubernetes.io/managed-by": "Helm"},
                    "annotations": {
                        "meta.helm.sh/release-name": "theirs",
                        "meta.helm.sh/release-namespace": "default",
                    },
                },
            )
        ),
    ),
    Situation(
        "terminating",
        "an object of both revisions is being deleted and waits for a finalizer",
        **_usual(),
        then=_finalized,
    ),
    Situation(
        "terminating-head-only",
        "an object of the current revision only is being deleted and waits for a finalizer",
        **_two([config(mode="one")], [config(mode="two"), config("extra", a="1")]),
        then=lambda s: _finalized(s, "extra"),
    ),
    Situation(
        "kept",
        "an object of the current revision only has helm's policy keep",
        **_two(
            [config(mode="one")],
            [
                config(mode="two"),
                config("extra", a="1", metadata={"annotations": {"helm.sh/resource-policy": "keep"}}),
            ],
        ),
    ),
    # quota
    Situation(
        "quota-full",
        "no room for the ConfigMap that the target needs",
        **_two([config(mode="one"), config("extra", a="1")], [config(mode="two")]),
        then=lambda s: s.quota(count__configmaps=0),
    ),
    Situation(
        "quota-for-one",
        "room for one of the two ConfigMaps that the target needs",
        **_two([config(mode="one"), config("extra", a="1"), config("more", a="1")], [config(mode="two")]),
        then=lambda s: s.quota(count__configmaps=1),
    ),
    Situation(
        "quota-for-both",
        "room for just the two ConfigMaps that the target needs",
        **_two([config(mode="one"), config("extra", a="1"), config("more", a="1")], [config(mode="two")]),
        then=lambda s: s.quota(count__configmaps=2),
    ),
    Situation(
        "quota-old-name",
        "no room for the Service, by the quota's old name `services`",
        **_two([config(mode="one"), service()], [config(mode="two")]),
        then=lambda s: s.quota(services=0),
    ),
    Situation(
        "quota-not-needed",
        "a full quota, but nothing has to be made",
        **_usual(),
        then=lambda s: s.quota(count__configmaps=0),
    ),
    Situation(
        "quota-of-helms-record",
        "no room for the Secret in which helm keeps its new revision",
        **_usual(),
        then=lambda s: s.quota(count__secrets=0),
    ),
    Situation(
        "quota-secret-and-record",
        "room for one Secret more: helm's own record, but not the target's Secret",
        **_two([config(mode="one"), secret(value="1")], [config(mode="two")]),
        then=lambda s: s.quota(count__secrets=1),
    ),
    # rights
    Situation(
        "rbac-no-patch",
        "no right to patch Deployments",
        **_usual(),
        then=lambda s: s.user_without(("patch", "deployments")),
    ),
    Situation(
        "rbac-no-create",
        "no right to create the ConfigMap that the target needs",
        **_two([config(mode="one"), config("extra", a="1")], [config(mode="two")]),
        then=lambda s: s.user_without(("create", "configmaps")),
    ),
    Situation(
        "rbac-no-get",
        "no right to read Services",
        **_two([service(), config(mode="one")], [service(), config(mode="two")]),
        then=lambda s: s.user_without(("get", "services")),
    ),
    Situation(
        "rbac-no-delete",
        "no right to delete the object that only the current revision has",
        **_two([config(mode="one")], [config(mode="two"), config("extra", a="1")]),
        then=lambda s: s.user_without(("delete", "configmaps")),
    ),
    Situation(
        "rbac-no-patch-unchanged",
        "no right to patch Services, which do not change",
        **_two([service(), config(mode="one")], [service(), config(mode="two")]),
        then=lambda s: s.user_without(("patch", "services")),
    ),
    Situation(
        "rbac-no-record",
        "no right to create Secrets, in which helm keeps its new revision",
        **_usual(),
        then=lambda s: s.user_without(("create", "secrets")),
    ),
    # what the server does not serve any more, or not yet
    Situation(
        "removed-api",
        "the target's PodDisruptionBudget is of an API version that is gone",
        **_two([config(mode="one"), budget()], [config(mode="two"), budget(allowed=2)]),
        then=lambda s: s.rewrite(1, _version_of("PodDisruptionBudget", "policy/v1beta1")),
    ),
    Situation(
        "removed-api-of-head",
        "the current revision's PodDisruptionBudget is of an API version that is gone",
        **_two([config(mode="one")], [config(mode="two"), budget()]),
        then=lambda s: s.rewrite(2, _version_of("PodDisruptionBudget", "policy/v1beta1")),
    ),
    Situation(
        "older-api-version",
        "the target's autoscaler is of an older API version that is still served",
        **_two([workload(), autoscaler(version="v1", high=5)], [workload(image="web:2"), autoscaler()]),
    ),
    Situation(
        "crd-gone",
        "a custom resource of the target, whose CRD is gone",
        **_two([gadget(), config(mode="one")], [config(mode="two")]),
        before=lambda s: s.custom_kind(),
        then=lambda s: s.drop_kind(),
    ),
    Situation(
        "crd-gone-both",
        "a custom resource of both revisions, whose CRD is gone",
        **_two([gadget(), config(mode="one")], [gadget(2), config(mode="two")]),
        before=lambda s: s.custom_kind(),
        then=lambda s: s.drop_kind(),
    ),
    Situation(
        "crd-gone-head",
        "a custom resource of the current revision only, whose CRD is gone",
        **_two([config(mode="one")], [gadget(2), config(mode="two")]),
        before=lambda s: s.custom_kind(),
        then=lambda s: s.drop_kind(),
    ),
    Situation(
        "crd-of-the-target",
        "the target has the CRD and its resource, the current revision has neither",
        revisions=(
            Revision((gadget_kind(),)),
            Revision((gadget_kind(), gadget())),
            Revision((config(mode="two"),)),
        ),
        target=2,
        then=lambda s: s.wait(lambda: s.is_gone(f"/apis/{s.group}/v1"), "the custom kind to be gone"),
    ),
    Situation(
        "custom-resource",
        "a custom resource that somebody changed",
        **_two([gadget(1, note="a")], [gadget(2)]),
        before=lambda s: s.custom_kind(),
        then=lambda s: s.patch("Gadget", "thing", {"spec": {"size": 9}}, version=f"{s.group}/v1"),
    ),
    Situation(
        "custom-resource-too-large",
        "a custom resource that the CRD's newer schema does not allow any more",
        **_two([gadget(9)], [gadget(2)]),
        before=lambda s: s.custom_kind(),
        then=lambda s: s.custom_kind(limit=5),
    ),
    # admission
    Situation(
        "admission-refuses", "a policy made since refuses the target's image", **_usual(), then=_no_old_image
    ),
    Situation(
        "admission-of-unchanged",
        "a policy made since refuses every change of an object that does not change",
        **_two(
            [config("calm", frozen="yes"), config(mode="one")],
            [config("calm", frozen="yes"), config(mode="two")],
        ),
        then=_no_frozen_configs,
    ),
    Situation(
        "admission-of-deletes",
        "a policy made since refuses the deletion of the object that only the current revision has",
        **_two([config(mode="one")], [config(mode="two"), config("extra", a="1")]),
        then=_no_deletes,
    ),
    # client-side and server-side, and the two binaries
    Situation(
        "csa-scale",
        "a client-side release of Helm 4, scaled",
        **_usual(1, flags=("--server-side=false",)),
        then=lambda s: s.kubectl("scale", "deploy/web", "--replicas=3"),
        majors=(4,),
    ),
    Situation(
        "csa-set-image",
        "a client-side release of Helm 4, hot-fixed",
        **_usual(flags=("--server-side=false",)),
        then=lambda s: s.kubectl("set", "image", "deploy/web", "main=web:hotfix"),
        majors=(4,),
    ),
    Situation(
        "csa-admission-of-deletes",
        "a client-side release of Helm 4, and a policy that refuses a deletion",
        **_two(
            [config(mode="one")],
            [config(mode="two"), config("extra", a="1")],
            flags=("--server-side=false",),
        ),
        then=_no_deletes,
        majors=(4,),
    ),
    Situation(
        "other-binary",
        "the release was written by the other major",
        **_usual(1),
        then=lambda s: s.release(
            [config(mode="three"), workload(image="web:3", replicas=1)], major=7 - s.major
        ),
    ),
    Situation(
        "other-binary-scaled",
        "every revision was written by the other major, then scaled",
        revisions=(),
        then=lambda s: (
            s.release([config(mode="one"), workload(replicas=1)], major=7 - s.major),
            s.release([config(mode="two"), workload(image="web:2", replicas=1)], major=7 - s.major),
            s.kubectl("scale", "deploy/web", "--replicas=3"),
        ),
    ),
    Situation(
        "ssa-target-csa-head",
        "a server-side target, and a head written by Helm 3 that states more",
        revisions=(
            Revision((workload(spec={"strategy": {"type": "Recreate"}}),), major=4),
            Revision(
                (
                    workload(
                        image="web:2",
                        env={"NEW": "1"},
                        spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}},
                    ),
                ),
                major=3,
            ),
        ),
        majors=(4,),
    ),
    Situation(
        "csa-target-ssa-head",
        "a client-side target, and a head that was switched to server-side apply",
        revisions=(
            Revision((config(mode="one"), workload(env={"OLD": "1"})), flags=("--server-side=false",)),
            Revision((config(mode="two"), workload(image="web:2")), flags=("--server-side=true",)),
        ),
        majors=(4,),
    ),
    # how lists and unions are merged
    Situation(
        "strategy-recreate",
        "the target's strategy is Recreate, the current revision's RollingUpdate",
        **_two(
            [workload(spec={"strategy": {"type": "Recreate"}})],
            [workload(spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}})],
        ),
    ),
    Situation(
        "strategy-recreate-by-default",
        "the target's strategy is Recreate, the current revision states none",
        **_two([workload(spec={"strategy": {"type": "Recreate"}})], [workload(image="web:2")]),
    ),
    Situation(
        "volume-of-another-kind",
        "a volume of the same name is a ConfigMap in the target and a Secret in the current revision",
        **_two(
            [workload(pod={"volumes": [{"name": "v", "configMap": {"name": "settings"}}]})],
            [workload(pod={"volumes": [{"name": "v", "secret": {"secretName": "token"}}]})],
        ),
    ),
    Situation(
        "volume-by-hand",
        "somebody made the chart's volume another kind of volume",
        **_two(
            [workload(pod={"volumes": [{"name": "v", "configMap": {"name": "settings"}}]})],
            [workload(image="web:2", pod={"volumes": [{"name": "v", "configMap": {"name": "settings"}}]})],
        ),
        then=lambda s: s.kubectl(
            "patch",
            "deploy/web",
            "--type=json",
            '-p=[{"op":"replace","path":"/spec/template/spec/volumes/0","value":{"name":"v","emptyDir":{}}}]',
        ),
    ),
    Situation(
        "container-gone",
        "the current revision has a second container, which the target has not",
        **_two(
            [workload()],
            [
                workload(
                    pod={
                        "containers": [
                            {"name": "main", "image": "web:2", "ports": [{"containerPort": 80}]},
                            {"name": "side", "image": "side:1"},
                        ]
                    }
                )
            ],
        ),
    ),
    Situation(
        "port-renamed",
        "a Service's port has another name and number in the target",
        **_two(
            [service(ports=[{"name": "http", "port": 80}, {"name": "admin", "port": 81}])],
            [service(ports=[{"name": "web", "port": 80}, {"name": "http", "port": 8080}])],
        ),
    ),
    Situation(
        "port-taken",
        "the node port of the target's Service was given to another one",
        **_two([service(ports=[{"port": 80, "nodePort": 31999}], type="NodePort")], [config()]),
        then=lambda s: s.make(service("thief", [{"port": 80, "nodePort": 31999}], type="NodePort"), True),
    ),
    Situation(
        "unknown-field",
        "the target's Deployment states a field that this server does not know",
        **_usual(),
        then=lambda s: s.rewrite(1, _in_spec("Deployment", replicaz=3)),
    ),
    Situation(
        "invalid",
        "the target's Deployment states replicas that no server takes",
        **_usual(),
        then=lambda s: s.rewrite(1, _in_spec("Deployment", replicas=-1)),
    ),
    # what applying does not change, or cannot know
    Situation(
        "same-tag",
        "the same mutable tag in both revisions (fault 68)",
        **_two(
            [workload(image="web:latest", metadata={"labels": {"v": "1"}})],
            [workload(image="web:latest", metadata={"labels": {"v": "2"}})],
        ),
    ),
    Situation(
        "config-without-checksum",
        "a ConfigMap changes, and nothing in the pods that mount it (fault 68)",
        **_two(
            *(
                [
                    config(mode=mode),
                    workload(pod={"volumes": [{"name": "v", "configMap": {"name": "settings"}}]}),
                ]
                for mode in ("one", "two")
            )
        ),
    ),
    Situation(
        "config-with-checksum",
        "a ConfigMap changes, and its checksum in the pod template",
        **_two(
            *(
                [
                    config(mode=mode),
                    workload(
                        annotations={"checksum/config": mode},
                        pod={"volumes": [{"name": "v", "configMap": {"name": "settings"}}]},
                    ),
                ]
                for mode in ("one", "two")
            )
        ),
    ),
    Situation(
        "hooks",
        "the target has hooks that work",
        **_two([config(mode="one"), hook(config("before", a="1"))], [config(mode="two")]),
    ),
    Situation(
        "hook-refused",
        "the target has a hook that the server does not take",
        **_two(
            [config(mode="one"), hook(service("before", [{"port": 80}], clusterIP="1.2.3.4"))],
            [config(mode="two")],
        ),
    ),
)
