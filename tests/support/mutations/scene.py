"""One release in its own namespace: healthy, then one thing is changed, then it is as it was."""

import copy
import random
import subprocess
import time

from .api import Api, Refused, path_of, place, wait
from .chart import RELEASE, STAYS, WORKLOADS, Chart

# Whoever changes what helm made.
PEOPLE = (
    "kubectl-edit",
    "kubectl-patch",
    "kubectl-client-side-apply",
    "argocd-controller",
    "Mozilla",
    "rancher",
)
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.campaign.example.org"},
    "spec": {
        "group": "campaign.example.org",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


class Again(Exception):
    """This one cannot be had here: another is drawn."""


class Scene:
    """``rolled_back``: whether the good revision is live by a rollback from the bad one."""

    def __init__(self, access, namespace, folder, chart_seed, *, helm="helm", rolled_back=True):
        self.access, self.namespace, self.folder, self.rolled_back = access, namespace, folder, rolled_back
        self.api = Api(access.kubeconfig)
        self.chart = Chart(chart_seed, namespace, empty_rules=helm == "helm3")
        self.helm_path = access.binaries[helm]
        self.random = random.Random(f"scene {chart_seed}")
        self.baseline, self.said, self._undo = {}, [], []

    @property
    def namespaces(self):
        """That of the release, and the other one that it has a workload in."""
        return [self.namespace, *([self.chart.elsewhere] if self.chart.elsewhere else [])]

    # --- from nothing to a healthy release

    def prepare(self, roll_back=None):
        """Deploy. ``roll_back(revision)``: how it is rolled back; left out, by helm itself."""
        for name in self.namespaces:
            self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        accounts = [f"{place('ServiceAccount', name)}/default" for name in self.namespaces]
        wait(lambda: all(map(self.api.get, accounts)), "the service accounts")
        try:
            self.api.create(WIDGETS)
        except Refused as refusal:
            if refusal.status != 409:
                raise
        wait(self._served, "the custom kind to be served")
        for item in self.chart.before():
            self.api.create(item)
        (self.folder / "chart" / "templates").mkdir(parents=True, exist_ok=True)
        (self.folder / "chart" / "Chart.yaml").write_text(
            f"apiVersion: v2\nname: {RELEASE}\nversion: 1.0.0\n"
        )
        self.upgrade("good")
        self.settle()
        if self.rolled_back:
            self.upgrade("bad")
            self.settle()
            (roll_back or self.helm_back)(1)
            for name in self.chart.stays:  # what helm leaves: somebody has cleaned up
                item = STAYS[name](self.chart)
                self.api.delete(path_of(item), grace_s=0)
        self.settle()
        self.remember()

    def _served(self):
        try:
            return self.api.items(place("Widget", self.namespace)) is not None
        except Refused:
            return False

    def helm(self, *words):
        where = ["-n", self.namespace, "--kube-context", self.access.context]
        argv = [str(self.helm_path), *words, *where, "--kubeconfig", str(self.access.kubeconfig)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr

    def upgrade(self, revision, settings=()):
        text = self.chart.render(revision, settings).replace("{{", '{{ "{{" }}')
        (self.folder / "chart" / "templates" / "all.yaml").write_text(text)
        self.helm("upgrade", "--install", RELEASE, str(self.folder / "chart"), "--history-max", "0")

    def helm_back(self, revision):
        self.helm("rollback", RELEASE, str(revision), "--history-max", "0")

    def remember(self):
        """What is live now is what every undo brings back."""
        items = [*self.chart.objects(), *self.chart.hooks()[:1], self.chart.before()[0]]
        self.baseline = {
            path_of(item): {**self.api.get(path_of(item)), "kind": item["kind"]} for item in items
        }

    # --- looking

    def items(self, kind):
        return self.api.items(place(kind, self.namespace))

    def path(self, kind, name):
        return f"{place(kind, self.namespace)}/{name}"

    def workload(self, name):
        return self.api.get(self.path(WORKLOADS[name], name))

    def pods(self, workload):
        """Its pods that are not on their way out."""
        pods = [pod for pod in self.items("Pod") if pod["metadata"]["labels"].get("app") == workload]
        kind = "ReplicaSet" if WORKLOADS[workload] == "Deployment" else WORKLOADS[workload]
        return [
            pod
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and any(owner["kind"] == kind for owner in pod["metadata"].get("ownerReferences") or ())
            and pod["status"].get("phase") not in ("Failed", "Succeeded")
        ]

    def ready(self, name):
        """Whether the pod is."""
        pod = self.api.get(self.path("Pod", name))
        return pod is not None and is_ready(pod)

    def settle(self, within_s=90):
        """Wait until every workload is complete and no pod is on its way out."""
        wait(self._is_settled, "the workloads", within_s)

    def _is_settled(self):
        for workload in WORKLOADS:
            live = self.workload(workload)
            if live is None or not is_complete(live):
                return False
        if self.chart.elsewhere:
            live = self.api.get(f"{place('Deployment', self.chart.elsewhere)}/side")
            if live is None or not is_complete(live):
                return False
        pods = [pod for name in self.namespaces for pod in self.api.items(place("Pod", name))]
        return not any(pod["metadata"].get("deletionTimestamp") for pod in pods)

    # --- changing

    def say(self, text):
        self.said.append(text)

    def undo(self, step):
        """``step`` is run when it is over; the last one first."""
        self._undo.append(step)

    def undo_object(self, path):
        item = copy.deepcopy(self.baseline[path])
        self.undo(lambda: self.api.restore(item))

    def make(self, item, manager="kubectl-create"):
        """Make something that is deleted when it is over."""
        made = self.api.create(item, manager)
        path = path_of({**made, "kind": item["kind"]})

        def remove():
            self.api.delete(path, grace_s=0)
            self.api.gone(path)

        self.undo(remove)
        return made

    def edit(self, path, change, manager=None):
        """Change an object of the release; draw again where the server says no, or keeps what it has."""
        manager = manager or self.random.choice(PEOPLE)
        before = self.api.get(path)
        self.undo_object(path)
        try:
            after = self.api.edit(path, change, manager)
        except Refused as refusal:
            raise Again(str(refusal)) from None
        inside = {*before, *after} - {"metadata", "status"}
        marks = ("labels", "annotations", "finalizers", "ownerReferences")
        if all(before.get(key) == after.get(key) for key in inside) and all(
            before["metadata"].get(key) == after["metadata"].get(key) for key in marks
        ):
            raise Again(f"{path}: the server keeps what it has")
        return manager

    def restart(self, workload, count=None):
        """Delete its pods (``count`` of them), and wait for new ones; returns their names."""
        before = self.pods(workload)
        gone = before[:count] if count else before
        for pod in gone:
            self.api.delete(self.path("Pod", pod["metadata"]["name"]), grace_s=0)
        old = {pod["metadata"]["uid"] for pod in before}

        def done():
            now = self.pods(workload)
            return len(now) >= len(before) and all(map(is_ready, now)) and not missing(now)

        def missing(now):
            return {pod["metadata"]["uid"] for pod in gone} & {pod["metadata"]["uid"] for pod in now}

        wait(done, f"new pods of {workload}")
        return [pod["metadata"]["name"] for pod in self.pods(workload) if pod["metadata"]["uid"] not in old]

    def wait_rollout(self, workload, within_s=6):
        """Wait a while: a rollout that cannot end is left as it is."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            live = self.workload(workload)
            if live is not None and is_complete(live):
                return True
            time.sleep(0.05)
        return False

    def newest_hash(self, workload):
        """The controller-revision-hash of the template that is live."""
        if WORKLOADS[workload] == "StatefulSet":
            return self.workload(workload)["status"]["updateRevision"]
        path = f"/apis/apps/v1/namespaces/{self.namespace}/controllerrevisions"
        owned = [
            each
            for each in self.api.items(path)
            if each["metadata"]["ownerReferences"][0]["name"] == workload
        ]
        return max(owned, key=lambda each: each["revision"])["metadata"]["labels"]["controller-revision-hash"]

    def _renew(self, workload):
        """Every pod of a StatefulSet or DaemonSet is of the live template again."""
        wait(lambda: is_observed(self.workload(workload)), workload)

        def old():
            newest = self.newest_hash(workload)
            return [
                pod
                for pod in self.pods(workload)
                if newest not in (hash_of(pod), f"{workload}-{hash_of(pod)}")
            ]

        if not old():
            return
        path, partition = self.path(WORKLOADS[workload], workload), None
        if workload == "db":
            strategy = self.workload(workload)["spec"]["updateStrategy"]
            partition = (strategy.get("rollingUpdate") or {}).get("partition")
        if partition:
            self.api.patch(path, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}, "helm")
            wait(lambda: is_complete(self.workload(workload)) and not old(), "the pods below the partition")
            self.api.restore(self.baseline[path])
        for pod in old():
            self.api.delete(self.path("Pod", pod["metadata"]["name"]), grace_s=0)
        wait(lambda: not old(), "pods of the live template")

    def _sweep(self):
        """Delete the pods that belong to no workload and no Job of the release; returns those."""
        owners = {self.workload(name)["metadata"]["uid"] for name in WORKLOADS}
        owners |= {
            each["metadata"]["uid"]
            for each in self.items("ReplicaSet")
            if owners & {owner["uid"] for owner in each["metadata"].get("ownerReferences") or ()}
        }
        owners |= {job["metadata"]["uid"] for job in self.items("Job")}
        found = [
            pod
            for pod in self.items("Pod")
            if not owners & {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()}
            or pod["status"].get("phase") == "Failed"
        ]
        for pod in found:
            self.api.delete(self.path("Pod", pod["metadata"]["name"]), grace_s=0)
        return found

    def restore(self):
        """Undo everything; the release is healthy again."""
        while self._undo:
            self._undo.pop()()
        wait(lambda: not self._sweep(), "pods of others to be gone")
        for workload in ("db", "agent"):
            self._renew(workload)
        self.settle()
        for name in self.namespaces:
            self.api.send("DELETE", place("Event", name))
        self.said.clear()


def is_ready(pod):
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or ()
    )


def hash_of(pod):
    return (pod["metadata"].get("labels") or {}).get("controller-revision-hash")


def is_observed(item):
    return item["status"].get("observedGeneration", 0) >= item["metadata"]["generation"]


def is_complete(item):
    """By the numbers alone."""
    status, spec = item["status"], item["spec"]
    if not is_observed(item):
        return False
    strategy = spec.get("updateStrategy") or {}
    rolls = strategy.get("type") == "RollingUpdate"
    if strategy and "replicas" not in spec:
        wanted = status.get("desiredNumberScheduled", 0)
        updated = status.get("updatedNumberScheduled", 0) if rolls else wanted
        return wanted > 0 and status.get("numberReady", 0) == updated == wanted
    wanted = spec.get("replicas", 1)
    if "strategy" in spec:
        numbers = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        return numbers == [wanted] * 3
    whole = rolls and not (strategy.get("rollingUpdate") or {}).get("partition")
    if whole and status.get("currentRevision") != status.get("updateRevision"):
        return False
    return status.get("replicas", 0) == status.get("readyReplicas", 0) == wanted
