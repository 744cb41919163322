"""Which revision, and what stands against going back to it: releases that both real helms made, on a real cluster."""

import base64
import gzip
import json
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.helm import HelmCli, find_helm
from pytest_zkrollback.clients.kube.client import connect
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.loader import load_environment
from pytest_zkrollback.preflight.facts import fetch_facts
from pytest_zkrollback.preflight.guards import judge_guards
from pytest_zkrollback.preflight.release_view import ReleaseView
from pytest_zkrollback.rollback.lock import ReleaseLock
from support import stored_release
from support.incident import Incident

BACKEND = "deployment/zkprova-zkprova-backend"
# What takes its time to be red while the bad revision is live.
SLOW = ("rollout-backend", "rollout-frontend", "smoke", "logs", "health-database", "events", "notify")


@pytest.fixture(scope="module", params=["helm", "helm3"])
def told(request, running_cluster, binaries, helm3, tmp_path_factory):
    """Revision 6 is live and bad, made by Helm 4 or 3; tests that use this leave it so."""
    helm = {**binaries, "helm3": helm3}[request.param]
    found = Incident(running_cluster, tmp_path_factory.mktemp("told"), helm)
    yield found
    assert found.head() == 6
    found.close()


# Nothing is pinned here, and kwok's node lists no images.
KWOKS = {"identity", "images"}


class Asked:
    """What the preflight, in this process, found and judged."""

    def __init__(self, incident, target, *, driver="", confirm=None):
        env = load_environment(incident.folder / "zkrollback.toml", "test")
        clock, processes = SystemClock(), LocalProcesses()
        kube = connect(env.context, env.kubeconfig, clock, processes=processes)

        def helm():
            binary = find_helm(env.helm, None)
            scope = {"context": env.context, "kubeconfig": env.kubeconfig, "namespace": env.namespace}
            return HelmCli(binary, processes, environ=incident.environ(), **scope)

        lock = ReleaseLock(kube, clock, env.namespace, env.release, lease_s=60)
        look = ReleaseView(env, kube, lock.fetch, target)
        self.facts = fetch_facts(env, kube, helm, look, lock.require_free, clock, writes=True, driver=driver)
        content = look.target if self.facts.history.value is not None else None
        guards = judge_guards(self.facts, env, confirm, look.objects_of(content))
        self.guards = {guard.id: guard for guard in guards}
        self.refused = {guard.id for guard in guards if guard.state == "refused"}
        self.warned = {guard.id for guard in guards if guard.state == "warned"} - KWOKS

    @property
    def revision(self):
        return self.facts.choice.value.revision

    @property
    def change_summary(self):
        return self.facts.change_summary.value


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_previous_is_the_one_before_and_nothing_stands_against_it(told):
    asked = Asked(told, "previous")
    assert (asked.revision, asked.refused, asked.warned) == (5, set(), set())
    change_summary = asked.change_summary
    assert (change_summary.asked, change_summary.chain, change_summary.unknown, change_summary.missing) == (
        "previous",
        (5,),
        (),
        (),
    )
    images = {(each.live, each.target) for each in change_summary.images}
    assert ("zkprova/backend:1.9.0-a7d20c4", "zkprova/backend:1.8.0-3f9c2e1") in images
    assert change_summary.drift == ()
    assert change_summary.deployed_for_s > 0


def test_last_verified_is_none_where_this_tool_has_verified_nothing(told):
    asked = Asked(told, "last-verified")
    assert (asked.revision, asked.refused) == (None, {"target"})
    evidence = asked.guards["target"].evidence
    assert evidence.startswith(
        "no revision to go back to: no older revision was verified by this tool; not taken: "
    )
    assert "revision 5 was not verified by this tool" in evidence
    assert asked.guards["target"].override == ""


@pytest.mark.parametrize(
    ("target", "keys", "tables", "guard", "evidence", "passable"),
    [
        pytest.param(
            5,
            {},
            '[environments.test.identity]\nkube_system_uid = "another"\n',
            "identity",
            "but another is pinned",
            True,
            id="fault_9",
        ),
        pytest.param(
            5, {"namespace": "no-such"}, "", "release", "There is no namespace no-such", False, id="fault_10"
        ),
        pytest.param(
            5, {"release": "zkprov"}, "", "release", "releases there: zkprova", False, id="fault_11"
        ),
        pytest.param(
            99, {}, "", "target", "revision 99 does not exist; there are 1 to 6", False, id="fault_12"
        ),
        pytest.param(
            3, {}, "", "target", 'revision 3 is failed: Upgrade "zkprova" failed', True, id="fault_15"
        ),
        pytest.param(
            5, {"helm": "no-such-helm"}, "", "helm-version", "no 'no-such-helm'", False, id="fault_32"
        ),
        pytest.param(
            5,
            {"helm": "helm-2"},
            "",
            "helm-version",
            "helm v2.17.0 is not supported",
            False,
            id="fault_32_old",
        ),
    ],
)
def test_refused_by_both_majors_at_preflight(told, target, keys, tables, guard, evidence, passable):
    if keys.get("helm") == "helm-2":
        old = told.folder / "helm-2"
        old.write_text("#!/bin/sh\necho v2.17.0\n")
        old.chmod(0o755)
        keys = {"helm": str(old)}
    told.configure(tables, **keys)
    try:
        asked = Asked(told, target)
    finally:
        told.configure()
    assert guard in asked.refused
    assert evidence in asked.guards[guard].evidence
    assert bool(asked.guards[guard].override) is passable


def test_a_failed_revision_is_failed_after_helm_calls_it_superseded_fault_15(told):
    """docs/helm-facts.md, 4: a later success relabels it; only its description still says so."""
    with rewritten(told, 3, status="superseded"):
        asked = Asked(told, 3)
        assert "target" in asked.refused
        assert asked.guards["target"].evidence.startswith(
            "revision 3 failed before it was superseded: Upgrade"
        )


@contextmanager
def rewritten(incident, revision, **info):
    """A revision's Secret, changed as helm would have written it, and put back."""
    name = f"sh.helm.release.v1.zkprova.v{revision}"

    def write(data, status):
        incident.kubectl("patch", "secret", name, "-p", json.dumps({"data": {"release": data}}))
        incident.kubectl("label", "secret", name, f"status={status}", "--overwrite")

    secret = json.loads(incident.kubectl("get", "secret", name, "-o", "json"))
    before = secret["data"]["release"], secret["metadata"]["labels"]["status"]
    content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(before[0]))))
    content["info"].update(info)
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    write(base64.b64encode(packed).decode(), info.get("status", before[1]))
    try:
        yield
    finally:
        write(*before)


def test_fault_18_a_stale_pending_release_is_refused_and_its_recovery_offered(told):
    long_ago = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    with rewritten(told, 6, status="pending-upgrade", last_deployed=long_ago):
        asked = Asked(told, "previous")
    assert asked.refused == {"pending"}
    guard = asked.guards["pending"]
    assert "(for 3 h): its helm has probably died and left the release stranded" in guard.evidence
    assert "--rollback-recover" in guard.consequence
    assert asked.guards["deployed"].evidence.startswith("no revision is `deployed`")


def test_a_pending_revision_is_no_target_fault_15(told):
    """docs/helm-facts.md, 1: helm rolls back to it, and it stays pending for ever."""
    with rewritten(told, 5, status="pending-rollback", description="Rollback to 4"):
        asked = Asked(told, 5)
        assert asked.refused == {"target"}
        assert asked.guards["target"].evidence == "revision 5 is pending-rollback: Rollback to 4"
        assert Asked(told, "previous").revision == 4


def credentials(incident, name, user):
    """A kubeconfig like the cluster's, with another user."""
    config = yaml.safe_load(incident.cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": user}]
    path = incident.folder / name
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return str(path)


def test_fault_8_a_right_that_the_rollback_needs_is_missing(told):
    """docs/helm-facts.md, 1: helm would write a failed revision, and none would be deployed."""
    reading = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": [*reading, "create", "update", "patch"]},
        {
            "apiGroups": [""],
            "resources": ["configmaps", "services", "serviceaccounts", "persistentvolumeclaims"],
            "verbs": [*reading, "patch"],
        },
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": reading},
    ]
    told.configure(kubeconfig=credentials(told, "narrow", {"token": account(told, "narrow", rules)}))
    asked = Asked(told, 5)
    told.configure()
    assert asked.refused == {"permissions"}
    assert asked.guards["permissions"].evidence == "you may not: patch deployments.apps"
    assert asked.guards["hpa"].state == "warned"  # what only advises, and may not be read, refuses nothing


def test_a_login_that_is_refused_is_not_called_unreachable(told):
    """docs/helm-facts.md, 1: a 401 reads "cluster unreachable" there."""
    told.configure(kubeconfig=credentials(told, "stranger", {"token": "nobody"}))
    asked = Asked(told, 5)
    told.configure()
    assert {"release", "pending", "target", "permissions"} <= asked.refused
    assert "401" in asked.guards["release"].evidence
    assert "unreachable" not in asked.guards["release"].evidence


def test_a_role_that_names_the_objects_is_enough_and_a_hook_that_cannot_be_watched_is_not(told):
    """helm watches the hooks that it ran: without that right it would hang, the release stranded."""
    reading, names = ["get", "list", "watch"], ["zkprova-zkprova-backend", "zkprova-zkprova-frontend"]
    kinds = ["configmaps", "services", "serviceaccounts", "persistentvolumeclaims"]
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": [*reading, "create", "update", "patch"]},
        {"apiGroups": [""], "resources": kinds, "verbs": [*reading, "patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": reading},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": names},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "delete"]},
    ]
    told.configure(kubeconfig=credentials(told, "by-name", {"token": account(told, "by-name", rules)}))
    named = Asked(told, 5)
    content = stored_release.read(told, 5)
    hook = {"name": "h", "kind": "Job", "events": ["pre-rollback"], "manifest": JOB, "path": "h.yaml"}
    stored_release.write(told, 5, {**content, "hooks": [hook]})
    hooked = Asked(told, 5)
    stored_release.write(told, 5, content)
    told.configure()
    assert named.refused == set()
    assert named.guards["permissions"].state == "ok"
    assert hooked.guards["permissions"].evidence == "you may not: list jobs.batch, watch jobs.batch"


def account(incident, name, rules):
    """The token of a service account with these rules."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": rules,
    }
    (incident.folder / "role.yaml").write_text(yaml.safe_dump(role))
    incident.kubectl("apply", "-f", str(incident.folder / "role.yaml"))
    incident.kubectl("create", "serviceaccount", name)
    bound = f"--serviceaccount={incident.namespace}:{name}"
    incident.kubectl("create", "rolebinding", name, f"--role={name}", bound)
    return incident.kubectl("create", "token", name).strip()


def test_without_the_right_to_list_secrets_nothing_is_known_and_nothing_is_done(told):
    """docs/helm-facts.md, 1."""
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "patch"]}]
    told.configure(kubeconfig=credentials(told, "blind", {"token": account(told, "blind", rules)}))
    asked = Asked(told, 5)
    told.configure()
    assert {"release", "pending", "target", "permissions", "lock"} <= asked.refused
    assert "list secrets" in asked.guards["permissions"].evidence
    assert "may not list secrets" in asked.guards["release"].evidence


def test_two_deployed_revisions_warn(told):
    with rewritten(told, 5, status="deployed"):
        asked = Asked(told, 4)
    assert (asked.refused, asked.warned) == (set(), {"deployed"})
    assert asked.guards["deployed"].evidence.startswith("revisions 5 and 6 are both `deployed`")


def test_a_gitops_owner_refuses_until_it_is_suspended(told):
    tracking = "argocd.argoproj.io/tracking-id"
    told.kubectl(
        "annotate", BACKEND, f"{tracking}=shop:apps/Deployment:{told.namespace}/zkprova-zkprova-backend"
    )
    argo = Asked(told, 5)
    told.kubectl("annotate", BACKEND, f"{tracking}-")
    assert argo.refused == {"gitops"}
    assert argo.guards["gitops"].evidence.startswith(
        "Argo CD Application argocd/shop manages Deployment/zkprova-zkprova-backend (annotation "
    )

    labels = {"name": "web", "namespace": told.namespace}
    words = [f"helm.toolkit.fluxcd.io/{key}={value}" for key, value in labels.items()]
    told.kubectl("label", BACKEND, *words)
    flux = Asked(told, 5)
    install_helm_releases(told, suspend=True)
    idle = Asked(told, 5)
    told.kubectl("label", BACKEND, *(f"helm.toolkit.fluxcd.io/{key}-" for key in labels))
    assert flux.refused == {"gitops"}
    assert f"Flux HelmRelease {told.namespace}/web manages" in flux.guards["gitops"].evidence
    assert (idle.refused, idle.warned) == (set(), {"gitops"})
    assert (
        idle.guards["gitops"].evidence == f"Flux HelmRelease {told.namespace}/web would, but it is suspended"
    )


def install_helm_releases(incident, suspend):
    """Flux's CRD, as far as it matters here, and one object of it."""
    group = "helm.toolkit.fluxcd.io"
    version = {
        "name": "v2",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {
        "plural": "helmreleases",
        "singular": "helmrelease",
        "kind": "HelmRelease",
        "listKind": "HelmReleaseList",
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"helmreleases.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }
    one = {
        "apiVersion": f"{group}/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "web", "namespace": incident.namespace},
        "spec": {"suspend": suspend},
    }
    api = incident.running.api
    assert api.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)[0] in (201, 409)
    path = f"/apis/{group}/v2/namespaces/{incident.namespace}/helmreleases"
    wait_for(lambda: api.send("POST", path, one)[0] in (201, 409))


def test_another_hand_on_the_workloads_warns_and_the_change_summary_names_the_drift(told):
    told.kubectl("set", "env", BACKEND, "HAND=1")
    asked = Asked(told, 5)
    told.kubectl("set", "env", BACKEND, "HAND-")
    assert "deploying" in asked.warned
    assert (
        "Deployment/zkprova-zkprova-backend was changed by kubectl-set" in asked.guards["deploying"].evidence
    )
    assert any("[HAND]" in line for line in asked.change_summary.drift), asked.change_summary.drift


def test_a_release_in_configmaps_is_refused_and_says_so(told):
    namespace = ["-n", told.namespace, "--kube-context", told.cluster.context]
    argv = [str(told.helm_path), "install", "elsewhere", str(made_chart(told)), *namespace]
    done = subprocess.run(
        [*argv, "--kubeconfig", str(told.cluster.kubeconfig)],
        env=told.environ(HELM_DRIVER="configmap"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told.configure(release="elsewhere")
    asked = Asked(told, 1)
    told.configure()
    assert {"release", "storage"} <= asked.refused
    assert asked.guards["storage"].evidence.startswith("ConfigMaps hold a release of this name")
    steered = Asked(told, 5, driver="configmap")
    assert steered.refused == {"storage"}
    assert steered.guards["storage"].evidence.startswith("HELM_DRIVER=configmap sends helm to another store")


def made_chart(incident, name="small"):
    chart = incident.folder / name
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text(f"{{apiVersion: v2, name: {name}, version: 1.0.0}}")
    (chart / "templates" / "all.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: small}}"
    )
    return chart


JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: before}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: "zkprova/none:1"}]}}}
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.changes.example}
spec:
  group: changes.example
  names: {plural: PLURAL, singular: PLURAL, kind: Thing, listKind: ThingList}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
FIRST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: needy}
spec:
  replicas: 0
  selector: {matchLabels: {app: needy}}
  template:
    metadata: {labels: {app: needy}}
    spec:
      containers: [{name: app, image: "zkprova/none:1", envFrom: [{secretRef: {name: outside}}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: before, annotations: {helm.sh/hook: "pre-rollback,pre-upgrade", helm.sh/hook-delete-policy: hook-failed}}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: a, image: "zkprova/none:1"}]}}
"""
SECOND = """
apiVersion: v1
kind: ConfigMap
metadata: {name: only-now}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
"""


def test_the_change_summary_tells_what_no_diff_shows(told):
    """CRDs and kept objects that stay, hooks of the target, and what it refers to that is gone."""
    chart = made_chart(told, "needy")
    crds = chart / "crds"
    crds.mkdir()
    plural = told.namespace.replace("-", "")
    (crds / "thing.yaml").write_text(CRD.replace("PLURAL", plural))
    (chart / "templates" / "all.yaml").write_text(FIRST)
    told.helm("install", "needy", str(chart))
    (crds / "thing.yaml").write_text(CRD.replace("PLURAL", plural) + "# another one\n")
    (chart / "templates" / "all.yaml").write_text(SECOND)
    told.helm("upgrade", "needy", str(chart), "--set", "db.password=hunter2hunter2,tag=7")
    told.configure(release="needy")
    asked = Asked(told, "previous")
    told.configure()
    change_summary = asked.change_summary
    assert (asked.revision, change_summary.unknown) == (1, ())
    assert change_summary.deleted == ("ConfigMap/only-now",)
    assert change_summary.not_rolled_back == (
        "ConfigMap/kept stays: its policy is 'keep'",
        "crds/thing.yaml differs, and stays as it is: helm never changes the CRDs of this folder",
    )
    assert change_summary.missing == ("Secret/outside, which Deployment/needy refers to, does not exist",)
    assert [(hook.name, hook.events, hook.revision) for hook in change_summary.hooks] == [
        ("Job/before", ("pre-rollback",), 1)
    ]
    assert {each.what: (each.live, each.target) for each in change_summary.values} == {
        "db.password": ("(hidden)", ""),
        "tag": ("7", ""),
    }
    assert "hunter2" not in change_summary.model_dump_json()


def helm_that(incident, binary, before_rollback):
    """The real helm; ``before_rollback`` is what happens in the instant before it rolls back."""
    path = incident.folder / f"{binary.name}-that"
    path.write_text(f'#!/bin/sh\ncase "$1" in rollback) {before_rollback};; esac\nexec {binary} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_fault_14_the_target_is_pruned_between_plan_and_run(incident, helm3):
    secret = "sh.helm.release.v1.zkprova.v5"
    kept = incident.folder / "v5.json"
    document = json.loads(incident.kubectl("get", "secret", secret, "-o", "json"))
    document["metadata"] = {key: document["metadata"][key] for key in ("name", "namespace", "labels")}
    kept.write_text(json.dumps(document))
    kubectl = f"{incident.cluster.binaries['kubectl']} --kubeconfig {incident.cluster.kubeconfig} "
    kubectl += f"--context {incident.cluster.context} -n {incident.namespace}"
    for binary in (incident.helm_path, helm3):
        incident.configure(helm=helm_that(incident, binary, f"{kubectl} delete secret {secret} >/dev/null"))
        result = incident.run("--rollback-to=5", *(f"--rollback-waive={item}=not the point" for item in SLOW))
        assert (result.code, result.record["outcome"]) == (1, "failed"), result.output
        rollback = result.item("rollback")
        assert rollback["verdict"] == "FAIL"
        assert rollback["observed"].startswith("helm ended with exit code 1")
        assert "6 is still the current revision" in rollback["observed"]
        assert "release has no 5 version" in result.record["helm"]["stderr_tail"]
        assert incident.head() == 6
        incident.kubectl("apply", "-f", str(kept))

    # docs/helm-facts.md, 4: plain Helm 4 after a `kubectl scale` applies half and leaves none deployed
    incident.configure()
    incident.kubectl("scale", BACKEND, "--replicas=4")
    with pytest.raises(AssertionError, match="conflict"):
        incident.helm("rollback", "zkprova", "4")
    asked = Asked(incident, "previous")
    assert (asked.revision, asked.guards["deployed"].state) == (5, "warned")
    assert asked.guards["deployed"].evidence.startswith("no revision is `deployed`")
    assert asked.change_summary.skipped[0].reason == "holds what revision 7 rolled back away from"
    assert any("spec.replicas" in line for line in asked.change_summary.drift), asked.change_summary.drift


@pytest.mark.parametrize("major", ["helm", "helm3"])
def test_fault_17_a_pipelines_upgrade_still_hangs(running_cluster, binaries, helm3, tmp_path, major):
    """The commonest case: `helm upgrade --wait` of a bad image, which waits for pods that never come."""
    incident = Incident(running_cluster, tmp_path, {**binaries, "helm3": helm3}[major])
    incident.helm("rollback", "zkprova", "5")
    told = incident.cluster.data_dir / "scenarios" / incident.namespace / "6"
    argv = [
        str(incident.helm_path),
        "upgrade",
        "zkprova",
        str(told / "zkprova"),
        "-f",
        str(told / "values.json"),
    ]
    argv += ["--set", "backend.tag=1.9.0-a7d20c", "--wait", "--timeout", "90s", "-n", incident.namespace]
    argv += ["--kube-context", incident.cluster.context, "--kubeconfig", str(incident.cluster.kubeconfig)]
    pipeline = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: incident.revisions()[-1][:2] == (8, "pending-upgrade"))
        asked = Asked(incident, "previous")
        assert (asked.refused, asked.revision) == ({"pending"}, 7)
        evidence = asked.guards["pending"].evidence
        assert evidence.startswith("revision 8 is pending-upgrade since ")
        assert evidence.endswith(
            "a helm probably still works on it, as a pipeline's `helm upgrade --wait` does"
        )

        # the smoke test takes as long as the pipeline, which ends well: the pods are healthy again
        script = incident.folder / "smoke.sh"
        script.write_text(f"while kill -0 {pipeline.pid} 2>/dev/null; do sleep 0.1; done\n")
        incident.configure(f'[environments.test.smoke]\ncommand = ["bash", "{script}"]\n')
        process = incident.start("--rollback-to=7", "--rollback-override=pending=the pipeline hangs")
        wait_for(lambda: pipeline.poll() is not None, 60)
        output = process.communicate(timeout=60)[0]
        record = incident.latest()
    finally:
        pipeline.kill()
        pipeline.wait()
        incident.close()
    assert record["helm"]["ran"] is True
    assert record["overrides"] == [{"id": "pending", "kind": "guard", "reason": "the pipeline hangs"}]
    statuses = {revision: status for revision, status, _ in incident.revisions()}
    assert (statuses[8], statuses[9]) == ("deployed", "deployed")
    equal = next(item for item in record["items"] if item["id"] == "release-equivalence")
    assert (process.returncode, equal["verdict"]) == (1, "FAIL"), output
    assert equal["observed"].startswith("helm calls revisions 8 and 9 deployed")


def test_fault_69_helm_3_on_a_release_that_helm_4_wrote(incident, helm3):
    """And with HELM_MAX_HISTORY in the operator's shell, nothing is pruned."""
    incident.configure(helm=str(helm3))
    result = incident.run("--rollback-to=previous", HELM_MAX_HISTORY="3")
    assert (result.code, result.record["outcome"]) == (0, "verified"), result.output
    guard = result.guard("helm-version")
    assert guard["state"] == "warned"
    assert "on a release that Helm 4 wrote by server-side apply: that works" in guard["evidence"]
    assert (result.record["target_revision"], result.record["plan"]["change_summary"]["asked"]) == (
        5,
        "previous",
    )
    assert result.record["helm"]["argv"][3] == "5"
    assert [revision for revision, _, _ in incident.revisions()] == [1, 2, 3, 4, 5, 6, 7]

    again = incident.run("--rollback-to=previous")
    assert (again.code, again.record["helm"]["ran"], incident.head()) == (0, False, 7), again.output
    assert again.record["target_revision"] == 5
    assert "its number stands" in again.record["plan"]["change_summary"]["chosen_because"]

    # a new bad deploy is a new intent
    told = incident.cluster.data_dir / "scenarios" / incident.namespace / "6"
    incident.helm("upgrade", "zkprova", str(told / "zkprova"), "-f", str(told / "values.json"))
    for name in ("previous", "last-verified"):
        asked = Asked(incident, name)
        assert (asked.revision, asked.refused, asked.change_summary.chain) == (7, set(), (7, 5))

    # docs/helm-facts.md, 1: helm's own 0, or `previous` after a rollback by hand, would ping-pong
    incident.helm("rollback", "zkprova", "6")
    asked = Asked(incident, "previous")
    assert asked.refused == {"target"}
    assert "already is a rollback (to 6), made by hand" in asked.guards["target"].evidence

    # docs/helm-facts.md, 1: uninstalled with its history kept, helm re-creates everything without a word
    incident.helm("uninstall", "zkprova", "--keep-history")
    wait_for(lambda: "zkprova" not in incident.kubectl("get", "pods"))
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"], incident.head()) == (0, "verified", 10), result.output
    assert result.guard("deployed")["evidence"].startswith(
        "revision 9 is uninstalled: the rollback makes every"
    )


def test_fault_65_a_credential_plugin_that_asks_is_answered_by_nobody(told):
    plugin = told.folder / "login"
    plugin.write_text("#!/bin/sh\nread -r password || exit 3\n")
    plugin.chmod(0o755)
    asking = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
    user = {"exec": {**asking, "interactiveMode": "IfAvailable"}}
    told.configure(kubeconfig=credentials(told, "asking", user))
    result = told.run("--rollback-to=5")
    told.configure()
    assert (result.code, result.record["outcome"], result.record["helm"]["ran"]) == (1, "refused", False)
    assert "ended with exit code 3" in result.guard("cluster")["evidence"]


def test_an_autoscaler_that_the_targets_replicas_would_fight_warns(told):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "zkprova-zkprova-frontend"}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "front"},
        "spec": {"scaleTargetRef": target, "minReplicas": 7, "maxReplicas": 9},
    }
    path = told.folder / "hpa.yaml"
    path.write_text(yaml.safe_dump(scaler))
    told.kubectl("apply", "-f", str(path))
    asked = Asked(told, 5)
    told.kubectl("delete", "-f", str(path))
    assert "hpa" in asked.warned
    assert asked.guards["hpa"].evidence == (
        "the target sets Deployment/zkprova-zkprova-frontend to 2 replicas, HorizontalPodAutoscaler front to 7"
    )
