"""The API server, as those speak to it who change a release behind helm's back."""

import base64
import copy
import http.client
import json
import ssl
import time
from urllib.parse import urlencode, urlsplit

# kind -> where its objects are: path of the group, plural, whether they are in a namespace.
KINDS = {
    "Pod": ("/api/v1", "pods", True),
    "Service": ("/api/v1", "services", True),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "Secret": ("/api/v1", "secrets", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims", True),
    "LimitRange": ("/api/v1", "limitranges", True),
    "ResourceQuota": ("/api/v1", "resourcequotas", True),
    "Event": ("/api/v1", "events", True),
    "Namespace": ("/api/v1", "namespaces", False),
    "PersistentVolume": ("/api/v1", "persistentvolumes", False),
    "Deployment": ("/apis/apps/v1", "deployments", True),
    "ReplicaSet": ("/apis/apps/v1", "replicasets", True),
    "StatefulSet": ("/apis/apps/v1", "statefulsets", True),
    "DaemonSet": ("/apis/apps/v1", "daemonsets", True),
    "Job": ("/apis/batch/v1", "jobs", True),
    "CronJob": ("/apis/batch/v1", "cronjobs", True),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses", True),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies", True),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers", True),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets", True),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases", True),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings", True),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses", False),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "ValidatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        False,
    ),
    "MutatingAdmissionPolicy": (
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingadmissionpolicies",
        False,
    ),
    "MutatingAdmissionPolicyBinding": (
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingadmissionpolicybindings",
        False,
    ),
    "Widget": ("/apis/campaign.example.org/v1", "widgets", True),
}
# What the server writes itself: no part of an object that is made again.
_SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "deletionTimestamp")


class Refused(Exception):
    """The API server's refusal."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body.get('message') if isinstance(body, dict) else body}")
        self.status = status


def place(kind, namespace=""):
    """The path of a kind's objects."""
    group, plural, namespaced = KINDS[kind]
    return f"{group}/namespaces/{namespace}/{plural}" if namespaced else f"{group}/{plural}"


def path_of(item):
    metadata = item["metadata"]
    return f"{place(item['kind'], metadata.get('namespace', ''))}/{metadata['name']}"


class Api:
    """One connection; every write names its field manager."""

    def __init__(self, kubeconfig):
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        parts = urlsplit(cluster["server"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._where = parts.hostname, parts.port
        self._tls = ssl.create_default_context(cadata=authority)
        self._token = config["users"][0]["user"]["token"]
        self._connection = None

    def _ask(self, method, path, body, content_type):
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        text = None if body is None else json.dumps(body)
        for again in (True, False):
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(*self._where, timeout=20, context=self._tls)
            try:
                self._connection.request(method, path, text, headers)
                answer = self._connection.getresponse()
                text_of = answer.read().decode()
                is_json = "json" in (answer.getheader("Content-Type") or "")
                return answer.status, json.loads(text_of) if is_json else text_of
            except (OSError, http.client.HTTPException):  # an idle connection that was closed
                self._connection.close()
                self._connection = None
                if not again:
                    raise
        raise AssertionError

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, method, path, body=None, *, manager="", content_type="application/json", **query):
        given = {**query, **({"fieldManager": manager} if manager else {})}
        status, found = self._ask(method, f"{path}?{urlencode(given)}" if given else path, body, content_type)
        if status >= 300:
            raise Refused(status, found)
        return found

    def get(self, path):
        """The object; None if there is none."""
        try:
            return self.send("GET", path)
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    def items(self, path):
        """A list's objects, each with its kind."""
        found = self.send("GET", path)
        kind = found["kind"].removesuffix("List")
        return [{**item, "kind": kind, "apiVersion": found["apiVersion"]} for item in found["items"]]

    def create(self, item, manager="kubectl-create"):
        return self.send("POST", path_of(item).rpartition("/")[0], item, manager=manager)

    def edit(self, path, change, manager):
        """Read, change (a function on the object) and replace, as ``kubectl edit`` does."""
        for _ in range(8):
            item = self.send("GET", path)
            change(item)
            try:
                return self.send("PUT", path, item, manager=manager)
            except Refused as refusal:
                if refusal.status != 409:
                    raise
        raise Refused(409, "for ever")

    def patch(self, path, patch, manager="kubectl-patch", kind="merge"):
        content = {
            "merge": "application/merge-patch+json",
            "json": "application/json-patch+json",
            "strategic": "application/strategic-merge-patch+json",
        }[kind]
        return self.send("PATCH", path, patch, manager=manager, content_type=content)

    def apply(self, item, manager, *, force=True):
        """Server-side apply."""
        query = {"force": "true"} if force else {}
        kind = "application/apply-patch+yaml"
        return self.send("PATCH", path_of(item), item, manager=manager, content_type=kind, **query)

    def delete(self, path, *, grace_s=None, propagation="Background"):
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            self.send("DELETE", path, body)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def gone(self, path, within_s=20):
        """Wait until there is no such object."""
        wait(lambda: self.get(path) is None, f"{path} to be gone", within_s)

    def restore(self, item):
        """Bring an object back exactly as it was, with who wrote which field and when."""
        path, wanted = path_of(item), copy.deepcopy(item)
        live = self.get(path)
        if live is not None and live["metadata"].get("deletionTimestamp"):
            if live["metadata"].get("finalizers"):
                self.patch(path, {"metadata": {"finalizers": None}})
            self.gone(path)
            live = None
        if live is None:
            for key in _SERVERS:
                wanted["metadata"].pop(key, None)
            self.send("POST", path.rpartition("/")[0], wanted, manager=_UNDO)
        for _ in range(8):
            live = self.send("GET", path)
            there, before = live["metadata"], item["metadata"]
            metadata = {**wanted["metadata"], **{key: there[key] for key in _SERVERS if key in there}}
            metadata["managedFields"] = [
                *(each for each in before["managedFields"] if _is_by_hand(each)),
                *(each for each in there["managedFields"] if not _is_by_hand(each)),
            ]
            notes = there.get("annotations") or {}
            if counted := {key: notes[key] for key in _COUNTED if key in notes}:
                metadata["annotations"] = {**(metadata.get("annotations") or {}), **counted}
            inside = {*live, *item} - {"metadata", "status"}
            marks = ("labels", "annotations", "managedFields", "finalizers", "ownerReferences")
            differ = [key for key in inside if live.get(key) != item.get(key)]
            differ += [f"metadata.{key}" for key in marks if _plain(there, key) != _plain(metadata, key)]
            if not differ:
                return
            try:
                self.send("PUT", path, {**wanted, "metadata": metadata}, manager=_UNDO)
            except Refused as refusal:
                if refusal.status != 409:
                    raise
        raise AssertionError(f"{path} is not as it was: {', '.join(differ)}")


def _plain(metadata, key):
    """The API server orders the entries of managedFields by their times."""
    found = metadata.get(key)
    return sorted(map(json.dumps, found or ())) if key == "managedFields" else found


def _is_by_hand(entry):
    return not entry.get("subresource") and entry.get("manager") != "kube-controller-manager"


# Of its own: a write that changes the times of managedFields alone is none to the API server.
_UNDO = "campaign-undo"
# Controllers count on in these.
_COUNTED = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")


def wait(done, what, within_s=20.0, every_s=0.2):
    """Wait until ``done()``; an AssertionError if that takes too long."""
    deadline = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < deadline, f"waited {within_s:g} s in vain for {what}"
        time.sleep(every_s)
    return found
