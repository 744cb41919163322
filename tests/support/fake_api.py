"""An API server over HTTP with a few objects and rights; a kubeconfig leads to it."""

import base64
import gzip
import json
import re
import threading
from urllib.parse import parse_qs, unquote, urlsplit

from support.http_server import LoopbackHttpServer, QuietHandler

KINDS = {
    "/api/v1": {"Secret": "secrets", "ConfigMap": "configmaps", "Service": "services", "Pod": "pods"}
    | {"ServiceAccount": "serviceaccounts", "PersistentVolumeClaim": "persistentvolumeclaims"},
    "/apis/apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "/apis/batch/v1": {"Job": "jobs"},
    "/apis/networking.k8s.io/v1": {"Ingress": "ingresses"},
    "/apis/gateway.networking.k8s.io/v1": {"HTTPRoute": "httproutes", "Gateway": "gateways"},
    "/apis/rbac.authorization.k8s.io/v1": {
        "Role": "roles",
        "RoleBinding": "rolebindings",
        "ClusterRole": "clusterroles",
        "ClusterRoleBinding": "clusterrolebindings",
    },
}
CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "Namespace", "Node")
LIST = re.compile(r"/(?P<plural>[a-z]+)$")


class FakeApi:
    """``items``: path -> object. ``denied``: (verb, resource, namespace) that nobody has, with or without a
    name; ``user``: as whom the API server knows everybody. ``sent`` are the writes that it was asked for, ``got``
    the paths that were read."""

    def __init__(self, folder):
        self.folder = folder
        self.items = {
            f"/api/v1/namespaces/{name}": {"metadata": {"name": name, "uid": uid}}
            for name, uid in (("kube-system", "uid-1"), ("shop", "uid-shop"))
        }
        self.denied = set()
        self.forbidden = set()
        self.named = set()
        self.user = "oncall"
        self.sent = []
        self.got = []
        self._lock = threading.Lock()
        api = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                parts = urlsplit(self.path)
                self.answer(*api.get(unquote(parts.path), parse_qs(parts.query)))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*api.post(urlsplit(self.path).path, body))

            def answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = LoopbackHttpServer(Handler)
        self.url = self.server.url

    def close(self):
        self.server.close()

    def kubeconfig(self, *contexts, current=""):
        """A file with these contexts, all of which lead here."""
        path = self.folder / "kubeconfig"
        content = {
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "not-a-secret-token"}}],
            "contexts": [
                {"name": name, "context": {"cluster": "here", "user": "me"}}
                for name in contexts or ("staging",)
            ],
            "current-context": current,
        }
        path.write_text(json.dumps(content))
        return path

    def add_release(
        self,
        number,
        manifest,
        *,
        namespace="shop",
        name="app",
        status="deployed",
        hooks=(),
        version="1.0.0",
        app_version="1",
        **info,
    ):
        """One revision as helm stores it; ``info``: more of its own words."""
        content = {
            "name": name,
            "namespace": namespace,
            "version": number,
            "info": {
                "status": status,
                "description": "Install complete",
                "first_deployed": "2026-11-23T02:00:00Z",
                "last_deployed": "2026-11-23T02:00:00Z",
                **info,
            },
            "manifest": manifest,
            "hooks": list(hooks),
            "chart": {"metadata": {"name": name, "version": version, "appVersion": app_version}},
        }
        packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
        secret = f"sh.helm.release.v1.{name}.v{number}"
        labels = {"owner": "helm", "name": name, "status": status, "version": str(number)}
        metadata = {"name": secret, "namespace": namespace, "labels": labels, "resourceVersion": str(number)}
        metadata["creationTimestamp"] = "2026-11-23T02:00:00Z"
        item = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"release": packed}}
        self.items[f"/api/v1/namespaces/{namespace}/secrets/{secret}"] = item

    def get(self, path, query):
        with self._lock:
            self.got.append(path)
        if path in self.forbidden:
            return 403, {"message": f"{path} is forbidden"}
        if path in KINDS:
            kinds = [
                {"kind": kind, "name": plural, "namespaced": kind not in CLUSTER_WIDE}
                for kind, plural in KINDS[path].items()
            ]
            return 200, {"resources": kinds}
        if path == "/version":
            return 200, {"gitVersion": "v1.37.2"}
        if path in self.items:
            return 200, self.items[path]
        if path.startswith("/apis/") and "/".join(path.split("/")[:4]) not in KINDS:
            return 404, {"message": "not found"}
        plural = LIST.search(path)
        if plural is None or plural["plural"] not in {
            each for kinds in KINDS.values() for each in kinds.values()
        }:
            return 404, {"message": "not found"}
        base, _, _ = path.rpartition("/namespaces/")
        inside = re.compile(
            re.escape(path) + "/[^/]+"
            if base
            else re.escape(path.rpartition("/")[0]) + f"/namespaces/[^/]+/{plural['plural']}/[^/]+"
        )
        wanted = dict(
            term.split("=") for term in query.get("labelSelector", [""])[0].split(",") if term.count("=") == 1
        )
        found = [
            item
            for key, item in sorted(self.items.items())
            if inside.fullmatch(key) and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]
        return 200, {"metadata": {"resourceVersion": "1"}, "items": found}

    def post(self, path, body):
        if path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
            return 201, {"status": {"userInfo": {"username": self.user}}}
        assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", path
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        right = (asked["verb"], resource, asked["namespace"])
        with self._lock:
            self.sent.append((*right, asked.get("name", "")))
        allowed = right not in self.denied or (*right, asked.get("name", "")) in self.named
        return 201, {"status": {"allowed": allowed}}
