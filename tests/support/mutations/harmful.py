"""What is left wrong: each kind knows by construction that the release is not as the target has it."""

import copy
import re
import time
from contextlib import suppress

from .api import path_of, place, wait
from .chart import EXTRAS, STAYS, WORKLOADS
from .scene import Again, hash_of, is_complete, is_observed, is_ready

HARMFUL = {}


def kind(name, weight=1.0):
    def register(apply):
        HARMFUL[name] = (apply, weight)
        return apply

    return register


# --- a drifted field of any object

_OTHER = {
    "RollingUpdate": "OnDelete",
    "OnDelete": "RollingUpdate",
    "Recreate": "RollingUpdate",
    "IfNotPresent": "Always",
    "Forbid": "Replace",
    "Prefix": "Exact",
    "TCP": "UDP",
    "None": "ClientIP",
    "Ignore": "Fail",
    "get": "watch",
    "list": "delete",
    "Ingress": "Egress",
    "NodePort": "ClusterIP",
    "Exists": "Equal",
    "CREATE": "DELETE",
    "ReadWriteOnce": "ReadWriteMany",
    "NoSchedule": "NoExecute",
    "Container": "Pod",
    "0 3 1 1 *": "*/5 * * * *",
    "Parallel": "OrderedReady",
    "OrderedReady": "Parallel",
    "integer": "number",
    "Always": "Never",
    "Never": "OnFailure",
}
_QUANTITY = re.compile(r"[0-9.e+-]+(m|k|Ki|Mi|Gi|Ti)?")


def fields(item, path=()):
    """Every stated field beneath: (path, value); the names of things and what nobody states are left out."""
    pairs = item.items() if isinstance(item, dict) else enumerate(item)
    for key, value in pairs:
        here = (*path, key)
        if here in _FIXED or value in (None, "", 0, [], {}):
            continue
        yield here, value
        if isinstance(value, dict | list):
            yield from fields(value, here)


_FIXED = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("status",)}


def is_free(item, path):
    """Whether this field may differ without harm: it is a controller's, or another manager's by design."""
    keys = [key for key in path if isinstance(key, str)]
    if item["kind"] == "ServiceAccount" and keys[0] == "secrets":
        return True
    if item["kind"] == "ClusterRole" and item.get("aggregationRule") and keys[0] == "rules":
        return True
    if any(key.startswith(("helm.sh/", "meta.helm.sh/")) for key in keys):
        return True
    return keys[0] == "metadata" and keys[-1] in ("labels", "annotations")


def changed(value, random):
    """Another value of the same sort that is no other notation of this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + random.choice((1, 2, 7))
    if isinstance(value, str):
        if value in _OTHER:
            return _OTHER[value]
        if _QUANTITY.fullmatch(value) and not value.isdigit():
            return "750m" if value[-1] in "m15" else "2Gi"
        return value + random.choice(("x", "-other", "0"))
    if isinstance(value, list):
        return value[:-1] if len(value) > 1 and random.random() < 0.7 else [*value, copy.deepcopy(value[-1])]
    raise Again("a map as a whole")


def at(item, path):
    for key in path:
        try:
            item = item[key]
        except (KeyError, IndexError, TypeError):
            raise Again(f"{path} is not live as it is stated") from None
    return item


def put_at(item, path, value):
    at(item, path[:-1])[path[-1]] = value


def manifest_object(scene, *, without=()):
    items = [item for item in scene.chart.objects() if item["kind"] not in without]
    return scene.random.choice(items)


@kind("drifted field", 14)
def drifted_field(scene):
    """One stated value is another one, by whoever."""
    item = manifest_object(scene)
    path, stated = scene.random.choice([each for each in fields(item) if not is_free(item, each[0])])
    if item["kind"] == "Secret" and path[0] in ("stringData", "data"):
        path = ("data", *path[1:])
        if len(path) == 1:
            raise Again("the values of a Secret are changed one by one")
        wanted = "Y2hhbmdlZA=="
    elif isinstance(stated, dict):
        key = scene.random.choice(sorted(stated))
        path, stated, wanted = (*path, key), stated[key], None
        if is_free(item, path) or stated in (None, "", 0, [], {}):
            raise Again("left to the server")
    else:
        wanted = changed(stated, scene.random)
    if path[:2] == ("spec", "clusterIP"):
        raise Again("immutable")

    def change(live):
        at(live, path)
        if wanted is None:
            del at(live, path[:-1])[path[-1]]
        else:
            put_at(live, path, wanted)

    manager = scene.edit(path_of(item), change)
    live = scene.api.get(path_of(item))
    with_default = None
    with suppress(Again):
        with_default = at(live, path)
    if wanted is None and with_default == stated:
        raise Again("its default is what was stated")
    scene.say(
        f"{item['kind']}/{item['metadata']['name']} {dotted(path)}: {stated!r} -> {wanted!r} by {manager}"
    )
    if item["metadata"]["name"] in WORKLOADS and item["kind"] in WORKLOADS.values():
        scene.wait_rollout(item["metadata"]["name"], 4)


def dotted(path):
    return ".".join(str(key) for key in path)


_LISTS = {
    "Role": ("rules",),
    "RoleBinding": ("subjects",),
    "ClusterRoleBinding": ("subjects",),
    "Service": ("spec", "ports"),
    "Ingress": ("spec", "rules"),
    "NetworkPolicy": ("spec", "ingress"),
    "Widget": ("spec", "parts"),
    "ValidatingWebhookConfiguration": ("webhooks",),
    "LimitRange": ("spec", "limits"),
}
_MORE = {
    "rules": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"], "host": "more.example.org"},
    "subjects": {"kind": "ServiceAccount", "name": "default", "namespace": "default"},
    "ports": {"name": "more", "port": 9090},
    "ingress": {"ports": [{"port": 9090}]},
    "parts": {"name": "c"},
    "limits": {"type": "Pod", "max": {"memory": "8Gi"}},
}


@kind("added element", 3)
def added_element(scene):
    """Something beside what is stated: a rule, a port, a subject, a webhook."""
    items = [
        item for item in scene.chart.objects() if item["kind"] in _LISTS and not item.get("aggregationRule")
    ]
    item = scene.random.choice(items)
    path = _LISTS[item["kind"]]

    def change(live):
        there = at(live, path)
        if path[-1] == "webhooks":
            there.append({**copy.deepcopy(there[0]), "name": "more.example.org"})
            return
        more = dict(_MORE[path[-1]])
        if item["kind"] == "Ingress":
            more = {"host": more["host"], "http": copy.deepcopy(there[0]["http"])}
        elif path[-1] == "rules":
            more.pop("host")
        if item["kind"] == "Service":
            for number, port in enumerate(there):
                port.setdefault("name", f"p{number}")
        there.append(more)

    manager = scene.edit(path_of(item), change)
    scene.say(f"{item['kind']}/{item['metadata']['name']} {dotted(path)} has one more, by {manager}")


@kind("added key", 3)
def added_key(scene):
    """A key of data or of a selector that nobody states."""
    items = [
        item
        for item in scene.chart.objects()
        if item["kind"] in ("ConfigMap", "Secret", "Service") and item["metadata"]["name"] != "hooked"
    ]
    item = scene.random.choice(items)

    def change(live):
        if item["kind"] == "Service":
            live["spec"]["selector"]["tier"] = scene.random.choice(("front", "back"))
        else:
            live.setdefault("data", {})["ADDED"] = "YWRkZWQ="

    manager = scene.edit(path_of(item), change)
    scene.say(f"{item['kind']}/{item['metadata']['name']} has one more key, by {manager}")


_TEMPLATES = {
    "other image": lambda spec, app: app.update(image="example.org/other:9"),
    "other tag": lambda spec, app: app.update(image=app["image"] + "-2"),
    "image by digest": lambda spec, app: app.update(image=f"{app['image']}@sha256:{'a' * 64}"),
    "other env": lambda spec, app: app["env"][0].update(value="bad"),
    "env added": lambda spec, app: app["env"].append({"name": "ADDED", "value": "1"}),
    "env gone": lambda spec, app: app["env"].pop(1),
    "env by reference": lambda spec, app: app["env"].__setitem__(
        1, {"name": "PLAIN", "valueFrom": {"configMapKeyRef": {"name": "plain", "key": "greeting"}}}
    ),
    "envFrom added": lambda spec, app: app.setdefault("envFrom", []).append(
        {"configMapRef": {"name": "plain"}}
    ),
    "other command": lambda spec, app: app.update(command=["/bin/serve", "--fast"]),
    "other args": lambda spec, app: app.update(args=["--port", "9090"]),
    "args added": lambda spec, app: app["args"].append("--verbose"),
    "container added": lambda spec, app: spec["containers"].append(
        {"name": "more", "image": "example.org/more:1"}
    ),
    "init container added": lambda spec, app: spec.setdefault("initContainers", []).append(
        {"name": "more", "image": "example.org/more:1"}
    ),
    "volume added": lambda spec, app: spec["volumes"].append({"name": "more", "emptyDir": {}}),
    "mount added": lambda spec, app: app["volumeMounts"].append({"name": "scratch", "mountPath": "/more"}),
    "limits": lambda spec, app: app["resources"]["limits"].update(cpu="250m"),
    "request added": lambda spec, app: app["resources"]["requests"].update(memory="32Mi"),
    "probe": lambda spec, app: app["readinessProbe"].update(periodSeconds=7),
    "probe path": lambda spec, app: app["readinessProbe"]["httpGet"].update(path="/other"),
    "startup probe added": lambda spec, app: app.update(startupProbe={"tcpSocket": {"port": 8080}}),
    "hook added": lambda spec, app: app.update(lifecycle={"preStop": {"exec": {"command": ["/bin/true"]}}}),
    "user": lambda spec, app: app["securityContext"].update(runAsUser=0),
    "account": lambda spec, app: spec.update(serviceAccountName="default", serviceAccount="default"),
    "grace": lambda spec, app: spec.update(terminationGracePeriodSeconds=2),
    "host alias added": lambda spec, app: spec.update(hostAliases=[{"ip": "10.0.0.9", "hostnames": ["db"]}]),
    "node selector added": lambda spec, app: spec.update(nodeSelector={"kubernetes.io/os": "linux"}),
    "working folder added": lambda spec, app: app.update(workingDir="/tmp"),
    "missing image": lambda spec, app: app.update(image="zkprova/none:nothing"),
    "init image": lambda spec, app: spec["initContainers"][0].update(image="example.org/init:2"),
    "privileges": lambda spec, app: app["securityContext"].update(allowPrivilegeEscalation=True),
}


@kind("template", 10)
def template(scene):
    """The pod template of a workload is another one, and its pods are."""
    workload, what = scene.random.choice(list(WORKLOADS)), scene.random.choice(list(_TEMPLATES))

    def change(live):
        spec = live["spec"]["template"]["spec"]
        try:
            _TEMPLATES[what](spec, spec["containers"][0])
        except (KeyError, IndexError):
            raise Again(f"{workload} has none") from None

    manager = scene.edit(scene.path(WORKLOADS[workload], workload), change)
    scene.say(f"{WORKLOADS[workload]}/{workload}: {what}, by {manager}")
    scene.wait_rollout(workload, 4)


@kind("object of the bad revision applied", 2)
def applied_bad(scene):
    """Somebody applied the bad revision's manifest of one workload again."""
    bad = {(item["kind"], item["metadata"]["name"]): item for item in scene.chart.objects("bad")}
    good = {(item["kind"], item["metadata"]["name"]): item for item in scene.chart.objects()}
    differing = sorted(key for key in good if bad[key] != good[key])
    key = scene.random.choice(differing)
    item = {**bad[key], "metadata": {**bad[key]["metadata"]}}
    path, manager = (
        path_of(item),
        scene.random.choice(("kubectl", "argocd-controller", "kustomize-controller")),
    )
    scene.undo_object(path)
    if item.get("stringData"):
        raise Again("a Secret's text")
    scene.api.apply(item, manager)
    scene.say(f"{key[0]}/{key[1]} of the bad revision applied by {manager}")
    if key[0] in WORKLOADS.values() and key[1] in WORKLOADS:
        scene.wait_rollout(key[1])


# --- pods of another template


@kind("pods kept by the strategy", 4)
def kept_pods(scene):
    """OnDelete or a partition: the object is the target's again, a pod is not."""
    choices = [("agent", "OnDelete")] if scene.chart.agent_update == "OnDelete" else []
    choices += [("db", scene.chart.db_update)] if scene.chart.db_update != "RollingUpdate" else []
    if not choices:
        raise Again("every workload rolls")
    workload, how = scene.random.choice(choices)
    what = scene.random.choice(["other env", "other command", "other image", "limits", "env added"])
    path = scene.path(WORKLOADS[workload], workload)

    def change(live):
        spec = live["spec"]["template"]["spec"]
        _TEMPLATES[what](spec, spec["containers"][0])
        if how == "partition":
            live["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0

    scene.edit(path, change, "kubectl-edit")
    wait(lambda: is_observed(scene.workload(workload)), workload)
    if how == "OnDelete":
        names = scene.restart(workload, 1)
    else:
        wait(lambda: is_complete(scene.workload(workload)) and _updated(scene), "the partition to roll")
        names = ["db-0"]
    scene.api.restore(scene.baseline[path])
    wait(lambda: is_observed(scene.workload(workload)), workload)
    if how == "partition":
        wait(lambda: _above_is_new(scene), "the pod above the partition")
    scene.settle()
    newest = scene.newest_hash(workload)
    stays = [pod for pod in scene.pods(workload) if pod["metadata"]["name"] in names]
    assert all(newest not in (hash_of(pod), f"{workload}-{hash_of(pod)}") for pod in stays), names
    scene.say(f"{', '.join(names)} of {workload} ({how}) kept with: {what}")


def _updated(scene):
    newest = scene.newest_hash("db")
    return all(hash_of(pod) == newest and is_ready(pod) for pod in scene.pods("db"))


def _above_is_new(scene):
    newest = scene.newest_hash("db")
    return any(hash_of(pod) == newest and is_ready(pod) for pod in scene.pods("db"))


def bare_pod(scene, name, labels, **spec):
    container = {"name": "app", "image": "example.org/stranger:1", "args": ["act"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": scene.namespace, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


@kind("adopted pod", 3)
def adopted_pod(scene):
    """A pod of another template that the target's ReplicaSet took for one of its own."""
    workload = scene.random.choice(["web", "worker"])
    own = scene.pods(workload)
    what = scene.random.choice(["other env", "other command", "other image", "args added", "env gone"])
    spec = copy.deepcopy(scene.workload(workload)["spec"]["template"])
    _TEMPLATES[what](spec["spec"], spec["spec"]["containers"][0])
    name = f"{workload}-taken"
    pod = bare_pod(scene, name, {"waits": "yes"})
    pod["metadata"]["annotations"] = spec["metadata"].get("annotations") or {}
    scene.make({**pod, "spec": spec["spec"]})
    wait(lambda: scene.ready(name), name)
    scene.api.delete(scene.path("Pod", own[0]["metadata"]["name"]), grace_s=0)
    labels = {**own[0]["metadata"]["labels"], "waits": None}
    scene.api.patch(scene.path("Pod", name), {"metadata": {"labels": labels}}, "kubectl-label")
    wait(
        lambda: (scene.api.get(scene.path("Pod", name)) or {}).get("metadata", {}).get("ownerReferences"),
        name,
    )
    scene.settle()
    if not scene.ready(name):
        raise Again("the ReplicaSet took another one")
    scene.say(f"Pod {name} with {what} belongs to the ReplicaSet of {workload}")


@kind("image of a pod changed in place", 2)
def pod_image(scene):
    """``kubectl set image pod/...``: its owner and its hash stay."""
    workload = scene.random.choice(list(WORKLOADS))
    pod = scene.random.choice(scene.pods(workload))
    path = scene.path("Pod", pod["metadata"]["name"])
    scene.undo(lambda: scene.restart(workload))
    image = scene.random.choice(["example.org/other:9", f"example.org/{workload}:1.5"])
    scene.api.patch(
        path, [{"op": "replace", "path": "/spec/containers/0/image", "value": image}], "kubectl-set", "json"
    )
    scene.say(f"Pod {pod['metadata']['name']} of {workload} runs {image}")


# --- what a process read when it started


@kind("old value read at start", 6)
def stale_value(scene):
    """A pod started while another revision's settings were live; the rollback changed them, not the pod."""
    reads = [read for read in scene.chart.reads if read.way != "folder"]
    read = scene.random.choice(reads)
    _stale(scene, read)


@kind("old file of a folder", 2)
def stale_file(scene):
    """The same with a folder: nobody saw the process read it again."""
    reads = [read for read in scene.chart.reads if read.way == "folder" and read.sort != "init"]
    if not reads:
        raise Again("no folder")
    _stale(scene, scene.random.choice(reads))


def _stale(scene, read):
    good = head(scene)
    scene.undo(lambda: scene.restart(read.workload))
    scene.undo(scene.remember)
    scene.upgrade("good", (read.name,))
    scene.restart(read.workload, scene.random.choice((1, None)))
    wait(lambda: not same_second(scene, read.workload), "another second")
    scene.helm_back(good)
    scene.settle()
    scene.say(f"{read.workload}'s {read.sort} container read another {read.kind}/{read.name} by {read.way}")


def same_second(scene, workload):
    """API times are whole seconds: the rollback has to be in a later one than the newest pod's start."""
    newest = max(pod["metadata"]["creationTimestamp"] for pod in scene.pods(workload))
    starts = [
        (each.get("state") or {}).get("running", {}).get("startedAt", "")
        for pod in scene.pods(workload)
        for each in (
            *pod["status"].get("containerStatuses", ()),
            *pod["status"].get("initContainerStatuses", ()),
        )
    ]
    return max([newest, *starts]) >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def head(scene):
    """The number of the revision that is live, as helm's own Secrets tell."""
    secrets = scene.items("Secret")
    numbers = [
        int(each["metadata"]["labels"]["version"])
        for each in secrets
        if each.get("type", "").startswith("helm.sh")
    ]
    return max(numbers)


@kind("old value by hand", 2)
def stale_by_hand(scene):
    """A ConfigMap or Secret was edited, a pod started, the edit was taken back."""
    reads = [read for read in scene.chart.reads if read.way != "folder"]
    read = scene.random.choice(reads)
    path = scene.path(read.kind, read.name)
    was = scene.api.get(path)["data"]["LEVEL"]
    scene.undo(lambda: scene.restart(read.workload))
    scene.edit(path, lambda live: live["data"].update(LEVEL="YnlIYW5k"), "kubectl-edit")
    scene.restart(read.workload, scene.random.choice((1, None)))
    wait(lambda: not same_second(scene, read.workload), "another second")
    scene.api.edit(path, lambda live: live["data"].update(LEVEL=was), "kubectl-edit")
    scene.say(f"{read.workload}'s {read.sort} container read an edited {read.kind}/{read.name} by {read.way}")


# --- leftovers


def _serving(scene, name):
    service, labels = scene.random.choice(
        [("web", {"app": "web"}), ("worker", {"app": "worker"}), ("db", {"app": "db"})]
    )
    image = scene.random.choice(
        ["example.org/stranger:1", f"example.org/{service}:1.5", f"example.org/{service}:1.4"]
    )
    labels = {**labels, "of": name}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1}}
    template["spec"]["containers"] = [{"name": "app", "image": image, "args": ["act"]}]
    return service, labels, template


@kind("a stranger serves", 7)
def stranger_serves(scene):
    """A pod of another owner stands behind a Service of the release."""
    name = "stranger"
    service, labels, template = _serving(scene, name)
    owner = scene.random.choice(
        ["nobody", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Widget"]
    )
    image = template["spec"]["containers"][0]["image"]
    if owner == "Deployment" and not (
        scene.rolled_back and image.endswith(":1.5") and scene.chart.changes[service] in ("image", "all")
    ):
        raise Again("a canary is somebody's plan (docs/equivalence.md), unless its image was rolled away")
    selector = {"matchLabels": {"of": name}}
    metadata = {"name": name, "namespace": scene.namespace}
    if owner in ("nobody", "Widget"):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**metadata, "labels": labels},
            "spec": template["spec"],
        }
        if owner == "Widget":
            # One of the release is the target's own, and so is what it makes.
            made = {"apiVersion": "campaign.example.org/v1", "kind": "Widget", "metadata": dict(metadata)}
            widget = scene.make(made)
            pod["metadata"]["ownerReferences"] = [_owner(widget, "Widget", "campaign.example.org/v1")]
        scene.make(pod)
    elif owner in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "Never"
        if owner == "CronJob":
            cron = scene.api.get(scene.path("CronJob", "tidy"))
            metadata["ownerReferences"] = [_owner(cron, "CronJob", "batch/v1")]
        scene.make(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
        )
    else:
        spec = {"selector": selector, "template": template}
        if owner == "StatefulSet":
            spec["serviceName"] = "db"
        scene.make({"apiVersion": "apps/v1", "kind": owner, "metadata": metadata, "spec": spec})
    wait(lambda: any(is_ready(pod) for pod in _labelled(scene, name)), "the stranger")
    scene.say(f"a pod of {owner} with {template['spec']['containers'][0]['image']} serves behind {service}")


def _owner(item, kind_, version):
    name, uid = item["metadata"]["name"], item["metadata"]["uid"]
    return {"apiVersion": version, "kind": kind_, "name": name, "uid": uid, "controller": True}


def _labelled(scene, name):
    return [pod for pod in scene.items("Pod") if (pod["metadata"].get("labels") or {}).get("of") == name]


@kind("a Job of the bad revision's CronJob", 2)
def bad_job(scene):
    """It was started before the rollback and goes on."""
    if not scene.rolled_back:
        raise Again("nothing was rolled back")
    cron = scene.api.get(scene.path("CronJob", "tidy"))
    spec = copy.deepcopy(scene.chart.tidy("bad")["spec"]["jobTemplate"]["spec"])
    spec["template"]["spec"]["containers"][0]["args"] = ["act"]
    metadata = {
        "name": "tidy-29401",
        "namespace": scene.namespace,
        "ownerReferences": [_owner(cron, "CronJob", "batch/v1")],
    }
    scene.make(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec},
        "kube-controller-manager",
    )
    wait(
        lambda: any(pod["status"].get("phase") == "Running" for pod in _of_job(scene, "tidy-29401")),
        "its pod",
    )
    scene.say("a Job of CronJob/tidy runs the bad revision's image")


def _of_job(scene, name):
    return [
        pod for pod in scene.items("Pod") if (pod["metadata"].get("labels") or {}).get("job-name") == name
    ]


@kind("leftover of the bad revision", 4)
def leftover(scene):
    """What only the bad revision has is there again, or still."""
    if not scene.rolled_back:
        raise Again("nothing was rolled back")
    name = scene.random.choice(scene.chart.extras)
    _bring(scene, EXTRAS[name](scene.chart), name)


@kind("what helm leaves does harm", 3)
def stays(scene):
    """What a policy keeps, or a hook of the bad revision made, serves or governs the target's pods."""
    if not scene.rolled_back:
        raise Again("nothing was rolled back")
    name = scene.random.choice(scene.chart.stays)
    _bring(scene, STAYS[name](scene.chart), name)


def _bring(scene, item, name):
    notes = item["metadata"].setdefault("annotations", {})
    if not any(key.startswith("helm.sh/hook") for key in notes):
        notes |= {"meta.helm.sh/release-name": "own", "meta.helm.sh/release-namespace": scene.namespace}
        item["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    scene.make(item, "helm")
    if item["kind"] in WORKLOADS.values():
        path = path_of(item)
        wait(lambda: is_complete(scene.api.get(path)), name)
    scene.say(f"{item['kind']}/{name} is there")


# --- what is missing, or not as many


@kind("missing object", 5)
def missing(scene):
    item = manifest_object(scene, without=("PersistentVolumeClaim", "CustomResourceDefinition"))
    if item["kind"] == "Job":
        raise Again("its selector holds its UID: it cannot be put back as it was")
    path = path_of(item)
    scene.undo_object(path)
    scene.api.delete(path, grace_s=0)
    scene.api.gone(path)
    scene.say(f"{item['kind']}/{item['metadata']['name']} is gone")


@kind("missing Secret of others", 1)
def missing_reference(scene):
    name, what = scene.random.choice([("outer", "Secret"), ("hooked", "ConfigMap")])
    path = scene.path(what, name)
    scene.undo_object(path)
    scene.api.delete(path)
    scene.say(f"{what}/{name}, which web reads, is gone")


@kind("an object on its way out", 2)
def going(scene):
    """Deleted, and a finalizer holds it."""
    kinds = ("ConfigMap", "Secret", "Service", "Role", "NetworkPolicy", "PodDisruptionBudget", "Ingress")
    item = scene.random.choice([each for each in scene.chart.objects() if each["kind"] in kinds])
    path = path_of(item)
    scene.undo_object(path)
    scene.api.patch(path, {"metadata": {"finalizers": ["campaign.example.org/hold"]}})
    scene.api.delete(path)
    scene.say(f"{item['kind']}/{item['metadata']['name']} is being deleted")


@kind("hook's object changed", 2)
def hook_changed(scene):
    """What a hook made and pods read is not as the hook made it."""
    path = scene.path("ConfigMap", "hooked")
    change = scene.random.choice(["value", "gone"])

    def edit(live):
        if change == "value":
            live["data"]["MADE_BY"] = "somebody"
        else:
            live["data"] = {"OTHER": "key"}

    manager = scene.edit(path, edit)
    scene.say(f"ConfigMap/hooked: {change}, by {manager}")


@kind("scaled", 3)
def scaled(scene):
    """``kubectl scale``, where no autoscaler is."""
    names = ["worker", "db", *([] if scene.chart.autoscaled else ["web"])]
    workload = scene.random.choice(names)
    live, count = scene.workload(workload), scene.random.choice((0, 1, 2, 3))
    if live["spec"]["replicas"] == count:
        raise Again("as it is")
    path = scene.path(WORKLOADS[workload], workload)
    scene.undo_object(path)
    scene.api.patch(f"{path}/scale", {"spec": {"replicas": count}}, "kubectl")
    scene.say(f"{workload} was scaled to {count}")
    scene.wait_rollout(workload, 3)


@kind("paused", 1)
def paused(scene):
    workload = scene.random.choice(["web", "worker"])
    scene.edit(
        scene.path("Deployment", workload), lambda live: live["spec"].update(paused=True), "kubectl-rollout"
    )
    scene.say(f"Deployment/{workload} is paused")


# --- another namespace


@kind("another namespace", 5)
def elsewhere(scene):
    """The release's workload there is not as it is stated, or a stranger serves beside it."""
    there = scene.chart.elsewhere
    if not there:
        raise Again("the release has none")
    what = scene.random.choice(
        ["template", "template", "scaled", "gone", "stranger", "settings", "image of a pod"]
    )
    path = f"{place('Deployment', there)}/side"

    def done():
        with suppress(AssertionError):
            wait(lambda: is_complete(scene.api.get(path)), "the rollout", 4)

    if what == "template":
        what = scene.random.choice(
            ["other image", "other env", "other command", "limits", "container added", "missing image"]
        )

        def change(live):
            spec = live["spec"]["template"]["spec"]
            _TEMPLATES[what](spec, spec["containers"][0])

        scene.edit(path, change)
        done()
    elif what == "scaled":
        scene.edit(path, lambda live: live["spec"].update(replicas=scene.random.choice((0, 2))), "kubectl")
        done()
    elif what == "gone":
        gone = scene.random.choice(
            [path, f"{place('ConfigMap', there)}/side", f"{place('Service', there)}/side"]
        )
        scene.undo_object(gone)
        scene.api.delete(gone, grace_s=0)
        scene.api.gone(gone)
        what = f"{gone} is gone"
    elif what == "stranger":
        pod = bare_pod(scene, "stranger", {"app": "side"})
        pod["metadata"]["namespace"] = there
        scene.make(pod)
        wait(lambda: is_ready(scene.api.get(path_of(pod))), "the stranger")
    elif what == "settings":
        scene.edit(f"{place('ConfigMap', there)}/side", lambda live: live["data"].update(LEVEL="other"))
    else:
        pod = next(
            each
            for each in scene.api.items(place("Pod", there))
            if not each["metadata"].get("deletionTimestamp")
        )
        scene.undo(lambda: scene.api.delete(path_of(pod), grace_s=0))
        image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "example.org/other:9"}]
        scene.api.patch(path_of(pod), image, "kubectl-set", "json")
    scene.say(f"in {there}: {what}")


# --- admission


@kind("admission brings the bad image back", 2)
def bad_admission(scene):
    """A policy sets the image that was rolled away; a pod was made anew since."""
    changed_ = [name for name in WORKLOADS if scene.chart.changes[name] in ("image", "all")]
    if not scene.rolled_back or not changed_:
        raise Again("no image was rolled away")
    workload = scene.random.choice(changed_)
    image = scene.chart.template(workload, "bad")["spec"]["containers"][0]["image"]
    expression = (
        'object.metadata.?labels[?"app"].orValue("") == "' + workload + '" ? [JSONPatch{op: "replace", '
        'path: "/spec/containers/0/image", value: "' + image + '"}] : []'
    )
    scene.undo(lambda: scene.restart(workload))
    admission(scene, expression, lambda pod: pod["spec"]["containers"][0]["image"] == image, workload)
    scene.say(f"an admission policy sets {image} in {workload}")


def admission(scene, expression, is_changed, workload):
    """A policy for new pods of the namespace, and pods of ``workload`` that were made under it."""
    where = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    metadata = {"name": f"{scene.namespace}-pods"}
    spec = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": where},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    version = "admissionregistration.k8s.io/v1"
    scene.make({"apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec})
    scene.make(
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": metadata["name"]},
        }
    )
    template_ = scene.workload(workload)["spec"]["template"]
    probe = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "probe",
            "namespace": scene.namespace,
            "labels": template_["metadata"]["labels"],
        },
        "spec": template_["spec"],
    }

    def enforced():
        return is_changed(scene.api.send("POST", path_of(probe).rpartition("/")[0], probe, dryRun="All"))

    wait(enforced, "the policy to be enforced")
    # And no more once it is gone; undone before the pods are made anew.
    last = scene._undo.pop(), scene._undo.pop()
    scene.undo(lambda: wait(lambda: not enforced(), "the policy to be forgotten"))
    for step in reversed(last):
        scene.undo(step)
    scene.restart(workload)
