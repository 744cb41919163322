"""The cases that only running containers decide: small charts of our own, and the right verdict of each.

A case plays one situation with the real helm on a cluster with a kubelet, and yields one :class:`Judged` for
every run of the operator's command in it. ``benchmarks/kubelet_cases.py`` plays them all.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pytest_zkrollback.drill.cluster_api import Api
from pytest_zkrollback.drill.images import Release
from pytest_zkrollback.drill.kubelet_node import KubeletNode
from pytest_zkrollback.drill.local_cluster import Cluster
from support.chart_release import RELEASE, ChartRelease
from support.played_pods import IMAGE, MISSING, SIDECAR, container, probe

Json = dict[str, Any]
# What the node has to have.
RELEASES = (Release("1.8.0-3f9c2e1"),)
ROLLOUT_S = 120  # kubectl rollout status --timeout, beside which every run is measured
GREEN = ("verified", "verified-with-waivers")
LISTENING = "--port=8080"
READY = {"readinessProbe": probe("/health")}


@dataclass
class Judged:
    """One run of the command, held against what is right. ``wrong`` is empty where it is.

    ``red_s``: from helm's end (verify-only: from the command) to the first FAIL; ``failing_s``: the same to
    the first "failing:"; ``kubectl_s`` and ``kubectl_code``: `kubectl rollout status` begun at that moment,
    None while it has not ended.
    """

    name: str
    right: str
    outcome: str
    seconds: float
    verdicts: dict[str, str]
    observed: dict[str, str]
    red_s: float | None
    failing_s: float | None
    wrong: list[str]
    next_commands: list[str] = field(default_factory=list)
    output: str = ""
    kubectl: RolloutStatus | None = None

    @property
    def kind(self) -> str:
        """What is wrong with its outcome, if anything is."""
        right = self.right.split(" or ")
        if self.outcome in right:
            return "right"
        if self.outcome in GREEN:
            return "false green"
        return "false failure" if self.outcome == "failed" else f"needless {self.outcome}"


class RolloutStatus:
    """`kubectl rollout status` of a workload, timed in a thread of its own."""

    def __init__(self, own: CaseRelease, workload: str):
        argv = own.kubectl_argv("rollout", "status", workload, f"--timeout={ROLLOUT_S}s")
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._began, self.seconds, self.code, self.said = time.monotonic(), None, None, ""
        self.stopped = False
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self):
        said, _ = self._process.communicate()
        self.seconds = round(time.monotonic() - self._began, 1)
        self.code = self._process.returncode
        self.said = (said.strip().splitlines() or [""])[-1]

    def stop(self):
        """What is asked about is about to be mended: so far it has not answered."""
        if self._process.poll() is None:
            self.stopped = True
            self._process.kill()
        self._thread.join()

    def join(self):
        self._thread.join()


class CaseRelease(ChartRelease):
    """Revisions are lists of objects; users are served by a stand-in, for no case is about that."""

    def __init__(
        self, cluster: Cluster, api: Api, namespace: str, folder: Path, helm: Path, url: str, **keys: Any
    ):
        super().__init__(cluster, namespace, folder, helm, "")
        self._api = api
        self.shared = folder / "shared"
        self.shared.mkdir()
        self._url, self.webhook = url, f"{url}/services/of/kubelet-cases"
        self.configure(**keys)

    def configure(self, tables: str = "", **keys: Any):
        usual = {"context": self.cluster.context, "kubeconfig": str(self.cluster.kubeconfig)}
        usual |= {"namespace": self.namespace, "release": RELEASE, "helm": str(self.helm_path)}
        usual |= {"workloads": "auto", "url": self._url, "preflight_budget_s": 120}
        lines = [f"{key} = {json.dumps(value)}" for key, value in (usual | keys).items()]
        smoke = '[environments.test.smoke]\ncommand = ["true"]\n'
        smoke += "[environments.test.health]\ninterval_s = 0.5\n"  # so many runs at once
        (self.folder / "zkrollback.toml").write_text(
            "[environments.test]\n" + "\n".join(lines) + "\n" + smoke + tables
        )

    def deploy(self, *objects: Json, fails: bool = False):
        """``helm upgrade --install`` of a revision that holds these; returns when helm does."""
        text = "\n---\n".join(json.dumps(each) for each in objects)
        (self.chart / "templates" / "all.yaml").write_text(text)
        try:
            self.helm("upgrade", "--install", RELEASE, str(self.chart))
        except AssertionError:
            assert fails
        else:
            assert not fails

    def kubectl_argv(self, *args: str) -> list[str]:
        scope = ["-n", self.namespace, "--context", self.cluster.context]
        return [
            str(self.cluster.binaries["kubectl"]),
            *args,
            *scope,
            "--kubeconfig",
            str(self.cluster.kubeconfig),
        ]

    def pods(self, label: str = "web") -> list[Json]:
        path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=app%3D{label}"
        status, body = self._api.get(path, timeout_s=10)
        return body["items"] if status == 200 else []

    def wait_ready(self, count: int = 1, label: str = "web", **env: str):
        """Until so many pods are ready and all of them have these variables."""
        self.until(lambda: self._ready(label, env) == [True] * count)

    def _ready(self, label: str, env: dict[str, str]) -> list[bool]:
        return [is_ready(pod) and env.items() <= variables(pod).items() for pod in self.pods(label)]

    def until(self, done: Callable[[], Any], within_s: float = 300.0):
        deadline = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, self.kubectl("get", "pods", "-o", "wide")
            time.sleep(0.25)

    def judge(
        self,
        name: str,
        *args: str,
        right: str,
        beside: str = "deployment/web",
        items: dict[str, str] | None = None,
        says: dict[str, str] | None = None,
        next_: Callable[[list[str]], bool] = lambda _: True,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Judged:
        """Run the command, and hold it against what is right.

        ``right``: the outcomes that are, joined by " or "; ``items``: verdicts; ``says``: a regular
        expression for the sentence of an item; ``meanwhile`` is called once helm has ended.
        """
        before = (self.latest() or {}).get("run_id")
        began = time.monotonic()
        process = self.start("--rollback-migration-assessed=none came with these", *args)
        if args:
            self.until(lambda: process.poll() is not None or self._helm_ended(before))
        status = RolloutStatus(self, beside)
        meanwhile()
        output, _ = process.communicate(timeout=600)
        seconds = round(time.monotonic() - began, 1)
        record = self.latest()
        assert record is not None and record["run_id"] != before, output
        verdicts = {item["id"]: item["verdict"] for item in record["items"]}
        observed = {item["id"]: item["observed"] for item in record["items"]}
        judged = Judged(
            name=name,
            right=right,
            outcome=record["outcome"],
            seconds=seconds,
            verdicts=verdicts,
            observed=observed,
            red_s=since_helm(record, r": FAIL$"),
            failing_s=since_helm(record, r": failing: "),
            wrong=[],
            next_commands=record["next_commands"],
            output=output,
            kubectl=status,
        )
        if judged.kind != "right":
            judged.wrong.append(f"{judged.outcome}, not {right}")
        judged.wrong += [
            f"{each} is {verdicts.get(each)}, not {word}"
            for each, word in (items or {}).items()
            if verdicts.get(each) != word
        ]
        judged.wrong += [
            f"{each} does not say {pattern!r}: {observed.get(each)}"
            for each, pattern in (says or {}).items()
            if not re.search(pattern, observed.get(each) or "")
        ]
        if not next_(judged.next_commands):
            judged.wrong.append(f"Next: {judged.next_commands}")
        return judged

    def _helm_ended(self, before: str | None) -> bool:
        with suppress(json.JSONDecodeError, OSError):
            record = self.latest() or {}
            return record.get("run_id") != before and bool((record.get("helm") or {}).get("finished_at"))
        return False

    def typed(self, command: str):
        """A proposed command, exactly as it stands there, at a shell where kubectl is on PATH."""
        path = f"{self.cluster.binaries['kubectl'].parent}:/usr/bin:/bin"
        env = {"KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path, "HOME": str(self.folder)}
        done = subprocess.run(
            ["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


def since_helm(record: Json, pattern: str) -> float | None:
    """Seconds from helm's end (verify-only: from the run's start) to the first line of the timeline."""
    began = record["helm"].get("finished_at") or record["started_at"]
    found = [each["at"] for each in record["timeline"] if re.search(pattern, each["event"])]
    if not found:
        return None
    return round((datetime.fromisoformat(min(found)) - datetime.fromisoformat(began)).total_seconds(), 1)


def is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return not pod["metadata"].get("deletionTimestamp") and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def variables(pod: Json) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0].get("env", ())}


def statuses(pods: list[Json]) -> list[Json]:
    return [each for pod in pods for each in pod.get("status", {}).get("containerStatuses", ())]


def restarts(pods: list[Json]) -> list[int]:
    return [each["restartCount"] for each in statuses(pods)]


# Objects.


def act(*args: str, **more: Any) -> Json:
    """A container that does what its arguments say."""
    return container("app", *args, **more)


def serving(*args: str, **more: Any) -> Json:
    """One that listens and has a readiness probe."""
    return act(LISTENING, *args, **{**READY, **more})


def level(value: str) -> Json:
    return {"env": [{"name": "LEVEL", "value": value}]}


def workload(kind: str, name: str, *containers: Json, pod: Json | None = None, **spec: Any) -> Json:
    labels = {"app": name}
    annotations = spec.pop("annotations", {})
    template = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **(pod or {})},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def web(*containers: Json, **more: Any) -> Json:
    return workload("Deployment", "web", *containers, **more)


def db(*containers: Json, **more: Any) -> Json:
    return workload("StatefulSet", "db", *containers, **{"serviceName": "db", "replicas": 2, **more})


def config_map(name: str, annotations: Json | None = None, **data: str) -> Json:
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made


def reads(name: str) -> Json:
    return {"envFrom": [{"configMapRef": {"name": name}}]}


def hook(*when: str) -> Json:
    return {"helm.sh/hook": ",".join(when), "helm.sh/hook-delete-policy": "before-hook-creation"}


def sharing(own: CaseRelease) -> tuple[Json, Json]:
    """What a pod and its container need to see the case's own folder of the node."""
    path = {"name": "shared", "hostPath": {"path": str(own.shared), "type": "Directory"}}
    return {"volumes": [path]}, {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}


UP = "--unless=/shared/up"


# Cases.


@dataclass(frozen=True)
class Case:
    """``numbers``: of the list of cases; ``situation``: in a few words."""

    numbers: str
    situation: str
    play: Callable[[Place], Iterator[Judged]]
    slow: bool = False


@dataclass(frozen=True)
class Place:
    """Where one case is played once: ``name`` is its namespace, ``helm`` one of the two majors.

    ``keys`` are laid over those of the configuration.
    """

    cluster: Cluster
    api: Api
    name: str
    folder: Path
    helm: Path
    url: str
    node: KubeletNode
    keys: Json = field(default_factory=dict)

    def release(self) -> CaseRelease:
        """A release in a namespace of its own."""
        status, body = self.api.send("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        assert status == 201, body
        deadline = time.monotonic() + 30
        while self.api.get(f"/api/v1/namespaces/{self.name}/serviceaccounts/default")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.folder.mkdir(parents=True, exist_ok=True)
        return CaseRelease(self.cluster, self.api, self.name, self.folder, self.helm, self.url, **self.keys)

    def bring(self, tag: str, *, anew: bool = False):
        """Import an image of this tag; ``anew``: of another build."""
        program = self.cluster.binaries["zkprova"]
        if anew:
            program = self.folder / "zkprova"
            program.write_bytes(self.cluster.binaries["zkprova"].read_bytes() + b"\0")
        with _IMPORTS:
            self.node.import_images((Release(tag),), program=program)

    def close(self):
        """Its pods go at once, so that they cost nobody time."""
        self.api.send("DELETE", f"/api/v1/namespaces/{self.name}", None)


_IMPORTS = threading.Lock()


CASES: dict[str, Case] = {}


def case(numbers: str, situation: str, *, slow: bool = False):
    def add(play: Callable[[Place], Iterator[Judged]]):
        CASES[play.__name__] = Case(numbers, situation, play, slow)
        return play

    return add


LIVES_NOT = {"livenessProbe": {"httpGet": {"path": "/wrong", "port": 8080}}}  # every 10 s, three times


@case("K1", "liveness probe alone fails", slow=True)
def k1_liveness(place: Place):
    own = place.release()
    own.deploy(web(serving(**LIVES_NOT)))
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    yield own.judge(
        "rollback to it",
        "--rollback-to=1",
        right="failed",
        items={"events": "FAIL"},
        says={"events": "Liveness probe failed"},
    )


@case("K1", "liveness probe alone fails, verify-only", slow=True)
def k1_verify(place: Place):
    own = place.release()
    own.deploy(web(serving(**LIVES_NOT)))
    own.wait_ready()
    yield own.judge("verify-only", right="failed", says={"events": "Liveness probe failed"})


@case("K1", "liveness probe fails once, in a slow start")
def k1_once(place: Place):
    own = place.release()
    slow = {"livenessProbe": probe("/health", periodSeconds=3)}
    own.deploy(web(serving("--late=2", **slow)))
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    yield own.judge("rollback", "--rollback-to=1", right="verified")


@case("K2", "exits 7 every 25 s; verify-only after the first crash of both pods", slow=True)
def k2_short_runs(place: Place):
    own = place.release()
    own.deploy(web(serving("--exit=7", "--after=25"), replicas=2))
    own.until(lambda: min(restarts(own.pods()) or [0]) >= 1)
    own.wait_ready(2)
    yield own.judge("verify-only", right="failed or unverified")


@case("K2", "exited once after 25 s, and runs on", slow=True)
def k2_once(place: Place):
    own = place.release()
    pod, mount = sharing(own)
    own.deploy(web(serving("--exit=7", "--after=25", UP, **mount), pod=pod))
    own.wait_ready()
    (own.shared / "up").touch()
    own.until(lambda: restarts(own.pods()) == [1])
    own.wait_ready()
    yield own.judge("verify-only", right="verified", says={"rollout-web": "was restarted at .* exit code 7"})


@case("K2b", "exited once after 65 s (not 72 h), and runs on", slow=True)
def k2b_long_run(place: Place):
    own = place.release()
    pod, mount = sharing(own)
    own.deploy(web(serving("--exit=137", "--after=65", UP, **mount), pod=pod))
    own.wait_ready()
    (own.shared / "up").touch()
    own.until(lambda: restarts(own.pods()) == [1])
    own.wait_ready()
    yield own.judge(
        "verify-only", right="verified", says={"rollout-web": "was restarted at .* exit code 137"}
    )


FILLS = {"resources": {"limits": {"ephemeral-storage": "4Mi"}}}


def over(pods: list[Json]) -> list[Json]:
    return [pod for pod in pods if pod["status"].get("phase") in ("Succeeded", "Failed")]


@case("K3", "pods evicted again and again", slow=True)
def k3_evictions(place: Place):
    own = place.release()
    own.deploy(web(serving("--fill=20", **FILLS)))
    own.until(lambda: len(over(own.pods())) >= 2, 180)
    yield own.judge(
        "verify-only",
        right="failed",
        items={"rollout-web": "FAIL"},
        says={"rollout-web": "pods are evicted again and again"},
    )


@case("K3", "a pod evicted once, and replaced", slow=True)
def k3_once(place: Place):
    own = place.release()
    pod, mount = sharing(own)
    own.deploy(web(serving("--fill=20", UP, **FILLS, **mount), pod=pod))
    own.wait_ready()
    (own.shared / "up").touch()
    own.until(lambda: over(own.pods()), 180)
    own.until(lambda: [True for each in own.pods() if is_ready(each)] == [True])
    yield own.judge("verify-only", right="verified")


@case("K4", "the target's envFrom ConfigMap is made 4 s after the rollback")
def k4_late_settings(place: Place):
    own = place.release()
    own.kubectl("create", "configmap", "late", "--from-literal=LEVEL=good")
    own.deploy(web(serving(**reads("late"))))
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    own.kubectl("delete", "configmap", "late")

    def make():
        time.sleep(4)
        own.kubectl("create", "configmap", "late", "--from-literal=LEVEL=good")

    yield own.judge("rollback", "--rollback-to=1", right="verified", meanwhile=make)


@case("K6", "two pods of one imported image")
def k6_one_build(place: Place):
    own = place.release()
    own.deploy(web(serving(), replicas=2))
    own.wait_ready(2)
    yield own.judge("verify-only", right="verified")


@case("K6", "one tag, and two builds of it on the node")
def k6_two_builds(place: Place):
    own = place.release()
    tag = f"6.0.0-{zlib.crc32(place.name.encode()) & 0xFFFFFFF:07x}"
    image = f"zkprova/backend:{tag}"
    place.bring(tag)
    own.deploy(web(serving(image=image)))
    own.wait_ready()
    place.bring(tag, anew=True)
    own.deploy(web(serving(image=image), replicas=2))
    own.wait_ready(2)
    yield own.judge(
        "verify-only",
        right="unverified",
        says={"release-equivalence": "The pods of Deployment/web run different builds"},
    )


def needs_database(own: CaseRelease) -> Json:
    pod, mount = sharing(own)
    return web(serving("--exit=1", UP, **mount), pod=pod)


def database_comes(own: CaseRelease, after_s: float) -> Callable[[], None]:
    def come():
        time.sleep(after_s)
        (own.shared / "up").touch()

    return come


def to_needing(place: Place) -> CaseRelease:
    own = place.release()
    (own.shared / "up").touch()
    own.deploy(needs_database(own))
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    (own.shared / "up").unlink()
    return own


def only_verifies(commands: list[str]) -> bool:
    typed = [each for each in commands if not each.startswith("#")]
    return bool(typed) and not any("--rollback-to" in each for each in typed)


@case("K5", "exits 1 until its database answers, 18 s after the rollback", slow=True)
def k5_database(place: Place):
    own = to_needing(place)
    yield own.judge(
        "rollback", "--rollback-to=1", right="failed or verified", meanwhile=database_comes(own, 18)
    )


@case("K5", "the same after 8 s: well at the third start", slow=True)
def k5_comes_up(place: Place):
    own = to_needing(place)
    judged = own.judge(
        "rollback", "--rollback-to=1", right="failed or verified", meanwhile=database_comes(own, 8)
    )
    if judged.outcome == "failed":
        if "has come up since" not in judged.observed["rollout-web"]:
            judged.wrong.append(f"rollout-web: {judged.observed['rollout-web']}")
        if not only_verifies(judged.next_commands):
            judged.wrong.append(f"Next: {judged.next_commands}")
    yield judged


@case("K5", "verify-only 1 s after it has recovered", slow=True)
def k5_recovered(place: Place):
    own = place.release()
    own.deploy(needs_database(own))
    time.sleep(18)
    (own.shared / "up").touch()
    own.wait_ready()
    time.sleep(1)
    yield own.judge("verify-only", right="verified")


PANICS = serving("--panic=no database")


@case("K7, K9", "a crash at start, with a panic line", slow=True)
def k7_panic(place: Place):
    own = place.release()
    own.deploy(web(PANICS))
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    judged = own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        items={"rollout-web": "FAIL"},
        says={"rollout-web": "crash-loops: exit code 2, 2 restarts; its log says: panic: no database"},
    )
    if judged.failing_s is None or judged.failing_s > 5:
        judged.wrong.append(f"said to be failing after {judged.failing_s} s")
    yield judged


@case("K7", "the same of a StatefulSet", slow=True)
def k7_panic_stateful(place: Place):
    own = place.release()
    own.deploy(db(PANICS, replicas=1))
    own.deploy(db(serving(**level("other")), replicas=1))
    own.until(lambda: own.pods("db"))
    own.kubectl("delete", "pod", "db-0")  # it waits for a pod that crashes for ever
    own.wait_ready(label="db", LEVEL="other")
    judged = own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        beside="statefulset/db",
        says={"rollout-db": "crash-loops: exit code 2, 2 restarts; its log says: panic: no database"},
    )
    if judged.failing_s is None or judged.failing_s > 5:
        judged.wrong.append(f"said to be failing after {judged.failing_s} s")
    yield judged


def hopeless(place: Place, broken: Json, says: str) -> Judged:
    own = place.release()
    own.deploy(web(broken))
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    judged = own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        items={"rollout-web": "FAIL"},
        says={"rollout-web": says},
    )
    if judged.red_s is None or judged.red_s > 6:
        judged.wrong.append(f"red after {judged.red_s} s only")
    return judged


@case("K7", "a program that does not exist (StartError)")
def k7_start_error(place: Place):
    yield hopeless(place, serving(command=["/nope"]), r"cannot start: exit code 128 \(StartError\)")


@case("K7", "exit code 127 at its start")
def k7_not_found(place: Place):
    yield hopeless(place, serving("--exit=127"), "cannot start: exit code 127")


@case("K7", "an image that does not exist")
def k7_no_image(place: Place):
    yield hopeless(place, serving(image=MISSING), "has an image that does not exist")


@case("K8", "StatefulSet, the bad revision's image is missing")
def k8_waits_for_ever(place: Place):
    own = place.release()
    own.deploy(db(serving()))
    own.wait_ready(2, "db")
    own.deploy(db(serving(image=MISSING)))

    def missing():
        waiting = [each["state"].get("waiting", {}).get("reason") for each in statuses(own.pods("db"))]
        return "ImagePullBackOff" in waiting or "ErrImagePull" in waiting

    own.until(missing)
    red = own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        beside="statefulset/db",
        items={"rollout-db": "FAIL"},
        says={"rollout-db": "a StatefulSet waits for it for ever"},
        next_=lambda commands: any("kubectl delete pod db-1 " in each for each in commands),
    )
    yield red
    cure = next((each for each in red.next_commands if "kubectl delete pod" in each), None)
    if cure is not None:
        red.kubectl.stop()
        own.typed(cure)
        own.wait_ready(2, "db")
        yield own.judge("verify-only, once that pod was deleted", right="verified", beside="statefulset/db")


@case("K10", "helm rollback --wait by hand ran out of time; all pods came")
def k10_by_hand(place: Place):
    own = place.release()
    late = {"readinessProbe": probe("/health", initialDelaySeconds=9)}
    own.deploy(web(act(LISTENING, **late)))
    own.wait_ready()
    own.deploy(web(serving(**level("other"))))
    own.wait_ready(LEVEL="other")
    with suppress(AssertionError):
        own.helm("rollback", RELEASE, "1", "--wait", "--timeout", "5s")
    own.until(lambda: [variables(each) for each in own.pods()] == [{}])
    own.wait_ready()

    def same_again(commands: list[str]) -> bool:
        asked = [each for each in commands if "--rollback-to=" in each]
        return bool(asked) and all("--rollback-to=1" in each for each in asked)

    yield own.judge(
        "verify-only",
        right="failed",
        says={"release-equivalence": "everything else is restored"},
        next_=same_again,
    )


def partitioned(value: str, partition: int) -> Json:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    return db(serving(**level(value)), updateStrategy=strategy)


def kept(place: Place, partition: int) -> Judged:
    own = place.release()
    own.deploy(partitioned("good", partition))
    own.wait_ready(2, "db", LEVEL="good")
    own.deploy(partitioned("bad", 0))
    own.wait_ready(2, "db", LEVEL="bad")
    return own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        beside="statefulset/db",
        items={"release-equivalence": "FAIL"},
        says={
            "release-equivalence": "Pod db-0 of StatefulSet/db still runs the template of a revision that was"
            f" rolled away from: partition {partition} keeps it there"
        },
        next_=lambda commands: not any("delete" in each for each in commands),
    )


@case("A1", "StatefulSet, partition 1 of 2 keeps a bad pod")
def a1_partition_1(place: Place):
    yield kept(place, 1)


@case("A1", "StatefulSet, partition 2 of 2 keeps both bad pods")
def a1_partition_2(place: Place):
    yield kept(place, 2)


def hooked(value: str) -> tuple[Json, ...]:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    secret["metadata"]["annotations"] = {"helm.sh/hook": "pre-install"}
    secret["stringData"] = {"PASSWORD": "{{ randAlphaNum 12 }}"}
    both = [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}]
    settings = config_map("c", hook("pre-install", "pre-upgrade"), MODE=value)
    return settings, secret, web(serving(envFrom=both), annotations={"mode": value})


@case("A2", "a hook's ConfigMap, changed by the bad revision, is the target's envFrom")
def a2_hook(place: Place):
    own = place.release()
    own.deploy(*hooked("good"))
    own.wait_ready()
    own.deploy(*hooked("bad"))
    own.wait_ready()
    yield own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        items={"release-equivalence": "FAIL"},
        says={"release-equivalence": "is as the hook of revision 2 left it, not as that of revision 1"},
    )


@case("A2b", "a pre-install hook's Secret with a random password, three upgrades")
def a2b_hook(place: Place):
    own = place.release()
    for each in ("good", "good", "other"):
        settings, *rest = hooked(each)
        own.deploy(config_map("c", settings["metadata"]["annotations"], MODE="same"), *rest)
    own.wait_ready()
    yield own.judge("rollback", "--rollback-to=2", right="verified")


def files(value: str) -> tuple[Json, ...]:
    mount = {"volumeMounts": [{"name": "c", "mountPath": "/etc/c"}]}
    pod = {"volumes": [{"name": "c", "configMap": {"name": "c"}}]}
    return config_map("c", LEVEL=value), web(serving(**mount), pod=pod)


def bad_files(place: Place) -> CaseRelease:
    """The pod started while the bad file was there."""
    own = place.release()
    own.deploy(*files("good"))
    own.wait_ready()
    own.deploy(*files("bad"))
    own.kubectl("delete", "pod", "-l", "app=web", "--wait=true")
    own.wait_ready()
    time.sleep(1.1)  # API times are whole seconds
    return own


@case("A6", "files of a ConfigMap changed under a running process")
def a6_files(place: Place):
    own = bad_files(place)
    open_ = own.judge(
        "rollback",
        "--rollback-to=1",
        right="unverified",
        items={"release-equivalence": "UNVERIFIED"},
        says={"release-equivalence": "nobody saw it read the files of ConfigMap/c again"},
        next_=lambda commands: any("kubectl rollout restart deployment/web " in each for each in commands),
    )
    yield open_
    cure = next((each for each in open_.next_commands if "kubectl rollout restart" in each), None)
    if cure is not None:
        open_.kubectl.stop()
        own.typed(cure)
        own.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        yield own.judge("verify-only, once it was restarted", right="verified")


@case("A6", "the same, and `reloads` names the ConfigMap", slow=True)
def a6_reloads(place: Place):
    own = bad_files(place)
    own.configure('[[environments.test.reloads]]\nkind = "ConfigMap"\nname = "c"\n')
    yield own.judge("rollback", "--rollback-to=1", right="verified", says={"release-equivalence": "reloads"})


def on_delete(value: str) -> Json:
    return db(serving(**level(value)), updateStrategy={"type": "OnDelete"}, podManagementPolicy="Parallel")


@case("C2", "StatefulSet with OnDelete, pods of the bad template")
def c2_on_delete(place: Place):
    own = place.release()
    own.deploy(on_delete("good"))
    own.wait_ready(2, "db", LEVEL="good")
    own.deploy(on_delete("bad"))
    own.kubectl("delete", "pod", "db-0", "db-1")
    own.wait_ready(2, "db", LEVEL="bad")
    red = own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        beside="statefulset/db",
        items={"rollout-db": "FAIL", "release-equivalence": "FAIL"},
        next_=lambda commands: any("kubectl delete pod db-0 db-1 " in each for each in commands),
    )
    yield red
    cure = next((each for each in red.next_commands if "kubectl delete pod" in each), None)
    if cure is not None:
        red.kubectl.stop()
        own.typed(cure)
        own.wait_ready(2, "db", LEVEL="good")
        yield own.judge("verify-only, all pods new", right="verified", beside="statefulset/db")


def stale(mode: str, *more: Json, image: str = IMAGE) -> tuple[Json, ...]:
    """As many charts do it: a checksum of the settings in the template."""
    made = web(serving(image=image, **reads("settings")), annotations={"checksum/settings": mode})
    return config_map("settings", MODE=mode), made, *more


@case("C3", "revision 3 (bad image, other ConfigMap) never got ready; revision 2's pods never stopped")
def c3_never_ready(place: Place):
    own = place.release()
    own.deploy(*stale("one"))
    own.wait_ready()
    own.deploy(*stale("two"))
    own.until(lambda: checksums(own) == ["two"])
    own.wait_ready()
    own.deploy(*stale("three", image=MISSING))
    own.until(lambda: len(own.pods()) == 2)
    yield own.judge("rollback", "--rollback-to=2", right="verified")


@case("C3", "revision 3 failed in its pre-upgrade hook; revision 2's pods never stopped")
def c3_hook_failed(place: Place):
    own = place.release()
    own.deploy(*stale("one"))
    own.wait_ready()
    own.deploy(*stale("two"))
    own.until(lambda: checksums(own) == ["two"])
    own.wait_ready()
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pre"}}
    job["metadata"]["annotations"] = hook("pre-upgrade")
    pod = {"restartPolicy": "Never", "containers": [act("--exit=1")]}
    job["spec"] = {"backoffLimit": 0, "template": {"spec": pod}}
    own.deploy(*stale("three", job), fails=True)
    yield own.judge("rollback", "--rollback-to=2", right="verified")


@case("C3b", "revision 2's pod started anew while revision 3's ConfigMap was live")
def c3b_started_between(place: Place):
    own = place.release()
    own.deploy(*stale("one"))
    own.wait_ready()
    own.deploy(*stale("two"))
    own.until(lambda: checksums(own) == ["two"])
    own.wait_ready()
    own.deploy(*stale("three", image=MISSING))
    own.until(lambda: len(own.pods()) == 2)
    good = next(each for each in own.pods() if is_ready(each))
    own.kubectl("delete", "pod", good["metadata"]["name"])
    own.until(lambda: [True for each in own.pods() if is_ready(each)] == [True])
    time.sleep(1.1)
    yield own.judge(
        "rollback",
        "--rollback-to=2",
        right="failed",
        items={"release-equivalence": "FAIL"},
        says={"release-equivalence": "read ConfigMap/settings at its start"},
    )


def checksums(own: CaseRelease) -> list[str]:
    return [each["metadata"]["annotations"]["checksum/settings"] for each in own.pods()]


def with_sidecar(mode: str) -> tuple[Json, ...]:
    side = container("side", **SIDECAR, **reads("side-settings"))
    first = container("render", "--exit=0", **reads("side-settings"))
    return config_map("side-settings", MODE=mode), web(serving(), pod={"initContainers": [first, side]})


@case("C6", "a native sidecar read the bad revision's ConfigMap at its start")
def c6_sidecar(place: Place):
    own = place.release()
    own.deploy(*with_sidecar("good"))
    own.wait_ready()
    own.deploy(*with_sidecar("bad"))
    own.kubectl("delete", "pod", "-l", "app=web", "--wait=true")
    own.wait_ready()
    time.sleep(1.1)
    yield own.judge(
        "rollback",
        "--rollback-to=1",
        right="failed",
        items={"release-equivalence": "FAIL"},
        says={"release-equivalence": "container (render|side) read ConfigMap/side-settings at its start"},
    )


@contextmanager
def served() -> Iterator[str]:
    """The url of somebody who always answers that all is well."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b'{"status": "ok", "database": "ok"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
