"""What happens to a release that is as the target has it: platforms, scalers, controllers, time."""

import copy
import time

from .api import path_of, place, wait
from .chart import KEEP, WORKLOADS
from .harmful import admission, at, bare_pod, head, same_second
from .scene import Again, is_ready

HARMLESS = {}


def kind(name, weight=1.0):
    def register(apply):
        HARMLESS[name] = (apply, weight)
        return apply

    return register


def _stamp(seconds_ago=0.0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def _name(item):
    return f"{item['kind']}/{item['metadata']['name']}"


def _any_object(scene, *kinds):
    return scene.random.choice([item for item in scene.chart.objects() if not kinds or item["kind"] in kinds])


@kind("nothing", 1)
def nothing(scene):
    scene.say("nothing was changed")


@kind("defaults written out", 3)
def defaults(scene):
    """Somebody replaced or applied the object with all that the server filled in."""
    item = _any_object(scene)
    path = path_of(item)
    scene.undo_object(path)
    how = scene.random.choice(["replace", "apply", "apply the manifest"])
    manager = scene.random.choice(["kubectl-replace", "kubectl", "argocd-controller", "kustomize-controller"])
    live = scene.api.get(path)
    if how == "replace":
        scene.api.edit(path, lambda _: None, manager)
    elif how == "apply the manifest":
        if item["kind"] == "Secret" and (item.get("stringData") or None in (item.get("data") or {}).values()):
            raise Again("a Secret's text")
        scene.api.apply(item, manager)
    else:
        live["metadata"] = {
            key: live["metadata"][key] for key in ("name", "namespace", "labels") if key in live["metadata"]
        }
        live.pop("status", None)
        scene.api.apply({**live, "kind": item["kind"], "apiVersion": item["apiVersion"]}, manager)
    scene.say(f"{_name(item)}: {how} by {manager}")


@kind("labels and annotations of others", 4)
def marks(scene):
    item = _any_object(scene)
    manager = scene.random.choice(["kubectl-annotate", "kubectl-label", "rancher", "velero", "cert-manager"])
    member = scene.random.choice(["labels", "annotations"])

    def change(live):
        live["metadata"].setdefault(member, {})["platform.example.org/seen"] = "yes"

    scene.edit(path_of(item), change, manager)
    scene.say(f"{_name(item)} has one more of its {member}, by {manager}")


@kind("kubectl rollout restart", 3)
def restarted(scene):
    workload = scene.random.choice(["web", "worker", "db", "agent"])
    path = scene.path(WORKLOADS[workload], workload)
    note = {"kubectl.kubernetes.io/restartedAt": _stamp()}
    scene.undo_object(path)
    patch = {"spec": {"template": {"metadata": {"annotations": note}}}}
    scene.api.patch(path, patch, "kubectl-rollout", "strategic")
    update = {"db": scene.chart.db_update, "agent": scene.chart.agent_update}.get(workload, "RollingUpdate")
    wait(lambda: scene.wait_rollout(workload, 8), "the restart", 9)
    if update == "OnDelete":  # nothing is restarted before somebody deletes the pods
        scene.restart(workload)
    elif update == "partition":
        raise Again("a partition keeps a pod at the template before")
    scene.settle()
    scene.say(f"{workload} was restarted")


@kind("pods deleted by hand", 2)
def deleted_pods(scene):
    workload = scene.random.choice(list(WORKLOADS))
    scene.restart(workload, scene.random.choice((1, None)))
    scene.say(f"pods of {workload} were deleted and came again")


@kind("evicted once", 2)
def evicted(scene):
    workload = scene.random.choice(["web", "worker"])
    pod = scene.pods(workload)[0]
    path = scene.path("Pod", pod["metadata"]["name"])
    said = "The node was low on resource: memory."
    status = {"phase": "Failed", "reason": "Evicted", "message": said}
    status["conditions"] = [{"type": "Ready", "status": "False", "reason": "PodFailed"}]
    status["containerStatuses"] = [
        {
            **each,
            "ready": False,
            "started": False,
            "state": {
                "terminated": {
                    "exitCode": 137,
                    "reason": "Error",
                    "startedAt": _stamp(2),
                    "finishedAt": _stamp(),
                }
            },
        }
        for each in pod["status"]["containerStatuses"]
    ]
    scene.undo(lambda: scene.api.delete(path, grace_s=0))
    scene.api.patch(f"{path}/status", {"status": status}, "kubelet", "strategic")
    _event(scene, pod, "Pod", "Evicted", said)
    wait(lambda: scene.pods(workload) and all(map(is_ready, scene.pods(workload))), "another pod")
    scene.settle()
    scene.say(f"{pod['metadata']['name']} was evicted and replaced")


def _event(
    scene, item, kind_, reason, message, *, type_="Warning", ago_s=1.0, version="v1", field="", namespace=""
):
    name, here = item["metadata"]["name"], namespace or scene.namespace
    about = {"apiVersion": version, "kind": kind_, "name": name, "namespace": here}
    about["uid"] = item["metadata"].get("uid", "")
    if field:
        about["fieldPath"] = field
    scene.api.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{time.monotonic_ns():x}", "namespace": here},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "type": type_,
            "count": 1,
            "firstTimestamp": _stamp(ago_s),
            "lastTimestamp": _stamp(ago_s),
            "source": {"component": "kubelet"},
        },
        "kubelet",
    )


_RECOVERED = [
    ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", "spec.containers{app}"),
    (
        "Unhealthy",
        "Startup probe failed: dial tcp 10.0.0.1:8080: connect: connection refused",
        "spec.containers{app}",
    ),
    ("FailedScheduling", "0/1 nodes are available: 1 Insufficient memory.", ""),
    ("FailedMount", 'MountVolume.SetUp failed for volume "scratch": failed to sync configmap cache', ""),
    ("BackOff", "Back-off restarting failed container app", "spec.containers{app}"),
    ("Failed", 'Failed to pull image "example.org/web:1.4": 429 Too Many Requests', "spec.containers{app}"),
    ("FailedCreatePodSandBox", "Failed to create pod sandbox: plugin is not ready yet", ""),
    ("NodeNotReady", "Node is not ready", ""),
]


@kind("an event that recovered", 4)
def recovered(scene):
    workload = scene.random.choice(list(WORKLOADS))
    pod = scene.random.choice(scene.pods(workload))
    reason, message, field = scene.random.choice(_RECOVERED)
    _event(scene, pod, "Pod", reason, message, field=field)
    scene.say(f"{pod['metadata']['name']} had {reason}: {message}")


@kind("events of controllers", 2)
def controllers_events(scene):
    """Of a kind that is settled by the object's own state, or about nobody of the release."""
    which = scene.random.choice(["endpoints", "budget", "normal", "others", "conflict"])
    if which == "endpoints":
        item = scene.api.get(scene.path("Service", "web"))
        _event(scene, item, "Service", "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices")
    elif which == "budget" and "PodDisruptionBudget" not in scene.chart.left_out:
        item = scene.api.get(scene.path("PodDisruptionBudget", "web"))
        _event(
            scene,
            item,
            "PodDisruptionBudget",
            "CalculateExpectedPodCountFailed",
            "not found",
            version="policy/v1",
        )
    elif which == "normal":
        for item in scene.pods("web"):
            _event(scene, item, "Pod", "Pulled", "Container image already present", type_="Normal")
    elif which == "others":
        item = {"metadata": {"name": "nobody-7d9c5f-abcde", "uid": "00000000-0000-0000-0000-000000000000"}}
        _event(scene, item, "Pod", "BackOff", "Back-off restarting failed container nobody")
    else:
        item = scene.workload("web")
        said = 'Operation cannot be fulfilled on deployments.apps "web": the object has been modified'
        _event(scene, item, "Deployment", "ReplicaSetCreateError", said, version="apps/v1")
    scene.say(f"an event of controllers: {which}")


@kind("restarted long ago", 2)
def long_ago(scene):
    """A container ended once, and has run longer than that run was."""
    workload = scene.random.choice(list(WORKLOADS))
    pods = [pod for pod in scene.pods(workload) if _age_s(pod) > 8]
    if not pods:
        raise Again("no pod is old enough")
    pod = scene.random.choice(pods)
    path, age_s = scene.path("Pod", pod["metadata"]["name"]), _age_s(pod)
    statuses = copy.deepcopy(pod["status"]["containerStatuses"])
    app = next(each for each in statuses if each["name"] == "app")
    end = {"exitCode": scene.random.choice((0, 1, 137)), "reason": "Error"}
    end |= {"startedAt": _stamp(age_s - 1), "finishedAt": _stamp(age_s - 2)}
    app.update(restartCount=1, lastState={"terminated": end})
    app["state"] = {"running": {"startedAt": _stamp(age_s - 2)}}
    scene.undo(lambda: scene.restart(workload))
    scene.api.patch(f"{path}/status", {"status": {"containerStatuses": statuses}}, "kubelet")
    scene.say(f"{pod['metadata']['name']} was restarted {age_s - 2:.0f} s ago")


def _age_s(pod):
    made = time.strptime(pod["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return time.time() - (time.mktime(made) - time.timezone)


@kind("an init container that tried again", 2)
def tried_again(scene):
    workloads = [read.workload for read in scene.chart.reads if read.sort == "init"]
    if not workloads:
        raise Again("no init container")
    workload = scene.random.choice(workloads)
    pod = scene.random.choice(scene.pods(workload))
    statuses = copy.deepcopy(pod["status"]["initContainerStatuses"])
    init = next(each for each in statuses if each["name"] == "init")
    ended = init["state"]["terminated"]
    init.update(restartCount=scene.random.choice((1, 2, 4)))
    init["lastState"] = {"terminated": {**ended, "exitCode": 1, "reason": "Error"}}
    path = scene.path("Pod", pod["metadata"]["name"])
    scene.undo(lambda: scene.restart(workload))
    scene.api.patch(f"{path}/status", {"status": {"initContainerStatuses": statuses}}, "kubelet")
    scene.say(f"init container of {pod['metadata']['name']} tried {init['restartCount'] + 1} times")


@kind("a Job whose pod was tried again", 2)
def retried_job(scene):
    """A Job of the CronJob, of the target's template: its first pod failed, the second completed."""
    cron = scene.api.get(scene.path("CronJob", "tidy"))
    spec = copy.deepcopy(scene.chart.tidy()["spec"]["jobTemplate"]["spec"])
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": "tidy",
        "uid": cron["metadata"]["uid"],
        "controller": True,
    }
    metadata = {"name": "tidy-29400", "namespace": scene.namespace, "ownerReferences": [owner]}
    scene.make(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec},
        "kube-controller-manager",
    )

    def pods():
        return [
            pod
            for pod in scene.items("Pod")
            if pod["metadata"].get("labels", {}).get("job-name") == "tidy-29400"
        ]

    pod = wait(pods, "the Job's pod")[0]
    _event(scene, pod, "Pod", "FailedMount", 'MountVolume.SetUp failed for volume "x": timed out')
    wait(lambda: any(each["status"].get("phase") == "Succeeded" for each in pods()), "the Job's end")
    job = scene.path("Job", "tidy-29400")
    wait(lambda: scene.api.get(job)["status"].get("succeeded"), "the Job's status")
    scene.say("Job tidy-29400 completed; its pod had a FailedMount")


@kind("an autoscaler's replicas", 3)
def autoscaled(scene):
    """By the scale subresource, as kube-controller-manager writes it."""
    names = ["web"] if scene.chart.autoscaled else ["web", "worker"]
    workload = scene.random.choice(names)
    path = scene.path(WORKLOADS[workload], workload)
    count = scene.random.choice((2, 3, 4))
    if (scene.workload(workload)["spec"].get("replicas") or 1) == count:
        raise Again("as it is")
    scene.undo_object(path)
    scene.api.patch(f"{path}/scale", {"spec": {"replicas": count}}, "kube-controller-manager")
    wait(lambda: scene.wait_rollout(workload, 8), "the pods", 9)
    scene.say(f"an autoscaler made {workload} {count}")


@kind("aggregated rules", 2)
def aggregated(scene):
    """Another chart's ClusterRole is aggregated into the release's."""
    name = f"{scene.namespace}-more"
    path = f"{place('ClusterRole')}/{scene.namespace}"
    before = scene.api.get(path)["rules"]
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]
    metadata = {"name": name, "labels": {"part-of": scene.namespace}}
    version = "rbac.authorization.k8s.io/v1"
    scene.undo(lambda: wait(lambda: scene.api.get(path)["rules"] == before, "the rules before"))
    scene.make({"apiVersion": version, "kind": "ClusterRole", "metadata": metadata, "rules": rules})
    wait(lambda: scene.api.get(path)["rules"] != before, "aggregation")
    scene.say("one more ClusterRole is aggregated")


@kind("a platform's Secrets of a ServiceAccount", 2)
def account(scene):
    place_ = scene.random.choice(["first", "last"])

    def change(live):
        more = {"name": "runner-dockercfg-x7x2p"}
        there = live.get("secrets") or []
        live["secrets"] = [more, *there] if place_ == "first" else [*there, more]
        if scene.random.random() < 0.5:
            live["imagePullSecrets"] = [{"name": "runner-dockercfg-x7x2p"}]

    manager = scene.random.choice(["openshift-controller-manager", "registry-creds"])
    scene.edit(scene.path("ServiceAccount", "runner"), change, manager)
    scene.say(f"ServiceAccount/runner has one more Secret ({place_}), by {manager}")


@kind("a status", 3)
def a_status(scene):
    """What controllers write there is no statement of a manifest."""
    names = ["Ingress", "Widget", "PersistentVolumeClaim", "PodDisruptionBudget", "Job", "EndpointSlice"]
    name = scene.random.choice(names)
    if name == "EndpointSlice":  # made anew by its controller
        path = f"/apis/discovery.k8s.io/v1/namespaces/{scene.namespace}/endpointslices"
        scene.api.send("DELETE", path)
        scene.say("the EndpointSlices were made anew")
        return
    status = {
        "Ingress": ("web", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
        "Widget": ("one", {"observed": 3, "conditions": [{"type": "Ready", "status": "True"}]}),
        "PersistentVolumeClaim": ("data", {"conditions": []}),
        "PodDisruptionBudget": ("web", {"disruptedPods": {}}),
        "Job": ("seed", {}),
    }[name]
    path = scene.path(name, status[0])
    if name in scene.chart.left_out:
        raise Again("the chart has none")
    scene.undo_object(path)
    scene.api.patch(f"{path}/status", {"status": status[1]}, "controller")
    scene.say(f"status of {name}/{status[0]}")


@kind("another notation", 3)
def notation(scene):
    """The same quantity, written otherwise."""
    workload = scene.random.choice(list(WORKLOADS))
    path = scene.path(WORKLOADS[workload], workload)
    same = {"cpu": {"500m": "0.5"}, "memory": {"512Mi": "0.5Gi"}}

    def change(live):
        limits = live["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        for key, value in limits.items():
            limits[key] = same.get(key, {}).get(value, value)

    scene.undo_object(path)
    scene.api.edit(path, change, scene.random.choice(["kubectl-edit", "vpa-recommender"]))
    wait(lambda: scene.wait_rollout(workload, 8), "the rollout", 9)
    scene.say(f"limits of {workload} in another notation")


def _strangers(scene):
    name = "neighbour"
    spec = bare_pod(scene, name, {"app": name})["spec"]
    yield bare_pod(scene, name, {"app": name})
    crashing = bare_pod(scene, name, {"app": name})
    crashing["spec"]["containers"][0]["args"] = ["act", "--exit=1", "--after=0"]
    yield crashing
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    selector = {"matchLabels": {"app": name}}
    metadata = {"name": name, "namespace": scene.namespace}
    spec = {"selector": selector, "template": template}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"A": "b"}}
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    spec = {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"]}
    yield {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    marks_ = {"owner": "helm", "name": "other", "status": "deployed", "version": "1"}
    metadata = {**metadata, "name": "sh.helm.release.v1.other.v1", "labels": marks_}
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": metadata,
        "data": {},
    }
    yield {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**metadata, "name": name},
        "spec": {},
    }


@kind("a neighbour", 4)
def neighbour(scene):
    """Something of others in the same namespace, which serves behind no Service of the release."""
    item = scene.random.choice(list(_strangers(scene)))
    scene.make(item)
    if item["kind"] in ("Pod", "Deployment"):
        time.sleep(0.6)
    scene.say(f"{_name(item)} of others is there")


_INJECTED = {
    "sidecar": (
        '[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "mesh", '
        'image: "example.org/mesh:2", args: ["act"]}}, JSONPatch{op: "add", path: "/metadata/labels/mesh", '
        'value: "yes"}]',
        lambda pod: any(each["name"] == "mesh" for each in pod["spec"]["containers"]),
    ),
    "toleration": (
        '[JSONPatch{op: "add", path: "/spec/tolerations", value: [Object.spec.tolerations{key: "spot", '
        'operator: "Exists"}]}]',
        lambda pod: any(each.get("key") == "spot" for each in pod["spec"].get("tolerations", ())),
    ),
    "annotation": (
        '[JSONPatch{op: "add", path: "/metadata/annotations/platform", value: "yes"}]',
        lambda pod: pod["metadata"].get("annotations", {}).get("platform") == "yes",
    ),
    "mirror": (
        '[JSONPatch{op: "replace", path: "/spec/containers/0/image", value: '
        'object.spec.containers[0].image.replace("example.org/", "mirror.example.org/")}]',
        lambda pod: pod["spec"]["containers"][0]["image"].startswith("mirror."),
    ),
    "resources": (
        '[JSONPatch{op: "add", path: "/spec/containers/0/resources/requests/memory", value: "48Mi"}]',
        lambda pod: pod["spec"]["containers"][0]["resources"]["requests"].get("memory") == "48Mi",
    ),
    "variable": (
        '[JSONPatch{op: "add", path: "/spec/containers/0/env/-", value: Object.spec.containers.env{name: '
        '"PLATFORM", value: "1"}}]',
        lambda pod: any(each["name"] == "PLATFORM" for each in pod["spec"]["containers"][0]["env"]),
    ),
}


@kind("a platform's admission", 4)
def injected(scene):
    """Pods that were made anew under a policy of the platform, which is still there."""
    workload, what = scene.random.choice(list(WORKLOADS)), scene.random.choice(list(_INJECTED))
    expression, is_changed = _INJECTED[what]
    chosen = f'object.metadata.?labels[?"app"].orValue("") == "{workload}" ? {expression} : []'
    scene.undo(lambda: scene.restart(workload))
    admission(scene, chosen, is_changed, workload)
    scene.say(f"admission gives the pods of {workload}: {what}")


@kind("an injector on the template", 1)
def template_injector(scene):
    """A manager that the configuration names adds to the workload itself."""
    workload = scene.random.choice(["web", "worker"])

    def change(live):
        app = live["spec"]["template"]["spec"]["containers"][0]
        app["startupProbe"] = {"tcpSocket": {"port": 8080}}

    scene.edit(scene.path("Deployment", workload), change, "platform-injector")
    wait(lambda: scene.wait_rollout(workload, 8), "the rollout", 9)
    scene.say(f"platform-injector added a probe to {workload}")


@kind("kept data of the bad revision", 1)
def kept_data(scene):
    """A policy keeps it, and it neither serves nor governs."""
    if not scene.rolled_back:
        raise Again("nothing was rolled back")
    item = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"A": "b"}}
    item["metadata"] = {"name": "kept-data", "namespace": scene.namespace, "annotations": dict(KEEP)}
    scene.make(item, "helm")
    scene.say("ConfigMap/kept-data is kept")


@kind("settings that came and went before any start", 2)
def settings_and_back(scene):
    """A release with other settings was rolled back, and the pods were started since."""
    read = scene.random.choice(scene.chart.reads)
    good = head(scene)
    scene.undo(scene.remember)
    scene.upgrade("good", (read.name,))
    scene.helm_back(good)
    scene.restart(read.workload)
    scene.settle()
    scene.say(f"{read.kind}/{read.name} was another one, and {read.workload} was restarted since")


@kind("settings that came and went beside running pods", 2)
def settings_beside(scene):
    """A release with other settings was rolled back; the pods started before it and never stopped."""
    reads = [read for read in scene.chart.reads if read.way != "folder"]
    read = scene.random.choice(reads)
    good = head(scene)
    wait(lambda: not same_second(scene, read.workload), "another second")
    scene.undo(lambda: scene.restart(read.workload))
    scene.undo(scene.remember)
    scene.upgrade("good", (read.name,))
    scene.helm_back(good)
    scene.settle()
    scene.say(f"{read.kind}/{read.name} was another one, and {read.workload} ran on")


@kind("in another namespace", 2)
def elsewhere(scene):
    """The release's pods there were replaced, had trouble that is over, or have neighbours."""
    there = scene.chart.elsewhere
    if not there:
        raise Again("the release has none")
    what = scene.random.choice(["restarted", "an event", "a neighbour", "labels"])
    path = f"{place('Deployment', there)}/side"
    if what == "restarted":
        for pod in scene.api.items(place("Pod", there)):
            scene.api.delete(path_of(pod), grace_s=0)
        scene.settle()
    elif what == "an event":
        pod = scene.api.items(place("Pod", there))[0]
        _event(scene, pod, "Pod", "BackOff", "Back-off restarting failed container app", namespace=there)
    elif what == "a neighbour":
        pod = bare_pod(scene, "neighbour", {"app": "neighbour"})
        pod["metadata"]["namespace"] = there
        scene.make(pod)
    else:
        scene.edit(path, lambda live: live["metadata"]["labels"].update(platform="yes"), "rancher")
    scene.say(f"in {there}: {what}")


@kind("annotation of the last apply", 1)
def last_applied(scene):
    """``kubectl apply`` of what is there."""
    item = _any_object(scene, "Service", "Role", "NetworkPolicy", "CronJob", "ConfigMap", "Ingress")
    note = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}

    def change(live):
        at(live, ("metadata",)).setdefault("annotations", {}).update(note)

    scene.edit(path_of(item), change, "kubectl-client-side-apply")
    scene.say(f"{_name(item)} was applied by kubectl")
