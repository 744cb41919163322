"""Public charts, installed, upgraded and rolled back by the real helm; every verdict held against kubectl.

    python benchmarks/public_charts.py --snapshots FOLDER [--only CHART ...] [--helm 3] [--helm 4]

The charts are those of tests/charts/charts.toml. FOLDER holds bare clones, OWNER+NAME/repo; what is not
there is cloned into it. Each chart gets a cluster of its own, on which kwok plays every container, and on it:

  rollback   revision 1, then 2 with other settings and one object more, then our command with --rollback-to=1
  by hand    a pod of revision 2 behind a Service and a leftover of revision 2; then other values in live
             objects, at most one of each kind: never verified

What is right is worked out without our code: `helm get manifest | kubectl diff -f -` must find the same
objects different as we do, and pods are told by their controllers' marks. The results are merged into
benchmarks/results/public_charts.json. Exit 1 if a verdict is wrong.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import RunningCluster, start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, TOOLS  # noqa: E402
from support.checkout import make_checkout  # noqa: E402
from support.incident import Incident, Result  # noqa: E402

CHARTS = ROOT / "tests" / "charts" / "charts.toml"
OUT = Path(__file__).parent / "results" / "public_charts.json"
GREEN = ("verified", "verified-with-waivers")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
# Played containers have neither a service that answers nor a database.
ASKED = (
    "--rollback-waive=smoke=nothing runs",
    "--rollback-waive=health-database=nothing runs",
    "--rollback-migration-assessed=nothing runs",
)
MOST_DRIFTED = 15
BUNDLE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n").decode()
_HEADER = re.compile(r"^diff -u -N \S*/LIVE-\d+/(\S+) ", re.MULTILINE)
_OURS = re.compile(r"^@@ (\S+/\S+)", re.MULTILINE)


# --- the charts' files --------------------------------------------------------------------------------------


def unpack(chart: dict[str, Any], snapshots: Path, folder: Path) -> Path:
    """The chart's folder, its subcharts in place."""
    git_dir = snapshots / chart["repository"].replace("/", "+") / "repo"
    if not git_dir.exists():
        url = f"https://github.com/{chart['repository']}"
        subprocess.run(["git", "clone", "-q", "--bare", url, str(git_dir)], check=True)

    def extract(path: str) -> Path:
        out = folder / (path or "whole")
        out.mkdir(parents=True)
        named = f"{chart['commit']}:{path}"
        archive = subprocess.Popen(["git", f"--git-dir={git_dir}", "archive", named], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(out)], stdin=archive.stdout, check=True)
        assert archive.wait() == 0, named
        return out

    found = extract(chart["path"])
    definition = yaml.safe_load((found / "Chart.yaml").read_text())
    left_out = chart.get("left_out", ())
    if left_out:
        definition["dependencies"] = [
            each for each in definition["dependencies"] if each["name"] not in left_out
        ]
        (found / "Chart.yaml").write_text(yaml.safe_dump(definition))
    for path in chart.get("subcharts", ()):
        shutil.move(extract(path), found / "charts" / Path(path).name)
    chart["version"] = str(definition["version"])
    return found


# --- one release on a cluster of its own --------------------------------------------------------------------


class PublicRelease(Incident):
    """The release of one chart; release and namespace bear the chart's name."""

    def __init__(self, running: RunningCluster, folder: Path, helm: Path, chart: dict[str, Any]) -> None:
        self.running, self.cluster, self.folder, self.helm_path = running, running.cluster, folder, helm
        self.name = self.namespace = chart["name"]
        self.webhook = None
        make_checkout(folder)
        self.configure(chart.get("environment", ""))

    def configure(self, tables: str = "", rollout_timeout_s: float = 90) -> None:
        keys = {
            "context": self.cluster.context,
            "kubeconfig": str(self.cluster.kubeconfig),
            "namespace": self.namespace,
            "release": self.name,
            "helm": str(self.helm_path),
            "workloads": "auto",
            "slack": False,
            "soak_s": 0,
            "rollout_timeout_s": rollout_timeout_s,
            "preflight_budget_s": 120,
            "helm_timeout_s": 300,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        text = "[environments.test]\n" + "\n".join([*lines, tables]) + "\n"
        (self.folder / "zkrollback.toml").write_text(text)

    def call(self, *argv: str, stdin: str = "", fails: bool = False) -> subprocess.CompletedProcess[str]:
        program, *rest = argv
        path = self.helm_path if program == "helm" else self.cluster.binaries[program]
        env = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        env |= {"KUBECTL_EXTERNAL_DIFF": "diff -u -N"}
        done = subprocess.run(
            [str(path), *rest], input=stdin, capture_output=True, text=True, timeout=400, check=False, env=env
        )
        if done.returncode and not fails:
            raise RuntimeError(f"{shlex.join(argv)}: {done.stderr or done.stdout}")
        return done

    def read(self, *argv: str) -> list[dict[str, Any]]:
        return json.loads(self.call("kubectl", "get", *argv, "-o", "json").stdout)["items"]

    def deploy(self, chart: Path, *values: Path) -> None:
        files = [part for path in values for part in ("-f", str(path))]
        argv = ("helm", "upgrade", "--install", self.name, str(chart), "-n", self.name, "--timeout", "5m")
        self.call(*argv, "--create-namespace", *files)

    @cache  # noqa: B019 - a handful of releases
    def manifest(self, revision: int) -> str:
        argv = ("helm", "get", "manifest", self.name, "-n", self.name, "--revision", f"{revision}")
        return self.call(*argv).stdout

    @cache  # noqa: B019
    def objects(self, revision: int) -> dict[tuple[str, str, str], dict[str, Any]]:
        found = {}
        for item in yaml.load_all(self.manifest(revision), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            for each in (item.get("items") or []) if item and item["kind"].endswith("List") else [item]:
                if each:
                    metadata = each["metadata"]
                    found[each["kind"], metadata.get("namespace") or "", metadata["name"]] = each
        return found

    # --- what is right, without our code --------------------------------------------------------------------

    def differing(self, revision: int) -> set[str]:
        """Kind/name of what `kubectl diff` finds different, or cannot apply any more."""
        # With -n it refuses objects of other namespaces: the context names the release's.
        self.call("kubectl", "config", "set-context", "--current", f"--namespace={self.name}")
        objects, names = self.objects(revision), {}
        for kind, namespace, name in objects:
            names[f".{kind}.{namespace or self.name}.{name}"] = f"{kind}/{name}"
            names[f".{kind}..{name}"] = f"{kind}/{name}"

        def diff(text: str) -> tuple[int, set[str]]:
            done = self.call("kubectl", "diff", "-f", "-", stdin=text, fails=True)
            files = _HEADER.findall(done.stdout)
            return done.returncode, {
                next((shown for end, shown in names.items() if file.endswith(end)), file) for file in files
            }

        code, found = diff(self.manifest(revision))
        if code > 1:  # it stops at the first object that the server would refuse
            for (kind, _, name), item in objects.items():
                code, found_here = diff(json.dumps(item))
                found |= found_here if code <= 1 else {f"{kind}/{name}"}
        return found

    def places(self) -> list[str]:
        """The namespaces of the release's workloads."""
        found = {namespace or self.name for kind, namespace, _ in self.objects(1) if kind in WORKLOADS}
        return sorted({self.name, *found})

    def old_pods(self) -> set[str]:
        """Pods that are not of their controller's newest template, by the controllers' own marks."""
        old = set()
        for place in self.places():
            pods = [
                pod
                for pod in self.read("pods", "-n", place)
                if not pod["metadata"].get("deletionTimestamp")
                and pod["status"].get("phase") not in ("Succeeded", "Failed")
            ]
            newest: dict[str, tuple[int, str]] = {}  # of each owner: revision, the name of the newest
            for each in self.read("replicasets", "-n", place):
                owner = _owner(each)
                number = int(each["metadata"]["annotations"].get("deployment.kubernetes.io/revision", 0))
                newest[owner] = max(newest.get(owner, (0, "")), (number, each["metadata"]["uid"]))
            current = {uid for _, uid in newest.values()}
            marks: dict[str, tuple[int, str]] = {}
            for each in self.read("controllerrevisions", "-n", place):
                mark = each["metadata"]["labels"].get("controller-revision-hash", each["metadata"]["name"])
                marks[_owner(each)] = max(marks.get(_owner(each), (0, "")), (each["revision"], mark))
            for pod in pods:
                owner = _owner(pod)
                mark = pod["metadata"].get("labels", {}).get("controller-revision-hash")
                if owner in marks:
                    wrong = not marks[owner][1].endswith(str(mark))
                else:
                    kinds = [each["kind"] for each in pod["metadata"].get("ownerReferences", ())]
                    wrong = kinds == ["ReplicaSet"] and owner not in current
                if wrong:
                    old.add(pod["metadata"]["name"])
        return old

    def stale_readers(self, since: datetime) -> set[str]:
        """Pods from before ``since`` that mention a ConfigMap or Secret which revision 2 changed."""
        first, second = self.objects(1), self.objects(2)
        changed = {
            key[2]
            for key in first
            if key[0] in ("ConfigMap", "Secret") and key in second and _data(first[key]) != _data(second[key])
        }
        found = set()
        for place in self.places():
            for pod in self.read("pods", "-n", place):
                began = pod["status"].get("startTime")
                mentioned = set(re.findall(r'"(?:name|secretName)": "([^"]+)"', json.dumps(pod["spec"])))
                if began and datetime.fromisoformat(began) < since and changed & mentioned:
                    found.add(pod["metadata"]["name"])
        return found

    def hook_settings(self, revision: int) -> dict[str, dict[str, Any]]:
        """The ConfigMaps and Secrets that the hooks of a revision make, by kind/name."""
        argv = ("helm", "get", "hooks", self.name, "-n", self.name, "--revision", f"{revision}")
        return {
            f"{each['kind']}/{each['metadata']['name']}": each
            for each in yaml.safe_load_all(self.call(*argv).stdout)
            if each and each["kind"] in ("ConfigMap", "Secret")
        }

    def left_by_hooks(self) -> set[str]:
        """What a hook of revision 2 made otherwise; helm rollback does not run hooks."""
        first, second = self.hook_settings(1), self.hook_settings(2)
        return {name for name in first if name in second and _data(first[name]) != _data(second[name])}

    def make_anew(self, names: set[str]) -> None:
        """These as the hooks of revision 1 made them, and new pods."""
        for name in names:
            made = json.dumps(self.hook_settings(1)[name])
            self.call("kubectl", "replace", "-n", self.name, "-f", "-", stdin=made)
        self.call("kubectl", "rollout", "restart", "deployment", "-n", self.name)

    def wait(self, within_s: float = 120.0) -> list[str]:
        """Until every workload has the pods that it wants; returns those that have not."""
        deadline = time.monotonic() + within_s
        while True:
            open_ = []
            for place in self.places():
                for item in self.read("deployments,statefulsets,daemonsets", "-n", place):
                    spec, status = item["spec"], item.get("status", {})
                    if item["kind"] == "DaemonSet":
                        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
                        updated, all_ = status.get("updatedNumberScheduled", 0), wanted
                    else:
                        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
                        updated, all_ = status.get("updatedReplicas", 0), status.get("replicas", 0)
                    by_hand = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
                    seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
                    if not seen or ready != wanted or all_ != wanted or (updated != wanted and not by_hand):
                        open_.append(f"{item['kind']}/{item['metadata']['name']}")
            if not open_ or time.monotonic() > deadline:
                return open_
            time.sleep(1)

    def replace_by_hand(self) -> bool:
        """Delete the pods that OnDelete keeps; whether there were any."""
        old = self.old_pods()
        for place in self.places():
            here = {pod["metadata"]["name"] for pod in self.read("pods", "-n", place)} & old
            if here:
                self.call("kubectl", "delete", "pod", "-n", place, *sorted(here))
        return bool(old)

    def typed(self, command: str) -> None:
        """A proposed command, exactly as it stands there."""
        line = command.replace("kubectl ", f"{shlex.quote(str(self.cluster.binaries['kubectl']))} ", 1)
        env = {"KUBECONFIG": str(self.cluster.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        subprocess.run(["bash", "-c", line], env=env, check=True, capture_output=True, timeout=60)


def _owner(item: dict[str, Any]) -> str:
    return next(
        (each["uid"] for each in item["metadata"].get("ownerReferences", ()) if each.get("controller")), ""
    )


def _data(item: dict[str, Any]) -> list[Any]:
    return [item.get(key) for key in ("data", "stringData", "binaryData")]


# --- by hand ------------------------------------------------------------------------------------------------


def leave_old_pod(release: PublicRelease) -> str:
    """A pod of revision 2's template behind a Service of revision 1, owned by nobody; its name, or empty."""
    services = [item for key, item in release.objects(1).items() if key[0] == "Service"]
    for key, item in release.objects(2).items():
        if key[0] not in ("Deployment", "StatefulSet"):
            continue
        template = item["spec"]["template"]
        labels = template["metadata"]["labels"]
        selected = any(
            (service["spec"].get("selector") or {"": ""}).items() <= labels.items()
            and (service["metadata"].get("namespace") or "") == key[1]
            for service in services
        )
        if not selected or not item["spec"].get("replicas", 1):
            continue
        spec = {**template["spec"], "volumes": list(template["spec"].get("volumes") or ())}
        for claim in item["spec"].get("volumeClaimTemplates") or ():
            spec["volumes"].append({"name": claim["metadata"]["name"], "emptyDir": {}})
        for unwanted in ("affinity", "topologySpreadConstraints", "hostNetwork"):
            spec.pop(unwanted, None)
        metadata = {"name": "left-over", "namespace": key[1] or release.name, "labels": labels}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        release.call("kubectl", "create", "-f", "-", stdin=json.dumps(pod))
        argv = ("kubectl", "wait", "--for=condition=Ready", "pod/left-over", "-n", metadata["namespace"])
        if release.call(*argv, "--timeout=30s", fails=True).returncode:
            return ""
        return "left-over"
    return ""


def leave_object(release: PublicRelease) -> str:
    """An object that only revision 2 has, live again; Kind/name, or empty."""
    first = release.objects(1)
    for key, item in release.objects(2).items():
        kept = (item["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
        if key in first or kept:
            continue
        argv = ("kubectl", "create", "-n", release.name, "-f", "-")
        if release.call(*argv, stdin=json.dumps(item), fails=True).returncode == 0:
            return f"{key[0]}/{key[2]}"
    return ""


def drift(release: PublicRelease) -> set[str]:
    """Another value in one stated field of an object of every kind; Kind/name of those that took it."""
    chosen = random.Random(release.name)
    kinds: dict[str, list[dict[str, Any]]] = {}
    for item in release.objects(1).values():
        kinds.setdefault(item["kind"], []).append(item)
    drifted = set()
    for kind, items in sorted(kinds.items())[:MOST_DRIFTED]:
        leaves = [(item, *leaf) for item in items for leaf in _leaves(item, ())]
        for item, path, value in chosen.sample(leaves, min(len(leaves), 8)):
            pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
            patch = json.dumps([{"op": "replace", "path": pointer, "value": _other(value)}])
            place = item["metadata"].get("namespace") or release.name
            group = item["apiVersion"].rpartition("/")[0]
            what = f"{kind.lower()}.{group}" if group else kind.lower()
            argv = (
                "kubectl",
                "patch",
                what,
                item["metadata"]["name"],
                "-n",
                place,
                "--type=json",
                "-p",
                patch,
            )
            if release.call(*argv, fails=True).returncode == 0:
                drifted.add(f"{kind}/{item['metadata']['name']}")
                break
    return drifted


def _leaves(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Stated values that may be others; what says which object it is, and selectors, are left alone."""
    if path[:1] in (("kind",), ("apiVersion",), ("metadata",), ("stringData",)):
        return
    if {"selector", "matchLabels", "labels", "ports"} & set(path):
        return
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, (*path, index))
    elif node not in (None, ""):
        yield path, node


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}x"


# --- one chart ----------------------------------------------------------------------------------------------


def furnish(running: RunningCluster) -> None:
    """Three nodes, and volumes for claims."""
    api = running.api
    node = api.get("/api/v1/nodes/drill-node")[1]
    for number in (2, 3):
        name = f"drill-node-{number}"
        metadata = {"name": name, "labels": {**node["metadata"]["labels"], "kubernetes.io/hostname": name}}
        metadata["annotations"] = {"node.alpha.kubernetes.io/ttl": "0"}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        assert api.send("POST", "/api/v1/nodes", body)[0] == 201
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage = {
        "metadata": {"name": "standard", "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    assert api.send("POST", "/apis/storage.k8s.io/v1/storageclasses", storage)[0] == 201
    for number in range(16):
        spec = {
            "capacity": {"storage": "500Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "hostPath": {"path": f"/nowhere/{number}"},
        }
        body = {"metadata": {"name": f"pv-{number}"}, "spec": spec}
        assert api.send("POST", "/api/v1/persistentvolumes", body)[0] == 201


def inject(release: PublicRelease, chart: dict[str, Any]) -> None:
    """What the chart's own controllers write into its objects."""
    for each in chart.get("injected", ()):
        patch, kind = each.get("patch"), "merge"
        if patch is None:
            bundles = [
                {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": BUNDLE}
                for number in range(each["webhooks"])
            ]
            patch, kind = json.dumps(bundles), "json"
        argv = ("kubectl", "patch", each["object"], "-n", release.name, f"--type={kind}", "-p", patch)
        release.call(*argv, f"--field-manager={each['by']}")


def judge(chart: dict[str, Any], release: PublicRelease, folder: Path, source: Path) -> dict[str, Any]:
    """All of one chart with one helm; ``wrong`` says what was judged wrongly."""
    good, bad = folder / "good.yaml", folder / "bad.yaml"
    good.write_text(chart["values"])
    bad.write_text(chart["changed"])
    wrong: list[str] = []
    release.deploy(source, good)
    if chart.get("made"):
        release.call("kubectl", "apply", "-n", release.name, "-f", "-", stdin=chart["made"])
    inject(release, chart)
    unready = release.wait()
    release.deploy(source, good, bad)
    inject(release, chart)
    unready += release.wait()
    if release.replace_by_hand():
        unready += release.wait()
    found: dict[str, Any] = {
        "chart": chart["name"],
        "version": chart["version"],
        "objects": len(release.objects(1)),
        "unready": unready,
    }

    began = datetime.now().astimezone()
    done = release.run("--rollback-to=1", "--rollback-reason=the chart's test", *ASKED, timeout=600)
    if done.record is None:
        return {**found, "wrong": [f"no record: {done.output[-2000:]}"]}
    inject(release, chart)
    found["rollback"] = shown(done)
    if done.record["outcome"] == "refused":
        guards = [f"{each['id']}: {each}" for each in done.record["guards"] if each.get("state") == "refused"]
        return {**found, "wrong": ["refused", *guards, done.output[-3000:]]}
    old, stale, differ = release.old_pods(), release.stale_readers(began), release.differing(1)
    # What a controller of the chart filled in differs to kubectl alone.
    filled = {each["object"] for each in chart.get("injected", ()) if "patch" not in each}
    differ = {each for each in differ if each.lower() not in filled}
    hooks = release.left_by_hooks()
    found["right"] = {"differs": sorted(differ), "old pods": sorted(old), "read before": sorted(stale)}
    found["right"]["left by hooks"] = sorted(hooks)
    if ours := differing(done) ^ differ:
        wrong.append(f"after the rollback not the differences of kubectl diff: {sorted(ours)}")
    is_green = done.record["outcome"] in GREEN
    if is_green and (old or differ or stale or hooks):
        wrong.append("verified, and is not")
    if not is_green:
        cures = [each for item in done.record["items"] for each in item.get("cures") or ()]
        found["cures"] = cures
        if not (old or differ or stale or hooks):
            wrong.append("not verified, and nothing is wrong")
        for each in cures:
            release.typed(each)
        if hooks:
            release.make_anew(hooks)
        release.wait()
        again = release.run(*ASKED, timeout=600)
        found["after the cures"] = shown(again)
        if again.record["outcome"] not in GREEN:
            wrong.append("not verified after the commands that were proposed")

    pod, leftover = leave_old_pod(release), leave_object(release)
    if pod or leftover:
        done = release.run(*ASKED, timeout=600)
        evidence = texts(done)
        found["left"] = {"pod": pod, "object": leftover, **shown(done)}
        if done.record["outcome"] in GREEN:
            wrong.append("verified beside leftovers")
        named = filter(None, (pod, leftover))
        wrong += [f"{each} is not named" for each in named if each not in evidence]
        if pod:
            release.call(
                "kubectl", "delete", "pod", pod, "--all-namespaces=false", "-n", release.name, fails=True
            )

    drifted = drift(release)
    release.configure(chart.get("environment", ""), rollout_timeout_s=15)  # some come never up so
    done = release.run(*ASKED, timeout=600)
    ours = differing(done)
    theirs = {each for each in release.differing(1) if each in ours or each.lower() not in filled}
    found["drift"] = {
        "changed": sorted(drifted),
        "ours": sorted(ours),
        "kubectl diff": sorted(theirs),
        **shown(done),
    }
    if drifted and done.record["outcome"] in GREEN:
        wrong.append("verified in spite of drift")
    if ours != theirs:
        wrong.append(f"drift: only ours {sorted(ours - theirs)}, only kubectl's {sorted(theirs - ours)}")
    return {**found, "wrong": wrong}


def shown(done: Result) -> dict[str, Any]:
    """The outcome, and every item that is not passed, in its own words."""
    items = [
        {key: item[key] for key in ("id", "verdict", "observed")}
        for item in done.record["items"]
        if item["verdict"] not in ("PASS", "WAIVED")
    ]
    return {"outcome": done.record["outcome"], "items": items}


def texts(done: Result) -> str:
    return json.dumps([item for item in done.record["items"] if item["id"] == "release-equivalence"])


def differing(done: Result) -> set[str]:
    """Kind/name of what we find different."""
    [item] = [each for each in done.record["items"] if each["id"] == "release-equivalence"]
    return {
        name
        for each in item.get("evidence") or ()
        if each["title"].startswith("Target revision")
        for name in _OURS.findall(each["text"])
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--snapshots", type=Path, required=True, help="bare clones, OWNER+NAME/repo")
    parser.add_argument("--only", nargs="*", default=(), help="these charts")
    parser.add_argument("--helm", action="append", choices=("3", "4"), help="major version; default: both")
    parser.add_argument("--keep", type=Path, help="a folder for the runs' reports")
    given = parser.parse_args()
    charts = tomllib.loads(CHARTS.read_text())["chart"]
    binaries = find_binaries(tools=(*TOOLS, HELM3), progress=print)
    failed = False
    for chart in charts:
        if given.only and chart["name"] not in given.only:
            continue
        for major in given.helm or ("4", "3"):
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                if given.keep:
                    folder = given.keep / f"{chart['name']}-{major}"
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir(parents=True)
                source = unpack(chart, given.snapshots, folder / "chart")
                running = start_cluster(binaries)
                try:
                    furnish(running)
                    helm = binaries["helm" if major == "4" else "helm3"]
                    result = judge(chart, PublicRelease(running, folder, helm, chart), folder, source)
                except (RuntimeError, subprocess.SubprocessError) as problem:
                    result = {"chart": chart["name"], "wrong": [f"could not be tried: {str(problem)[:1500]}"]}
                finally:
                    running.close()
            result |= {"helm": major, "seconds": round(time.monotonic() - began)}
            failed |= bool(result["wrong"])
            print(
                f"{chart['name']} helm {major} {result['seconds']} s: {result['wrong'] or 'right'}",
                flush=True,
            )
            keep(result)
    return int(failed)


def keep(result: dict[str, Any]) -> None:
    """Put it into the results, in the place of an older one."""
    known = json.loads(OUT.read_text()) if OUT.exists() else []
    key = (result["chart"], result["helm"])
    known = [each for each in known if (each["chart"], each["helm"]) != key]
    known = sorted([*known, result], key=lambda each: (each["chart"], each["helm"]))
    OUT.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
