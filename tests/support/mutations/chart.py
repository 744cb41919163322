"""A chart of our own with most kinds, put together by a seed; every revision is written out, without values."""

import base64
import copy
import hashlib
import json
import random
from dataclasses import dataclass

RELEASE = "own"
WAYS = ("env", "envFrom", "subPath", "folder")
SORTS = ("ordinary", "init", "sidecar")
WORKLOADS = {"web": "Deployment", "worker": "Deployment", "db": "StatefulSet", "agent": "DaemonSet"}
# Kinds that only some charts have.
SOMETIMES = (
    *("LimitRange", "PriorityClass", "CustomResourceDefinition", "ValidatingWebhookConfiguration", "Widget"),
    *("PersistentVolumeClaim", "Ingress", "PodDisruptionBudget", "NetworkPolicy", "Job"),
)
KEEP = {"helm.sh/resource-policy": "keep"}


@dataclass(frozen=True)
class Read:
    """A container of a workload reads a ConfigMap or Secret."""

    workload: str
    sort: str
    way: str
    kind: str

    @property
    def name(self):
        return f"{self.workload}-{self.sort}-{self.way}".lower()


class Chart:
    """What each revision holds. ``good`` is meant to be live, ``bad`` was rolled back."""

    def __init__(self, seed, namespace, *, empty_rules=False):
        """``empty_rules``: state those of an aggregated role, which Helm 4 then meets as a conflict."""
        self.namespace, self.random = namespace, random.Random(f"chart {seed}")
        self.empty_rules = empty_rules
        pick, chance = self.random.choice, self.random.random
        self.reads = [
            Read(workload, sort, pick(WAYS), pick(("ConfigMap", "Secret")))
            for workload in WORKLOADS
            for sort in SORTS
            if chance() < 0.6 or (workload, sort) == ("web", "ordinary")
        ]
        self.db_update = pick(("RollingUpdate", "OnDelete", "partition"))
        self.agent_update = pick(("RollingUpdate", "OnDelete"))
        self.recreate = chance() < 0.3
        self.parallel = chance() < 0.5
        self.claims = chance() < 0.4
        self.autoscaled = chance() < 0.5
        self.with_limits = chance() < 0.3
        self.odd = chance() < 0.5  # quantities and defaults as people write them
        self.hook_job = chance() < 0.4
        self.elsewhere = f"{namespace}-b" if chance() < 0.5 else ""
        self.left_out = {kind for kind in SOMETIMES if chance() < 0.4}
        changes = ("image", "env", "command", "all")
        self.changes = {"web": pick(changes), "worker": pick((*changes, "")), "db": "", "agent": ""}
        if self.db_update == "RollingUpdate":
            self.changes["db"] = pick(changes)
        if self.agent_update == "RollingUpdate":
            self.changes["agent"] = pick((*changes, ""))
        self.extras = self.random.sample(sorted(EXTRAS), 4)
        self.stays = self.random.sample(sorted(STAYS), 2)

    # --- what is deployed

    def objects(self, revision="good", settings=()):
        """The manifest. ``settings``: the names of those ConfigMaps and Secrets that hold another value."""
        found = [*self._settings(revision, settings), self.tidy(revision)]
        found += [item for item in self._rest() if item["kind"] not in self.left_out]
        found += [*self._workloads(revision), *(self._elsewhere(revision) if self.elsewhere else ())]
        if revision == "bad":
            found += [EXTRAS[name](self) for name in self.extras]
            found += [STAYS[name](self) for name in self.stays if not name.startswith("hook")]
        return found

    def hooks(self, revision="good"):
        """What stands beside the manifest: helm makes it, and no rollback takes it away."""
        notes = {
            "helm.sh/hook": "pre-install,pre-upgrade",
            "helm.sh/hook-delete-policy": "before-hook-creation",
        }
        found = [self._item("ConfigMap", "v1", "hooked", data={"MADE_BY": "hook"}, annotations=notes)]
        if self.hook_job:
            spec = {
                "restartPolicy": "Never",
                "containers": [{"name": "run", "image": "example.org/migrate:1.4"}],
            }
            done = {"helm.sh/hook": "pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
            job = self._item(
                "Job", "batch/v1", "migrate", spec={"template": {"spec": spec}}, annotations=done
            )
            found.append(job)
        if revision == "bad":
            found += [STAYS[name](self) for name in self.stays if name.startswith("hook")]
        return found

    def render(self, revision="good", settings=()):
        """One YAML (JSON is YAML) document after another."""
        found = [*self.objects(revision, settings), *self.hooks(revision)]
        return "".join(f"---\n{json.dumps(item)}\n" for item in found)

    def before(self):
        """What has to be there before the release is: made by nobody's chart."""
        found = [self._item("Secret", "v1", "outer", stringData={"TOKEN": "t0ken-of-nobody"})]
        claims = [
            *(["data"] if "PersistentVolumeClaim" not in self.left_out else []),
            *(f"data-db-{number}" for number in range(2) if self.claims),
        ]
        return [*found, *(self._volume(claim) for claim in claims)]

    def _volume(self, claim):
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": "/tmp/none"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
            | {"name": claim, "namespace": self.namespace},
        }
        name = f"{self.namespace}-{claim}"
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}

    def _item(self, kind, version, name, *, labels=None, annotations=None, cluster=False, **members):
        metadata = {"name": name} if cluster else {"name": name, "namespace": self.namespace}
        metadata["labels"] = {"app.kubernetes.io/part-of": "campaign", **(labels or {})}
        if annotations:
            metadata["annotations"] = annotations
        return copy.deepcopy({"apiVersion": version, "kind": kind, "metadata": metadata, **members})

    # --- settings

    def value(self, read, revision="good", settings=()):
        """What the revision's ConfigMap or Secret holds."""
        stale = "stale" if read.name in settings else "good"
        bad = revision == "bad" and self.changes[read.workload]
        return {"LEVEL": "bad" if bad else stale, "COLOUR": "blue"}

    def _settings(self, revision, settings):
        for read in self.reads:
            data = self.value(read, revision, settings)
            if read.kind == "Secret":
                data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            yield self._item(read.kind, "v1", read.name, data=data)

    # --- workloads

    def template(self, workload, revision="good"):
        change = self.changes[workload] if revision == "bad" else ""
        reads = [read for read in self.reads if read.workload == workload]
        sums = [self.value(read, revision) for read in reads]
        checksum = hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]
        bad = {what: change in (what, "all") for what in ("image", "env", "command")}
        app = {
            "name": "app",
            "image": f"example.org/{workload}:{'1.5' if bad['image'] else '1.4'}",
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/serve", *(["--fast"] if bad["command"] else ["--safe"])],
            "args": ["--port", "8080"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [
                {"name": "MODE", "value": "bad" if bad["env"] else "good"},
                {"name": "PLAIN", "value": "1"},
            ],
            "resources": {"limits": {"cpu": "0.5", "memory": "0.5Gi"}, "requests": {"cpu": "1e-1"}}
            if self.odd
            else {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m"}},
            "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 5},
            "livenessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 2, "failureThreshold": 5},
            "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": False},
        }
        spec = {
            "serviceAccountName": "runner",
            "terminationGracePeriodSeconds": 1,
            "containers": [app],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        }
        app["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
        if workload == "web":
            key = {"secretKeyRef": {"name": "outer", "key": "TOKEN"}}
            app["env"].append({"name": "TOKEN", "valueFrom": key})
            app["envFrom"] = [{"configMapRef": {"name": "hooked"}}]
        if workload == "db" and self.claims:
            app["volumeMounts"].append({"name": "data", "mountPath": "/data"})
        if workload == "agent":
            spec["tolerations"] = [{"operator": "Exists", "effect": "NoSchedule"}]
        for read in reads:
            _let_read(spec, read)
        notes = {"campaign/settings": checksum, "campaign/owner": "team-a"}
        labels = {"app": workload, "tier": "back" if workload == "db" else "front"}
        return {"metadata": {"labels": labels, "annotations": notes}, "spec": spec}

    def _workloads(self, revision):
        for workload, kind in WORKLOADS.items():
            spec = {
                "selector": {"matchLabels": {"app": workload}},
                "template": self.template(workload, revision),
            }
            if kind == "Deployment":
                spec["strategy"] = {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                }
                if workload == "worker":
                    spec |= {"replicas": 1, "revisionHistoryLimit": 5}
                    spec["strategy"] = {"type": "Recreate"} if self.recreate else spec["strategy"]
                elif not self.autoscaled:
                    spec["replicas"] = 2
            elif kind == "StatefulSet":
                spec |= {"serviceName": "db", "replicas": 2}
                spec["updateStrategy"] = {
                    "RollingUpdate": {"type": "RollingUpdate"},
                    "OnDelete": {"type": "OnDelete"},
                    "partition": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
                }[self.db_update]
                if self.parallel:
                    spec["podManagementPolicy"] = "Parallel"
                if self.claims:
                    size = {"requests": {"storage": "1024Mi" if self.odd else "1Gi"}}
                    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": size}
                    spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
            else:
                spec["updateStrategy"] = {"type": self.agent_update}
            yield self._item(kind, "apps/v1", workload, labels={"app": workload}, spec=spec)

    def _elsewhere(self, revision):
        """A workload in another namespace than the release's, and what goes with it."""
        key = {"configMapKeyRef": {"name": "side", "key": "LEVEL"}}
        mode = "bad" if revision == "bad" else "good"
        app = {"name": "app", "image": "example.org/side:1.4", "command": ["/bin/side"]}
        app["resources"] = {"limits": {"cpu": "500m"}}
        app["env"] = [{"name": "MODE", "value": mode}, {"name": "LEVEL", "valueFrom": key}]
        template = {"metadata": {"labels": {"app": "side"}}}
        template["spec"] = {"containers": [app], "terminationGracePeriodSeconds": 1}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": "side"}}, "template": template}
        ports = {"selector": {"app": "side"}, "ports": [{"port": 80}]}
        for item in (
            self._item("ConfigMap", "v1", "side", data={"LEVEL": "good"}),
            self._item("Service", "v1", "side", spec=ports),
            self._item("Deployment", "apps/v1", "side", labels={"app": "side"}, spec=spec),
        ):
            item["metadata"]["namespace"] = self.elsewhere
            yield item

    # --- everything else

    def tidy(self, revision="good"):
        """The CronJob."""
        image = f"example.org/tidy:{'1.5' if revision == 'bad' else '1.4'}"
        pod = {"restartPolicy": "Never", "containers": [{"name": "tidy", "image": image}]}
        spec = {"schedule": "0 3 1 1 *", "concurrencyPolicy": "Forbid", "suspend": False}
        spec["jobTemplate"] = {"spec": {"template": {"metadata": {"labels": {"app": "tidy"}}, "spec": pod}}}
        return self._item("CronJob", "batch/v1", "tidy", spec=spec)

    def _rest(self):
        front = {"app": "web"}
        ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
        node_port = {"type": "NodePort", "clusterIP": "", "selector": {"app": "worker"}}
        node_port |= {"ports": [{"port": 8080, "targetPort": 8080, "nodePort": 0}]}
        group = f"{self.namespace}.example.org"
        here, role = self.namespace, "rbac.authorization.k8s.io/v1"
        rules = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}]
        yield self._item("ServiceAccount", "v1", "runner", secrets=[{"name": "own"}])
        yield self._item(
            "Service", "v1", "web", spec={"selector": front, "ports": ports, "sessionAffinity": "None"}
        )
        yield self._item(
            "Service",
            "v1",
            "db",
            spec={"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]},
        )
        yield self._item("Service", "v1", "worker", spec=node_port)
        backend = {"service": {"name": "web", "port": {"name": "http"}}}
        paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in ("/", "/api")]
        spec = {
            "ingressClassName": "none",
            "rules": [{"host": f"{here}.example.org", "http": {"paths": paths}}],
        }
        yield self._item(
            "Ingress", "networking.k8s.io/v1", "web", annotations={"campaign/tls": "no"}, spec=spec
        )
        spec = {"podSelector": {"matchLabels": front}, "policyTypes": ["Ingress"]}
        spec["ingress"] = [
            {"from": [{"podSelector": {"matchLabels": {"tier": "front"}}}], "ports": [{"port": 8080}]}
        ]
        yield self._item("NetworkPolicy", "networking.k8s.io/v1", "web", spec=spec)
        spec = {"minAvailable": 1, "selector": {"matchLabels": front}}
        yield self._item("PodDisruptionBudget", "policy/v1", "web", spec=spec)
        if self.autoscaled:
            target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
            average = {"type": "AverageValue", "averageValue": "1000m" if self.odd else "1"}
            metric = {"type": "Resource", "resource": {"name": "cpu", "target": average}}
            spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5, "metrics": [metric]}
            yield self._item("HorizontalPodAutoscaler", "autoscaling/v2", "web", spec=spec)
        if self.with_limits:
            limit = {"type": "Container", "default": {"memory": "1Gi"}, "defaultRequest": {"memory": "64Mi"}}
            yield self._item("LimitRange", "v1", "defaults", spec={"limits": [limit]})
        pod = {"restartPolicy": "Never", "containers": [{"name": "seed", "image": "example.org/seed:1.4"}]}
        yield self._item("Job", "batch/v1", "seed", spec={"backoffLimit": 3, "template": {"spec": pod}})
        yield self._item("ConfigMap", "v1", "plain", data={"greeting": "hello", "EMPTY": ""})
        yield self._item(
            "Secret", "v1", "plain", type="Opaque", stringData={"user": "app"}, data={"none": None}
        )
        request = {"requests": {"storage": "1024Mi" if self.odd else "1Gi"}}
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": request}
        yield self._item("PersistentVolumeClaim", "v1", "data", spec=spec)
        yield self._item("Role", role, "runner", rules=rules)
        subjects = [{"kind": "ServiceAccount", "name": "runner", "namespace": here}]
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner"}
        yield self._item("RoleBinding", role, "runner", subjects=subjects, roleRef=ref)
        stated = {"rules": []} if self.empty_rules else {}
        chosen = {"clusterRoleSelectors": [{"matchLabels": {"part-of": here}}]}
        yield self._item("ClusterRole", role, here, cluster=True, aggregationRule=chosen, **stated)
        yield self._item(
            "ClusterRole",
            role,
            f"{here}-part",
            cluster=True,
            labels={"part-of": here},
            rules=copy.deepcopy(rules),
        )
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": here}
        yield self._item("ClusterRoleBinding", role, here, cluster=True, subjects=subjects, roleRef=ref)
        yield self._item(
            "PriorityClass",
            "scheduling.k8s.io/v1",
            here,
            cluster=True,
            value=1000,
            description="of the campaign",
        )
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {}}}}
        schema["properties"]["spec"]["properties"] = {"size": {"type": "integer", "maximum": 9}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": "things", "singular": "thing", "kind": "Thing"}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        yield self._item(
            "CustomResourceDefinition", "apiextensions.k8s.io/v1", f"things.{group}", cluster=True, spec=spec
        )
        yield self._item(
            "Widget",
            "campaign.example.org/v1",
            "one",
            spec={"size": 3, "parts": [{"name": "a"}, {"name": "b"}]},
        )
        rule = {"apiGroups": ["none.example.org"], "apiVersions": ["v1"], "operations": ["CREATE"]}
        hook = {
            "name": "check.example.org",
            "clientConfig": {"service": {"name": "web", "namespace": here, "path": "/check", "port": 80}},
            "rules": [{**rule, "resources": ["nothings"]}],
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 3,
        }
        yield self._item(
            "ValidatingWebhookConfiguration",
            "admissionregistration.k8s.io/v1",
            here,
            cluster=True,
            webhooks=[hook],
        )


def _let_read(spec, read):
    """The container that reads it, and how."""
    source = {"name": read.name}
    container = spec["containers"][0]
    if read.sort != "ordinary":
        container = {"name": read.sort, "image": f"example.org/{read.sort}:1.0"}
        if read.sort == "sidecar":
            container["restartPolicy"] = "Always"
        spec.setdefault("initContainers", []).append(container)
    config = read.kind == "ConfigMap"
    if read.way == "env":
        ref = {("configMapKeyRef" if config else "secretKeyRef"): {**source, "key": "LEVEL"}}
        container.setdefault("env", []).append({"name": "LEVEL", "valueFrom": ref})
    elif read.way == "envFrom":
        container.setdefault("envFrom", []).append({("configMapRef" if config else "secretRef"): source})
    else:
        volume = {"configMap": source} if config else {"secret": {"secretName": read.name}}
        spec["volumes"].append({"name": read.sort, **volume})
        mount = {"name": read.sort, "mountPath": f"/etc/{read.sort}"}
        if read.way == "subPath":
            mount |= {"mountPath": f"/etc/{read.sort}/level", "subPath": "LEVEL"}
        container.setdefault("volumeMounts", []).append(mount)


def _pods(image, **labels):
    spec = {"containers": [{"name": "app", "image": image}], "terminationGracePeriodSeconds": 1}
    return {"metadata": {"labels": labels}, "spec": spec}


def _workload(kind, name, image, labels, **notes):
    def make(chart):
        own = {"of": name, **labels}
        spec = {"selector": {"matchLabels": {"of": name}}, "template": _pods(image, **own)}
        if kind == "StatefulSet":
            spec["serviceName"] = "db"
        return chart._item(kind, "apps/v1", name, spec=spec, **notes)

    return make


_SERVES = {"app": "web", "tier": "front"}
_NONE = {"podSelector": {}, "policyTypes": ["Ingress"]}
_HOOK = {"annotations": {"helm.sh/hook": "post-upgrade"}}

# What only the bad revision has: helm's rollback takes it away.
EXTRAS = {
    "canary": _workload("Deployment", "canary", "example.org/web:1.5", {"app": "canary"}),
    "shadow": _workload("Deployment", "shadow", "example.org/shadow:1.5", _SERVES),
    "cache": _workload("StatefulSet", "cache", "example.org/cache:1.5", {"app": "cache"}),
    "watcher": _workload("DaemonSet", "watcher", "example.org/watcher:1.5", {"app": "watcher"}),
    "feature": lambda chart: chart._item("ConfigMap", "v1", "feature", data={"NEW": "yes"}),
    "token": lambda chart: chart._item("Secret", "v1", "token", stringData={"NEW": "secret-of-bad"}),
    "beta": lambda chart: chart._item(
        "Service", "v1", "beta", spec={"selector": {"app": "web"}, "ports": [{"port": 81}]}
    ),
    "report": lambda chart: chart._item(
        "CronJob",
        "batch/v1",
        "report",
        spec={
            "schedule": "0 4 1 1 *",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {
                            "restartPolicy": "Never",
                            "containers": [
                                {"name": "report", "image": "example.org/report:1.5", "args": ["act"]}
                            ],
                        }
                    }
                }
            },
        },
    ),
    "deny": lambda chart: chart._item("NetworkPolicy", "networking.k8s.io/v1", "deny", spec=_NONE),
    "budget": lambda chart: chart._item(
        "PodDisruptionBudget",
        "policy/v1",
        "budget",
        spec={"maxUnavailable": 0, "selector": {"matchLabels": {"app": "worker"}}},
    ),
    "writer": lambda chart: chart._item(
        "Role",
        "rbac.authorization.k8s.io/v1",
        "writer",
        rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    ),
}
# The same, and helm leaves it: a policy keeps it, or a hook made it. It does harm where it is.
STAYS = {
    "kept-deny": lambda chart: chart._item(
        "NetworkPolicy", "networking.k8s.io/v1", "kept-deny", spec=_NONE, annotations=KEEP
    ),
    "kept-server": _workload("Deployment", "kept-server", "example.org/kept:1.5", _SERVES, annotations=KEEP),
    "hook-server": _workload("Deployment", "hook-server", "example.org/hook:1.5", _SERVES, **_HOOK),
    "hook-deny": lambda chart: chart._item(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        "hook-deny",
        spec={"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}},
        **_HOOK,
    ),
}
