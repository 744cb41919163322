"""One release in memory, with an API server that knows nothing else and a helm that works step by step.

Both fail on any call that they were not told of. That the helm does what the real ones do is held by
tests/drill/test_real_sequences.py: the same commands, the same history and objects.
"""

import base64
import copy
import fnmatch
import gzip
import json
import threading
from datetime import UTC, datetime, timedelta

from pytest_zkrollback.domain.errors import BadAnswer, NotFound
from pytest_zkrollback.domain.ports import Finished

NAMESPACE, RELEASE = "shop", "app"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
OBJECTS = ("one", "two")
START = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)


class Killed(BaseException):
    """SIGKILL of the tool: nothing catches it."""


class Clock:
    offset_s = disagreement_s = 0.0

    def __init__(self):
        self.at = START
        self.tick = lambda: None

    def now(self):
        self.at += timedelta(milliseconds=1)
        return self.at

    def own_now(self):
        return self.now()

    def monotonic_s(self):
        self.tick()
        return (self.at - START).total_seconds()

    def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)


def manifest(content):
    """What revision ``content`` (its first number) renders to: two objects, so that half can be applied."""
    return "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  content: 'r{content}'\n"
        for name in OBJECTS
    )


class Release:
    """Secrets and ConfigMaps of the release, and the API server in front of them."""

    server = "https://fake"
    tls_server_name = ""

    def __init__(self, clock, moment):
        self.clock, self._moment = clock, moment
        self.secrets, self.maps = {}, {}
        self._version = 0
        self._lock = threading.RLock()

    # What helm and a pipeline do.

    def revisions(self):
        """[(number, status, rollback_of)], oldest first."""
        with self._lock:
            found = [self._content(name) for name in self.secrets if name.startswith("sh.helm.")]
        rows = [
            (one["version"], one["info"]["status"], one["info"].get("rollback_revision")) for one in found
        ]
        return sorted(rows)

    def head(self):
        return self.revisions()[-1]

    def live(self):
        """{object name: content}."""
        return {name: item["data"]["content"] for name, item in self.maps.items()}

    def content_of(self, number):
        return self._content(f"sh.helm.release.v1.{RELEASE}.v{number}")["manifest"].split("'")[1]

    def app_version_of(self, number):
        return self._content(f"sh.helm.release.v1.{RELEASE}.v{number}")["chart"]["metadata"]["appVersion"]

    def has(self, number):
        return f"sh.helm.release.v1.{RELEASE}.v{number}" in self.secrets

    def store(self, number, status, text, rollback_of=None, app_version="1"):
        info = {
            "status": status,
            "description": f"Rollback to {rollback_of}" if rollback_of else "Upgrade complete",
            "first_deployed": START.isoformat(),
            "last_deployed": self.clock.now().isoformat(),
        }
        if rollback_of:
            info["rollback_revision"] = rollback_of
        metadata = {"name": "app", "version": "1.0.0", "appVersion": app_version}
        self._put({"version": number, "info": info, "manifest": text, "chart": {"metadata": metadata}})

    def mark(self, number, status):
        content = self._content(f"sh.helm.release.v1.{RELEASE}.v{number}")
        content["info"]["status"] = status
        self._put(content)

    def apply(self, name, text):
        with self._lock:
            self.maps[name] = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"},
                "data": {"content": text},
            }

    def upgrade(self, app_version="1"):
        """A pipeline's `helm upgrade`, whole."""
        rows = self.revisions()
        number = rows[-1][0] + 1 if rows else 1
        for old, status, _ in rows:
            if status == "deployed":
                self.mark(old, "superseded")
        self.store(number, "deployed", manifest(number), app_version=app_version)
        for name in OBJECTS:
            self.apply(name, f"r{number}")

    def prune(self):
        """Somebody's --history-max: the oldest revision goes."""
        rows = self.revisions()
        if len(rows) > 2 and rows[0][1] != "deployed":
            del self.secrets[f"sh.helm.release.v1.{RELEASE}.v{rows[0][0]}"]

    def _content(self, name):
        packed = self.secrets[name]["data"]["release"]
        return json.loads(gzip.decompress(base64.b64decode(base64.b64decode(packed))))

    def _put(self, content):
        number, status = content["version"], content["info"]["status"]
        packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
        name = f"sh.helm.release.v1.{RELEASE}.v{number}"
        labels = {"owner": "helm", "name": RELEASE, "status": status, "version": str(number)}
        with self._lock:
            self._save(name, {"metadata": {"name": name, "labels": labels}, "data": {"release": packed}})

    def _save(self, name, secret):
        self._version += 1
        secret = copy.deepcopy(secret)
        secret["metadata"]["resourceVersion"] = str(self._version)
        secret["metadata"].setdefault("creationTimestamp", self.clock.at.isoformat())
        self.secrets[name] = secret
        return secret

    # The API server.

    def get(self, path, query=None, timeout_s=5.0):
        if path.startswith(f"{DEPLOYMENTS}/"):
            raise NotFound(f"no {path}")  # asked for the decision only: no moment at which a story turns
        self._moment("before")
        with self._lock:
            found = self._get(path)
        self._moment("after")
        if found is None:
            raise NotFound(f"no {path}")
        return copy.deepcopy(found)

    def _get(self, path):
        if path == "/version":
            return {"gitVersion": "v1.37.2"}
        if path == "/api/v1/namespaces/kube-system":
            return {"metadata": {"uid": "uid-cluster"}}
        for folder, store in ((SECRETS, self.secrets), (MAPS, self.maps)):
            if path.startswith(f"{folder}/"):
                return store.get(path.removeprefix(f"{folder}/"))
        raise AssertionError(f"GET {path}")

    def list(self, path, query=None, timeout_s=5.0):
        self._moment("before")
        if path.endswith(("/horizontalpodautoscalers", "/resourcequotas")):
            return ()
        assert path == SECRETS, path
        selector, _, versions = query["labelSelector"].partition(",version in ")
        assert selector == f"owner=helm,name={RELEASE}", query
        wanted = versions.strip("()").split(",") if versions else None
        with self._lock:
            found = [copy.deepcopy(one) for name, one in self.secrets.items() if name.startswith("sh.helm.")]
        if wanted is not None:
            found = [one for one in found if one["metadata"]["labels"]["version"] in wanted]
        self._moment("after")
        return tuple(found)

    def pages(self, path, query=None, timeout_s=5.0, **_):
        if path.endswith(("/nodes", "/pods")):
            return
        yield self.list(path, {key: value for key, value in query.items() if key != "limit"}), "7"

    def open_connections(self, count):
        pass

    def list_metadata(self, path, query=None, timeout_s=5.0):
        return tuple({"metadata": one["metadata"]} for one in self.list(path, query))

    def send(self, method, path, body, content_type="application/json", query=None, timeout_s=5.0):
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            return {"status": {"allowed": True}}
        if (query or {}).get("dryRun") == "All" or body.get("dryRun") == ["All"]:
            assert path.startswith((SECRETS, MAPS)), path
            return body
        self._moment("before")
        name = body["metadata"]["name"]
        assert name == f"zkrollback.v1.{RELEASE}", name
        with self._lock:
            old = self.secrets.get(name)
            if method == "POST":
                assert path == SECRETS
                if old is not None:
                    raise BadAnswer("exists", status=409)
            else:
                assert (method, path) == ("PUT", f"{SECRETS}/{name}")
                if old is None:
                    raise NotFound("gone")
                if body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
                    raise BadAnswer("conflict", status=409)
            saved = self._save(name, body)
        self._moment("after")
        return saved

    def resource_path(self, api_version, kind, namespace, name=""):
        if kind == "Deployment":
            return f"{DEPLOYMENTS}/{name}"
        assert (api_version, namespace) == ("v1", NAMESPACE)
        folder = {"ConfigMap": MAPS, "Secret": SECRETS}[kind]
        return f"{folder}/{name}" if name else folder


class Helm:
    """The Processes port, of which only helm is known. It can be stopped and killed between its steps."""

    def __init__(self, release):
        self.release = release
        self.starts = []  # (run, head at the start, target)
        self.alive = 0
        self.pause_at = None
        self.paused = threading.Event()
        self.go_on = threading.Event()
        self.dies = False
        self.run_id = ""
        self.idle = threading.Event()
        self.idle.set()

    def run(self, argv, *, timeout_s, env=None, cwd=None, on_line=None, on_start=None, **_):
        if argv[1] == "version":
            return Finished(tuple(argv), 0, "v4.3.1", "v4.3.1", "", 0.0)
        assert argv[1:3] == ["rollback", RELEASE], argv
        assert fnmatch.fnmatch(argv[3], "[1-9]*")
        assert argv[argv.index("--history-max") + 1] == "0"
        self.idle.clear()
        self.alive += 1
        try:
            if on_start is not None:
                on_start(4711)
            return self._rollback(tuple(argv), int(argv[3]))
        finally:
            self.alive -= 1
            self.idle.set()

    def _rollback(self, argv, target):
        release = self.release
        head = release.head()[0]
        self.starts.append((self.run_id, head, target, self.alive, dict(release.live()), release.revisions()))
        if not release.has(target):
            return Finished(argv, 1, f"Error: release has no {target} version", "", "", 0.1)
        text, content = manifest(release.content_of(target)[1:]), release.content_of(target)
        version = release.app_version_of(target)
        steps = [
            lambda: release.store(head + 1, "pending-rollback", text, target, version),
            *(lambda name=name: release.apply(name, content) for name in OBJECTS),
            lambda: self._finish(head + 1),
        ]
        for number, step in enumerate(steps):
            if number == self.pause_at:
                self.pause_at = None
                self.paused.set()
                assert self.go_on.wait(30)
                if self.dies:
                    return Finished(argv, -9, "", "", "", 0.1)
            step()
        return Finished(argv, 0, "Rollback was a success! Happy Helming!", "", "", 0.1)

    def _finish(self, number):
        for old, status, _ in self.release.revisions():
            if status == "deployed":
                self.release.mark(old, "superseded")
        self.release.mark(number, "deployed")
